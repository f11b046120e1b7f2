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

// read puts into a line what a bundle says. A suite that was not measured is an
// error.
func (l *Line) read(b *recording.Bundle) error {
	m := &b.Manifest
	l.Tool, l.Class, l.Machine = m.Tool, m.Machine.ClassID, m.Machine.Class
	l.ProfileSeconds = m.ProfileSeconds
	v, err := verdict.Decide(*b)
	if err != nil {
		return fmt.Errorf("deciding: %w", err)
	}
	if v.Headline == verdict.SuiteNotMeasured {
		return errors.New(notMeasured(m, v))
	}
	for _, row := range v.Rows {
		t, err := newTest(b, row)
		if err != nil {
			return err
		}
		l.Tests = append(l.Tests, t)
	}
	if len(l.Tests) == 0 {
		return errors.New("no benchmark was compared")
	}
	l.Profiled, err = profiled(b, v)
	return err
}

// notMeasured says what kept a suite from being measured.
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

// slowdownMax bounds what is said of something that was nothing before.
const slowdownMax = 1000

// logSlowdown is the logarithm of by how much a row is worse.
func logSlowdown(row verdict.Row) float64 {
	log := 0.0
	switch c := row.Change; {
	case c.Timed != nil:
		log = c.Timed.Delta
	case c.Exact != nil && c.Exact.Base > 0 && c.Exact.Head > 0:
		log = math.Log(c.Exact.Head / c.Exact.Base)
	case c.Exact != nil && c.Exact.Head > c.Exact.Base:
		log = math.Inf(1)
	}
	return min(log, math.Log(slowdownMax))
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

// profiled counts functions, benchmark by benchmark, compared as `perfgate profile`
// compares them.
func profiled(b *recording.Bundle, v verdict.Verdict) ([]Profile, error) {
	renames := culprit.Renames(b.Diff)
	var all []Profile
	var done []recording.Profile
	for _, p := range b.Manifest.Profiles {
		known := func(o recording.Profile) bool { return o.Key == p.Key && o.Kind == p.Kind }
		if slices.ContainsFunc(done, known) {
			continue
		}
		done = append(done, p)
		metric, unit := profdiff.Time, ""
		switch p.Kind {
		case recording.AllocProfile:
			metric, unit = profdiff.Bytes, "B/op"
		case recording.CPUProfile:
			unit = "cpu-sec/op"
		}
		d, err := profdiff.FromBundle(b, p.Key, p.Kind, metric, renames)
		if errors.Is(err, profdiff.ErrEmpty) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the profiles: %w", err)
		}
		result := profdiff.Diff(d, profdiff.Options{Measured: measured(v, p.Key, unit)})
		all = append(all, newProfile(p.Key.Short(b.Manifest.Module), p.Kind, result))
	}
	return all, nil
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
