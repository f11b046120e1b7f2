package culprit

import (
	"fmt"
	"math"
	"slices"

	"github.com/perfgate/perfgate/gate/profdiff"
)

// blameCallers moves growth from a touched function to the touched function that
// calls it, where it costs more below this caller and no more below others: it is
// called more often, and is not slower by itself.
func (c *investigation) blameCallers() {
	for _, o := range slices.Clone(c.owners) {
		if o.hint || o.module || o.growth <= 0 {
			continue
		}
		calls := c.callsOf(o.unit)
		for _, name := range sortedNames(calls) {
			caller := c.index.byFunc[name]
			if caller == nil || caller == o.unit {
				continue
			}
			in, others := calls[name], rest(calls, name)
			if !in.Shown || in.Delta() < o.growth/2 || !unmoved(others, in.Ratio) {
				continue
			}
			to := c.byName[name]
			if to == nil {
				to = &owner{unit: caller, users: 1}
				c.owners, c.byName[name] = append(c.owners, to), to
			}
			to.growth += in.Delta()
			to.called += in.Delta()
			to.notes = append(to.notes, fmt.Sprintf("%s costs more below it (%s) and not below others: it is called more often", o.name, percent(in.Ratio)))
			o.growth -= in.Delta()
			break
		}
	}
}

// calls is what a unit costs below one of those that call it directly.
type calls map[string]profdiff.Change

// callsOf compares what a unit costs by its direct callers, by the name of the
// unit that they are or else their own.
func (c *investigation) callsOf(u *unit) calls {
	d := c.Data
	return d.Compare(d.Tallies(func(s *profdiff.Stack) []string {
		if c.stackOwner(d, s) != u {
			return nil
		}
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
func rest(all calls, but string) (sum profdiff.Change) {
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
