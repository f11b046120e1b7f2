package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

func near(a, b, relative float64) bool {
	return math.Abs(a-b) <= relative*math.Max(math.Abs(a), math.Abs(b))
}

// directE is the definition of E_n(c, sign), as docs/METHOD.md states it:
// products, and no logarithms.
func directE(d []float64, c, sign float64) float64 {
	sum := 0.0
	for k := range 8 {
		lambda := 6 * math.Pow(250, float64(k)/7)
		for _, kappa := range []float64{.6, .9, .99} {
			product := 1.0
			for _, x := range d {
				product *= 1 + kappa*math.Tanh(sign*lambda*(x-c))
			}
			sum += product
		}
	}
	return sum / 24
}

func ending(d []float64, c, sign float64) float64 {
	e := eProcess{centre: c, sign: sign}
	for _, x := range d {
		e.add(x)
	}
	return math.Exp(e.log)
}

// By hand. Far above the centre every tanh is 1: one pair gives the mean of
// 1.6, 1.9 and 1.99, which is 5.49/3 = 1.83, and two give the mean of their
// squares, 2.56, 3.61 and 3.9601, which is 10.1301/3 = 3.3767. Far below, .4, .1
// and .01 give .17, and .16, .01 and .0001 give .1701/3 = .0567. On the centre nothing
// is won or lost.
func TestEProcessByHand(t *testing.T) {
	tests := []struct {
		d    []float64
		want float64
	}{
		{nil, 1}, {[]float64{0}, 1}, {[]float64{0, 0}, 1},
		{[]float64{9}, 1.83}, {[]float64{9, 9}, 10.1301 / 3},
		{[]float64{-9}, .17}, {[]float64{-9, -9}, .1701 / 3},
		{[]float64{9, -9}, (1.6*.4 + 1.9*.1 + 1.99*.01) / 3},
	}
	for _, tt := range tests {
		if got := ending(tt.d, 0, +1); !near(got, tt.want, 1e-12) {
			t.Errorf("E(%v) = %v, want %v", tt.d, got, tt.want)
		}
		if got := ending(tt.d, .5, -1); len(tt.d) == 1 && tt.d[0] == 9 && !near(got, .17, 1e-12) {
			t.Errorf("E(%v, centre .5, minus) = %v, want .17", tt.d, got)
		}
	}
}

func TestEProcessIsItsDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		d := normal(rng, 1+rng.IntN(30), .02*rng.NormFloat64(), .03*rng.Float64())
		c, sign := .02*rng.NormFloat64(), []float64{-1, 1}[rng.IntN(2)]
		if got, want := ending(d, c, sign), directE(d, c, sign); !near(got, want, 1e-9) {
			t.Errorf("n=%d: %v, want %v", len(d), got, want)
		}
	}
}

func TestScalesReachFrom6To1500(t *testing.T) {
	if !near(lambdas[0], 6, 1e-12) || !near(lambdas[7], 1500, 1e-12) || !near(lambdas[1]/lambdas[0], math.Pow(250, 1./7), 1e-12) {
		t.Errorf("lambdas %v", lambdas)
	}
}

func TestParamsOfTargets(t *testing.T) {
	for target, want := range map[int]Params{
		5: {5, math.Log(1.01), math.Log(1.04), 80, 250},
		3: {3, math.Log(1.005), math.Log(1.025), 150, 150},
		2: {2, math.Log(1.003), math.Log(1.016), 250, 250},
		0: {5, math.Log(1.01), math.Log(1.04), 80, 250},
	} {
		if got := ParamsFor(target); got != want {
			t.Errorf("target %d: %+v, want %+v", target, got, want)
		}
	}
}

func normal(rng *rand.Rand, n int, mean, sd float64) []float64 {
	d := make([]float64, n)
	for i := range d {
		d[i] = mean + sd*rng.NormFloat64()
	}
	return d
}

func follow(d []float64) *Sequential {
	s := NewSequential(ParamsFor(5))
	for _, x := range d {
		s.Add(x)
	}
	return s
}

func TestSwappingTheSidesSwapsTheDirections(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 30 {
		d := normal(rng, 40, .02, .03)
		swapped := make([]float64, len(d))
		for i, x := range d {
			swapped[i] = -x
		}
		a, b := follow(d), follow(swapped)
		if a.PWorse() != b.PBetter() || a.PBetter() != b.PWorse() {
			t.Errorf("p %v and %v, swapped %v and %v", a.PWorse(), a.PBetter(), b.PBetter(), b.PWorse())
		}
		lo, hi := ConfidenceSequence(d)
		lo2, hi2 := ConfidenceSequence(swapped)
		if lo != -hi2 || hi != -lo2 {
			t.Errorf("[%v, %v], swapped [%v, %v]", lo, hi, lo2, hi2)
		}
	}
	for _, v := range [][2]float64{{1, 2}, {3, 7.1}, {0, 1}, {-1, 4}, {1e-300, 1e300}} {
		if LogRatio(v[0], v[1]) != -LogRatio(v[1], v[0]) || LogRatio(v[0], v[1]) <= 0 {
			t.Errorf("LogRatio(%v) is not antisymmetric", v)
		}
	}
}

func TestContentionCountsAgainstTheTimeOfTheRun(t *testing.T) {
	pair := func(base, head float64) Pair {
		side := func(waited float64) recording.Sample {
			return recording.Sample{Values: []recording.Value{{Unit: "sec/op", Value: 1e-3}, {Unit: recording.MutexWait, Value: waited}}}
		}
		return Pair{Base: side(base), Head: side(head)}
	}
	for _, tc := range []struct{ base, head, want float64 }{
		{0, 0, 0},
		{1e-9, 2e-9, math.Log(10.002 / 10.001)}, // beside 1 % of the time, 10 µs
		{0, 10e-6, math.Log(2)},                 // 1 % more
		{100e-6, 210e-6, math.Log(2)},           // of 11 %, to 22 %
		{210e-6, 100e-6, -math.Log(2)},          // swapped
		{500e-6, 500e-6, 0},
	} {
		if got, ok := pair(tc.base, tc.head).LogRatio(recording.MutexWait, "lower"); !ok || !near(got, tc.want, 1e-6) {
			t.Errorf("%v to %v: %v, want %v", tc.base, tc.head, got, tc.want)
		}
	}
}

func TestOrderOfPairsDoesNotChangeTheEndingValue(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	d := normal(rng, 60, .01, .03)
	want := ending(d, math.Log(1.01), 1)
	for range 20 {
		rng.Shuffle(len(d), func(i, j int) { d[i], d[j] = d[j], d[i] })
		if got := ending(d, math.Log(1.01), 1); !near(got, want, 1e-9) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestUnitOfMeasurementDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 20 {
		base, head := 1+rng.Float64(), 1+rng.Float64()
		if a, b := LogRatio(base, head), LogRatio(1e-9*base, 1e-9*head); !near(a, b, 1e-9) {
			t.Errorf("%v in one unit, %v in another", a, b)
		}
	}
}

func TestConfidenceSequence(t *testing.T) {
	inf := math.Inf(1)
	for n := range 6 {
		if lo, hi := ConfidenceSequence(repeat(.05, n)); lo != -inf || hi != inf {
			t.Errorf("%d pairs: [%v, %v], want the whole line", n, lo, hi)
		}
	}
	// Six pairs can reach the mean of 1.6^6, 1.9^6 and 1.99^6, which is 41.9 > 40.
	if lo, hi := ConfidenceSequence(repeat(.05, 6)); lo == -inf || hi == inf || lo > .05 || hi < .05 {
		t.Errorf("6 equal pairs: [%v, %v]", lo, hi)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for _, n := range []int{10, 20, 40, 80, 160} {
		d := normal(rng, 160, .03, .02)[:n]
		lo, hi := ConfidenceSequence(d)
		if lo >= hi || lo > Median(d) || hi < Median(d) {
			t.Errorf("%d pairs: [%v, %v] around %v", n, lo, hi, Median(d))
		}
		// The ends are where E crosses 40: just inside nothing is rejected.
		if !rejects(d, lo) || rejects(d, lo+1e-6) {
			t.Errorf("%d pairs: %v is no bound", n, lo)
		}
	}
	d := normal(rng, 60, .03, .02)
	for n := 7; n < len(d); n++ {
		lo1, hi1 := ConfidenceSequence(d[:n])
		lo2, hi2 := ConfidenceSequence(d[:n+1])
		if lo2 < lo1-1e-8 || hi2 > hi1+1e-8 {
			t.Fatalf("pair %d widens [%v, %v] to [%v, %v]", n+1, lo1, hi1, lo2, hi2)
		}
	}
}

func TestDeviationOutlivesOutliers(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	d := normal(rng, 1000, 0, .03)
	for i := range 100 {
		d[i] = 5
	}
	if got := Deviation(d); got < .027 || got > .04 {
		t.Errorf("deviation %v, want about .03", got)
	}
	if Deviation(nil) != 0 || Deviation([]float64{1}) != 0 {
		t.Error("one pair has no deviation")
	}
}

// noises are pair noises that are symmetric given the past, which is all that
// the test asks for.
var noises = map[string]func(rng *rand.Rand, n int) []float64{
	"normal": func(rng *rand.Rand, n int) []float64 { return normal(rng, n, 0, .03) },
	"heavy tails": func(rng *rand.Rand, n int) []float64 {
		d := make([]float64, n)
		for i := range d {
			d[i] = .01 * math.Tan(math.Pi*(rng.Float64()-.5)) // Cauchy
		}
		return d
	},
	// Both sides drift together with autocorrelation .9 and bursts; the order
	// within the pair, and so the sign of what the drift does to it, is a coin.
	"shared drift": func(rng *rand.Rand, n int) []float64 {
		d := make([]float64, n)
		weather := 0.0
		for i := range d {
			step := .05 * rng.NormFloat64()
			if rng.IntN(20) == 0 {
				step *= 10
			}
			next := .9*weather + step
			d[i] = .002 * rng.NormFloat64()
			if coin := rng.IntN(2); coin == 0 {
				d[i] += next - weather
			} else {
				d[i] -= next - weather
			}
			weather = next
		}
		return d
	},
	"two machines": func(rng *rand.Rand, n int) []float64 {
		d := normal(rng, n, 0, .005)
		for i := n / 2; i < n; i++ {
			d[i] *= 30
		}
		return d
	},
}

// Ville: P(sup E >= 1/a) <= a. Over 4000 runs of 80 pairs with the centre at
// the null's very edge, more than a + 4 standard errors would speak against it;
// the seeds are fixed, so that the outcome is.
func TestFalseAlarmsStayWithinVillesBound(t *testing.T) {
	const runs = 4000
	for name, noise := range noises {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 7))
			alarms := map[float64]int{.2: 0, .05: 0, .01: 0}
			for range runs {
				e := eProcess{sign: +1}
				for _, x := range noise(rng, 80) {
					e.add(x)
				}
				for a := range alarms {
					if e.logSup >= -math.Log(a) {
						alarms[a]++
					}
				}
			}
			for a, n := range alarms {
				bound := a + 4*math.Sqrt(a*(1-a)/runs)
				if rate := float64(n) / runs; rate > bound {
					t.Errorf("sup E >= %v in %.4f of the runs, want at most %v", 1/a, rate, a)
				}
			}
		})
	}
}

// A 5 % slowdown must cross 1/p = 12/.006 = 2000, which is the first of twelve
// tests under Holm, before the cap.
func TestPowerForFivePercent(t *testing.T) {
	for _, tt := range []struct {
		sd       float64
		cap      int
		atLeast  float64
		medianAt int
	}{{.02, 80, .99, 20}, {.04, 80, .97, 40}, {.06, 250, .97, 80}} {
		rng := rand.New(rand.NewPCG(8, 8))
		const runs = 300
		var at []int
		for range runs {
			s := NewSequential(ParamsFor(5))
			for s.Pairs() < tt.cap && s.PWorse() > .006/12 {
				s.Add(math.Log(1.05) + tt.sd*rng.NormFloat64())
			}
			if s.PWorse() <= .006/12 {
				at = append(at, s.Pairs())
			}
		}
		slices.Sort(at)
		t.Logf("sd %.0f %%: found in %d of %d, median after %d pairs", 100*tt.sd, len(at), runs, at[len(at)/2])
		if float64(len(at)) < tt.atLeast*runs {
			t.Errorf("sd %.0f %%: found in %d of %d", 100*tt.sd, len(at), runs)
		}
		if m := at[len(at)/2]; m > tt.medianAt {
			t.Errorf("sd %.0f %%: median after %d pairs, want at most %d", 100*tt.sd, m, tt.medianAt)
		}
	}
}

// An unchanged benchmark passes early, and a 5 % slowdown hardly ever: at most
// one in 50 of those that sit at Delta1 itself.
func TestPassIsForTheUnchanged(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	const runs = 500
	passes := func(shift float64) (n int) {
		for range runs {
			s := NewSequential(ParamsFor(5))
			for s.Pairs() < 80 && s.EPass() < 50 {
				s.Add(shift + .02*rng.NormFloat64())
			}
			if s.EPass() >= 50 {
				n++
			}
		}
		return n
	}
	if n := passes(0); n < .99*runs {
		t.Errorf("%d of %d unchanged pass", n, runs)
	}
	if n := passes(math.Log(1.04)); float64(n) > runs*(.02+4*math.Sqrt(.02*.98/runs)) {
		t.Errorf("%d of %d pass at Delta1", n, runs)
	}
}
