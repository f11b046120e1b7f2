package iss

import (
	"encoding/binary"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Wire tags 30 to 39 belong to this package.
const tagFinishEpoch = 30

// FinishEpoch asks for the end of Epoch: its sender holds certificates and has
// no slot left to put them in.
type FinishEpoch struct{ Epoch types.Epoch }

// EventName implements mir.Body.
func (FinishEpoch) EventName() string { return "iss.FinishEpoch" }

// WireTag implements types.WireMessage, as AppendWire does.
func (FinishEpoch) WireTag() byte { return tagFinishEpoch }

// AppendWire appends the epoch.
func (m FinishEpoch) AppendWire(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(m.Epoch))
}

// RegisterMessages makes a codec understand this package's messages.
func RegisterMessages(c *types.Codec) {
	c.Register(tagFinishEpoch, func(r *types.Reader) (mir.Message, error) {
		return FinishEpoch{Epoch: types.Epoch(r.U64())}, nil
	})
}
