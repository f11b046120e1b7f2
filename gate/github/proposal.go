package github

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
)

// A Proposal is a branch whose commits wait in one open pull request to be merged
// into another. The branch is never forced, so whoever adds to it loses nothing.
type Proposal struct {
	client *Client
	// Base is the branch to merge into, Branch the one that waits.
	Base, Branch string
	Title, Body  string
}

// Propose names a proposal. It sends nothing yet.
func (c *Client) Propose(base, branch, title, body string) *Proposal {
	return &Proposal{client: c, Base: base, Branch: branch, Title: title, Body: body}
}

// state is what is known of a proposal's branch.
type state struct {
	tip  string // empty where the branch is not there
	open *proposed
	// over: a pull request of this very commit was merged or closed, so that what
	// is on the branch has been decided on.
	over bool
}

// proposed is what a list of pull requests tells of one.
type proposed struct {
	Number  int
	State   string
	HTMLURL string `json:"html_url"`
	Head    struct {
		Ref, SHA string
		Repo     *struct {
			FullName string `json:"full_name"`
		}
	}
}

func (p *Proposal) state(ctx context.Context) (s state, err error) {
	s.tip, err = p.client.Branch(ctx, p.Branch)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	query := url.Values{
		"state": {"all"}, "base": {p.Base}, "head": {p.client.owner + ":" + p.Branch},
		// There is one at a time, so that an open one is among the newest.
		"sort": {"created"}, "direction": {"desc"}, "per_page": {"100"},
	}
	var all []proposed
	if err := p.client.get(ctx, "pulls?"+query.Encode(), &all); err != nil {
		return s, fmt.Errorf("github: looking for the pull request of %s: %w", p.Branch, err)
	}
	for i, pr := range all {
		switch {
		case pr.Head.Ref != p.Branch || pr.Head.Repo == nil || pr.Head.Repo.FullName != p.client.Repository():
		case pr.State == "open" && s.open == nil:
			s.open = &all[i]
		case pr.State != "open" && pr.Head.SHA == s.tip:
			s.over = true
		}
	}
	return s, nil
}

// Snapshot reads what the next commit goes on top of: the branch, where its
// commits wait for a decision, else Base. One that nobody has opened a pull request
// for yet waits too: its writer may be about to.
func (p *Proposal) Snapshot(ctx context.Context) (*Snapshot, error) {
	s, err := p.state(ctx)
	if err != nil {
		return nil, err
	}
	if s.tip != "" && (s.open != nil || !s.over) {
		return p.client.Snapshot(ctx, p.Branch)
	}
	base, err := p.client.Snapshot(ctx, p.Base)
	if err != nil {
		return nil, err
	}
	base.branch, base.tip = p.Branch, s.tip
	// What was left of the last pull request becomes a second parent. So the branch
	// moves forward and is not forced, whatever was merged, squashed or dropped.
	if s.tip != "" && !slices.Contains(base.parents, s.tip) {
		base.parents = append(base.parents, s.tip)
	}
	return base, nil
}

// Open makes sure that what waits on the branch is in an open pull request, and
// gives its page; empty where nothing waits.
func (p *Proposal) Open(ctx context.Context) (page string, err error) {
	s, err := p.state(ctx)
	switch {
	case err != nil:
		return "", err
	case s.open != nil:
		return s.open.HTMLURL, nil
	case s.tip == "" || s.over:
		return "", nil
	}
	merged, err := p.client.IsAncestor(ctx, s.tip, p.Base)
	if err != nil || merged {
		return "", err
	}
	var made struct {
		HTMLURL string `json:"html_url"`
	}
	err = p.client.send(ctx, http.MethodPost, "pulls", map[string]any{"title": p.Title, "body": p.Body, "head": p.Branch, "base": p.Base}, &made)
	if refusal := refusalOf(err); errors.Is(err, ErrUnknownOutcome) || refusal != nil && refusal.Status == http.StatusUnprocessableEntity {
		return p.found(ctx, err)
	}
	if errors.Is(err, ErrReadOnly) {
		err = fmt.Errorf("%w; what waits is on branch %s: allow it under Settings, Actions, General, \"Allow GitHub Actions to create and approve pull requests\", or open the pull request by hand", err, p.Branch)
	}
	if err != nil {
		return "", fmt.Errorf("github: opening a pull request of %s: %w", p.Branch, err)
	}
	return made.HTMLURL, nil
}

// found looks again after a request whose answer was lost, or which says that
// somebody else was faster.
func (p *Proposal) found(ctx context.Context, failed error) (page string, err error) {
	if err := p.client.pause(ctx); err != nil {
		return "", err
	}
	s, err := p.state(ctx)
	switch {
	case err != nil:
		return "", err
	case s.open == nil:
		return "", fmt.Errorf("github: opening a pull request of %s: %w", p.Branch, failed)
	}
	return s.open.HTMLURL, nil
}
