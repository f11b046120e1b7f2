package measure

import (
	"context"
	"slices"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

const (
	// exactReplans bounds how often N is corrected after the first exact run.
	exactReplans = 3
	// exactNRange bounds how much longer than a slice a stored number of
	// iterations may make the exact runs, on a machine that is slower.
	exactNRange = 10
)

// exactRuns is what the exact pass found for one benchmark.
type exactRuns struct {
	values [2]map[string][]float64 // per side, by unit, in order of the runs
}

// agrees tells whether every process of each side gave the same value.
func (e *exactRuns) agrees(unit string) bool {
	for _, side := range e.values {
		if len(slices.Compact(slices.Clone(side[unit]))) != 1 {
			return false
		}
	}
	return true
}

// differs tells whether some unit that both sides agree on within themselves
// differs between them.
func (e *exactRuns) differs(units []string) bool {
	for _, u := range units {
		if e.agrees(u) && e.values[0][u][0] != e.values[1][u][0] {
			return true
		}
	}
	return false
}

// exactUnits are the units of p that may be exact: allocation totals of what
// runs at GOMAXPROCS=1 and computes, and what the benchmark declares.
func (p *plan) exactUnits() []string {
	if !p.coRun {
		return p.exact
	}
	return append([]string{"B/op", "allocs/op"}, p.exact...)
}

// exactAll runs each benchmark a few times on each side at a fixed number of
// iterations. The first runs also correct N, which the planning pass could only
// guess from a ramp.
func (s *session) exactAll(ctx context.Context) error {
	for i, p := range s.plans {
		if len(p.exactUnits()) == 0 {
			continue
		}
		if p.gone = s.late(p.key); p.gone {
			continue
		}
		s.report(Progress{Phase: "exact", Detail: p.key.Name, Done: i, Planned: len(s.plans)})
		before := s.CPU
		if err := s.replan(ctx, p); err != nil {
			return err
		}
		p.exactN = p.n
		if n := s.ExactN[p.key]; n >= p.minN && n <= exactNRange*p.n {
			p.exactN = n
		}
		if err := s.exactOne(ctx, p); err != nil {
			return err
		}
		p.cost.Exact = s.CPU - before
	}
	return nil
}

// replan corrects N until one run on base takes about a slice of CPU.
func (s *session) replan(ctx context.Context, p *plan) error {
	for range exactReplans {
		values, err := s.runExact(ctx, p, recording.Base, p.n)
		if values == nil {
			return err
		}
		cpu := valueOf(values.Values, "cpu-sec/op") * float64(p.n)
		slice := coRunSlice.Seconds()
		if cpu >= 0.5*slice && cpu <= 2*slice || p.n == p.minN && cpu > slice || p.n == nMax || cpu == 0 {
			return nil
		}
		p.n = iterations(coRunSlice, cpu/float64(p.n), p.minN)
	}
	return nil
}

// leafJob runs exactly one benchmark.
func (s *session) leafJob(p *plan, n, procs int) job {
	j := job{
		pattern: leafPattern(p.key.Name), benchtime: itoa(n) + "x", procs: procs,
		cores: s.pinned(s.drawCore()), timeout: p.timeLimit(n),
	}
	if s.ExtraEvery > 0 && s.Slowed(p.key) {
		j.extra = s.ExtraEvery // of the head side; complete sees to it
	}
	return j
}

// timeLimit is when a run counts as hung: far beyond what the plan expects.
func (p *plan) timeLimit(n int) time.Duration {
	const factor, least = 50, 20 * time.Second
	expected := time.Duration(float64(n) * max(p.wallOp, p.cpuOp) * float64(time.Second))
	return min(least+factor*expected, 10*time.Minute)
}

func (s *session) exactOne(ctx context.Context, p *plan) error {
	runs := &exactRuns{values: [2]map[string][]float64{{}, {}}}
	s.exact[p.key] = runs
	for i := 1; i <= recording.ExactConfirmRuns; i++ {
		if i == recording.ExactRuns+1 && !runs.differs(p.exactUnits()) {
			return nil
		}
		for k, side := range []recording.Side{recording.Base, recording.Head} {
			if p.gone {
				return nil
			}
			sample, err := s.runExact(ctx, p, side, p.exactN)
			if sample == nil {
				return err
			}
			sample.Channel, sample.Pair, sample.Round, sample.Order = recording.Exact, i, 1, k+1
			s.Samples = append(s.Samples, *sample)
			for _, u := range p.exactUnits() {
				runs.values[k][u] = append(runs.values[k][u], valueOf(sample.Values, u))
			}
		}
	}
	return nil
}

// runExact runs one process of n iterations; one that voids itself is repeated.
// There is no sample where the benchmark is out of the run.
func (s *session) runExact(ctx context.Context, p *plan, side recording.Side, n int) (*recording.Sample, error) {
	for {
		f, err := s.runAlone(ctx, role{side: side}, p.path, s.leafJob(p, n, 1))
		if err != nil {
			return nil, err
		}
		reason, void := voided(f)
		if !void {
			return s.valuesOf(p, side, f, 1), nil
		}
		if !s.repeat(p, side, reason) {
			return nil, nil
		}
	}
}

// valuesOf turns a process's output into a sample. Where there is none, the
// benchmark is out of the run, with an outcome that says why.
func (s *session) valuesOf(p *plan, side recording.Side, f finished, procs int) *recording.Sample {
	key := p.key
	key.Procs = procs
	out, failure := s.parse(side, key, f, procs)
	switch {
	case failure != nil:
	case len(out.Results) != 1 || out.Results[0].Key.Name != p.key.Name:
		failure = &recording.Outcome{Key: key, Side: side, Kind: recording.Missing,
			Detail: "it ran when the suite was planned and gave no result now"}
	}
	if failure != nil {
		p.gone = true
		s.Outcomes = append(s.Outcomes, *failure)
		return nil
	}
	r := out.Results[0]
	values := slices.DeleteFunc(r.Values, func(v recording.Value) bool { return v.Unit == recording.MinN || v.Unit == recording.WallOnly })
	return &recording.Sample{Side: side, Key: key, Core: -1, N: r.N, Values: values}
}

// valueOf is the value of a unit, or 0.
func valueOf(values []recording.Value, unit string) float64 {
	for _, v := range values {
		if v.Unit == unit {
			return v.Value
		}
	}
	return 0
}
