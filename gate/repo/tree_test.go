package repo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestACommitIsReadAsItWasCommitted(t *testing.T) {
	dir, git := newRepo(t, "main")
	write(t, dir, "a/b.txt", "line\r\n")
	write(t, dir, "a/with\nnewline", "x")
	if err := os.Symlink("b.txt", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	git("commit", "-q", "-m", "second")
	commit := git("rev-parse", "HEAD")
	git("config", "core.autocrlf", "true")
	write(t, dir, "a/b.txt", "changed")
	r := open(t, dir)
	root, err := r.List(t.Context(), commit, ".")
	if want := []Entry{{"a", "040000"}, {"go.mod", "100644"}}; err != nil || !slices.Equal(root, want) {
		t.Errorf("the root: %v, %v; want %v", root, err, want)
	}
	below, err := r.List(t.Context(), commit, "a")
	if want := []Entry{{"b.txt", "100644"}, {"link", "120000"}, {"with\nnewline", "100644"}}; err != nil || !slices.Equal(below, want) {
		t.Errorf("a: %v, %v; want %v", below, err, want)
	}
	if data, err := r.ReadFile(t.Context(), commit, "a/b.txt", 6); err != nil || string(data) != "line\r\n" {
		t.Errorf("a/b.txt: %q, %v", data, err)
	}
	if _, err := r.ReadFile(t.Context(), commit, "a/b.txt", 5); !errors.Is(err, ErrLargeFile) {
		t.Errorf("a limit of 5 bytes: error %v", err)
	}
	if _, err := r.ReadFile(t.Context(), commit, "nowhere", 5); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestABranchIsTheOneOfOriginFirst(t *testing.T) {
	origin, inOrigin := newRepo(t, "main")
	inOrigin("branch", "theirs")
	dir := t.TempDir()
	git := gitIn(t, dir)
	git("clone", "-q", origin, ".")
	git("commit", "-q", "--allow-empty", "-m", "mine")
	git("branch", "theirs")
	git("branch", "ours")
	r := open(t, dir)
	for branch, want := range map[string]string{"theirs": inOrigin("rev-parse", "theirs"), "ours": git("rev-parse", "HEAD")} {
		if got, err := r.BranchTip(t.Context(), branch); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", branch, got, err, want)
		}
	}
	if _, err := r.BranchTip(t.Context(), "nobodys"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestAShallowCloneSaysWhatItCannotSay(t *testing.T) {
	dir, git := newRepo(t, "main")
	first := git("rev-parse", "HEAD")
	git("commit", "-q", "--allow-empty", "-m", "second")
	second := git("rev-parse", "HEAD")
	shallow := t.TempDir()
	gitIn(t, shallow)("clone", "-q", "--depth", "1", "file://"+dir, ".")
	for commit, want := range map[string]bool{first: true, second: false} {
		if got := open(t, shallow).EndsBefore(t.Context(), commit); got != want {
			t.Errorf("%s is beyond the shallow clone: %v, want %v", commit, got, want)
		}
	}
	if open(t, dir).EndsBefore(t.Context(), "1111111111111111111111111111111111111111") {
		t.Error("a whole clone takes a commit that it does not know for one that it does not reach")
	}
}
