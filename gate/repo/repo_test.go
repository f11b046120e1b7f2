package repo

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// newRepo makes a repository with one commit on branch.
func newRepo(t *testing.T, branch string) (dir string, git func(args ...string) string) {
	t.Helper()
	dir = t.TempDir()
	git = gitIn(t, dir)
	git("init", "-q", "-b", branch)
	write(t, dir, "go.mod", "module m\n")
	git("add", "-A")
	git("commit", "-q", "-m", "first")
	return dir, git
}

func gitIn(t *testing.T, dir string) func(args ...string) string {
	return func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *Repo {
	t.Helper()
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOpenOutsideAWorkTreeSaysSo(t *testing.T) {
	_, err := Open(t.Context(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "not inside a git work tree") {
		t.Fatalf("error %v", err)
	}
}

func TestOpenWithoutGitSaysSo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Open(t.Context(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "git is not installed") {
		t.Fatalf("error %v", err)
	}
}

func TestResolveRefusesWhatIsNoCommit(t *testing.T) {
	dir, git := newRepo(t, "main")
	r := open(t, dir)
	if got, err := r.Resolve(t.Context(), "main"); err != nil || got != git("rev-parse", "HEAD") {
		t.Fatalf("main resolves to %q, %v", got, err)
	}
	for _, ref := range []string{"", "nosuch", "--upload-pack=x", "-1", "a\nb", "HEAD:go.mod"} {
		if _, err := r.Resolve(t.Context(), ref); !errors.Is(err, ErrUnknownRef) {
			t.Errorf("%q: error %v, want ErrUnknownRef", ref, err)
		}
	}
}

func TestDefaultBaseIsTheMergeBase(t *testing.T) {
	for _, branch := range []string{"main", "master"} {
		dir, git := newRepo(t, branch)
		fork := git("rev-parse", "HEAD")
		git("checkout", "-q", "-b", "topic")
		git("commit", "-q", "--allow-empty", "-m", "on topic")
		git("checkout", "-q", branch)
		git("commit", "-q", "--allow-empty", "-m", "on "+branch)
		git("checkout", "-q", "topic")
		got, reason, err := open(t, dir).DefaultBase(t.Context())
		if err != nil || got != fork || reason != "merge base with "+branch {
			t.Errorf("%s: base %s (%s), %v; want %s", branch, got, reason, err, fork)
		}
	}
}

func TestDefaultBasePrefersOriginHead(t *testing.T) {
	upstream, up := newRepo(t, "trunk")
	dir := filepath.Join(t.TempDir(), "clone")
	gitIn(t, upstream)("clone", "-q", upstream, dir)
	git := gitIn(t, dir)
	git("checkout", "-q", "-b", "main")
	git("commit", "-q", "--allow-empty", "-m", "mine")
	got, reason, err := open(t, dir).DefaultBase(t.Context())
	if err != nil || got != up("rev-parse", "HEAD") || reason != "merge base with origin/HEAD" {
		t.Fatalf("base %s (%s), %v", got, reason, err)
	}
}

func TestDefaultBaseAsksForOneWhereThereIsNone(t *testing.T) {
	dir, _ := newRepo(t, "trunk")
	if _, _, err := open(t, dir).DefaultBase(t.Context()); !errors.Is(err, ErrNoBase) || !strings.Contains(err.Error(), "--base") {
		t.Fatalf("error %v", err)
	}
	empty := t.TempDir()
	gitIn(t, empty)("init", "-q")
	if _, _, err := open(t, empty).DefaultBase(t.Context()); !errors.Is(err, ErrNoBase) {
		t.Fatalf("without a commit: error %v", err)
	}
}

func TestDefaultBaseOfAShallowCloneNamesTheFix(t *testing.T) {
	upstream, up := newRepo(t, "main")
	up("checkout", "-q", "-b", "topic")
	up("commit", "-q", "--allow-empty", "-m", "one")
	up("commit", "-q", "--allow-empty", "-m", "two")
	up("checkout", "-q", "main")
	up("commit", "-q", "--allow-empty", "-m", "three")
	dir := filepath.Join(t.TempDir(), "clone")
	up("clone", "-q", "--depth=1", "--no-single-branch", "file://"+upstream, dir)
	gitIn(t, dir)("checkout", "-q", "topic")
	_, _, err := open(t, dir).DefaultBase(t.Context())
	if err == nil || !strings.Contains(err.Error(), "git fetch --unshallow") {
		t.Fatalf("error %v", err)
	}
}

func TestWorkTreeHashesUncommittedFilesAndTouchesNothing(t *testing.T) {
	dir, git := newRepo(t, "main")
	r := open(t, dir)
	tree := func() string {
		t.Helper()
		got, err := r.WorkTree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	committed := git("rev-parse", "HEAD^{tree}")
	if got := tree(); got != committed {
		t.Fatalf("a clean tree hashes to %s, want %s", got, committed)
	}
	objects := git("count-objects", "-v")
	write(t, dir, "new.go", "package m\n")
	untracked := tree()
	if untracked == committed {
		t.Fatal("an untracked file does not change the hash")
	}
	write(t, dir, ".gitignore", "ignored\n")
	ignoring := tree()
	write(t, dir, "ignored", "x")
	if got := tree(); got != ignoring {
		t.Fatal("an ignored file changes the hash")
	}
	if got := git("status", "--porcelain"); got != "?? .gitignore\n?? new.go" {
		t.Fatalf("status is now %q", got)
	}
	if got := git("count-objects", "-v"); got != objects {
		t.Fatalf("objects were written:\n%s\nbefore:\n%s", got, objects)
	}
}

func TestWorktreeIsTheCommitAndIsRemoved(t *testing.T) {
	dir, git := newRepo(t, "main")
	first := git("rev-parse", "HEAD")
	write(t, dir, "sub/go.mod", "module sub\n")
	git("add", "-A")
	git("commit", "-q", "-m", "second")
	second := git("rev-parse", "HEAD")

	r := open(t, filepath.Join(dir, "sub"))
	module, remove, err := r.AddWorktree(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(module, "go.mod")); err != nil || string(text) != "module sub\n" {
		t.Fatalf("go.mod of the module in the worktree: %q, %v", text, err)
	}
	remove()
	remove()
	if _, err := os.Stat(module); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the worktree is still there: %v", err)
	}
	module, remove, err = r.AddWorktree(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if _, err := os.Stat(module); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the first commit has no sub, and yet: %v", err)
	}
	if got := git("worktree", "list", "--porcelain"); strings.Count(got, "worktree ") != 2 {
		t.Fatalf("worktrees:\n%s", got)
	}
}

func TestRemovalWorksAfterAnInterrupt(t *testing.T) {
	dir, git := newRepo(t, "main")
	ctx, cancel := context.WithCancel(t.Context())
	_, remove, err := open(t, dir).AddWorktree(ctx, git("rev-parse", "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	remove()
	if got := git("worktree", "list", "--porcelain"); strings.Count(got, "worktree ") != 1 {
		t.Fatalf("worktrees:\n%s", got)
	}
}

func TestWorktreesOfKilledRunsAreRemovedByTheNext(t *testing.T) {
	dir, git := newRepo(t, "main")
	r := open(t, dir)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(r.Private, "worktrees", strings.Join([]string{strconv.Itoa(dead.Process.Pid), "abcdefg", "1"}, "-"))
	git("worktree", "add", "-q", "--detach", left, "HEAD")
	open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("what a killed run left is still there: %v", err)
	}
}

// withSubmodule makes a repository with a submodule at path lib.
func withSubmodule(t *testing.T) (dir string, git func(args ...string) string) {
	lib, _ := newRepo(t, "main")
	dir, git = newRepo(t, "main")
	git("submodule", "--quiet", "add", lib, "lib")
	git("commit", "-q", "-m", "lib")
	return dir, git
}

func TestDirtySubmoduleIsRefused(t *testing.T) {
	dir, _ := withSubmodule(t)
	r := open(t, dir)
	if err := r.CheckSubmodules(t.Context()); err != nil {
		t.Fatalf("a clean submodule is refused: %v", err)
	}
	write(t, dir, "lib/go.mod", "module changed\n")
	err := r.CheckSubmodules(t.Context())
	if !errors.Is(err, ErrSubmodule) || !strings.Contains(err.Error(), `"lib"`) {
		t.Fatalf("error %v", err)
	}
}

func TestWorktreeHasSubmodulesAtTheCommitsItRecords(t *testing.T) {
	dir, git := withSubmodule(t)
	first := git("rev-parse", "HEAD")
	write(t, dir, "lib/go.mod", "module second\n")
	sub := gitIn(t, filepath.Join(dir, "lib"))
	sub("commit", "-q", "-a", "-m", "second")
	git("commit", "-q", "-a", "-m", "lib moves on")
	r := open(t, dir)
	for commit, want := range map[string]string{first: "module m\n", git("rev-parse", "HEAD"): "module second\n"} {
		module, remove, err := r.AddWorktree(t.Context(), commit)
		if err != nil {
			t.Fatal(err)
		}
		defer remove()
		if text, err := os.ReadFile(filepath.Join(module, "lib", "go.mod")); err != nil || string(text) != want {
			t.Errorf("%s: lib/go.mod is %q, %v; want %q", commit, text, err, want)
		}
	}
}

func TestTheIndexOfAHooksCallerIsLeftAlone(t *testing.T) {
	dir, git := newRepo(t, "main")
	first := git("rev-parse", "HEAD")
	write(t, dir, "second.txt", "second\n")
	git("add", "-A")
	git("commit", "-q", "-m", "second")
	write(t, dir, "staged.txt", "staged\n")
	git("add", "-A")
	before := git("ls-files", "--stage")
	// So git calls its hooks.
	t.Setenv("GIT_DIR", filepath.Join(dir, ".git"))
	t.Setenv("GIT_INDEX_FILE", filepath.Join(dir, ".git", "index"))
	r := open(t, dir)
	module, remove, err := r.AddWorktree(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(module, "second.txt")); err == nil {
		t.Error("the worktree has a file of the second commit")
	}
	remove()
	if after := git("ls-files", "--stage"); after != before {
		t.Errorf("the index was\n%s\nand is\n%s", before, after)
	}
}

func TestNoHookOfTheRepositoryRuns(t *testing.T) {
	dir, git := newRepo(t, "main")
	hook := filepath.Join(dir, ".git", "hooks", "post-checkout")
	write(t, dir, ".git/hooks/post-checkout", "#!/bin/sh\nexit 1\n")
	if err := os.Chmod(hook, 0o755); err != nil {
		t.Fatal(err)
	}
	_, remove, err := open(t, dir).AddWorktree(t.Context(), git("rev-parse", "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	remove()
}

func TestWorktreesOfTheUserAreNotForgotten(t *testing.T) {
	dir, git := newRepo(t, "main")
	theirs := filepath.Join(t.TempDir(), "unmounted")
	git("worktree", "add", "-q", "--detach", theirs)
	if err := os.Rename(theirs, theirs+".away"); err != nil {
		t.Fatal(err)
	}
	_, remove, err := open(t, dir).AddWorktree(t.Context(), git("rev-parse", "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	remove()
	if list := git("worktree", "list", "--porcelain"); strings.Count(list, "worktree ") != 2 {
		t.Errorf("the worktrees are now\n%s", list)
	}
}
