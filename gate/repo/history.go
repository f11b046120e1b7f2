package repo

import (
	"context"
	"fmt"
	"strings"
)

// Between lists the commits after good up to and including bad, oldest first,
// along first parents: what landed on the branch, one entry for each merge. It
// fails where good is not an ancestor of bad.
func (r *Repo) Between(ctx context.Context, good, bad string) ([]string, error) {
	if !r.IsAncestor(ctx, good, bad) {
		return nil, fmt.Errorf("%.7s is no ancestor of %.7s: the history between them has no direction", good, bad)
	}
	out, err := r.git(ctx, "rev-list", "--reverse", "--first-parent", "--end-of-options", good+".."+bad)
	if err != nil {
		return nil, fmt.Errorf("listing the commits from %.7s to %.7s: %w", good, bad, err)
	}
	return strings.Fields(out), nil
}

// Subject is the first line of a commit's message.
func (r *Repo) Subject(ctx context.Context, commit string) (string, error) {
	return r.git(ctx, "log", "-1", "--format=%s", "--end-of-options", commit)
}

// EndsBefore tells whether this clone is shallow and does not hold commit, so
// that it can say nothing of where that stands in the history.
func (r *Repo) EndsBefore(ctx context.Context, commit string) bool {
	shallow, err := r.git(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil || shallow != "true" {
		return false
	}
	_, err = r.Resolve(ctx, commit)
	return err != nil
}
