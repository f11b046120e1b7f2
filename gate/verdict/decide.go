package verdict

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
)

// Decide gives the verdict on a bundle. It is pure: it replays the rounds
// through the Tracker, so that it decides what the measurement decided. Its
// error is for a bundle that contradicts itself, which is exit code 2.
//
// Metrics that differ from the stored baseline are listed in BaselineDrift. They
// gate where policy asks for it and the base side's own runs do not say what
// this change did: see gatedDrift.
func Decide(b recording.Bundle) (Verdict, error) {
	changes, err := compare.Changes(b)
	if err != nil {
		return Verdict{}, err
	}
	tracker, err := replay(b)
	if err != nil {
		return Verdict{}, err
	}
	j := judge{manifest: &b.Manifest, tracker: tracker, byName: map[benchmark][]int{}}
	for _, o := range b.Manifest.Outcomes {
		j.note(o)
	}
	if j.layouts, err = compare.Layouts(b); err != nil {
		return Verdict{}, err
	}
	v := Verdict{Counts: map[Decision]int{}}
	for _, c := range changes {
		v.Rows = append(v.Rows, j.row(c))
	}
	j.unplanned()
	if err := j.canary(b); err != nil {
		return Verdict{}, err
	}
	v.Outcomes = j.outcomes
	slices.SortFunc(v.Rows, compareRows)
	slices.SortStableFunc(v.Outcomes, compareOutcomes)
	for _, r := range v.Rows {
		v.Counts[r.Decision]++
	}
	v.BaselineDrift = drift(b.Manifest.Baseline)
	v.BaselineGated = gatedDrift(&b.Manifest, v.BaselineDrift)
	v.Exit = exit(&b.Manifest, &v, j.failed)
	v.Headline = headline(&v)
	return v, nil
}

// replay drives a tracker over the bundle's rounds as the measurement did.
func replay(b recording.Bundle) (*Tracker, error) {
	m := &b.Manifest
	tracker := NewTracker(m.Family, m.Units, m.Policy, m.Shard)
	pairs, err := compare.Pairs(b.Samples)
	if err != nil {
		return nil, err
	}
	for i, p := range pairs {
		if err := tracker.AddPair(p.Base, p.Head); err != nil {
			return nil, err
		}
		if i+1 == len(pairs) || pairs[i+1].Base.Round != p.Base.Round {
			tracker.Look()
		}
	}
	return tracker, nil
}

// judge turns changes into rows and gathers why a run does not count.
type judge struct {
	manifest *recording.Manifest
	tracker  *Tracker
	layouts  map[recording.Test][]compare.LayoutEffect
	outcomes []recording.Outcome
	// byName are their places: many tests look among many outcomes.
	byName map[benchmark][]int
	// failed: a required row is undecided.
	failed bool
}

// benchmark is a benchmark whatever its GOMAXPROCS, or with an empty name a package.
type benchmark struct{ pkg, name string }

// note adds an outcome.
func (j *judge) note(o recording.Outcome) {
	of := benchmark{o.Key.Pkg, o.Key.Name}
	j.byName[of] = append(j.byName[of], len(j.outcomes))
	j.outcomes = append(j.outcomes, o)
}

func (j *judge) row(c compare.Change) Row {
	rule := j.manifest.Policy.For(c.Test.Key.String(), c.Test.Unit)
	r := Row{Change: c, Adjusted: 1, Target: compare.ParamsFor(rule.Target).Target}
	switch {
	case rule.Ignore:
		r.Decision, r.Why = Ungated, "ignored by policy"
	case c.Test.Channel == recording.Unchanged:
		r.Decision, r.Why = Identical, "test binary and inputs are byte-identical"
	case c.Better == "":
		r.Decision, r.Why = Ungated, "direction unknown: declare it with a Unit line or a policy rule"
	case j.outcomeOf(c.Test.Key, recording.Skipped) != nil:
		r.Decision, r.Why = Ungated, "skipped on both sides"
	case c.Exact != nil:
		j.exact(&r)
	default:
		j.timed(&r)
	}
	if r.Decision == Regressed {
		j.waive(&r)
	}
	r.Gating = r.Decision != Ungated && rule.FailOn != config.FailOnNever
	if r.Gating && rule.Required && r.Decision == Inconclusive {
		j.failed = true
		r.Why += "; policy requires a decision"
	}
	return r
}

func (j *judge) exact(r *Row) {
	e := r.Change.Exact
	r.Decision = Inconclusive
	switch e.State {
	case compare.Rise, compare.Fall:
		// A confirmed difference of exact values leaves nothing to chance.
		r.Adjusted = 0
		r.Decision, r.Why = Regressed, fmt.Sprintf("exact, and repeated in %d runs a side", e.Runs)
		if e.State == compare.Fall {
			r.Decision = Improved
		}
	case compare.Disagree:
		r.Why = "a side does not agree with itself: no exact metric here"
	case compare.Unconfirmed:
		r.Why = "the sides differ, but it was not confirmed"
		j.tooFew(r, fmt.Sprintf("%s differs (%v, %v) in %d runs a side, and the %d that confirm it were not made; run again",
			r.Change.Test.Unit, e.Base, e.Head, e.Runs, recording.ExactConfirmRuns))
	default:
		if e.Runs < recording.ExactRuns {
			r.Why = fmt.Sprintf("%d exact runs a side, want %d", e.Runs, recording.ExactRuns)
			// The budget cuts no exact runs short, so it explains nothing here.
			j.tooFew(r, fmt.Sprintf("%s: %s; does each side report it?", r.Change.Test.Unit, r.Why))
			return
		}
		r.Decision, r.Why = Pass, "exact, and the same on both sides"
		if e.State == compare.Tolerated {
			r.Why = "exact, and within the unit's tolerance"
		}
	}
}

func (j *judge) timed(r *Row) {
	t := j.tracker.byTest[r.Change.Test]
	r.Adjusted = t.adjWorse
	pairs := t.seq.Pairs()
	r.Decision = t.decision
	switch t.decision {
	case Regressed:
		r.Why = fmt.Sprintf("slower after %d pairs", pairs)
		j.confirm(r)
	case Improved:
		r.Adjusted = t.adjBetter
		r.Why = fmt.Sprintf("faster after %d pairs", pairs)
	case Pass:
		r.Why = fmt.Sprintf("no slowdown of %d %% after %d pairs", r.Target, pairs)
	case Inconclusive:
		r.Why = fmt.Sprintf("undecided at the cap of %d pairs", pairs)
		if t.lost >= lostMax {
			r.Why = fmt.Sprintf("%d pairs do not report it on both sides", t.lost)
			j.tooFew(r, fmt.Sprintf("%s: %s, though base reported it when the run was planned", r.Change.Test.Unit, r.Why))
		}
	default:
		j.unfinished(r, t)
	}
}

// waive accepts a regression that a waiver covers. A slowdown beyond the waiver's
// bound stays a regression, and says that one was asked for.
func (j *judge) waive(r *Row) {
	slowdown := 0.0
	switch c := r.Change; {
	case c.Timed != nil:
		slowdown = 100 * math.Expm1(c.Timed.Delta)
	case c.Exact != nil:
		slowdown = 100 * math.Abs(c.Exact.Relative)
	}
	key := r.Change.Test.Key
	for _, w := range j.manifest.Waivers {
		if !w.Covers(key.String(), key.Short(j.manifest.Module), r.Change.Test.Unit) {
			continue
		}
		if slowdown <= w.Percent*(1+1e-9) { // 104/100 - 1 is a little more than 4 %
			r.Decision = Waived
			r.Why += fmt.Sprintf("; accepted up to %g %% until %s by %.7s: %s", w.Percent, w.Until, w.Commit, w.Reason)
			return
		}
		r.Why += fmt.Sprintf("; %.7s accepts up to %g %% only", w.Commit, w.Percent)
	}
}

// layoutsMin is how many relinked layouts it takes to take a finding back.
const layoutsMin = 3

// confirm looks whether a slowdown stands on most layouts that the binaries were
// relinked in. Fewer layouts than it takes leave the finding as it is.
func (j *judge) confirm(r *Row) {
	effects := j.layouts[r.Change.Test]
	stands := 0
	for _, e := range effects {
		if e.Delta > compare.ParamsFor(r.Target).Delta0 {
			stands++
		}
	}
	switch {
	case len(effects) == 0:
	case len(effects) >= layoutsMin && 2*stands < len(effects):
		r.Decision = LayoutSensitive
		r.Why += fmt.Sprintf(", but on %d of %d relinked layouts only: where its code lies in the binary costs it, not the code", stands, len(effects))
	default:
		r.Why += fmt.Sprintf(", and on %d of %d relinked layouts", stands, len(effects))
	}
}

// unfinished settles a test that the measurement left open.
func (j *judge) unfinished(r *Row, t *tracked) {
	pairs := t.seq.Pairs()
	switch {
	case t.passed:
		// It was only held to see whether it improved.
		r.Decision, r.Why = Pass, fmt.Sprintf("no slowdown of %d %% after %d pairs", r.Target, pairs)
		return
	case j.manifest.OutOfTime && pairs == 0:
		// Undecided is what was looked at; this was not.
		r.Decision, r.Why = Inconclusive, "the budget ended before its first pair"
		j.tooFew(r, r.Change.Test.Unit+": "+r.Why+"; give it more time with --budget, or measure fewer benchmarks")
		return
	case j.manifest.OutOfTime:
		r.Why = fmt.Sprintf("the budget ended after %d pairs", pairs)
	default:
		r.Why = fmt.Sprintf("%d pairs were measured, of up to %d", pairs, t.cap)
	}
	r.Decision = Inconclusive
	j.starved(r)
}

// starved records that a test lacks runs, unless the budget explains it.
func (j *judge) starved(r *Row) {
	if !j.manifest.OutOfTime {
		j.tooFew(r, r.Change.Test.Unit+": "+r.Why+"; nothing says why there are no more")
	}
}

// tooFew records that a test lacks runs, unless another outcome of the
// benchmark or its package says why.
func (j *judge) tooFew(r *Row, detail string) {
	if o := j.outcomeOf(r.Change.Test.Key); o != nil && o.Kind != recording.TooFew {
		r.Why += "; " + string(o.Kind)
		return
	}
	j.note(recording.Outcome{Key: r.Change.Test.Key, Kind: recording.TooFew, Detail: detail})
}

// outcomeOf finds the first outcome (of the given kinds, or any) that speaks of the
// benchmark or its package. GOMAXPROCS does not matter: whichever run of it
// crashed, the benchmark did. Nor does a sub-benchmark's own name where the
// whole function has an outcome.
func (j *judge) outcomeOf(key recording.Key, kinds ...recording.OutcomeKind) *recording.Outcome {
	first := len(j.outcomes)
	look := func(name string) {
		for _, i := range j.byName[benchmark{key.Pkg, name}] {
			if len(kinds) == 0 || slices.Contains(kinds, j.outcomes[i].Kind) {
				first = min(first, i)
				return
			}
		}
	}
	look("")
	for i, c := range key.Name {
		if c == '/' {
			look(key.Name[:i])
		}
	}
	look(key.Name)
	if first == len(j.outcomes) {
		return nil
	}
	return &j.outcomes[first]
}

// unplanned fails closed on benchmarks of the plan that no test compares and no
// outcome accounts for.
func (j *judge) unplanned() {
	tested := map[recording.Key]bool{}
	for _, t := range j.manifest.Family {
		tested[recording.Key{Pkg: t.Key.Pkg, Name: t.Key.Name}] = true
	}
	for _, b := range j.manifest.Benchmarks {
		name := recording.Key{Pkg: b.Key.Pkg, Name: b.Key.Name}
		if b.Channel != recording.Unchanged && !tested[name] && j.outcomeOf(b.Key) == nil {
			j.note(recording.Outcome{Key: b.Key, Kind: recording.TooFew,
				Detail: "it is in the plan, but none of its units is tested"})
		}
	}
}

// exit is the exit code: a regression before whatever could not be measured.
func exit(m *recording.Manifest, v *Verdict, failed bool) int {
	if slices.ContainsFunc(v.Rows, func(r Row) bool { return r.Gating && r.Decision == Regressed }) || len(v.BaselineGated) > 0 {
		return ExitRegression
	}
	lost := slices.ContainsFunc(v.Outcomes, func(o recording.Outcome) bool {
		ignored := o.Key.Name != "" && m.Policy.For(o.Key.String(), "").Ignore
		return o.Kind != recording.Added && o.Kind != recording.Skipped && !ignored
	})
	if failed || lost || !compared(m, v) {
		return ExitNotMeasured
	}
	return ExitPass
}

// compared reports whether the bundle compared anything: a gate that looked at
// nothing has not passed. Identical binaries are a comparison.
func compared(m *recording.Manifest, v *Verdict) bool {
	for _, r := range v.Rows {
		switch c := r.Change; {
		case r.Decision == Ungated:
		case c.Timed != nil && c.Timed.Pairs > 0, c.Exact != nil && c.Exact.Runs > 0, r.Decision == Identical:
			return true
		}
	}
	for _, b := range m.Benchmarks {
		if b.Channel == recording.Unchanged {
			return true
		}
	}
	return false
}

func headline(v *Verdict) Headline {
	switch {
	case v.Exit == ExitRegression:
		return SuiteRegressed
	case v.Exit == ExitNotMeasured:
		return SuiteNotMeasured
	case v.Counts[Regressed] > 0: // shown, though policy does not fail on it
		return SuiteRegressed
	case v.Counts[Improved] > 0:
		return SuiteImproved
	}
	return SuiteNoChange
}

// drift are the exact metrics of head that differ from the stored baseline by
// more than their unit tolerates.
func drift(ref *recording.BaselineRef) []recording.BaselineCheck {
	if ref == nil {
		return nil
	}
	var out []recording.BaselineCheck
	for _, c := range ref.Checks {
		if !compare.Tolerable(c.Unit, c.Stored, c.Head) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b recording.BaselineCheck) int {
		return cmp.Or(a.Key.Compare(b.Key), strings.Compare(a.Unit, b.Unit))
	})
	return out
}

// gatedDrift are the differences that fail the run: policy says `baseline: gate`,
// head is worse than what is stored, and the base side does not answer for it.
// Where this session measured the metric on both sides, the exact channel has
// decided what the change did, from values of one session; if head equals base
// the difference is older than the change, and blaming the change for it would
// be wrong. Two sides of the same source are no change: there the question is
// what that source does against the stored baseline.
func gatedDrift(m *recording.Manifest, drift []recording.BaselineCheck) []recording.BaselineCheck {
	var gated []recording.BaselineCheck
	for _, c := range drift {
		rule := m.Policy.For(c.Key.String(), c.Unit)
		if rule.Baseline != config.BaselineGate || rule.Ignore || rule.FailOn == config.FailOnNever {
			continue
		}
		sameSource := m.Base.Tree == m.Head.Tree
		if worse(m, c) && (c.Base == nil || sameSource) {
			gated = append(gated, c)
		}
	}
	return gated
}

// worse: head is on the wrong side of what is stored. A unit of unknown
// direction has none.
func worse(m *recording.Manifest, c recording.BaselineCheck) bool {
	switch compare.Better(m, recording.Test{Key: c.Key, Unit: c.Unit, Channel: recording.Exact}) {
	case "lower":
		return c.Head > c.Stored
	case "higher":
		return c.Head < c.Stored
	}
	return false
}

// seriousness orders rows.
var seriousness = map[Decision]int{Regressed: 0, Waived: 1, LayoutSensitive: 2, Inconclusive: 3, Improved: 4, Pass: 5, Identical: 6, Ungated: 7}

func compareRows(a, b Row) int {
	return cmp.Or(
		seriousness[a.Decision]-seriousness[b.Decision],
		a.Change.Test.Key.Compare(b.Change.Test.Key),
		strings.Compare(a.Change.Test.Unit, b.Change.Test.Unit))
}

func compareOutcomes(a, b recording.Outcome) int {
	return cmp.Or(a.Key.Compare(b.Key), strings.Compare(string(a.Kind), string(b.Kind)),
		strings.Compare(string(a.Side), string(b.Side)), strings.Compare(a.Detail, b.Detail))
}
