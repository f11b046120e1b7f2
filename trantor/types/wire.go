package types

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/perfgate/perfgate/mir"
)

// WireMessage is a message with a place in the wire format: one tag byte, then
// what AppendWire appends.
type WireMessage interface {
	mir.Message
	WireTag() byte
	AppendWire(dst []byte) []byte
}

// Codec is the wire format: a table of decoders by tag. Each module registers
// its own messages when the replica is wired. It implements mir.Codec.
type Codec struct {
	decoders [256]func(*Reader) (mir.Message, error)
}

// Register adds a decoder; two for one tag are a wiring error and panic. The
// codec itself checks Reader.Err and that no byte is left over.
func (c *Codec) Register(tag byte, decode func(*Reader) (mir.Message, error)) {
	if c.decoders[tag] != nil {
		panic(fmt.Sprintf("types: two messages with wire tag %d", tag))
	}
	c.decoders[tag] = decode
}

// Encode appends m to dst.
func (c *Codec) Encode(dst []byte, m mir.Message) ([]byte, error) {
	w, ok := m.(WireMessage)
	if !ok {
		return dst, fmt.Errorf("encoding %s: it is no wire message", m.EventName())
	}
	return w.AppendWire(append(dst, w.WireTag())), nil
}

// Decode reads one message that fills b exactly. Byte slices in the result are
// copies: the caller may reuse b.
func (c *Codec) Decode(b []byte) (mir.Message, error) {
	if len(b) == 0 {
		return nil, errors.New("decoding message: empty")
	}
	decode := c.decoders[b[0]]
	if decode == nil {
		return nil, fmt.Errorf("decoding message: unknown tag %d", b[0])
	}
	r := &Reader{b: b[1:]}
	m, err := decode(r)
	if err == nil {
		err = r.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("decoding message with tag %d: %w", b[0], err)
	}
	return m, nil
}

// ErrTruncated says that a message ended before its last field.
var ErrTruncated = errors.New("truncated")

// Reader takes fields off a byte slice. After the first failure every read
// returns zero and Err keeps the reason.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err is the first failure, or nil.
func (r *Reader) Err() error { return r.err }

// Len is the number of bytes left.
func (r *Reader) Len() int { return len(r.b) }

// Close reports the first failure, or bytes left over.
func (r *Reader) Close() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes left over", len(r.b))
	}
	return r.err
}

// Fail records err as the first failure.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *Reader) take(n int) []byte {
	if r.err != nil || n > len(r.b) {
		r.Fail(ErrTruncated)
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// U8, U16, U32 and U64 read little-endian integers.
func (r *Reader) U8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *Reader) U16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *Reader) U32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *Reader) U64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Digest reads 32 bytes.
func (r *Reader) Digest() (d Digest) {
	copy(d[:], r.take(len(d)))
	return d
}

// Bytes reads a 32-bit length and that many bytes, copied. More than limit is
// a failure.
func (r *Reader) Bytes(limit int) []byte {
	n := r.U32()
	if uint64(n) > uint64(limit) {
		r.Fail(fmt.Errorf("field of %d bytes, limit %d", n, limit))
		return nil
	}
	return append([]byte(nil), r.take(int(n))...)
}

// Count reads a 32-bit element count and checks it against limit and against
// the bytes left, each element needing at least minBytes, so that a forged
// count cannot make the caller allocate more than the message justifies.
func (r *Reader) Count(limit, minBytes int) int {
	n := r.U32()
	if uint64(n) > uint64(limit) || uint64(n)*uint64(minBytes) > uint64(len(r.b)) {
		r.Fail(fmt.Errorf("%d elements in %d bytes, limit %d", n, len(r.b), limit))
		return 0
	}
	return int(n)
}

// AppendBytes appends a 32-bit length and b, the reverse of Reader.Bytes.
func AppendBytes(dst, b []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b)))
	return append(dst, b...)
}

// Limits of what is accepted from a peer.
const (
	MaxMessageBytes  = 32 << 20       // one encoded message: what the network carries
	MaxReplicas      = 1024           // signatures per certificate at most
	SignatureBytes   = 64             // Ed25519
	MaxBatchBytes    = 8 << 20        // one encoded batch
	MaxBatchTxs      = 1 << 16        // transactions per batch
	MaxCertsPerSlot  = 1 << 10        // certificates per proposal
	minSigWireBytes  = 4 + 4          // signer, length
	minCertWireBytes = 4 + 8 + 32 + 4 // creator, number, digest, signature count
)

// AppendSigs appends a list of signatures; ReadSigs is its reverse.
func AppendSigs(dst []byte, sigs []Signature) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(sigs)))
	for _, s := range sigs {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(s.Signer))
		dst = AppendBytes(dst, s.Sig)
	}
	return dst
}

// ReadSigs reads what AppendSigs wrote. Order and repetition are not checked
// here: a certificate is checked by whoever verifies it.
func ReadSigs(r *Reader) []Signature {
	n := r.Count(MaxReplicas, minSigWireBytes)
	sigs := make([]Signature, n)
	for i := range sigs {
		sigs[i].Signer = NodeID(r.U32())
		sigs[i].Sig = r.Bytes(SignatureBytes)
	}
	return sigs
}

// AppendProposal appends p; ReadProposal is its reverse. The encoding is also
// what a proposal's digest is taken over: one byte that says whether the leader
// skipped the slot, and if not, the certificates.
func AppendProposal(dst []byte, p Proposal) []byte {
	if p.Skip {
		return append(dst, 1)
	}
	dst = append(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.Certs)))
	for _, c := range p.Certs {
		dst = AppendCert(dst, c)
	}
	return dst
}

// ReadProposal reads what AppendProposal wrote.
func ReadProposal(r *Reader) Proposal {
	switch skip := r.U8(); skip {
	case 0:
	case 1:
		return Proposal{Skip: true}
	default:
		r.Fail(fmt.Errorf("proposal of kind %d", skip))
	}
	n := r.Count(MaxCertsPerSlot, minCertWireBytes)
	if n == 0 {
		return Proposal{}
	}
	p := Proposal{Certs: make([]Certificate, n)}
	for i := range p.Certs {
		p.Certs[i] = ReadCert(r)
	}
	return p
}

// AppendCert appends c; ReadCert is its reverse.
func AppendCert(dst []byte, c Certificate) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(c.Creator))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.No))
	dst = append(dst, c.Batch[:]...)
	return AppendSigs(dst, c.Sigs)
}

// ReadCert reads what AppendCert wrote.
func ReadCert(r *Reader) Certificate {
	return Certificate{Creator: NodeID(r.U32()), No: BatchNo(r.U64()), Batch: r.Digest(), Sigs: ReadSigs(r)}
}
