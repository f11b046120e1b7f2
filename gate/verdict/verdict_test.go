package verdict

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
)

func keyOf(i int) recording.Key {
	return recording.Key{Pkg: "example.org/m", Name: fmt.Sprintf("Benchmark%c", 'A'+i), Procs: 1}
}

// fixture builds bundles.
type fixture struct{ b recording.Bundle }

func newFixture() *fixture {
	return &fixture{recording.Bundle{Manifest: recording.Manifest{
		Schema: recording.Schema, Units: map[string]recording.Unit{}, Seed: 1,
	}}}
}

func (f *fixture) test(i int, unit string, c recording.Channel) {
	k := keyOf(i)
	f.b.Manifest.Family = append(f.b.Manifest.Family, recording.Test{Key: k, Unit: unit, Channel: c})
	if !slices.ContainsFunc(f.b.Manifest.Benchmarks, func(b recording.Benchmark) bool { return b.Key == k }) {
		f.b.Manifest.Benchmarks = append(f.b.Manifest.Benchmarks, recording.Benchmark{Key: k, Channel: c})
	}
}

func (f *fixture) sample(i int, c recording.Channel, side recording.Side, pair int, unit string, v float64) {
	f.b.Samples = append(f.b.Samples, recording.Sample{Side: side, Channel: c, Key: keyOf(i), Pair: pair, Round: pair,
		Order: 1, N: 10, Values: []recording.Value{{Unit: unit, Value: v}}})
}

// timed adds a co-run test with these log ratios, one pair a round.
func (f *fixture) timed(i int, d ...float64) *fixture {
	f.test(i, "cpu-sec/op", recording.CoRun)
	for n, x := range d {
		f.sample(i, recording.CoRun, recording.Base, n+1, "cpu-sec/op", 1e-6)
		f.sample(i, recording.CoRun, recording.Head, n+1, "cpu-sec/op", 1e-6*math.Exp(x))
	}
	return f
}

// exact adds an exact test of allocs/op with so many runs a side.
func (f *fixture) exact(i int, runs int, base, head float64) *fixture {
	f.test(i, "allocs/op", recording.Exact)
	for n := range runs {
		f.sample(i, recording.Exact, recording.Base, n+1, "allocs/op", base)
		f.sample(i, recording.Exact, recording.Head, n+1, "allocs/op", head)
	}
	return f
}

func (f *fixture) rule(r config.Rule) *fixture {
	f.b.Manifest.Policy.Rules = append(f.b.Manifest.Policy.Rules, r)
	return f
}

func (f *fixture) outcome(o recording.Outcome) *fixture {
	f.b.Manifest.Outcomes = append(f.b.Manifest.Outcomes, o)
	return f
}

func (f *fixture) outOfTime() *fixture { f.b.Manifest.OutOfTime = true; return f }

func (f *fixture) decide(t *testing.T) Verdict {
	t.Helper()
	v, err := Decide(f.b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (f *fixture) unchanged(i int) *fixture {
	f.b.Manifest.Benchmarks = append(f.b.Manifest.Benchmarks, recording.Benchmark{Key: keyOf(i), Channel: recording.Unchanged})
	return f
}

// swing is a noise of five steps around zero, for cases that need no random
// numbers.
func swing(i int, sd float64) float64 { return sd * []float64{0, 1, -1, .5, -.5}[i%5] }

// wobble are n log ratios around shift.
func wobble(n int, shift, sd float64) []float64 {
	d := make([]float64, n)
	for i := range d {
		d[i] = shift + swing(i, sd)
	}
	return d
}

var (
	slower = wobble(30, .05, .005)
	faster = wobble(30, -.05, .005)
	same   = wobble(30, 0, .005)
	// undecided: the shift is between Delta0 and Delta1, and the noise large.
	undecided = wobble(80, .025, .06)
)

// One row per rule of the verdict; exit codes and headlines as interfaces.md
// has them.
func TestDecide(t *testing.T) {
	crashed := recording.Outcome{Key: keyOf(9), Side: recording.Head, Kind: recording.Crashed, Detail: "panic"}
	added := recording.Outcome{Key: keyOf(9), Kind: recording.Added}
	never := config.Rule{FailOn: config.FailOnNever}
	tests := []struct {
		name      string
		f         *fixture
		decisions []Decision // of the rows in order
		exit      int
		headline  Headline
	}{
		{"slower", newFixture().timed(0, slower...), []Decision{Regressed}, ExitRegression, SuiteRegressed},
		{"faster", newFixture().timed(0, faster...), []Decision{Improved}, ExitPass, SuiteImproved},
		{"the same", newFixture().timed(0, same...), []Decision{Pass}, ExitPass, SuiteNoChange},
		{"undecided at the cap is neutral", newFixture().timed(0, undecided...), []Decision{Inconclusive}, ExitPass, SuiteNoChange},
		{"unless required", newFixture().timed(0, undecided...).rule(config.Rule{Required: true}), []Decision{Inconclusive}, ExitNotMeasured, SuiteNotMeasured},
		{"most serious first", newFixture().timed(0, same...).timed(1, faster...).timed(2, slower...).timed(3, undecided...),
			[]Decision{Regressed, Inconclusive, Improved, Pass}, ExitRegression, SuiteRegressed},
		{"regression that policy does not fail on", newFixture().timed(0, slower...).rule(never), []Decision{Regressed}, ExitPass, SuiteRegressed},
		{"ignored", newFixture().timed(0, slower...).timed(1, same...).rule(config.Rule{Match: "BenchmarkA", Ignore: true}),
			[]Decision{Pass, Ungated}, ExitPass, SuiteNoChange},
		{"higher is better", newFixture().timed(0, faster...).rule(config.Rule{Direction: "higher"}), []Decision{Regressed}, ExitRegression, SuiteRegressed},

		{"exact rise", newFixture().exact(0, 10, 3, 4), []Decision{Regressed}, ExitRegression, SuiteRegressed},
		{"exact fall", newFixture().exact(0, 10, 4, 3), []Decision{Improved}, ExitPass, SuiteImproved},
		{"exact same", newFixture().exact(0, 3, 3, 3), []Decision{Pass}, ExitPass, SuiteNoChange},
		{"unconfirmed exact rise", newFixture().exact(0, 3, 3, 4), []Decision{Inconclusive}, ExitNotMeasured, SuiteNotMeasured},
		{"even out of time", newFixture().exact(0, 3, 3, 4).outOfTime(), []Decision{Inconclusive}, ExitNotMeasured, SuiteNotMeasured},
		{"two exact runs are too few", newFixture().exact(0, 2, 3, 3), []Decision{Inconclusive}, ExitNotMeasured, SuiteNotMeasured},

		{"crash", newFixture().timed(0, same...).outcome(crashed), []Decision{Pass}, ExitNotMeasured, SuiteNotMeasured},
		{"a regression outranks a crash", newFixture().timed(0, slower...).outcome(crashed), []Decision{Regressed}, ExitRegression, SuiteRegressed},
		{"added is no failure", newFixture().timed(0, same...).outcome(added), []Decision{Pass}, ExitPass, SuiteNoChange},
		{"a crash outranks a regression that policy does not fail on", newFixture().timed(0, slower...).rule(never).outcome(crashed),
			[]Decision{Regressed}, ExitNotMeasured, SuiteNotMeasured},
		{"no samples", newFixture().timed(0, same...).timed(1), []Decision{Inconclusive, Pass}, ExitNotMeasured, SuiteNotMeasured},
		{"too few pairs", newFixture().timed(0, same[:3]...), []Decision{Inconclusive}, ExitNotMeasured, SuiteNotMeasured},
		{"too few pairs for want of time", newFixture().timed(0, same[:3]...).outOfTime(), []Decision{Inconclusive}, ExitPass, SuiteNoChange},
		{"skipped", newFixture().timed(0, same...).timed(1).outcome(recording.Outcome{Key: keyOf(1), Kind: recording.Skipped}),
			[]Decision{Pass, Ungated}, ExitPass, SuiteNoChange},

		{"nothing at all", newFixture(), nil, ExitNotMeasured, SuiteNotMeasured},
		{"nothing but outcomes", newFixture().outcome(added), nil, ExitNotMeasured, SuiteNotMeasured},
		{"no pair before the budget ended", newFixture().timed(0).outOfTime(), []Decision{Inconclusive}, ExitNotMeasured, SuiteNotMeasured},
		{"no pair of one test before the budget ended", newFixture().timed(0, same...).timed(1).outOfTime(), []Decision{Inconclusive, Pass}, ExitNotMeasured, SuiteNotMeasured},
		{"exact runs, and no pair before the budget ended", newFixture().timed(0).exact(1, 3, 3, 3).outOfTime(), []Decision{Inconclusive, Pass}, ExitNotMeasured, SuiteNotMeasured},
		{"all ignored", newFixture().timed(0, same...).rule(config.Rule{Ignore: true}), []Decision{Ungated}, ExitNotMeasured, SuiteNotMeasured},
		{"all unchanged", newFixture().unchanged(0).unchanged(1), nil, ExitPass, SuiteNoChange},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.f.decide(t)
			var got []Decision
			for _, r := range v.Rows {
				got = append(got, r.Decision)
				if r.Why == "" {
					t.Errorf("%s: no reason", r.Decision)
				}
			}
			if !slices.Equal(got, tt.decisions) || v.Exit != tt.exit || v.Headline != tt.headline {
				t.Errorf("got %v, exit %d, %q; want %v, exit %d, %q", got, v.Exit, v.Headline, tt.decisions, tt.exit, tt.headline)
			}
			for _, d := range tt.decisions {
				if v.Counts[d] == 0 {
					t.Errorf("%s is not counted: %v", d, v.Counts)
				}
			}
		})
	}
}

func TestUnknownDirectionIsShownAndNotGated(t *testing.T) {
	f := newFixture().timed(0, same...)
	f.test(1, "widgets/op", recording.CoRun)
	v := f.decide(t)
	if r := v.Rows[1]; r.Decision != Ungated || r.Gating || !strings.Contains(r.Why, "direction unknown") {
		t.Errorf("%+v", r)
	}
}

func TestIdenticalTestsAreUnchanged(t *testing.T) {
	f := newFixture()
	f.test(0, "cpu-sec/op", recording.Unchanged)
	if v := f.decide(t); v.Rows[0].Decision != Identical || v.Exit != ExitPass || len(v.Outcomes) != 0 {
		t.Errorf("%+v", v)
	}
}

func TestTooFewIsAnOutcomeUnlessAnotherSaysWhy(t *testing.T) {
	v := newFixture().timed(0, same[:3]...).decide(t)
	if len(v.Outcomes) != 1 || v.Outcomes[0].Kind != recording.TooFew || v.Outcomes[0].Key != keyOf(0) {
		t.Errorf("outcomes %+v", v.Outcomes)
	}
	for _, k := range []recording.Key{keyOf(0), {Pkg: keyOf(0).Pkg}, {Pkg: keyOf(0).Pkg, Name: keyOf(0).Name, Procs: 4}} {
		v = newFixture().timed(0, same[:3]...).outcome(recording.Outcome{Key: k, Kind: recording.Hung}).decide(t)
		if len(v.Outcomes) != 1 || v.Outcomes[0].Kind != recording.Hung || v.Exit != ExitNotMeasured {
			t.Errorf("outcomes %+v, exit %d", v.Outcomes, v.Exit)
		}
	}
}

// A metric that head no longer reports is not measured, whatever else ends the run.
func TestAUnitThatOneSideDoesNotReportIsNotMeasured(t *testing.T) {
	for _, channel := range []recording.Channel{recording.CoRun, recording.Exact} {
		f := newFixture().timed(0, same...).outOfTime()
		f.test(1, "tx/s", channel)
		f.b.Manifest.Units["tx/s"] = recording.Unit{Better: "higher"}
		for pair := range 3 {
			f.sample(1, channel, recording.Base, pair+1, "tx/s", 100)
			f.sample(1, channel, recording.Head, pair+1, "other/s", 100)
		}
		v := f.decide(t)
		if v.Exit != ExitNotMeasured || len(v.Outcomes) != 1 || v.Outcomes[0].Kind != recording.TooFew || v.Outcomes[0].Key != keyOf(1) {
			t.Errorf("%s: exit %d, outcomes %+v", channel, v.Exit, v.Outcomes)
		}
	}
}

func TestATestWhoseUnitIsNotReportedEnds(t *testing.T) {
	test := recording.Test{Key: keyOf(0), Unit: "tx/s", Channel: recording.CoRun}
	tr := NewTracker([]recording.Test{test}, map[string]recording.Unit{"tx/s": {Better: "higher"}}, config.Policy{}, nil)
	for pair := 1; tr.Wants(keyOf(0), recording.CoRun); pair++ {
		if pair > lostMax {
			t.Fatalf("more than %d pairs are wanted", lostMax)
		}
		sample := recording.Sample{Side: recording.Base, Channel: recording.CoRun, Key: keyOf(0), Pair: pair, Round: pair,
			Values: []recording.Value{{Unit: "other/s", Value: 1}}}
		head := sample
		head.Side = recording.Head
		if err := tr.AddPair(sample, head); err != nil {
			t.Fatal(err)
		}
		tr.Look()
	}
}

func TestAPlannedBenchmarkWithoutATestFailsClosed(t *testing.T) {
	f := newFixture().timed(0, same...)
	f.b.Manifest.Benchmarks = append(f.b.Manifest.Benchmarks, recording.Benchmark{Key: keyOf(1), Channel: recording.Wall})
	if v := f.decide(t); v.Exit != ExitNotMeasured || len(v.Outcomes) != 1 {
		t.Errorf("exit %d, outcomes %+v", v.Exit, v.Outcomes)
	}
}

func TestHalfAPairIsNoVerdict(t *testing.T) {
	f := newFixture().timed(0, same...)
	f.b.Samples = f.b.Samples[1:]
	if _, err := Decide(f.b); err == nil {
		t.Error("half a pair was decided on")
	}
}

func TestBaselineDriftIsShownAndDoesNotGate(t *testing.T) {
	f := newFixture().timed(0, same...)
	check := func(i int, unit string, stored, head float64) recording.BaselineCheck {
		return recording.BaselineCheck{Key: keyOf(i), Unit: unit, Stored: stored, Head: head}
	}
	f.b.Manifest.Baseline = &recording.BaselineRef{Checks: []recording.BaselineCheck{
		check(2, "allocs/op", 3, 4), check(1, "B/op", 1000, 1004), check(1, "B/op", 1000, 900), check(0, "allocs/op", 3, 3),
	}}
	v := f.decide(t)
	want := []recording.BaselineCheck{check(1, "B/op", 1000, 900), check(2, "allocs/op", 3, 4)}
	if !reflect.DeepEqual(v.BaselineDrift, want) || v.Exit != ExitPass {
		t.Errorf("drift %+v, exit %d", v.BaselineDrift, v.Exit)
	}
}

func TestDriftGatesWherePolicyAsksAndTheBaseSideDoesNotAnswerForIt(t *testing.T) {
	value := func(v float64) *float64 { return &v }
	gate := config.Policy{Rules: []config.Rule{{Baseline: config.BaselineGate}}}
	for _, tc := range []struct {
		name     string
		policy   config.Policy
		base     *float64
		head     float64
		sameTree bool
		fails    bool
	}{
		{"without the policy", config.Policy{}, nil, 4, false, false},
		{"base was not measured", gate, nil, 4, false, true},
		{"better than stored", gate, nil, 2, false, false},
		{"base has it too: older than the change", gate, value(4), 4, false, false},
		{"base differs: the exact channel has decided", gate, value(3), 4, false, false},
		{"both sides are one source: no change to clear", gate, value(4), 4, true, true},
		{"ignored", config.Policy{Rules: []config.Rule{{Unit: "allocs/op", Baseline: config.BaselineGate, Ignore: true}}}, nil, 4, false, false},
		{"never fails", config.Policy{Rules: []config.Rule{{Baseline: config.BaselineGate, FailOn: config.FailOnNever}}}, nil, 4, false, false},
	} {
		f := newFixture().timed(0, same...)
		f.b.Manifest.Policy = tc.policy
		f.b.Manifest.Base.Tree, f.b.Manifest.Head.Tree = "a", "b"
		if tc.sameTree {
			f.b.Manifest.Head.Tree = "a"
		}
		// allocs/op is known to be better when lower.
		f.b.Manifest.Baseline = &recording.BaselineRef{Checks: []recording.BaselineCheck{
			{Key: keyOf(1), Unit: "allocs/op", Stored: 3, Head: tc.head, Base: tc.base}}}
		want := ExitPass
		if tc.fails {
			want = ExitRegression
		}
		if v := f.decide(t); v.Exit != want || (len(v.BaselineGated) == 1) != tc.fails {
			t.Errorf("%s: exit %d, gated %+v", tc.name, v.Exit, v.BaselineGated)
		}
	}
}

func TestRegressionWinsOverPassInTheSameRound(t *testing.T) {
	// All pairs in one round: first far below Delta1, then far above Delta0.
	test := recording.Test{Key: keyOf(0), Unit: "cpu-sec/op", Channel: recording.CoRun}
	tr := NewTracker([]recording.Test{test}, nil, config.Policy{}, nil)
	for _, d := range append(wobble(20, 0, .002), wobble(60, .08, .002)...) {
		tr.Add(test, d)
	}
	s := tr.byTest[test]
	if s.seq.EPass() < passEvidence || s.seq.PWorse() > AlphaCoRun {
		t.Fatalf("the case is none: E %v, p %v", s.seq.EPass(), s.seq.PWorse())
	}
	tr.Look()
	if d, _ := tr.Decision(test); d != Regressed {
		t.Errorf("decision %q", d)
	}
}

func TestADecidedTestLeavesAndTheFamilyStays(t *testing.T) {
	family := []recording.Test{
		{Key: keyOf(0), Unit: "cpu-sec/op", Channel: recording.CoRun},
		{Key: keyOf(1), Unit: "cpu-sec/op", Channel: recording.CoRun},
		{Key: keyOf(1), Unit: "sec/op", Channel: recording.Wall},
		{Key: keyOf(2), Unit: "allocs/op", Channel: recording.Exact},
	}
	tr := NewTracker(family, nil, config.Policy{}, nil)
	if got := tr.Open(); !slices.Equal(got, family[:3]) {
		t.Errorf("open %v, want the timed tests", got)
	}
	for range 12 {
		tr.Add(family[0], 0)
	}
	tr.Look()
	if d, ok := tr.Decision(family[0]); d != Pass || !ok || tr.Wants(keyOf(0), recording.CoRun) {
		t.Fatalf("decision %q", d)
	}
	if !tr.Wants(keyOf(1), recording.Wall) || !tr.Wants(keyOf(1), recording.CoRun) {
		t.Error("the open tests are not wanted")
	}
	for range 200 {
		tr.Add(family[0], 9) // what comes after does not count
		tr.Look()
	}
	if d, _ := tr.Decision(family[0]); d != Pass {
		t.Errorf("decision %q after it left", d)
	}
	if n, _ := tr.Pairs(family[0]); n != 12 {
		t.Errorf("%d pairs after it left, want 12", n)
	}
	// Holm over two although one has left: p must be below .006/2.
	other := tr.byTest[family[1]]
	for other.decision == "" {
		tr.Add(family[1], .05)
		tr.Look()
	}
	if p := other.seq.PWorse(); other.decision != Regressed || p > AlphaCoRun/2 || other.adjWorse != 2*p {
		t.Errorf("%s at p %v, adjusted %v", other.decision, p, other.adjWorse)
	}
}

func TestCaps(t *testing.T) {
	test := recording.Test{Key: keyOf(0), Unit: "cpu-sec/op", Channel: recording.CoRun}
	tests := []struct {
		name   string
		target int
		sd     float64
		want   int
	}{
		{"5 %", 5, .06, 80}, {"5 %, noisy", 5, .2, 250}, {"3 %", 3, .2, 150}, {"2 %", 2, .2, 250},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policy := config.Policy{Rules: []config.Rule{{Target: tt.target}}}
			tr := NewTracker([]recording.Test{test}, nil, policy, nil)
			s := tr.byTest[test]
			between := (s.params.Delta0 + s.params.Delta1) / 2
			n := 0
			for s.decision == "" {
				tr.Add(test, between+swing(n, tt.sd))
				tr.Look()
				n++
			}
			if n != tt.want || s.decision != Inconclusive {
				t.Errorf("%s after %d pairs, want the cap of %d", s.decision, n, tt.want)
			}
		})
	}
}
