package verdict

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
)

// onLayouts adds ten pairs on each of so many relinked layouts, with one log
// ratio for each layout.
func (f *fixture) onLayouts(i int, d ...float64) *fixture {
	pair := 0
	for n, shift := range d {
		for _, x := range wobble(10, shift, .01) {
			pair++
			f.sample(i, recording.Layout, recording.Base, pair, "cpu-sec/op", 1e-6)
			f.sample(i, recording.Layout, recording.Head, pair, "cpu-sec/op", 1e-6*math.Exp(x))
			for k := len(f.b.Samples) - 2; k < len(f.b.Samples); k++ {
				f.b.Samples[k].Layout, f.b.Samples[k].Round = uint64(n+1), 1000+n
			}
		}
	}
	return f
}

func TestASlowdownOfOneLayoutIsLayoutSensitive(t *testing.T) {
	slower := wobble(60, .08, .01)
	for name, c := range map[string]struct {
		layouts []float64
		want    Decision
	}{
		"on none of three":  {[]float64{0, 0, 0}, LayoutSensitive},
		"on one of three":   {[]float64{.08, 0, -.02}, LayoutSensitive},
		"on two of three":   {[]float64{.08, 0, .05}, Regressed},
		"on all":            {[]float64{.08, .08, .08}, Regressed},
		"on two, and no":    {[]float64{0, 0}, Regressed}, // too few to take it back
		"not tried":         {nil, Regressed},
		"just what is free": {[]float64{.005, .005, .005}, LayoutSensitive},
	} {
		v := newFixture().timed(0, slower...).onLayouts(0, c.layouts...).decide(t)
		if v.Rows[0].Decision != c.want {
			t.Errorf("%s: %s (%s), want %s", name, v.Rows[0].Decision, v.Rows[0].Why, c.want)
		}
		if exit := map[Decision]int{LayoutSensitive: ExitPass, Regressed: ExitRegression}[c.want]; v.Exit != exit {
			t.Errorf("%s: exit %d, want %d", name, v.Exit, exit)
		}
	}
}

func TestRelinkedLayoutsOnlyTakeBack(t *testing.T) {
	v := newFixture().timed(0, same...).onLayouts(0, .2, .2, .2).decide(t)
	if v.Rows[0].Decision != Pass {
		t.Errorf("a test that passed is %s for what its layouts show", v.Rows[0].Decision)
	}
}

// withCanary adds pairs of the base side with itself.
func (f *fixture) withCanary(i int, d ...float64) *fixture {
	samples := f.b.Samples
	f.b.Samples = nil
	for n, x := range d {
		f.sample(i, recording.CoRun, recording.Base, n+1, "cpu-sec/op", 1e-6)
		f.sample(i, recording.CoRun, recording.Head, n+1, "cpu-sec/op", 1e-6*math.Exp(x))
	}
	f.b.Canary, f.b.Samples = append(f.b.Canary, f.b.Samples...), samples
	return f
}

func TestACanaryThatDiffersVoidsTheSession(t *testing.T) {
	for name, d := range map[string][]float64{"slower": wobble(40, .08, .01), "faster": wobble(40, -.08, .01)} {
		v := newFixture().timed(0, same...).timed(1, same...).withCanary(0, wobble(40, 0, .01)...).withCanary(1, d...).decide(t)
		if v.Exit != ExitNotMeasured || len(v.Outcomes) != 1 || v.Outcomes[0].Key != keyOf(1) || !strings.Contains(v.Outcomes[0].Detail, "canary") {
			t.Errorf("%s: exit %d, outcomes %+v", name, v.Exit, v.Outcomes)
		}
	}
}

// At most one session in a thousand is voided without cause: of 300 sessions of
// two canaries, five or more with probability 2e-5 (Poisson of .3).
func TestAnEvenCanaryVoidsHardlyEver(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	voids := 0
	for range 300 {
		f := newFixture().timed(0, same...).timed(1, same...)
		for i := range 2 {
			var d []float64
			weather := 0.0
			for range 40 {
				weather = .8*weather + .02*rng.NormFloat64()
				d = append(d, weather*float64(1-2*rng.IntN(2)))
			}
			f.withCanary(i, d...)
		}
		if f.decide(t).Exit == ExitNotMeasured {
			voids++
		}
	}
	if voids >= 5 {
		t.Errorf("%d of 300 sessions voided", voids)
	}
}

func TestAWaiverAcceptsWhatItCoversAndNoMore(t *testing.T) {
	waiver := config.Waiver{Commit: strings.Repeat("a", 40), Benchmark: keyOf(0).Short("example.org/m"), Unit: "cpu-sec/op", Percent: 10, Until: "2026-12-31", Reason: "worth it"}
	for name, c := range map[string]struct {
		edit func(*config.Waiver)
		want Decision
	}{
		"covers":            {func(*config.Waiver) {}, Waived},
		"by its whole name": {func(w *config.Waiver) { w.Benchmark = keyOf(0).String() }, Waived},
		"too small":         {func(w *config.Waiver) { w.Percent = 5 }, Regressed},
		"another benchmark": {func(w *config.Waiver) { w.Benchmark = "B" }, Regressed},
		"another unit":      {func(w *config.Waiver) { w.Unit = "sec/op" }, Regressed},
		"refused":           {func(w *config.Waiver) { w.Refused = "expired" }, Regressed},
	} {
		f := newFixture().timed(0, wobble(60, .08, .01)...).timed(1, same...)
		f.b.Manifest.Module = "example.org/m"
		w := waiver
		c.edit(&w)
		f.b.Manifest.Waivers = []config.Waiver{w}
		v := f.decide(t)
		if v.Rows[0].Decision != c.want {
			t.Errorf("%s: %s (%s), want %s", name, v.Rows[0].Decision, v.Rows[0].Why, c.want)
		}
		if exit := map[Decision]int{Waived: ExitPass, Regressed: ExitRegression}[c.want]; v.Exit != exit {
			t.Errorf("%s: exit %d, want %d", name, v.Exit, exit)
		}
	}
}

// An exact rise is accepted by its relative size.
func TestAWaiverCoversExactMetricsToo(t *testing.T) {
	f := newFixture().exact(0, 10, 100, 104)
	f.b.Manifest.Waivers = []config.Waiver{{Benchmark: keyOf(0).String(), Unit: "allocs/op", Percent: 4, Until: "2026-12-31"}}
	if v := f.decide(t); v.Rows[0].Decision != Waived {
		t.Errorf("a rise by 4 %%, of which 4 %% are accepted, is %s", v.Rows[0].Decision)
	}
	f.b.Manifest.Waivers[0].Percent = 3.9
	if v := f.decide(t); v.Rows[0].Decision != Regressed {
		t.Errorf("a rise by 4 %%, of which 3.9 %% are accepted, is %s", v.Rows[0].Decision)
	}
}
