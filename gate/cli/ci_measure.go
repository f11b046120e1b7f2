package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/perfgate/perfgate/gate/actions"
	"github.com/perfgate/perfgate/gate/artifact"
	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/report"
	"github.com/perfgate/perfgate/gate/verdict"
)

// errShallow: the clone ends before the base side.
var errShallow = errors.New("this clone does not reach the base side")

// ciMeasure is one run of ci measure.
type ciMeasure struct {
	env     *Env
	flags   measureFlags
	failOn  failOn
	runner  actions.Runner
	results string // folder for the bundle and the outcome
}

// runCIMeasure measures the commit that is checked out against the one that it
// would be added to, and leaves a results folder for the jobs that follow.
func runCIMeasure(ctx context.Context, env *Env, args []string) int {
	c := ciMeasure{env: env, flags: measureFlags{command: "check", format: "text"}, failOn: failOnNever}
	fs := flag.NewFlagSet("ci measure", flag.ContinueOnError)
	c.flags.defineMeasuring(fs)
	fs.StringVar(&c.flags.base, "base", "", "compare with this `REF`; by default what the event says: the first parent of the merge commit or of the pushed commit, or the base of the merge group")
	fs.StringVar(&c.flags.config, "config", "", "read the policy from `PATH` of the base side instead of perfgate.yml; relative to the module")
	fs.StringVar(&c.results, "results-dir", "", "leave the results in the new or empty folder `DIR` (default: perfgate-results in the runner's folder for temporary files)")
	fs.Var(&c.failOn, "fail-on", "what makes the exit code differ from 0, `WHAT`: never (`perfgate ci gate` decides on all shards), or regression")
	fs.Usage = env.usageOf(fs, "ci measure [flags]", "Measures the commit that is checked out in a workflow, one shard of it, and leaves a folder\nwith the bundle and the outcome. It wants no token.")
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	if err := c.validate(fs); err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	c.runner = actions.New(env.Getenv)
	unfence, err := env.fence(c.runner)
	if err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	defer unfence()
	return c.run(ctx)
}

func (c *ciMeasure) validate(fs *flag.FlagSet) error {
	if err := c.flags.validate(fs); err != nil {
		return err
	}
	if name := c.flags.config; name != "" {
		if !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsFunc(name, unicode.IsControl) {
			return fmt.Errorf("--config %q: give a path below the module, such as ci/perfgate.yml", name)
		}
		c.flags.config = path.Clean(name)
	}
	if c.flags.shard.shard == nil {
		c.flags.shard.shard = &recording.Shard{Index: 1, Count: 1}
	}
	return nil
}

// run leaves an outcome whatever happens, once there is a place for it.
func (c *ciMeasure) run(ctx context.Context) int {
	if err := c.claimResults(); err != nil {
		return c.env.fail(verdict.ExitUsage, err)
	}
	words, code, err := c.measure(ctx)
	message := ""
	if err != nil {
		code, err = failureCode(ctx, err)
		message = err.Error()
		c.env.fail(code, err)
		words = exitWords(code)
	} else if _, err := os.Stat(filepath.Join(c.flags.out, "manifest.json")); err != nil {
		message = "the bundle could not be written"
	}
	err = writeOutcome(c.results, artifact.Outcome{Exit: code, Message: message, Shard: c.flags.shard.String()})
	if err == nil {
		err = setOutputs(c.runner, map[string]string{"verdict": words, "exit-code": fmt.Sprint(code), "result-path": c.results})
	}
	if err != nil {
		return c.env.fail(verdict.ExitUsage, err)
	}
	return c.failOn.exit(code)
}

// measure finds both sides, measures them and shows the report.
func (c *ciMeasure) measure(ctx context.Context) (words string, code int, err error) {
	event := actions.Event{}
	if c.runner.On {
		if event, err = c.runner.Event(); err != nil {
			return "", 0, err
		}
		if err := keepEnvironment(); err != nil {
			return "", 0, err
		}
	}
	if err := c.findSides(ctx, event); err != nil {
		return "", 0, err
	}
	b, v, err := c.env.measureAndShow(ctx, c.flags)
	if err != nil {
		return "", 0, err
	}
	return report.Input{Manifest: b.Manifest, Verdict: v}.Words(), v.Exit, nil
}

// claimResults makes the folder for the results.
func (c *ciMeasure) claimResults() error {
	if c.results == "" {
		if c.runner.Temp == "" {
			return errors.New("ci measure: RUNNER_TEMP is not set: give a folder with --results-dir DIR")
		}
		c.results = filepath.Join(c.runner.Temp, resultsName)
	}
	c.results = c.env.path(c.results)
	if err := os.MkdirAll(c.results, 0o755); err != nil {
		return fmt.Errorf("making the results folder: %w", err)
	}
	entries, err := os.ReadDir(c.results)
	if err != nil {
		return fmt.Errorf("making the results folder: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("--results-dir %s is not empty: give a new folder", c.results)
	}
	c.flags.out = filepath.Join(c.results, artifact.BundleFolder)
	return nil
}

// findSides turns what the event says into two commits.
func (c *ciMeasure) findSides(ctx context.Context, event actions.Event) error {
	root, err := measure.ModuleRoot(ctx, c.env.Dir)
	if err != nil {
		return err
	}
	r, err := repo.Open(ctx, root)
	if err != nil {
		return err
	}
	if c.flags.head, err = r.Resolve(ctx, "HEAD"); err != nil {
		return err
	}
	c.flags.pullRequest = event.PullRequest != nil || event.MergeGroup != nil
	if c.flags.base != "" {
		return nil
	}
	parents, err := r.Parents(ctx, c.flags.head)
	if err != nil {
		return err
	}
	has := func(commit string) bool { _, err := r.Resolve(ctx, commit); return err == nil }
	if c.flags.base, c.flags.baseReason, err = baseOf(event, c.flags.head, parents, has); err != nil {
		return err
	}
	if !has(c.flags.base) {
		return fmt.Errorf("%w, %.7s: check out with `fetch-depth: 2`, or give --base", errShallow, c.flags.base)
	}
	return nil
}

// baseOf is the commit to compare head with. It is the first parent wherever
// there is a choice: what the checkout says of itself cannot be older than the
// event, and of a pull request the base branch may have moved on since.
func baseOf(event actions.Event, head string, parents []string, has func(commit string) bool) (base, reason string, err error) {
	switch pr, group := event.PullRequest, event.MergeGroup; {
	case event.Name == "":
		return "", "", errors.New("ci measure: outside a workflow nothing says what to compare with: give --base REF")
	case pr != nil && len(parents) != 2:
		return "", "", fmt.Errorf("%.7s is checked out, which is no merge commit: check the pull request's merge commit out, which actions/checkout does without `ref`, or give --base", head)
	case pr != nil && parents[1] != pr.Head.SHA:
		return "", "", fmt.Errorf("the merge commit %.7s is of %.7s, but the event is about %.7s: check out without `ref`", head, parents[1], pr.Head.SHA)
	case pr != nil:
		return parents[0], "first parent of the merge commit", nil
	case group != nil && group.HeadSHA != head:
		return "", "", fmt.Errorf("%.7s is checked out, but the merge group is %.7s: check out without `ref`", head, group.HeadSHA)
	case group != nil && has(group.BaseSHA):
		return group.BaseSHA, "base of the merge group", nil
	case len(parents) == 0:
		return "", "", fmt.Errorf("%.7s is the first commit: there is nothing to compare it with; give --base", head)
	}
	return parents[0], "first parent", nil
}

// keptNames and keptPrefixes are the variables that the measuring process keeps
// in a workflow. Its children inherit at most these: the go command, git and
// compilers all but the store's credentials, and a benchmark only a few of them
// (see package measure). Rejected: a list of what to remove, which the next
// runner's next token would not be on.
var (
	keptNames = []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "LANG", "TZ", "TERM", "CI", "NO_COLOR",
		"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "SYSTEMROOT", "LOCALAPPDATA", "USERPROFILE", "PATHEXT", "COMSPEC",
		"CC", "CXX", "AR", "FC", "PKG_CONFIG", "PKG_CONFIG_PATH", "LD_LIBRARY_PATH",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_SSL_CAINFO",
		"GOARCH", "GOOS", "GO386", "GOAMD64", "GOARM", "GOARM64", "GOAUTH", "GOBIN", "GOCACHE", "GOCACHEPROG", "GODEBUG", "GOENV",
		"GOEXPERIMENT", "GOFIPS140", "GOFLAGS", "GOINSECURE", "GOMODCACHE", "GONOPROXY", "GONOSUMDB", "GOPATH", "GOPRIVATE", "GOPROXY",
		"GOROOT", "GOSUMDB", "GOTMPDIR", "GOVCS", "GOWORK",
	}
	keptPrefixes = []string{"LC_", "CGO_", "AWS_"}
)

// keepEnvironment removes every other variable from this process. What the
// command itself needs of the runner it has read before.
func keepEnvironment() error {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if kept(name) {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("removing %s from the environment: %w", name, err)
		}
	}
	// A change must not choose the toolchain that measures it: its go.mod could
	// name one that is fetched and run at once.
	if err := os.Setenv("GOTOOLCHAIN", "local"); err != nil {
		return fmt.Errorf("holding the toolchain: %w", err)
	}
	return nil
}

func kept(name string) bool {
	return slices.Contains(keptNames, name) ||
		slices.ContainsFunc(keptPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// fence keeps the runner from taking anything for a command that is printed until
// the returned function is called. Both streams become one: the runner reads two
// side by side, and a fence on one would not hold for the other.
func (e *Env) fence(runner actions.Runner) (unfence func(), err error) {
	if !runner.On {
		return func() {}, nil
	}
	fence, err := actions.NewFence(e.Stdout)
	if err != nil {
		return nil, err
	}
	stdout, stderr := e.Stdout, e.Stderr
	e.Stdout, e.Stderr = fence, fence
	return func() {
		e.Stdout, e.Stderr = stdout, stderr
		if err := fence.Close(); err != nil {
			fmt.Fprintf(e.Stderr, "perfgate: %v\n", err)
		}
	}, nil
}

// setOutputs sets the outputs of the step.
func setOutputs(runner actions.Runner, outputs map[string]string) error {
	for name, value := range outputs {
		if err := runner.SetOutput(name, value); err != nil {
			return err
		}
	}
	return nil
}

// writeOutcome writes the outcome into a results folder.
func writeOutcome(dir string, o artifact.Outcome) error {
	data, err := artifact.EncodeOutcome(o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, artifact.OutcomeFile), data, 0o644); err != nil {
		return fmt.Errorf("writing the outcome: %w", err)
	}
	return nil
}
