package calibrate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

const module = "example.org/m"

// benchmark has one test of CPU time, four pairs to a round.
func benchmark(name string, d []float64, decision verdict.Decision) Benchmark {
	b := Benchmark{Name: "Benchmark" + name, Procs: 1, Channel: recording.CoRun, N: 10_000, CPU: 1}
	for i := range d {
		b.Rounds = append(b.Rounds, 1+i/4)
		b.Base = append(b.Base, 100)
	}
	b.Tests = []Test{{Unit: cpuUnit, Decision: decision, Pairs: len(d), D: d}}
	return b
}

// noise is n log ratios about a shift.
func noise(seed uint64, n int, shift, sd float64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 7))
	d := make([]float64, n)
	for i := range d {
		d[i] = math.Round(1e5*(shift+sd*rng.NormFloat64())) / 1e5
	}
	return d
}

func session(series Series, index int, benchmarks ...Benchmark) Session {
	s := Session{Series: series, Index: index, Seed: series.Seed(1, index), Commit: strings.Repeat("a", 40), Tree: "t", Tool: "perfgate",
		Time: fmt.Sprintf("2026-01-01T00:00:%02dZ", index), WallSeconds: 10, CPUSeconds: 5, Headline: verdict.SuiteNoChange, Benchmarks: benchmarks}
	if series.Kind == Neutral {
		s.Edit = Edits[0]
	}
	return s
}

func header() Header {
	return Header{Schema: Schema, Class: "linux", Machine: map[string]string{"cpu": "x"}, Module: module, Suite: "smoke", Packages: []string{"./..."}, Channel: "corun", LeastPairs: 20,
		Benchmarks: map[string]string{module + ".BenchmarkA": "1"}}
}

func TestReplayDecidesFromTheRecordedRatiosAlone(t *testing.T) {
	h := header()
	for shift, want := range map[float64]verdict.Decision{0: verdict.Pass, .08: verdict.Regressed, -.08: verdict.Improved} {
		s := session(Series{Kind: AA}, 1, benchmark("A", noise(3, 80, shift, .02), want))
		if got := Replay(&h, &s, 0)[[2]int{0, 0}]; got != want {
			t.Errorf("a shift of %v is %q, want %q", shift, got, want)
		}
	}
}

// The decision falls at the end of a round, and what follows does not change it.
func TestReplayLooksAtTheEndOfEachRoundAndKeepsWhatItDecided(t *testing.T) {
	h := header()
	d := append(noise(1, 40, .1, .01), noise(2, 40, -.3, .01)...)
	s := session(Series{Kind: AA}, 1, benchmark("A", d, verdict.Regressed))
	if got := Replay(&h, &s, 0)[[2]int{0, 0}]; got != verdict.Regressed {
		t.Errorf("%q after pairs that came too late", got)
	}
	s.Benchmarks[0].Rounds = make([]int, len(d))
	for i := range d {
		s.Benchmarks[0].Rounds[i] = 1 // one look, at the end of all
	}
	if got := Replay(&h, &s, 0)[[2]int{0, 0}]; got == verdict.Pass {
		t.Errorf("%q although pairs of one round count together", got)
	}
}

func TestExchangingTheSidesExchangesSlowerAndFaster(t *testing.T) {
	h := header()
	flip := map[verdict.Decision]verdict.Decision{verdict.Regressed: verdict.Improved, verdict.Improved: verdict.Regressed}
	for seed := range uint64(20) {
		d := noise(seed, 80, []float64{.07, -.07}[seed%2], .03)
		mirrored := make([]float64, len(d))
		for i := range d {
			mirrored[i] = -d[i]
		}
		s, m := session(Series{Kind: AA}, 1, benchmark("A", d, "pass")), session(Series{Kind: AA}, 1, benchmark("A", mirrored, "pass"))
		got, other := Replay(&h, &s, 0)[[2]int{0, 0}], Replay(&h, &m, 0)[[2]int{0, 0}]
		if flip[got] == "" || other != flip[got] {
			t.Errorf("seed %d: %q, and with the sides exchanged %q", seed, got, other)
		}
	}
}

func unchanged(sessions int) *Data {
	d := &Data{Header: header()}
	for i := range sessions {
		d.Sessions = append(d.Sessions, session(Series{Kind: AA}, i+1,
			benchmark("A", noise(uint64(i), 20, 0, .02), verdict.Pass), benchmark("B", noise(uint64(100+i), 20, 0, .04), verdict.Pass)))
	}
	return d
}

func TestTheBootstrapIsDrawnFromItsSeed(t *testing.T) {
	d := unchanged(5)
	for i := range 4 {
		s := Series{Injected, 5}
		d.Sessions = append(d.Sessions, session(s, i+1, benchmark("A", noise(uint64(i), 20, .03, .05), verdict.Inconclusive)))
		d.Sessions[len(d.Sessions)-1].Benchmarks[0].Slowed = true
	}
	s := Series{Injected, 5}
	a, b, c := Bootstrap(d, s, 60, 1), Bootstrap(d, s, 60, 1), Bootstrap(d, s, 60, 2)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the same seed gives %+v and %+v", a, b)
	}
	if c.Seed = a.Seed; reflect.DeepEqual(a, c) {
		t.Errorf("another seed gives %+v again", c)
	}
	if a.Suites != 60 || a.Tests != 60 || a.Found+a.Passed+a.Inconclusive > a.Tests || a.Found == 0 {
		t.Errorf("%+v", a)
	}
}

func TestTheBootstrapOfUnchangedSuitesRaisesNoAlarm(t *testing.T) {
	r := Bootstrap(unchanged(20), Series{Kind: AA}, 100, 1)
	if r.Regressed != 0 || r.Improved != 0 || r.Tests != 200 || r.Passed < 190 {
		t.Errorf("%+v", r)
	}
	if none := Bootstrap(unchanged(2), Series{Kind: Neutral}, 10, 1); none.Suites != 0 {
		t.Errorf("without sessions: %+v", none)
	}
}

// 18 operations become 19, which is 5.6 % and not 5 %: not what is asked about, and
// no false alarm either.
func TestTheBootstrapLeavesOutWhatCannotTakeTheSlowdown(t *testing.T) {
	d := &Data{Header: header()}
	s := Series{Injected, 5}
	for i := range 4 {
		coarse := benchmark("A", noise(uint64(i), 20, .1, .01), verdict.Regressed)
		coarse.Slowed, coarse.N = true, 18
		d.Sessions = append(d.Sessions, session(s, i+1, coarse, benchmark("B", noise(uint64(100+i), 20, 0, .02), verdict.Pass)))
	}
	if r := Bootstrap(d, s, 20, 1); r.Regressed != 0 || r.Tests != 0 {
		t.Errorf("%+v", r)
	}
}

func TestBlocksAreDrawnWhole(t *testing.T) {
	long := make([]float64, 30)
	for i := range long {
		long[i] = float64(i)
	}
	next := stream(rand.New(rand.NewPCG(1, 2)), [][]float64{long})
	for range 50 {
		first := next()
		for i := 1; i < blockPairs; i++ {
			if got := next(); got != first+float64(i) {
				t.Fatalf("%v follows %v within a block", got, first+float64(i-1))
			}
		}
	}
}
