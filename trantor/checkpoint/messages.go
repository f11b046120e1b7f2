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

func (Vote) EventName() string        { return "checkpoint.Vote" }
func (Certificate) EventName() string { return "checkpoint.Certificate" }

// WireTag implements types.WireMessage, as AppendWire does.
func (Vote) WireTag() byte        { return tagVote }
func (Certificate) WireTag() byte { return tagCertificate }

// AppendWire appends epoch, digest, signature.
func (m Vote) AppendWire(dst []byte) []byte {
	return types.AppendBytes(appendStatement(dst, m.Epoch, m.Digest), m.Sig)
}

// AppendWire appends epoch, digest, signatures.
func (m Certificate) AppendWire(dst []byte) []byte {
	return types.AppendSigs(appendStatement(dst, m.Epoch, m.Digest), m.Sigs)
}

// Statement is what a vote signs.
func Statement(e types.Epoch, d types.Digest) []byte { return appendStatement(nil, e, d) }

func appendStatement(dst []byte, e types.Epoch, d types.Digest) []byte {
	return append(binary.LittleEndian.AppendUint64(dst, uint64(e)), d[:]...)
}

// RegisterMessages makes a codec understand this package's messages.
func RegisterMessages(c *types.Codec) {
	c.Register(tagVote, func(r *types.Reader) (mir.Message, error) {
		return Vote{Epoch: types.Epoch(r.U64()), Digest: r.Digest(), Sig: r.Bytes(types.SignatureBytes)}, nil
	})
	c.Register(tagCertificate, func(r *types.Reader) (mir.Message, error) {
		return Certificate{Epoch: types.Epoch(r.U64()), Digest: r.Digest(), Sigs: types.ReadSigs(r)}, nil
	})
}
