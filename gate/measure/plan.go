package measure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

const (
	// coRunSlice is the CPU time of one co-run run: the kernel then alternates
	// the two sides a few times within it.
	coRunSlice = 20 * time.Millisecond
	// coRunOpMax: an operation that takes more CPU than this is measured in the
	// wall channel instead.
	coRunOpMax = 200 * time.Millisecond
	// wallRun is how long one run of the wall channel takes.
	wallRun = 400 * time.Millisecond
	// planTime is the -test.benchtime of the planning pass.
	planTime = 20 * time.Millisecond
	// busyShare: a benchmark that uses less CPU than this share of its wall time
	// waits rather than computes.
	busyShare = 0.5
	// nMax bounds the iterations of a run.
	nMax = 1_000_000_000
	// delayUnit is what the overlay reports while planning: nanoseconds of a run
	// that its threads were ready and waited for a CPU.
	delayUnit = "run-delay/run"
)

// plan is how one benchmark is measured.
type plan struct {
	key                recording.Key // GOMAXPROCS 1
	path               string
	cpuOp              float64 // seconds of CPU per op, on base
	wallOp             float64 // seconds of wall time per op, on base
	delayOp            float64 // seconds per op that it was ready to run and had no CPU
	minN               int
	parallel, wallOnly bool
	timed              bool     // it reports its time
	declared           []string // timed units of its own with a known direction
	undeclared         []string // units of its own whose direction nobody said: shown only
	counts             bool     // its runs can count instructions
	exact              []string // units declared exact
	coRun, wall        bool
	coRunWhy, wallWhy  string
	n, wallN, exactN   int
	gone               bool                      // it failed: no more runs
	pairs              map[recording.Channel]int // taken so far
	voids              int                       // runs that voided themselves
	lengthened         bool                      // the length of its runs is settled
	confirmed          []recording.Channel       // its slowdown was tried on relinked layouts
	canaryPairs        int                       // taken of base against itself
	cost               Cost                      // CPU time spent on it
}

// planAll runs every benchmark function once on base, in a process of its own,
// to learn its sub-benchmarks and what an operation costs; and once on head, to
// learn whether they are all there.
func (s *session) planAll(ctx context.Context) error {
	type function struct{ path, name string }
	var functions []function
	for _, path := range s.packagePaths() {
		base, head := s.base[path], s.head[path]
		if s.skipIdentical(base, head) {
			continue
		}
		names := append(slices.Clone(benchmarksOf(base)), benchmarksOf(head)...)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			functions = append(functions, function{path, name})
		}
	}
	for i, f := range functions {
		if s.late(recording.Key{Pkg: f.path, Name: f.name, Procs: 1}) {
			continue
		}
		s.report(Progress{Phase: "planning", Detail: f.name, Done: i, Planned: len(functions)})
		before, known := s.CPU, len(s.plans)
		if err := s.planFunction(ctx, f.path, f.name); err != nil {
			return err
		}
		for _, p := range s.plans[known:] {
			p.cost.Plan = (s.CPU - before) / time.Duration(len(s.plans)-known)
		}
	}
	s.missingFromManifest()
	if s.CoRunOnly {
		s.plans = slices.DeleteFunc(s.plans, func(p *plan) bool { return !p.coRun })
	}
	if len(s.plans) == 0 && len(s.Benchmarks) == 0 && len(s.Outcomes) == 0 {
		return fmt.Errorf("%w: no benchmark matches --bench %q in packages %s", ErrNoBenchmarks, s.Bench, strings.Join(s.Packages, " "))
	}
	return nil
}

func benchmarksOf(p *pkg) []string {
	if p == nil {
		return nil
	}
	return p.benchmarks
}

// skipIdentical registers the benchmarks of a package whose binaries and inputs
// are the same on both sides as unchanged, which needs no run at all.
func (s *session) skipIdentical(base, head *pkg) bool {
	if s.MeasureIdentical || base == nil || head == nil ||
		base.binaryHash != head.binaryHash || base.inputsHash != head.inputsHash {
		return false
	}
	for _, name := range base.benchmarks {
		key := recording.Key{Pkg: base.path, Name: name, Procs: 1}
		s.Benchmarks = append(s.Benchmarks, recording.Benchmark{
			Key: key, Channel: recording.Unchanged, Reason: "test binary and inputs are byte-identical",
		})
		s.Family = append(s.Family, recording.Test{Key: key, Unit: "sec/op", Channel: recording.Unchanged})
	}
	return true
}

// planFunction plans the benchmark function name and its sub-benchmarks.
func (s *session) planFunction(ctx context.Context, path, name string) error {
	key := recording.Key{Pkg: path, Name: name, Procs: 1}
	onBase := slices.Contains(benchmarksOf(s.base[path]), name)
	onHead := slices.Contains(benchmarksOf(s.head[path]), name)
	if detail, ok := s.redefined[path+"."+name]; ok && onBase && onHead {
		s.outcome(key, "", recording.Redefined, detail)
		return nil
	}
	var base, head []recording.Result
	var ok bool
	var err error
	if onBase {
		if base, ok, err = s.discover(ctx, recording.Base, key, planTime.String()); err != nil || !ok {
			return err
		}
	}
	if onHead {
		if head, ok, err = s.discover(ctx, recording.Head, key, "1x"); err != nil || !ok {
			return err
		}
	}
	s.matchLeaves(key, base, head)
	return nil
}

// discover runs one benchmark function on one side with everything below it.
// ok is false when it failed, which is then an outcome.
func (s *session) discover(ctx context.Context, side recording.Side, key recording.Key, benchtime string) ([]recording.Result, bool, error) {
	pattern := s.functionPattern(key)
	var f finished
	for voids := 0; ; voids++ {
		var err error
		f, err = s.runAlone(ctx, role{side: side}, key.Pkg, job{pattern: pattern, benchtime: benchtime, procs: 1, cores: s.pinned(s.drawCore()), timeout: s.planLimit(), planning: true, count: s.CountEvent})
		if err != nil {
			return nil, false, err
		}
		if _, void := voided(f); !void || voids == voidsMax {
			break
		}
	}
	out, failure := s.parse(side, key, f, 1)
	if failure == nil {
		failure = twice(side, out.Results)
	}
	if failure != nil {
		s.Outcomes = append(s.Outcomes, *failure)
		return nil, false, nil
	}
	if err := s.mergeUnits(side, key, out.Units); err != nil {
		return nil, false, err
	}
	leaves := slices.DeleteFunc(out.Results, func(r recording.Result) bool {
		return s.Only != nil && !slices.Contains(s.Only, r.Key)
	})
	return leaves, true, nil
}

// twice finds a benchmark that a binary ran more than once in one run, so that
// nobody could say which result is which.
func twice(side recording.Side, results []recording.Result) *recording.Outcome {
	seen := map[recording.Key]bool{}
	for _, r := range results {
		if seen[r.Key] {
			return &recording.Outcome{Key: r.Key, Side: side, Kind: recording.Garbage,
				Detail: "it gave two results in one run; does the package have it twice, inside and in its external tests? Rename one"}
		}
		seen[r.Key] = true
	}
	return nil
}

// planLimit is the time limit of a planning run: no longer than the budget lasts.
func (s *session) planLimit() time.Duration {
	if s.Deadline.IsZero() {
		return s.PlanLimit
	}
	return max(min(s.PlanLimit, time.Until(s.Deadline)), time.Millisecond)
}

// functionPattern selects the wanted sub-benchmarks of one function: by the
// -bench pattern, or by the names that the suite lists, so that a large
// benchmark of another size is not run in vain.
func (s *session) functionPattern(key recording.Key) string {
	if s.Only == nil {
		text, _ := s.bench.within(key.Name)
		return text
	}
	parts := []string{"^" + key.Name + "$"}
	for depth := 1; ; depth++ {
		var alternatives []string
		for _, k := range s.Only {
			names := strings.Split(k.Name, "/")
			if k.Pkg != key.Pkg || names[0] != key.Name {
				continue
			}
			if depth >= len(names) {
				return strings.Join(parts, "/")
			}
			alternatives = append(alternatives, regexp.QuoteMeta(names[depth]))
		}
		slices.Sort(alternatives)
		parts = append(parts, "^("+strings.Join(slices.Compact(alternatives), "|")+")$")
	}
}

// mergeUnits takes over what the base side declares of a unit. The head side
// cannot change what base declared, only add units.
func (s *session) mergeUnits(side recording.Side, key recording.Key, units map[string]recording.Unit) error {
	for unit, u := range units {
		have, known := s.Units[unit]
		if known && have != u {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s declares unit %s as %s on the %s side, but it was %s before: the first declaration counts",
				key, unit, describeUnit(u), side, describeUnit(have)))
			continue
		}
		s.Units[unit] = u
	}
	return nil
}

func describeUnit(u recording.Unit) string {
	return strings.TrimSpace("better=" + u.Better + " " + strings.TrimPrefix("assume="+u.Assume, "assume="))
}

// matchLeaves pairs the sub-benchmarks of the two sides and plans those that
// both have.
func (s *session) matchLeaves(key recording.Key, base, head []recording.Result) {
	index := func(rs []recording.Result) map[recording.Key]recording.Result {
		m := map[recording.Key]recording.Result{}
		for _, r := range rs {
			m[r.Key] = r
		}
		return m
	}
	onBase, onHead := index(base), index(head)
	for _, r := range base {
		if _, ok := onHead[r.Key]; !ok {
			s.outcome(r.Key, recording.Head, recording.Missing, "it runs on the base side and not on the head side; restore it, or merge the removal on its own (its check stays red, and whoever may merges it)")
			continue
		}
		s.plans = append(s.plans, s.newPlan(key.Pkg, r))
	}
	for _, r := range head {
		if _, ok := onBase[r.Key]; !ok {
			s.outcome(r.Key, recording.Head, recording.Added, "it is new on the head side: nothing to compare with yet")
		}
	}
	if _, all := s.bench.within(key.Name); all && len(base) == 0 && len(head) == 0 && s.Only == nil {
		s.outcome(key, "", recording.Skipped, "it ran no benchmark on either side (b.Skip?)")
	}
}

// missingFromManifest adds an outcome for every benchmark that the suite
// expects and nothing else accounts for.
func (s *session) missingFromManifest() {
	known := map[recording.Key]bool{}
	functions := map[string]bool{}
	for _, p := range s.plans {
		known[p.key] = true
	}
	for _, o := range s.Outcomes {
		known[o.Key] = true
		functions[o.Key.Pkg+"."+o.Key.Name] = true
		if o.Key.Name == "" {
			functions[o.Key.Pkg] = true
		}
	}
	for _, b := range s.Benchmarks {
		functions[b.Key.Pkg+"."+b.Key.Name] = true
	}
	for _, k := range s.Only {
		if known[k] || functions[k.Pkg] || functions[k.Pkg+"."+topLevel(k.Name)] {
			continue
		}
		s.outcome(k, "", recording.Missing, "the suite's manifest expects it and neither side runs it; regenerate the manifest if it was removed on purpose")
	}
}

// newPlan chooses the channels and the iterations of one benchmark.
func (s *session) newPlan(path string, r recording.Result) *plan {
	p := &plan{key: r.Key, path: path, parallel: r.Parallel, minN: 1, pairs: map[recording.Channel]int{}}
	for _, v := range r.Values {
		switch u := s.Units[v.Unit]; {
		case v.Unit == "cpu-sec/op":
			p.cpuOp = v.Value
		case v.Unit == "sec/op":
			p.wallOp, p.timed = v.Value, true
		case v.Unit == delayUnit:
			p.delayOp = v.Value / 1e9 / float64(r.N)
		case v.Unit == recording.WallOnly:
			p.wallOnly = true
		case v.Unit == recording.Instructions && s.CountEvent != "":
			p.counts = true
		case v.Unit == recording.MinN:
			p.minN = max(1, int(math.Min(v.Value, nMax)))
		case u.Assume == "exact":
			p.exact = append(p.exact, v.Unit)
		case v.Unit == "B/op", v.Unit == "allocs/op", v.Unit == "B/s":
			// Counted exactly, or time in other words.
		case u.Better != "":
			p.declared = append(p.declared, v.Unit)
		default:
			p.undeclared = append(p.undeclared, v.Unit)
		}
	}
	// A benchmark that hides its ns/op still has CPU time to plan with.
	if p.wallOp == 0 {
		p.wallOp = p.cpuOp
	}
	p.choose(len(s.Cores))
	p.wall = p.wall && !s.CoRunOnly
	p.n = iterations(coRunSlice, p.cpuOp, p.minN)
	p.wallN = iterations(wallRun, p.wallOp, p.minN)
	return p
}

// choose picks the channels: what computes is compared in the co-run, what
// waits, runs in parallel or reports figures of its own is compared by the
// wall clock.
func (p *plan) choose(cores int) {
	// Time without a CPU says something of the machine and nothing of the
	// benchmark.
	own := p.wallOp - p.delayOp
	busy := p.cpuOp >= busyShare*own
	switch {
	case p.wallOnly:
		p.wall, p.wallWhy = true, "it asks for the wall clock"
	case p.cpuOp > coRunOpMax.Seconds():
		p.wall, p.wallWhy = true, fmt.Sprintf("an op takes more than %v of CPU", coRunOpMax)
	case !busy:
		p.wall, p.wallWhy = true, fmt.Sprintf("it waits: CPU is %.0f %% of its time", 100*p.cpuOp/own)
	default:
		p.coRun, p.coRunWhy = true, "its cost is CPU"
	}
	if !p.wall && p.parallel && p.timed {
		p.wall, p.wallWhy = true, "it calls RunParallel"
	}
	if !p.wall && len(p.declared) > 0 {
		p.wall, p.wallWhy = true, "it reports "+strings.Join(p.declared, ", ")
	}
	if p.wall && cores < 2 {
		p.wallWhy += "; not measurable on one core"
	}
}

// wallUnits are what the wall channel judges: the figures that the benchmark
// reports, and its time unless the co-run sees all of that. Where the time says
// nothing the benchmark hides it, with b.ReportMetric(0, "ns/op").
func (p *plan) wallUnits() []string {
	units := slices.Clone(p.declared)
	if p.timed && (!p.coRun || p.parallel) {
		units = append(units, "sec/op")
	}
	if len(units) == 0 && !p.coRun {
		units = append(units, "cpu-sec/op")
	}
	return units
}

// iterations is how many ops make a run of the wanted length.
func iterations(want time.Duration, perOp float64, minN int) int {
	n := nMax
	if perOp > 0 {
		n = int(math.Min(nMax, math.Ceil(want.Seconds()/perOp)))
	}
	return max(n, minN, 1)
}

// pinned is the list for job.cores.
func (s *session) pinned(core int) []int {
	if !s.CanPin || core < 0 {
		return nil
	}
	return []int{core}
}

func (s *session) drawCore() int { return s.Cores[s.rng.IntN(len(s.Cores))] }

// side gives the package of a side.
func (s *session) side(side recording.Side, path string) *pkg {
	if side == recording.Base {
		return s.base[path]
	}
	return s.head[path]
}

// complete fills a job with what the side's package knows.
func (s *session) complete(r role, path string, j job) job {
	p := s.side(cmp.Or(r.of, r.side), path)
	j.binary, j.dir, j.tmp = p.binary, p.dir, s.tmp
	if r.binary != "" {
		j.binary = r.binary
	}
	if cmp.Or(r.of, r.side) == recording.Base {
		j.extra = 0
	}
	return j
}

// runAlone runs one process and waits for it.
func (s *session) runAlone(ctx context.Context, r role, path string, j job) (finished, error) {
	p, err := start(ctx, s.complete(r, path, j), false)
	if err != nil {
		return finished{}, err
	}
	f, err := p.wait(ctx)
	s.CPU += f.cpu
	return f, err
}

// parse reads a process's output; a failure comes back as the outcome it is.
func (s *session) parse(side recording.Side, key recording.Key, f finished, procs int) (recording.Output, *recording.Outcome) {
	fail := func(kind recording.OutcomeKind, detail string) (recording.Output, *recording.Outcome) {
		return recording.Output{}, &recording.Outcome{Key: key, Side: side, Kind: kind, Detail: detail}
	}
	dir := s.side(side, key.Pkg).dir
	if errors.Is(f.err, errHung) {
		return fail(recording.Hung, "no end within the time limit; it was killed. It last printed:\n"+tail(f, dir))
	}
	if f.err != nil {
		return fail(recording.Crashed, fmt.Sprintf("%v:\n%s", f.err, tail(f, dir)))
	}
	if f.lost > 0 {
		return fail(recording.Garbage, fmt.Sprintf("it printed %d bytes more than the %d that are read; a benchmark must not print to standard output", f.lost, outputMax))
	}
	out, err := recording.ParseOutput(strings.NewReader(f.stdout), "output of "+key.Name, procs)
	if err != nil {
		return fail(recording.Garbage, err.Error()+"; a benchmark must not print to standard output: use b.Log or standard error")
	}
	if len(out.Failures) > 0 {
		return fail(recording.Crashed, trimOutput(strings.Join(out.Failures, "\n"), dir))
	}
	for i := range out.Results {
		out.Results[i].Key.Pkg = key.Pkg
	}
	return out, nil
}
