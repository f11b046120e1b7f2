package pbft

import (
	"encoding/binary"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Wire tags 20 to 29 belong to this package.
const (
	tagPrePrepare = 20
	tagPrepare    = 21
	tagCommit     = 22
	tagViewChange = 23
	tagNewView    = 24
	tagDecision   = 25
	tagAsk        = 26
)

// MaxSlots is the most slots that a segment may have.
const MaxSlots = 1 << 12

// The least bytes that an element of a list takes on the wire.
const (
	minPreparedBytes = 8 + 4 + 1 + 4 // seq, view, skipped proposal, no signatures
	minChangeBytes   = 4 + 4 + 4 + 4 // signer, view, empty list, no signature
)

// PrePrepare is the segment leader's proposal for a slot in view 0. Sig is its
// signature on the prepare statement.
type PrePrepare struct {
	Seq      types.SeqNr
	Proposal types.Proposal
	Sig      []byte
}

// Prepare is a replica's vote for the proposal with that digest. Sig is over
// the prepare statement.
type Prepare struct {
	View   types.View
	Seq    types.SeqNr
	Digest types.Digest
	Sig    []byte
}

// Commit says that its sender holds a prepared certificate.
type Commit struct {
	View   types.View
	Seq    types.SeqNr
	Digest types.Digest
}

// Prepared is a prepared certificate with its value: prepare signatures of a
// quorum, sorted by signer without repetition.
type Prepared struct {
	Seq      types.SeqNr
	View     types.View
	Proposal types.Proposal
	Sigs     []types.Signature
}

// ViewChange says that its sender has left all views below View for good.
// Prepared holds its highest prepared certificate of each slot that has one,
// ascending without repetition.
type ViewChange struct {
	View     types.View
	Prepared []Prepared
	Sig      []byte
}

// SignedChange is a view change and who signed it.
type SignedChange struct {
	Signer types.NodeID
	ViewChange
}

// NewView starts View: its leader shows view changes of a quorum, sorted by
// signer without repetition.
type NewView struct {
	View    types.View
	Changes []SignedChange
}

// Ask asks for the decisions of slots that its sender misses, ascending.
type Ask struct{ Slots []types.SeqNr }

// Decision answers a replica that misses this slot.
type Decision struct {
	Seq      types.SeqNr
	Proposal types.Proposal
}

func (PrePrepare) EventName() string { return "pbft.PrePrepare" }
func (Prepare) EventName() string    { return "pbft.Prepare" }
func (Commit) EventName() string     { return "pbft.Commit" }
func (ViewChange) EventName() string { return "pbft.ViewChange" }
func (NewView) EventName() string    { return "pbft.NewView" }
func (Ask) EventName() string        { return "pbft.Ask" }
func (Decision) EventName() string   { return "pbft.Decision" }

// WireTag implements types.WireMessage, as AppendWire does.
func (PrePrepare) WireTag() byte { return tagPrePrepare }
func (Prepare) WireTag() byte    { return tagPrepare }
func (Commit) WireTag() byte     { return tagCommit }
func (ViewChange) WireTag() byte { return tagViewChange }
func (NewView) WireTag() byte    { return tagNewView }
func (Ask) WireTag() byte        { return tagAsk }
func (Decision) WireTag() byte   { return tagDecision }

// AppendWire appends sequence number, proposal, signature.
func (m PrePrepare) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Seq))
	dst = types.AppendProposal(dst, m.Proposal)
	return types.AppendBytes(dst, m.Sig)
}

// AppendWire appends view, sequence number, digest, signature.
func (m Prepare) AppendWire(dst []byte) []byte {
	return types.AppendBytes(appendVote(dst, m.View, m.Seq, m.Digest), m.Sig)
}

// AppendWire appends view, sequence number, digest.
func (m Commit) AppendWire(dst []byte) []byte { return appendVote(dst, m.View, m.Seq, m.Digest) }

// AppendWire appends view, certificates, signature.
func (m ViewChange) AppendWire(dst []byte) []byte {
	return types.AppendBytes(m.appendSigned(dst), m.Sig)
}

// AppendWire appends view, then signer and view change of each.
func (m NewView) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.View))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m.Changes)))
	for _, c := range m.Changes {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(c.Signer))
		dst = c.ViewChange.AppendWire(dst)
	}
	return dst
}

// AppendWire appends the slots.
func (m Ask) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m.Slots)))
	for _, seq := range m.Slots {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(seq))
	}
	return dst
}

// AppendWire appends sequence number, proposal.
func (m Decision) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Seq))
	return types.AppendProposal(dst, m.Proposal)
}

func appendVote(dst []byte, v types.View, seq types.SeqNr, d types.Digest) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(seq))
	return append(dst, d[:]...)
}

// appendSigned appends what Sig is over, apart from the segment's identity.
func (m ViewChange) appendSigned(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.View))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m.Prepared)))
	for _, p := range m.Prepared {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Seq))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(p.View))
		dst = types.AppendProposal(dst, p.Proposal)
		dst = types.AppendSigs(dst, p.Sigs)
	}
	return dst
}

// RegisterMessages makes a codec understand this package's messages.
func RegisterMessages(c *types.Codec) {
	c.Register(tagPrePrepare, func(r *types.Reader) (mir.Message, error) {
		return PrePrepare{Seq: types.SeqNr(r.U64()), Proposal: types.ReadProposal(r), Sig: r.Bytes(types.SignatureBytes)}, nil
	})
	c.Register(tagPrepare, func(r *types.Reader) (mir.Message, error) {
		m := Prepare{View: types.View(r.U32()), Seq: types.SeqNr(r.U64()), Digest: r.Digest()}
		m.Sig = r.Bytes(types.SignatureBytes)
		return m, nil
	})
	c.Register(tagCommit, func(r *types.Reader) (mir.Message, error) {
		return Commit{View: types.View(r.U32()), Seq: types.SeqNr(r.U64()), Digest: r.Digest()}, nil
	})
	c.Register(tagViewChange, func(r *types.Reader) (mir.Message, error) { return readViewChange(r), nil })
	c.Register(tagNewView, func(r *types.Reader) (mir.Message, error) { return readNewView(r), nil })
	c.Register(tagAsk, func(r *types.Reader) (mir.Message, error) { return readAsk(r), nil })
	c.Register(tagDecision, func(r *types.Reader) (mir.Message, error) {
		return Decision{Seq: types.SeqNr(r.U64()), Proposal: types.ReadProposal(r)}, nil
	})
}

func readAsk(r *types.Reader) (m Ask) {
	for range r.Count(resendSlotsMax, 8) {
		m.Slots = append(m.Slots, types.SeqNr(r.U64()))
	}
	return m
}

func readViewChange(r *types.Reader) ViewChange {
	m := ViewChange{View: types.View(r.U32())}
	if n := r.Count(MaxSlots, minPreparedBytes); n > 0 {
		m.Prepared = make([]Prepared, n)
	}
	for i := range m.Prepared {
		m.Prepared[i] = Prepared{
			Seq: types.SeqNr(r.U64()), View: types.View(r.U32()),
			Proposal: types.ReadProposal(r), Sigs: types.ReadSigs(r),
		}
	}
	m.Sig = r.Bytes(types.SignatureBytes)
	return m
}

func readNewView(r *types.Reader) NewView {
	m := NewView{View: types.View(r.U32())}
	if n := r.Count(types.MaxReplicas, minChangeBytes); n > 0 {
		m.Changes = make([]SignedChange, n)
	}
	for i := range m.Changes {
		m.Changes[i] = SignedChange{Signer: types.NodeID(r.U32()), ViewChange: readViewChange(r)}
	}
	return m
}
