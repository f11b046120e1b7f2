package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/actions"
	"github.com/perfgate/perfgate/gate/artifact"
	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// ciRecord is one run of ci record: the part of a check that may write to the
// repository. It runs after a push, without a checkout, and runs nothing of what
// was measured.
type ciRecord struct {
	env      *Env
	runner   actions.Runner
	api      *github.Client
	results  string // folder of the downloaded results
	module   string // folder of the module in the repository
	config   string // path of the policy in the module
	strategy string // "", or one of the strategies

	branch string // that was pushed to
	commit string // that was pushed, and measured
	cfg    *config.Config
}

// ciRecordTimeout ends the command where an answer of the API does not.
const ciRecordTimeout = 15 * time.Minute

// errNotRecordable: what was measured cannot be a baseline, because it was not
// measured whole.
var errNotRecordable = errors.New("nothing is recorded")

// runCIRecord stores what the measuring jobs of the same run have found.
func runCIRecord(ctx context.Context, env *Env, args []string) int {
	c := ciRecord{env: env}
	fs := flag.NewFlagSet("ci record", flag.ContinueOnError)
	fs.StringVar(&c.results, "results-dir", "", "the results of all shards were downloaded to `DIR` (default: perfgate-results in the runner's folder for temporary files)")
	fs.StringVar(&c.module, "module", ".", "the module is in the folder `DIR` of the repository")
	fs.StringVar(&c.config, "config", configFile, "read the policy from `PATH` of the pushed commit; relative to the module")
	fs.StringVar(&c.strategy, "strategy", "", "store by `WAY`: commit (to the pushed branch), branch, or pull-request (default: commit where the place of baselines is a folder, branch where it is branch:NAME)")
	fs.Usage = env.usageOf(fs, "ci record [flags]", "Stores what the measuring jobs of this run have found as the baseline of the commit that was\npushed. It is a step of a workflow on push, and takes the token from GITHUB_TOKEN.")
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	c.runner = actions.New(env.Getenv)
	if err := c.open(); err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("ci record: %w", err))
	}
	unfence, err := env.fence(c.runner)
	if err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	defer unfence()
	ctx, cancel := context.WithTimeout(ctx, ciRecordTimeout)
	defer cancel()
	if err := c.do(ctx); err != nil {
		return env.fail(recordCode(err), fmt.Errorf("ci record: %w", err))
	}
	return verdict.ExitPass
}

// recordCode tells what was refused from what could not be carried out, or was
// not there to be carried out.
func recordCode(err error) int {
	var answer *github.Error
	if errors.Is(err, errNotRecordable) || errors.Is(err, baseline.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &answer) {
		return verdict.ExitNotMeasured
	}
	return verdict.ExitUsage
}

// open checks the flags and makes the client.
func (c *ciRecord) open() error {
	for _, p := range []string{c.module, c.config} {
		if p != path.Clean(p) || !filepath.IsLocal(filepath.FromSlash(p)) {
			return fmt.Errorf("%q is no plain path inside the repository", p)
		}
	}
	if !c.runner.On {
		return errors.New("this command is a step of a workflow; elsewhere, `perfgate baseline record` stores a bundle")
	}
	if c.results == "" {
		c.results = filepath.Join(c.runner.Temp, resultsName)
	}
	c.results = c.env.path(c.results)
	token := c.env.Getenv("GITHUB_TOKEN")
	if token == "" {
		return errors.New("GITHUB_TOKEN is not set: pass the job's token to this step")
	}
	var err error
	c.api, err = github.New(github.Options{
		APIURL: c.runner.APIURL, Repository: c.runner.Repository, Token: token,
		UserAgent: strings.ReplaceAll(toolVersion(), " ", "/"),
	})
	return err
}

func (c *ciRecord) do(ctx context.Context) error {
	if err := c.identify(ctx); err != nil {
		return err
	}
	b, err := c.bundle()
	if err != nil {
		return err
	}
	if err := c.checkIdentity(ctx, &b.Manifest); err != nil {
		return err
	}
	if err := c.checkVerdict(ctx, b); err != nil {
		return err
	}
	target, err := c.target()
	if err != nil {
		return err
	}
	src, err := c.source(ctx, b, target)
	if err != nil {
		return err
	}
	return c.record(ctx, src, target)
}

// identify finds out what was pushed. Only a push is recorded: what a pull request
// measured was measured by its own code.
func (c *ciRecord) identify(ctx context.Context) error {
	event, err := c.runner.Event()
	if err != nil {
		return err
	}
	if event.Push == nil {
		return fmt.Errorf("the event is %q: only what was pushed to a branch is recorded", event.Name)
	}
	if event.Repository.FullName != c.runner.Repository {
		return fmt.Errorf("the event is of repository %q, the run of %q", event.Repository.FullName, c.runner.Repository)
	}
	branch, ok := strings.CutPrefix(event.Push.Ref, "refs/heads/")
	if !ok || branch == "" {
		return fmt.Errorf("%q was pushed, which is no branch: only what was pushed to a branch is recorded", event.Push.Ref)
	}
	c.branch, c.commit = branch, event.Push.After
	// A rewritten branch may have left the commit behind.
	return c.wantAncestor(ctx, c.commit, branch, fmt.Sprintf("the pushed commit %.12s is no longer on branch %s", c.commit, branch))
}

// wantAncestor asks the API whether a commit is an ancestor of another.
func (c *ciRecord) wantAncestor(ctx context.Context, ancestor, of, otherwise string) error {
	is, err := c.isAncestor(ctx, ancestor, of)
	if err == nil && !is {
		err = errors.New(otherwise)
	}
	return err
}

// isAncestor: what the repository does not know is of another history. Of may be
// a branch.
func (c *ciRecord) isAncestor(ctx context.Context, ancestor, of string) (bool, error) {
	is, err := c.api.IsAncestor(ctx, ancestor, of)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return is, err
}

// isBefore asks about the commit of a stored baseline and the pushed one. Both
// have to be commits of the branch: the API would take the name of one, too, and a
// later commit of a pull request.
func (c *ciRecord) isBefore(ctx context.Context, first, second string) (bool, error) {
	if !actions.IsCommit(first) || !actions.IsCommit(second) {
		return false, nil
	}
	if is, err := c.isAncestor(ctx, first, second); err != nil || !is || second == c.commit {
		return is, err
	}
	return c.isAncestor(ctx, second, c.branch)
}

// bundle reads what the measuring jobs have left, as the work of strangers: it
// passed through a store of artifacts.
func (c *ciRecord) bundle() (recording.Bundle, error) {
	results, err := readResults(c.results, c.runner.RunAttempt)
	if err != nil {
		return recording.Bundle{}, fmt.Errorf("%w: %w", errNotRecordable, err)
	}
	b, err := results.Bundle()
	if errors.Is(err, artifact.ErrIncomplete) {
		var why []string
		for _, m := range results.Missing {
			why = append(why, fmt.Sprintf("shard %d: %s", m.Index, m.Why))
		}
		err = fmt.Errorf("%w: %w: %s", errNotRecordable, err, strings.Join(why, "; "))
	}
	return b, err
}

// checkIdentity wants the bundle to be of the pushed commit, compared with a
// commit before it. Commits and trees are those that the API knows.
func (c *ciRecord) checkIdentity(ctx context.Context, m *recording.Manifest) error {
	if m.Head.Commit != c.commit {
		return fmt.Errorf("the results are of commit %.12q, but %.12s was pushed", m.Head.Commit, c.commit)
	}
	if m.Head.Dirty || m.Base.Dirty {
		return errors.New("the results were measured with uncommitted changes")
	}
	for _, side := range []recording.Revision{m.Head, m.Base} {
		if !actions.IsCommit(side.Commit) {
			return fmt.Errorf("the results are of %.60q, which is no commit", side.Commit)
		}
		known, err := c.api.Commit(ctx, side.Commit)
		if err != nil {
			return err
		}
		if known.Tree != side.Tree {
			return fmt.Errorf("the results are of tree %.12q, but commit %.12s has tree %.12s", side.Tree, side.Commit, known.Tree)
		}
	}
	return c.wantAncestor(ctx, m.Base.Commit, m.Head.Commit, fmt.Sprintf("the results compare with %.12s, which is no ancestor of the pushed commit", m.Base.Commit))
}

// checkVerdict reads the policy and wants the suite to have been measured. A
// regression is recorded like everything else that is on the branch.
func (c *ciRecord) checkVerdict(ctx context.Context, b recording.Bundle) error {
	c.cfg = config.Default()
	data, err := c.api.File(ctx, path.Join(c.module, c.config), c.commit, policyBytesMax)
	if err == nil {
		if c.cfg, err = config.Parse(data, c.config); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.Manifest.Policy, b.Manifest.Waivers = c.cfg.Policy, nil
	v, err := verdict.Decide(b)
	if err != nil {
		return fmt.Errorf("deciding: %w", err)
	}
	if v.Exit == verdict.ExitNotMeasured {
		return fmt.Errorf("%w: the verdict is %q: a baseline holds all of its suite; the summary of the measuring jobs says what is missing", errNotRecordable, v.Headline)
	}
	return nil
}

// source is what is recorded. Its bundle's identity is that of the files which a
// replay would read.
func (c *ciRecord) source(ctx context.Context, b recording.Bundle, to target) (baseline.Source, error) {
	dir, err := os.MkdirTemp(c.runner.Temp, "perfgate-record-")
	if err != nil {
		return baseline.Source{}, fmt.Errorf("making a folder for the bundle: %w", err)
	}
	defer os.RemoveAll(dir)
	folder := filepath.Join(dir, artifact.BundleFolder)
	if err := recording.Write(folder, b); err != nil {
		return baseline.Source{}, err
	}
	src, err := readSource(folder)
	if err != nil {
		return baseline.Source{}, err
	}
	src.RunURL, src.IsAncestor = c.runner.RunURL(), c.isBefore
	base := &src.Bundle.Manifest.Base.Commit
	if to.folder != "" {
		*base, err = c.beforeRecordings(ctx, *base, to.folder)
	}
	return src, err
}

// recordingsMax bounds how many recordings are stepped over.
const recordingsMax = 50

// beforeRecordings steps back over commits that changed nothing but the
// baselines, to the one that was measured: the ledger leads from commit to commit,
// and a commit with a recording has the sources of the one before it.
func (c *ciRecord) beforeRecordings(ctx context.Context, commit, folder string) (string, error) {
	for range recordingsMax {
		this, err := c.api.Commit(ctx, commit)
		if err != nil || len(this.Parents) == 0 {
			return commit, err
		}
		before, err := c.api.Commit(ctx, this.Parents[0])
		if err != nil {
			return commit, err
		}
		same, err := c.sameBeside(ctx, this.Tree, before.Tree, strings.Split(folder, "/"))
		if err != nil || !same {
			return commit, err
		}
		commit = before.SHA
	}
	return commit, nil
}

// sameBeside tells whether two trees are the same but for a path.
func (c *ciRecord) sameBeside(ctx context.Context, a, b string, below []string) (bool, error) {
	if a == b || len(below) == 0 {
		return true, nil
	}
	inA, inB, err := c.bothTrees(ctx, a, b)
	if err != nil {
		return false, err
	}
	name := below[0]
	onPathA, onPathB := inA[name], inB[name]
	delete(inA, name)
	delete(inB, name)
	for other, e := range inA {
		if inB[other] != e {
			return false, nil
		}
	}
	if len(inA) != len(inB) {
		return false, nil
	}
	if len(below) == 1 {
		return true, nil
	}
	if onPathA.Mode != onPathB.Mode || entryKind(onPathA.Mode) != baseline.FolderEntry {
		return onPathA == onPathB, nil
	}
	return c.sameBeside(ctx, onPathA.SHA, onPathB.SHA, below[1:])
}

func (c *ciRecord) bothTrees(ctx context.Context, a, b string) (inA, inB map[string]github.TreeEntry, err error) {
	byName := func(sha string) (map[string]github.TreeEntry, error) {
		entries, err := c.api.Tree(ctx, sha)
		named := map[string]github.TreeEntry{}
		for _, e := range entries {
			named[e.Name] = e
		}
		return named, err
	}
	if inA, err = byName(a); err != nil {
		return nil, nil, err
	}
	inB, err = byName(b)
	return inA, inB, err
}
