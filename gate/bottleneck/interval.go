package bottleneck

import "math"

// Interval is an estimate with its 95 % confidence interval.
type Interval struct {
	Value float64 `json:"value"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

// across is the mean of one value from each replicate, with Student's interval.
// varianceMin is the least variance of the mean that is believed. Nothing that is
// measured here can be negative.
func across(values []float64, varianceMin float64) Interval {
	n := float64(len(values))
	mean := 0.0
	for _, v := range values {
		mean += v / n
	}
	squares := 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	variance := math.Max(squares/(n-1)/n, varianceMin)
	half := studentQuantile(len(values)-1) * math.Sqrt(variance)
	return Interval{Value: mean, Lo: math.Max(0, mean-half), Hi: mean + half}
}

// share is across for parts of a whole, of which events were counted in all.
func share(values []float64, events float64) Interval {
	p := 0.0
	for _, v := range values {
		p += v / float64(len(values))
	}
	least := 0.0
	if events > 0 {
		least = math.Max(0, p*(1-p)) / events
	}
	i := across(values, least)
	i.Hi = math.Min(1, i.Hi)
	return i
}

// studentQuantiles are the 97.5 % points of Student's t, by degrees of freedom
// from 1 (Abramowitz and Stegun, table 26.10).
var studentQuantiles = []float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
	2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
	2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
}

func studentQuantile(freedom int) float64 {
	if freedom <= len(studentQuantiles) {
		return studentQuantiles[freedom-1]
	}
	// The first terms of the expansion around the normal point (26.7.5).
	const z, z2 = 1.959964, 1.959964 * 1.959964
	v := float64(freedom)
	return z + z*(z2+1)/(4*v) + z*(5*z2*z2+16*z2+3)/(96*v*v)
}

// boundMax is shown for whatever is larger: a bound of 1000 says that nothing else
// is left.
const boundMax = 1000

// amdahl is by how much throughput can grow without a share of the time.
func amdahl(s Interval) Interval {
	return Interval{Value: without(s.Value), Lo: without(s.Lo), Hi: without(s.Hi)}
}

func without(s float64) float64 {
	if s >= 1-1.0/boundMax {
		return boundMax
	}
	return 1 / (1 - s)
}

// waitingBound is by how much throughput can grow without waiting of which l
// goroutines on average were part, while the cores are busy to the part u. Zero u
// says that nobody knows.
func waitingBound(l, u Interval) Interval {
	bound := func(l, u float64) float64 {
		b := without(math.Min(l, 1))
		if u > 0 {
			b = math.Min(b, math.Max(1, 1/u))
		}
		return b
	}
	return Interval{Value: bound(l.Value, u.Value), Lo: bound(l.Lo, u.Hi), Hi: bound(l.Hi, u.Lo)}
}

// geometric is the geometric mean of bounds of which all but those given are 1.
func geometric(bounds []Interval, of int) Interval {
	var v, lo, hi float64
	for _, b := range bounds {
		v, lo, hi = v+math.Log(b.Value), lo+math.Log(b.Lo), hi+math.Log(b.Hi)
	}
	n := float64(of)
	return Interval{Value: math.Exp(v / n), Lo: math.Exp(lo / n), Hi: math.Exp(hi / n)}
}
