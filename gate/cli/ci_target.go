package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/github"
)

// The strategies of ci record.
const (
	byCommit      = "commit"
	byBranch      = "branch"
	byPullRequest = "pull-request"
)

// proposalPrefix begins the branch from which recordings wait to be merged; the
// branch that they are for follows.
const proposalPrefix = "perfgate/baselines-for-"

const proposalTitle = "Performance baselines"

const proposalBody = "What [perfgate](https://github.com/perfgate/perfgate) measured on `%s`: each commit is one recording, with the run that measured it.\n\n" +
	"Merge it, and the next measurements are compared with these. While it is open, further recordings are added to it; " +
	"when it is closed, they are dropped, and the next one begins at what `%s` has.\n"

// target is where a recording goes.
type target struct {
	place string // as perfgate.yml has it
	// branch and dir are of a place in the repository; empty for an object store.
	branch, dir string
	// folder is dir where it is beside the sources, on the branch that was pushed.
	folder string
	// orphan: the branch holds nothing else, and is made where it is not there.
	orphan   bool
	strategy string
}

// target reads from the policy of the pushed commit where measurements look for
// baselines, which is where a recording belongs.
func (c *ciRecord) target() (target, error) {
	t := target{place: c.cfg.Baseline, strategy: c.strategy}
	if t.place == "" {
		t.place = defaultBaselines
	}
	name, isBranch, err := config.Branch(t.place)
	if err != nil {
		return t, err
	}
	allowed := []string{byCommit, byPullRequest}
	switch {
	case strings.Contains(t.place, "://"):
		allowed = []string{""}
	case isBranch:
		allowed = []string{byBranch, byPullRequest}
		t.branch, t.dir, t.orphan = name, branchFolder, true
	default:
		t.branch, t.dir = c.branch, path.Join(c.module, t.place)
		t.folder = t.dir
	}
	if t.strategy == "" {
		t.strategy = allowed[0]
	}
	for _, strategy := range allowed {
		if t.strategy == strategy {
			return t, nil
		}
	}
	return t, fmt.Errorf("--strategy %s does not fit perfgate.yml, whose baselines are in %s: for a folder there are commit and pull-request, for branch:NAME branch and pull-request, for a URL none",
		t.strategy, t.place)
}

// record stores a source in its target. Where rules of the repository want a pull
// request, it is one.
func (c *ciRecord) record(ctx context.Context, src baseline.Source, to target) error {
	if to.branch == "" {
		store, err := baseline.Open(ctx, to.place, "")
		if err != nil {
			return err
		}
		defer store.Close()
		return c.recordIn(ctx, store, src, strings.TrimSuffix(to.place, "/"))
	}
	if to.strategy == byPullRequest {
		return c.propose(ctx, src, to)
	}
	store := baseline.InBranch(remoteBranch{api: c.api, name: to.branch, orphan: to.orphan}, to.dir)
	err := c.recordIn(ctx, store, src, to.shown())
	if errors.Is(err, github.ErrProtected) {
		fmt.Fprintf(c.env.Stderr, "perfgate: ci record: branch %s takes no commit from this job, so the recording becomes a pull request: %v\n", to.branch, err)
		return c.propose(ctx, src, to)
	}
	return err
}

// shown is the target for people.
func (t target) shown() string { return t.branch + ":" + t.dir }

// propose records on top of the pull request that is open, or that is opened.
func (c *ciRecord) propose(ctx context.Context, src baseline.Source, to target) error {
	p := c.api.Propose(to.branch, proposalPrefix+to.branch, proposalTitle, fmt.Sprintf(proposalBody, to.branch, to.branch))
	store := baseline.InBranch(proposedBranch{p}, to.dir)
	b, err := baseline.Record(ctx, store, src)
	if err != nil {
		return err
	}
	// Also where nothing was to be written: a recorder before may have ended
	// between its commit and its pull request.
	page, err := p.Open(ctx)
	if err != nil {
		return err
	}
	where := ""
	if page != "" {
		where = "waits to be merged: " + page
	}
	return c.tell(b, to.shown(), where)
}

func (c *ciRecord) recordIn(ctx context.Context, store baseline.Store, src baseline.Source, shown string) error {
	b, err := baseline.Record(ctx, store, src)
	if err != nil {
		return err
	}
	return c.tell(b, shown, "")
}

// tell says what was recorded, in the log and in the job summary. The names in it
// are those that can name a folder.
func (c *ciRecord) tell(b *baseline.Baseline, shown, where string) error {
	m := &b.Manifest
	text := fmt.Sprintf("%.12s is recording %d of %s/%s/%s", m.Commit, m.Record, shown, m.Suite, m.Machine.ClassID)
	if m.Commit != c.commit {
		text += fmt.Sprintf("; %.12s is before it, and its ratios are in the ledger", c.commit)
	}
	if where != "" {
		text += "; " + where
	}
	fmt.Fprintln(c.env.Stdout, text)
	return c.runner.AddSummary("### perfgate baseline\n\n" + text + "\n")
}

// remoteBranch is a branch of the repository on GitHub.
type remoteBranch struct {
	api    *github.Client
	name   string
	orphan bool
}

func (b remoteBranch) String() string { return b.name }

func (b remoteBranch) Tip(ctx context.Context) (baseline.Tree, error) {
	s, err := b.api.Snapshot(ctx, b.name)
	if errors.Is(err, fs.ErrNotExist) && !b.orphan {
		// It was pushed to a moment ago: this is no place without baselines.
		return nil, fmt.Errorf("branch %s is gone", b.name)
	}
	if err != nil {
		return nil, err
	}
	return snapshotTree{s}, nil
}

func (b remoteBranch) Commit(ctx context.Context, tip baseline.Tree, files map[string][]byte, message string) error {
	on := b.api.Orphan(b.name)
	if tip != nil {
		on = tip.(snapshotTree).Snapshot
	}
	return commitOn(ctx, on, files, message)
}

// proposedBranch is a branch whose recordings wait to be merged.
type proposedBranch struct{ *github.Proposal }

func (b proposedBranch) String() string { return b.Base }

func (b proposedBranch) Tip(ctx context.Context) (baseline.Tree, error) {
	s, err := b.Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("branch %s is not there, and a pull request needs it: push it once, with any file on it", b.Base)
	}
	if err != nil {
		return nil, err
	}
	return snapshotTree{s}, nil
}

func (b proposedBranch) Commit(ctx context.Context, tip baseline.Tree, files map[string][]byte, message string) error {
	return commitOn(ctx, tip.(snapshotTree).Snapshot, files, message)
}

func commitOn(ctx context.Context, on *github.Snapshot, files map[string][]byte, message string) error {
	_, err := on.Commit(ctx, files, message)
	if errors.Is(err, github.ErrMoved) {
		err = fmt.Errorf("%w: %w", baseline.ErrMoved, err)
	}
	return err
}

// snapshotTree is what a branch on GitHub was when it was read.
type snapshotTree struct{ *github.Snapshot }

func (t snapshotTree) List(ctx context.Context, dir string) ([]baseline.TreeEntry, error) {
	entries, err := t.Snapshot.List(ctx, dir)
	if err != nil {
		return nil, err
	}
	var all []baseline.TreeEntry
	for _, e := range entries {
		all = append(all, baseline.TreeEntry{Name: e.Name, Kind: entryKind(e.Mode)})
	}
	return all, nil
}

func (t snapshotTree) Read(ctx context.Context, file string, most int64) ([]byte, error) {
	data, err := t.Snapshot.Read(ctx, file, most)
	if errors.Is(err, github.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", baseline.ErrTooLarge, err)
	}
	return data, err
}
