package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/store/simdisk"
	"github.com/perfgate/perfgate/trantor/types"
)

const dir = "replica"

var owner = Identity{System: "test", Replica: 3}

// openIn opens the store of owner in a file system.
func openIn(fs vfs.FS) (*Store, error) {
	return Open(Options{Dir: dir, Identity: owner, fs: fs, memTable: 64 << 10})
}

func mustOpen(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := openIn(fs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readBack opens a store, reads it and closes it.
func readBack(fs vfs.FS) ([]types.Record, error) {
	s, err := openIn(fs)
	if err != nil {
		return nil, err
	}
	records, err := s.Records()
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	return records, err
}

// workload is a sequence of groups and the records after each of them, which a
// simulated disk tells.
type workload struct {
	groups [][]types.Persist
	after  [][]types.Record // after[n] is what the first n groups leave.
}

// newWorkload draws n groups over few keys, with values of 1 to valueMax bytes.
func newWorkload(seed uint64, n, valueMax int) workload {
	rng := rand.New(rand.NewPCG(seed, 0))
	w := workload{after: [][]types.Record{nil}}
	model := simdisk.New(simdisk.Options{})
	module := model.Module(1, 2)
	for i := range n {
		// One record is different after each group, so that the records tell which.
		group := []types.Persist{{Puts: []types.Record{{Key: []byte("s"), Value: binary.BigEndian.AppendUint32(nil, uint32(i))}}}}
		module.Apply(mir.Event{To: 1, Body: group[0]}, &mir.Out{})
		for range 1 + rng.IntN(3) {
			p := drawPersist(rng, valueMax)
			module.Apply(mir.Event{To: 1, Body: p}, &mir.Out{})
			group = append(group, p)
		}
		w.groups = append(w.groups, group)
		w.after = append(w.after, model.Records())
	}
	return w
}

func drawPersist(rng *rand.Rand, valueMax int) types.Persist {
	key := func() []byte {
		return binary.BigEndian.AppendUint32([]byte{"aco"[rng.IntN(3)]}, rng.Uint32N(40))
	}
	var p types.Persist
	if rng.IntN(4) == 0 {
		p.Deletes = append(p.Deletes, types.KeyRange{From: key(), To: key()})
	}
	for range rng.IntN(4) {
		value := make([]byte, 1+rng.IntN(valueMax))
		for i := range value {
			value[i] = byte(rng.Uint32())
		}
		p.Puts = append(p.Puts, types.Record{Key: key(), Value: value})
	}
	return p
}

// holds tells after how many groups the records are these; -1 after none.
func (w workload) holds(records []types.Record) int {
	return slices.IndexFunc(w.after, func(after []types.Record) bool { return equalRecords(records, after) })
}

func equalRecords(a, b []types.Record) bool {
	return slices.EqualFunc(a, b, func(x, y types.Record) bool {
		return bytes.Equal(x.Key, y.Key) && bytes.Equal(x.Value, y.Value)
	})
}

// files are the contents of a directory.
type files map[string][]byte

// readFiles takes everything but the lock.
func readFiles(t *testing.T, fs vfs.FS) files {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := files{}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		f, err := fs.Open(fs.PathJoin(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, info.Size())
		if len(b) > 0 {
			if _, err := f.ReadAt(b, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	return all
}

// with is a file system with these files, of which one has another content.
func (all files) with(t *testing.T, name string, content []byte) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for have, b := range all {
		if have == name {
			b = content
		}
		// Under the race detector the file system of the tests spoils what a
		// caller passed to Write, to find those who use it again.
		if err := writeSynced(fs, fs.PathJoin(dir, have), bytes.Clone(b)); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// injector is a node as a module of the store sees it.
type injector struct {
	events chan mir.Event
	holds  chan int // +1 and -1.
	failed chan error
}

func newInjector() *injector {
	return &injector{events: make(chan mir.Event, 1024), holds: make(chan int, 16), failed: make(chan error, 16)}
}

func (i *injector) Inject(events ...mir.Event) error {
	for _, ev := range events {
		i.events <- ev
	}
	return nil
}

func (i *injector) HoldClients()              { i.holds <- +1 }
func (i *injector) ReleaseClients()           { i.holds <- -1 }
func (i *injector) Accepts(mir.ModuleID) bool { return false }
func (i *injector) Fail(err error)            { i.failed <- err }

// done is what the tests put into Then.
type done int

func (done) EventName() string { return "test.Done" }

// numbered is a Persist of one record whose Then says its number.
func numbered(n int) types.Persist {
	return types.Persist{
		Puts: []types.Record{{Key: fmt.Appendf(nil, "a%04d", n), Value: make([]byte, 100)}},
		Then: []mir.Event{{To: 1, Body: done(n)}},
	}
}
