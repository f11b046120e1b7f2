package culprit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// ofKind says what a time was spent on, where it is not the CPU.
var ofKind = map[recording.ProfileKind]string{
	recording.MutexProfile: " that others waited for its locks",
	recording.BlockProfile: " of waiting",
}

// leastMoved is the part of an owner's growth that is worth telling where it was before.
const leastMoved = .01

// why puts the evidence against an owner into words.
func (c *investigation) why(o *owner) string {
	var parts []string
	share := fmt.Sprintf("%.0f %% of the growth", 100*min(1, o.growth/c.growth))
	cost := fmt.Sprintf("%s -> %s per operation%s", amount(o.change.Base, c.Data.Metric), amount(o.change.Head, c.Data.Metric), ofKind[c.Data.Kind])
	switch {
	case o.module:
		parts = append(parts, fmt.Sprintf("the dependency changed (%s), and its code has %s: %s", o.detail, share, cost))
	case o.hint && o.kind == "func":
		parts = append(parts, fmt.Sprintf("it changed, and functions that mention it have %s: %s", share, cost))
	case o.hint:
		parts = append(parts, fmt.Sprintf("this %s changed, and functions that mention it have %s: %s", o.kind, share, cost))
	case o.called > o.growth/2:
		parts = append(parts, "it changed, and has "+share)
	case o.change.Base == 0 && o.change.Head == 0:
		parts = append(parts, "it changed, and the garbage collector works more: "+share)
	case o.fresh:
		parts = append(parts, fmt.Sprintf("it is new, and with what it calls has %s: %s", share, cost))
	default:
		parts = append(parts, fmt.Sprintf("it changed, and with what it calls has %s: %s", share, cost))
	}
	parts = append(parts, o.notes...)
	if o.moved > leastMoved*(o.moved+o.growth) {
		parts = append(parts, fmt.Sprintf("%s of it moved here from %s and do not count", amount(o.moved, c.Data.Metric), o.source))
	}
	if !o.change.Significant && o.gc+o.called == 0 {
		parts = append(parts, "the difference may be chance")
	}
	return strings.Join(parts, "; ")
}

// outsideTrust is how sure it is that a part of the growth has no cause in the
// change. Where nothing in the change is on the stacks there is nothing else to
// blame.
func (c *investigation) outsideTrust(left float64, others bool) float64 {
	switch {
	case c.result.TooFew:
		return .2 * left
	case c.acquit > c.growth/2:
		return .85 * left
	case !others:
		return .8 * left
	}
	return .65 * left
}

// outsideWhy is the evidence that the cause is outside the change.
func (c *investigation) outsideWhy(others bool) string {
	parts := slices.Clone(c.outside)
	if len(parts) == 0 && !others {
		functions := 0
		for _, u := range c.index.all {
			if u.kind == "func" && !u.gone {
				functions++
			}
		}
		switch {
		case len(c.index.all) == 0:
			parts = append(parts, "the change touches no code")
		default:
			parts = append(parts, fmt.Sprintf("nothing that the change touches (%s) has become slower, or is on a stack that has", count(functions, "function")))
		}
	}
	if top := c.topGrowth(); top != "" {
		parts = append(parts, top)
	}
	if len(c.index.newGo) > 0 {
		parts = append(parts, "go.mod says "+strings.Join(c.index.newGo, ", ")+", which changes what the compiler and the runtime do")
	}
	if n := len(c.index.other); n > 0 {
		parts = append(parts, fmt.Sprintf("%s changed that are no source, such as %s: does the benchmark read it?", count(n, "file"), c.index.other[0]))
	}
	if c.index.cut {
		parts = append(parts, "the change is too large to be looked through, so that its end was left out")
	}
	return strings.Join(parts, "; ")
}

// topGrowth names the function whose own cost grew most, touched by nobody; or
// says that none stands out, as when code only lies elsewhere.
func (c *investigation) topGrowth() string {
	for _, f := range c.result.Functions {
		if f.Flat.Shown && f.Flat.Delta() > 0 && c.index.of(f.Frame) == nil {
			return fmt.Sprintf("most of the growth is in %s: %s -> %s per operation", f.Func(), amount(f.Flat.Base, c.Data.Metric), amount(f.Flat.Head, c.Data.Metric))
		}
	}
	if c.result.TooFew {
		return ""
	}
	return "no function stands out, as when code is the same and lies elsewhere in memory"
}

// count is a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// percent is a ratio as a change: "+20 %", or "new".
func percent(ratio float64) string {
	if math.IsInf(ratio, 1) {
		return "new"
	}
	return fmt.Sprintf("%+.0f %%", 100*(ratio-1))
}

// amount is a value of a metric in a unit that a person reads.
func amount(v float64, m profdiff.Metric) string { return profdiff.Format(v, m) }
