package bottleneck

import (
	"math"
	"math/rand/v2"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-3*math.Max(1, math.Abs(want)) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// 1 to 8: mean 4.5, variance 6, of the mean 6/8, t(7) = 2.365:
// half width 2.365 x .8660 = 2.048.
func TestIntervalsAreStudents(t *testing.T) {
	i := across([]float64{1, 2, 3, 4, 5, 6, 7, 8}, 0)
	near(t, "mean", i.Value, 4.5)
	near(t, "lo", i.Lo, 4.5-2.048)
	near(t, "hi", i.Hi, 4.5+2.048)
	if i := across([]float64{0, 0, 0, 10}, 0); i.Lo != 0 {
		t.Errorf("an amount may be negative: %+v", i)
	}
}

// Eight replicates that all say 1 % of 800 samples in all: the counts alone have
// the standard error sqrt(.01 x .99 / 800) = .003518, times 2.365 = .00832.
func TestSharesAreNotMorePreciseThanTheirCounts(t *testing.T) {
	i := share([]float64{.01, .01, .01, .01, .01, .01, .01, .01}, 800)
	near(t, "lo", i.Lo, .01-.00832)
	near(t, "hi", i.Hi, .01+.00832)
}

// The expansion beyond the table meets the table at its end: t(30) = 2.042, and
// t(60) = 2.000, t(120) = 1.980 in the usual tables.
func TestQuantilesBeyondTheTable(t *testing.T) {
	for freedom, want := range map[int]float64{31: 2.040, 60: 2.000, 120: 1.980} {
		if got := studentQuantile(freedom); math.Abs(got-want) > .002 {
			t.Errorf("t(%d) = %v, want %v", freedom, got, want)
		}
	}
}

// A share of 20 % whose replicates vary by a tenth of it, in counts of 300 samples
// each: 4,000 intervals from 8 replicates contain the truth about 95 times in 100.
func TestIntervalsCoverTheTruthAsOftenAsTheySay(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 7))
	const trials, reps, samples, truth = 4000, 8, 300, .2
	covered := 0
	for range trials {
		var shares []float64
		for range reps {
			p, hits := truth*(1+.1*rng.NormFloat64()), 0
			for range samples {
				if rng.Float64() < p {
					hits++
				}
			}
			shares = append(shares, float64(hits)/samples)
		}
		if i := share(shares, reps*samples); i.Lo <= truth && truth <= i.Hi {
			covered++
		}
	}
	// The count's own standard deviation is sqrt(4000 x .95 x .05) = 14, .35 %; the
	// floor at the counts' variance makes the intervals a little wide.
	if rate := float64(covered) / trials; rate < .94 || rate > .98 {
		t.Errorf("%.1f %% of the intervals contain the truth, want 95", 100*rate)
	}
}

// Amdahl: without half of the time throughput doubles; without a tenth it is 1/.9.
func TestBoundsOfShares(t *testing.T) {
	b := amdahl(Interval{Value: .5, Lo: .1, Hi: 1})
	near(t, "half", b.Value, 2)
	near(t, "a tenth", b.Lo, 1/.9)
	near(t, "all", b.Hi, boundMax)
}

// 0.2 goroutines wait on average: at most 1/.8 = 1.25. Cores that are busy to 90 %
// allow 1/.9 = 1.111 and no more. At the lower end .1 waits: 1/.9; at the upper .5
// waits, which would be 2, while cores at 80 % allow 1.25.
func TestBoundsOfWaitingAreThoseOfTheCores(t *testing.T) {
	b := waitingBound(Interval{.2, .1, .5}, Interval{.9, .8, 1})
	near(t, "bound", b.Value, 1/.9)
	near(t, "lo", b.Lo, 1) // cores that are all busy
	near(t, "hi", b.Hi, 1.25)
	b = waitingBound(Interval{.2, .1, .5}, Interval{})
	near(t, "without the use of cores", b.Value, 1.25)
	near(t, "many waiting", waitingBound(Interval{3, 2, 4}, Interval{.5, .5, .5}).Value, 2)
}

// The geometric mean of 1.21 and, in a second benchmark without the cause, 1 is
// 1.1.
func TestBoundsOverBenchmarksAreGeometricMeans(t *testing.T) {
	near(t, "mean", geometric([]Interval{{1.21, 1, 1.44}}, 2).Value, 1.1)
	near(t, "hi", geometric([]Interval{{1.21, 1, 1.44}}, 2).Hi, 1.2)
}
