package culprit

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
)

// Marks of stacks without an owner.
const (
	unowned = "\x00unowned"
	runtime = "\x00runtime" // nothing but the runtime's own code
	garbage = "\x00garbage" // the collector's workers
)

// wideShare: a function that holds more of the program than this mentions a
// changed name without saying where in the program it matters.
const wideShare = .8

// stackOwner is the innermost touched unit of a stack.
func (c *investigation) stackOwner(d *profdiff.Data, s *profdiff.Stack) *unit {
	for _, f := range s.Frames {
		if u := c.index.of(d.Frames[f]); u != nil {
			return u
		}
	}
	return nil
}

// collectors are the roots of the collector's own goroutines.
var collectors = []string{"gcBgMarkWorker", "bgsweep", "bgscavenge"}

// background classifies a stack that nobody's code is on.
func background(d *profdiff.Data, s *profdiff.Stack) string {
	own := true
	for _, f := range s.Frames {
		frame := d.Frames[f]
		if frame.Pkg == "runtime" && slices.Contains(collectors, frame.Name) {
			return garbage
		}
		own = own && (frame.Pkg == "runtime" || frame.Pkg == "" || strings.HasPrefix(frame.Pkg, "internal/runtime"))
	}
	if own {
		return runtime
	}
	return ""
}

// assign gives each stack to its owner, and compares the owners.
func (c *investigation) assign() {
	d := c.Data
	tallies := d.Tallies(func(s *profdiff.Stack) []string {
		if u := c.stackOwner(d, s); u != nil {
			return []string{u.name}
		}
		if mark := background(d, s); mark != "" {
			return []string{mark}
		}
		return []string{unowned}
	})
	changes := d.Compare(tallies, c.result.Factor)
	c.rootless = max(0, changes[runtime].Delta()+changes[garbage].Delta())
	for _, u := range c.index.all {
		change, ok := changes[u.name]
		if !ok || c.byName[u.name] != nil {
			continue
		}
		o := &owner{unit: u, change: change, growth: change.Delta(), users: 1}
		c.owners = append(c.owners, o)
		c.byName[u.name] = o
	}
	c.keepLargest()
	for _, o := range c.owners {
		o.direct = c.directGrowth(o.unit)
	}
	c.assignHints()
}

// ownersMax bounds the units that are looked at one by one. Those with the largest
// differences stay; a change that has more of any weight is one that nobody reads.
const ownersMax = 100

func (c *investigation) keepLargest() {
	slices.SortStableFunc(c.owners, func(a, b *owner) int {
		return cmp.Compare(math.Abs(b.change.Delta()), math.Abs(a.change.Delta()))
	})
	for _, o := range c.owners[min(len(c.owners), ownersMax):] {
		delete(c.byName, o.name)
	}
	c.owners = c.owners[:min(len(c.owners), ownersMax)]
}

// directGrowth is the growth in the unit itself, and in calls of it that the base
// side does not make.
func (c *investigation) directGrowth(u *unit) float64 {
	d := c.Data
	tallies := d.Tallies(func(s *profdiff.Stack) []string {
		if c.stackOwner(d, s) != u {
			return nil
		}
		below := ""
		for _, f := range s.Frames {
			if c.index.of(d.Frames[f]) == u {
				break
			}
			below = d.Frames[f].Func()
		}
		return []string{below}
	})
	direct := 0.0
	changes := d.Compare(tallies, c.result.Factor)
	for _, callee := range sortedNames(changes) {
		if callee == "" || changes[callee].BaseCount == 0 {
			direct += changes[callee].Delta()
		}
	}
	return direct
}

// assignHints looks at what is below no touched unit.
func (c *investigation) assignHints() {
	d := c.Data
	hinted := func(s *profdiff.Stack) []*unit {
		if c.stackOwner(d, s) != nil {
			return nil
		}
		for _, f := range s.Frames {
			if units := c.index.mentionedBy(d.Frames[f]); len(units) > 0 {
				return units
			}
		}
		return nil
	}
	sharing := map[string]int{}
	tallies := d.Tallies(func(s *profdiff.Stack) []string {
		var names []string
		units := hinted(s)
		for _, u := range units {
			names = append(names, u.name)
			sharing[u.name] = max(sharing[u.name], len(units))
		}
		slices.Sort(names)
		return slices.Compact(names)
	})
	changes := d.Compare(tallies, c.result.Factor)
	for _, u := range c.index.all {
		change := changes[u.name]
		// A unit that is on stacks itself is judged by these.
		if have := c.byName[u.name]; !change.Shown || change.Delta() <= 0 || have != nil && have.growth > change.Delta() {
			continue
		}
		o := &owner{unit: u, change: change, growth: change.Delta(), hint: true, users: sharing[u.name]}
		o.wide = change.Base > wideShare*c.result.Total.Base
		c.owners = slices.DeleteFunc(c.owners, func(other *owner) bool { return other.unit.name == u.name })
		c.owners = append(c.owners, o)
		c.byName[u.name] = o
	}
}

// netMoved takes what left one touched unit off another's growth. New functions
// of the same package are the likeliest to have taken it over, then those whose
// growth is about as large.
func (c *investigation) netMoved() {
	for _, from := range c.owners {
		left := -from.change.Delta()
		if from.hint || left <= 0 || !from.change.Significant {
			continue
		}
		from.growth = 0
		var to []*owner
		for _, o := range c.owners {
			if o.growth > 0 && !o.hint && !o.module {
				to = append(to, o)
			}
		}
		slices.SortStableFunc(to, func(a, b *owner) int {
			return cmp.Or(cmp.Compare(kinship(b, from), kinship(a, from)),
				cmp.Compare(math.Abs(a.growth-left), math.Abs(b.growth-left)), cmp.Compare(a.name, b.name))
		})
		for _, o := range to {
			part := min(left, o.growth)
			o.growth, o.moved, o.source = o.growth-part, o.moved+part, from.name
			left -= part
		}
	}
}

// kinship is how likely o has taken over what left from.
func kinship(o, from *owner) int {
	n := 0
	if o.pkg == from.pkg {
		n += 2
	}
	if o.fresh {
		n += 2
	}
	if from.gone {
		n++
	}
	return n
}

// blameCallees acquits an owner of what a callee costs more, where the callee
// costs more below others too.
func (c *investigation) blameCallees() {
	for _, o := range c.owners {
		if o.hint || o.module || o.growth <= 0 || o.direct > o.growth/2 {
			continue
		}
		mine, elsewhere := c.calleeGrowth(o.unit)
		for _, callee := range sortedNames(mine) {
			in, out := mine[callee], elsewhere[callee]
			if !in.Shown || in.Delta() < o.growth/2 || !out.Shown || out.Ratio < 1+(in.Ratio-1)/2 {
				continue
			}
			o.growth -= in.Delta()
			c.acquit += in.Delta()
			c.outside = append(c.outside, fmt.Sprintf("%s is slower (%s) below callers too that the change does not touch", callee, percent(out.Ratio)))
			break
		}
	}
}

// calleeGrowth compares the functions that a unit calls: below the unit, and
// below nothing that was touched.
func (c *investigation) calleeGrowth(u *unit) (mine, elsewhere map[string]profdiff.Change) {
	d := c.Data
	below := func(wanted *unit) map[string]profdiff.Change {
		return d.Compare(d.Tallies(func(s *profdiff.Stack) []string {
			if c.stackOwner(d, s) != wanted {
				return nil
			}
			var names []string
			for _, f := range s.Frames {
				if c.index.of(d.Frames[f]) != nil {
					break
				}
				names = append(names, d.Frames[f].Func())
			}
			slices.Sort(names)
			return slices.Compact(names)
		}), c.result.Factor)
	}
	return below(u), below(nil)
}

// collectGarbage gives the collector's growth to those whose allocations grew.
func (c *investigation) collectGarbage() {
	if c.Alloc == nil || c.Data.Metric != profdiff.Time {
		return
	}
	growth := 0.0
	collector := c.Data.Compare(c.Data.Tallies(func(s *profdiff.Stack) []string { return []string{background(c.Data, s)} }), c.result.Factor)[garbage]
	if growth = collector.Delta(); growth <= 0 {
		return
	}
	changes := c.Alloc.Compare(c.Alloc.Tallies(func(s *profdiff.Stack) []string {
		if u := c.stackOwner(c.Alloc, s); u != nil {
			return []string{u.name}
		}
		return nil
	}), 1)
	total := 0.0
	for _, name := range sortedNames(changes) {
		if change := changes[name]; change.Significant {
			total += max(0, change.Delta())
		}
	}
	for _, u := range c.index.all {
		change := changes[u.name]
		if !change.Significant || change.Delta() <= 0 {
			continue
		}
		o := c.byName[u.name]
		if o == nil {
			o = &owner{unit: u, users: 1}
			c.owners, c.byName[u.name] = append(c.owners, o), o
		}
		if o.gc > 0 {
			continue
		}
		o.gc = growth * change.Delta() / total
		o.growth += o.gc
		o.notes = append(o.notes, fmt.Sprintf("it allocates %s more per operation", amount(change.Delta(), c.Alloc.Metric)))
	}
	c.rootless = max(0, c.rootless-growth)
}

// shareRuntime gives the growth of the scheduler and the like to the owners in
// proportion to their own.
func (c *investigation) shareRuntime() {
	total := 0.0
	for _, o := range c.owners {
		if o.change.Significant || o.called > 0 {
			total += max(0, o.growth)
		}
	}
	if total == 0 {
		return
	}
	for _, o := range c.owners {
		if o.change.Significant || o.called > 0 {
			o.growth += c.rootless * max(0, o.growth) / total
		}
	}
}
