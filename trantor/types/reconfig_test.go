package types

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func sampleReconfig() Reconfig {
	return Reconfig{Voter: 2, No: 7, Change: Member{Node: 4, Weight: 3, Key: bytes.Repeat([]byte{5}, KeyBytes), Addr: "h:1"}, Sig: []byte{9}}
}

// header has a configuration for three epochs, a change of one member and a new
// one, and the next change.
func sampleHeader(t testing.TB) SnapshotHeader {
	h := SnapshotHeader{Epoch: 6, Next: 70}
	config := EqualConfiguration(4)
	for i, changes := range [][]Member{nil, nil, nil, {{Node: 1, Weight: 5}, sampleReconfig().Change}, nil, {{Node: 0}}} {
		for _, m := range changes {
			var err error
			if config, err = config.With(m); err != nil {
				t.Fatal(err)
			}
		}
		members, err := config.Quorums()
		if err != nil {
			t.Fatal(err)
		}
		h.Configs = append(h.Configs, EpochConfig{Epoch: 7 + Epoch(i), Config: config, Members: members})
	}
	return h
}

func TestReconfigKeepsItsFields(t *testing.T) {
	want := sampleReconfig()
	got, err := DecodeReconfig(want.Encode())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, error %v, want %+v", got, err, want)
	}
	result := ReconfigResult{Status: ReconfigApplied, Epoch: 9}
	if got, err := DecodeReconfigResult(result.Encode()); err != nil || got != result {
		t.Errorf("%+v, error %v, want %+v", got, err, result)
	}
	if _, err := DecodeReconfigResult([]byte{7, 0, 0, 0, 0, 0, 0, 0, 0}); err == nil {
		t.Error("an unknown status was decoded")
	}
}

func TestSnapshotHeaderKeepsItsConfigurations(t *testing.T) {
	want := sampleHeader(t)
	r := NewReader(want.AppendWire(nil))
	got := ReadSnapshotHeader(r)
	if err := r.Close(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, error %v, want %+v", got, err, want)
	}
}

// A run of equal configurations costs what one does.
func TestEqualConfigurationsAreWrittenOnce(t *testing.T) {
	one, many := SnapshotHeader{}, SnapshotHeader{}
	config, members := EqualConfiguration(4), sampleHeader(t).Configs[0].Members
	for i := range 100 {
		many.Configs = append(many.Configs, EpochConfig{Epoch: 1 + Epoch(i), Config: config, Members: members})
	}
	one.Configs = many.Configs[:1]
	if a, b := len(one.AppendWire(nil)), len(many.AppendWire(nil)); a != b {
		t.Errorf("%d bytes for one epoch, %d for 100", a, b)
	}
}

// The limits say that a header fits the first chunk.
func TestLargestHeaderFitsAChunk(t *testing.T) {
	key, addr := bytes.Repeat([]byte{1}, KeyBytes), strings.Repeat("a", AddrBytesMax)
	var h SnapshotHeader
	var c Configuration
	for i := range MaxReplicas {
		c.Members = append(c.Members, Member{Node: NodeID(i), Weight: 1, Key: key, Addr: addr})
	}
	h.Configs = append(h.Configs, EpochConfig{Config: c})
	for i := range ConfigChangesMax {
		changed, err := c.With(Member{Node: NodeID(i), Weight: 2, Key: key, Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		c = changed
		h.Configs = append(h.Configs, EpochConfig{Config: c})
	}
	if got := len(h.AppendWire(nil)); got > SnapshotChunkBytes {
		t.Errorf("%d bytes, a chunk has %d", got, SnapshotChunkBytes)
	}
}

func TestImpossibleChangesAreRefused(t *testing.T) {
	config := EqualConfiguration(1)
	for want, m := range map[string]Member{
		"no gaps":       {Node: 2, Weight: 1},
		"never changes": {Node: 0, Weight: 1, Key: make([]byte, KeyBytes)},
		"at least one":  {Node: 0},
		"weight":        {Node: 0, Weight: WeightMax + 1},
		"key of":        {Node: 1, Weight: 1, Key: []byte{1}},
		"address":       {Node: 1, Weight: 1, Addr: strings.Repeat("a", AddrBytesMax+1)},
		"limit 1023":    {Node: MaxReplicas, Weight: 1},
	} {
		if _, err := config.With(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", m, err, want)
		}
	}
	if len(config.Members) != 1 || config.Members[0].Weight != 1 {
		t.Errorf("a refused change left %+v", config)
	}
}

func FuzzDecodeReconfig(f *testing.F) {
	f.Add(sampleReconfig().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeReconfig(b); err == nil && !bytes.Equal(r.Encode(), b) {
			t.Errorf("%x decodes to %+v, which encodes to %x", b, r, r.Encode())
		}
	})
}

func FuzzReadSnapshotHeader(f *testing.F) {
	f.Add(sampleHeader(f).AppendWire(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		h := ReadSnapshotHeader(r)
		if r.Close() == nil && !bytes.Equal(h.AppendWire(nil), b) {
			t.Errorf("%x reads as %+v, which is written %x", b, h, h.AppendWire(nil))
		}
	})
}
