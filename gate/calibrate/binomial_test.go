package calibrate

import (
	"math"
	"testing"
)

// The intervals are those of the usual tables; that of 0 of n is 1 - .025^(1/n) in
// closed form.
func TestClopperPearsonAgreesWithPublishedValues(t *testing.T) {
	for _, c := range []struct {
		k, n   int
		lo, hi float64
	}{
		{0, 10, 0, .3085},
		{1, 10, .0025, .4450},
		{4, 20, .0573, .4366},
		{8, 10, .4439, .9748},
		{10, 10, .6915, 1},
		{10, 100, .0490, .1762},
		{0, 50, 0, 1 - math.Pow(.025, 1./50)},
		{0, 299, 0, 1 - math.Pow(.025, 1./299)},
		{0, 0, 0, 1},
	} {
		lo, hi := ClopperPearson(c.k, c.n, .05)
		if math.Abs(lo-c.lo) > 5e-5 || math.Abs(hi-c.hi) > 5e-5 {
			t.Errorf("%d of %d: [%.4f, %.4f], want [%.4f, %.4f]", c.k, c.n, lo, hi, c.lo, c.hi)
		}
	}
}

// .99^298 is above .05, and .99^299 is not.
func TestOnePercentIsSupportedAfter299Zeros(t *testing.T) {
	if got := ZerosFor(.01, .05); got != 299 {
		t.Errorf("%d sessions, want 299", got)
	}
	if before, at := UpperBound(0, 298, .05), UpperBound(0, 299, .05); before <= .01 || at > .01 {
		t.Errorf("0 of 298 supports %.5f and 0 of 299 %.5f", before, at)
	}
}

func TestClopperPearsonCoversAsOftenAsItSays(t *testing.T) {
	const n = 40
	for _, p := range []float64{.01, .1, .5, .93} {
		missed := 0.0
		for k := range n + 1 {
			if lo, hi := ClopperPearson(k, n, .05); p < lo || p > hi {
				missed += binomial(n, k, p)
			}
		}
		if missed > .05 {
			t.Errorf("at %v the interval of %d trials misses with probability %.4f", p, n, missed)
		}
	}
}

func binomial(n, k int, p float64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// The critical values of Student's t at .05, two-sided.
func TestStudentsTAgreesWithTheTables(t *testing.T) {
	for nu, critical := range map[float64]float64{1: 12.706, 4: 2.776, 10: 2.228, 18: 2.101, 120: 1.980} {
		if p := studentP(critical, nu); math.Abs(p-.05) > 1e-4 {
			t.Errorf("t = %v with %v degrees of freedom: p = %.5f, want .05", critical, nu, p)
		}
	}
	if p := studentP(0, 5); p != 1 {
		t.Errorf("t = 0: p = %v", p)
	}
}
