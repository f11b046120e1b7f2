package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// ErrLargeFile: a file of a commit has more bytes than are read of it.
var ErrLargeFile = errors.New("larger than what is read")

// Entry is a file or folder of a commit.
type Entry struct {
	Name string
	// Mode is git's: 100644, 100755, 040000 for a folder, 120000 for a link,
	// 160000 for a submodule.
	Mode string
}

// BranchTip is the commit of a branch as this clone knows it: that of the
// remote called origin, else its own. It fails with fs.ErrNotExist where the
// clone has neither, which says nothing about the remote.
func (r *Repo) BranchTip(ctx context.Context, branch string) (string, error) {
	for _, prefix := range []string{"refs/remotes/origin/", "refs/heads/"} {
		commit, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", prefix+branch+"^{commit}")
		if err == nil {
			return commit, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
	return "", fmt.Errorf("branch %s in this clone: %w", branch, fs.ErrNotExist)
}

// List gives the entries of a folder of a commit; "." is its root.
func (r *Repo) List(ctx context.Context, commit, dir string) ([]Entry, error) {
	out, err := output(ctx, r.Top, nil, "ls-tree", "-z", "--end-of-options", treePath(commit, dir))
	if err != nil {
		return nil, fmt.Errorf("listing %s of %.7s: %w", dir, commit, err)
	}
	var entries []Entry
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if line == "" {
			continue
		}
		about, name, ok := strings.Cut(line, "\t")
		mode, _, _ := strings.Cut(about, " ")
		if !ok {
			return nil, fmt.Errorf("listing %s of %.7s: git ls-tree says %q", dir, commit, line)
		}
		entries = append(entries, Entry{name, mode})
	}
	return entries, nil
}

// ReadFile reads a file of a commit, as it was committed.
func (r *Repo) ReadFile(ctx context.Context, commit, file string, most int64) ([]byte, error) {
	object := treePath(commit, file)
	out, err := r.git(ctx, "cat-file", "-s", object)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %.7s: %w", file, commit, err)
	}
	size, err := strconv.ParseInt(out, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %.7s: git cat-file says its size is %q", file, commit, out)
	}
	if size > most {
		return nil, fmt.Errorf("%s of %.7s has %d bytes: %w", file, commit, size, ErrLargeFile)
	}
	return output(ctx, r.Top, nil, "cat-file", "blob", object)
}

// treePath names a file or folder of a commit, which is a full hash and so
// never looks like an option.
func treePath(commit, file string) string {
	if file = path.Clean(file); file == "." {
		file = ""
	}
	return commit + ":" + file
}
