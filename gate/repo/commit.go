package repo

import (
	"context"
	"fmt"
	"strings"
)

// Parents are the parents that a commit names, in their order, whether or not a
// shallow clone has them: git itself shows such a clone's last commit as one
// without parents.
func (r *Repo) Parents(ctx context.Context, commit string) ([]string, error) {
	text, err := r.git(ctx, "cat-file", "commit", commit)
	if err != nil {
		return nil, fmt.Errorf("reading commit %.7s: %w", commit, err)
	}
	var parents []string
	for _, line := range strings.Split(text, "\n") {
		if line == "" { // the message follows
			break
		}
		if hash, ok := strings.CutPrefix(line, "parent "); ok {
			parents = append(parents, hash)
		}
	}
	return parents, nil
}

// ChangedFiles are the files in which two commits differ, as paths below the
// work tree's root, sorted. A file that was moved counts at both places.
func (r *Repo) ChangedFiles(ctx context.Context, base, head string) ([]string, error) {
	out, err := r.git(ctx, "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--end-of-options", base, head)
	if err != nil {
		return nil, fmt.Errorf("comparing the files of %.7s and %.7s: %w", base, head, err)
	}
	out = strings.TrimSuffix(out, "\x00")
	if out == "" {
		return nil, nil
	}
	return strings.Split(out, "\x00"), nil
}
