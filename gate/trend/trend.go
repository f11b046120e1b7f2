// Package trend says how the speed of benchmarks went over many commits, from
// the ledger of a stored baseline: ratios of two commits, each taken in one
// session.
//
// The one opinion it holds: only ratios of one session are added up. Times of two
// sessions are never compared, however alike the machines look; what has no
// ratio between it has no known difference, and the trend says that the chain is
// broken there.
//
// Two kinds of ledgers are looked at in two ways. Where every session compared
// with one commit (an anchor), the ratios are the level of each commit, with
// independent errors, and a change point of the ratios (Divide) is a change of
// speed. Where each session compared neighbours, the level is a sum, whose
// errors add up; there a step is a single ratio that its session proves, and a
// change point of the ratios is a change of pace: from then on each commit
// costs more, or less, than before.
//
// It reads no store, and decides nothing.
package trend

import (
	"math"
	"slices"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/recording"
)

// Level is how wrong all that is found in one chain may be, together: half of it
// for steps and half for change points.
const Level = .01

// sigmas is what half an interval of the ledger counts as, in standard errors.
// The interval is a confidence sequence at 2.5 % a side, wider than the interval
// of a fixed sample with 1.96 standard errors, so this overstates the error.
const sigmas = 1.96

// Chain is the history of one benchmark and unit on one machine class.
type Chain struct {
	Key   recording.Key
	Unit  string
	Class string
	Links []Link
	// Same counts sessions that compared a commit with itself: they say how noisy
	// the machine is, and nothing about change.
	Same int
	// Star: every session of the newest part compared with one commit.
	Star bool
	// Points are what was found, in order. No point spans a gap.
	Points []Point
	// Drift is the change since the anchor; nil where no ratios lead from there.
	Drift *Drift
}

// Link is one session's ratio.
type Link struct {
	Record     int
	Base, Head string
	Pairs      int
	// Delta is ln(head/base), [Lo, Hi] its interval.
	Delta, Lo, Hi float64
	Anchor        bool
	Toolchain     string
	// Gap: no ratio leads from what came before to Base.
	Gap bool
	// Level is the sum of log ratios since the first commit of this part.
	Level float64
}

// Kind is what a point is.
type Kind string

// The kinds.
const (
	Step Kind = "step" // between Base and Head the level changed
	Pace Kind = "pace" // from Head on the ratios of neighbours are different
)

// Point is a change, between the commits After and Until.
type Point struct {
	Kind         Kind
	After, Until string
	// Size is the log ratio of the step, or the difference of the mean log
	// ratios before and after.
	Size float64
	// P is the step's p-value, corrected for the length of the chain; 0 for
	// what Divide found, which has a level and no p-value.
	P float64
}

// Drift is what changed since the anchor, as an accumulated log ratio.
type Drift struct {
	From, To string
	Links    int
	Delta    float64
	// Lo and Hi: variances add where the errors of the sessions are independent.
	Lo, Hi float64
	// WorstLo and WorstHi add the intervals' ends instead: they hold also where all
	// sessions err in the same direction.
	WorstLo, WorstHi float64
}

// Chains gives the trend of every benchmark and unit in a baseline's ledger,
// sorted. The seed is of the permutations.
func Chains(b *baseline.Baseline, seed uint64) []Chain {
	chains := Drifts(b)
	for i := range chains {
		chains[i].analyse(seed)
	}
	return chains
}

// Drifts gives the same chains without their points, which take a while to look
// for.
func Drifts(b *baseline.Baseline) []Chain {
	type place struct {
		key  recording.Key
		unit string
	}
	found := map[place]*Chain{}
	var order []place
	for _, e := range b.Ledger {
		at := place{e.Key, e.Unit}
		if found[at] == nil {
			found[at] = &Chain{Key: e.Key, Unit: e.Unit, Class: b.Manifest.Machine.ClassID}
			order = append(order, at)
		}
		found[at].add(e)
	}
	slices.SortFunc(order, func(a, b place) int {
		if c := a.key.Compare(b.key); c != 0 {
			return c
		}
		return compareStrings(a.unit, b.unit)
	})
	var chains []Chain
	for _, at := range order {
		c := found[at]
		c.connect()
		for n := len(c.Links); n > 0 && c.fillGap(); n-- {
			c.connect()
		}
		if b.Manifest.Anchor != nil {
			c.Drift = c.drift(b.Manifest.Anchor.Commit)
		}
		chains = append(chains, *c)
	}
	return chains
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (c *Chain) add(e baseline.Entry) {
	if e.Base == e.Head {
		c.Same++
		return
	}
	c.Links = append(c.Links, Link{
		Record: e.Record, Base: e.Base, Head: e.Head, Pairs: e.Pairs,
		Delta: math.Log(e.Ratio.Ratio), Lo: math.Log(e.Lo), Hi: math.Log(e.Hi),
		Anchor: e.Anchor, Toolchain: e.Toolchain,
	})
}

// connect gives every link its level above the first commit of its part. A
// part ends where a session begins at a commit that none before it has measured.
func (c *Chain) connect() {
	level := map[string]float64{}
	for i := range c.Links {
		l := &c.Links[i]
		from, known := level[l.Base]
		l.Gap = !known && i > 0
		if !known {
			level = map[string]float64{l.Base: 0}
		}
		l.Level = from + l.Delta
		level[l.Head] = l.Level
	}
}

// fillGap moves a link that was recorded late to the gap that it fills: recorders
// of two commits may end in the other order. It tells whether there was one.
func (c *Chain) fillGap() bool {
	gaps := map[string]int{} // by the commit that nothing led to
	for i, l := range c.Links {
		if !l.Gap {
			continue
		}
		if at, found := gaps[l.Head]; found {
			c.Links = slices.Insert(slices.Delete(c.Links, i, i+1), at, l)
			return true
		}
		if _, found := gaps[l.Base]; !found {
			gaps[l.Base] = i
		}
	}
	return false
}

// parts are the links between gaps. No part is empty.
func (c *Chain) parts() [][]Link {
	var parts [][]Link
	from := 0
	for i := range c.Links {
		if c.Links[i].Gap {
			parts = append(parts, c.Links[from:i])
			from = i
		}
	}
	if from < len(c.Links) {
		parts = append(parts, c.Links[from:])
	}
	return parts
}

// newest are the links of the last part.
func (c *Chain) newest() []Link {
	parts := c.parts()
	return parts[len(parts)-1]
}

func (c *Chain) analyse(seed uint64) {
	parts := c.parts()
	for _, links := range parts {
		if len(links) > seriesMax {
			links = links[len(links)-seriesMax:]
		}
		c.Star = len(links) > 1 && !slices.ContainsFunc(links, func(l Link) bool { return l.Base != links[0].Base })
		var points []Point
		if !c.Star {
			points = steps(links, len(c.Links))
		}
		points = append(points, changes(links, c.Star, Level/2/float64(len(parts)), seed)...)
		slices.SortStableFunc(points, func(a, b Point) int { return position(links, a.Until) - position(links, b.Until) })
		c.Points = append(c.Points, points...)
	}
}

// changes are the change points of one part.
func changes(links []Link, star bool, level float64, seed uint64) []Point {
	series := make([]float64, len(links))
	for i, l := range links {
		series[i] = l.Delta
	}
	cuts := Divide(series, level, seed)
	segments := split(series, cuts)
	var points []Point
	for i, at := range cuts {
		p := Point{Kind: Pace, After: links[at-1].Head, Until: links[at].Head, Size: mean(segments[i+1]) - mean(segments[i])}
		if star {
			p.Kind = Step
		}
		points = append(points, p)
	}
	return points
}

func position(links []Link, head string) int {
	return slices.IndexFunc(links, func(l Link) bool { return l.Head == head })
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// steps are the links whose ratio is no noise of its session: the normal
// approximation with the interval's error, corrected by Bonferroni for the number
// of links of the whole chain.
func steps(links []Link, tests int) []Point {
	var points []Point
	for _, l := range links {
		p := min(1, float64(tests)*tail(l))
		if p <= Level/2 {
			points = append(points, Point{Kind: Step, After: l.Base, Until: l.Head, Size: l.Delta, P: p})
		}
	}
	return points
}

// tail is the two-sided p-value of no change. The side of the interval that
// points to zero is the one that counts.
func tail(l Link) float64 {
	half := l.Delta - l.Lo
	if l.Delta < 0 {
		half = l.Hi - l.Delta
	}
	switch {
	case l.Delta == 0:
		return 1
	case half <= 0:
		return 0
	}
	return math.Erfc(math.Abs(l.Delta) / (half / sigmas) / math.Sqrt2)
}

// drift adds up the ratios from the anchor to the newest commit. Every commit
// was first reached over one link; both commits' paths to the first one are
// followed, and what they share is left out.
func (c *Chain) drift(anchor string) *Drift {
	if len(c.Links) == 0 {
		return nil
	}
	links := c.newest()
	to := links[len(links)-1].Head
	by := map[string]Link{}
	for _, l := range links {
		by[l.Head] = l
	}
	up, known := path(by, to, links[0].Base)
	down, reached := path(by, anchor, links[0].Base)
	if !known || !reached {
		return nil
	}
	for len(up) > 0 && len(down) > 0 && up[len(up)-1] == down[len(down)-1] {
		up, down = up[:len(up)-1], down[:len(down)-1]
	}
	d := &Drift{From: anchor, To: to}
	var below, above float64 // squares of the intervals' halves
	add := func(delta, lo, hi float64) {
		d.Links++
		d.Delta += delta
		d.WorstLo += lo
		d.WorstHi += hi
		below += (delta - lo) * (delta - lo)
		above += (hi - delta) * (hi - delta)
	}
	for _, l := range up {
		add(l.Delta, l.Lo, l.Hi)
	}
	for _, l := range down {
		add(-l.Delta, -l.Hi, -l.Lo)
	}
	d.Lo, d.Hi = d.Delta-math.Sqrt(below), d.Delta+math.Sqrt(above)
	return d
}

// path follows links from a commit back to the root. A commit that was measured
// against a later one of its own history makes no path.
func path(by map[string]Link, commit, root string) ([]Link, bool) {
	var links []Link
	for commit != root {
		l, ok := by[commit]
		if !ok || len(links) > len(by) {
			return nil, false
		}
		links = append(links, l)
		commit = l.Base
	}
	return links, true
}
