package verdict

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
)

// suite is a simulated one: tests of different noise, followed live.
type suite struct {
	f       *fixture
	tracker *Tracker
	family  []recording.Test
}

// simulate runs n tests to their end, test i with pair deviation sd(i) and
// shift(i). Weather that both sides share cancels in a pair and is left out.
func simulate(seed uint64, n int, shift, sd func(i int) float64, record bool) *suite {
	rng := rand.New(rand.NewPCG(seed, 11))
	s := &suite{f: newFixture()}
	for i := range n {
		s.f.test(i, "cpu-sec/op", recording.CoRun)
	}
	s.family = s.f.b.Manifest.Family
	s.tracker = NewTracker(s.family, nil, config.Policy{}, nil)
	for round := 1; len(s.tracker.Open()) > 0; round++ {
		for i, test := range s.family {
			if !s.tracker.Wants(test.Key, test.Channel) {
				continue
			}
			base := 1e-6 * math.Exp(.2*rng.NormFloat64())
			head := base * math.Exp(shift(i)+sd(i)*rng.NormFloat64())
			if !record {
				s.tracker.Add(test, compare.LogRatio(base, head))
				continue
			}
			s.f.sample(i, recording.CoRun, recording.Base, round, "cpu-sec/op", base)
			s.f.sample(i, recording.CoRun, recording.Head, round, "cpu-sec/op", head)
			n := len(s.f.b.Samples)
			if err := s.tracker.AddPair(s.f.b.Samples[n-2], s.f.b.Samples[n-1]); err != nil {
				panic(err)
			}
		}
		s.tracker.Look()
	}
	return s
}

func (s *suite) count(d Decision) (n int) {
	for _, test := range s.family {
		if got, _ := s.tracker.Decision(test); got == d {
			n++
		}
	}
	return n
}

func quiet(i int) float64 { return .01 + .04*float64(i%10)/9 } // 1 % to 5 %
func none(int) float64    { return 0 }

func TestReplayDecidesWhatTheMeasurementDecided(t *testing.T) {
	shift := func(i int) float64 { return []float64{0, .05, -.06, .025, .01, 0}[i] }
	sd := func(i int) float64 { return []float64{.01, .03, .03, .04, .08, .002}[i] }
	kinds := map[Decision]bool{}
	for seed := range uint64(8) {
		s := simulate(seed, 6, shift, sd, true)
		v := s.f.decide(t)
		for _, r := range v.Rows {
			live, _ := s.tracker.Decision(r.Change.Test)
			if kinds[live] = true; live != r.Decision {
				t.Errorf("seed %d: %s was %q, and is %q on replay", seed, r.Change.Test.Key, live, r.Decision)
			}
		}
		shuffled := *s.f
		shuffled.b.Samples = slices.Clone(s.f.b.Samples)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(shuffled.b.Samples), func(i, j int) {
			shuffled.b.Samples[i], shuffled.b.Samples[j] = shuffled.b.Samples[j], shuffled.b.Samples[i]
		})
		if again := shuffled.decide(t); !reflect.DeepEqual(again, v) {
			t.Errorf("seed %d: the order of the samples changes the verdict", seed)
		}
	}
	for _, d := range []Decision{Regressed, Improved, Pass, Inconclusive} {
		if !kinds[d] {
			t.Errorf("no test was %q: the seeds show too little", d)
		}
	}
}

func TestABundleReadBackGivesTheSameVerdict(t *testing.T) {
	f := simulate(3, 4, func(i int) float64 { return .03 * float64(i) }, quiet, true).f
	f.exact(5, 10, 3, 4).outcome(recording.Outcome{Key: keyOf(9), Kind: recording.Added})
	dir := filepath.Join(t.TempDir(), "b")
	if err := recording.Write(dir, f.b); err != nil {
		t.Fatal(err)
	}
	b, err := recording.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decide(b)
	if err != nil {
		t.Fatal(err)
	}
	if want := f.decide(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestSwappingTheSidesSwapsRegressedAndImproved(t *testing.T) {
	flip := map[Decision]Decision{Regressed: Improved, Improved: Regressed, Pass: Pass}
	f := newFixture().timed(0, slower...).timed(1, faster...).timed(2, same...).exact(3, 10, 3, 4).exact(4, 10, 9, 2).exact(5, 3, 1, 1)
	before := map[recording.Test]Decision{}
	for _, r := range f.decide(t).Rows {
		before[r.Change.Test] = r.Decision
	}
	for i := range f.b.Samples {
		if s := &f.b.Samples[i]; s.Side == recording.Base {
			s.Side = recording.Head
		} else {
			s.Side = recording.Base
		}
	}
	for _, r := range f.decide(t).Rows {
		if want := flip[before[r.Change.Test]]; r.Decision != want {
			t.Errorf("%s %s: %q, want %q", r.Change.Test.Key, r.Change.Test.Unit, r.Decision, want)
		}
	}
}

// loud has pair deviations from 1 % to 20 %: where they are large, Delta0 gives
// no cover, and the bound is put to the test.
func loud(i int) float64 { return .01 * math.Pow(20, float64(i%10)/9) }

// The co-run's budget is .6 % per suite and direction. Of 300 unchanged suites
// of 20 tests, 6 alarms or more would happen with probability 1.2 % if the bound
// were tight (binomial, mean 1.8); the seeds are fixed, and there is room.
func TestUnchangedSuitesRaiseNoAlarm(t *testing.T) {
	alarms, better := 0, 0
	for seed := range uint64(300) {
		s := simulate(seed, 20, none, loud, false)
		if s.count(Regressed) > 0 {
			alarms++
		}
		if s.count(Improved) > 0 {
			better++
		}
	}
	t.Logf("of 300 suites %d regressed and %d improved", alarms, better)
	if alarms > 5 || better > 5 {
		t.Errorf("of 300 unchanged suites %d regressed and %d improved", alarms, better)
	}
}

func TestUnchangedSuitesAreMostlyDecided(t *testing.T) {
	pairs, open := 0, 0
	for seed := range uint64(50) {
		s := simulate(seed, 20, none, quiet, false)
		open += s.count(Inconclusive)
		for _, test := range s.family {
			n, _ := s.tracker.Pairs(test)
			pairs += n
		}
	}
	t.Logf("%d of 1000 unchanged tests inconclusive, %.1f pairs each", open, float64(pairs)/1000)
	if open > 20 || pairs > 1000*30 {
		t.Errorf("%d of 1000 unchanged tests inconclusive, %d pairs in all", open, pairs)
	}
}

func TestAFivePercentSlowdownIsFound(t *testing.T) {
	const suites = 100
	found, wrong, others := 0, 0, 0
	for seed := range uint64(suites) {
		culprit := int(seed) % 20
		shift := func(i int) float64 {
			if i == culprit {
				return math.Log(1.05)
			}
			return 0
		}
		s := simulate(seed, 20, shift, quiet, false)
		switch d, _ := s.tracker.Decision(s.family[culprit]); d {
		case Regressed:
			found++
		case Pass:
			wrong++
		}
		others += s.count(Regressed)
	}
	t.Logf("found %d of %d, wrongly passed %d", found, suites, wrong)
	if found < 95 || wrong > 2 {
		t.Errorf("found %d of %d, wrongly passed %d", found, suites, wrong)
	}
	if others > found+2 {
		t.Errorf("%d other tests regressed", others-found)
	}
}

func TestAnImprovementIsReportedAndNotOnlyPassed(t *testing.T) {
	const suites = 50
	improved := 0
	for seed := range uint64(suites) {
		s := simulate(seed, 10, func(i int) float64 { return -.1 * float64(1-min(i, 1)) }, func(int) float64 { return .02 }, false)
		if d, _ := s.tracker.Decision(s.family[0]); d == Improved {
			improved++
		}
	}
	if improved < suites*9/10 {
		t.Errorf("a 10 %% improvement was reported in %d of %d suites", improved, suites)
	}
}
