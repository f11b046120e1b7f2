package iss

import (
	"encoding/binary"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Wire tags 30 to 39 belong to this package.
const (
	tagFinishEpoch = 30
	tagStatus      = 31
	tagHandOver    = 32
)

// FinishEpoch asks for the end of Epoch: its sender holds certificates and has
// no slot left to put them in, or transactions wait for another leader.
type FinishEpoch struct{ Epoch types.Epoch }

// Status is the heartbeat: its sender is in Epoch and has ordered everything
// below Ordered.
type Status struct {
	Epoch   types.Epoch
	Ordered types.SeqNr
}

// HandOver gives certificates of its sender's own batches to a leader of Epoch,
// since the sender is none.
type HandOver struct {
	Epoch types.Epoch
	Certs []types.Certificate
}

func (FinishEpoch) EventName() string { return "iss.FinishEpoch" }
func (Status) EventName() string      { return "iss.Status" }
func (HandOver) EventName() string    { return "iss.HandOver" }

// WireTag implements types.WireMessage, as AppendWire does.
func (FinishEpoch) WireTag() byte { return tagFinishEpoch }
func (Status) WireTag() byte      { return tagStatus }
func (HandOver) WireTag() byte    { return tagHandOver }

// AppendWire appends the epoch.
func (m FinishEpoch) AppendWire(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(m.Epoch))
}

// AppendWire appends the epoch and the sequence number.
func (m Status) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Epoch))
	return binary.LittleEndian.AppendUint64(dst, uint64(m.Ordered))
}

// AppendWire appends the epoch and the certificates.
func (m HandOver) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Epoch))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m.Certs)))
	for _, c := range m.Certs {
		dst = types.AppendCert(dst, c)
	}
	return dst
}

// minCertBytes is what a certificate takes on the wire at least: creator, number,
// digest, no signatures.
const minCertBytes = 4 + 8 + 32 + 4

// RegisterMessages makes a codec understand this package's messages.
func RegisterMessages(c *types.Codec) {
	c.Register(tagFinishEpoch, func(r *types.Reader) (mir.Message, error) {
		return FinishEpoch{Epoch: types.Epoch(r.U64())}, nil
	})
	c.Register(tagStatus, func(r *types.Reader) (mir.Message, error) {
		return Status{Epoch: types.Epoch(r.U64()), Ordered: types.SeqNr(r.U64())}, nil
	})
	c.Register(tagHandOver, func(r *types.Reader) (mir.Message, error) {
		m := HandOver{Epoch: types.Epoch(r.U64())}
		for range r.Count(types.MaxCertsPerSlot, minCertBytes) {
			m.Certs = append(m.Certs, types.ReadCert(r))
		}
		return m, nil
	})
}
