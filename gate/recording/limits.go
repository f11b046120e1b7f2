package recording

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/perfgate/perfgate/gate/config"
)

// Limits of a bundle. They hold for writing too, so that what was measured can
// be read again; each is far beyond what a measurement makes. A suite of 2,000
// benchmarks with 4 metrics each is the largest that anybody was thinking of.
const (
	manifestBytesMax  = 32 << 20 // and diff.json; 20,000 benchmarks and 60,000 tests at 400 bytes each
	benchmarksMax     = 20_000
	familyMax         = 60_000
	outcomesMax       = 20_000
	warningsMax       = 20_000 // at most a few for each benchmark that could not be pinned or relinked
	checksMax         = 60_000 // as many as the family
	unitsMax          = 1_000
	waiversMax        = 1_000
	rulesMax          = 10_000
	notesMax          = 1_000
	flagsMax          = 100
	classMax          = 100     // keys of a machine's class; there are six
	sampleValuesMax   = 1_000   // metrics that one run reports
	sideSamplesMax    = 1 << 20 // 2,000 benchmarks x 250 pairs, exact and layout runs besides
	iterationsMax     = 1 << 40 // a run of an hour at 0.3 ns per iteration
	pairMax, roundMax = 1_000_000, 1_000_000
	procsMax, coreMax = 1 << 16, 1 << 16
	lineMax           = 1 << 30
	secondsMax        = 366 * 24 * 3600
	wordBytesMax      = 4 << 10  // a name, path, ref, hash or unit
	textBytesMax      = 64 << 10 // the detail of an outcome, a warning, the pattern of a rule
)

// checkLimits refuses a manifest that no measurement makes. It is about size and
// range only; checkManifest asks whether the parts fit each other.
func checkLimits(m *Manifest) error {
	counts := []struct {
		what      string
		have, max int
	}{
		{"benchmarks", len(m.Benchmarks), benchmarksMax}, {"family", len(m.Family), familyMax},
		{"outcomes", len(m.Outcomes), outcomesMax}, {"warnings", len(m.Warnings), warningsMax},
		{"units", len(m.Units), unitsMax}, {"waivers", len(m.Waivers), waiversMax},
		{"policy", len(m.Policy.Rules), rulesMax}, {"parts", len(m.Parts), ShardsMax},
		{"build-flags", len(m.BuildFlags), flagsMax}, {"machine", len(m.Machine.Class), classMax},
		{"machine", len(m.Machine.Notes), notesMax}, {"files", len(m.Files), filesMax},
	}
	for _, c := range counts {
		if c.have > c.max {
			return fmt.Errorf("%s: %d entries, at most %d are read", c.what, c.have, c.max)
		}
	}
	for _, check := range []func(*Manifest) error{checkNumbers, checkWords, checkTexts, checkParts, checkBaseline} {
		if err := check(m); err != nil {
			return err
		}
	}
	return nil
}

func checkNumbers(m *Manifest) error {
	for _, s := range []struct {
		what  string
		value float64
	}{{"budget-seconds", m.BudgetSeconds}, {"wall-seconds", m.WallSeconds}, {"cpu-seconds", m.CPUSeconds},
		{"profile-seconds", m.ProfileSeconds}} {
		if err := checkSeconds(s.what, s.value); err != nil {
			return err
		}
	}
	for _, b := range m.Benchmarks {
		if b.N < 0 || b.N > iterationsMax || b.ExactN < 0 || b.ExactN > iterationsMax {
			return fmt.Errorf("benchmarks: %.200s: %d and %d iterations, want 0 to %d", b.Key, b.N, b.ExactN, iterationsMax)
		}
		if b.Line < 0 || b.Line > lineMax {
			return fmt.Errorf("benchmarks: %.200s: line %d", b.Key, b.Line)
		}
	}
	for _, w := range m.Waivers {
		// A waiver that could not be read is refused and has no bound.
		if !(w.Percent >= 0) || w.Refused == "" && w.Percent > config.WaiverPercentMax {
			return fmt.Errorf("waivers: a bound of %v %%, want 0 to %d", w.Percent, config.WaiverPercentMax)
		}
	}
	return nil
}

// checkSeconds refuses NaN too, which no comparison holds for.
func checkSeconds(what string, s float64) error {
	if !(s >= 0 && s <= secondsMax) {
		return fmt.Errorf("%s: %v, want 0 to %d", what, s, secondsMax)
	}
	return nil
}

// checkWords bounds what reports show in one piece.
func checkWords(m *Manifest) error {
	words := []string{
		m.Tool, m.Command, m.Module, m.Suite, m.Bench, m.BaseReason, m.Toolchain, m.Machine.ClassID,
		m.Base.Ref, m.Base.Commit, m.Base.Tree, m.Head.Ref, m.Head.Commit, m.Head.Tree,
	}
	words = append(words, m.BuildFlags...)
	// maprange: the first that is too long is named by its length only
	for key, value := range m.Machine.Class {
		words = append(words, key, value)
	}
	for _, b := range m.Benchmarks {
		words = append(words, string(b.Channel), b.BenchHash, b.File)
	}
	for _, o := range m.Outcomes {
		words = append(words, o.Key.Pkg, o.Key.Name, string(o.Side), string(o.Kind))
	}
	for _, w := range m.Waivers {
		words = append(words, w.Commit, w.Benchmark, w.Unit, w.Until)
	}
	for _, r := range m.Policy.Rules {
		words = append(words, r.Unit, r.Direction, r.FailOn, r.Baseline)
	}
	return checkLengths(words, wordBytesMax)
}

// checkTexts bounds what is prose, or a pattern.
func checkTexts(m *Manifest) error {
	texts := slices.Concat(m.Warnings, m.Machine.Notes)
	for _, b := range m.Benchmarks {
		texts = append(texts, b.Reason)
	}
	for _, o := range m.Outcomes {
		texts = append(texts, o.Detail)
	}
	for _, w := range m.Waivers {
		texts = append(texts, w.Reason, w.Refused)
	}
	for _, r := range m.Policy.Rules {
		texts = append(texts, r.Match)
	}
	return checkLengths(texts, textBytesMax)
}

func checkLengths(list []string, most int) error {
	for _, s := range list {
		if len(s) > most {
			return fmt.Errorf("a text of %d bytes (%+.40q…), at most %d are read", len(s), s, most)
		}
	}
	return nil
}

func checkParts(m *Manifest) error {
	for _, p := range m.Parts {
		for _, s := range []float64{p.WallSeconds, p.CPUSeconds, p.BudgetSeconds} {
			if err := checkSeconds("parts", s); err != nil {
				return err
			}
		}
		if len(p.Notes) > notesMax {
			return fmt.Errorf("parts: %d notes, at most %d are read", len(p.Notes), notesMax)
		}
		if err := checkLengths(append(p.Notes, p.Checksum), textBytesMax); err != nil {
			return fmt.Errorf("parts: %w", err)
		}
	}
	return nil
}

func checkBaseline(m *Manifest) error {
	ref := m.Baseline
	if ref == nil {
		return nil
	}
	if len(ref.Checks) > checksMax {
		return fmt.Errorf("baseline: %d checks, at most %d are read", len(ref.Checks), checksMax)
	}
	if err := checkLengths([]string{ref.Path, ref.Commit, ref.ClassID, ref.Why}, textBytesMax); err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	for _, c := range ref.Checks {
		values := []float64{c.Stored, c.Head}
		if c.Base != nil {
			values = append(values, *c.Base)
		}
		if err := checkStored(c.Key, c.Unit, values...); err != nil {
			return err
		}
	}
	return checkAnchor(ref.Anchor)
}

func checkAnchor(anchor *AnchorDrift) error {
	switch {
	case anchor == nil:
		return nil
	case len(anchor.Rows) > familyMax || anchor.Broken < 0:
		return fmt.Errorf("baseline: %d rows and %d without a chain since the anchor, at most %d rows are read", len(anchor.Rows), anchor.Broken, familyMax)
	}
	if err := checkLengths([]string{anchor.Ref, anchor.Commit}, wordBytesMax); err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	for _, d := range anchor.Rows {
		if err := checkStored(d.Key, d.Unit, d.Ratio, d.Lo, d.Hi); err != nil {
			return err
		}
		if d.Links < 0 || d.Ratio < 0 || d.Lo < 0 || d.Hi < 0 {
			return fmt.Errorf("baseline: %.200s: a drift of %v over %d links", d.Key, d.Ratio, d.Links)
		}
	}
	return nil
}

func checkStored(key Key, unit string, values ...float64) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	if err := checkUnit(unit); err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	for _, v := range values {
		if err := checkValue(Value{unit, v}); err != nil {
			return fmt.Errorf("baseline: %.200s: %w", key, err)
		}
	}
	return nil
}

// countsUp are the units of package testing and of perfgate itself, which cannot
// be negative. What a benchmark reports under a name of its own may be.
var countsUp = []string{"sec/op", "cpu-sec/op", "B/op", "allocs/op", "B/s"}

func checkValue(v Value) error {
	if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
		return fmt.Errorf("%v %s is no finite number", v.Value, v.Unit)
	}
	if v.Value < 0 && slices.Contains(countsUp, v.Unit) {
		return fmt.Errorf("%v %s is negative", v.Value, v.Unit)
	}
	return nil
}

// checkOutcomes wants names that a report can show, and kinds that the verdict
// knows: one that it does not know would count for nothing.
func checkOutcomes(outcomes []Outcome) error {
	for _, o := range outcomes {
		if err := checkPlain(o.Key.Pkg, o.Key.Name); err != nil {
			return fmt.Errorf("outcomes: %w", err)
		}
		if o.Key.Procs < 0 || o.Key.Procs > procsMax {
			return fmt.Errorf("outcomes: %.200s: GOMAXPROCS %d", o.Key, o.Key.Procs)
		}
		switch o.Kind {
		case Added, Missing, Redefined, Crashed, Hung, Garbage, NoBuild, Void, Skipped, TooFew:
		default:
			return fmt.Errorf("outcomes: %.200s: no outcome is called %q", o.Key, o.Kind)
		}
		if o.Side != "" && o.Side != Base && o.Side != Head {
			return fmt.Errorf("outcomes: %.200s: side %q", o.Key, o.Side)
		}
	}
	return nil
}

// checkPlain is for names that may be empty.
func checkPlain(names ...string) error {
	for _, name := range names {
		if name == "" {
			continue
		}
		if err := checkToken("name", name); err != nil {
			return err
		}
	}
	return nil
}

// checkUTF8 is for files: encoding/json would replace what is not UTF-8, and the
// error would speak of a difference.
func checkUTF8(data []byte) error {
	if utf8.Valid(data) {
		return nil
	}
	at := 0
	for r, n := utf8.DecodeRune(data); r != utf8.RuneError || n != 1; r, n = utf8.DecodeRune(data[at:]) {
		at += n
	}
	return fmt.Errorf(":%d: byte 0x%02x is no UTF-8", lineAt(data, int64(at)), data[at])
}
