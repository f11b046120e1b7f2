package app

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

func apply(t *testing.T, kv *KV, c Command) string {
	t.Helper()
	r, err := DecodeResult(kv.Apply(types.Tx{Payload: c.Encode()}))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", r.Status, r.Value)
}

func TestKeyValueOperations(t *testing.T) {
	kv := NewKV()
	k := []byte("k")
	for i, step := range []struct {
		do   Command
		want string
	}{
		{Command{Op: Get, Key: k}, "1 "},
		{Command{Op: CAS, Key: k, Value: []byte("x")}, "1 "},
		{Command{Op: Put, Key: k, Value: []byte("a")}, "0 "},
		{Command{Op: Get, Key: k}, "0 a"},
		{Command{Op: CAS, Key: k, Value: []byte("b"), Old: []byte("z")}, "2 a"},
		{Command{Op: CAS, Key: k, Value: []byte("b"), Old: []byte("a")}, "0 "},
		{Command{Op: Get, Key: k}, "0 b"},
		{Command{Op: Delete, Key: k}, "0 "},
		{Command{Op: Delete, Key: k}, "1 "},
		{Command{Op: Put, Key: nil, Value: nil}, "0 "},
		{Command{Op: Get, Key: nil}, "0 "},
	} {
		if got := apply(t, kv, step.do); got != step.want {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}

func TestSenselessPayloadsAreInvalidAndChangeNothing(t *testing.T) {
	kv := NewKV()
	apply(t, kv, Command{Op: Put, Key: []byte("k"), Value: []byte("v")})
	before := kv.Hash()
	get := Command{Op: Get, Key: []byte("k")}.Encode()
	for name, payload := range map[string][]byte{
		"empty":             nil,
		"unknown operation": {9, 0, 0, 0, 0},
		"truncated":         get[:len(get)-1],
		"left over":         append(bytes.Clone(get), 0),
		"long key":          Command{Op: Put, Key: make([]byte, KeyBytesMax+1)}.Encode(),
	} {
		if got := kv.Apply(types.Tx{Payload: payload}); len(got) != 1 || Status(got[0]) != Invalid {
			t.Errorf("%s: result %x", name, got)
		}
	}
	if kv.Hash() != before {
		t.Error("an invalid command changed the state")
	}
}

// fill writes 100 keys, some of them twice, and removes some.
func fill(kv *KV) {
	for i := range 150 {
		kv.Apply(types.Tx{Payload: Command{Op: Put, Key: fmt.Append(nil, i%100), Value: fmt.Append(nil, i)}.Encode()})
	}
	for i := range 10 {
		kv.Apply(types.Tx{Payload: Command{Op: Delete, Key: fmt.Append(nil, 7*i)}.Encode()})
	}
}

func TestSnapshotOfEqualStatesIsEqual(t *testing.T) {
	a, b := NewKV(), NewKV()
	fill(a)
	for i := 99; i >= 0; i-- { // the same content by another path
		value, ok := a.values[fmt.Sprint(i)]
		if ok {
			apply(t, b, Command{Op: Put, Key: fmt.Append(nil, i), Value: value})
		}
	}
	if !bytes.Equal(a.Snapshot(), b.Snapshot()) || a.Hash() != b.Hash() {
		t.Error("equal states differ in their snapshots")
	}
	apply(t, b, Command{Op: Put, Key: []byte("1"), Value: []byte("other")})
	if a.Hash() == b.Hash() {
		t.Error("different states have one hash")
	}
}

func TestRestoreGivesTheStateBack(t *testing.T) {
	kv, chain := NewKV(), &Chain{}
	fill(kv)
	chain.Apply(types.Tx{Payload: []byte("x")})
	for _, pair := range [][2]Application{{kv, NewKV()}, {chain, &Chain{}}} {
		from, to := pair[0], pair[1]
		if err := to.Restore(from.Snapshot()); err != nil {
			t.Fatal(err)
		}
		tx := types.Tx{Payload: Command{Op: CAS, Key: []byte("1"), Value: []byte("v"), Old: []byte("101")}.Encode()}
		if a, b := from.Apply(tx), to.Apply(tx); !bytes.Equal(a, b) {
			t.Errorf("%T: results %x and %x after the restore", from, a, b)
		}
		if from.Hash() != to.Hash() {
			t.Errorf("%T: hashes differ after the restore", from)
		}
	}
}

func TestFailedRestoreKeepsTheState(t *testing.T) {
	kv := NewKV()
	fill(kv)
	before, good := kv.Hash(), kv.Snapshot()
	unsorted := NewKV()
	unsorted.values["b"], unsorted.values["a"] = nil, nil
	swapped := unsorted.Snapshot()
	swapped[8+4], swapped[8+4+1+4+4] = 'b', 'a'
	for name, b := range map[string][]byte{
		"empty":         nil,
		"truncated":     good[:len(good)-1],
		"left over":     append(bytes.Clone(good), 0),
		"forged count":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"unsorted keys": swapped,
	} {
		if kv.Restore(b) == nil {
			t.Errorf("%s: restored", name)
		}
	}
	if kv.Hash() != before {
		t.Error("a failed restore changed the state")
	}
	if (&Chain{}).Restore(nil) == nil {
		t.Error("a chain was restored from nothing")
	}
}

func TestChainDependsOnOrderAndIdentity(t *testing.T) {
	a := types.Tx{TxID: types.TxID{Client: 1, No: 2}, Payload: []byte("p")}
	b := types.Tx{TxID: types.TxID{Client: 2, No: 1}, Payload: []byte("p")}
	seen := map[types.Digest]bool{}
	for _, txs := range [][]types.Tx{{}, {a}, {b}, {a, b}, {b, a}} {
		c := &Chain{}
		for _, tx := range txs {
			c.Apply(tx)
		}
		seen[c.Hash()] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d different hashes of 5", len(seen))
	}
}

func FuzzDecodeCommand(f *testing.F) {
	f.Add([]byte{})
	f.Add(Command{Op: Put, Key: []byte("k"), Value: []byte("v")}.Encode())
	f.Add(Command{Op: CAS, Key: []byte("k"), Value: []byte("v"), Old: []byte("o")}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := DecodeCommand(b); err == nil && !bytes.Equal(c.Encode(), b) {
			t.Errorf("%x decodes and encodes to %x", b, c.Encode())
		}
		kv := NewKV()
		fill(kv)
		kv.Apply(types.Tx{Payload: b})
		if err := kv.Restore(b); err == nil && !bytes.Equal(kv.Snapshot(), b) {
			t.Errorf("%x restores and snapshots to %x", b, kv.Snapshot())
		}
	})
}
