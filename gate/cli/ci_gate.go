package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/perfgate/perfgate/gate/actions"
	"github.com/perfgate/perfgate/gate/artifact"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/report"
	"github.com/perfgate/perfgate/gate/verdict"
)

// ciGate is one run of ci gate.
type ciGate struct {
	env     *Env
	failOn  failOn
	runner  actions.Runner
	results string // folder of the downloaded results
	out     string // folder for the merged bundle and the report
}

// runCIGate decides on the shards of one run together.
func runCIGate(_ context.Context, env *Env, args []string) int {
	g := ciGate{env: env, failOn: failOnRegression}
	fs := flag.NewFlagSet("ci gate", flag.ContinueOnError)
	fs.StringVar(&g.results, "results-dir", "", "the results of all shards were downloaded to `DIR` (default: perfgate-results in the runner's folder for temporary files)")
	fs.StringVar(&g.out, "out", "", "leave the merged bundle and the report in the new folder `DIR` (default: DIR-merged beside --results-dir)")
	fs.Var(&g.failOn, "fail-on", "what makes the exit code differ from 0, `WHAT`: regression (and whatever kept the suite from being measured), or never")
	fs.Usage = env.usageOf(fs, "ci gate [flags]", "Joins the results that the shards of a run have left, writes the job summary, and decides.\nIt wants no token.")
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	g.runner = actions.New(env.Getenv)
	if err := g.places(); err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	unfence, err := env.fence(g.runner)
	if err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	in, err := g.decide()
	unfence()
	if err == nil {
		err = g.annotate(in)
	}
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("ci gate: %w", err))
	}
	return g.failOn.exit(in.Verdict.Exit)
}

// places fills in the folders that were not given.
func (g *ciGate) places() error {
	if g.results == "" {
		if g.runner.Temp == "" {
			return errors.New("ci gate: RUNNER_TEMP is not set: give a folder with --results-dir DIR")
		}
		g.results = filepath.Join(g.runner.Temp, resultsName)
	}
	g.results = g.env.path(g.results)
	if g.out == "" {
		g.out = g.results + "-merged"
	}
	g.out = g.env.path(g.out)
	if _, err := os.Lstat(g.out); err == nil {
		return fmt.Errorf("--out %s exists already: give a new folder", g.out)
	}
	return nil
}

// decide reads, joins and shows the results. Shards that are missing are part of
// the answer; an error is for what cannot be written.
func (g *ciGate) decide() (report.Input, error) {
	in, err := g.input()
	if err != nil {
		return in, err
	}
	// Who may accept stands in a policy that this job does not read.
	in.PullRequest.Accepting.Allow = in.Manifest.WaiversAllowed
	if err := os.MkdirAll(g.out, 0o755); err != nil {
		return in, fmt.Errorf("making the folder for the report: %w", err)
	}
	var summary strings.Builder
	if err := report.Summary(&summary, in); err != nil {
		return in, fmt.Errorf("writing the report: %w", err)
	}
	page := filepath.Join(g.out, reportName)
	if err := os.WriteFile(page, []byte(summary.String()), 0o644); err != nil {
		return in, fmt.Errorf("writing the report: %w", err)
	}
	if err := g.runner.AddSummary(summary.String()); err != nil {
		return in, err
	}
	if err := g.print(in); err != nil {
		return in, fmt.Errorf("writing the report: %w", err)
	}
	return in, setOutputs(g.runner, map[string]string{
		"verdict": in.Words(), "exit-code": fmt.Sprint(in.Verdict.Exit), "result-path": g.out, "report-path": page,
	})
}

// print writes the report to the log. Where nothing could be read there are no
// rows, and the reasons say it all.
func (g *ciGate) print(in report.Input) error {
	for _, why := range in.PullRequest.Incomplete {
		fmt.Fprintf(g.env.Stdout, "missing: %s\n", indented(why))
	}
	g.env.verdictShown = true
	if in.Manifest.Schema == 0 {
		_, err := fmt.Fprintln(g.env.Stdout, in.LastLine())
		return err
	}
	in.Options = report.Options{Color: g.env.Color, Width: g.env.Width}
	return report.Terminal(g.env.Stdout, in)
}

// indented shows a text of several lines, which may be a stranger's, below one
// heading: no line of it stands at the margin, and none moves the cursor.
func indented(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	return strings.ReplaceAll(strings.TrimRight(clean, "\n"), "\n", "\n  ")
}

// input is what there is to report.
func (g *ciGate) input() (report.Input, error) {
	in := report.Input{PullRequest: g.context()}
	results, err := readResults(g.results, g.runner.RunAttempt)
	if err != nil {
		g.notMeasured(&in, err.Error())
		return in, nil
	}
	b, err := results.Bundle()
	switch {
	case errors.Is(err, artifact.ErrIncomplete):
		for _, m := range results.Missing {
			g.notMeasured(&in, fmt.Sprintf("shard %d of %d: %s", m.Index, results.Count, m.Why))
		}
		return in, g.addWorst(&in, results.Shards)
	case err != nil:
		g.notMeasured(&in, err.Error())
		return in, nil
	}
	return in, g.addWhole(&in, b)
}

// context is what the event says of the change.
func (g *ciGate) context() *report.PullRequestContext {
	pr := &report.PullRequestContext{RunURL: g.runner.RunURL()}
	if e, err := g.runner.Event(); err == nil && e.PullRequest != nil {
		pr.Fork = e.PullRequest.Fork()
	}
	return pr
}

// notMeasured notes why there is no verdict on the suite.
func (g *ciGate) notMeasured(in *report.Input, why string) {
	in.PullRequest.Incomplete = append(in.PullRequest.Incomplete, why)
	in.Verdict.Headline, in.Verdict.Exit = verdict.SuiteNotMeasured, verdict.ExitNotMeasured
}

// addWhole stores the bundle of all shards, and decides on what a replay of it
// will read.
func (g *ciGate) addWhole(in *report.Input, b recording.Bundle) error {
	path := filepath.Join(g.out, artifact.BundleFolder)
	if err := os.MkdirAll(g.out, 0o755); err != nil {
		return fmt.Errorf("making the folder for the bundle: %w", err)
	}
	if err := recording.Write(path, b); err != nil {
		return fmt.Errorf("writing the merged bundle: %w", err)
	}
	b, err := recording.Read(path)
	if err != nil {
		return fmt.Errorf("reading the merged bundle back: %w", err)
	}
	if in.Hash, err = recording.Hash(path); err != nil {
		return err
	}
	in.Manifest, in.Path = b.Manifest, path
	if in.Verdict, err = verdict.Decide(b); err != nil {
		return fmt.Errorf("deciding: %w", err)
	}
	in.Findings = findings(&b, in.Verdict)
	return nil
}

// addWorst shows, where shards are missing, the most serious one of the others: a
// regression that one of them proves is one whatever the missing ones hold.
func (g *ciGate) addWorst(in *report.Input, shards []artifact.Shard) error {
	for _, s := range shards {
		v, err := verdict.Decide(*s.Bundle)
		if err != nil {
			return fmt.Errorf("deciding on shard %d: %w", s.Index, err)
		}
		if in.Manifest.Schema == 0 || v.Exit == verdict.ExitRegression && in.Verdict.Exit != verdict.ExitRegression {
			in.Manifest, in.Verdict, in.Hash, in.Findings = s.Bundle.Manifest, v, s.Hash, findings(s.Bundle, v)
		}
	}
	if in.Verdict.Exit != verdict.ExitRegression {
		in.Verdict.Exit = verdict.ExitNotMeasured
	}
	return nil
}

// annotate puts notes beside the lines of the change. It comes after the fence.
func (g *ciGate) annotate(in report.Input) error {
	if !g.runner.On {
		return nil
	}
	var notes []actions.Annotation
	for _, a := range report.Annotations(in) {
		notes = append(notes, actions.Annotation{Path: a.Path, Line: a.Line, Title: a.Title, Message: a.Message})
	}
	for _, why := range in.PullRequest.Incomplete {
		notes = append(notes, actions.Annotation{Title: "perfgate: not measured", Message: why})
	}
	return actions.Annotate(g.env.Stdout, notes)
}

// readResults reads what a download has made: a folder for each artifact, or
// where only one fits, that artifact's own files. Outside a workflow any attempt
// is taken.
func readResults(dir string, attempt int) (artifact.Results, error) {
	if attempt == 0 {
		attempt = artifact.AttemptMax
	}
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		// A download of no artifact at all makes none.
		return artifact.Results{}, fmt.Errorf("%w: there is no folder %s", artifact.ErrNone, dir)
	case err == nil && !info.IsDir():
		return artifact.Results{}, fmt.Errorf("reading the results: %s is no folder", dir)
	}
	fsys := os.DirFS(dir)
	data, err := fs.ReadFile(fsys, artifact.OutcomeFile)
	if errors.Is(err, fs.ErrNotExist) {
		results, err := artifact.ReadFolders(fsys, attempt)
		if errors.Is(err, artifact.ErrNone) {
			err = fmt.Errorf("%w: none is in %s", err, dir)
		}
		return results, err
	}
	if err != nil {
		return artifact.Results{}, fmt.Errorf("reading the results: %w", err)
	}
	outcome, err := artifact.DecodeOutcome(data)
	if err != nil {
		return artifact.Results{}, err
	}
	var flag shardFlag
	if err := flag.Set(outcome.Shard); err != nil {
		return artifact.Results{}, fmt.Errorf("%s: shard %q: %w", artifact.OutcomeFile, outcome.Shard, err)
	}
	name := artifact.Name{Attempt: attempt, Index: flag.shard.Index, Count: flag.shard.Count}
	return artifact.Collect([]artifact.Listed{{Name: name.String()}}, attempt,
		func(n artifact.Name, _ artifact.Listed) (artifact.Shard, error) { return artifact.ReadFS(n, fsys) })
}

// resultsName and reportName are what the folders and files of a check are called
// where nobody says otherwise.
const (
	resultsName = "perfgate-results"
	reportName  = "report.md"
)

// failOn is the value of --fail-on.
type failOn string

const (
	failOnRegression failOn = "regression"
	failOnNever      failOn = "never"
)

func (f *failOn) String() string { return string(*f) }

func (f *failOn) Set(s string) error {
	if s != string(failOnRegression) && s != string(failOnNever) {
		return errors.New("give regression or never")
	}
	*f = failOn(s)
	return nil
}

// exit is the exit code of a command that has found code. What could not be
// measured is no pass: it fails as a regression does. An interrupt always shows.
func (f failOn) exit(code int) int {
	if f == failOnNever && code != verdict.ExitInterrupted {
		return verdict.ExitPass
	}
	return code
}
