package compare

import (
	"math"
	"slices"
)

// Params are the sequential test's settings for one target: the slowdown that
// must be found. See docs/METHOD.md for where they come from.
type Params struct {
	Target int // percent
	// Delta0 and Delta1 are log ratios. A regression is claimed against "not
	// slower than Delta0", a pass against "slower by Delta1 or more".
	Delta0, Delta1 float64
	// Cap is the number of pairs at which a test ends undecided, CapNoisy what
	// replaces it where the pair deviation exceeds NoisyDeviation.
	Cap, CapNoisy int
}

// NoisyDeviation is the pair deviation (log ratio) above which the larger cap
// holds.
const NoisyDeviation = 0.06

// ParamsFor gives the settings for a target of 5, 3 or 2 percent; any other
// target counts as 5, the default.
func ParamsFor(target int) Params {
	switch target {
	case 3:
		return Params{3, math.Log(1.005), math.Log(1.025), 150, 150}
	case 2:
		return Params{2, math.Log(1.003), math.Log(1.016), 250, 250}
	}
	return Params{5, math.Log(1.01), math.Log(1.04), 80, 250}
}

// The mixture of bets. The scales lambda reach from pair deviations of some
// 10 % (6) down to 0.1 % (1500), so that one of them fits whatever the noise is.
const (
	lambdaCount = 8
	lambdaMin   = 6.0
	lambdaMax   = 1500.0
)

var (
	lambdas = func() (l [lambdaCount]float64) {
		for i := range l {
			l[i] = lambdaMin * math.Pow(lambdaMax/lambdaMin, float64(i)/(lambdaCount-1))
		}
		return l
	}()
	kappas = [...]float64{.6, .9, .99}
)

const betCount = lambdaCount * len(kappas)

// eProcess is E_n(c, sign): the mean over lambda and kappa of the products
// of 1 + kappa tanh(sign lambda (d_i - c)). For d symmetric about c, every factor
// has mean 1 whatever the past was, so E_n is a non-negative martingale that
// begins at 1, and P(sup E >= 1/a) <= a (Ville's inequality). Symmetry
// martingales: Ramdas et al., arXiv 2009.03167.
type eProcess struct {
	centre, sign float64
	logs         [betCount]float64 // ln of each bet's product
	log, logSup  float64           // ln E_n and its running maximum; ln E_0 = 0
}

// add takes one pair's log ratio. It costs 8 tanh and 24 logarithms.
func (e *eProcess) add(d float64) {
	x := e.sign * (d - e.centre)
	for i, lambda := range lambdas {
		bet := math.Tanh(lambda * x)
		for j, kappa := range kappas {
			// The conversion keeps the product from being fused with the sum inside
			// Log1p on some machines only: a replay elsewhere must agree.
			e.logs[i*len(kappas)+j] += math.Log1p(float64(kappa * bet))
		}
	}
	e.log = logMeanExp(&e.logs)
	e.logSup = max(e.logSup, e.log)
}

func logMeanExp(logs *[betCount]float64) float64 {
	top := slices.Max(logs[:])
	sum := 0.0
	for _, l := range logs {
		sum += math.Exp(l - top)
	}
	return top + math.Log(sum/float64(betCount))
}

// Sequential follows one test pair by pair: is head slower than Delta0, is it
// faster, and is it not slower than Delta1. Log ratios are oriented: positive
// is worse.
type Sequential struct {
	n                   int
	worse, better, pass eProcess
}

// NewSequential starts a test.
func NewSequential(p Params) *Sequential {
	return &Sequential{
		worse:  eProcess{centre: p.Delta0, sign: +1},
		better: eProcess{centre: -p.Delta0, sign: -1}, // the mirror: sides swapped, d is -d
		pass:   eProcess{centre: p.Delta1, sign: -1},
	}
}

// Add takes the next pair.
func (s *Sequential) Add(d float64) {
	s.n++
	s.worse.add(d)
	s.better.add(d)
	s.pass.add(d)
}

// Pairs is the number of pairs taken.
func (s *Sequential) Pairs() int { return s.n }

// PWorse is the running p-value 1/sup E against "not slower than Delta0".
func (s *Sequential) PWorse() float64 { return math.Exp(-s.worse.logSup) }

// PBetter is the running p-value of the mirror: "not faster than Delta0".
func (s *Sequential) PBetter() float64 { return math.Exp(-s.better.logSup) }

// EBetter is the present evidence, not its maximum, for "faster".
func (s *Sequential) EBetter() float64 { return math.Exp(s.better.log) }

// EPass is sup E against "slower by Delta1 or more".
func (s *Sequential) EPass() float64 { return math.Exp(s.pass.logSup) }

// confidenceLog is ln 40: each side of the confidence sequence may be wrong
// with probability 2.5 %.
var confidenceLog = math.Log(1 / .025)

// ConfidenceSequence gives the centres that are not rejected at 2.5 % a side
// by any prefix of d: an interval that holds at any stopping time. With too few
// pairs (5 at most, since a pair multiplies E by less than 2) it is the whole line.
func ConfidenceSequence(d []float64) (lo, hi float64) {
	lo = lowerBound(d)
	mirrored := make([]float64, len(d))
	for i, x := range d {
		mirrored[i] = -x
	}
	return lo, -lowerBound(mirrored)
}

// lowerBound bisects for the smallest centre that E(c,+) does not reject. E is
// falling in c, for every prefix and so for their maximum.
func lowerBound(d []float64) float64 {
	if len(d) == 0 {
		return math.Inf(-1)
	}
	// Below every d by 10, all bets have won nearly all they can: tanh(6*10) is 1
	// to the last bit. Above every d none can win.
	low, high := slices.Min(d)-10, slices.Max(d)
	if !rejects(d, low) {
		return math.Inf(-1)
	}
	for range 64 {
		mid := low + (high-low)/2
		if high-low < 1e-9 || mid == low || mid == high {
			break
		}
		if rejects(d, mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// rejects reports whether some prefix of d speaks against a centre of at most c.
func rejects(d []float64, c float64) bool {
	e := eProcess{centre: c, sign: +1}
	for _, x := range d {
		e.add(x)
		if e.log >= confidenceLog {
			return true
		}
	}
	return false
}

// logRatioMax stands for a ratio that has no logarithm. Bets are bounded, so
// that any value far outside the scales of lambda does.
const logRatioMax = 20

// LogRatio is ln(head/base), within ±20. Where a value is zero or negative
// only the sign of the difference counts. Swapping the sides negates it
// exactly, which is what the test's validity rests on.
func LogRatio(base, head float64) float64 {
	switch {
	case base == head:
		return 0
	case base > 0 && head > 0:
		return min(max(math.Log(head)-math.Log(base), -logRatioMax), logRatioMax)
	case head > base:
		return logRatioMax
	}
	return -logRatioMax
}

// Deviation estimates the standard deviation of d from the median absolute
// deviation, which a few outliers do not move; 0 for fewer than two.
func Deviation(d []float64) float64 {
	if len(d) < 2 {
		return 0
	}
	centre := Median(d)
	abs := make([]float64, len(d))
	for i, x := range d {
		abs[i] = math.Abs(x - centre)
	}
	return 1.4826 * Median(abs) // 1/Phi^-1(3/4): exact for normal d
}

// Median is the middle of the values, or the mean of the two in the middle; 0 for
// none.
func Median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

// Holm gives the adjusted p-values of Holm's step-down correction: rejecting
// all with an adjusted p of at most a keeps the chance of any false rejection
// at a, under any dependence. family may exceed len(p): tests that have no
// p-value count as 1.
func Holm(p []float64, family int) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	adjusted := make([]float64, len(p))
	running := 0.0
	for rank, i := range order {
		running = max(running, min(1, float64(family-rank)*p[i]))
		adjusted[i] = running
	}
	return adjusted
}
