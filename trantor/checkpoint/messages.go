package checkpoint

import (
	"encoding/binary"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Wire tags 40 to 49 belong to this package.
const (
	tagVote        = 40
	tagCertificate = 41
	tagAsk         = 42
	tagProof       = 43
)

// Vote says that Digest is its sender's state at the end of Epoch.
type Vote struct {
	Epoch  types.Epoch
	Digest types.Digest
	Sig    []byte
}

// Certificate shows a stable checkpoint to a replica that is behind it.
type Certificate struct {
	Epoch  types.Epoch
	Digest types.Digest
	Sigs   []types.Signature
}

// Ask is for a later checkpoint. All epochs below Next are stable for the sender,
// and it knows the members of the epochs up to Known.
type Ask struct{ Next, Known types.Epoch }

// Proof shows a stable checkpoint and how its snapshot begins: who the members
// of the following epochs are.
type Proof struct {
	Checkpoint Certificate
	Bytes      uint64         // The whole snapshot's.
	Chunks     []types.Digest // Of the whole snapshot.
	First      []byte         // The first chunk.
}

func (Vote) EventName() string        { return "checkpoint.Vote" }
func (Certificate) EventName() string { return "checkpoint.Certificate" }
func (Ask) EventName() string         { return "checkpoint.Ask" }
func (Proof) EventName() string       { return "checkpoint.Proof" }

// WireTag implements types.WireMessage, as AppendWire does.
func (Vote) WireTag() byte        { return tagVote }
func (Certificate) WireTag() byte { return tagCertificate }
func (Ask) WireTag() byte         { return tagAsk }
func (Proof) WireTag() byte       { return tagProof }

// AppendWire appends epoch, digest, signature.
func (m Vote) AppendWire(dst []byte) []byte {
	return types.AppendBytes(appendStatement(dst, m.Epoch, m.Digest), m.Sig)
}

// AppendWire appends epoch, digest, signatures.
func (m Certificate) AppendWire(dst []byte) []byte {
	return types.AppendSigs(appendStatement(dst, m.Epoch, m.Digest), m.Sigs)
}

// AppendWire appends the two epochs.
func (m Ask) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Next))
	return binary.LittleEndian.AppendUint64(dst, uint64(m.Known))
}

// AppendWire appends the certificate, the size, the digests, the first chunk.
func (m Proof) AppendWire(dst []byte) []byte {
	dst = m.Checkpoint.AppendWire(dst)
	dst = binary.LittleEndian.AppendUint64(dst, m.Bytes)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m.Chunks)))
	for _, d := range m.Chunks {
		dst = append(dst, d[:]...)
	}
	return types.AppendBytes(dst, m.First)
}

// Statement is what a vote signs.
func Statement(e types.Epoch, d types.Digest) []byte { return appendStatement(nil, e, d) }

func appendStatement(dst []byte, e types.Epoch, d types.Digest) []byte {
	return append(binary.LittleEndian.AppendUint64(dst, uint64(e)), d[:]...)
}

func readCertificate(r *types.Reader) Certificate {
	return Certificate{Epoch: types.Epoch(r.U64()), Digest: r.Digest(), Sigs: types.ReadSigs(r)}
}

func readProof(r *types.Reader) Proof {
	p := Proof{Checkpoint: readCertificate(r), Bytes: r.U64()}
	p.Chunks = make([]types.Digest, r.Count(types.SnapshotChunksMax, len(types.Digest{})))
	for i := range p.Chunks {
		p.Chunks[i] = r.Digest()
	}
	p.First = r.Bytes(types.SnapshotChunkBytes)
	return p
}

// RegisterMessages makes a codec understand this package's messages.
func RegisterMessages(c *types.Codec) {
	c.Register(tagVote, func(r *types.Reader) (mir.Message, error) {
		return Vote{Epoch: types.Epoch(r.U64()), Digest: r.Digest(), Sig: r.Bytes(types.SignatureBytes)}, nil
	})
	c.Register(tagCertificate, func(r *types.Reader) (mir.Message, error) { return readCertificate(r), nil })
	c.Register(tagAsk, func(r *types.Reader) (mir.Message, error) {
		return Ask{Next: types.Epoch(r.U64()), Known: types.Epoch(r.U64())}, nil
	})
	c.Register(tagProof, func(r *types.Reader) (mir.Message, error) { return readProof(r), nil })
}
