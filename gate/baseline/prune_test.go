package baseline

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func isUnreachable(err error) bool { return errors.Is(err, ErrUnreachable) }

// between is a session from commit a to commit b.
func between(a, b string) Source {
	src := source(b, "c0ffee")
	src.Bundle.Manifest.Base.Commit = strings.Repeat(a, 40)
	return src
}

func TestPruningAFolder(t *testing.T) { prunes(t, Folder(t.TempDir())) }

// prunes records five sessions and drops old ones.
func prunes(t *testing.T, s Store) {
	for i := 1; i <= 5; i++ {
		recordIn(t, s, between(fmt.Sprint(i-1), fmt.Sprint(i)))
	}
	before := loaded(t, s)
	prune := func(keep int, dry bool) *Pruned {
		t.Helper()
		p, err := Prune(t.Context(), s, "smoke", "c0ffee", keep, dry)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := prune(5, false); p != nil {
		t.Errorf("five records pruned to five: %+v", p)
	}
	if p := prune(2, true); p == nil || p.Before != 4 || p.Lines != 3 {
		t.Errorf("dry: %+v, want the three records before 4", p)
	}
	if b := loaded(t, s); b.Manifest.Record != 5 {
		t.Errorf("a dry run has written record %d", b.Manifest.Record)
	}
	// The anchor's record stays, whatever is asked for.
	if _, err := SetAnchor(t.Context(), s, "smoke", "c0ffee", Anchor{Ref: "v3", Commit: strings.Repeat("3", 40)}); err != nil {
		t.Fatal(err)
	}
	p := prune(1, false)
	if p == nil || p.Before != 3 || p.Lines != 2 || p.Record != 7 {
		t.Fatalf("with an anchor: %+v, want what came before record 3", p)
	}
	b := loaded(t, s)
	if len(b.Ledger) != 3 || b.Ledger[0].Record != 3 || b.Manifest.Commit != strings.Repeat("5", 40) || len(b.Samples) != 6 {
		t.Errorf("after pruning: %+v", b.Ledger)
	}
	// Whoever has the dropped lines can show that they were these.
	if dropped := before.raw[ledgerFile][:p.Dropped.Bytes]; sum(dropped) != p.Dropped.SHA256 || bytes.Count(dropped, []byte("\n")) != p.Lines {
		t.Errorf("the pruning's hash %s is not that of what was dropped", p.Dropped.SHA256)
	}
	// What was measured against the anchor says so, and the chain goes on.
	recordIn(t, s, between("3", "6"))
	b = loaded(t, s)
	last := b.Ledger[len(b.Ledger)-1]
	if b.Manifest.Record != 8 || !last.Anchor || last.Class != "c0ffee" || last.Toolchain != "go1.26.0" || len(b.Manifest.Pruned) != 1 {
		t.Errorf("record %d, last line %+v, pruned %+v", b.Manifest.Record, last, b.Manifest.Pruned)
	}
	if o, ok := s.(*objects); ok {
		if records, err := o.records(t.Context(), "smoke", "c0ffee"); err != nil || len(records) != 6 || records[0] != 3 {
			t.Errorf("manifests %v, %v; want 3 to 8", records, err)
		}
	}
}

func loaded(t *testing.T, s Store) *Baseline {
	t.Helper()
	b, err := s.Verify(t.Context(), "smoke", "c0ffee")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestForgedPruningIsSeen(t *testing.T) {
	root := t.TempDir()
	for i := 1; i <= 3; i++ {
		recordIn(t, Folder(root), between(fmt.Sprint(i-1), fmt.Sprint(i)))
	}
	if _, err := Prune(t.Context(), Folder(root), "smoke", "c0ffee", 1, false); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "smoke", "c0ffee")
	rewrite(t, dir, manifestFile, false, replacing(`"before": 3`, `"before": 9`))
	if _, err := load(t, dir); err == nil || !strings.Contains(err.Error(), "chain is broken") {
		t.Errorf("error %v", err)
	}
}

func TestAnAnchorNeedsABaseline(t *testing.T) {
	for _, s := range []Store{Folder(t.TempDir()), inMemory(t)} {
		if _, err := SetAnchor(t.Context(), s, "smoke", "c0ffee", Anchor{}); err == nil || !strings.Contains(err.Error(), "there is none") {
			t.Errorf("%s: error %v", s, err)
		}
		if _, err := Prune(t.Context(), s, "smoke", "c0ffee", 0, false); err == nil || !strings.Contains(err.Error(), "keep 1 at least") {
			t.Errorf("%s: error %v", s, err)
		}
	}
}

func TestVersionOneIsReadAndContinuedInTwo(t *testing.T) {
	root := t.TempDir()
	dir := record(t, root, source("1", "c0ffee"))
	// As version 1 wrote it: no class and toolchain in the ledger.
	rewrite(t, dir, ledgerFile, true, replacing(`,"class":"c0ffee","toolchain":"go1.26.0"`, ""))
	rewrite(t, dir, manifestFile, false, replacing(`"schema": 2`, `"schema": 1`))
	if b, err := load(t, dir); err != nil || b.Manifest.Schema != 1 {
		t.Fatalf("version 1: %v", err)
	}
	record(t, root, source("2", "c0ffee"))
	if b, err := load(t, dir); err != nil || b.Manifest.Schema != 2 || len(b.Ledger) != 2 || b.Ledger[0].Class != "" {
		t.Errorf("continued: %+v, %v", b, err)
	}
}

// dieAt makes the test binary a recorder that is killed at so many changes of
// the file system; see TestARecorderOfAFolderThatDies.
const dieAt, dieIn = "PERFGATE_TEST_DIE_AT", "PERFGATE_TEST_DIE_IN"

func TestARecorderOfAFolderThatDiesLeavesAValidBaseline(t *testing.T) {
	if at := os.Getenv(dieAt); at != "" {
		left, _ := strconv.Atoi(at)
		f := &folder{root: os.Getenv(dieIn), trusted: filepath.Dir(os.Getenv(dieIn))}
		f.onWrite = func() {
			if left--; left < 0 {
				os.Exit(9) // no deferred cleaning up
			}
		}
		if _, err := Record(t.Context(), f, source("2", "c0ffee")); err != nil {
			t.Fatal(err)
		}
		return
	}
	for at := 0; ; at++ {
		root := t.TempDir()
		record(t, root, source("1", "c0ffee"))
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), dieAt+"="+strconv.Itoa(at), dieIn+"="+root)
		out, err := cmd.CombinedOutput()
		if err == nil {
			if at < 8 {
				t.Errorf("only %d changes of the file system were seen", at)
			}
			return
		}
		if cmd.ProcessState.ExitCode() != 9 {
			t.Fatalf("the recorder failed otherwise: %s", out)
		}
		b, _, err := find(t, root, "smoke", "c0ffee")
		if err != nil || b == nil || b.Manifest.Record > 2 {
			t.Fatalf("dead at change %d: %+v, %v", at, b, err)
		}
		record(t, root, source("3", "c0ffee"))
		if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
			t.Errorf("dead at change %d: the next recorder leaves %v, %v", at, left, err)
		}
	}
}

func TestRecordersOfAFolderFollowEachOther(t *testing.T) { followEachOther(t, Folder(t.TempDir()), 5) }
