package recording

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/perf/benchunit"
)

// channelRank orders the channels within a round: planning comes before the
// exact runs, and these before the timed ones.
var channelRank = map[Channel]int{Plan: 0, Exact: 1, CoRun: 2, Wall: 3, Layout: 4}

// Canonical sorts samples into the order of every bundle that was read: by
// round, channel (plan, exact, corun, wall), key, pair and side (base first).
// Samples that are equal in all of these, which only plan runs may be, keep
// their order. Two files cannot hold the order across sides, and a replay
// needs one that is always the same.
func Canonical(samples []Sample) {
	slices.SortStableFunc(samples, func(a, b Sample) int {
		if a.Round != b.Round {
			return a.Round - b.Round
		}
		if c := channelRank[a.Channel] - channelRank[b.Channel]; c != 0 {
			return c
		}
		if c := a.Key.Compare(b.Key); c != 0 {
			return c
		}
		if a.Pair != b.Pair {
			return a.Pair - b.Pair
		}
		return strings.Compare(string(a.Side), string(b.Side))
	})
}

// knownBenchmarks are those that the manifest speaks of, with Procs 0: the
// exact runs of a benchmark may have another GOMAXPROCS than its timed ones.
func knownBenchmarks(m *Manifest) map[Key]bool {
	known := map[Key]bool{}
	add := func(k Key) { known[Key{Pkg: k.Pkg, Name: k.Name}] = true }
	for _, b := range m.Benchmarks {
		add(b.Key)
	}
	for _, t := range m.Family {
		add(t.Key)
	}
	for _, o := range m.Outcomes {
		add(o.Key)
	}
	return known
}

// slot is the place of a sample within its side; only one may hold it.
type slot struct {
	channel Channel
	key     Key
	pair    int
}

// sampleChecker checks the samples of one side, one after the other.
type sampleChecker struct {
	known map[Key]bool
	seen  map[slot]bool
}

func newSampleChecker(m *Manifest) *sampleChecker {
	return &sampleChecker{known: knownBenchmarks(m), seen: map[slot]bool{}}
}

func (c *sampleChecker) check(s *Sample) error {
	if err := checkKey(s.Key); err != nil {
		return err
	}
	if !c.known[Key{Pkg: s.Key.Pkg, Name: s.Key.Name}] {
		return fmt.Errorf("%s is not in the manifest", s.Key)
	}
	if err := checkSample(s); err != nil {
		return fmt.Errorf("%s, %s pair %d: %w", s.Key, s.Channel, s.Pair, err)
	}
	if s.Channel == Plan {
		return nil
	}
	place := slot{s.Channel, s.Key, s.Pair}
	if c.seen[place] {
		return fmt.Errorf("%s has %s pair %d twice", s.Key, s.Channel, s.Pair)
	}
	c.seen[place] = true
	return nil
}

func checkSample(s *Sample) error {
	if _, ok := channelRank[s.Channel]; !ok {
		return fmt.Errorf("no samples are taken in channel %q", s.Channel)
	}
	first := 1 // pairs and rounds count from 1, but plan runs have neither
	if s.Channel == Plan {
		first = 0
	}
	switch {
	case s.Pair < first || s.Pair > pairMax:
		return fmt.Errorf("pair %d, want %d to %d", s.Pair, first, pairMax)
	case s.Round < first || s.Round > roundMax:
		return fmt.Errorf("round %d, want %d to %d", s.Round, first, roundMax)
	case s.Order < 0 || s.Order > 2:
		return fmt.Errorf("order %d, want 1 or 2", s.Order)
	case s.Core < -1 || s.Core > coreMax:
		return fmt.Errorf("core %d, want -1 to %d", s.Core, coreMax)
	case s.N < 0 || s.N > iterationsMax:
		return fmt.Errorf("%d iterations, want 0 to %d", s.N, iterationsMax)
	case (s.Layout != 0) != (s.Channel == Layout):
		return fmt.Errorf("layout seed %d in channel %s", s.Layout, s.Channel)
	case len(s.Values) == 0:
		return errors.New("no values")
	case len(s.Values) > sampleValuesMax:
		return fmt.Errorf("%d values, at most %d are read", len(s.Values), sampleValuesMax)
	}
	return checkValues(s.Values)
}

func checkValues(values []Value) error {
	seen := map[string]bool{}
	for _, v := range values {
		if err := checkUnit(v.Unit); err != nil {
			return err
		}
		if seen[v.Unit] {
			return fmt.Errorf("unit %s twice", v.Unit)
		}
		seen[v.Unit] = true
		if err := checkValue(v); err != nil {
			return err
		}
	}
	return nil
}

// checkUnit wants a tidied unit: a reader of benchmark format tidies, so that
// another one would come back under another name and scaled.
func checkUnit(unit string) error {
	if err := checkToken("unit", unit); err != nil {
		return err
	}
	if _, tidied := benchunit.Tidy(1, unit); tidied != unit {
		return fmt.Errorf("unit %q is not tidied, want %q", unit, tidied)
	}
	return nil
}

// checkToken wants a text that is one field of a benchmark line.
func checkToken(what, s string) error {
	if s == "" {
		return fmt.Errorf("empty %s", what)
	}
	if len(s) > wordBytesMax {
		return fmt.Errorf("%s of %d bytes (%+.40q…), at most %d are read", what, len(s), s, wordBytesMax)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsSpace) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%s %q has spaces or control characters", what, s)
	}
	return nil
}

func checkKey(k Key) error {
	if err := checkToken("package path", k.Pkg); err != nil {
		return err
	}
	if err := checkToken("benchmark name", k.Name); err != nil {
		return err
	}
	if !strings.HasPrefix(k.Name, "Benchmark") {
		return fmt.Errorf("benchmark name %q does not begin with Benchmark", k.Name)
	}
	if k.Procs < 1 || k.Procs > procsMax {
		return fmt.Errorf("%s.%s: GOMAXPROCS %d, want 1 to %d", k.Pkg, k.Name, k.Procs, procsMax)
	}
	return nil
}

// checkManifest checks what a reader of a bundle relies on.
func checkManifest(m *Manifest) error {
	if m.Schema != Schema {
		return fmt.Errorf("schema %d, but this perfgate reads and writes %d", m.Schema, Schema)
	}
	for _, check := range []func(*Manifest) error{checkLimits, checkShard} {
		if err := check(m); err != nil {
			return err
		}
	}
	seen := map[Key]bool{}
	for _, b := range m.Benchmarks {
		if err := checkKey(b.Key); err != nil {
			return fmt.Errorf("benchmarks: %w", err)
		}
		if seen[b.Key] {
			return fmt.Errorf("benchmarks: %s twice", b.Key)
		}
		seen[b.Key] = true
	}
	if err := checkFamily(m.Family); err != nil {
		return err
	}
	if err := checkOutcomes(m.Outcomes); err != nil {
		return err
	}
	if err := checkProfiles(m); err != nil {
		return err
	}
	for unit, u := range m.Units {
		if err := checkUnit(unit); err != nil {
			return fmt.Errorf("units: %w", err)
		}
		if u.Better != "" && u.Better != "lower" && u.Better != "higher" {
			return fmt.Errorf("units: %s: better %q, want lower, higher or nothing", unit, u.Better)
		}
		if u.Assume != "" && u.Assume != "exact" {
			return fmt.Errorf("units: %s: assume %q, want exact or nothing", unit, u.Assume)
		}
	}
	return nil
}

func checkShard(m *Manifest) error {
	if s := m.Shard; s != nil && (s.Count < 1 || s.Count > ShardsMax || s.Index < 1 || s.Index > s.Count || s.FamilyMin < 0 || s.FamilyMin > familyMax) {
		return fmt.Errorf("shard: %+v, want an index from 1 to the count, which is at most %d, and a family of 0 to %d", *s, ShardsMax, familyMax)
	}
	if m.Shard != nil && len(m.Parts) > 0 {
		return errors.New("parts: a shard has none")
	}
	for i, p := range m.Parts {
		if p.Index != i+1 {
			return fmt.Errorf("parts: part %d stands at place %d", p.Index, i+1)
		}
	}
	return nil
}

func checkFamily(family []Test) error {
	seen := map[Test]bool{}
	for _, t := range family {
		if err := checkKey(t.Key); err != nil {
			return fmt.Errorf("family: %w", err)
		}
		if err := checkUnit(t.Unit); err != nil {
			return fmt.Errorf("family: %s: %w", t.Key, err)
		}
		switch t.Channel {
		case Unchanged, Exact, CoRun, Wall:
		default:
			return fmt.Errorf("family: %s %s: no test is decided by channel %q", t.Key, t.Unit, t.Channel)
		}
		one := Test{Key: t.Key, Unit: t.Unit}
		if seen[one] {
			return fmt.Errorf("family: %s %s twice", t.Key, t.Unit)
		}
		seen[one] = true
	}
	return nil
}
