package types

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/mir"
)

func sampleCert() Certificate {
	return Certificate{
		Creator: 2, No: 9, Batch: HashBatch([]byte("batch")),
		Sigs: []Signature{{Signer: 0, Sig: []byte("a")}, {Signer: 3, Sig: bytes.Repeat([]byte{7}, SignatureBytes)}},
	}
}

func TestProposalKeepsItsCertificates(t *testing.T) {
	for _, want := range []Proposal{{}, {Skip: true}, {Certs: []Certificate{sampleCert(), {Creator: 1, Sigs: []Signature{}}}}} {
		r := NewReader(AppendProposal(nil, want))
		got := ReadProposal(r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestForgedCountsAllocateNothing(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff}
	unbacked := []byte{0, 1, 0, 0} // 256: within every limit, but no byte follows
	for name, read := range map[string]func(*Reader) int{
		"signatures": func(r *Reader) int { return len(ReadSigs(r)) },
		"certificates": func(r *Reader) int {
			r.b = append([]byte{0}, r.b...)
			return len(ReadProposal(r).Certs)
		},
		"bytes": func(r *Reader) int { return len(r.Bytes(1 << 20)) },
		"count": func(r *Reader) int { return r.Count(1<<32-1, 1) },
	} {
		for _, b := range [][]byte{huge, unbacked} {
			r := NewReader(b)
			if n := read(r); n != 0 {
				t.Errorf("%s: %x gave %d elements", name, b, n)
			}
			if r.Err() == nil {
				t.Errorf("%s: %x was accepted", name, b)
			}
		}
	}
}

func TestReaderKeepsItsFirstFailure(t *testing.T) {
	r := NewReader([]byte{1, 2, 3})
	if got := r.U16(); got != 0x0201 {
		t.Errorf("U16 = %#x", got)
	}
	if r.U32() != 0 || r.Err() != ErrTruncated {
		t.Errorf("U32 over one byte: error %v, want ErrTruncated", r.Err())
	}
	if r.U8() != 0 || r.U64() != 0 || r.Digest() != (Digest{}) || r.Len() != 0 {
		t.Error("a failed reader still yields bytes")
	}
	if r.Close() != ErrTruncated {
		t.Errorf("Close = %v, want the first failure", r.Close())
	}
}

func TestReaderBytesHonoursItsLimitAndCopies(t *testing.T) {
	b := AppendBytes(nil, []byte("12345"))
	if r := NewReader(b); r.Bytes(4) != nil || r.Err() == nil {
		t.Error("a field over its limit was accepted")
	}
	got := NewReader(b).Bytes(5)
	b[4] = 'X'
	if string(got) != "12345" {
		t.Errorf("the field changed with its input: %q", got)
	}
}

type note struct{ text []byte }

func (note) EventName() string              { return "test.Note" }
func (note) WireTag() byte                  { return 1 }
func (n note) AppendWire(dst []byte) []byte { return AppendBytes(dst, n.text) }

type local struct{}

func (local) EventName() string { return "test.Local" }

func noteCodec() *Codec {
	c := &Codec{}
	c.Register(1, func(r *Reader) (mir.Message, error) { return note{text: r.Bytes(10)}, nil })
	return c
}

func TestCodecKeepsAMessage(t *testing.T) {
	c := noteCodec()
	b, err := c.Encode([]byte("prefix"), note{text: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Decode(bytes.TrimPrefix(b, []byte("prefix")))
	if err != nil {
		t.Fatal(err)
	}
	if string(m.(note).text) != "hello" {
		t.Errorf("got %v", m)
	}
}

func TestCodecRejects(t *testing.T) {
	c := noteCodec()
	if _, err := c.Encode(nil, local{}); err == nil {
		t.Error("a message without a wire format was encoded")
	}
	for want, b := range map[string][]byte{
		"empty":     {},
		"unknown":   {9, 1, 2},
		"truncated": {1, 5, 0, 0, 0, 'a'},
		"limit":     {1, 11, 0, 0, 0},
		"left over": {1, 0, 0, 0, 0, 'a'},
	} {
		if _, err := c.Decode(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("decoding %x: error %v, want one with %q", b, err, want)
		}
	}
}

func TestCodecPanicsOnASecondDecoderForATag(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	noteCodec().Register(1, func(*Reader) (mir.Message, error) { return nil, nil })
}

// fuzzRoundTrip: whatever reads completely encodes to the same bytes.
func fuzzRoundTrip(t *testing.T, b []byte, again func(*Reader) []byte) {
	r := NewReader(b)
	back := again(r)
	if r.Close() == nil && !bytes.Equal(back, b) {
		t.Errorf("%x reads and encodes to %x", b, back)
	}
}

func FuzzReadCert(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendCert(nil, Certificate{}))
	f.Add(AppendCert(nil, sampleCert()))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRoundTrip(t, b, func(r *Reader) []byte { return AppendCert(nil, ReadCert(r)) })
	})
}

func FuzzReadProposal(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendProposal(nil, Proposal{}))
	f.Add(AppendProposal(nil, Proposal{Certs: []Certificate{sampleCert(), sampleCert()}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRoundTrip(t, b, func(r *Reader) []byte { return AppendProposal(nil, ReadProposal(r)) })
	})
}

func FuzzReadWindow(f *testing.F) {
	w := NewWindow(100)
	w.Add(0)
	w.Add(5)
	w.Add(99)
	f.Add([]byte{})
	f.Add(w.AppendWire(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRoundTrip(t, b, func(r *Reader) []byte { return ReadWindow(r, 100).AppendWire(nil) })
	})
}
