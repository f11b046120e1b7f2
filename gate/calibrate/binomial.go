package calibrate

import "math"

// A Rate is k of n, with the Clopper–Pearson interval at 95 %.
type Rate struct {
	K  int     `json:"k"`
	N  int     `json:"n"`
	Lo float64 `json:"lo"`
	Hi float64 `json:"hi"`
}

// NewRate is k of n with its interval.
func NewRate(k, n int) Rate {
	lo, hi := ClopperPearson(k, n, .05)
	return Rate{K: k, N: n, Lo: lo, Hi: hi}
}

// Share is k / n, and NaN where n is 0.
func (r Rate) Share() float64 { return float64(r.K) / float64(r.N) }

// ClopperPearson is the exact interval for a probability of which k of n
// independent trials had the event: each side is wrong with probability alpha/2
// at most. Without trials it is [0, 1]. Clopper and Pearson, Biometrika 26 (1934).
func ClopperPearson(k, n int, alpha float64) (lo, hi float64) {
	return lowerBound(k, n, alpha/2), UpperBound(k, n, alpha/2)
}

// UpperBound is the p at which k events or fewer have probability alpha: the true
// rate is above it with probability alpha at most.
func UpperBound(k, n int, alpha float64) float64 {
	if k >= n {
		return 1
	}
	// P(X <= k | p) = 1 - I_p(k+1, n-k).
	return bisect(func(p float64) bool { return betaInc(float64(k+1), float64(n-k), p) < 1-alpha })
}

// lowerBound is the mirror.
func lowerBound(k, n int, alpha float64) float64 {
	if k <= 0 {
		return 0
	}
	// P(X >= k | p) = I_p(k, n-k+1).
	return bisect(func(p float64) bool { return betaInc(float64(k), float64(n-k+1), p) < alpha })
}

// ZerosFor is how many trials without an event it takes to bound the rate by p,
// with a chance of alpha that this is wrong: 299 for 1 % at 5 %.
func ZerosFor(p, alpha float64) int {
	return int(math.Ceil(math.Log(alpha) / math.Log1p(-p)))
}

// bisect finds where below, true at 0 and false at 1, changes.
func bisect(below func(x float64) bool) float64 {
	lo, hi := 0.0, 1.0
	for range 60 {
		if mid := (lo + hi) / 2; below(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// betaInc is the regularised incomplete beta function I_x(a, b), by its continued
// fraction (DLMF 8.17.22), which converges fast below the mean.
func betaInc(a, b, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2):
		return 1 - betaInc(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	// From the last term inwards: 1 + d1/(1 + d2/(1 + ...)).
	const terms = 300
	fraction := 1.0
	for i := terms; i >= 1; i-- {
		m := float64(i / 2)
		var d float64
		if i%2 == 0 {
			d = m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		} else {
			d = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		}
		fraction = 1 + d/fraction
	}
	return front / fraction
}

// studentP is the two-sided p-value of t with nu degrees of freedom.
func studentP(t, nu float64) float64 {
	if nu <= 0 || math.IsNaN(t) {
		return 1
	}
	return betaInc(nu/2, .5, nu/(nu+t*t))
}
