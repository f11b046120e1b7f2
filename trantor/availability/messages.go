package availability

import (
	"encoding/binary"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Wire tags 10 to 19 belong to this package.
const (
	tagBatch    = 10
	tagAck      = 11
	tagRequest  = 12
	tagResponse = 13
)

// Batch is a creator's batch number No, made in Epoch, sent to every member. Its
// creator is whoever sends it. Without data it voids the number.
type Batch struct {
	No    types.BatchNo
	Epoch types.Epoch
	Data  []byte
}

// Ack is a replica's promise to hold the receiver's batch number No with that
// digest, which Sig makes good to third parties.
type Ack struct {
	No    types.BatchNo
	Batch types.Digest
	Sig   []byte
}

// Request asks for a batch that is certified and missing.
type Request struct{ ID BatchID }

// Response answers a Request.
type Response struct {
	ID   BatchID
	Data []byte
}

// BatchID says which batch of which creator is meant. The same bytes under
// another creator or number are another batch: they are held, certified and
// collected on their own.
type BatchID struct {
	Creator types.NodeID
	No      types.BatchNo
	Digest  types.Digest
}

func (Batch) EventName() string    { return "availability.Batch" }
func (Ack) EventName() string      { return "availability.Ack" }
func (Request) EventName() string  { return "availability.Request" }
func (Response) EventName() string { return "availability.Response" }

// WireTag implements types.WireMessage, as AppendWire does.
func (Batch) WireTag() byte    { return tagBatch }
func (Ack) WireTag() byte      { return tagAck }
func (Request) WireTag() byte  { return tagRequest }
func (Response) WireTag() byte { return tagResponse }

// AppendWire appends the number, the epoch and the data.
func (b Batch) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.No))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Epoch))
	return types.AppendBytes(dst, b.Data)
}

// AppendWire appends the number, the digest and the signature.
func (a Ack) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(a.No))
	dst = append(dst, a.Batch[:]...)
	return types.AppendBytes(dst, a.Sig)
}

// AppendWire appends the batch's identity.
func (q Request) AppendWire(dst []byte) []byte { return q.ID.appendWire(dst) }

// AppendWire appends the batch's identity and the data.
func (p Response) AppendWire(dst []byte) []byte {
	return types.AppendBytes(p.ID.appendWire(dst), p.Data)
}

func (id BatchID) appendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(id.Creator))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id.No))
	return append(dst, id.Digest[:]...)
}

func readBatchID(r *types.Reader) BatchID {
	return BatchID{Creator: types.NodeID(r.U32()), No: types.BatchNo(r.U64()), Digest: r.Digest()}
}

// RegisterMessages makes a codec understand this package's messages.
func RegisterMessages(c *types.Codec) {
	c.Register(tagBatch, func(r *types.Reader) (mir.Message, error) {
		return Batch{No: types.BatchNo(r.U64()), Epoch: types.Epoch(r.U64()), Data: r.Bytes(types.MaxBatchBytes)}, nil
	})
	c.Register(tagAck, func(r *types.Reader) (mir.Message, error) {
		return Ack{No: types.BatchNo(r.U64()), Batch: r.Digest(), Sig: r.Bytes(types.SignatureBytes)}, nil
	})
	c.Register(tagRequest, func(r *types.Reader) (mir.Message, error) {
		return Request{ID: readBatchID(r)}, nil
	})
	c.Register(tagResponse, func(r *types.Reader) (mir.Message, error) {
		return Response{ID: readBatchID(r), Data: r.Bytes(types.MaxBatchBytes)}, nil
	})
}
