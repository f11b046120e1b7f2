package compare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/gate/recording"
)

// LayoutEffect is what a test shows on one relinked layout.
type LayoutEffect struct {
	Seed  uint64
	Pairs int
	Delta float64 // median of the oriented log ratios
}

// Layouts gives, for every timed test of the bundle's family, what its relinked
// layouts show, by seed. A test without any is not in the map.
func Layouts(b recording.Bundle) (map[recording.Test][]LayoutEffect, error) {
	type where struct {
		key  recording.Key
		seed uint64
	}
	groups := map[where][]recording.Sample{}
	for _, s := range b.Samples {
		if s.Channel == recording.Layout {
			s.Channel = recording.CoRun // so that Pairs joins them
			at := where{s.Key, s.Layout}
			groups[at] = append(groups[at], s)
		}
	}
	effects := map[recording.Test][]LayoutEffect{}
	// maprange: every group is put into the list of its own tests, sorted below
	for at, samples := range groups {
		pairs, err := Pairs(samples)
		if err != nil {
			return nil, fmt.Errorf("layout %d: %w", at.seed, err)
		}
		for _, t := range b.Manifest.Family {
			if t.Key != at.key || t.Channel != recording.CoRun && t.Channel != recording.Wall {
				continue
			}
			var d []float64
			for _, p := range pairs {
				if x, ok := p.LogRatio(t.Unit, Better(&b.Manifest, t)); ok {
					d = append(d, x)
				}
			}
			if len(d) > 0 {
				effects[t] = append(effects[t], LayoutEffect{Seed: at.seed, Pairs: len(d), Delta: Median(d)})
			}
		}
	}
	// maprange: each list is sorted by itself
	for _, list := range effects {
		slices.SortFunc(list, func(a, b LayoutEffect) int { return cmp.Compare(a.Seed, b.Seed) })
	}
	return effects, nil
}
