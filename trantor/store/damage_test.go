package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/perfgate/perfgate/trantor/types"
)

// crashedStore is the directory of a store after a crash that followed the last
// of groups, with the log that was being written and where its last group begins.
func crashedStore(t *testing.T, w workload) (all files, log string, lastAt int) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, fs)
	defer s.Close()
	var before files
	for _, group := range w.groups {
		before = readFiles(t, fs.CrashClone(vfs.CrashCloneCfg{}))
		if err := s.Commit(group...); err != nil {
			t.Fatal(err)
		}
	}
	all = readFiles(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	for name, b := range all {
		if strings.HasSuffix(name, ".log") && !bytes.Equal(b, before[name]) {
			log = max(log, name) // The end of an older one may have changed too.
		}
	}
	if log == "" {
		t.Fatal("the last group is in no log")
	}
	was, is := before[log], all[log]
	for lastAt < min(len(was), len(is)) && was[lastAt] == is[lastAt] {
		lastAt++ // A log file may have been used before, and be longer than the log.
	}
	return all, log, lastAt
}

// places are up to n places in a file, spread evenly, with both ends.
func places(bytes, n int) (at []int) {
	step := max(1, bytes/n)
	for i := 0; i < bytes; i += step {
		at = append(at, i)
	}
	return append(at, bytes-1)
}

// wantNoticed flips bits of each file, one place at a time: the store does not
// open, or holds what it held. The allowed exception is one for each place.
func wantNoticed(t *testing.T, all files, w workload, perFile int, lostLast func(name string, at int) bool) {
	t.Helper()
	for name, b := range all {
		if len(b) == 0 {
			continue
		}
		noticed := 0
		for _, at := range places(len(b), perFile) {
			damaged := bytes.Clone(b)
			damaged[at] ^= 1 << (at % 8)
			records, err := readBack(all.with(t, name, damaged))
			if err != nil {
				noticed++
				continue
			}
			n := w.holds(records)
			if n != len(w.groups) && !(n == len(w.groups)-1 && lostLast(name, at)) {
				t.Errorf("%s with byte %d of %d damaged: opens with the records of group %d of %d",
					name, at, len(b), n, len(w.groups))
			}
		}
		t.Logf("%s: damage at %d of %d bytes, noticed %d times", name, len(places(len(b), perFile)), len(b), noticed)
	}
}

func TestDamageToAClosedStoreIsNoticedOrHarmless(t *testing.T) {
	w := newWorkload(5, 30, 3000)
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	for _, group := range w.groups {
		if err := s.Commit(group...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantNoticed(t, readFiles(t, fs), w, 30, func(string, int) bool { return false })
}

// TestDamageAfterACrashIsNoticedOrHarmlessButForTheLastGroup: damage to the last
// group of the log looks like a crash while it was being written.
func TestDamageAfterACrashIsNoticedOrHarmlessButForTheLastGroup(t *testing.T) {
	for _, valueMax := range []int{30, 3000} { // All in one block of the log, and groups across blocks.
		w := newWorkload(6, 12, valueMax)
		all, log, lastAt := crashedStore(t, w)
		wantNoticed(t, all, w, 35, func(name string, at int) bool { return name == log && at >= lastAt })
	}
}

func TestALogThatIsCutShortIsAnEarlierMomentAndNeverHalfAGroup(t *testing.T) {
	w := newWorkload(7, 8, 20)
	all, log, _ := crashedStore(t, w)
	var seen []int
	for size := range all[log] {
		records, err := readBack(all.with(t, log, all[log][:size]))
		if err != nil {
			continue
		}
		n := w.holds(records)
		if n < 0 || (len(seen) > 0 && n < seen[len(seen)-1]) {
			t.Fatalf("cut to %d of %d bytes: the records of group %d", size, len(all[log]), n)
		}
		seen = append(seen, n)
	}
	if seen = slices.Compact(seen); len(seen) != len(w.groups) {
		t.Errorf("the moments were those after groups %v, want every one before the last", seen)
	}
}

func TestTheLossOfAFileIsNoticedOrHarmless(t *testing.T) {
	w := newWorkload(8, 25, 3000)
	all, last, _ := crashedStore(t, w)
	for name := range all {
		if name == last {
			continue // Its loss is that of the last groups as a whole.
		}
		rest := files{}
		for other, b := range all {
			if other != name {
				rest[other] = b
			}
		}
		if records, err := readBack(rest.with(t, "", nil)); err == nil && w.holds(records) != len(w.groups) {
			t.Errorf("without %s it opens with the records of group %d", name, w.holds(records))
		}
	}
}

func TestAStateThatFellBackIsNoticed(t *testing.T) {
	w := newWorkload(9, 10, 100)
	fs := vfs.NewMem()
	var moments []files
	for _, groups := range [][][]types.Persist{w.groups[:5], w.groups[5:]} {
		s := mustOpen(t, fs)
		for _, group := range groups {
			if err := s.Commit(group...); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		moments = append(moments, readFiles(t, fs))
	}
	// The database of the earlier moment, with what the later one said of it.
	_, err := readBack(moments[0].with(t, identityName, moments[1][identityName]))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want ErrCorrupt with the directory", err)
	}
	if _, err := readBack(moments[0].with(t, "", nil)); err != nil {
		t.Errorf("the earlier moment by itself: %v", err)
	}
}

// TestWhatPebbleWroteOutCannotFallBack: once a memory table is in tables, its log
// is gone, so the file TRANTOR must say that these groups were there.
func TestWhatPebbleWroteOutCannotFallBack(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	defer s.Close()
	atOpen := s.identity.groups
	p := numbered(1)
	p.Puts[0].Value = make([]byte, 4<<10)
	for n := 0; s.identity.groups == atOpen; n++ {
		if err := s.Commit(p); err != nil {
			t.Fatal(err)
		}
		if n == 10_000 { // 40 MiB, over a memory table of 64 KiB.
			t.Fatal("the file was never written again")
		}
	}
	if id, found, err := readIdentity(fs, dir); err != nil || !found || id != s.identity || id.groups != s.content.groups {
		t.Errorf("the file says %+v, %v, and the store has %d groups", id, err, s.content.groups)
	}
}

// TestTheBeginningOfAGroupIsFoundWhereverItIs moves a group across the border of
// two blocks of the log, which then splits its mark. The first log of a store has
// chunks of an older kind than the others.
func TestTheBeginningOfAGroupIsFoundWhereverItIs(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		t.Run(fmt.Sprintf("reopened=%v", reopened), func(t *testing.T) {
			const least = 200
			_, _, bytes := logOfTwo(t, reopened, least)
			split := 0
			for back := 60; back >= 0; back-- {
				fs, s, begins := logOfTwo(t, reopened, least+logBlockBytes-back-bytes)
				if err := s.Commit(numbered(2)); err != nil {
					t.Fatal(err)
				}
				number, b := longestLog(t, fs)
				if end := soundLogBytes(b, number); end != len(b) {
					t.Errorf("%d bytes before the border: the log of %d bytes is sound up to %d", back, len(b), end)
				}
				at, ok := findGroup(b, begins-1, number, s.identity.secret)
				if !ok {
					t.Errorf("%d bytes before the border: the group is not found", back)
				}
				if at < logBlockBytes && at+len(groupPrefix(s.identity.secret)) > logBlockBytes {
					split++
				}
				if at, ok := findGroup(b, nextChunk(b, begins), number, s.identity.secret); ok {
					t.Errorf("%d bytes before the border: another group is found at %d", back, at)
				}
			}
			if want := len(groupPrefix(secret{})) - 1; split != want {
				t.Errorf("the border split the mark at %d places, want %d", split, want)
			}
		})
	}
}

// logOfTwo is a store whose log has a group of 20,000 bytes and one of second,
// with the length of that log.
func logOfTwo(t *testing.T, reopened bool, second int) (fs *vfs.MemFS, s *Store, bytes int) {
	t.Helper()
	fs = vfs.NewCrashableMem()
	s = mustOpen(t, fs)
	if reopened {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, fs)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for n, size := range []int{20_000, second} {
		p := numbered(n)
		p.Puts[0].Value = make([]byte, size)
		if err := s.Commit(p); err != nil {
			t.Fatal(err)
		}
	}
	_, b := longestLog(t, fs)
	return fs, s, len(b)
}

// longestLog is the one that has the groups.
func longestLog(t *testing.T, fs *vfs.MemFS) (number uint32, content []byte) {
	t.Helper()
	for name, b := range readFiles(t, fs.CrashClone(vfs.CrashCloneCfg{})) {
		var n uint32
		if _, err := fmt.Sscanf(name, "%d.log", &n); err == nil && len(b) > len(content) {
			number, content = n, b
		}
	}
	return number, content
}
