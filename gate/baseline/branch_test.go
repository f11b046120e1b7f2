package baseline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// gitBranch is a branch in memory: a list of trees, of which the last is its tip.
type gitBranch struct {
	mu       sync.Mutex
	commits  []gitTree
	messages []string
	// beforeCommit runs once, between a recorder's reading and its committing.
	beforeCommit func()
}

// gitTree has the files of a commit by path; what begins with "link:" is a link.
type gitTree map[string]string

func (b *gitBranch) String() string { return "main" }

func (b *gitBranch) Tip(context.Context) (Tree, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.commits) == 0 {
		return nil, fs.ErrNotExist
	}
	return &gitTip{b.commits[len(b.commits)-1], len(b.commits)}, nil
}

func (b *gitBranch) Commit(_ context.Context, tip Tree, files map[string][]byte, message string) error {
	if race := b.beforeCommit; race != nil {
		b.beforeCommit = nil
		race()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := 0
	if tip != nil {
		seen = tip.(*gitTip).number
	}
	if seen != len(b.commits) {
		return ErrMoved
	}
	tree := gitTree{}
	if tip != nil {
		tree = maps.Clone(tip.(*gitTip).gitTree)
	}
	for name, data := range files {
		tree[name] = string(data)
	}
	b.commits, b.messages = append(b.commits, tree), append(b.messages, message)
	return nil
}

type gitTip struct {
	gitTree
	number int
}

func (t *gitTip) List(_ context.Context, dir string) ([]TreeEntry, error) {
	found := map[string]EntryKind{}
	for name, content := range t.gitTree {
		below, ok := strings.CutPrefix(name, dir+"/")
		if dir == "." {
			below, ok = name, true
		}
		if !ok {
			continue
		}
		first, _, deeper := strings.Cut(below, "/")
		switch {
		case deeper:
			found[first] = FolderEntry
		case strings.HasPrefix(content, "link:"):
			found[first] = OtherEntry
		default:
			found[first] = FileEntry
		}
	}
	if len(found) == 0 && dir != "." {
		return nil, fs.ErrNotExist
	}
	var entries []TreeEntry
	for name, kind := range found {
		entries = append(entries, TreeEntry{name, kind})
	}
	return entries, nil
}

func (t *gitTip) Read(_ context.Context, file string, most int64) ([]byte, error) {
	if int64(len(t.gitTree[file])) > most {
		return nil, ErrTooLarge
	}
	return []byte(t.gitTree[file]), nil
}

func onBranch(t *testing.T, dir string) (*gitBranch, Store) {
	t.Helper()
	b := &gitBranch{commits: []gitTree{{"main.go": "package main", "docs/a.md": "text"}}}
	return b, InBranch(b, dir)
}

func TestABranchKeepsTheChain(t *testing.T) {
	_, s := onBranch(t, "perf/baselines")
	keepsTheChain(t, s)
	keepsTheChain(t, InBranch(&gitBranch{}, "."))
}

func TestRecordersOnABranchFollowEachOther(t *testing.T) {
	b, s := onBranch(t, "baselines")
	followEachOther(t, s, 8)
	if last := b.commits[len(b.commits)-1]; last["main.go"] != "package main" || last["docs/a.md"] != "text" {
		t.Errorf("the branch's own files: %v", slices.Sorted(maps.Keys(last)))
	}
}

func TestACommitSaysWhatItRecords(t *testing.T) {
	b, s := onBranch(t, "baselines")
	recordIn(t, s, source("1", "c0ffee"))
	if want := "baselines: smoke at 111111111111, recording 1\n\nMeasured on machine class c0ffee by perfgate v0.1.0 with go1.26.0.\nRun: https://ci.example.com/1\n"; b.messages[0] != want {
		t.Errorf("message %q, want %q", b.messages[0], want)
	}
}

func TestABranchThatNeverStandsStillIsGivenUp(t *testing.T) {
	b, s := onBranch(t, "baselines")
	var again func()
	again = func() {
		b.mu.Lock()
		b.commits = append(b.commits, b.commits[len(b.commits)-1])
		b.mu.Unlock()
		b.beforeCommit = again
	}
	b.beforeCommit = again
	_, err := Record(t.Context(), s, source("1", "c0ffee"))
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), fmt.Sprintf("moved %d times", attemptsMax)) {
		t.Errorf("error %v", err)
	}
}

func TestWhatIsBrokenOnABranchIsAnErrorAndNoAbsence(t *testing.T) {
	const place = "baselines/smoke/c0ffee"
	for _, tc := range []struct {
		name   string
		damage func(tree gitTree)
		want   string
	}{
		{"a changed file", func(tree gitTree) {
			tree[place+"/exact.txt"] = strings.Replace(tree[place+"/exact.txt"], "3 allocs", "2 allocs", 1)
		}, "exact.txt was changed"},
		{"a ledger that was rewritten with its hash", func(tree gitTree) {
			ledger := []byte(tree[place+"/ledger.jsonl"])
			forged := bytes.Replace(ledger, []byte(`"ratio":1`), []byte(`"ratio":2`), 1)
			tree[place+"/ledger.jsonl"] = string(forged)
			tree[place+"/manifest.json"] = strings.ReplaceAll(tree[place+"/manifest.json"], sum(ledger), sum(forged))
		}, "the chain is broken"},
		{"a missing file", func(tree gitTree) { delete(tree, place+"/plan.json") }, "plan.json is missing"},
		{"a stranger", func(tree gitTree) { tree[place+"/more.txt"] = "" }, "more.txt does not belong"},
		{"a file that is a link", func(tree gitTree) { tree[place+"/plan.json"] = "link:../plan.json" }, "plan.json is no regular file"},
		{"a file that is too large", func(tree gitTree) {
			tree[place+"/manifest.json"] = strings.Repeat("x", manifestBytesMax+1)
		}, "manifest.json: it is larger"},
		{"the class is a link", func(tree gitTree) {
			maps.DeleteFunc(tree, func(name, _ string) bool { return strings.HasPrefix(name, place) })
			tree[place] = "link:../other"
		}, place + " is a file, a link"},
		{"the folder is a link", func(tree gitTree) {
			maps.DeleteFunc(tree, func(name, _ string) bool { return strings.HasPrefix(name, "baselines") })
			tree["baselines"] = "link:elsewhere"
		}, "baselines is a file, a link"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, s := onBranch(t, "baselines")
			recordIn(t, s, source("1", "c0ffee"))
			recordIn(t, s, source("2", "c0ffee"))
			tc.damage(b.commits[len(b.commits)-1])
			_, loadErr := s.Load(t.Context(), "smoke", "c0ffee")
			_, recordErr := Record(t.Context(), s, source("3", "c0ffee"))
			for _, err := range []error{loadErr, recordErr} {
				if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnreachable) {
					t.Errorf("error %v, want one naming %q", err, tc.want)
				}
			}
			if len(b.commits) != 3 {
				t.Errorf("%d commits, want the first, and the two recordings", len(b.commits))
			}
		})
	}
}

// brokenGit is a git that does not answer.
type brokenGit struct{}

func (brokenGit) String() string                    { return "main" }
func (brokenGit) Tip(context.Context) (Tree, error) { return nil, errDead }
func (brokenGit) Commit(context.Context, Tree, map[string][]byte, string) error {
	return errDead
}

func TestABranchThatCannotBeReadIsUnreachable(t *testing.T) {
	s := InBranch(brokenGit{}, "baselines")
	_, loadErr := s.Load(t.Context(), "smoke", "c0ffee")
	_, suitesErr := s.Suites(t.Context())
	_, recordErr := Record(t.Context(), s, source("1", "c0ffee"))
	for _, err := range []error{loadErr, suitesErr, recordErr} {
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, errDead) {
			t.Errorf("error %v", err)
		}
	}
}

// inOrder is a history in which the commits of source are "1", "2", "3" …
func inOrder(_ context.Context, ancestor, of string) (bool, error) { return ancestor <= of, nil }

func ordered(c, run string) Source {
	src := source(c, "c0ffee")
	src.RunURL, src.Hash, src.IsAncestor = run, strings.Repeat(c, 64), inOrder
	return src
}

func TestARecorderThatComesLateLosesNothingAndTakesNothingBack(t *testing.T) {
	b, s := onBranch(t, "baselines")
	recordIn(t, s, ordered("1", "run/1"))
	b.beforeCommit = func() { recordIn(t, s, ordered("3", "run/3")) } // while 2 is being recorded
	late := recordIn(t, s, ordered("2", "run/2"))
	if m := late.Manifest; m.Record != 3 || m.Commit != strings.Repeat("3", 40) || m.Measured != 2 || m.RunURL != "run/3" {
		t.Errorf("after the late one: %+v", m)
	}
	var heads []string
	for _, e := range late.Ledger {
		heads = append(heads, e.Head[:1])
	}
	if !slices.Equal(heads, []string{"1", "3", "2"}) {
		t.Errorf("ledger of %v, want all three sessions in the order of their recording", heads)
	}
	recordIn(t, s, ordered("2", "run/2")) // its job runs again
	last := recordIn(t, s, ordered("4", "run/4"))
	if _, err := s.Verify(t.Context(), "smoke", "c0ffee"); err != nil || last.Manifest.Record != 4 || len(last.Ledger) != 4 {
		t.Errorf("recording %d with %d lines, %v; want 4 and 4", last.Manifest.Record, len(last.Ledger), err)
	}
}

func TestObjectsTakeALateRecorderToo(t *testing.T) {
	s := inMemory(t)
	for _, c := range []string{"1", "3", "2", "4"} {
		recordIn(t, s, ordered(c, "run/"+c))
	}
	if b, err := s.Verify(t.Context(), "smoke", "c0ffee"); err != nil || len(b.Ledger) != 4 {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestPruningKeepsTheRecordOfTheSamplesBesideALateOne(t *testing.T) {
	s := Folder(t.TempDir())
	for _, c := range []string{"1", "3", "2"} {
		recordIn(t, s, ordered(c, "run/"+c))
	}
	if _, err := Prune(t.Context(), s, "smoke", "c0ffee", 1, false); err != nil {
		t.Fatal(err)
	}
	b, err := s.Verify(t.Context(), "smoke", "c0ffee")
	if err != nil || len(b.Ledger) != 2 || b.Ledger[0].Head != b.Manifest.Commit {
		t.Errorf("after pruning: %+v, %v; want the lines of 3 and of 2", b, err)
	}
}

func TestOneRunRecordsABundleOnce(t *testing.T) {
	b, s := onBranch(t, "baselines")
	for range 2 {
		if got := recordIn(t, s, ordered("1", "run/1")); got.Manifest.Record != 1 {
			t.Errorf("recording %d", got.Manifest.Record)
		}
	}
	if len(b.messages) != 1 {
		t.Errorf("commits %q", b.messages)
	}
	if again := recordIn(t, s, ordered("1", "run/2")); again.Manifest.Record != 2 {
		t.Errorf("measured by another run: recording %d, want 2", again.Manifest.Record)
	}
}

func TestABaselineOfAnotherHistoryIsNotContinued(t *testing.T) {
	_, s := onBranch(t, "baselines")
	recordIn(t, s, ordered("1", "run/1"))
	rewritten := ordered("2", "run/2")
	rewritten.IsAncestor = func(context.Context, string, string) (bool, error) { return false, nil }
	if _, err := Record(t.Context(), s, rewritten); !errors.Is(err, ErrStranger) || !strings.Contains(err.Error(), "remove the baseline") {
		t.Errorf("error %v", err)
	}
	unknown := ordered("2", "run/2")
	unknown.IsAncestor = func(context.Context, string, string) (bool, error) { return false, errDead }
	if _, err := Record(t.Context(), s, unknown); !errors.Is(err, errDead) || errors.Is(err, ErrStranger) {
		t.Errorf("where nobody answers: error %v", err)
	}
}

func TestABaselinesPlaceInABranchIsAFolderForPeople(t *testing.T) {
	b := &gitBranch{}
	for dir, want := range map[string]string{"baselines/": "main:baselines", ".": "main"} {
		s := InBranch(b, dir)
		if got := s.String(); got != want {
			t.Errorf("%q is shown as %q, want %q", dir, got, want)
		}
		if got := s.place("smoke", "c0ffee"); got != path.Join(want, "smoke/c0ffee") {
			t.Errorf("a baseline in %q is shown as %q", dir, got)
		}
	}
}
