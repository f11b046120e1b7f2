// Package repo is the gate's view of git: which commits to compare, a worktree
// for each side that is not built in place, and the tree hash of what is built.
//
// It never changes the work tree, the index or a branch. What it creates lives
// below the repository's own git directory and is removed again, also after an
// interrupt; what a killed run left behind is removed by the next one.
package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrUnknownRef: a revision that git cannot resolve to a commit.
var ErrUnknownRef = errors.New("unknown revision")

// ErrNoBase: no default base could be found.
var ErrNoBase = errors.New("no base to compare with")

// ErrSubmodule: a submodule's state cannot be reproduced for the base side.
var ErrSubmodule = errors.New("submodule cannot be reproduced")

// Repo is a git repository with the Go module that is measured inside it.
type Repo struct {
	// Top is the work tree's root.
	Top string
	// Module is the module's folder relative to Top, "." for the root.
	Module string
	// Private is the folder below the git directory where perfgate keeps bundles
	// and worktrees.
	Private string
}

// Open finds the repository that holds the module root dir.
func Open(ctx context.Context, dir string) (*Repo, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, errors.New("git is not installed or not on PATH: perfgate compares commits and needs it")
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the repository: %w", err)
	}
	out, err := run(ctx, dir, nil, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, fmt.Errorf("%s is not inside a git work tree: run perfgate in a clone of the repository, or `git init` and commit first: %w", dir, err)
	}
	r := &Repo{Top: out}
	if r.Module, err = filepath.Rel(out, dir); err != nil {
		return nil, fmt.Errorf("placing the module in the repository: %w", err)
	}
	private, err := run(ctx, r.Top, nil, "rev-parse", "--git-path", "perfgate")
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(private) {
		private = filepath.Join(r.Top, private)
	}
	r.Private = private
	r.removeStale(ctx)
	return r, nil
}

// Resolve turns a revision into a commit hash.
func (r *Repo) Resolve(ctx context.Context, ref string) (string, error) {
	if ref == "" || strings.HasPrefix(ref, "-") || strings.ContainsAny(ref, "\n\x00") {
		return "", fmt.Errorf("%w %q: give a branch, tag or commit", ErrUnknownRef, ref)
	}
	out, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("%w %q: give a branch, tag or commit that this clone has (`git fetch` brings new ones)", ErrUnknownRef, ref)
	}
	return out, nil
}

// DefaultBase is the merge base of HEAD with origin/HEAD, else with main, else
// with master, and a sentence that says which.
func (r *Repo) DefaultBase(ctx context.Context) (commit, reason string, err error) {
	if _, err := r.Resolve(ctx, "HEAD"); err != nil {
		return "", "", fmt.Errorf("%w: the repository has no commit yet; commit something first", ErrNoBase)
	}
	for _, ref := range []string{"refs/remotes/origin/HEAD", "refs/heads/main", "refs/heads/master"} {
		if _, err := r.Resolve(ctx, ref); err != nil {
			continue
		}
		short := strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/remotes/")
		base, err := r.git(ctx, "merge-base", "HEAD", ref)
		if err != nil {
			if shallow, _ := r.git(ctx, "rev-parse", "--is-shallow-repository"); shallow == "true" {
				return "", "", fmt.Errorf("%w: this clone is shallow and does not reach the merge base with %s; run `git fetch --unshallow` or give --base", ErrNoBase, short)
			}
			return "", "", fmt.Errorf("%w: HEAD and %s have no common ancestor; give --base", ErrNoBase, short)
		}
		return base, "merge base with " + short, nil
	}
	return "", "", fmt.Errorf("%w: there is no origin/HEAD, main or master; give --base REF", ErrNoBase)
}

// TreeOf is the tree hash of a commit.
func (r *Repo) TreeOf(ctx context.Context, commit string) (string, error) {
	return r.git(ctx, "rev-parse", "--verify", "--end-of-options", commit+"^{tree}")
}

// WorkTree is the tree hash that a commit of everything not ignored would have
// now. Nothing is written to the repository's own index or object store.
func (r *Repo) WorkTree(ctx context.Context) (string, error) {
	tree := ""
	err := r.withWorkTree(ctx, func(_ []string, t string) error {
		tree = t
		return nil
	})
	return tree, err
}

// withWorkTree makes the tree of WorkTree, and calls do with its hash and with the
// environment in which git finds its objects.
func (r *Repo) withWorkTree(ctx context.Context, do func(env []string, tree string) error) error {
	tmp, err := os.MkdirTemp("", "perfgate-index-")
	if err != nil {
		return fmt.Errorf("hashing the work tree: %w", err)
	}
	defer os.RemoveAll(tmp)
	objects, err := r.git(ctx, "rev-parse", "--git-path", "objects")
	if err != nil {
		return err
	}
	if !filepath.IsAbs(objects) {
		objects = filepath.Join(r.Top, objects)
	}
	index, err := r.git(ctx, "rev-parse", "--git-path", "index")
	if err != nil {
		return err
	}
	if !filepath.IsAbs(index) {
		index = filepath.Join(r.Top, index)
	}
	// A copy of the index keeps its stat cache, so that unchanged files are not
	// hashed again. A repository without an index yet starts from nothing.
	if data, err := os.ReadFile(index); err == nil {
		if err := os.WriteFile(filepath.Join(tmp, "index"), data, 0o600); err != nil {
			return fmt.Errorf("hashing the work tree: %w", err)
		}
	}
	store := filepath.Join(tmp, "objects")
	if err := os.Mkdir(store, 0o700); err != nil {
		return fmt.Errorf("hashing the work tree: %w", err)
	}
	env := []string{
		"GIT_INDEX_FILE=" + filepath.Join(tmp, "index"),
		"GIT_OBJECT_DIRECTORY=" + store,
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + objects,
	}
	if _, err := run(ctx, r.Top, env, "-c", "core.fsmonitor=false", "add", "--all", "--", "."); err != nil {
		return fmt.Errorf("hashing the work tree: %w", err)
	}
	tree, err := run(ctx, r.Top, env, "write-tree")
	if err != nil {
		return fmt.Errorf("hashing the work tree: %w", err)
	}
	return do(env, tree)
}

// AddWorktree checks commit out into a folder of its own and returns the
// module's folder in it. The caller must call remove, also after an error of
// its own; remove may be called twice.
func (r *Repo) AddWorktree(ctx context.Context, commit string) (module string, remove func(), err error) {
	root := filepath.Join(r.Private, "worktrees")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", nil, fmt.Errorf("making a worktree: %w", err)
	}
	dir, err := os.MkdirTemp(root, fmt.Sprintf("%d-%s-", os.Getpid(), commit[:7]))
	if err != nil {
		return "", nil, fmt.Errorf("making a worktree: %w", err)
	}
	remove = func() { r.removeWorktree(dir) }
	if _, err := r.git(ctx, "worktree", "add", "--detach", "--force", "--quiet", dir, commit); err != nil {
		remove()
		return "", nil, fmt.Errorf("checking out %s: %w", commit[:7], err)
	}
	if err := r.fillSubmodules(ctx, commit, dir); err != nil {
		remove()
		return "", nil, err
	}
	return filepath.Join(dir, r.Module), remove, nil
}

// removeWorktree must work while the run is being interrupted, so it takes no
// context. `git worktree prune` would be shorter and would also forget the
// user's own worktrees on a disk that is not mounted now.
func (r *Repo) removeWorktree(dir string) {
	ctx := context.Background()
	if _, err := r.git(ctx, "worktree", "remove", "--force", "--force", dir); err != nil {
		// What git would not remove with its files it forgets once they are gone.
		_ = os.RemoveAll(dir)
		_, _ = r.git(ctx, "worktree", "remove", "--force", "--force", dir)
	}
	_ = os.RemoveAll(dir)
	_ = os.Remove(filepath.Dir(dir))
}

// removeStale removes worktrees of runs whose process is gone.
func (r *Repo) removeStale(context.Context) {
	root := filepath.Join(r.Private, "worktrees")
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	for _, e := range entries {
		pid, _, _ := strings.Cut(e.Name(), "-")
		if n, err := strconv.Atoi(pid); err == nil && n > 0 && !Alive(n) {
			r.removeWorktree(filepath.Join(root, e.Name()))
		}
	}
}

// Alive tells whether a process of this machine is still there.
func Alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}

// IsAncestor tells whether a is an ancestor of b, or equal to it.
func (r *Repo) IsAncestor(ctx context.Context, a, b string) bool {
	_, err := r.git(ctx, "merge-base", "--is-ancestor", a, b)
	return err == nil
}

func (r *Repo) git(ctx context.Context, args ...string) (string, error) {
	return run(ctx, r.Top, nil, args...)
}

// run runs git in dir and returns its standard output without the last newline.
func run(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	out, err := output(ctx, dir, env, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

func output(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	// A hook of the repository is meant for its user's own checkouts.
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.hooksPath=" + os.DevNull}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(callersEnv(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	cmd.Env = append(cmd.Env, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if msg := strings.TrimSpace(stderr.String()); msg != "" {
			return nil, fmt.Errorf("git %s: %s", args[0], msg)
		}
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	}
	return out, nil
}

// ofAnotherRepository are the variables by which git tells its hooks which
// repository, work tree and index they were called for. Here the folder says
// that; an index left in the environment would be written over by a checkout
// into a worktree.
var ofAnotherRepository = []string{
	"GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE",
	"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
}

// callersEnv is our own environment without credentials and what belongs to
// another repository.
func callersEnv() []string {
	return slices.DeleteFunc(WithoutSecrets(os.Environ()), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(ofAnotherRepository, name)
	})
}
