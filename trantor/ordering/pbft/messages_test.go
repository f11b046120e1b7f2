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
	change := ViewChange{View: 2, Prepared: []Prepared{g.prepared(1, 4, value(3), 0, 1, 2)}, Sig: []byte{9}}
	return codec, []mir.Message{
		g.preprepare(0, 4, value(1)),
		g.prepare(1, 2, 4, value(1)),
		Commit{View: 1, Seq: 4, Digest: digestOf(value(1))},
		change,
		NewView{View: 2, Changes: []SignedChange{{1, change}, {3, ViewChange{View: 2, Sig: []byte{1}}}}},
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
