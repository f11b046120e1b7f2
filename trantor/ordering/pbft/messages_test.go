package pbft

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

func examples(t testing.TB) (*types.Codec, []mir.Message) {
	codec := &types.Codec{}
	RegisterMessages(codec)
	g := newGroup(nil, 4, 2)
	cert := g.prepared(1, 4, value(3), 0, 1, 2)
	return codec, []mir.Message{
		g.preprepare(0, 4, value(1)),
		g.prepare(1, 2, 4, value(1)),
		Commit{View: 1, Seq: 4, Digest: digestOf(value(1))},
		g.change(1, 2, cert),
		NewView{View: 2, Changes: []SignedChange{g.shown(1, 2, cert), g.shown(3, 2)}, Proofs: []Proof{cert.Proof}},
		Ask{Slots: []types.SeqNr{0, 4}},
		Decision{Seq: 4, Proposal: value(2)},
	}
}

func TestMessagesSurviveTheWire(t *testing.T) {
	codec, msgs := examples(t)
	for _, m := range msgs {
		b, err := codec.Encode(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := codec.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := codec.Encode(nil, got)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, b) || reflect.TypeOf(got) != reflect.TypeOf(m) {
			t.Errorf("%s became %+v", m.EventName(), got)
		}
		for cut := range b {
			if _, err := codec.Decode(b[:cut]); err == nil {
				t.Errorf("%s: %d of %d bytes were accepted", m.EventName(), cut, len(b))
			}
		}
	}
}

// The arithmetic of the package's documentation, to the byte.
func TestNoNewViewIsLargerThanTheBound(t *testing.T) {
	for _, at := range []struct{ members, slots, certs int }{{1, 1, 1}, {4, 43, 64}, {32, 47, 64}, {128, 48, 56}} {
		sigs := make([]types.Signature, at.members)
		for id := range sigs {
			sigs[id] = types.Signature{Signer: types.NodeID(id), Sig: make([]byte, types.SignatureBytes)}
		}
		full := types.Proposal{Certs: make([]types.Certificate, at.certs)}
		for c := range full.Certs {
			full.Certs[c].Sigs = sigs
		}
		change := ViewChange{View: 1, Prepared: make([]Prepared, at.slots), Sig: make([]byte, types.SignatureBytes)}
		m := NewView{View: 1}
		for seq := range change.Prepared {
			change.Prepared[seq].Seq = types.SeqNr(seq)
			m.Proofs = append(m.Proofs, Proof{Proposal: full, Sigs: sigs})
		}
		for id := range at.members {
			m.Changes = append(m.Changes, SignedChange{types.NodeID(id), change})
		}
		codec, _ := examples(t)
		b, err := codec.Encode(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if want := NewViewBytesMax(at.members, at.slots, at.certs); len(b) != want || want > types.MaxMessageBytes {
			t.Errorf("%+v: %d bytes, want %d, and %d at most", at, len(b), want, types.MaxMessageBytes)
		}
		if back, err := codec.Decode(b); err != nil || len(back.(NewView).Proofs) != at.slots {
			t.Errorf("%+v: it does not come back: %v", at, err)
		}
		change.Proofs = m.Proofs
		if got := len(change.AppendWire(nil)); got > len(b) {
			t.Errorf("%+v: a view change of %d bytes is larger", at, got)
		}
	}
}

// Whatever decodes is encoded to the same bytes, and applying it to an instance
// does not panic.
func FuzzMessages(f *testing.F) {
	codec, msgs := examples(f)
	for _, m := range msgs {
		b, err := codec.Encode(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := codec.Decode(b)
		if err != nil {
			return
		}
		again, err := codec.Encode(nil, m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x decodes to %+v, which encodes to %x, error %v", b, m, again, err)
		}
		g := newGroup(t, 4, 2)
		for from := range g.nodes {
			g.receive(3, types.NodeID(from), m)
		}
	})
}
