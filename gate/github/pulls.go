package github

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"
)

// FindPullRequest finds the one open pull request that a run measured. It asks
// for the open pull requests of the run's head branch and keeps those whose
// head commit, head repository and base repository are the run's. Anything but
// one is an *IdentityError: the same commit may be the head of two pull
// requests, and a report that guesses is worse than none.
func (c *Client) FindPullRequest(ctx context.Context, run Run) (PullRequest, error) {
	if err := c.VerifyRun(run, Expected{Events: []string{"pull_request"}, Path: run.Path}); err != nil {
		return PullRequest{}, err
	}
	owner, _, ok := strings.Cut(run.HeadRepo, "/")
	if !ok || run.HeadRepoID == 0 {
		return PullRequest{}, identity("the repository that run %d was for was deleted", run.ID)
	}
	if run.HeadBranch == "" {
		return PullRequest{}, identity("run %d names no head branch", run.ID)
	}
	open, err := pages(func(o github.ListOptions) ([]*github.PullRequest, *github.Response, error) {
		return c.api.PullRequests.List(ctx, c.owner, c.name, &github.PullRequestListOptions{
			State: "open", Head: owner + ":" + run.HeadBranch, ListOptions: o,
		})
	})
	if err != nil {
		return PullRequest{}, fmt.Errorf("github: looking for the pull request of run %d: %w", run.ID, err)
	}
	var fitting []PullRequest
	for _, found := range open {
		// GitHub leaves out a filter that it does not understand.
		if pr := pullRequest(found); pr.Open && pr.measuredBy(run) && found.GetBase().GetRepo().GetID() == run.RepoID {
			fitting = append(fitting, pr)
		}
	}
	return onlyOne(fitting, run)
}

func onlyOne(fitting []PullRequest, run Run) (PullRequest, error) {
	head := fmt.Sprintf("the head %s:%s at %.12s", run.HeadRepo, run.HeadBranch, run.HeadSHA)
	switch len(fitting) {
	case 0:
		return PullRequest{}, &IdentityError{Gone: true, Reason: fmt.Sprintf("no open pull request has %s: it was closed, or its branch moved on", head)}
	case 1:
		return fitting[0], nil
	}
	var numbers []string
	for _, pr := range fitting {
		numbers = append(numbers, fmt.Sprintf("#%d", pr.Number))
	}
	slices.Sort(numbers)
	return PullRequest{}, identity("%s is that of several pull requests: %s", head, strings.Join(numbers, ", "))
}

// measuredBy reports whether a run was for exactly this head.
func (p PullRequest) measuredBy(run Run) bool {
	return p.HeadSHA == run.HeadSHA && p.HeadRef == run.HeadBranch && p.HeadRepoID == run.HeadRepoID
}

func pullRequest(p *github.PullRequest) PullRequest {
	head, base := p.GetHead(), p.GetBase()
	return PullRequest{
		Number: p.GetNumber(), Open: p.GetState() == "open", URL: p.GetHTMLURL(),
		HeadSHA: head.GetSHA(), HeadRef: head.GetRef(), HeadRepo: head.GetRepo().GetFullName(), HeadRepoID: head.GetRepo().GetID(),
		BaseRef: base.GetRef(), BaseSHA: base.GetSHA(), DefaultBranch: base.GetRepo().GetDefaultBranch(), Fork: head.GetRepo().GetID() != base.GetRepo().GetID(),
		Author: p.GetUser().GetLogin(), authorID: p.GetUser().GetID(),
		files: p.GetChangedFiles(), commits: p.GetCommits(),
	}
}

// PullRequest reads one pull request.
func (c *Client) PullRequest(ctx context.Context, number int) (PullRequest, error) {
	p, _, err := c.api.PullRequests.Get(ctx, c.owner, c.name, number)
	if err != nil {
		return PullRequest{}, fmt.Errorf("github: reading pull request #%d: %w", number, clean(err))
	}
	if p.GetNumber() != number || !fullSHA.MatchString(p.GetHead().GetSHA()) {
		return PullRequest{}, fmt.Errorf("github: reading pull request #%d: the answer is about #%d, head %q", number, p.GetNumber(), p.GetHead().GetSHA())
	}
	return pullRequest(p), nil
}

// Recheck reads a pull request again, just before something is posted. A
// *StaleError says that it is no longer the one that was found: closed,
// retargeted, or with another head.
func (c *Client) Recheck(ctx context.Context, was PullRequest) error {
	is, err := c.PullRequest(ctx, was.Number)
	switch {
	case err != nil:
		return err
	case !is.Open:
		return &StaleError{fmt.Sprintf("pull request #%d is closed", was.Number)}
	case is.HeadSHA != was.HeadSHA || is.HeadRepoID != was.HeadRepoID || is.HeadRef != was.HeadRef:
		return &StaleError{fmt.Sprintf("pull request #%d moved on from %.12s to %.12s", was.Number, was.HeadSHA, is.HeadSHA)}
	case is.BaseRef != was.BaseRef:
		return &StaleError{fmt.Sprintf("pull request #%d was retargeted from %q to %q", was.Number, was.BaseRef, is.BaseRef)}
	}
	return nil
}

// ChangedFiles lists the paths that a pull request touches, in order; of a
// rename both names. GitHub lists no more than 3000 files: complete is false
// where it says that there are others.
func (c *Client) ChangedFiles(ctx context.Context, number int) (files []string, complete bool, err error) {
	pr, err := c.PullRequest(ctx, number)
	if err != nil {
		return nil, false, err
	}
	changed, err := pages(func(o github.ListOptions) ([]*github.CommitFile, *github.Response, error) {
		return c.api.PullRequests.ListFiles(ctx, c.owner, c.name, number, &o)
	})
	if err != nil {
		return nil, false, fmt.Errorf("github: listing the files of pull request #%d: %w", number, err)
	}
	for _, f := range changed {
		files = append(files, f.GetFilename())
		if previous := f.GetPreviousFilename(); previous != "" {
			files = append(files, previous)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), len(changed) == pr.files, nil
}

// Commits lists a pull request's commits, oldest first. GitHub lists no more
// than 250: where it says that there are others, ErrIncomplete comes with those
// that it listed.
func (c *Client) Commits(ctx context.Context, number int) ([]Commit, error) {
	pr, err := c.PullRequest(ctx, number)
	if err != nil {
		return nil, err
	}
	found, err := pages(func(o github.ListOptions) ([]*github.RepositoryCommit, *github.Response, error) {
		return c.api.PullRequests.ListCommits(ctx, c.owner, c.name, number, &o)
	})
	if err != nil {
		return nil, fmt.Errorf("github: listing the commits of pull request #%d: %w", number, err)
	}
	var commits []Commit
	for _, f := range found {
		commits = append(commits, Commit{SHA: f.GetSHA(), Tree: f.GetCommit().GetTree().GetSHA(), Message: f.GetCommit().GetMessage(), Parents: parents(f.Parents)})
	}
	if len(commits) != pr.commits {
		return commits, fmt.Errorf("github: pull request #%d has %d commits, of which GitHub lists %d: %w", number, pr.commits, len(commits), ErrIncomplete)
	}
	return commits, nil
}

// Approvals lists who approves exactly this head of a pull request, by login:
// people other than its author who may write to the repository, and whose last
// word is an approving review of that commit. A comment takes nothing back;
// a dismissal and a request for changes do.
func (c *Client) Approvals(ctx context.Context, number int, headSHA string) ([]Approval, error) {
	if err := checkSHA(headSHA); err != nil {
		return nil, err
	}
	pr, err := c.PullRequest(ctx, number)
	if err != nil {
		return nil, err
	}
	// In the order in which they were given, says GitHub.
	reviews, err := pages(func(o github.ListOptions) ([]*github.PullRequestReview, *github.Response, error) {
		return c.api.PullRequests.ListReviews(ctx, c.owner, c.name, number, &o)
	})
	if err != nil {
		return nil, fmt.Errorf("github: listing the reviews of pull request #%d: %w", number, err)
	}
	var approvals []Approval
	for login, last := range lastWords(reviews, pr.authorID) { // maprange: sorted below
		if last.GetState() != "APPROVED" || last.GetCommitID() != headSHA {
			continue
		}
		a, may, err := c.permission(ctx, login)
		if err != nil {
			return nil, err
		}
		if may {
			approvals = append(approvals, a)
		}
	}
	slices.SortFunc(approvals, func(a, b Approval) int { return cmp.Compare(a.Login, b.Login) })
	return approvals, nil
}

// lastWords are the last reviews that decide something, by login. Apps do not
// count: a workflow can have one approve.
func lastWords(reviews []*github.PullRequestReview, authorID int64) map[string]*github.PullRequestReview {
	last := map[string]*github.PullRequestReview{}
	for _, r := range reviews {
		if user := r.GetUser(); user.GetType() != "User" || user.GetID() == authorID || !userName(user.GetLogin()) {
			continue
		}
		switch r.GetState() {
		case "APPROVED", "CHANGES_REQUESTED", "DISMISSED":
			last[r.GetUser().GetLogin()] = r
		}
	}
	return last
}

// userName reports whether a login can be pasted into a path.
func userName(login string) bool {
	return login != "" && !strings.ContainsFunc(login, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

// permission asks for somebody's role; may is false where that cannot write.
func (c *Client) permission(ctx context.Context, login string) (a Approval, may bool, err error) {
	var answer struct {
		Permission string `json:"permission"`
		Role       string `json:"role_name"`
	}
	if err := c.get(ctx, "collaborators/"+login+"/permission", &answer); err != nil {
		return Approval{}, false, fmt.Errorf("github: reading the permission of %s: %w", login, err)
	}
	// The older field says write for a maintainer; a role of the organisation's
	// own making says in it what it is made from.
	a = Approval{Login: login, Permission: cmp.Or(answer.Role, answer.Permission)}
	a.Maintainer = answer.Permission == "admin" || answer.Role == "admin" || answer.Role == "maintain"
	return a, a.Maintainer || answer.Permission == "write", nil
}
