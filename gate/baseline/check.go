package baseline

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
)

// Check lists every exact metric that both the baseline and the bundle's head
// side know, whether they agree or not.
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
	head, _ := exactSamples(bundle)
	for _, s := range head {
		for _, v := range s.Values {
			old, ok := known[place{s.Key, v.Unit}]
			everywhere := b.everywhere(v.Unit) && bundle.Manifest.Units[v.Unit].Assume == "exact"
			if ok && (everywhere || sameClass && old.n == s.N) {
				checks = append(checks, recording.BaselineCheck{Key: s.Key, Unit: v.Unit, Stored: old.value, Head: v.Value})
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

// Reference compares a bundle's head side with the baseline stored below root
// for its suite and machine class. Shown is root as a person knows it: relative
// to the module, with slashes; empty where none is configured. The error says that a baseline is there and broken.
func Reference(root, shown string, bundle recording.Bundle) (*recording.BaselineRef, error) {
	m := &bundle.Manifest
	if shown == "" {
		return &recording.BaselineRef{Why: "perfgate.yml names no folder of baselines"}, nil
	}
	b, sameClass, err := Find(root, m.Suite, m.Machine.ClassID)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return &recording.BaselineRef{Why: fmt.Sprintf("%s holds none of suite %s; `perfgate baseline record` makes one from this run", path.Clean(shown), m.Suite)}, nil
	}
	return &recording.BaselineRef{
		Path:   path.Join(shown, m.Suite, filepath.Base(b.Dir)),
		Commit: b.Manifest.Commit, ClassID: b.Manifest.Machine.ClassID,
		SameClass: sameClass, Checks: b.Check(bundle, sameClass),
	}, nil
}
