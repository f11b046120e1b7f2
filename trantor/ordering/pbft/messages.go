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
	preparedBytes  = 8 + 4 + 32    // seq, view, digest: always
	minProofBytes  = 1 + 4         // skipped proposal, no signatures
	minChangeBytes = 4 + 4 + 4 + 4 // signer, view, empty list, no signature
)

// NewViewBytesMax is the size of the largest message of an instance, which is a
// NEW-VIEW: for that many members, slots of the segment and certificates in a
// proposal. Everybody shows a certificate for each slot, and every certificate, be
// it of a batch or of a proposal, has everybody's signature.
func NewViewBytesMax(members, slots, certs int) int {
	sigs := 4 + members*(4+4+types.SignatureBytes)
	proof := 1 + 4 + certs*(4+8+32+sigs) + sigs
	change := minChangeBytes + types.SignatureBytes + slots*preparedBytes
	return 1 + 4 + 4 + members*change + 4 + slots*proof
}

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

// Prepared says that its sender holds a prepared certificate for that digest.
type Prepared struct {
	Seq    types.SeqNr
	View   types.View
	Digest types.Digest
}

// Proof is what a Prepared says: the proposal with that digest, and prepare
// signatures of a quorum, sorted by signer without repetition.
type Proof struct {
	Proposal types.Proposal
	Sigs     []types.Signature
}

// ViewChange says that its sender has left all views below View for good.
// Prepared names its highest prepared certificate of each slot that has one,
// ascending without repetition, and Proofs has the proof of each. The signature
// is not over the proofs: they prove themselves.
type ViewChange struct {
	View     types.View
	Prepared []Prepared
	Sig      []byte
	Proofs   []Proof
}

// SignedChange is a view change and who signed it, as a NEW-VIEW shows it:
// without proofs.
type SignedChange struct {
	Signer types.NodeID
	ViewChange
}

// NewView starts View: its leader shows view changes of a quorum, sorted by
// signer without repetition, and for each slot for which one of them names a
// certificate, ascending, the proof of the one of the highest view.
type NewView struct {
	View    types.View
	Changes []SignedChange
	Proofs  []Proof
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

// AppendWire appends view, certificates, signature, and a proof for each of the
// certificates.
func (m ViewChange) AppendWire(dst []byte) []byte {
	dst = m.appendShown(dst)
	for _, p := range m.Proofs {
		dst = appendProof(dst, p)
	}
	return dst
}

// AppendWire appends view, then signer and view change of each, then the proofs.
func (m NewView) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.View))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m.Changes)))
	for _, c := range m.Changes {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(c.Signer))
		dst = c.appendShown(dst)
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m.Proofs)))
	for _, p := range m.Proofs {
		dst = appendProof(dst, p)
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
		dst = appendPrepared(dst, p)
	}
	return dst
}

// appendShown appends what a NEW-VIEW shows of a view change.
func (m ViewChange) appendShown(dst []byte) []byte {
	return types.AppendBytes(m.appendSigned(dst), m.Sig)
}

func appendPrepared(dst []byte, p Prepared) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Seq))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(p.View))
	return append(dst, p.Digest[:]...)
}

func appendProof(dst []byte, p Proof) []byte {
	return types.AppendSigs(types.AppendProposal(dst, p.Proposal), p.Sigs)
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
	m := readShown(r)
	m.Proofs = readProofs(r, len(m.Prepared))
	return m
}

func readShown(r *types.Reader) ViewChange {
	m := ViewChange{View: types.View(r.U32())}
	if n := r.Count(MaxSlots, preparedBytes); n > 0 {
		m.Prepared = make([]Prepared, n)
	}
	for i := range m.Prepared {
		m.Prepared[i] = Prepared{Seq: types.SeqNr(r.U64()), View: types.View(r.U32()), Digest: r.Digest()}
	}
	m.Sig = r.Bytes(types.SignatureBytes)
	return m
}

// readProofs reads n proofs, which the bytes left must have room for.
func readProofs(r *types.Reader, n int) []Proof {
	if n == 0 {
		return nil
	}
	if n*minProofBytes > r.Len() {
		r.Fail(types.ErrTruncated)
		return nil
	}
	proofs := make([]Proof, n)
	for i := range proofs {
		proofs[i] = readProof(r)
	}
	return proofs
}

func readProof(r *types.Reader) Proof {
	return Proof{Proposal: types.ReadProposal(r), Sigs: types.ReadSigs(r)}
}

func readNewView(r *types.Reader) NewView {
	m := NewView{View: types.View(r.U32())}
	if n := r.Count(types.MaxReplicas, minChangeBytes); n > 0 {
		m.Changes = make([]SignedChange, n)
	}
	for i := range m.Changes {
		m.Changes[i] = SignedChange{Signer: types.NodeID(r.U32()), ViewChange: readShown(r)}
	}
	m.Proofs = readProofs(r, r.Count(MaxSlots, minProofBytes))
	return m
}
