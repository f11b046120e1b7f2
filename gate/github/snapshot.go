package github

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// A Snapshot is the files of a branch as it was when it was read, and what a
// commit on top of it needs.
type Snapshot struct {
	client *Client
	branch string
	// tip is what the branch was; empty where there was none.
	tip string
	// parents and tree are of the next commit.
	parents []string
	tree    string
	// folders are the listings that were read, by path.
	folders map[string][]TreeEntry
}

// Snapshot reads a branch, or fails with fs.ErrNotExist.
func (c *Client) Snapshot(ctx context.Context, branch string) (*Snapshot, error) {
	tip, err := c.Branch(ctx, branch)
	if err != nil {
		return nil, err
	}
	commit, err := c.Commit(ctx, tip)
	if err != nil {
		return nil, fmt.Errorf("github: reading branch %s: %w", branch, err)
	}
	return &Snapshot{client: c, branch: branch, tip: tip, parents: []string{tip}, tree: commit.Tree}, nil
}

// Orphan is the snapshot of a branch that is not there yet: its first commit has
// no parent.
func (c *Client) Orphan(branch string) *Snapshot { return &Snapshot{client: c, branch: branch} }

// List gives the entries of a folder; "." is the root. It fails with
// fs.ErrNotExist where there is no such folder.
func (s *Snapshot) List(ctx context.Context, dir string) ([]TreeEntry, error) {
	dir = path.Clean(dir)
	if entries, read := s.folders[dir]; read || s.tree == "" && dir == "." {
		return entries, nil
	}
	sha := s.tree
	if dir != "." {
		e, err := s.entry(ctx, dir)
		if err != nil {
			return nil, err
		}
		if e.Mode != folderMode {
			return nil, fmt.Errorf("%s is no folder", dir)
		}
		sha = e.SHA
	}
	entries, err := s.client.Tree(ctx, sha)
	if err != nil {
		return nil, err
	}
	if s.folders == nil {
		s.folders = map[string][]TreeEntry{}
	}
	s.folders[dir] = entries
	return entries, nil
}

func (s *Snapshot) entry(ctx context.Context, name string) (TreeEntry, error) {
	entries, err := s.List(ctx, path.Dir(name))
	if err != nil {
		return TreeEntry{}, err
	}
	i := slices.IndexFunc(entries, func(e TreeEntry) bool { return e.Name == path.Base(name) })
	if i < 0 {
		return TreeEntry{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return entries[i], nil
}

// Read reads a file; ErrTooLarge past max bytes.
func (s *Snapshot) Read(ctx context.Context, file string, max int64) ([]byte, error) {
	e, err := s.entry(ctx, path.Clean(file))
	if err != nil {
		return nil, err
	}
	if e.Size > max {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d are read", file, ErrTooLarge, e.Size, max)
	}
	return s.client.Blob(ctx, e.SHA, max)
}

// Commit puts files, by path, on top and moves the branch there: ErrMoved where
// the branch is no longer what was read, ErrProtected where it wants another way.
func (s *Snapshot) Commit(ctx context.Context, files map[string][]byte, message string) (sha string, err error) {
	sha, err = s.client.CreateCommit(ctx, NewCommit{Tree: s.tree, Files: files, Parents: s.parents, Message: message})
	if err != nil {
		return "", err
	}
	return sha, s.client.MoveBranch(ctx, s.branch, s.tip, sha)
}
