package baseline

import (
	"cmp"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
)

// Check lists every exact metric that both the baseline and the bundle's head
// side know, whether they agree or not, with what the bundle's base side has.
//
// A unit declared `assume=exact` counts messages, bytes or simulated time: it
// holds on every machine. What the runtime counts (allocs/op, B/op) holds within
// a machine class, and only between runs of as many iterations, since what a
// benchmark allocates once is spread over them.
func (b *Baseline) Check(bundle recording.Bundle, sameClass bool) []recording.BaselineCheck {
	type stored struct {
		value float64
		n     int
	}
	type place struct {
		key  recording.Key
		unit string
	}
	known := map[place]stored{}
	for _, s := range b.Exact {
		for _, v := range s.Values {
			known[place{s.Key, v.Unit}] = stored{v.Value, s.N}
		}
	}
	var checks []recording.BaselineCheck
	head, _ := exactSamples(bundle, recording.Head)
	base, _ := exactSamples(bundle, recording.Base)
	onBase := map[place]stored{}
	for _, s := range base {
		for _, v := range s.Values {
			onBase[place{s.Key, v.Unit}] = stored{v.Value, s.N}
		}
	}
	for _, s := range head {
		for _, v := range s.Values {
			old, ok := known[place{s.Key, v.Unit}]
			everywhere := b.everywhere(v.Unit) && bundle.Manifest.Units[v.Unit].Assume == "exact"
			if ok && (everywhere || sameClass && old.n == s.N) {
				check := recording.BaselineCheck{Key: s.Key, Unit: v.Unit, Stored: old.value, Head: v.Value}
				if b, ok := onBase[place{s.Key, v.Unit}]; ok && b.n == s.N {
					check.Base = &b.value
				}
				checks = append(checks, check)
			}
		}
	}
	slices.SortFunc(checks, func(a, b recording.BaselineCheck) int {
		return compareTests(a.Key, a.Unit, b.Key, b.Unit)
	})
	return checks
}

// everywhere: the unit holds on every machine.
func (b *Baseline) everywhere(unit string) bool { return b.Manifest.Units[unit].Assume == "exact" }

func compareTests(ka recording.Key, ua string, kb recording.Key, ub string) int {
	return cmp.Or(ka.Compare(kb), strings.Compare(ua, ub))
}

// Reference compares a bundle's head side with a baseline. Shown is its store as
// a person knows it: relative to the module, with slashes.
func (b *Baseline) Reference(shown string, sameClass bool, bundle recording.Bundle) *recording.BaselineRef {
	m := &b.Manifest
	return &recording.BaselineRef{
		Path:   strings.TrimSuffix(shown, "/") + "/" + m.Suite + "/" + m.Machine.ClassID,
		Commit: m.Commit, ClassID: m.Machine.ClassID,
		SameClass: sameClass, Checks: b.Check(bundle, sameClass),
	}
}
