package recording

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Shard says which part of a suite a bundle measured: part Index of Count, from
// 1. The parts of one suite may have been measured on several machines of one
// class; a pair never spans two of them.
type Shard struct {
	Index int `json:"index"`
	Count int `json:"count"`
	// FamilyMin is how many tests Holm's correction counts in each timed channel
	// while this part is measured, so that what is decided in a part is not
	// undone by the tests of the others.
	FamilyMin int `json:"family-min"`
}

// ShardsMax bounds the number of shards.
const ShardsMax = 256

// Part is what a merged bundle keeps of each of its shards.
type Part struct {
	Index         int      `json:"index"`
	Seed          uint64   `json:"seed"`
	Notes         []string `json:"notes,omitempty"` // of its machine
	WallSeconds   float64  `json:"wall-seconds"`
	CPUSeconds    float64  `json:"cpu-seconds"`
	BudgetSeconds float64  `json:"budget-seconds"`
	Checksum      string   `json:"checksum"` // of its manifest
}

// Merge joins the shards of one measurement, in any order. All parts must be
// there once and agree in everything that decides what was compared and how:
// commits and trees, configuration, toolchain, machine class, suite. The error
// names the first thing in which two of them differ, and both values.
func Merge(shards []Bundle) (Bundle, error) {
	if len(shards) == 0 {
		return Bundle{}, errors.New("no shards to merge")
	}
	ordered, err := inOrder(shards)
	if err != nil {
		return Bundle{}, err
	}
	merged := Bundle{Manifest: ordered[0].Manifest}
	m := &merged.Manifest
	m.Shard, m.Files, m.Checksum = nil, nil, ""
	m.Seed, m.Machine.Notes = 0, nil
	m.Units = map[string]Unit{}
	m.Benchmarks, m.Family, m.Outcomes, m.Warnings, m.Baseline, m.Profiles = nil, nil, nil, nil, nil, nil
	m.WallSeconds, m.CPUSeconds, m.ProfileSeconds, m.OutOfTime = 0, 0, 0, false
	told := told{map[Outcome]bool{}, map[string]bool{}}
	for _, part := range ordered {
		if err := m.absorb(&part.Manifest, told); err != nil {
			return Bundle{}, fmt.Errorf("shard %d of %d: %w", part.Manifest.Shard.Index, part.Manifest.Shard.Count, err)
		}
		merged.Samples = append(merged.Samples, part.Samples...)
		merged.Canary = append(merged.Canary, part.Canary...)
		for _, p := range part.Manifest.Profiles {
			merged.AddProfile(p, part.Profiles[p.File])
		}
		// Every shard that looked saw the same change.
		if merged.Diff == nil {
			merged.Diff = part.Diff
		}
	}
	Canonical(merged.Samples)
	Canonical(merged.Canary)
	slices.SortFunc(m.Benchmarks, func(a, b Benchmark) int { return a.Key.Compare(b.Key) })
	slices.SortStableFunc(m.Outcomes, func(a, b Outcome) int { return a.Key.Compare(b.Key) })
	return merged, nil
}

// inOrder wants each shard of one measurement exactly once.
func inOrder(shards []Bundle) ([]Bundle, error) {
	first := shards[0].Manifest.Shard
	if first == nil {
		return nil, errors.New("the first bundle is no shard: it was not measured with --shard")
	}
	ordered := make([]Bundle, first.Count)
	for _, b := range shards {
		s := b.Manifest.Shard
		switch {
		case s == nil:
			return nil, fmt.Errorf("one bundle is no shard, another is shard %d of %d", first.Index, first.Count)
		case s.Count != first.Count:
			return nil, fmt.Errorf("shard %d is one of %d, shard %d one of %d", first.Index, first.Count, s.Index, s.Count)
		case ordered[s.Index-1].Manifest.Shard != nil:
			return nil, fmt.Errorf("shard %d of %d is given twice", s.Index, s.Count)
		}
		ordered[s.Index-1] = b
	}
	var missing []int
	for i, b := range ordered {
		if b.Manifest.Shard == nil {
			missing = append(missing, i+1)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("shards %v of %d are missing: without them nothing can be said about the suite", missing, first.Count)
	}
	return ordered, agree(ordered)
}

// agree checks that shards belong to one measurement.
func agree(shards []Bundle) error {
	identity := func(m *Manifest) []any {
		return []any{m.Tool, m.Command, m.Module, m.Suite, m.Bench, m.Base, m.Head, m.AA, m.Toolchain, m.BuildFlags,
			m.Machine.ClassID, m.Policy, m.Waivers}
	}
	names := []string{"the version of perfgate", "the command", "the module", "the suite", "--bench", "the base side", "the head side",
		"whether both sides are one tree on purpose", "the toolchain", "the build flags", "the machine class", "the policy", "the waivers"}
	want := identity(&shards[0].Manifest)
	for _, b := range shards[1:] {
		for i, have := range identity(&b.Manifest) {
			if !reflect.DeepEqual(have, want[i]) {
				return fmt.Errorf("shards 1 and %d disagree on %s: %+v, %+v", b.Manifest.Shard.Index, names[i], want[i], have)
			}
		}
	}
	return nil
}

// told is what the shards that were absorbed have told: several of them tell of a
// package that does not build, if each has one of its benchmarks.
type told struct {
	outcomes map[Outcome]bool
	warnings map[string]bool
}

// absorb adds what one shard measured.
func (m *Manifest) absorb(part *Manifest, told told) error {
	for _, unit := range slices.Sorted(maps.Keys(part.Units)) {
		if have, ok := m.Units[unit]; ok && have != part.Units[unit] {
			return fmt.Errorf("it declares unit %s as %+v, another shard as %+v", unit, part.Units[unit], have)
		}
		m.Units[unit] = part.Units[unit]
	}
	m.Benchmarks = append(m.Benchmarks, part.Benchmarks...)
	m.Family = append(m.Family, part.Family...)
	m.Outcomes = appendNew(m.Outcomes, part.Outcomes, told.outcomes)
	m.Warnings = appendNew(m.Warnings, part.Warnings, told.warnings)
	m.absorbBaseline(part.Baseline)
	m.OutOfTime = m.OutOfTime || part.OutOfTime
	m.WallSeconds = max(m.WallSeconds, part.WallSeconds)
	m.CPUSeconds += part.CPUSeconds
	m.ProfileSeconds = max(m.ProfileSeconds, part.ProfileSeconds)
	m.BudgetSeconds = max(m.BudgetSeconds, part.BudgetSeconds)
	m.Parts = append(m.Parts, Part{
		Index: part.Shard.Index, Seed: part.Seed, Notes: part.Machine.Notes, Checksum: part.Checksum,
		WallSeconds: part.WallSeconds, CPUSeconds: part.CPUSeconds, BudgetSeconds: part.BudgetSeconds,
	})
	return nil
}

// appendNew appends what was not told yet. Shards of a stranger may tell very
// much, so each is looked up once.
func appendNew[T comparable](all, more []T, told map[T]bool) []T {
	for _, one := range more {
		if !told[one] {
			told[one] = true
			all = append(all, one)
		}
	}
	return all
}

// absorbBaseline joins the comparisons with one stored baseline.
func (m *Manifest) absorbBaseline(ref *BaselineRef) {
	switch {
	case ref == nil:
	case m.Baseline == nil:
		joined := *ref
		joined.Checks = slices.Clone(ref.Checks)
		if ref.Anchor != nil {
			anchor := *ref.Anchor
			anchor.Rows = slices.Clone(ref.Anchor.Rows)
			joined.Anchor = &anchor
		}
		m.Baseline = &joined
	default:
		m.Baseline.Checks = append(m.Baseline.Checks, ref.Checks...)
		if have := m.Baseline.Anchor; have != nil && ref.Anchor != nil && have.Commit == ref.Anchor.Commit {
			have.Rows = append(have.Rows, ref.Anchor.Rows...)
			have.Broken += ref.Anchor.Broken
		}
	}
}
