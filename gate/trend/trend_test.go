package trend

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/recording"
)

// noise is n values with a standard deviation of 1 %, with add(i) on top.
func noise(seed uint64, n int, add func(i int) float64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	values := make([]float64, n)
	for i := range values {
		values[i] = .01*rng.NormFloat64() + add(i)
	}
	return values
}

func flat(int) float64 { return 0 }

func stepAt(at int, size float64) func(int) float64 {
	return func(i int) float64 {
		if i >= at {
			return size
		}
		return 0
	}
}

func TestTheStatisticIsTheOneOfThePaper(t *testing.T) {
	// Five zeros and five ones: mean |x-y| = 1, within each side 0. With m = n = 5:
	// 25/10 · (2·1 - 0 - 0) = 5.
	series := []float64{0, 0, 0, 0, 0, 1, 1, 1, 1, 1}
	if at, q := bestIn(series); at != 5 || math.Abs(q-5) > 1e-12 {
		t.Errorf("place %d with %v, want 5 with 5", at, q)
	}
	// Against the definition, sum by sum, at the place that was chosen.
	series = noise(3, 17, stepAt(7, .01))
	at, q := bestIn(series)
	pairs := func(a, b []float64, same bool) float64 {
		sum, n := 0.0, 0.0
		for i := range a {
			for j := range b {
				if !same || j < i {
					sum, n = sum+math.Abs(a[i]-b[j]), n+1
				}
			}
		}
		return sum / n
	}
	x, y := series[:at], series[at:]
	m, n := float64(len(x)), float64(len(y))
	want := m * n / (m + n) * (2*pairs(x, y, false) - pairs(x, x, true) - pairs(y, y, true))
	if math.Abs(q-want) > 1e-12 {
		t.Errorf("Q = %v, by the definition %v", q, want)
	}
}

func TestAKnownStepIsFoundWhereItIs(t *testing.T) {
	// Steps of 5 standard deviations: the statistic is largest at the true place
	// or one beside it.
	for seed := range uint64(30) {
		cuts := Divide(noise(seed, 40, stepAt(25, .05)), .005, 1)
		if len(cuts) == 0 || !slices.ContainsFunc(cuts, func(c int) bool { return c >= 24 && c <= 26 }) {
			t.Errorf("seed %d: %v, want one at 25", seed, cuts)
		}
	}
	two := func(i int) float64 { return stepAt(15, .06)(i) - stepAt(30, .06)(i) }
	if cuts := Divide(noise(5, 45, two), .005, 1); !reflect.DeepEqual(cuts, []int{15, 30}) {
		t.Errorf("up and down again: %v, want 15 and 30", cuts)
	}
}

func TestNoiseHasNoChangeMoreOftenThanTheLevelAllows(t *testing.T) {
	// 300 series at level .05: 15 are expected at most. More than 30 would have
	// probability below 3e-4 (binomial, normal approximation: (30.5-15)/3.77 = 4.1 sigma).
	found := 0
	for seed := range uint64(300) {
		if len(Divide(noise(1000+seed, 20, flat), .05, seed)) > 0 {
			found++
		}
	}
	if found > 30 {
		t.Errorf("%d of 300 series of noise have a change point", found)
	}
}

func TestShortSeriesSayNothing(t *testing.T) {
	for n := range 2 * segmentMin {
		if cuts := Divide(noise(1, n, stepAt(n/2, 1)), .05, 1); cuts != nil {
			t.Errorf("%d observations: %v", n, cuts)
		}
	}
}

func TestSignScaleAndDirectionOfTimeDoNotMatter(t *testing.T) {
	for seed := range uint64(10) {
		series := noise(seed, 30, stepAt(12, .04))
		want := Divide(series, .01, 7)
		other := slices.Clone(series)
		for i := range other {
			other[i] *= -4 // exact in binary, so the sums are the same digits
		}
		if got := Divide(other, .01, 7); !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: negated and scaled %v, want %v", seed, got, want)
		}
		slices.Reverse(other)
		at, q := bestIn(series)
		back, backQ := bestIn(other)
		if back != len(series)-at || math.Abs(backQ/4-q) > 1e-9 {
			t.Errorf("seed %d: backwards place %d with %v, want %d with %v", seed, back, backQ/4, len(series)-at, q)
		}
	}
}

func TestTheSameSeedGivesTheSamePoints(t *testing.T) {
	series := noise(11, 40, stepAt(20, .012))
	if a, b := Divide(series, .2, 3), Divide(series, .2, 3); !reflect.DeepEqual(a, b) {
		t.Errorf("%v and %v", a, b)
	}
}

var key = recording.Key{Pkg: "example.org/shop", Name: "BenchmarkAdd", Procs: 1}

func commit(i int) string { return fmt.Sprintf("%040d", i) }

// entry is a session from commit a to b with this log ratio, half an interval on
// each side.
func entry(record, a, b int, delta, half float64) baseline.Entry {
	return baseline.Entry{Record: record, Base: commit(a), Head: commit(b), Ratio: baseline.Ratio{
		Key: key, Unit: "cpu-sec/op", Channel: recording.CoRun, Pairs: 20,
		Ratio: math.Exp(delta), Lo: math.Exp(delta - half), Hi: math.Exp(delta + half)}}
}

func chain(t *testing.T, anchor int, entries ...baseline.Entry) Chain {
	t.Helper()
	b := &baseline.Baseline{Ledger: entries}
	if anchor >= 0 {
		b.Manifest.Anchor = &baseline.Anchor{Ref: "v1", Commit: commit(anchor)}
	}
	chains := Chains(b, 1)
	if len(chains) != 1 {
		t.Fatalf("%d chains, want 1", len(chains))
	}
	return chains[0]
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

func TestDriftAddsRatiosAndVariances(t *testing.T) {
	// Three links of +1 % with half intervals of 3, 4 and 12 %: the sum is 3 %,
	// and sqrt(.03² + .04² + .12²) = .13; the ends add up to .19.
	c := chain(t, 0, entry(1, 0, 1, .01, .03), entry(2, 1, 2, .01, .04), entry(3, 2, 3, .01, .12))
	d := c.Drift
	if d == nil || d.Links != 3 || !near(d.Delta, .03) || !near(d.Lo, .03-.13) || !near(d.Hi, .03+.13) || !near(d.WorstLo, .03-.19) || !near(d.WorstHi, .03+.19) {
		t.Errorf("drift %+v", d)
	}
	// From the middle only what came after counts.
	c = chain(t, 2, entry(1, 0, 1, .01, .03), entry(2, 1, 2, .01, .04), entry(3, 2, 3, .01, .12))
	if d := c.Drift; d == nil || d.Links != 1 || !near(d.Delta, .01) || !near(d.Hi, .13) {
		t.Errorf("drift from the middle %+v", d)
	}
	// Two heads of one base: from the one to the other is down and up.
	c = chain(t, 1, entry(1, 0, 1, .05, .03), entry(2, 0, 2, .02, .04))
	if d := c.Drift; d == nil || d.Links != 2 || !near(d.Delta, -.03) || !near(d.Hi, -.03+.05) {
		t.Errorf("drift between two heads %+v", d)
	}
}

func TestABrokenChainIsSaidAndNotAddedOver(t *testing.T) {
	c := chain(t, 0, entry(1, 0, 1, .01, .03), entry(2, 5, 6, .02, .03))
	if c.Links[0].Gap || !c.Links[1].Gap {
		t.Errorf("links %+v, want a gap before the second", c.Links)
	}
	if c.Drift != nil {
		t.Errorf("drift %+v over a gap", c.Drift)
	}
	if !near(c.Links[1].Level, .02) {
		t.Errorf("level %v goes on over a gap", c.Links[1].Level)
	}
}

func TestASessionThatWasRecordedLateIsPutWhereItsCommitsBelong(t *testing.T) {
	// The recorders of 1 and 2 were overtaken by that of 3, and that of 1 by that of 2.
	c := chain(t, 0, entry(1, -1, 0, .01, .01), entry(2, 2, 3, .08, .01), entry(3, 1, 2, .04, .01), entry(4, 0, 1, .02, .01), entry(5, 3, 4, .16, .01))
	var heads []string
	for i, l := range c.Links {
		heads = append(heads, l.Head)
		if l.Gap {
			t.Errorf("link %d to %s begins a new part", i, l.Head)
		}
	}
	if want := []string{commit(0), commit(1), commit(2), commit(3), commit(4)}; !slices.Equal(heads, want) {
		t.Errorf("links to %v, want %v", heads, want)
	}
	if c.Drift == nil || !near(c.Drift.Delta, .02+.04+.08+.16) {
		t.Errorf("drift %+v, want 0.30", c.Drift)
	}
	// What fills no gap stays where it is.
	c = chain(t, 0, entry(1, 0, 1, .01, .01), entry(2, 7, 8, .02, .01), entry(3, 5, 6, .03, .01))
	if !c.Links[1].Gap || !c.Links[2].Gap || c.Links[2].Record != 3 {
		t.Errorf("links %+v", c.Links)
	}
}

func TestASessionOfOneCommitIsNoLink(t *testing.T) {
	c := chain(t, -1, entry(1, 0, 0, .04, .03), entry(2, 0, 1, .01, .03))
	if c.Same != 1 || len(c.Links) != 1 || c.Links[0].Gap {
		t.Errorf("chain %+v", c)
	}
}

func TestAStepOfNeighboursIsTheLinkThatItsSessionProves(t *testing.T) {
	var entries []baseline.Entry
	deltas := noise(4, 12, flat)
	for i, d := range deltas {
		if i == 7 {
			d += .10
		}
		entries = append(entries, entry(i+1, i, i+1, d, .02)) // standard error .0102
	}
	c := chain(t, -1, entries...)
	if len(c.Points) != 1 || c.Points[0].Kind != Step || c.Points[0].After != commit(7) || c.Points[0].Until != commit(8) {
		t.Fatalf("points %+v, want a step between 7 and 8", c.Points)
	}
	// Bonferroni over 12 links: p = 12 · erfc(z/√2), z = delta/(.02/1.96).
	z := (deltas[7] + .10) / (.02 / 1.96)
	if want := 12 * math.Erfc(z/math.Sqrt2); math.Abs(c.Points[0].P/want-1) > 1e-6 {
		t.Errorf("p = %v, want %v", c.Points[0].P, want)
	}
}

func TestAStepBeforeAGapStaysFound(t *testing.T) {
	c := chain(t, -1, entry(1, 0, 1, .10, .02), entry(2, 5, 6, .001, .02))
	if len(c.Points) != 1 || c.Points[0].Until != commit(1) {
		t.Errorf("points %+v, want the step before the gap", c.Points)
	}
}

func TestALevelAgainstOneCommitStepsAndACreepOfNeighboursIsAPace(t *testing.T) {
	var star, links []baseline.Entry
	for i, d := range noise(6, 30, stepAt(18, .05)) {
		star = append(star, entry(i+1, 0, i+1, d, .05))
	}
	// Too small for any one session: from the 15th on each commit costs 1.5 %.
	for i, d := range noise(8, 30, stepAt(15, .03)) {
		links = append(links, entry(i+1, i, i+1, d, .08))
	}
	c := chain(t, -1, star...)
	if !c.Star || len(c.Points) != 1 || c.Points[0].Kind != Step || c.Points[0].Until != commit(19) || math.Abs(c.Points[0].Size-.05) > .01 {
		t.Errorf("against one commit: %+v", c.Points)
	}
	c = chain(t, -1, links...)
	if c.Star || len(c.Points) != 1 || c.Points[0].Kind != Pace || math.Abs(c.Points[0].Size-.03) > .012 {
		t.Errorf("between neighbours: %+v", c.Points)
	}
}

func TestChainsOfNoiseHaveNoPoints(t *testing.T) {
	// At a level of 1 % per chain 2 of 200 are expected; more than 9 would have
	// probability below 1e-4 (Poisson with mean 2).
	found := 0
	for seed := range uint64(200) {
		var entries []baseline.Entry
		for i, d := range noise(9000+seed, 25, flat) {
			entries = append(entries, entry(i+1, i, i+1, d, 1.96*.01))
		}
		if len(chain(t, -1, entries...).Points) > 0 {
			found++
		}
	}
	if found > 9 {
		t.Errorf("%d of 200 chains of noise have a point", found)
	}
}

func TestChainsAreSortedByBenchmarkAndUnit(t *testing.T) {
	b := &baseline.Baseline{}
	for _, name := range []string{"B", "A"} {
		for _, unit := range []string{"tx/s", "cpu-sec/op"} {
			e := entry(1, 0, 1, 0, .1)
			e.Key.Name, e.Unit = "Benchmark"+name, unit
			b.Ledger = append(b.Ledger, e)
		}
	}
	var got []string
	for _, c := range Chains(b, 1) {
		got = append(got, strings.TrimPrefix(c.Key.Name, "Benchmark")+" "+c.Unit)
	}
	if want := []string{"A cpu-sec/op", "A tx/s", "B cpu-sec/op", "B tx/s"}; !reflect.DeepEqual(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}
