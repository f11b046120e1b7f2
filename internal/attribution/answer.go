package main

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/culprit"
	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// read puts into a line what a bundle says. It is an error where no test was
// measured. The headline is no reason to leave a run out: a slowdown that was found
// goes before what could not be measured there, so that only misses would be lost.
func (l *Line) read(b *recording.Bundle, in *Injection) error {
	m := &b.Manifest
	l.Tool, l.Class, l.Machine = m.Tool, m.Machine.ClassID, m.Machine.Class
	l.ProfileSeconds = m.ProfileSeconds
	v, err := verdict.Decide(*b)
	if err != nil {
		return fmt.Errorf("deciding: %w", err)
	}
	if !slices.ContainsFunc(v.Rows, decided) {
		return errors.New(notMeasured(m, v))
	}
	for _, row := range v.Rows {
		t, err := newTest(b, row)
		if err != nil {
			return err
		}
		l.Tests = append(l.Tests, t)
	}
	var onStacks map[string]bool
	if l.Profiled, onStacks, err = profiled(b, v); err != nil {
		return err
	}
	among := func(names []string) (n int) {
		for _, name := range names {
			n += count(onStacks[name])
		}
		return n
	}
	l.DecoysOnStacks, l.GuiltyOnStacks = among(l.Decoys), among(in.Guilty)
	return nil
}

// decided: the gate has an answer about a row. Pairs that show neither a slowdown
// nor its absence are one: nothing was found, though it was looked for.
func decided(row verdict.Row) bool {
	switch row.Decision {
	case verdict.Ungated:
		return false
	case verdict.Inconclusive:
		return row.Change.Timed != nil && row.Change.Timed.Pairs > 0
	}
	return true
}

// notMeasured says what kept all tests from being measured.
func notMeasured(m *recording.Manifest, v verdict.Verdict) string {
	var why []string
	for _, o := range v.Outcomes {
		detail, _, _ := strings.Cut(o.Detail, "\n")
		why = append(why, fmt.Sprintf("%s: %s: %s", o.Key.Short(m.Module), o.Kind, detail))
	}
	if len(why) == 0 {
		why = m.Warnings
	}
	return strings.Join(append([]string{"not measurable"}, why...), "; ")
}

// newTest gives one row, with the suspects as the report has them.
func newTest(b *recording.Bundle, row verdict.Row) (Test, error) {
	test := row.Change.Test
	log := logSlowdown(row)
	t := Test{Bench: test.Key.Short(b.Manifest.Module), Unit: test.Unit, Channel: test.Channel, Decision: row.Decision, Slowdown: rounded(math.Expm1(log))}
	if row.Decision != verdict.Regressed {
		return t, nil
	}
	f, ok, err := culprit.Of(b, test, log)
	switch {
	case err != nil:
		return t, fmt.Errorf("reading the profiles of %s: %w", t.Bench, err)
	case !ok:
		t.Note = "no profile"
	default:
		t.Note = f.Note
	}
	for _, s := range f.Suspects {
		t.Suspects = append(t.Suspects, Suspect{Function: shortName(b.Manifest.Module, s.Function), File: s.File,
			Share: rounded(s.Share), Confidence: rounded(s.Confidence), Outside: s.Outside})
	}
	return t, nil
}

// logSlowdown is the logarithm of by how much a row is worse, and at most of a
// thousand times. The rule is that of package cli, which asks culprit.Of for the
// suspects that people see.
func logSlowdown(row verdict.Row) float64 {
	log := 0.0
	if c := row.Change; c.Timed != nil {
		log = c.Timed.Delta
	} else if e := c.Exact; e != nil && e.Head > 0 && e.Base >= 0 {
		log = math.Log(e.Head / e.Base) // infinite where it was nothing
	}
	return min(log, math.Log(1000))
}

// rounded keeps four decimals.
func rounded(x float64) float64 { return math.Round(x*1e4) / 1e4 }

// shortName is a suspect's name as reports print it, below the module.
func shortName(module, function string) string {
	if rest, ok := strings.CutPrefix(function, module+"/"); ok {
		return rest
	}
	if rest, ok := strings.CutPrefix(function, module+"."); ok {
		return path.Base(module) + "." + rest
	}
	return function
}

// compared are the profiles whose functions are counted, each with what is compared
// and the unit whose measured ratio is the whole's, as `perfgate profile` has them.
var compared = []struct {
	kind   recording.ProfileKind
	metric profdiff.Metric
	unit   string
}{
	{recording.CPUProfile, profdiff.Time, cpuUnit},
	{recording.AllocProfile, profdiff.Bytes, "B/op"},
}

// profiled counts functions, benchmark by benchmark, compared as suspects are looked
// for: what the change renamed is one function. It also gives the names of all
// functions that are on a stack.
func profiled(b *recording.Bundle, v verdict.Verdict) ([]Profile, map[string]bool, error) {
	renames := culprit.Renames(b.Diff)
	var all []Profile
	onStacks := map[string]bool{}
	for _, key := range profiledKeys(b) {
		for _, c := range compared {
			d, err := profdiff.FromBundle(b, key, c.kind, c.metric, renames)
			if errors.Is(err, profdiff.ErrEmpty) {
				continue
			}
			if err != nil {
				return nil, nil, fmt.Errorf("reading the profiles: %w", err)
			}
			for _, f := range d.Frames {
				onStacks[shortName(b.Manifest.Module, f.Func())] = true
			}
			result := profdiff.Diff(d, profdiff.Options{Measured: measured(v, key, c.unit)})
			all = append(all, newProfile(key.Short(b.Manifest.Module), c.kind, result))
		}
	}
	return all, onStacks, nil
}

// profiledKeys are the benchmarks that a bundle has profiles of, in its order.
func profiledKeys(b *recording.Bundle) []recording.Key {
	var keys []recording.Key
	for _, p := range b.Manifest.Profiles {
		if !slices.Contains(keys, p.Key) {
			keys = append(keys, p.Key)
		}
	}
	return keys
}

// measured is the ratio that the gate has measured of a unit; 0 for none.
func measured(v verdict.Verdict, key recording.Key, unit string) float64 {
	for _, row := range v.Rows {
		if t := row.Change.Test; t.Key == key && t.Unit == unit {
			return math.Exp(logSlowdown(row))
		}
	}
	return 0
}

// newProfile counts functions: one counts where its own cost, or that with all that
// it calls, does.
func newProfile(bench string, kind recording.ProfileKind, r profdiff.Result) Profile {
	p := Profile{Bench: bench, Kind: kind}
	for _, f := range r.Functions {
		p.Tested += count(f.Flat.Tested || f.Cum.Tested)
		p.Flagged += count(f.Flat.Significant || f.Cum.Significant)
		p.Shown += count(f.Flat.Shown || f.Cum.Shown)
	}
	return p
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
