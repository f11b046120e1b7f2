package verdict

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

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

// At most one session in a thousand is voided without cause. 1,000 sessions of
// two canaries void none or few: eight or more have probability 1e-5 at a rate of
// .001 (Poisson).
func TestAnEvenCanaryVoidsHardlyEver(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	voids := 0
	for range 1000 {
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
	if voids >= 8 {
		t.Errorf("%d of 1000 sessions voided", voids)
	}
}
