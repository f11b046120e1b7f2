package github

import (
	"context"
	"errors"
)

var errSkeleton = errors.New("github: being written")

// Run reads one run of a workflow.
func (c *Client) Run(ctx context.Context, id int64) (Run, error) { return Run{}, errSkeleton }

// VerifyRun refuses a run of another repository, event or workflow file.
func (c *Client) VerifyRun(run Run, want Expected) error { return errSkeleton }

// FindPullRequest finds the one open pull request that a run measured.
func (c *Client) FindPullRequest(ctx context.Context, run Run) (PullRequest, error) {
	return PullRequest{}, errSkeleton
}

// PullRequest reads one pull request.
func (c *Client) PullRequest(ctx context.Context, number int) (PullRequest, error) {
	return PullRequest{}, errSkeleton
}

// Recheck reads a pull request again; a *StaleError says that it moved on.
func (c *Client) Recheck(ctx context.Context, pr PullRequest) error { return errSkeleton }

// ChangedFiles lists what a pull request touches, old names of renames included.
func (c *Client) ChangedFiles(ctx context.Context, number int) (files []string, complete bool, err error) {
	return nil, false, errSkeleton
}

// Commits lists a pull request's commits, oldest first; ErrIncomplete past GitHub's limit of 250.
func (c *Client) Commits(ctx context.Context, number int) ([]Commit, error) { return nil, errSkeleton }

// Commit reads one commit.
func (c *Client) Commit(ctx context.Context, sha string) (Commit, error) {
	return Commit{}, errSkeleton
}

// File reads a file at a ref; fs.ErrNotExist where it is absent, ErrTooLarge past max bytes.
func (c *Client) File(ctx context.Context, path, ref string, max int64) ([]byte, error) {
	return nil, errSkeleton
}

// FindComment finds our comment on a pull request.
func (c *Client) FindComment(ctx context.Context, number int, marker string) (comment Comment, found bool, err error) {
	return Comment{}, false, errSkeleton
}

// UpsertComment makes our one comment say body, unless it is of a newer run.
func (c *Client) UpsertComment(ctx context.Context, number int, marker, body string, order Order) (url string, posted bool, err error) {
	return "", false, errSkeleton
}

// SetStatus sets a commit status.
func (c *Client) SetStatus(ctx context.Context, sha string, s Status) error { return errSkeleton }

// CreateCheckRun creates a completed check run.
func (c *Client) CreateCheckRun(ctx context.Context, sha string, run CheckRun) error {
	return errSkeleton
}

// Approvals lists the approving reviews of exactly this head.
func (c *Client) Approvals(ctx context.Context, number int, headSHA string) ([]Approval, error) {
	return nil, errSkeleton
}

// Artifacts lists what a run uploaded.
func (c *Client) Artifacts(ctx context.Context, runID int64) ([]Artifact, error) {
	return nil, errSkeleton
}

// DownloadArtifact fetches an artifact's zip of at most max bytes.
func (c *Client) DownloadArtifact(ctx context.Context, id int64, max int64) ([]byte, error) {
	return nil, errSkeleton
}

// IsAncestor reports whether base is head or an ancestor of it.
func (c *Client) IsAncestor(ctx context.Context, base, head string) (bool, error) {
	return false, errSkeleton
}
