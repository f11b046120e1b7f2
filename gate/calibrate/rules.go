package calibrate

import (
	"fmt"
	"math"
	"slices"

	"github.com/perfgate/perfgate/gate/compare"
)

// A Rule is how another tool, or a habit, decides that head is slower, by n runs
// a side.
type Rule struct {
	Name   string
	N      int
	Slower func(base, head []float64) bool
}

// Rules are the common ones. Their runs are those of the pairs: fresh processes,
// interleaved, which is kinder to them than all of base and then all of head.
func Rules() []Rule {
	var rules []Rule
	for _, n := range []int{10, 20} {
		for _, r := range []Rule{
			{"benchstat, p < .05", n, func(base, head []float64) bool { return ranks(base, head, 0) }},
			{"benchstat, p < .05 and at least 5 %", n, func(base, head []float64) bool { return ranks(base, head, .05) }},
			{"mean more than 10 % higher", n, func(base, head []float64) bool { return mean(head) > 1.1*mean(base) }},
			{"Welch's t-test, p < .05", n, welch},
			{"minimum more than 5 % higher", n, func(base, head []float64) bool { return slices.Min(head) > 1.05*slices.Min(base) }},
		} {
			r.Name = fmt.Sprintf("%s, n=%d", r.Name, n)
			rules = append(rules, r)
		}
	}
	return append(rules, Rule{"one run, 2x", 1, func(base, head []float64) bool { return head[0] >= 2*base[0] }})
}

// ranks is benchstat's comparison: significant at .05 by the Mann–Whitney test,
// and the median higher by at least the share least.
func ranks(base, head []float64, least float64) bool {
	p, change := compare.Classic(base, head)
	return p <= .05 && change > 0 && change >= least
}

// welch is the two-sided t-test for unequal variances at .05.
func welch(base, head []float64) bool {
	vb, vh := variance(base)/float64(len(base)), variance(head)/float64(len(head))
	difference := mean(head) - mean(base)
	if vb+vh == 0 {
		return difference > 0
	}
	nu := (vb + vh) * (vb + vh) / (vb*vb/float64(len(base)-1) + vh*vh/float64(len(head)-1))
	return difference > 0 && studentP(difference/math.Sqrt(vb+vh), nu) < .05
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func variance(x []float64) float64 {
	m, sum := mean(x), 0.0
	for _, v := range x {
		sum += (v - m) * (v - m)
	}
	return sum / float64(len(x)-1)
}

// runs are the first n runs of each side; ok is false where there are fewer.
func (b *Benchmark) runs(n int) (base, head []float64, ok bool) {
	t := b.cpu()
	if t == nil || len(b.Base) < n || len(t.D) < n {
		return nil, nil, false
	}
	for i := range n {
		base = append(base, b.Base[i])
		head = append(head, b.Base[i]*math.Exp(t.D[i]))
	}
	return base, head, true
}
