package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/calibrate"
	"github.com/perfgate/perfgate/gate/machine"
	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/suite"
	"github.com/perfgate/perfgate/gate/verdict"
)

// calibrateFlags are what one call is asked to do.
type calibrateFlags struct {
	run        measureFlags
	series     calibrate.Series
	suites     int
	channel    string
	leastPairs int
	data       string
	page       string
	budget     time.Duration
	seed       uint64
	report     bool
}

// calibrationData and calibrationPage are where this repository keeps them; both
// are below the module.
const (
	calibrationData = "docs/evidence/calibration"
	calibrationPage = "docs/CALIBRATION.md"
	calibrationJSON = "report.json"
)

func (f *calibrateFlags) define(fs *flag.FlagSet) {
	fs.StringVar((*string)(&f.series.Kind), "kind", string(calibrate.AA), "what is known of both sides: aa (equal), neutral (an edit that changes no behaviour) or injected (`KIND`)")
	fs.IntVar(&f.series.Percent, "percent", 0, "make the head side slower by `P` %, with --kind injected: 1, 2, 3, 5 or 10")
	fs.IntVar(&f.suites, "suites", 1, "go on until there are `N` sessions of this kind")
	fs.StringVar(&f.run.head, "rev", "HEAD", "measure this `REF`, on both sides")
	fs.StringVar(&f.run.suite, "suite", "", "run this `SUITE` of perfgate.yml: smoke (the default there), gate or full")
	fs.StringVar(&f.run.bench, "bench", ".", "run only benchmarks that match `REGEX`, as in go test -bench")
	fs.Var(&f.run.packages, "pkg", "measure the benchmarks of packages that match `PATTERN` instead of a suite; may be repeated")
	fs.StringVar(&f.channel, "channel", "all", "`CHANNEL` to measure: all, or corun, which leaves the wall channel out")
	fs.IntVar(&f.leastPairs, "least-pairs", 0, "take `N` pairs of every co-run benchmark, decided or not, so that the rules of other tools have their runs; 20 are enough")
	fs.StringVar(&f.data, "data", "", "keep the sessions below the folder `DIR` (default: "+calibrationData+" of the module)")
	fs.DurationVar(&f.budget, "budget", 0, "begin no session that is not likely to end within `DURATION`; 0 is no limit")
	fs.DurationVar(&f.run.budget, "suite-budget", 0, "give each session `DURATION` instead of the suite's budget")
	fs.DurationVar(&f.run.timeout, "timeout", time.Minute, "a benchmark function that has not ended its first short run after `DURATION` counts as hung")
	fs.Uint64Var(&f.seed, "seed", 1, "draw the coins of all sessions from `SEED`")
	fs.BoolVar(&f.report, "report", false, "measure nothing: write the tables of the page, and "+calibrationJSON+", from the sessions that there are")
	fs.StringVar(&f.page, "page", "", "with --report, write the tables into `FILE` (default: "+calibrationPage+" of the module)")
}

func (f *calibrateFlags) validate() error {
	if err := f.series.Check(); err != nil {
		return fmt.Errorf("calibrate: --kind and --percent: %w", err)
	}
	switch {
	case f.suites < 1:
		return fmt.Errorf("calibrate: --suites %d: give 1 or more", f.suites)
	case f.channel != "all" && f.channel != "corun":
		return fmt.Errorf("calibrate: --channel %q: give all or corun", f.channel)
	case f.leastPairs < 0 || f.leastPairs > 80:
		return fmt.Errorf("calibrate: --least-pairs %d: give 0 to 80", f.leastPairs)
	case f.budget < 0 || f.run.budget < 0 || f.run.timeout <= 0:
		return errors.New("calibrate: --budget, --suite-budget and --timeout: give a positive duration, such as 10m")
	}
	return nil
}

// runCalibrate measures the gate's own error rates.
func runCalibrate(ctx context.Context, env *Env, args []string) int {
	f := calibrateFlags{run: measureFlags{command: "check", format: "text"}}
	fs := flag.NewFlagSet("calibrate", flag.ContinueOnError)
	f.define(fs)
	fs.Usage = env.usageOf(fs, "calibrate [flags]",
		"Measures how often this gate is wrong on this machine: sessions of which the truth is known are added to a\n"+
			"file, and --report turns the file into tables. An interrupted call loses the session under way and no other.")
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	if err := f.validate(); err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	c := &calibrator{env: env, flags: f, started: time.Now()}
	work := c.campaign
	if f.report {
		work = c.report
	}
	if err := work(ctx); err != nil {
		return env.fail(failureCode(ctx, err))
	}
	return verdict.ExitPass
}

// calibrator carries a call out.
type calibrator struct {
	env     *Env
	flags   calibrateFlags
	started time.Time
	header  *calibrate.Header
	data    *calibrate.Data
	longest time.Duration // session of this call
}

// inModule gives a path of the flags, or one below the module's root.
func (c *calibrator) inModule(ctx context.Context, given, byDefault string) (string, error) {
	if given != "" {
		return c.env.path(given), nil
	}
	root, err := measure.ModuleRoot(ctx, c.env.Dir)
	if err != nil {
		return "", err
	}
	return filepath.Join(root, filepath.FromSlash(byDefault)), nil
}

// campaign adds sessions until there are as many as asked for, or the time is up.
func (c *calibrator) campaign(ctx context.Context) error {
	dir, err := c.inModule(ctx, c.flags.data, calibrationData)
	if err != nil {
		return err
	}
	for {
		if c.data != nil && c.data.Count(c.flags.series) >= c.flags.suites {
			fmt.Fprintf(c.env.Stdout, "%s: %d sessions in %s\n", c.flags.series, c.data.Count(c.flags.series), c.env.relative(filepath.Join(dir, c.header.FileName())))
			return nil
		}
		if c.data != nil && c.flags.budget > 0 && time.Since(c.started)+c.longest > c.flags.budget {
			fmt.Fprintf(c.env.Stdout, "%s: %d of %d sessions; the budget is used up, run the same again to go on\n", c.flags.series, c.data.Count(c.flags.series), c.flags.suites)
			return nil
		}
		if err := c.session(ctx, dir); err != nil {
			return err
		}
	}
}

// session runs one and stores it. The first only looks whether it has to.
func (c *calibrator) session(ctx context.Context, dir string) error {
	began := time.Now()
	r := &run{env: c.env, flags: c.flags.run, progress: newProgress(c.env), started: began}
	defer r.cleanUp()
	defer r.progress.done()
	if c.data != nil {
		r.flags.seed = c.flags.series.Seed(c.flags.seed, c.data.Count(c.flags.series)+1)
	}
	r.flags.base = r.flags.head
	steps := []func(context.Context) error{r.open, r.resolve, r.checkOut, r.chooseToolchain, r.configure, r.prepare, r.readBaseline}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if c.data == nil {
		return c.open(ctx, r, dir)
	}
	s := calibrate.Session{
		Series: c.flags.series, Index: c.data.Count(c.flags.series) + 1, Seed: r.manifest.Seed,
		Commit: r.manifest.Base.Commit, Tree: r.manifest.Base.Tree, Tool: r.manifest.Tool, Time: began.UTC().Format(time.RFC3339),
	}
	s, err := c.measure(ctx, r, s)
	if err != nil {
		return err
	}
	if err := calibrate.Append(dir, *c.header, s); err != nil {
		return err
	}
	c.data.Sessions = append(c.data.Sessions, s)
	c.longest = max(c.longest, time.Since(began))
	fmt.Fprintf(c.env.Stdout, "%s %d/%d: %s, %.0f s, %.1f CPU-seconds\n", s.Series, s.Index, c.flags.suites, s.Headline, s.WallSeconds, s.CPUSeconds)
	return nil
}

// open reads the sessions that there are, once it is known of what. From here on
// the commit is fixed, whatever the ref does.
func (c *calibrator) open(ctx context.Context, r *run, dir string) error {
	header, err := c.headerOf(ctx, r)
	if err != nil {
		return err
	}
	if c.data, err = calibrate.Open(dir, header); err != nil {
		return err
	}
	c.header, c.flags.run.head = &header, r.manifest.Base.Commit
	if n := c.data.Count(c.flags.series); n > 0 {
		fmt.Fprintf(c.env.Stderr, "perfgate: going on after %d sessions\n", n)
	}
	return nil
}

// headerOf says what the sessions of this call have in common.
func (c *calibrator) headerOf(ctx context.Context, r *run) (calibrate.Header, error) {
	m := &r.manifest
	h := calibrate.Header{
		Schema: calibrate.Schema, Class: m.Machine.ClassID, Machine: m.Machine.Class, Module: m.Module,
		Suite: m.Suite, Packages: r.suite.Packages, Bench: m.Bench, Channel: c.flags.channel, BudgetSeconds: m.BudgetSeconds,
		Policy: m.Policy, LeastPairs: c.flags.leastPairs, Benchmarks: map[string]string{},
	}
	folders, err := measure.BenchmarkPackages(ctx, r.tool, r.baseDir, r.suite.Packages)
	if err != nil {
		return h, err
	}
	src := suite.Source{ModuleDir: r.baseDir, Packages: folders, Root: r.suiteRoot(r.baseDir)}
	definitions, err := suite.Definitions(src)
	if err != nil {
		return h, fmt.Errorf("reading the benchmarks: %w", err)
	}
	wanted := map[string]bool{}
	for _, k := range r.measure.Only {
		function, _, _ := strings.Cut(k.Name, "/")
		wanted[k.Pkg+"."+function] = true
	}
	for name, hash := range definitions {
		if r.measure.Only == nil || wanted[name] {
			h.Benchmarks[name] = hash
		}
	}
	return h, nil
}

// suiteRoot is the folder of the suite's own code in a side, or empty.
func (r *run) suiteRoot(dir string) string {
	if r.suite.Manifest == "" {
		return ""
	}
	return filepath.Join(dir, filepath.FromSlash(path.Dir(r.suite.Manifest)))
}

// measure runs the suite as any other run does, on sides that are known.
func (c *calibrator) measure(ctx context.Context, r *run, s calibrate.Session) (calibrate.Session, error) {
	if s.Kind == calibrate.Neutral {
		s.Edit = calibrate.Edits[(s.Index-1)%len(calibrate.Edits)]
		var err error
		if s.HeadHash, err = calibrate.ApplyEdit(r.headDir, r.suiteRoot(r.headDir), s.Edit, s.Seed); err != nil {
			return s, err
		}
	}
	watch := machine.NewWatch()
	var rule patient
	r.measure.MeasureIdentical, r.measure.CoRunOnly, r.measure.ExtraEvery = true, c.flags.channel == "corun", s.Every()
	r.measure.Slowed = func(key recording.Key) bool { return s.Slows(s.Index, key) }
	r.measure.NewStopper = func(family []recording.Test, units map[string]recording.Unit) (measure.Stopper, error) {
		rule = patient{stopper: stopper{verdict.NewTracker(family, units, r.manifest.Policy, nil)}, least: c.flags.leastPairs, taken: map[recording.Key]int{}}
		return rule, nil
	}
	result, err := measure.Run(ctx, r.measure)
	if err != nil {
		return s, err
	}
	s.Weather = watch.Weather().String()
	s.WallSeconds, s.CPUSeconds = round(time.Since(r.started).Seconds()), round(result.CPU.Seconds())
	m := &r.manifest
	m.Units, m.Benchmarks, m.Family, m.Outcomes, m.OutOfTime = result.Units, result.Benchmarks, result.Family, result.Outcomes, result.OutOfTime
	bundle := recording.Bundle{Manifest: *m, Samples: result.Samples, Canary: result.Canary}
	v, err := verdict.Decide(bundle)
	if err != nil {
		return s, fmt.Errorf("deciding: %w", err)
	}
	pairs := map[recording.Test]int{}
	for _, t := range m.Family {
		pairs[t], _ = rule.Pairs(t)
	}
	costs := map[recording.Key]calibrate.Cost{}
	for _, k := range result.Costs {
		costs[k.Key] = calibrate.Cost{Exact: k.Exact.Seconds(), CoRun: k.CoRun.Seconds(), Wall: k.Wall.Seconds()}
	}
	return calibrate.Record(s, bundle, v, pairs, costs)
}

// patient is the stopping rule, with more pairs taken of the co-run than it needs:
// the tracker behind it takes none for a test that is decided.
type patient struct {
	stopper
	least int
	taken map[recording.Key]int
}

func (p patient) Pair(base, head recording.Sample) error {
	if base.Channel == recording.CoRun {
		p.taken[base.Key]++
	}
	return p.stopper.Pair(base, head)
}

func (p patient) Undecided(key recording.Key, channel recording.Channel) bool {
	return p.stopper.Undecided(key, channel) || channel == recording.CoRun && p.taken[key] < p.least
}

// report writes the page's tables and the JSON file.
func (c *calibrator) report(ctx context.Context) error {
	dir, err := c.inModule(ctx, c.flags.data, calibrationData)
	if err != nil {
		return err
	}
	page, err := c.inModule(ctx, c.flags.page, calibrationPage)
	if err != nil {
		return err
	}
	all, err := calibrate.ReadAll(dir)
	if err != nil {
		return err
	}
	reports := []*calibrate.Report{}
	for _, data := range all {
		reports = append(reports, calibrate.Analyse(data))
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("calibrate: the page for the tables: %w", err)
	}
	updated, err := calibrate.UpdatePage(string(text), reports)
	if err != nil {
		return fmt.Errorf("calibrate: %s: %w", page, err)
	}
	document, err := json.MarshalIndent(reports, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(page, []byte(updated), 0o644); err != nil {
		return fmt.Errorf("calibrate: writing the tables: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, calibrationJSON), append(document, '\n'), 0o644); err != nil {
		return fmt.Errorf("calibrate: writing the report: %w", err)
	}
	fmt.Fprint(c.env.Stdout, calibrate.Tables(reports))
	return nil
}
