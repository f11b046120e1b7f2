package baseline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
)

// inMemory is a store whose bucket lives in memory.
func inMemory(t *testing.T) *objects {
	t.Helper()
	s := newObjects(&url.URL{Scheme: "mem", Host: "test"}, memblob.OpenBucket(nil), "deep")
	t.Cleanup(func() { s.Close() })
	return s
}

// underlying is the bucket behind a store, for a test that damages it.
func underlying(s *objects) *blob.Bucket { return s.bucket.(cloud).b }

func recordIn(t *testing.T, s Store, src Source) *Baseline {
	t.Helper()
	b, err := Record(t.Context(), s, src)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAStoreOfObjectsKeepsTheChain(t *testing.T) { keepsTheChain(t, inMemory(t)) }

// keepsTheChain is what every object store has to do.
func keepsTheChain(t *testing.T, s Store) {
	if _, err := s.Load(t.Context(), "smoke", "c0ffee"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("in an empty store: %v", err)
	}
	if b, _, err := Find(t.Context(), s, "smoke", "c0ffee"); b != nil || err != nil {
		t.Fatalf("in an empty store: %v, %v", b, err)
	}
	for i := 1; i <= 3; i++ {
		if b := recordIn(t, s, source(fmt.Sprint(i), "c0ffee")); b.Manifest.Record != i || len(b.Ledger) != i {
			t.Errorf("recording %d: record %d with %d lines", i, b.Manifest.Record, len(b.Ledger))
		}
	}
	recordIn(t, s, source("7", "other"))
	b, err := s.Verify(t.Context(), "smoke", "c0ffee")
	if err != nil || b.Manifest.Commit != strings.Repeat("3", 40) || len(b.Samples) != 6 || len(b.Exact) != 1 {
		t.Errorf("verified %+v, %v", b, err)
	}
	suites, err := s.Suites(t.Context())
	classes, err2 := s.Classes(t.Context(), "smoke")
	if err != nil || err2 != nil || !slices.Equal(suites, []string{"smoke"}) || !slices.Equal(classes, []string{"c0ffee", "other"}) {
		t.Errorf("suites %v %v, classes %v %v", suites, err, classes, err2)
	}
	found, same, err := Find(t.Context(), s, "smoke", "mine")
	if err != nil || same || found.Manifest.Machine.ClassID != "c0ffee" {
		t.Errorf("another class: %+v, %v, %v; want the one that was recorded most", found, same, err)
	}
}

func TestDamagedObjectsAreErrorsAndNoAbsence(t *testing.T) {
	write := func(t *testing.T, s *objects, key string, data []byte) {
		if err := underlying(s).WriteAll(t.Context(), key, data, nil); err != nil {
			t.Fatal(err)
		}
	}
	file := func(b *Baseline, name string) string {
		return filesPrefix("smoke", "c0ffee", sum(b.raw[manifestFile])) + name
	}
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, s *objects, b *Baseline)
		want   string
	}{
		{"a changed file", func(t *testing.T, s *objects, b *Baseline) {
			write(t, s, file(b, exactFile), bytes.Replace(b.raw[exactFile], []byte("3 allocs"), []byte("2 allocs"), 1))
		}, "exact.txt was changed"},
		{"a missing file", func(t *testing.T, s *objects, b *Baseline) {
			if err := s.remove(t.Context(), file(b, planFile)); err != nil {
				t.Fatal(err)
			}
		}, "plan.json of record 3 is missing"},
		{"a manifest at another number", func(t *testing.T, s *objects, b *Baseline) {
			write(t, s, manifestKey("smoke", "c0ffee", 4), b.raw[manifestFile])
		}, "record 3 lies where 4 should"},
		{"the manifest before is gone", func(t *testing.T, s *objects, b *Baseline) {
			if err := s.remove(t.Context(), manifestKey("smoke", "c0ffee", 2)); err != nil {
				t.Fatal(err)
			}
		}, "the manifest of record 2 is missing"},
		{"the manifest before was changed", func(t *testing.T, s *objects, b *Baseline) {
			data, err := s.read(t.Context(), manifestKey("smoke", "c0ffee", 2), manifestBytesMax)
			if err != nil {
				t.Fatal(err)
			}
			write(t, s, manifestKey("smoke", "c0ffee", 2), bytes.Replace(data, []byte("ci.example"), []byte("cj.example"), 1))
		}, "does not follow the manifest of record 2"},
		{"an older manifest is gone", func(t *testing.T, s *objects, b *Baseline) {
			if err := s.remove(t.Context(), manifestKey("smoke", "c0ffee", 1)); err != nil {
				t.Fatal(err)
			}
		}, "the manifest of record 1 is missing"},
		{"half a manifest", func(t *testing.T, s *objects, b *Baseline) {
			write(t, s, manifestKey("smoke", "c0ffee", 3), b.raw[manifestFile][:100])
		}, "manifest.json: unexpected EOF"},
		{"a manifest of the wrong size", func(t *testing.T, s *objects, b *Baseline) {
			write(t, s, manifestKey("smoke", "c0ffee", 3), make([]byte, manifestBytesMax+1))
		}, "larger than what is read"},
		{"a stranger among the manifests", func(t *testing.T, s *objects, b *Baseline) {
			write(t, s, "smoke/c0ffee/manifests/latest.json", nil)
		}, "latest.json is no manifest's name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := inMemory(t)
			var b *Baseline
			for i := range 3 {
				b = recordIn(t, s, source(fmt.Sprint(i+1), "c0ffee"))
			}
			tc.damage(t, s, b)
			_, err := s.Verify(t.Context(), "smoke", "c0ffee")
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnreachable) {
				t.Errorf("error %v, want one naming %q", err, tc.want)
			}
		})
	}
}

// faulty is a bucket that dies: after so many writes everything fails.
type faulty struct {
	bucket
	mu     sync.Mutex
	writes int // that still succeed; negative for all
	lost   bool
	// after: the write that fails has taken effect, and only its answer is lost.
	after bool
}

var errDead = errors.New("the connection is gone")

func (f *faulty) write(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost {
		return errDead
	}
	if f.writes == 0 {
		f.lost = true
		if f.after {
			_ = do()
		}
		return errDead
	}
	f.writes--
	return do()
}

func (f *faulty) create(ctx context.Context, key string, data []byte) error {
	return f.write(func() error { return f.bucket.create(ctx, key, data) })
}

func (f *faulty) remove(ctx context.Context, key string) error {
	return f.write(func() error { return f.bucket.remove(ctx, key) })
}

func (f *faulty) read(ctx context.Context, key string, most int64) ([]byte, error) {
	if f.lost {
		return nil, errDead
	}
	return f.bucket.read(ctx, key, most)
}

func TestARecorderThatDiesBetweenAnyTwoWritesLeavesAValidBaseline(t *testing.T) {
	diesBetweenAnyTwoWrites(t, func(t *testing.T) *objects { return inMemory(t) })
}

// diesBetweenAnyTwoWrites dies before, and after, the k-th write of a recording
// and of a pruning, for every k.
func diesBetweenAnyTwoWrites(t *testing.T, open func(t *testing.T) *objects) {
	actions := map[string]func(s Store) error{
		"record": func(s Store) error {
			_, err := Record(t.Context(), s, source("4", "c0ffee"))
			return err
		},
		"prune": func(s Store) error {
			_, err := Prune(t.Context(), s, "smoke", "c0ffee", 1, false)
			return err
		},
	}
	for name, act := range actions {
		for _, after := range []bool{false, true} {
			for writes := 0; ; writes++ {
				whole := open(t)
				for i := range 3 {
					recordIn(t, whole, source(fmt.Sprint(i+1), "c0ffee"))
				}
				dying := &faulty{bucket: whole.bucket, writes: writes, after: after}
				err := act(&objects{bucket: dying, name: whole.name})
				if !dying.lost {
					if err != nil || writes < 5 {
						t.Errorf("%s: %v after %d writes", name, err, writes)
					}
					break
				}
				if !errors.Is(err, ErrUnreachable) {
					t.Errorf("%s dead after %d writes: error %v", name, writes, err)
				}
				b, err := whole.Verify(t.Context(), "smoke", "c0ffee")
				if err != nil || b.Manifest.Record < 3 || b.Manifest.Record > 4 {
					t.Fatalf("%s dead after %d writes: %v", name, writes, err)
				}
				// Whoever comes next can do all of it.
				if err := act(whole); err != nil {
					t.Errorf("%s again after %d writes: %v", name, writes, err)
				}
				if _, err := whole.Verify(t.Context(), "smoke", "c0ffee"); err != nil {
					t.Errorf("%s again after %d writes: %v", name, writes, err)
				}
			}
		}
	}
}

func TestAStoreThatIsGoneIsUnreachableAndNeverEmpty(t *testing.T) {
	gone := &objects{bucket: failing{}, name: "s3://gone"}
	_, loadErr := gone.Load(t.Context(), "smoke", "c0ffee")
	_, _, findErr := Find(t.Context(), gone, "smoke", "c0ffee")
	_, suitesErr := gone.Suites(t.Context())
	_, recordErr := Record(t.Context(), gone, source("1", "c0ffee"))
	for _, err := range []error{loadErr, findErr, suitesErr, recordErr} {
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "s3://gone") {
			t.Errorf("error %v", err)
		}
	}
}

type failing struct{}

func (failing) list(context.Context, string, int) ([]string, error) { return nil, errDead }
func (failing) read(context.Context, string, int64) ([]byte, error) { return nil, errDead }
func (failing) create(context.Context, string, []byte) error        { return errDead }
func (failing) remove(context.Context, string) error                { return errDead }
func (failing) close() error                                        { return nil }

func TestRecordersAtOnceFollowEachOther(t *testing.T) { followEachOther(t, inMemory(t), 8) }

func followEachOther(t *testing.T, s Store, recorders int) {
	var wg sync.WaitGroup
	for i := range recorders {
		wg.Go(func() {
			if _, err := Record(t.Context(), s, source(fmt.Sprint(i), "c0ffee")); err != nil {
				t.Errorf("recorder %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	b, err := s.Verify(t.Context(), "smoke", "c0ffee")
	if err != nil || b.Manifest.Record != recorders || len(b.Ledger) != recorders {
		t.Fatalf("after %d recorders: %+v, %v", recorders, b, err)
	}
	var heads []string
	for _, e := range b.Ledger {
		heads = append(heads, e.Head)
	}
	slices.Sort(heads)
	if len(slices.Compact(heads)) != recorders {
		t.Errorf("%d different commits of %d recorders", len(heads), recorders)
	}
}

func TestAReaderBesideAPruningReadsAgain(t *testing.T) {
	s := inMemory(t)
	for i := range 3 {
		recordIn(t, s, source(fmt.Sprint(i+1), "c0ffee"))
	}
	// Between the reader's listing and its reading of record 3, another recorder
	// and a pruning are at work.
	racing := &racingBucket{bucket: s.bucket, once: func() {
		recordIn(t, s, source("4", "c0ffee"))
		if _, err := Prune(t.Context(), s, "smoke", "c0ffee", 1, false); err != nil {
			t.Error(err)
		}
	}}
	b, err := (&objects{bucket: racing, name: s.name}).Load(t.Context(), "smoke", "c0ffee")
	if err != nil || b.Manifest.Commit != strings.Repeat("4", 40) {
		t.Errorf("read %+v, %v", b, err)
	}
}

type racingBucket struct {
	bucket
	once func()
}

func (r *racingBucket) read(ctx context.Context, key string, most int64) ([]byte, error) {
	if r.once != nil {
		once := r.once
		r.once = nil
		once()
	}
	return r.bucket.read(ctx, key, most)
}

func TestListsAreBounded(t *testing.T) {
	s := inMemory(t)
	for i := range 4 {
		if err := s.create(t.Context(), path.Join("a", fmt.Sprint(i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.list(t.Context(), "a/", 3); err == nil || !strings.Contains(err.Error(), "more than 3 objects") {
		t.Errorf("error %v", err)
	}
	if names, err := s.list(t.Context(), "a/", 4); err != nil || len(names) != 4 {
		t.Errorf("names %v, %v", names, err)
	}
}

func TestAStoreThatDoesNotAnswerIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	s := &objects{bucket: silent{}, name: "s3://silent"}
	if _, err := s.Load(ctx, "smoke", "c0ffee"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

// silent answers when its caller has stopped waiting.
type silent struct{ failing }

func (silent) list(ctx context.Context, _ string, _ int) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
