package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

// workflowRun is what the library lacks (the path) and what is read here.
type workflowRun struct {
	ID         int64             `json:"id"`
	Number     int               `json:"run_number"`
	Attempt    int               `json:"run_attempt"`
	Event      string            `json:"event"`
	Path       string            `json:"path"`
	HeadSHA    string            `json:"head_sha"`
	HeadBranch string            `json:"head_branch"`
	Conclusion string            `json:"conclusion"`
	HTMLURL    string            `json:"html_url"`
	Head       github.Repository `json:"head_repository"`
	Repo       github.Repository `json:"repository"`
}

// Run reads one run of a workflow.
func (c *Client) Run(ctx context.Context, id int64) (Run, error) {
	var r workflowRun
	if err := c.get(ctx, fmt.Sprintf("actions/runs/%d", id), &r); err != nil {
		return Run{}, fmt.Errorf("github: reading run %d: %w", id, err)
	}
	if r.ID != id {
		return Run{}, fmt.Errorf("github: reading run %d: the answer is about run %d", id, r.ID)
	}
	return Run{
		ID: r.ID, Number: r.Number, Attempt: r.Attempt, Event: r.Event, Path: workflowFile(r.Path),
		HeadSHA: r.HeadSHA, HeadBranch: r.HeadBranch, Conclusion: r.Conclusion, URL: r.HTMLURL,
		HeadRepo: r.Head.GetFullName(), HeadRepoID: r.Head.GetID(),
		Repo: r.Repo.GetFullName(), RepoID: r.Repo.GetID(),
	}, nil
}

// workflowFile takes off the ref that the API may append to a run's path. A
// workflow file may itself have an @ in its name; what follows the last one is
// a ref only if a workflow's name ends before it.
func workflowFile(path string) string {
	file, _, _ := strings.Cut(path, "@")
	if strings.HasSuffix(file, ".yml") || strings.HasSuffix(file, ".yaml") {
		return file
	}
	return path
}

// VerifyRun refuses a run of another repository, event or workflow file with an
// *IdentityError. A run's workflow is known by its file and not by its name,
// which anybody may give to another workflow.
func (c *Client) VerifyRun(run Run, want Expected) error {
	switch {
	case !strings.EqualFold(run.Repo, c.Repository()) || run.RepoID == 0:
		return identity("run %d belongs to %q and not to %s", run.ID, run.Repo, c.Repository())
	case !slices.Contains(want.Events, run.Event):
		return identity("run %d was started by %q and not by %s", run.ID, run.Event, strings.Join(want.Events, " or "))
	case run.Path != want.Path:
		return identity("run %d is of the workflow %q and not of %q", run.ID, run.Path, want.Path)
	case !fullSHA.MatchString(run.HeadSHA):
		return identity("run %d names no head commit", run.ID)
	}
	return nil
}

// Artifacts lists what a run uploaded, by id, of all its attempts.
func (c *Client) Artifacts(ctx context.Context, runID int64) ([]Artifact, error) {
	found, err := pages(func(o github.ListOptions) ([]*github.Artifact, *github.Response, error) {
		list, resp, err := c.api.Actions.ListWorkflowRunArtifacts(ctx, c.owner, c.name, runID, &o)
		if err != nil {
			return nil, resp, err
		}
		return list.Artifacts, resp, nil
	})
	if err != nil {
		return nil, fmt.Errorf("github: listing the artifacts of run %d: %w", runID, err)
	}
	var all []Artifact
	for _, a := range found {
		all = append(all, Artifact{ID: a.GetID(), Name: a.GetName(), Size: a.GetSizeInBytes(), Expired: a.GetExpired()})
	}
	slices.SortFunc(all, func(a, b Artifact) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

const (
	// downloadTimeout is for one attempt to fetch an artifact.
	downloadTimeout  = 5 * time.Minute
	downloadAttempts = 3
)

// DownloadArtifact fetches an artifact's zip of at most max bytes. The API
// redirects to a storage on another host: that one redirect is followed, and
// the token stays behind. Errors are ErrExpired, ErrTooLarge or fs.ErrNotExist
// where they apply; what arrives is hostile all the same.
func (c *Client) DownloadArtifact(ctx context.Context, id int64, max int64) ([]byte, error) {
	content, err := c.downloadArtifact(ctx, id, max)
	if err != nil {
		return nil, fmt.Errorf("github: downloading artifact %d: %w", id, err)
	}
	return content, nil
}

func (c *Client) downloadArtifact(ctx context.Context, id, max int64) ([]byte, error) {
	req, err := c.request(fmt.Sprintf("actions/artifacts/%d/zip", id))
	if err != nil {
		return nil, err
	}
	// The library's own method understands 302 alone, and follows without an eye
	// on where; so the transport is asked directly, which follows nothing.
	resp, err := c.transport.RoundTrip(req.WithContext(ctx))
	if failed := (*Error)(nil); errors.As(err, &failed) && failed.Status == http.StatusGone {
		failed.cause = ErrExpired
	}
	if err != nil {
		return nil, err
	}
	place, err := resp.Location()
	if err != nil {
		return nil, fmt.Errorf("GET %s: %s without the place to download from", req.URL.Path, resp.Status)
	}
	if place.User != nil || place.Scheme != "https" && (place.Scheme != "http" || c.transport.base.Scheme != "http") {
		return nil, fmt.Errorf("GET %s: redirected to %s, which is not https", req.URL.Path, place.Host)
	}
	return c.transport.download(ctx, place, max)
}

// download fetches from another host, without the token. The address is a
// credential by itself and stays out of errors.
func (t *transport) download(ctx context.Context, place *url.URL, max int64) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		content, passing, err := t.downloadOnce(ctx, place, max)
		if err == nil {
			return content, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !passing || attempt == downloadAttempts {
			return nil, fmt.Errorf("GET from %s: %w", place.Host, err)
		}
		if err := t.sleep(ctx, firstWait<<(attempt-1)); err != nil {
			return nil, err
		}
	}
}

func (t *transport) downloadOnce(ctx context.Context, place *url.URL, max int64) (content []byte, passing bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place.String(), nil)
	if err != nil {
		return nil, false, errors.New("the address cannot be read")
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, true, clean(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= http.StatusInternalServerError:
		return nil, true, errors.New(resp.Status)
	case resp.StatusCode == http.StatusNotFound:
		return nil, false, fmt.Errorf("%s: %w", resp.Status, ErrExpired)
	case resp.StatusCode != http.StatusOK:
		return nil, false, fmt.Errorf("%s, where a file was promised", resp.Status)
	case resp.ContentLength > max:
		return nil, false, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, resp.ContentLength, max)
	}
	content, err = readAll(resp.Body, max)
	if err == nil && len(content) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return content, !errors.Is(err, ErrTooLarge), err
}
