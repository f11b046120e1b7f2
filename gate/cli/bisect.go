package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/verdict"
)

// Each step of a bisection tests one commit against the good one with the
// gate's own sequential test. It calls an unchanged commit bad with probability
// stepBadWrong at most (the suite's budget of false alarms), and passes one with
// the slowdown asked about with stepGoodWrong at most.
const (
	stepBadWrong  = .01
	stepGoodWrong = .02
)

// answer is what a step says of a commit.
type answer string

const (
	good    answer = "good"
	bad     answer = "bad"
	unknown answer = "unknown" // it does not build, or could not be decided
)

// bisection is a search under way. It is stored after every step, so that an
// interrupted one goes on where it was.
type bisection struct {
	Good    string   `json:"good"` // commits
	Bad     string   `json:"bad"`
	Bench   string   `json:"bench"`
	Pkgs    []string `json:"pkgs,omitempty"`
	Suite   string   `json:"suite,omitempty"`
	Commits []string `json:"commits"` // after Good, up to Bad
	// Tests are those that Bad is slower in than Good.
	Tests []recording.Test `json:"tests"`
	Steps []bisectStep     `json:"steps"`
}

type bisectStep struct {
	Commit string `json:"commit"`
	Answer answer `json:"answer"`
	Why    string `json:"why"`
	Bundle string `json:"bundle,omitempty"`
}

// runBisect finds the commit that made a benchmark slower.
func runBisect(ctx context.Context, env *Env, args []string) int {
	f := measureFlags{command: "check", format: "text", timeout: time.Minute}
	fs := flag.NewFlagSet("bisect", flag.ContinueOnError)
	fs.StringVar(&f.base, "good", "", "the benchmark was fast at this `REF` (required)")
	fs.StringVar(&f.head, "bad", "HEAD", "it is slow at this `REF`")
	fs.StringVar(&f.bench, "bench", "", "the benchmark, as a `REGEX` for go test -bench (required)")
	fs.Var(&f.packages, "pkg", "it is in a package that matches `PATTERN`; may be repeated")
	fs.StringVar(&f.suite, "suite", "", "it is in this `SUITE` of perfgate.yml")
	fs.DurationVar(&f.budget, "budget", 2*time.Minute, "give each step at most `DURATION`, builds included")
	restart := fs.Bool("restart", false, "forget what an earlier, interrupted bisection of the same range found")
	fs.Usage = env.usageOf(fs, "bisect --good REF [--bad REF] --bench REGEX [flags]",
		"Searches the commits between two for the one that made a benchmark slower. It measures each candidate\n"+
			"against the good side, stores every step, and goes on where it was interrupted.")
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	err := f.validate(fs)
	if err == nil && (f.base == "" || f.bench == "") {
		err = errors.New("bisect: give both --good REF and --bench REGEX")
	}
	if err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	s := searcher{env: env, flags: f}
	if err := s.open(ctx, *restart); err != nil {
		return env.fail(failureCode(ctx, err))
	}
	code, err := s.search(ctx)
	if err != nil {
		return env.fail(failureCode(ctx, err))
	}
	return code
}

// searcher carries a bisection out.
type searcher struct {
	env   *Env
	flags measureFlags
	repo  *repo.Repo
	file  string
	state bisection
}

// open resolves the range, and takes up what an earlier run has stored of it.
func (s *searcher) open(ctx context.Context, restart bool) error {
	root, err := measure.ModuleRoot(ctx, s.env.Dir)
	if err != nil {
		return err
	}
	if s.repo, err = repo.Open(ctx, root); err != nil {
		return err
	}
	s.file = filepath.Join(s.repo.Private, "bisect.json")
	s.state = bisection{Bench: s.flags.bench, Pkgs: s.flags.packages, Suite: s.flags.suite}
	if s.state.Good, err = s.repo.Resolve(ctx, s.flags.base); err != nil {
		return err
	}
	if s.state.Bad, err = s.repo.Resolve(ctx, s.flags.head); err != nil {
		return err
	}
	if s.state.Commits, err = s.repo.Between(ctx, s.state.Good, s.state.Bad); err != nil {
		return fmt.Errorf("bisect: %w; swap --good and --bad, or give an ancestor", err)
	}
	if len(s.state.Commits) == 0 {
		return fmt.Errorf("bisect: --good %s and --bad %s are the same commit", s.flags.base, s.flags.head)
	}
	if restart {
		return nil
	}
	return s.resume()
}

// resume takes over the steps of a stored bisection of the same search.
func (s *searcher) resume() error {
	data, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bisect: reading the earlier steps: %w", err)
	}
	var stored bisection
	if err := json.Unmarshal(data, &stored); err != nil {
		return fmt.Errorf("bisect: %s is damaged: %w; start again with --restart", s.file, err)
	}
	same := stored.Good == s.state.Good && stored.Bad == s.state.Bad && stored.Bench == s.state.Bench &&
		stored.Suite == s.state.Suite && slices.Equal(stored.Pkgs, s.state.Pkgs)
	if same && len(stored.Tests) > 0 {
		s.state = stored
		fmt.Fprintf(s.env.Stderr, "perfgate: going on after %d steps of an earlier run; --restart begins anew\n", len(stored.Steps))
	}
	return nil
}

func (s *searcher) store() error {
	data, err := json.MarshalIndent(s.state, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(s.file, append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("bisect: storing the steps: %w", err)
	}
	return nil
}

// search halves the range until the first bad commit stands next to a good one.
func (s *searcher) search(ctx context.Context) (int, error) {
	if len(s.state.Tests) == 0 {
		if code, err := s.firstStep(ctx); err != nil || code != verdict.ExitPass {
			return code, err
		}
	}
	for {
		lo, hi := s.bounds()
		at, ok := s.candidate(lo, hi)
		if !ok {
			return s.report(ctx, lo, hi)
		}
		if err := s.step(ctx, s.state.Commits[at]); err != nil {
			return 0, err
		}
	}
}

// firstStep makes sure that there is something to look for.
func (s *searcher) firstStep(ctx context.Context) (int, error) {
	v, bundle, err := s.measure(ctx, s.state.Bad)
	if err != nil {
		return 0, err
	}
	for _, row := range v.Rows {
		if row.Decision == verdict.Regressed {
			s.state.Tests = append(s.state.Tests, row.Change.Test)
		}
	}
	if len(s.state.Tests) == 0 {
		fmt.Fprintf(s.env.Stdout, "%.7s is not slower than %.7s in %q, as far as %s could see; nothing to bisect (`perfgate replay --all %s` shows what was seen)\n",
			s.state.Bad, s.state.Good, s.flags.bench, s.flags.budget, s.env.relative(bundle))
		if v.Exit == verdict.ExitPass {
			return verdict.ExitUsage, nil
		}
		return v.Exit, nil
	}
	s.state.Steps = append(s.state.Steps, bisectStep{Commit: s.state.Bad, Answer: bad, Why: "slower than the good side", Bundle: bundle})
	s.show(s.state.Steps[0])
	return verdict.ExitPass, s.store()
}

// bounds are the indexes of the last commit that is known to be good (-1 for the
// good side itself) and of the first that is known to be bad.
func (s *searcher) bounds() (lo, hi int) {
	lo, hi = -1, len(s.state.Commits)-1
	for _, step := range s.state.Steps {
		at := slices.Index(s.state.Commits, step.Commit)
		switch step.Answer {
		case good:
			lo = max(lo, at)
		case bad:
			hi = min(hi, at)
		}
	}
	return lo, hi
}

// candidate is the commit to try next: the middle of the range, or the nearest
// to it that was not tried in vain.
func (s *searcher) candidate(lo, hi int) (int, bool) {
	tried := map[string]bool{}
	for _, step := range s.state.Steps {
		tried[step.Commit] = true
	}
	middle := (lo + hi) / 2
	for away := 0; away < hi-lo; away++ {
		for _, at := range []int{middle + away, middle - away} {
			if at > lo && at < hi && !tried[s.state.Commits[at]] {
				return at, true
			}
		}
	}
	return 0, false
}

// step measures a commit against the good side.
func (s *searcher) step(ctx context.Context, commit string) error {
	step := bisectStep{Commit: commit}
	v, bundle, err := s.measure(ctx, commit)
	var build *measure.BuildError
	switch {
	case errors.As(err, &build), errors.Is(err, measure.ErrNoBenchmarks):
		step.Answer, step.Why = unknown, "it does not build, or has no such benchmark"
	case err != nil:
		return err
	default:
		step.Bundle = bundle
		step.Answer, step.Why = s.judge(v)
	}
	s.state.Steps = append(s.state.Steps, step)
	s.show(step)
	return s.store()
}

// judge reads a verdict: any of the tests slower makes the commit bad, all of
// them passed make it good.
func (s *searcher) judge(v verdict.Verdict) (answer, string) {
	decisions := map[recording.Test]verdict.Row{}
	identical := map[string]bool{}
	for _, row := range v.Rows {
		decisions[row.Change.Test] = row
		if row.Decision == verdict.Identical {
			identical[row.Change.Test.Key.Pkg] = true
		}
	}
	passed := 0
	for _, t := range s.state.Tests {
		switch row := decisions[t]; {
		case row.Decision == verdict.Regressed:
			return bad, row.Why
		case row.Decision == verdict.Pass, row.Decision == verdict.Improved, identical[t.Key.Pkg]:
			passed++
		}
	}
	if passed == len(s.state.Tests) {
		return good, "no slowdown of the size asked about"
	}
	return unknown, "not decided within the budget of a step"
}

func (s *searcher) measure(ctx context.Context, commit string) (verdict.Verdict, string, error) {
	f := s.flags
	f.base, f.head = s.state.Good, commit
	r := &run{env: s.env, flags: f, progress: newProgress(s.env)}
	defer r.cleanUp()
	_, v, err := r.do(ctx)
	r.progress.done()
	return v, r.out, err
}

func (s *searcher) show(step bisectStep) {
	fmt.Fprintf(s.env.Stdout, "%.7s  %-7s  %s\n", step.Commit, step.Answer, step.Why)
}

// report names the culprit, or the range that is left, and how sure that is.
func (s *searcher) report(ctx context.Context, lo, hi int) (int, error) {
	goods, bads := 0, 0
	for _, step := range s.state.Steps {
		switch step.Answer {
		case good:
			goods++
		case bad:
			bads++
		}
	}
	out := s.env.Stdout
	fmt.Fprintln(out)
	code := verdict.ExitPass
	if hi-lo == 1 {
		subject, err := s.repo.Subject(ctx, s.state.Commits[hi])
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(out, "first slow commit: %s\n  %s\n", s.state.Commits[hi], printable(subject))
	} else {
		fmt.Fprintf(out, "the first slow commit is one of %d:\n", hi-lo)
		for _, commit := range s.state.Commits[lo+1 : hi+1] {
			fmt.Fprintf(out, "  %s\n", commit)
		}
		fmt.Fprintf(out, "those between do not build or could not be decided; more time for each step (--budget, with --restart) helps the latter\n")
		code = verdict.ExitNotMeasured
	}
	fmt.Fprintf(out, "steps: %d bad, %d good, %d undecided; one of them is wrong with probability %.2g at most (%g for each bad one, %g for each good one that has the slowdown asked about)\n",
		bads, goods, len(s.state.Steps)-bads-goods, min(1, stepBadWrong*float64(bads)+stepGoodWrong*float64(goods)), stepBadWrong, stepGoodWrong)
	for _, step := range s.state.Steps {
		if step.Commit == s.state.Commits[hi] && step.Bundle != "" {
			fmt.Fprintf(out, "what it shows: perfgate replay %s\n", s.env.relative(step.Bundle))
		}
	}
	return code, nil
}

// printable is a line of somebody's text without control characters.
func printable(s string) string {
	return string(slices.DeleteFunc([]rune(s), func(r rune) bool { return r < ' ' || r == 0x7f }))
}
