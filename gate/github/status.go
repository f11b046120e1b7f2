package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"github.com/google/go-github/v60/github"
)

// SetStatus sets a commit status, replacing that of the same context. One of a
// newer order stays as it is: set is false then. As with UpsertComment there is
// no conditional write, and the workflow's concurrency group keeps two runs from
// setting one in the same second.
//
// A status has no room for a marker that nobody sees, so the order is kept in the
// query of its address, which leads to the same page with it.
//
// A token that may not write is ErrReadOnly.
func (c *Client) SetStatus(ctx context.Context, sha string, s Status, order Order) (set bool, err error) {
	target, err := orderedTarget(s.TargetURL, order)
	if err != nil {
		return false, err
	}
	standing, err := c.StatusOrder(ctx, sha, s.Context)
	if err != nil || order.Less(standing) {
		return false, err
	}
	status := &github.RepoStatus{State: &s.State, Context: &s.Context, Description: &s.Description, TargetURL: &target}
	if _, _, err := c.api.Repositories.CreateStatus(repeatable(ctx), c.owner, c.name, sha, status); err != nil {
		return false, fmt.Errorf("github: setting the status %s of %.12s: %w", s.Context, sha, clean(err))
	}
	return true, nil
}

// StatusOrder is the order of the commit status that stands: of those with this
// context by the token's own author, the one that was set last. It is zero where
// there is none, or where that one tells no order.
func (c *Client) StatusOrder(ctx context.Context, sha, name string) (Order, error) {
	if err := checkSHA(sha); err != nil {
		return Order{}, err
	}
	all, err := pages(func(o github.ListOptions) ([]*github.RepoStatus, *github.Response, error) {
		return c.api.Repositories.ListStatuses(ctx, c.owner, c.name, sha, &o)
	})
	if failed := (*Error)(nil); errors.As(err, &failed) && failed.Status == http.StatusForbidden && failed.cause == nil {
		// The permission to write is one to read as well: who may not do this may
		// not set one either.
		failed.cause = ErrReadOnly
	}
	if err != nil {
		return Order{}, fmt.Errorf("github: listing the statuses of %.12s: %w", sha, err)
	}
	own := slices.DeleteFunc(all, func(s *github.RepoStatus) bool {
		return s.GetContext() != name || s.GetCreator().GetLogin() != c.author
	})
	if len(own) == 0 {
		return Order{}, nil
	}
	last := slices.MaxFunc(own, func(a, b *github.RepoStatus) int { return cmp.Compare(a.GetID(), b.GetID()) })
	return targetOrder(last.GetTargetURL()), nil
}

// orderParameter is what the order is called in the query of an address.
const orderParameter = "perfgate"

func orderedTarget(target string, order Order) (string, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("github: %q is no address for a status", target)
	}
	query := u.Query()
	query.Set(orderParameter, fmt.Sprintf("run-%d-attempt-%d", order.Run, order.Attempt))
	u.RawQuery = query.Encode()
	return u.String(), nil
}

var orderValue = regexp.MustCompile(`^run-(\d{1,18})-attempt-(\d{1,9})$`)

// targetOrder reads the order back. An address without one is the oldest there is.
func targetOrder(target string) Order {
	u, err := url.Parse(target)
	if err != nil {
		return Order{}
	}
	fields := orderValue.FindStringSubmatch(u.Query().Get(orderParameter))
	if fields == nil {
		return Order{}
	}
	run, _ := strconv.Atoi(fields[1])
	attempt, _ := strconv.Atoi(fields[2])
	return Order{run, attempt}
}
