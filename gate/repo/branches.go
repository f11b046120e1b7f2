package repo

import (
	"context"
	"strings"
)

// MainBranch is the branch that changes are merged into, as far as a clone knows:
// the remote's, else main or master where there is one, else the one that is
// checked out. It is empty where none of these is there.
func (r *Repo) MainBranch(ctx context.Context) string {
	if ref, err := r.git(ctx, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"); err == nil {
		return strings.TrimPrefix(ref, "refs/remotes/origin/")
	}
	for _, name := range []string{"main", "master"} {
		if _, err := r.Resolve(ctx, "refs/heads/"+name); err == nil {
			return name
		}
	}
	ref, err := r.git(ctx, "symbolic-ref", "--quiet", "HEAD")
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(ref, "refs/heads/")
}
