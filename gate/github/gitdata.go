package github

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// What happens to those who write to a branch.
var (
	// ErrMoved: the branch is no longer what it was when it was read.
	ErrMoved = errors.New("the branch has moved")
	// ErrProtected: rules of the repository want another way than a direct update,
	// such as a pull request.
	ErrProtected = errors.New("the branch is protected")
)

// A TreeEntry is one name of a folder of a commit.
type TreeEntry struct {
	Name string
	// Mode is git's: 100644, 100755, 040000 for a folder, 120000 for a link,
	// 160000 for a submodule.
	Mode string
	SHA  string
	Size int64 // of a file
}

const folderMode = "040000"

// Branch is the commit that a branch points at, or fs.ErrNotExist.
func (c *Client) Branch(ctx context.Context, name string) (sha string, err error) {
	var ref struct {
		Ref    string
		Object struct{ SHA string }
	}
	if err := c.get(ctx, "git/ref/heads/"+escaped(name), &ref); err != nil {
		return "", fmt.Errorf("github: reading branch %s: %w", name, explainEmpty(err))
	}
	if ref.Ref != "refs/heads/"+name {
		return "", fmt.Errorf("github: reading branch %s: GitHub answers with %.200q", name, ref.Ref)
	}
	return ref.Object.SHA, checkSHA(ref.Object.SHA)
}

// explainEmpty: GitHub's git API does nothing in a repository without a commit.
func explainEmpty(err error) error {
	if refusal := refusalOf(err); refusal != nil && refusal.Status == http.StatusConflict && strings.Contains(refusal.Message, "is empty") {
		return fmt.Errorf("%w: push a first commit, which nothing but git and the web page can make", err)
	}
	return err
}

// escaped makes a branch's name, whose slashes stay, part of a path.
func escaped(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// Tree lists one folder, by the hash of its tree.
func (c *Client) Tree(ctx context.Context, sha string) ([]TreeEntry, error) {
	if err := checkSHA(sha); err != nil {
		return nil, err
	}
	var tree struct {
		Tree []struct {
			Path, Mode, SHA string
			Size            int64
		}
		Truncated bool
	}
	if err := c.get(ctx, "git/trees/"+sha, &tree); err != nil {
		return nil, fmt.Errorf("github: reading tree %.7s: %w", sha, err)
	}
	if tree.Truncated {
		return nil, fmt.Errorf("github: reading tree %.7s: %w", sha, ErrIncomplete)
	}
	entries := make([]TreeEntry, len(tree.Tree))
	for i, e := range tree.Tree {
		entries[i] = TreeEntry{Name: e.Path, Mode: e.Mode, SHA: e.SHA, Size: e.Size}
	}
	return entries, nil
}

// Blob reads a file by its hash; ErrTooLarge past max bytes.
func (c *Client) Blob(ctx context.Context, sha string, max int64) ([]byte, error) {
	if err := checkSHA(sha); err != nil {
		return nil, err
	}
	var blob content
	err := c.get(withLimit(ctx, base64Size(max)), "git/blobs/"+sha, &blob)
	if err == nil && blob.Size > max {
		err = fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, blob.Size, max)
	}
	var data []byte
	if err == nil {
		data, err = blob.decode()
	}
	if err != nil {
		return nil, fmt.Errorf("github: reading blob %.7s: %w", sha, err)
	}
	return data, nil
}

// NewCommit is a commit to be made.
type NewCommit struct {
	// Tree is the tree that Files, by path, are put into; empty for one that
	// holds nothing else.
	Tree    string
	Files   map[string][]byte
	Parents []string
	Message string
}

// CreateCommit makes a commit that no branch points at yet. Made twice, none of
// it does any harm.
func (c *Client) CreateCommit(ctx context.Context, n NewCommit) (sha string, err error) {
	ctx = repeatable(ctx)
	type entry struct {
		Path string `json:"path"`
		Mode string `json:"mode"`
		Type string `json:"type"`
		SHA  string `json:"sha"`
	}
	tree := struct {
		BaseTree string  `json:"base_tree,omitempty"`
		Tree     []entry `json:"tree"`
	}{BaseTree: n.Tree}
	for _, path := range slices.Sorted(maps.Keys(n.Files)) {
		blob := map[string]string{"content": base64.StdEncoding.EncodeToString(n.Files[path]), "encoding": "base64"}
		sha, err := c.create(ctx, "git/blobs", blob)
		if err != nil {
			return "", fmt.Errorf("github: storing %s: %w", path, explainEmpty(err))
		}
		tree.Tree = append(tree.Tree, entry{path, "100644", "blob", sha})
	}
	treeSHA, err := c.create(ctx, "git/trees", tree)
	if err != nil {
		return "", fmt.Errorf("github: storing a tree: %w", err)
	}
	commit := struct {
		Message string   `json:"message"`
		Tree    string   `json:"tree"`
		Parents []string `json:"parents"`
	}{n.Message, treeSHA, append([]string{}, n.Parents...)}
	sha, err = c.create(ctx, "git/commits", commit)
	if err != nil {
		return "", fmt.Errorf("github: storing a commit: %w", err)
	}
	return sha, nil
}

// create posts a git object and gives its hash.
func (c *Client) create(ctx context.Context, path string, object any) (sha string, err error) {
	var made struct{ SHA string }
	if err := c.send(ctx, http.MethodPost, path, object, &made); err != nil {
		return "", err
	}
	return made.SHA, checkSHA(made.SHA)
}

// MoveBranch points a branch at a commit that was made on top of what it was, and
// never forces it: ErrMoved where it is something else by now, ErrProtected where
// the repository's rules refuse it. With an empty from the branch is created.
func (c *Client) MoveBranch(ctx context.Context, name, from, to string) error {
	var err error
	if from == "" {
		ref := map[string]any{"ref": "refs/heads/" + name, "sha": to}
		err = c.send(ctx, http.MethodPost, "git/refs", ref, nil)
	} else {
		err = c.send(ctx, http.MethodPatch, "git/refs/heads/"+escaped(name), map[string]any{"sha": to, "force": false}, nil)
	}
	if errors.Is(err, ErrUnknownOutcome) {
		return c.checkMoved(ctx, name, to, err)
	}
	if err != nil {
		return fmt.Errorf("github: moving branch %s: %w", name, updateError(err))
	}
	return nil
}

// checkMoved looks for what a request did whose answer was lost.
func (c *Client) checkMoved(ctx context.Context, name, to string, lost error) error {
	if err := c.pause(ctx); err != nil {
		return err
	}
	at, err := c.Branch(ctx, name)
	switch {
	case err == nil && at == to:
		return nil
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("github: moving branch %s: %w: %w", name, ErrMoved, lost)
	}
	return fmt.Errorf("github: moving branch %s: %w", name, lost)
}

// GitHub's words where it refuses the update of a branch. It has no codes for
// them, and changes the status between 403, 409 and 422. What none of them fits
// stays the error that it is.
var (
	movedWords     = []string{"not a fast forward", "reference already exists", "reference does not exist", "cannot lock ref"}
	protectedWords = []string{
		"protected branch", "protected ref", "rule violation", "through a pull request", "review is required", "reviews are required",
		"status check", "not authorized to push", "reference update failed", "signature", "merge queue",
	}
)

func updateError(err error) error {
	refusal := refusalOf(err)
	if refusal == nil || !slices.Contains([]int{http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity}, refusal.Status) {
		return err
	}
	message := strings.ToLower(refusal.Message)
	has := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(message, w) })
	}
	switch {
	case has(movedWords):
		return fmt.Errorf("%w: %w", ErrMoved, err)
	case has(protectedWords):
		return fmt.Errorf("%w: %w", ErrProtected, err)
	}
	return err
}

// refusalOf is what GitHub answered, or nil where it did not.
func refusalOf(err error) *Error {
	var refusal *Error
	if !errors.As(err, &refusal) {
		return nil
	}
	return refusal
}

// send sends a request with a body below the repository.
func (c *Client) send(ctx context.Context, method, path string, body, into any) error {
	req, err := c.api.NewRequest(method, "repos/"+c.owner+"/"+c.name+"/"+path, body)
	if err != nil {
		return err
	}
	_, err = c.api.Do(ctx, req, into)
	return clean(err)
}
