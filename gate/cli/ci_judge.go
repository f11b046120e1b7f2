package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/actions"
	"github.com/perfgate/perfgate/gate/artifact"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/report"
	"github.com/perfgate/perfgate/gate/suite"
	"github.com/perfgate/perfgate/gate/verdict"
)

// policyBytesMax bounds what is read of the base branch: perfgate.yml, and the
// manifest of a suite.
const policyBytesMax = 4 << 20

// acceptDays is how long the waivers hold that a report proposes.
const acceptDays = 30

// queueEntry is the branch that a merge queue makes for an entry: it names the
// branch to merge into and the entry's pull request. Only GitHub can make one.
var queueEntry = regexp.MustCompile(`^gh-readonly-queue/(.+)/pr-([1-9][0-9]{0,9})-[0-9a-f]{40}$`)

// findEntry finds the pull request that a merge group adds to those before it.
func (c *ciComment) findEntry(ctx context.Context) error {
	m := queueEntry.FindStringSubmatch(c.run.HeadBranch)
	if m == nil {
		return &github.IdentityError{Reason: fmt.Sprintf("the merge group's branch is %q, which names no pull request", c.run.HeadBranch)}
	}
	number, err := strconv.Atoi(m[2])
	if err != nil {
		return err
	}
	pr, err := c.api.PullRequest(ctx, number)
	if err != nil {
		return err
	}
	if pr.BaseRef != m[1] {
		return &github.IdentityError{Reason: fmt.Sprintf("the merge group is for branch %q, but pull request #%d for %q", m[1], number, pr.BaseRef)}
	}
	c.pr, c.baseRef = &pr, m[1]
	return nil
}

// judge makes the verdict from what the measuring jobs left, under the policy of
// the base branch.
//
// That is the branch as it stands now, and not the commit that the measuring job
// names as its base: a change that may choose the commit chooses the policy that
// stood there. Where both differ, the branch has just changed its policy.
func (c *ciComment) judge(ctx context.Context) (finding, error) {
	f := finding{in: report.Input{PullRequest: &report.PullRequestContext{
		Fork: c.pr.Fork, RunURL: c.run.URL, AcceptUntil: c.now.UTC().AddDate(0, 0, acceptDays).Format(time.DateOnly),
	}}}
	var err error
	// Read once, so that all is of one commit, and as a branch: a name alone could be
	// that of a tag, which more people may make than may write to the branch.
	if c.baseTip, err = c.api.Branch(ctx, c.baseRef); err != nil {
		return f, err
	}
	c.cfg, err = c.policy(ctx, c.baseTip)
	var mistake *config.Error
	switch {
	case errors.As(err, &mistake):
		c.cfg = config.Default()
		c.notMeasured(&f, fmt.Sprintf("the policy of branch %s cannot be read: %v", c.baseRef, err))
		return f, nil
	case err != nil:
		return f, err
	}
	f.in.PullRequest.Accepting = c.cfg.Waivers
	if err := c.noteEdits(ctx, &f); err != nil {
		return f, err
	}
	results, err := c.results(ctx)
	if err != nil {
		return f, err
	}
	err = c.decide(ctx, &f, results)
	var refused *refusedError
	if errors.As(err, &refused) {
		f.refused, err = refused.reason, nil
	}
	return f, err
}

// policy is perfgate.yml at a commit, or the defaults where there is none.
func (c *ciComment) policy(ctx context.Context, ref string) (*config.Config, error) {
	data, err := c.api.File(ctx, path.Join(c.module, c.config), ref, policyBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	if err != nil {
		return nil, err
	}
	return config.Parse(data, c.config)
}

// refusedError: what the measuring jobs left cannot be believed.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

func refuse(format string, args ...any) error { return &refusedError{fmt.Sprintf(format, args...)} }

// notMeasured notes why there is no verdict on the suite.
func (c *ciComment) notMeasured(f *finding, why string) {
	f.in.PullRequest.Incomplete = append(f.in.PullRequest.Incomplete, why)
	if f.in.Verdict.Exit != verdict.ExitRegression {
		f.in.Verdict.Headline, f.in.Verdict.Exit = verdict.SuiteNotMeasured, verdict.ExitNotMeasured
	}
}

// noteEdits lists the files of the change that could have changed its judge: what
// policy names, the workflow, and in the gate's own repository the gate.
func (c *ciComment) noteEdits(ctx context.Context, f *finding) error {
	files, complete, err := c.api.ChangedFiles(ctx, c.pr.Number)
	if err != nil {
		return err
	}
	judges := []string{c.workflow, "action.yml"}
	mod, err := c.api.File(ctx, path.Join(c.module, "go.mod"), c.baseTip, policyBytesMax)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if ownModule.Match(mod) {
		judges = append(judges, "gate/", "cmd/perfgate/")
	}
	edited := c.cfg.JudgedBy(files, c.module, c.config)
	for _, file := range files {
		judge := func(j string) bool { return file == j || strings.HasSuffix(j, "/") && strings.HasPrefix(file, j) }
		if slices.ContainsFunc(judges, judge) && !slices.Contains(edited, file) {
			edited = append(edited, file)
		}
	}
	if !complete {
		edited = append(edited, "(it changes more files than GitHub lists)")
	}
	f.in.PullRequest.SuiteChanged = edited
	return nil
}

// ownModule is go.mod of perfgate itself, which measures its own changes with
// what they make of it.
var ownModule = regexp.MustCompile(`(?m)^module github\.com/perfgate/perfgate$`)

// results downloads what exactly this run has uploaded.
func (c *ciComment) results(ctx context.Context) (artifact.Results, error) {
	uploaded, err := c.api.Artifacts(ctx, c.run.ID)
	if err != nil {
		return artifact.Results{}, err
	}
	listed := make([]artifact.Listed, len(uploaded))
	for i, a := range uploaded {
		listed[i] = artifact.Listed{ID: a.ID, Name: a.Name, Size: a.Size, Expired: a.Expired}
	}
	results, err := artifact.Collect(listed, c.run.Attempt, func(n artifact.Name, l artifact.Listed) (artifact.Shard, error) {
		data, err := c.api.DownloadArtifact(ctx, l.ID, artifact.ZipBytesMax)
		if err != nil {
			return artifact.Shard{}, err
		}
		return artifact.ReadZip(n, data)
	})
	if ctx.Err() != nil {
		return artifact.Results{}, ctx.Err()
	}
	if err != nil {
		// The run exists and is the right one; it just left nothing to decide on.
		results.Missing = append(results.Missing, artifact.Missing{Why: err.Error()})
	}
	return results, nil
}

// decide gives the verdict on the whole suite, or where shards are missing the
// most serious one of the others: a regression that one of them proves is one
// whatever the missing ones hold.
func (c *ciComment) decide(ctx context.Context, f *finding, results artifact.Results) error {
	waivers, err := c.waivers(ctx, f)
	if err != nil {
		return err
	}
	if len(results.Missing) == 0 {
		whole, err := results.Bundle()
		if err != nil {
			return refuse("%v", err)
		}
		return c.decideOn(ctx, f, whole, waivers)
	}
	for _, m := range results.Missing {
		why := m.Why
		if m.Index > 0 {
			why = fmt.Sprintf("shard %d of %d: %s", m.Index, results.Count, m.Why)
		}
		c.notMeasured(f, why)
	}
	for _, s := range results.Shards {
		one := *f
		if err := c.decideOn(ctx, &one, *s.Bundle, waivers); err != nil {
			return err
		}
		if f.in.Manifest.Schema == 0 || one.in.Verdict.Exit == verdict.ExitRegression && f.in.Verdict.Exit != verdict.ExitRegression {
			f.in.Manifest, f.in.Verdict, f.in.Hash, f.in.Findings = one.in.Manifest, one.in.Verdict, one.in.Hash, one.in.Findings
		}
	}
	if f.in.Verdict.Exit != verdict.ExitRegression {
		f.in.Verdict.Exit = verdict.ExitNotMeasured
	}
	return nil
}

// decideOn decides on a bundle that belongs to the change, under base policy.
func (c *ciComment) decideOn(ctx context.Context, f *finding, b recording.Bundle, waivers []config.Waiver) error {
	if err := c.belongs(ctx, &b.Manifest); err != nil {
		return err
	}
	b.Manifest.Policy, b.Manifest.Waivers, b.Manifest.WaiversAllowed = c.cfg.Policy, waivers, c.cfg.Waivers.Allow
	if err := c.addUnlisted(ctx, &b.Manifest); err != nil {
		return err
	}
	// As it would be read from a disk, so that anybody can decide it again.
	files, err := recording.Encode(b)
	if err != nil {
		return refuse("%v", err)
	}
	if b, err = recording.ReadFiles(files); err != nil {
		return refuse("%v", err)
	}
	f.in.Manifest, f.in.Hash = b.Manifest, recording.HashFiles(files)
	if f.in.Verdict, err = verdict.Decide(b); err != nil {
		return refuse("the bundle contradicts itself: %v", err)
	}
	f.in.Findings = findings(&b, f.in.Verdict)
	return nil
}

// belongs asks whether a bundle was measured of the change's head, against a
// commit of the branch that it is for. All that the bundle says of commits is
// compared with what the API says of them.
func (c *ciComment) belongs(ctx context.Context, m *recording.Manifest) error {
	if m.Base.Dirty || m.Head.Dirty || m.AA && m.Base.Tree != m.Head.Tree {
		return refuse("the bundle was not measured of two commits")
	}
	base, err := c.commit(ctx, m.Base)
	if err != nil {
		return err
	}
	head, err := c.commit(ctx, m.Head)
	if err != nil {
		return err
	}
	if c.run.Event == "merge_group" {
		if head.SHA != c.run.HeadSHA {
			return refuse("the bundle was measured of %s, but the merge group is %s", head.SHA, c.run.HeadSHA)
		}
		return c.reachable(ctx, base.SHA, head.SHA, "the merge group")
	}
	merge := slices.Equal(head.Parents, []string{base.SHA, c.pr.HeadSHA})
	if !merge && head.SHA != c.pr.HeadSHA {
		return refuse("the artifact does not belong to this head: it was measured of %s, which is neither %s nor its merge into %s",
			head.SHA, c.pr.HeadSHA, base.SHA)
	}
	return c.reachable(ctx, base.SHA, c.baseTip, "branch "+c.baseRef)
}

// commit reads one side's commit, and compares it with what the bundle says.
func (c *ciComment) commit(ctx context.Context, side recording.Revision) (github.Commit, error) {
	if !actions.IsCommit(side.Commit) {
		return github.Commit{}, refuse("%q is no commit", side.Commit)
	}
	commit, read := c.commits[side.Commit]
	var err error
	if !read {
		commit, err = c.api.Commit(ctx, side.Commit)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return github.Commit{}, refuse("the repository has no commit %s", side.Commit)
	}
	if err != nil {
		return commit, err
	}
	c.commits[side.Commit] = commit
	if commit.Tree != side.Tree {
		err = refuse("the bundle was measured of another tree than that of commit %s", side.Commit)
	}
	return commit, err
}

func (c *ciComment) reachable(ctx context.Context, base, head, shown string) error {
	if c.reached[base+" "+head] {
		return nil
	}
	ok, err := c.api.IsAncestor(ctx, base, head)
	if err == nil && !ok {
		err = refuse("the bundle was measured against %s, which is not part of %s", base, shown)
	}
	c.reached[base+" "+head] = err == nil
	return err
}

// addUnlisted makes an outcome of what the base commit's suite has and the bundle
// does not mention: leaving it out would otherwise be a way to pass.
func (c *ciComment) addUnlisted(ctx context.Context, m *recording.Manifest) error {
	if m.Shard != nil && m.Shard.Count > 1 {
		return nil // the others may have it
	}
	// The suite's list and not the policy is meant, so it is that of the commit that
	// was measured: the branch may list benchmarks that were added since.
	cfg, err := c.policy(ctx, m.Base.Commit)
	if err != nil {
		return err
	}
	missing := func(key recording.Key, format string, args ...any) {
		m.Outcomes = append(m.Outcomes, recording.Outcome{Key: key, Side: recording.Head, Kind: recording.Missing, Detail: fmt.Sprintf(format, args...)})
	}
	if m.Bench != "" {
		missing(recording.Key{}, "the results are only of what fits --bench %s; measure the whole suite", m.Bench)
	}
	if want := c.wantedSuite(cfg); m.Suite != want {
		missing(recording.Key{}, "the results are of suite %q, but %q is to be measured; the workflows that measure and that comment have to name the same one of the base side's %s",
			m.Suite, want, c.config)
		return nil
	}
	chosen, ok := cfg.Suites[m.Suite]
	if !ok && m.Suite != "" {
		missing(recording.Key{}, "the results are of suite %q, which the base side's %s does not have", m.Suite, c.config)
	}
	list := chosen.Manifest
	if list == "" {
		return nil
	}
	data, err := c.api.File(ctx, path.Join(c.module, list), m.Base.Commit, policyBytesMax)
	if err != nil {
		return err
	}
	listed, err := suite.Parse(data, list)
	if err != nil {
		return fmt.Errorf("base side: %w", err)
	}
	for _, key := range unmentioned(m, listed.Keys(m.Suite)) {
		missing(key, "the base side's %s lists it, and the results do not mention it, or call it new", list)
	}
	return nil
}

// wantedSuite is the suite that is to be measured: what this workflow says, and no
// pull request can edit, or the default.
func (c *ciComment) wantedSuite(cfg *config.Config) string {
	names := slices.Collect(maps.Keys(cfg.Suites)) // maprange: of one
	switch {
	case c.suite != "":
		return c.suite
	case len(names) == 0:
		return ""
	case len(names) == 1:
		return names[0]
	}
	return defaultSuite
}

// unmentioned are the keys of which a bundle has neither a plan nor an outcome, of
// them or of what they are a part of. What the base side lists is not new, and a
// package does not skip itself.
func unmentioned(m *recording.Manifest, keys []recording.Key) []recording.Key {
	type name struct{ pkg, name string }
	known := map[name]bool{}
	for _, b := range m.Benchmarks {
		known[name{b.Key.Pkg, b.Key.Name}] = true
	}
	for _, o := range m.Outcomes {
		if o.Kind != recording.Added && (o.Key.Name != "" || o.Kind != recording.Skipped) {
			known[name{o.Key.Pkg, o.Key.Name}] = true
		}
	}
	var lost []recording.Key
	for _, k := range keys {
		found := known[name{k.Pkg, ""}]
		for part := k.Name; part != "." && !found; part = path.Dir(part) {
			found = known[name{k.Pkg, part}]
		}
		if !found {
			lost = append(lost, k)
		}
	}
	return lost
}
