package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/repo"
)

// branchFolder is where a branch for baselines keeps them: beside them there is
// room for a page that says what the branch is.
const branchFolder = "baselines"

// openPlace opens a place of baselines: a folder relative to dir, a URL, or
// branch:NAME, which is read from the clone around the working folder.
func (e *Env) openPlace(ctx context.Context, place, dir string) (baseline.Store, error) {
	name, isBranch, err := config.Branch(place)
	switch {
	case err != nil:
		return nil, err
	case !isBranch:
		return baseline.Open(ctx, place, dir)
	}
	r, err := repo.Open(ctx, e.Dir)
	if err != nil {
		return nil, err
	}
	return baseline.InBranch(clonedBranch{r, name}, branchFolder), nil
}

// clonedBranch is a branch as a clone knows it. It can be read; what is
// committed there would be known to nobody else.
type clonedBranch struct {
	repo *repo.Repo
	name string
}

func (b clonedBranch) String() string { return "branch:" + b.name }

// Tip never finds an absence: a clone that has no such branch was not told
// whether there is one.
func (b clonedBranch) Tip(ctx context.Context) (baseline.Tree, error) {
	commit, err := b.repo.BranchTip(ctx, b.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this clone has no branch %s: `git fetch origin %s:refs/remotes/origin/%s` brings it", b.name, b.name, b.name)
	}
	if err != nil {
		return nil, err
	}
	return clonedTree{b.repo, commit}, nil
}

func (b clonedBranch) Commit(context.Context, baseline.Tree, map[string][]byte, string) error {
	return fmt.Errorf("a branch is recorded to by `perfgate ci record`; by hand, check it out, name its folder %s with --baseline, commit and push", branchFolder)
}

type clonedTree struct {
	repo   *repo.Repo
	commit string
}

func (t clonedTree) List(ctx context.Context, dir string) ([]baseline.TreeEntry, error) {
	entries, err := t.repo.List(ctx, t.commit, dir)
	if err != nil {
		return nil, err
	}
	var all []baseline.TreeEntry
	for _, e := range entries {
		all = append(all, baseline.TreeEntry{Name: e.Name, Kind: entryKind(e.Mode)})
	}
	return all, nil
}

func (t clonedTree) Read(ctx context.Context, file string, most int64) ([]byte, error) {
	data, err := t.repo.ReadFile(ctx, t.commit, file, most)
	if errors.Is(err, repo.ErrLargeFile) {
		return nil, fmt.Errorf("%w: %w", baseline.ErrTooLarge, err)
	}
	return data, err
}

// entryKind is what git's mode says of an entry.
func entryKind(mode string) baseline.EntryKind {
	switch mode {
	case "040000":
		return baseline.FolderEntry
	case "100644", "100755":
		return baseline.FileEntry
	}
	return baseline.OtherEntry
}
