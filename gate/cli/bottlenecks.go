package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/bottleneck"
	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/verdict"
)

const bottlenecksHelp = `Ranks what limits the throughput of the working tree's benchmarks, with evidence
from profiles: CPU, allocations, locks and waiting, and the queues that benchmarks
report. Each entry has a cause, a place, the most that removing it can bring, and
a proposal. BENCH is a regular expression as for go test -bench; without it the
whole suite is ranked.

With --bundle it reads the profiles that a run recorded: those of the head side, or
with BUNDLE:base of the other. docs/bottlenecks.md says how it is computed.`

// bottlenecksFlags are those of the command.
type bottlenecksFlags struct {
	bench    string
	suite    string
	packages patterns
	load     patterns
	budget   time.Duration
	timeout  time.Duration
	reps     int
	bundle   string
	format   string
	entry    string
	page     string
	all      bool
}

func (f *bottlenecksFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.suite, "suite", "", "rank this `SUITE` of perfgate.yml (default: smoke, where there is one)")
	fs.Var(&f.packages, "pkg", "rank the benchmarks of packages that match `PATTERN` instead of a suite; may be repeated")
	fs.Var(&f.load, "load", "packages that match `PKG`, an import path, or lie below it make the load and are not ranked; test files and the packages beside a suite's manifest never are; may be repeated")
	fs.DurationVar(&f.budget, "budget", 2*time.Minute, "profile for about `DURATION` in all, after building")
	fs.DurationVar(&f.timeout, "timeout", time.Minute, "a benchmark function that has not ended its first short run after `DURATION` counts as hung")
	fs.IntVar(&f.reps, "reps", bottleneck.ReplicatesMin, "take `N` profiles of each kind; the intervals come from their scatter")
	fs.StringVar(&f.bundle, "bundle", "", "read the profiles of `BUNDLE` instead of taking new ones")
	fs.StringVar(&f.format, "format", "text", "print as `FORMAT`: text, json or markdown")
	fs.StringVar(&f.entry, "entry", "", "show only the entry `ID`, such as hash@cart, with all that is known of it")
	fs.StringVar(&f.page, "page", "", "also write the tables between the marker lines of `FILE`")
	fs.BoolVar(&f.all, "all", false, "show every row of every table")
}

func (f *bottlenecksFlags) validate() error {
	for _, element := range strings.Split(f.bench, "/") {
		if _, err := regexp.Compile(element); err != nil {
			return fmt.Errorf("bottlenecks: %q is no regular expression: %w", f.bench, err)
		}
	}
	switch {
	case f.budget <= 0 || f.timeout <= 0:
		return errors.New("bottlenecks: --budget and --timeout want a positive duration, such as 2m")
	case f.reps < 2 || f.reps > 100:
		return fmt.Errorf("bottlenecks: --reps %d: give 2 to 100; intervals come from the scatter between replicates", f.reps)
	case f.bundle != "" && (f.suite != "" || len(f.packages) > 0):
		return errors.New("bottlenecks: --bundle names what was measured: leave --suite and --pkg out")
	case f.suite != "" && len(f.packages) > 0:
		return errors.New("bottlenecks: --pkg and --suite exclude each other: a suite names its own packages")
	case f.entry != "" && f.page != "":
		return errors.New("bottlenecks: --entry and --page exclude each other: a page has all entries")
	}
	return checkFormat(f.format)
}

// command is the line that measures the same again.
func (f *bottlenecksFlags) command() string {
	words := []string{"perfgate", "bottlenecks"}
	add := func(name, value string) {
		if value != "" {
			words = append(words, "--"+name, bottleneck.ShellWord(value))
		}
	}
	add("bundle", f.bundle)
	add("suite", f.suite)
	for _, p := range f.packages {
		add("pkg", p)
	}
	for _, p := range f.load {
		add("load", p)
	}
	if f.bench != "." {
		words = append(words, bottleneck.ShellWord(f.bench))
	}
	return strings.Join(words, " ")
}

func runBottlenecks(ctx context.Context, env *Env, args []string) int {
	f := bottlenecksFlags{bench: "."}
	fs := flag.NewFlagSet("bottlenecks", flag.ContinueOnError)
	f.define(fs)
	fs.Usage = env.usageOf(fs, "bottlenecks [flags] [BENCH]", bottlenecksHelp)
	if code, ok := env.parse(fs, args, -1); !ok {
		return code
	}
	if fs.NArg() > 1 {
		return env.fail(verdict.ExitUsage, fmt.Errorf("bottlenecks: give one regular expression; %q is the second operand", fs.Arg(1)))
	}
	if fs.NArg() == 1 {
		f.bench = fs.Arg(0)
	}
	err := f.validate()
	if err == nil {
		err = (&bottlenecksRun{env: env, flags: f}).do(ctx)
	}
	var failed *measure.LeavesError
	switch {
	case err == nil:
		return verdict.ExitPass
	case ctx.Err() != nil:
		return env.fail(verdict.ExitInterrupted, context.Canceled)
	case errors.As(err, &failed), errors.Is(err, errNotWritable), errors.Is(err, measure.ErrNoRoom), errors.Is(err, bottleneck.ErrFew):
		return env.fail(verdict.ExitNotMeasured, err)
	}
	return env.fail(verdict.ExitUsage, err)
}

// bottlenecksRun carries one call out.
type bottlenecksRun struct {
	env      *Env
	flags    bottlenecksFlags
	scope    bottleneck.Scope
	origin   bottleneck.Origin
	measured []bottleneck.Measured
}

func (r *bottlenecksRun) do(ctx context.Context) error {
	page, err := r.readPage() // before minutes are spent
	if err != nil {
		return err
	}
	r.scope.Load = r.flags.load
	r.origin.Command = r.flags.command()
	take := r.takeProfiles
	if r.flags.bundle != "" {
		take = r.readBundle
	}
	if err := take(ctx); err != nil {
		return err
	}
	var all []*bottleneck.Analysis
	for _, m := range r.measured {
		a, err := bottleneck.Analyse(r.scope, m)
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	report := bottleneck.Rank(r.scope, r.origin, all)
	if r.flags.page != "" {
		if page, err = bottleneck.UpdatePage(page, &report); err != nil {
			return fmt.Errorf("%s: %w", r.flags.page, err)
		}
		if err := os.WriteFile(r.env.path(r.flags.page), []byte(page), 0o644); err != nil {
			return fmt.Errorf("%w: %w", errNotWritable, err)
		}
	}
	return r.show(&report)
}

// readPage reads the page that is to be written, and checks that it has the marker
// lines.
func (r *bottlenecksRun) readPage() (string, error) {
	if r.flags.page == "" {
		return "", nil
	}
	data, err := os.ReadFile(r.env.path(r.flags.page))
	if err != nil {
		return "", fmt.Errorf("bottlenecks: --page: %w", err)
	}
	if _, err := bottleneck.UpdatePage(string(data), &bottleneck.Report{}); err != nil {
		return "", fmt.Errorf("bottlenecks: --page %s: %w", r.flags.page, err)
	}
	return string(data), nil
}

func (r *bottlenecksRun) show(report *bottleneck.Report) error {
	var text string
	if id := r.flags.entry; id != "" {
		e, ok := report.Entry(id)
		if !ok {
			return fmt.Errorf("bottlenecks: --entry %s is not among what was found: %s", id, strings.Join(ids(report), " "))
		}
		report.Entries = []bottleneck.Entry{e}
		text = report.TextEntry(e)
	}
	switch r.flags.format {
	case "json":
		data, err := report.JSON()
		if err != nil {
			return err
		}
		text = string(data)
	case "markdown":
		text = report.Markdown()
	default:
		if text == "" {
			text = report.Text(bottleneck.Options{All: r.flags.all})
		}
	}
	if _, err := r.env.Stdout.Write([]byte(text)); err != nil {
		return fmt.Errorf("%w: %w", errNotWritable, err)
	}
	return nil
}

func ids(report *bottleneck.Report) []string {
	var all []string
	for _, e := range report.Entries {
		all = append(all, e.ID)
	}
	slices.Sort(all)
	return all
}
