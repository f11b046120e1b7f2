package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/perfgate/perfgate/trantor/types"
)

func TestRecordsAreWhatTheGroupsLeft(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := newWorkload(1, 60, 3000) // More than the memory table holds.
	s := mustOpen(t, vfs.NewMem())
	fs := s.fs
	for n, group := range w.groups {
		if err := s.Commit(group...); err != nil {
			t.Fatal(err)
		}
		if records, err := s.Records(); err != nil || w.holds(records) != n+1 {
			t.Fatalf("after group %d the records are others, or %v", n+1, err)
		}
	}
	for range 3 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, fs)
		if records, err := s.Records(); err != nil || w.holds(records) != len(w.groups) {
			t.Fatalf("opened again the records are others, or %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAStoreThatMustExistIsNotMade(t *testing.T) {
	dir := t.TempDir()
	for _, at := range []string{dir, dir + "/absent"} {
		if _, err := Open(Options{Dir: at, Identity: owner, Existing: true}); !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), at) {
			t.Errorf("%s: error %v, want ErrAbsent", at, err)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("made %v (%v)", names, err)
	}
	for _, existing := range []bool{false, true} {
		s, err := Open(Options{Dir: dir, Identity: owner, Existing: existing})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestItWorksInAnOrdinaryDirectory(t *testing.T) {
	opts := Options{Dir: t.TempDir() + "/new/store", Identity: owner}
	w := newWorkload(2, 5, 100)
	for n := range w.groups {
		s, err := Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(w.groups[n]...); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(opts); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), opts.Dir) {
			t.Errorf("opened twice: error %v, want ErrInUse", err)
		}
		if records, err := s.Records(); err != nil || w.holds(records) != n+1 {
			t.Errorf("after group %d the records are others, or %v", n+1, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACrashBetweenTwoGroupsLosesNothing(t *testing.T) {
	w := newWorkload(3, 40, 3000)
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, fs)
	defer s.Close()
	for n, group := range w.groups {
		if err := s.Commit(group...); err != nil {
			t.Fatal(err)
		}
		for _, percent := range []int{0, 50} {
			crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(n), 0))})
			if records, err := readBack(crashed); err != nil || w.holds(records) != n+1 {
				t.Errorf("crash after group %d, %d %% of what was not synced is there: records of group %d, %v",
					n+1, percent, w.holds(records), err)
			}
		}
	}
}

// crasher crashes a file system at every operation that changes it: it keeps a
// copy as it would be found, and how many groups were durable by then.
type crasher struct {
	fs      *vfs.MemFS
	durable atomic.Int64

	mu     sync.Mutex
	rng    *rand.Rand
	images []image
}

type image struct {
	fs            *vfs.MemFS
	op            string
	percent       int   // Of what was not synced, drawn piece by piece, that is there.
	before, after int64 // Groups that were durable before and after the copy was made.
}

func (c *crasher) String() string { return "crasher" }

// MaybeError implements errorfs.Injector.
func (c *crasher) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	im := image{op: fmt.Sprintf("operation %d on %s", op.Kind, op.Path), percent: 50 * c.rng.IntN(3)}
	im.before = c.durable.Load()
	im.fs = c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: im.percent, RNG: c.rng})
	im.after = c.durable.Load()
	c.images = append(c.images, im)
	return nil
}

// reuser keeps the one operation of a MemFS that takes its lock twice apart from
// the copying, which would wait between the two for ever.
type reuser struct {
	vfs.FS
	c *crasher
}

// ReuseForWrite implements vfs.FS.
func (r reuser) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.FS.ReuseForWrite(from, to, category)
}

// TestACrashAtAnyOperationKeepsWhatIsDurableAndNoHalfOfAGroup: where any part of
// what was not synced may be there, a directory's entries included, Pebble may
// find a marker without the file that it names, and does not open. File systems
// that keep the order of changes to a directory do not do that.
func TestACrashAtAnyOperationKeepsWhatIsDurableAndNoHalfOfAGroup(t *testing.T) {
	w := newWorkload(4, 25, 6000)
	c := &crasher{fs: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(4, 0))}
	s := mustOpen(t, c.fs)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, errorfs.Wrap(reuser{c.fs, c}, c))
	for _, group := range w.groups {
		if err := s.Commit(group...); err != nil {
			t.Fatal(err)
		}
		c.durable.Add(1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i, im := range c.images {
		records, err := readBack(im.fs)
		if err != nil && im.percent == 50 {
			continue
		}
		n := int64(w.holds(records))
		if err != nil || n < im.before || n > im.after+1 {
			t.Errorf("crash %d, %s, %d %% of what was not synced: the records of group %d, and %d were durable; error %v",
				i, im.op, im.percent, n, im.before, err)
		}
	}
	if len(c.images) < 3*len(w.groups) {
		t.Errorf("only %d operations", len(c.images))
	}
}

func TestADirectoryOfOthersIsRefusedAndNamed(t *testing.T) {
	whole := func() files {
		fs := vfs.NewMem()
		s := mustOpen(t, fs)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return readFiles(t, fs)
	}
	mine := whole()
	newer := strings.Replace(string(mine[identityName]), "store 1", "store 2\nunknown", 1)
	stranger := files{"notes.txt": []byte("mine")}
	bare := whole()
	delete(bare, identityName)
	for _, tc := range []struct {
		name, says string
		fs         vfs.FS
		owner      Identity
	}{
		{"another replica", "replica 3 of system \"test\"", mine.with(t, "", nil), Identity{System: "test", Replica: 4}},
		{"another system", "replica 3 of system \"test\"", mine.with(t, "", nil), Identity{System: "tset", Replica: 3}},
		{"a newer format", "format 2", mine.with(t, identityName, []byte(newer)), owner},
		{"somebody's files", "notes.txt", stranger.with(t, "", nil), owner},
		{"a database without an identity", "is not empty", bare.with(t, "", nil), owner},
	} {
		_, err := Open(Options{Dir: dir, Identity: tc.owner, fs: tc.fs})
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error %v, want ErrForeign with the directory and %q", tc.name, err, tc.says)
		}
	}
	for _, system := range []string{"", "a\nb", strings.Repeat("x", 256)} {
		if _, err := Open(Options{Dir: dir, Identity: Identity{System: system}, fs: vfs.NewMem()}); err == nil {
			t.Errorf("system ID %q was accepted", system)
		}
	}
}

func TestRecordsThatAreNoModulesPanic(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	defer s.Close()
	for name, p := range map[string]types.Persist{
		"no key":         {Puts: []types.Record{{}}},
		"the header":     {Puts: []types.Record{{Key: headerKey}}},
		"from the start": {Deletes: []types.KeyRange{{To: []byte("z")}}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			_ = s.Commit(p)
		}()
	}
}
