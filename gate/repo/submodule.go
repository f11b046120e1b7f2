package repo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// CheckSubmodules refuses a work tree with a submodule whose state no commit
// records: what was measured could never be named again.
func (r *Repo) CheckSubmodules(ctx context.Context) error {
	out, err := r.git(ctx, "status", "--porcelain=v2", "--ignore-submodules=none", "--untracked-files=no")
	if err != nil {
		return err
	}
	for _, line := range strings.Split(out, "\n") {
		// "1 .M S.M. <modes> <hashes> path": the third field is S<c><m><u> for a
		// submodule with another commit, modified files, untracked files.
		f := strings.SplitN(line, " ", 9)
		if len(f) < 9 || f[0] != "1" || len(f[2]) != 4 || f[2][0] != 'S' {
			continue
		}
		if f[2] != "S..." {
			return fmt.Errorf("%w: submodule %q is dirty (another commit, or changed files); commit it and record it in the parent, or run `git submodule update`", ErrSubmodule, f[8])
		}
	}
	return nil
}

// fillSubmodules exports into dir the submodules that are checked out in the
// work tree, at the commits that commit records for them. One that is not
// checked out stays empty on both sides.
func (r *Repo) fillSubmodules(ctx context.Context, commit, dir string) error {
	out, err := output(ctx, r.Top, nil, "ls-tree", "-r", "-z", "--full-tree", commit)
	if err != nil {
		return err
	}
	for _, entry := range bytes.Split(out, []byte{0}) {
		meta, path, ok := strings.Cut(string(entry), "\t")
		f := strings.Fields(meta)
		if !ok || len(f) != 3 || f[1] != "commit" {
			continue
		}
		source := filepath.Join(r.Top, path)
		if _, err := os.Stat(filepath.Join(source, ".git")); err != nil {
			continue
		}
		if err := export(ctx, source, f[2], filepath.Join(dir, path)); err != nil {
			return fmt.Errorf("%w: %q at %s, which %s records: %w; run `git submodule update` or `git -C %s fetch`",
				ErrSubmodule, path, f[2][:7], commit[:7], err, path)
		}
	}
	return nil
}

// export writes the files of a commit into dir without touching the
// repository's own index.
func export(ctx context.Context, source, commit, dir string) error {
	tmp, err := os.MkdirTemp("", "perfgate-index-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(tmp, "index")}
	if _, err := run(ctx, source, env, "read-tree", commit); err != nil {
		return err
	}
	_, err = run(ctx, source, env, "checkout-index", "--all", "--force", "--prefix="+dir+string(filepath.Separator))
	return err
}
