package measure

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

// Stopper sees every pair as it is taken and says, after each round, which
// benchmarks need no more.
type Stopper interface {
	// Pair adds one pair of the co-run or wall channel.
	Pair(base, head recording.Sample) error
	// Look ends a round: decisions are taken here and nowhere else.
	Look()
	// Undecided tells whether key still needs pairs in channel.
	Undecided(key recording.Key, channel recording.Channel) bool
	// Regressed tells whether some test of key was found slower in channel.
	Regressed(key recording.Key, channel recording.Channel) bool
	// Deviation is the pair deviation of key's tests in channel so far, the
	// largest; 0 before there are pairs.
	Deviation(key recording.Key, channel recording.Channel) float64
}

// Progress is what a person is told while it measures.
type Progress struct {
	Phase     string // "listing", "building", "planning", "exact", "co-run", "wall"
	Detail    string // the benchmark or package at hand
	Done      int
	Planned   int // 0 where unknown
	Undecided int // benchmarks that still need pairs
	Left      time.Duration
}

// Config says what to measure.
type Config struct {
	// Toolchain builds both sides.
	Toolchain Toolchain
	// BaseDir and HeadDir are the module's folders on each side.
	BaseDir, HeadDir string
	// BaseTop and HeadTop are the roots of the trees that they are in: nothing
	// above them belongs to that side. Empty where the user's own place counts,
	// with all that the go command finds there.
	BaseTop, HeadTop string
	// Packages are patterns for go list; Bench is a -test.bench pattern.
	Packages []string
	Bench    string
	// Only restricts the run to these benchmarks, which the suite's manifest
	// expects: one that is missing is an outcome. nil means all that base has.
	Only []recording.Key
	// Shard measures one part of the benchmark functions; nil means all.
	Shard *recording.Shard
	// Redefined gets the folder of each package with benchmarks, by import path,
	// and tells which benchmark functions ("PKG.BenchmarkX") differ in their
	// definition between the sides, and what to do about it; these are reported
	// and not run.
	Redefined func(base, head map[string]string) (map[string]string, error)
	// ExactN gives the iterations of exact runs where a stored baseline has them:
	// totals can be compared only at the same number.
	ExactN map[recording.Key]int
	// Inputs are paths below the module that benchmarks read.
	Inputs []string
	// Measure identical binaries too: a real A/A.
	MeasureIdentical bool
	// CoRunOnly leaves the wall channel out, and every benchmark that is measured
	// by nothing else.
	CoRunOnly bool
	// ExtraEvery makes the head side of the benchmarks that Slowed names slower by
	// one operation in so many, a slowdown whose size is known; 0 measures what there
	// is. It is for calibration.
	ExtraEvery int
	Slowed     func(key recording.Key) bool
	// Cores are the CPUs to use; numbers below 0 cannot be pinned to.
	Cores  []int
	CanPin bool
	// CountEvent is what co-run pairs count as instructions, "TYPE,CONFIG" of
	// perf_event_open(2); empty where the machine has no such counter.
	CountEvent string
	Seed       uint64
	// PlanLimit is the time limit of the first process of each benchmark function,
	// whose duration is not known yet: past it, the benchmark counts as hung.
	PlanLimit time.Duration
	// Deadline ends the measuring; zero is no limit. Where building took so long that
	// less than MeasureAtLeast is left until then, it is moved.
	Deadline       time.Time
	MeasureAtLeast time.Duration
	// NewStopper is called once the family of tests is registered.
	NewStopper func(family []recording.Test, units map[string]recording.Unit) (Stopper, error)
	// Profile is called when everything is measured, and says what to profile, the
	// most wanted first; nil for nothing. ProfileTime is how long that may take,
	// beyond the deadline.
	Profile     func(Result) ([]ProfileWant, error)
	ProfileTime time.Duration
	// Report is called often; nil is allowed.
	Report func(Progress)
	// Scratch is an empty folder for binaries; the caller removes it.
	Scratch string
}

// Result is what was measured.
type Result struct {
	Units      map[string]recording.Unit
	Benchmarks []recording.Benchmark
	Family     []recording.Test
	Outcomes   []recording.Outcome
	Samples    []recording.Sample
	Canary     []recording.Sample
	Warnings   []string
	OutOfTime  bool
	CPU        time.Duration
	// Profiles were taken after all else, which took ProfileSeconds.
	Profiles       []Profiled
	ProfileSeconds float64
	// Costs say what of CPU went to each benchmark, in the order of planning.
	Costs []Cost
}

// Cost is the CPU time of one benchmark's processes. Canaries and relinked
// layouts are not in it.
type Cost struct {
	Key                      recording.Key // at GOMAXPROCS 1
	Plan, Exact, CoRun, Wall time.Duration
}

func (c *Cost) add(channel recording.Channel, cpu time.Duration) {
	if channel == recording.Wall {
		c.Wall += cpu
	} else {
		c.CoRun += cpu
	}
}

// ErrNoBenchmarks: the patterns match nothing.
var ErrNoBenchmarks = errors.New("no benchmark to run")

// session is a measurement under way.
type session struct {
	Config
	rng        *rand.Rand
	base, head map[string]*pkg
	tools      map[recording.Side]Toolchain
	workspaces map[recording.Side]bool // a go.work governs the side
	tmp        string                  // the benchmark processes' TMPDIR
	overlay    string                  // the go command's -overlay
	bench      pattern
	plans      []*plan
	canaries   []*plan // benchmarks that base runs against itself too
	layouts    map[layout]string
	exact      map[recording.Key]*exactRuns
	redefined  map[string]string
	round      int
	built      time.Time // the end of building
	stopper    Stopper
	Result
}

// Run measures. Its error is for what makes the run impossible (the head side
// does not compile, nothing matches, the run was interrupted); everything else
// is an outcome in the result.
func Run(ctx context.Context, cfg Config) (Result, error) {
	s := &session{
		Config: cfg,
		rng:    rand.New(rand.NewPCG(cfg.Seed, 0)),
		exact:  map[recording.Key]*exactRuns{}, layouts: map[layout]string{}, tools: map[recording.Side]Toolchain{}, workspaces: map[recording.Side]bool{},
	}
	s.Units = map[string]recording.Unit{}
	var err error
	if s.bench, err = parsePattern(cfg.Bench); err != nil {
		return Result{}, err
	}
	steps := []func(context.Context) error{s.build, s.findRedefined, s.planAll, s.exactAll, s.register, s.timedAll, s.checkInputs, s.profileAll}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return Result{}, err
		}
	}
	for _, p := range s.plans {
		p.cost.Key = p.key
		s.Costs = append(s.Costs, p.cost)
	}
	return s.Result, nil
}

func (s *session) report(p Progress) {
	if s.Report == nil {
		return
	}
	if !s.Deadline.IsZero() {
		p.Left = time.Until(s.Deadline)
	}
	s.Report(p)
}

// late records that the budget ended before a benchmark's turn to be planned
// or to have its exact runs: it is not measured then.
func (s *session) late(key recording.Key) bool {
	if s.Deadline.IsZero() || time.Now().Before(s.Deadline) {
		return false
	}
	s.OutOfTime = true
	why := "the budget ended before its turn; give more with --budget, or choose fewer benchmarks"
	if !s.built.Before(s.Deadline) {
		// With an empty build cache that is how the first run on a slow machine ends.
		why = "building used up the whole budget; run again with what the go command's cache now holds, or give more with --budget"
	}
	s.outcome(key, "", recording.TooFew, why)
	return true
}

func (s *session) outcome(key recording.Key, side recording.Side, kind recording.OutcomeKind, detail string) {
	s.Outcomes = append(s.Outcomes, recording.Outcome{Key: key, Side: side, Kind: kind, Detail: detail})
}

// build compiles both sides before anything is measured.
func (s *session) build(ctx context.Context) error {
	var err error
	if s.overlay, err = s.prepare(); err != nil {
		return err
	}
	s.report(Progress{Phase: "listing", Detail: "packages"})
	if s.head, err = s.list(ctx, recording.Head, s.HeadTop, s.HeadDir); err != nil {
		return err
	}
	var failed *BuildError
	s.base, err = s.list(ctx, recording.Base, s.BaseTop, s.BaseDir)
	if errors.As(err, &failed) {
		s.outcome(recording.Key{Pkg: failed.Pkg}, recording.Base, recording.NoBuild, failed.Output)
	} else if err != nil {
		return err
	}
	s.selectBenchmarks()
	paths := s.packagePaths()
	if len(paths) == 0 && len(s.Outcomes) == 0 && s.Shard != nil {
		return fmt.Errorf("%w: none is left for shard %d of %d; use fewer shards", ErrNoBenchmarks, s.Shard.Index, s.Shard.Count)
	}
	if len(paths) == 0 && len(s.Outcomes) == 0 {
		return fmt.Errorf("%w: no benchmark function matches --bench %q in packages %s", ErrNoBenchmarks, s.Bench, strings.Join(s.Packages, " "))
	}
	for i, path := range paths {
		for _, side := range []recording.Side{recording.Base, recording.Head} {
			s.report(Progress{Phase: "building", Detail: string(side) + " " + path, Done: 2 * i, Planned: 2 * len(paths)})
			if err := s.buildOne(ctx, side, path, i); err != nil {
				return err
			}
		}
	}
	s.builtBy(time.Now())
	return nil
}

// builtBy keeps some time for the measuring, however long the building took.
func (s *session) builtBy(now time.Time) {
	s.built = now
	if least := now.Add(s.MeasureAtLeast); !s.Deadline.IsZero() && s.Deadline.Before(least) {
		s.Deadline = least
	}
}

// prepare writes the overlay, and gives the go command and the benchmarks places
// for temporary files: what one that is killed leaves there goes with the rest.
func (s *session) prepare() (overlay string, err error) {
	overlayDir := filepath.Join(s.Scratch, "overlay")
	s.tmp = filepath.Join(s.Scratch, "tmp")
	for _, dir := range []string{overlayDir, s.tmp} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", fmt.Errorf("making a folder: %w", err)
		}
	}
	s.Toolchain.tmp = s.Scratch
	return WriteOverlay(s.Toolchain.Root, overlayDir)
}

// list finds one side's packages, and settles what builds them.
func (s *session) list(ctx context.Context, side recording.Side, top, dir string) (map[string]*pkg, error) {
	tool, err := s.Toolchain.within(side, top, dir)
	if err != nil {
		return nil, err
	}
	s.tools[side] = tool
	s.workspaces[side] = workFile(top, dir) != "" && os.Getenv("GOWORK") == ""
	if side == recording.Base && s.workspaces[recording.Head] != s.workspaces[recording.Base] {
		s.Warnings = append(s.Warnings, "only one side has a go.work file: what the workspace replaces is not the same code on both sides")
	}
	return tool.listPackages(ctx, side, dir, s.Packages)
}

// findRedefined compares the benchmarks' own code before any of it runs.
func (s *session) findRedefined(context.Context) error {
	folders := func(pkgs map[string]*pkg) map[string]string {
		dirs := map[string]string{}
		for path, p := range pkgs {
			dirs[path] = p.dir
		}
		return dirs
	}
	var err error
	s.redefined, err = s.Redefined(folders(s.base), folders(s.head))
	return err
}

// packagePaths lists the packages that either side measures.
func (s *session) packagePaths() []string {
	var paths []string
	for _, side := range []map[string]*pkg{s.base, s.head} {
		for path := range side {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// selectBenchmarks keeps the functions that the pattern and the suite want.
func (s *session) selectBenchmarks() {
	wanted := map[string]bool{}
	mine := s.shardFunctions()
	if s.Only != nil {
		s.Only = slices.DeleteFunc(slices.Clone(s.Only), func(k recording.Key) bool {
			return !s.bench.matches(k.Name) || !mine(k.Pkg+"."+topLevel(k.Name))
		})
	}
	for _, k := range s.Only {
		wanted[k.Pkg+"."+topLevel(k.Name)] = true
	}
	for _, side := range []map[string]*pkg{s.base, s.head} {
		for path, p := range side {
			p.benchmarks = slices.DeleteFunc(p.benchmarks, func(name string) bool {
				return !s.bench.matches(name) || !mine(path+"."+name) || s.Only != nil && !wanted[path+"."+name]
			})
			if len(p.benchmarks) == 0 {
				delete(side, path)
			}
		}
	}
}

// shardFunctions tells which benchmark functions ("PKG.BenchmarkX") this shard
// measures: those of either side and of the suite are dealt out in order, so that
// every shard of the same two sides deals them alike.
func (s *session) shardFunctions() func(function string) bool {
	if s.Shard == nil {
		return func(string) bool { return true }
	}
	var all []string
	for _, side := range []map[string]*pkg{s.base, s.head} {
		for path, p := range side {
			for _, name := range p.benchmarks {
				if s.bench.matches(name) {
					all = append(all, path+"."+name)
				}
			}
		}
	}
	for _, k := range s.Only {
		all = append(all, k.Pkg+"."+topLevel(k.Name))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return func(function string) bool {
		at, found := slices.BinarySearch(all, function)
		return found && at%s.Shard.Count == s.Shard.Index-1
	}
}

func topLevel(name string) string {
	top, _, _ := strings.Cut(name, "/")
	return top
}

func (s *session) buildOne(ctx context.Context, side recording.Side, path string, i int) error {
	pkgs, dir := s.base, s.BaseDir
	if side == recording.Head {
		pkgs, dir = s.head, s.HeadDir
	}
	p := pkgs[path]
	if p == nil {
		return nil
	}
	// The same name on both sides: it is part of the binary's hash.
	p.binary = filepath.Join(s.Scratch, string(side), fmt.Sprintf("%d.test", i))
	err := s.tools[side].build(ctx, side, dir, s.overlay, p.binary, path, BuildFlags)
	if err == nil {
		p.binaryHash, err = hashFiles(filepath.Dir(p.binary), []string{filepath.Base(p.binary)})
	}
	var failed *BuildError
	if errors.As(err, &failed) && side == recording.Base {
		s.outcome(recording.Key{Pkg: path}, side, recording.NoBuild, failed.Output)
		delete(s.base, path)
		delete(s.head, path) // nothing of it can be compared, nor is it new
		return nil
	}
	if err != nil {
		return err
	}
	return p.hashInputs(dir, s.Inputs)
}

// checkInputs voids the run when what the benchmarks read has changed since
// the build.
func (s *session) checkInputs(context.Context) error {
	for _, side := range []struct {
		name recording.Side
		pkgs map[string]*pkg
		dir  string
	}{{recording.Base, s.base, s.BaseDir}, {recording.Head, s.head, s.HeadDir}} {
		for _, p := range side.pkgs {
			before := p.inputsHash
			if err := p.hashInputs(side.dir, s.Inputs); err != nil || p.inputsHash != before {
				s.outcome(recording.Key{Pkg: p.path}, side.name, recording.Void,
					"files of this package changed while it was measured; run again and leave them alone")
			}
		}
	}
	slices.SortStableFunc(s.Outcomes, func(a, b recording.Outcome) int { return a.Key.Compare(b.Key) })
	return nil
}
