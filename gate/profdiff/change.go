package profdiff

import (
	"cmp"
	"math"
	"slices"
)

const (
	// pooledMin is the count of both sides together from which something is tested.
	pooledMin = 20
	// rate is the share of false findings among those flagged. shownMin is the least
	// change that is shown, of the function, and partMin of everything.
	rate     = .01
	shownMin = .05
	partMin  = .001
	// needed is (z(.95) + z(1-a/2))² with a = 1.8e-4, which is what Benjamini and
	// Hochberg ask of one finding among 55 functions: (1.645 + 3.74)² = 29.
	needed = 29
	// usualFreedom is what the scatter of all functions together counts for each.
	usualFreedom = 100
	// referenceMax is the share of all counts above which one function could decide
	// the weighted median.
	referenceMax = 1.0 / 3
)

// Needed is the count on each side with which a slowdown of the fraction s is
// found with 95 % power, where the dispersion is 1. With Y counts on base and
// (1+s)Y on head the logarithm of their ratio has the variance (2+s)/(Y(1+s)),
// and its square is about s²/(1+s).
func Needed(s float64) float64 { return needed * (2 + s) / (s * s) }

// Detectable is the slowdown that a count of y on the base side suffices for, at
// a dispersion: the s of dispersion x Needed(s) = y.
func Detectable(y, dispersion float64) float64 {
	if y <= 0 {
		return math.Inf(1)
	}
	k := needed * dispersion
	return (k + math.Sqrt(k*k+8*k*y)) / (2 * y)
}

// Change is how something's cost differs between the sides.
type Change struct {
	Base, Head float64 // the metric, related to what Metric.Per says; the head side divided by the size factor
	// BaseCount and HeadCount are the events behind them.
	BaseCount, HeadCount float64
	// Ratio is Head/Base: 1 for no change, +Inf for what only the head side has.
	Ratio float64
	// Dispersion is the variance of the counts over their mean, at least 1.
	Dispersion float64
	// P is the two-sided p-value and Q what it is after Benjamini and Hochberg; both
	// are 1 where nothing was tested.
	P, Q float64
	// Tested: there were counts enough for a test, and replicates on both sides.
	Tested bool
	// Significant: Q is at most 1 %. Shown: it also changed by at least 5 %, and by a
	// thousandth of the whole.
	Significant, Shown bool
	// Detectable is the least slowdown, as a fraction, that the counts suffice for
	// with 95 % power.
	Detectable float64
}

// Delta is what was added to an operation.
func (c Change) Delta() float64 { return c.Head - c.Base }

// Compare tests a family of tallies. It knows of the data only the operations
// and the size factor.
func (d *Data) Compare(tallies map[string]*Tally, factor float64) map[string]Change {
	scatters := map[string]scatter{}
	var all []weighted
	// maprange: the median below does not depend on the order
	for name, t := range tallies {
		s := d.scatter(t)
		scatters[name] = s
		if s.tested() {
			all = append(all, weighted{s.extra(), s.all()})
		}
	}
	usual := max(0, weightedMedian(all))
	changes := map[string]Change{}
	// maprange: each entry is computed by itself
	for name, t := range tallies {
		changes[name] = d.change(t, scatters[name], usual, factor)
	}
	total := d.Total()
	adjust(changes, partMin*max(d.PerOp(&total, Base), d.PerOp(&total, Head)))
	return changes
}

// scatter is how a tally's counts vary between the replicates of a side.
type scatter struct {
	y       [2]float64 // counts; of the metric in units of its mean per event
	runs    [2]int
	chi     float64 // Pearson's chi-square of the replicates around their side's mean
	freedom float64 // its degrees of freedom
}

func (s scatter) all() float64 { return s.y[Base] + s.y[Head] }

func (s scatter) tested() bool {
	return s.all() >= pooledMin && s.runs[Base] >= 2 && s.runs[Head] >= 2 && s.freedom > 0
}

// mean is the mean count of a replicate.
func (s scatter) mean() float64 { return s.all() / float64(s.runs[Base]+s.runs[Head]) }

// extra is the variance beyond Poisson's, relative to the squared mean: chi is
// expected to be freedom x (1 + extra x mean).
func (s scatter) extra() float64 { return (s.chi/s.freedom - 1) / s.mean() }

// scatter measures it. The metric counts in units of its mean per event, so that
// bytes and waiting times are tested as counts are.
func (d *Data) scatter(t *Tally) scatter {
	s := scatter{runs: d.Runs()}
	events := sum(t.Count[Base]) + sum(t.Count[Head])
	unit := ratio(sum(t.Value[Base])+sum(t.Value[Head]), events)
	if unit == 0 {
		return s
	}
	for side := range s.y {
		values := t.Value[side]
		s.y[side] = sum(values) / unit
		if s.y[side] == 0 {
			continue // nothing there says anything of scatter
		}
		for i, v := range values {
			mean := s.y[side] * float64(d.N[side][i]) / ops(d.N[side])
			s.chi += (v/unit - mean) * (v/unit - mean) / mean
		}
		s.freedom += float64(len(values) - 1)
	}
	return s
}

// dispersion is the variance over the mean, with the degrees of freedom behind it.
// Fourteen degrees, from eight replicates a side, are few. What the functions
// have in common adds usualFreedom (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004,
// moderates variances so), unless this one scatters so much more than usual
// (beyond two standard deviations of chi-square) that it has to speak for itself.
func (s scatter) dispersion(usual float64) (phi, freedom float64) {
	own, common := s.chi/s.freedom, 1+usual*s.mean()
	if own > common*(1+2*math.Sqrt(2/s.freedom)) {
		return max(1, own), s.freedom
	}
	return max(1, (usualFreedom*common+s.chi)/(usualFreedom+s.freedom)), usualFreedom + s.freedom
}

// change compares one tally.
func (d *Data) change(t *Tally, s scatter, usual, factor float64) Change {
	exposure := [2]float64{ops(d.N[Base]), ops(d.N[Head]) * factor}
	c := Change{
		Base: ratio(sum(t.Value[Base]), exposure[Base]), Head: ratio(sum(t.Value[Head]), exposure[Head]),
		BaseCount: sum(t.Count[Base]), HeadCount: sum(t.Count[Head]), Dispersion: 1, P: 1, Q: 1,
	}
	c.Ratio = math.Inf(1)
	switch {
	case c.Base > 0:
		c.Ratio = c.Head / c.Base
	case c.Head == 0:
		c.Ratio = 1
	}
	if c.Tested = s.tested(); c.Tested {
		var freedom float64
		c.Dispersion, freedom = s.dispersion(usual)
		share := exposure[Head] / (exposure[Base] + exposure[Head])
		z := (s.y[Head] - s.all()*share) / math.Sqrt(c.Dispersion*s.all()*share*(1-share))
		c.P = studentTail(z, freedom)
	}
	c.Detectable = Detectable(c.BaseCount, c.Dispersion)
	return c
}

// adjust applies Benjamini and Hochberg's procedure to what was tested.
// A change of less than the least per operation is nobody's concern.
func adjust(changes map[string]Change, least float64) {
	var names []string
	// maprange: sorted below, ties by name
	for name, c := range changes {
		if c.Tested {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(changes[a].P, changes[b].P), cmp.Compare(a, b))
	})
	q := 1.0
	for i := len(names) - 1; i >= 0; i-- {
		c := changes[names[i]]
		q = min(q, c.P*float64(len(names))/float64(i+1))
		c.Q = q
		c.Significant = c.Q <= rate
		c.Shown = c.Significant && math.Abs(c.Ratio-1) >= shownMin && math.Abs(c.Delta()) >= least
		changes[names[i]] = c
	}
}

// sizeFactor is by how much faster or slower the head side's runs went for
// reasons that are not the program's. measured is the ratio head/base of the
// cost of an operation that the gate has measured in pairs; 0 where there is
// none. A slow machine allocates as much as a fast one.
func (d *Data) sizeFactor(flat map[string]*Tally, measured float64) float64 {
	if d.Metric != Time {
		return 1
	}
	total := d.Total()
	base, head := d.PerOp(&total, Base), d.PerOp(&total, Head)
	if base == 0 || head == 0 {
		return 1
	}
	if measured > 0 {
		return head / base / measured
	}
	var all []weighted
	weights, largest := 0.0, 0.0
	// maprange: the median below does not depend on the order, and counts are whole numbers
	for _, t := range flat {
		w := sum(t.Count[Base]) + sum(t.Count[Head])
		weights, largest = weights+w, max(largest, w)
		b, h := d.PerOp(t, Base), d.PerOp(t, Head)
		if b > 0 && h > 0 && w >= pooledMin {
			all = append(all, weighted{h / b, w})
		}
	}
	if len(all) == 0 || largest > referenceMax*weights {
		return 1
	}
	return weightedMedian(all)
}

type weighted struct{ value, weight float64 }

// weightedMedian is the least value up to which half of the weight lies; 0 of
// nothing.
func weightedMedian(all []weighted) float64 {
	slices.SortFunc(all, func(a, b weighted) int {
		return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(a.weight, b.weight))
	})
	left := 0.0
	for _, w := range all {
		left += w.weight / 2
	}
	for _, w := range all {
		if left -= w.weight; left <= 0 {
			return w.value
		}
	}
	return 0
}

// studentTail is P(|T| >= |t|) of Student's t with v degrees of freedom: the
// regularised incomplete beta function I(v/(v+t²); v/2, 1/2).
func studentTail(t, v float64) float64 {
	return incompleteBeta(v/(v+t*t), v/2, .5)
}

// incompleteBeta is I(x; a, b), by the continued fraction of Abramowitz and
// Stegun, 26.5.8, evaluated by Lentz's method.
func incompleteBeta(x, a, b float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2): // where it converges slowly, its mirror does not
		return 1 - incompleteBeta(1-x, b, a)
	}
	lgA, _ := math.Lgamma(a)
	lgB, _ := math.Lgamma(b)
	lgAB, _ := math.Lgamma(a + b)
	front := math.Exp(lgAB-lgA-lgB+a*math.Log(x)+b*math.Log1p(-x)) / a
	return front * betaFraction(x, a, b)
}

func betaFraction(x, a, b float64) float64 {
	const tiny, stepsMax, precision = 1e-300, 500, 1e-14
	away := func(f float64) float64 {
		if math.Abs(f) < tiny {
			return tiny
		}
		return f
	}
	c, d := 1.0, 1/away(1-(a+b)*x/(a+1))
	f := d
	for i := 1; i <= stepsMax; i++ {
		m := float64(i)
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d, c = 1/away(1+even*d), away(1+even/c)
		f *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d, c = 1/away(1+odd*d), away(1+odd/c)
		f *= d * c
		if math.Abs(d*c-1) < precision {
			break
		}
	}
	return f
}
