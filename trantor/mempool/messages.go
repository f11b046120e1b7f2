package mempool

import (
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Wire tags 50 to 59 belong to this package.
const tagForward = 50

// Forward hands transactions to the leader of their bucket. Data is an encoded
// batch of them.
type Forward struct{ Data []byte }

// EventName implements mir.Body.
func (Forward) EventName() string { return "mempool.Forward" }

// WireTag implements types.WireMessage, as AppendWire does.
func (Forward) WireTag() byte { return tagForward }

// AppendWire appends the data.
func (m Forward) AppendWire(dst []byte) []byte { return types.AppendBytes(dst, m.Data) }

// RegisterMessages makes a codec understand this package's messages.
func RegisterMessages(c *types.Codec) {
	c.Register(tagForward, func(r *types.Reader) (mir.Message, error) {
		return Forward{Data: r.Bytes(types.MaxBatchBytes)}, nil
	})
}
