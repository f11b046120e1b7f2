package culprit

import (
	"fmt"
	"math"
	"slices"

	"github.com/perfgate/perfgate/gate/profdiff"
)

// blameCallers moves growth from a touched function to the touched function that
// calls it, where it costs more below this caller and no more below others: it is
// called more often or for more, rather than slower by itself. Where it has no other
// callers, both share. What moves can move on, to who calls that one; each function gives once.
func (c *investigation) blameCallers() {
	gave := map[*owner]bool{}
	for moved := true; moved; {
		moved = false
		for _, o := range slices.Clone(c.owners) {
			if gave[o] || o.hint || o.module || o.growth < leastCalled*c.growth {
				continue
			}
			if c.blameCaller(o) {
				gave[o], moved = true, true
			}
		}
	}
}

const (
	// leastCalled is the part of the growth that is worth asking who calls it.
	leastCalled = .05
	// oftenPart is what is held against a caller below which alone a function costs
	// more. The rest stays: it may be slower in a case that only this caller has.
	oftenPart = .75
	// Where nobody else calls a function, to within fewCalls, nothing tells whether
	// it is slower or called more often, or for more: its caller, changed too, is held
	// to have callersPart of it.
	fewCalls    = .05
	callersPart = .2
)

// blameCaller moves one function's growth, if it is its caller's.
func (c *investigation) blameCaller(o *owner) bool {
	calls := c.callsOf(o.unit)
	for _, name := range sortedNames(calls) {
		caller := c.index.byFunc[name]
		if caller == nil || caller == o.unit {
			continue
		}
		in, others := calls[name], rest(calls, name)
		if !in.Shown || in.Delta() < o.growth/2 {
			continue
		}
		part, note := math.Min(in.Delta(), o.growth), ""
		switch {
		case unmoved(others, in.Ratio):
			part *= oftenPart
			note = fmt.Sprintf("%s costs more below it (%s) and not below others, so that it is called more often, or for more", o.name, percent(in.Ratio))
		case others.BaseCount+others.HeadCount < fewCalls*(in.BaseCount+in.HeadCount) && !o.fresh:
			part *= callersPart
			note = fmt.Sprintf("it alone calls %s, which costs more (%s): either may be why", o.name, percent(in.Ratio))
		default:
			continue
		}
		to := c.byName[name]
		if to == nil {
			to = &owner{unit: caller, users: 1}
			c.owners, c.byName[name] = append(c.owners, to), to
		}
		o.growth, to.growth, to.called = o.growth-part, to.growth+part, to.called+part
		to.notes = append(to.notes, note)
		return true
	}
	return false
}

// callsOf compares what a unit costs with all that it calls, by who calls it: the
// name of the touched unit or else of the function that is next to its occurrence
// nearest to the leaf.
func (c *investigation) callsOf(u *unit) map[string]profdiff.Change {
	d := c.Data
	return d.Compare(d.Tallies(func(s *profdiff.Stack) []string {
		inside := false
		for _, f := range s.Frames {
			of := c.index.of(d.Frames[f])
			switch {
			case of == u:
				inside = true
			case inside && of != nil:
				return []string{of.name}
			case inside:
				return []string{d.Frames[f].Func()}
			}
		}
		return nil
	}), c.result.Factor)
}

// rest adds up all calls but those of one caller.
func rest(all map[string]profdiff.Change, but string) (sum profdiff.Change) {
	for _, name := range sortedNames(all) {
		if name == but {
			continue
		}
		one := all[name]
		sum.Base, sum.Head = sum.Base+one.Base, sum.Head+one.Head
		sum.BaseCount, sum.HeadCount = sum.BaseCount+one.BaseCount, sum.HeadCount+one.HeadCount
	}
	return sum
}

// unmoved: there are counts enough that a slowdown of this ratio would show, and
// not a quarter of it does.
func unmoved(others profdiff.Change, ratio float64) bool {
	// What is new below one caller is as good as doubled.
	slowdown := math.Min(ratio, 2) - 1
	return others.Base > 0 && others.BaseCount >= profdiff.Needed(slowdown) && others.Head/others.Base-1 < slowdown/4
}
