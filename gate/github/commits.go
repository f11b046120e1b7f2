package github

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-github/v60/github"
)

// Commit reads one commit.
func (c *Client) Commit(ctx context.Context, sha string) (Commit, error) {
	if err := checkSHA(sha); err != nil {
		return Commit{}, err
	}
	found, _, err := c.api.Git.GetCommit(ctx, c.owner, c.name, sha)
	if err != nil {
		return Commit{}, fmt.Errorf("github: reading commit %.12s: %w", sha, clean(err))
	}
	if found.GetSHA() != sha {
		return Commit{}, fmt.Errorf("github: reading commit %.12s: the answer is about %q", sha, found.GetSHA())
	}
	return Commit{SHA: sha, Tree: found.GetTree().GetSHA(), Message: found.GetMessage(), Parents: parents(found.Parents)}, nil
}

func parents(commits []*github.Commit) []string {
	var all []string
	for _, p := range commits {
		all = append(all, p.GetSHA())
	}
	return all
}

// IsAncestor reports whether base is head or an ancestor of it. Both are a
// commit's SHA or the name of a branch.
func (c *Client) IsAncestor(ctx context.Context, base, head string) (bool, error) {
	for _, ref := range []string{base, head} {
		if ref == "" || strings.Contains(ref, "..") || strings.HasPrefix(ref, "-") {
			return false, fmt.Errorf("github: %q names no commit", ref)
		}
	}
	found, _, err := c.api.Repositories.CompareCommits(ctx, c.owner, c.name, base, head, &github.ListOptions{PerPage: 1})
	if err = clean(err); err != nil {
		var failed *Error
		if errors.As(err, &failed) && failed.Status == http.StatusNotFound && strings.Contains(failed.Message, "No common ancestor") {
			return false, nil
		}
		return false, fmt.Errorf("github: comparing %.40s with %.40s: %w", base, head, err)
	}
	switch found.GetStatus() {
	case "ahead", "identical":
		return true, nil
	case "behind", "diverged":
		return false, nil
	}
	return false, fmt.Errorf("github: comparing %.40s with %.40s: unknown answer %q", base, head, found.GetStatus())
}

// content is one answer of the contents API, of the blobs API the last three.
type content struct {
	Type     string `json:"type"`
	SHA      string `json:"sha"`
	Size     int64  `json:"size"`
	Encoding string `json:"encoding"`
	Content  string `json:"content"`
}

// File reads a file at a ref, which is a commit's SHA or a branch; fs.ErrNotExist
// where it is absent, ErrTooLarge past max bytes. What is no file, such as a
// directory, is an error. A symlink inside the repository reads as the file
// that it points to, which is how GitHub answers.
func (c *Client) File(ctx context.Context, path, ref string, max int64) ([]byte, error) {
	data, err := c.file(ctx, path, ref, max)
	if err != nil {
		return nil, fmt.Errorf("github: reading %s at %.40s: %w", path, ref, err)
	}
	return data, nil
}

func (c *Client) file(ctx context.Context, path, ref string, max int64) ([]byte, error) {
	// An empty ref would be the default branch, and .. another endpoint.
	if ref == "" || !fs.ValidPath(path) || path == "." {
		return nil, errors.New("that is no path and ref in a repository")
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	ctx = withLimit(ctx, base64Size(max))
	var raw json.RawMessage
	if err := c.get(ctx, "contents/"+strings.Join(segments, "/")+"?ref="+url.QueryEscape(ref), &raw); err != nil {
		return nil, err
	}
	var found content
	if bytes.HasPrefix(raw, []byte("[")) {
		return nil, errors.New("it is a directory")
	}
	if err := json.Unmarshal(raw, &found); err != nil {
		return nil, err
	}
	if found.Type != "file" {
		return nil, fmt.Errorf("it is a %.20q and not a file", found.Type)
	}
	if found.Size > max {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, found.Size, max)
	}
	// Past 1 MB only the blobs API sends the content.
	if found.Encoding == "none" {
		if err := checkSHA(found.SHA); err != nil {
			return nil, err
		}
		if err := c.get(ctx, "git/blobs/"+found.SHA, &found); err != nil {
			return nil, err
		}
	}
	return found.decode()
}

// base64Size is how long an answer with max bytes in base64 may be: 4 for 3,
// two for each line's end, and the other fields.
func base64Size(max int64) int64 { return max*4/3 + max/15 + 64<<10 }

func (f content) decode() ([]byte, error) {
	if f.Encoding != "base64" {
		return nil, fmt.Errorf("its content is encoded as %.20q", f.Encoding)
	}
	// The decoder skips the newlines that GitHub puts in.
	data, err := base64.StdEncoding.DecodeString(f.Content)
	if err == nil && int64(len(data)) != f.Size {
		err = fmt.Errorf("%d bytes came of %d", len(data), f.Size)
	}
	return data, err
}

// postsMax is how often a POST is sent whose outcome stays unknown.
const postsMax = 3

// CreateCheckRun creates a completed check run, once: where the outcome of a
// request is unknown, it is looked for before it is created again.
func (c *Client) CreateCheckRun(ctx context.Context, sha string, run CheckRun) error {
	if err := checkSHA(sha); err != nil {
		return err
	}
	options := run.options(sha)
	for attempt := 1; ; attempt++ {
		_, _, err := c.api.Checks.CreateCheckRun(ctx, c.owner, c.name, options)
		if err = clean(err); err == nil {
			return nil
		}
		if attempt == postsMax || !errors.Is(err, ErrUnknownOutcome) {
			return fmt.Errorf("github: creating the check run %s of %.12s: %w", run.Name, sha, err)
		}
		if err := c.pause(ctx); err != nil {
			return err
		}
		if created, err := c.hasCheckRun(ctx, sha, options); err != nil || created {
			return err
		}
	}
}

// options are the request for a run; its external id is made from all of it, so
// that it can be found again.
func (run CheckRun) options(sha string) github.CreateCheckRunOptions {
	o := github.CreateCheckRunOptions{
		Name: run.Name, HeadSHA: sha, Status: github.String("completed"), Conclusion: &run.Conclusion,
		Output: &github.CheckRunOutput{Title: &run.Title, Summary: &run.Summary},
	}
	if run.DetailsURL != "" {
		o.DetailsURL = &run.DetailsURL
	}
	for _, a := range run.Annotations {
		o.Output.Annotations = append(o.Output.Annotations, &github.CheckRunAnnotation{
			Path: &a.Path, StartLine: &a.Line, EndLine: &a.Line, AnnotationLevel: &a.Level, Title: &a.Title, Message: &a.Message,
		})
	}
	identity, _ := json.Marshal(o) // Strings and numbers always marshal.
	o.ExternalID = github.String(fmt.Sprintf("perfgate-%x", sha256.Sum256(identity)))
	return o
}

func (c *Client) hasCheckRun(ctx context.Context, sha string, o github.CreateCheckRunOptions) (bool, error) {
	runs, err := pages(func(page github.ListOptions) ([]*github.CheckRun, *github.Response, error) {
		list, resp, err := c.api.Checks.ListCheckRunsForRef(ctx, c.owner, c.name, sha, &github.ListCheckRunsOptions{
			CheckName: &o.Name, Filter: github.String("all"), ListOptions: page,
		})
		if err != nil {
			return nil, resp, err
		}
		return list.CheckRuns, resp, nil
	})
	if err != nil {
		return false, fmt.Errorf("github: looking for the check run %s of %.12s: %w", o.Name, sha, err)
	}
	for _, run := range runs {
		if run.GetExternalID() == *o.ExternalID {
			return true, nil
		}
	}
	return false, nil
}
