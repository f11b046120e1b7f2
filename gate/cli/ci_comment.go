package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/actions"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/report"
	"github.com/perfgate/perfgate/gate/verdict"
)

// ciComment is one run of ci comment: the one part of a check that may write to
// the pull request. It runs on the base branch's side, without a checkout, and
// believes nothing but the API. What the measuring jobs left is data of a
// stranger, from which the verdict is made anew.
type ciComment struct {
	env      *Env
	failOn   failOn
	runner   actions.Runner
	api      *github.Client
	workflow string // file of the workflow that measured
	module   string // folder of the module in the repository
	config   string // path of the policy in the module
	suite    string // that has to be measured; empty for the default
	context  string // of the commit status
	now      time.Time

	runID int64 // all that is taken from the event
	run   github.Run
	// pr is the pull request that was measured; of a merge group its only entry that
	// is not in the base yet, or nil where the group's name does not tell.
	pr      *github.PullRequest
	baseRef string // branch that the change is for
	baseTip string // its commit
	cfg     *config.Config

	// commits and reached are what the API has said of commits: each shard names them,
	// and there are more shards than requests to spare.
	commits map[string]github.Commit
	reached map[string]bool
}

// The marker of the comment, and the defaults of the flags.
const (
	commentMarker   = "perfgate:comment v1"
	statusContext   = "perfgate"
	measureWorkflow = ".github/workflows/perfgate.yml"
)

// ciCommentTimeout ends the command where an answer of the API does not.
const ciCommentTimeout = 15 * time.Minute

// runCIComment tells a pull request what its measuring jobs found.
func runCIComment(ctx context.Context, env *Env, args []string) int {
	c := ciComment{env: env, failOn: failOnRegression, now: time.Now(), commits: map[string]github.Commit{}, reached: map[string]bool{}}
	author := ""
	flags := flag.NewFlagSet("ci comment", flag.ContinueOnError)
	flags.StringVar(&c.workflow, "workflow", measureWorkflow, "tell about runs of the workflow in `FILE`, and of no other")
	flags.StringVar(&c.module, "module", ".", "the module is in the folder `DIR` of the repository")
	flags.StringVar(&c.config, "config", configFile, "read the policy from `PATH` of the base branch; relative to the module")
	flags.StringVar(&c.suite, "suite", "", "the suite that has to be measured is `NAME` of perfgate.yml (default: smoke, or the only one)")
	flags.StringVar(&c.context, "status", statusContext, "set the commit status of this `NAME`; changes for another branch than the default one have the branch behind it, in parentheses")
	flags.StringVar(&author, "author", "", "the token comments as `LOGIN` (default: "+github.DefaultAuthor+")")
	flags.Var(&c.failOn, "fail-on", "what makes the exit code and the commit status fail, `WHAT`: regression (and whatever kept the suite from being measured), or never")
	flags.Usage = env.usageOf(flags, "ci comment [flags]", "Tells a pull request, or a merge group, what the run that ended has measured: recomputes the verdict\nfrom the uploaded samples with the base branch's policy, comments, and sets a commit status.\n"+
		"It is a step of a workflow on workflow_run, and takes the token from GITHUB_TOKEN.")
	if code, ok := env.parse(flags, args, 0); !ok {
		return code
	}
	c.runner = actions.New(env.Getenv)
	if err := c.open(author); err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("ci comment: %w", err))
	}
	unfence, err := env.fence(c.runner)
	if err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	defer unfence()
	ctx, cancel := context.WithTimeout(ctx, ciCommentTimeout)
	defer cancel()
	return c.conclude(c.do(ctx))
}

// open checks the flags, reads the event and makes the client.
func (c *ciComment) open(author string) error {
	for _, p := range []*string{&c.module, &c.config} {
		if *p = path.Clean(*p); !fs.ValidPath(*p) {
			return fmt.Errorf("%q is no path inside the repository", *p)
		}
	}
	token := c.env.Getenv("GITHUB_TOKEN")
	if token == "" {
		return errors.New("GITHUB_TOKEN is not set: pass the job's token to this step")
	}
	event, err := c.runner.Event()
	if err != nil {
		return err
	}
	if event.WorkflowRun == nil {
		return fmt.Errorf("the event is %q: this command is for workflow_run", event.Name)
	}
	c.runID = event.WorkflowRun.ID
	c.api, err = github.New(github.Options{
		APIURL: c.runner.APIURL, Repository: c.runner.Repository, Token: token, Author: author,
		UserAgent: strings.ReplaceAll(toolVersion(), " ", "/"),
	})
	return err
}

// finding is what there is to say of a run.
type finding struct {
	in report.Input
	// refused says why nothing of what the measuring jobs left is shown.
	refused string
}

// dropped: there is nothing to say, because something newer will say it, or
// nobody is there to be told. It is no failure.
type droppedError struct{ reason string }

func (e *droppedError) Error() string { return e.reason }

var errSuperseded = &droppedError{"a newer run has set the commit status already"}

// do finds out what to say, to whom, and says it.
func (c *ciComment) do(ctx context.Context) (finding, error) {
	if err := c.identify(ctx); err != nil {
		return finding{}, err
	}
	f, err := c.judge(ctx)
	if err != nil {
		c.admit(ctx, err)
		return finding{}, err
	}
	return f, c.tell(ctx, f)
}

// admitTimeout is what is left for saying that there is no verdict, where finding
// one took too long.
const admitTimeout = 30 * time.Second

// admit leaves a status that says that there is no verdict, where the API failed
// us: an earlier one of this commit must not stand for it. The error that led here
// is the one to report, so a second one is not.
func (c *ciComment) admit(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) {
		return // whoever ends the job wants it to be quiet
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), admitTimeout)
	defer cancel()
	if c.recheck(ctx) != nil {
		return
	}
	_, _ = c.api.SetStatus(ctx, c.run.HeadSHA, github.Status{
		State: "error", Context: c.statusName(), Description: "no verdict: GitHub's API did not answer as it should; run the commenting job again", TargetURL: c.run.URL,
	}, c.order())
}

// identify finds the run, and the pull request or merge group that it was for. Of
// the event only the run's number is taken, of the artifacts nothing.
func (c *ciComment) identify(ctx context.Context) error {
	var err error
	if c.run, err = c.api.Run(ctx, c.runID); err != nil {
		return err
	}
	want := github.Expected{Events: []string{"pull_request", "merge_group"}, Path: c.workflow}
	if err := c.api.VerifyRun(c.run, want); err != nil {
		return err
	}
	switch c.run.Conclusion {
	case "":
		return &droppedError{fmt.Sprintf("run %d is running again: its end will be told", c.run.ID)}
	case "action_required", "skipped", "stale":
		return &droppedError{fmt.Sprintf("run %d measured nothing: it ended as %q", c.run.ID, c.run.Conclusion)}
	}
	if c.run.Event == "merge_group" {
		return c.findEntry(ctx)
	}
	pr, err := c.api.FindPullRequest(ctx, c.run)
	if err != nil {
		return err
	}
	c.pr, c.baseRef = &pr, pr.BaseRef
	return nil
}

// tell posts the comment and sets the status. Whoever may not write to the pull
// request still has the job summary, and the exit code.
func (c *ciComment) tell(ctx context.Context, f finding) error {
	text, err := f.markdown()
	if err != nil {
		return err
	}
	summary, err := f.summary()
	if err != nil {
		return err
	}
	if err := c.runner.AddSummary(summary); err != nil {
		return err
	}
	// As late as can be: whoever pushed since then waits for another verdict.
	if err := c.recheck(ctx); err != nil {
		return err
	}
	url, newest, commentErr := c.comment(ctx, f, text)
	if commentErr == nil && !newest {
		return &droppedError{"a newer run has commented already"}
	}
	status := github.Status{Context: c.statusName(), State: c.state(f), Description: f.description(), TargetURL: c.run.URL}
	if url != "" {
		status.TargetURL = url
	}
	// The status decides: it is set whatever became of the comment.
	set, statusErr := c.api.SetStatus(ctx, c.run.HeadSHA, status, c.order())
	if statusErr == nil && !set {
		return errSuperseded
	}
	return errors.Join(
		c.unlessReadOnly(commentErr, "comment on the pull request", "pull-requests"),
		c.unlessReadOnly(statusErr, "set the commit status", "statuses"),
		setOutputs(c.runner, map[string]string{"verdict": f.words(), "exit-code": fmt.Sprint(f.exit()), "comment-url": url}))
}

// statusName is what the status is called. A status belongs to a commit and not to
// a pull request: what a change is worth against one branch, by that branch's
// policy, must not be taken for its worth against another one to which the pull
// request is moved.
func (c *ciComment) statusName() string {
	if c.baseRef == c.pr.DefaultBranch {
		return c.context
	}
	return c.context + " (" + c.baseRef + ")"
}

// unlessReadOnly tells, in the log, what the token may not do; that is no failure.
func (c *ciComment) unlessReadOnly(err error, what, permission string) error {
	if !errors.Is(err, github.ErrReadOnly) {
		return err
	}
	fmt.Fprintf(c.env.Stderr, "perfgate: could not %s: %v; give the job `permissions: {%s: write}`; the job summary has the report\n", what, err, permission)
	return nil
}

// recheck drops what is about a head that is no longer there, about a run that runs
// again, or about one after which a newer one of the same head has spoken.
func (c *ciComment) recheck(ctx context.Context) error {
	if c.run.Event != "merge_group" {
		if err := c.api.Recheck(ctx, *c.pr); err != nil {
			return err
		}
	}
	again, err := c.api.Run(ctx, c.run.ID)
	if err != nil {
		return err
	}
	if again.Attempt != c.run.Attempt || again.HeadSHA != c.run.HeadSHA {
		return &droppedError{fmt.Sprintf("run %d is at attempt %d now: its end will be told", c.run.ID, again.Attempt)}
	}
	// Where that one had nothing to comment on, its status alone tells of it.
	standing, err := c.api.StatusOrder(ctx, c.run.HeadSHA, c.statusName())
	switch {
	case errors.Is(err, github.ErrReadOnly):
		return nil // Setting the status will say so.
	case err != nil:
		return err
	case c.order().Less(standing):
		return errSuperseded
	}
	return nil
}

// order is the place of what this run has to say among what others have.
func (c *ciComment) order() github.Order {
	return github.Order{Run: c.run.Number, Attempt: c.run.Attempt}
}

// comment edits or makes the one comment, where base policy wants one. newest is
// false where a newer run has spoken already.
func (c *ciComment) comment(ctx context.Context, f finding, text string) (url string, newest bool, err error) {
	if c.run.Event == "merge_group" || c.cfg.Comment == config.CommentNever {
		return "", true, nil
	}
	if c.cfg.Comment == config.CommentOnChange && !f.confirmed() {
		// What was said before must not stand there as if it still held.
		_, found, err := c.api.FindComment(ctx, c.pr.Number, commentMarker)
		if err != nil || !found {
			return "", true, err
		}
	}
	url, posted, err := c.api.UpsertComment(ctx, c.pr.Number, commentMarker, text, c.order())
	if err != nil {
		return "", true, err
	}
	return url, posted, nil
}

// state is the commit status.
func (c *ciComment) state(f finding) string {
	switch c.failOn.exit(f.exit()) {
	case verdict.ExitPass:
		return "success"
	case verdict.ExitRegression:
		return "failure"
	}
	return "error"
}

// conclude prints how it ended, and gives the exit code.
func (c *ciComment) conclude(f finding, err error) int {
	var dropped *droppedError
	var stale *github.StaleError
	var identity *github.IdentityError
	switch {
	case err == nil:
		fmt.Fprintf(c.env.Stdout, "verdict: %s (exit %d)\n", f.words(), f.exit())
		c.env.verdictShown = true
		return c.failOn.exit(f.exit())
	case errors.As(err, &dropped), errors.As(err, &stale), errors.As(err, &identity) && identity.Gone:
		c.notice("nothing is posted: this run is no longer the last word", err)
		fmt.Fprintf(c.env.Stdout, "nothing posted: %v\nverdict: none, nobody waits for this one (exit %d)\n", err, verdict.ExitPass)
		return verdict.ExitPass
	case errors.As(err, &identity):
		c.notice("nothing is posted: it is not certain where it belongs", err)
		return c.env.fail(verdict.ExitNotMeasured, fmt.Errorf("ci comment: nothing posted: %w", err))
	}
	c.notice("the pull request could not be told", err)
	code := verdict.ExitNotMeasured
	if f.in.Verdict.Exit == verdict.ExitRegression && f.refused == "" {
		code = verdict.ExitRegression
	}
	return c.env.fail(code, fmt.Errorf("ci comment: %w", err))
}

// notice leaves a job summary where there is no report.
func (c *ciComment) notice(headline string, reason error) {
	if err := c.runner.AddSummary(report.NoticeMarkdown(headline, reason.Error())); err != nil {
		fmt.Fprintf(c.env.Stderr, "perfgate: %v\n", err)
	}
}

func (f finding) exit() int {
	if f.refused != "" {
		return verdict.ExitNotMeasured
	}
	return f.in.Verdict.Exit
}

const refusedWords = "no verdict: what the measuring job left cannot be believed"

func (f finding) words() string {
	if f.refused != "" {
		return refusedWords
	}
	return f.in.Words()
}

func (f finding) description() string {
	if f.refused != "" {
		return refusedWords
	}
	return report.StatusDescription(f.in)
}

func (f finding) markdown() (string, error) {
	if f.refused != "" {
		return report.RefusedMarkdown(f.refused), nil
	}
	var b strings.Builder
	err := report.Markdown(&b, f.in)
	return b.String(), err
}

func (f finding) summary() (string, error) {
	if f.refused != "" {
		return report.RefusedMarkdown(f.refused), nil
	}
	var b strings.Builder
	err := report.Summary(&b, f.in)
	return b.String(), err
}

// confirmed: there is something to tell besides that nothing was found, or that
// nothing was found by a judge that the change has touched.
func (f finding) confirmed() bool {
	counts := f.in.Verdict.Counts
	return f.exit() != verdict.ExitPass || len(f.in.PullRequest.Waivers) > 0 || f.in.PullRequest.JudgeEdited() ||
		slices.ContainsFunc([]verdict.Decision{verdict.Regressed, verdict.Improved, verdict.Waived, verdict.LayoutSensitive},
			func(d verdict.Decision) bool { return counts[d] > 0 })
}
