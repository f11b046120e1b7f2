// Package report shows a verdict: on a terminal, as JSON, and as the comment
// on a pull request.
//
// The one opinion it holds: it is pure. The same bundle gives the same bytes,
// wherever and whenever it is rendered, so a replayed report can be compared
// with the printed one by cmp. Names, refs and details come from the code that
// was measured, so they are cleaned before they reach a terminal or a page.
//
// It decides nothing (package verdict does) and reads no file.
package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/culprit"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// Input is all that a report shows.
type Input struct {
	Manifest recording.Manifest
	Verdict  verdict.Verdict
	// Findings say what is likely to have caused a slowdown, where that was looked for.
	Findings map[recording.Test]culprit.Finding
	// Path is where the bundle is, as a person would type it, and Hash its
	// identity (recording.Hash), empty where it could not be stored.
	Path, Hash string
	Options    Options
	// PullRequest is nil where the report is of none.
	PullRequest *PullRequestContext
}

// Options are the reader's wishes.
type Options struct {
	All   bool // every row, not only those that matter
	Color bool // terminal: colour the decisions
	Width int  // terminal: shorten benchmark names to fit; 0 for no limit
}

// decisionOrder is the order of counts in every headline.
var decisionOrder = []verdict.Decision{
	verdict.Regressed, verdict.Waived, verdict.Improved, verdict.Pass, verdict.Inconclusive, verdict.LayoutSensitive, verdict.Identical, verdict.Ungated,
}

// countWords are the decisions as they read behind a number.
var countWords = map[verdict.Decision]string{
	verdict.Regressed:    "regressed",
	verdict.Improved:     "improved",
	verdict.Pass:         "pass",
	verdict.Inconclusive: "inconclusive",

	verdict.Waived:          "waived",
	verdict.LayoutSensitive: "layout-sensitive",
	verdict.Identical:       "unchanged",
	verdict.Ungated:         "not gated",
}

// Words are the verdict on the whole suite in the words of the last line. "No
// change" is claimed only where every row was decided.
func (in Input) Words() string {
	switch noChange := in.Verdict.Headline == verdict.SuiteNoChange; {
	case in.incomplete() && in.Verdict.Headline == verdict.SuiteRegressed:
		return "regressed, and incomplete"
	case in.incomplete():
		return "incomplete"
	case noChange && in.Verdict.Counts[verdict.Waived] > 0:
		return "slower, as accepted"
	case noChange && in.Manifest.AA:
		return "unchanged"
	case noChange && in.Verdict.Counts[verdict.Inconclusive]+in.Verdict.Counts[verdict.LayoutSensitive] > 0:
		return "no change found"
	}
	return string(in.Verdict.Headline)
}

// LastLine is the last line on standard output of every command that decides:
// `go run` hides the exit code, so it is stated.
func (in Input) LastLine() string {
	return fmt.Sprintf("verdict: %s (exit %d)", in.Words(), in.Verdict.Exit)
}

// gates: the difference from the stored baseline fails the run.
func (in Input) gates(d recording.BaselineCheck) bool {
	return slices.ContainsFunc(in.Verdict.BaselineGated, func(g recording.BaselineCheck) bool { return g.Key == d.Key && g.Unit == d.Unit })
}

// counts are the rows by decision, in words.
func (in Input) counts() string {
	var parts []string
	if n := len(in.Verdict.BaselineGated); n > 0 {
		parts = append(parts, fmt.Sprintf("%d worse than the stored baseline", n))
	}
	for _, d := range decisionOrder {
		if n := in.Verdict.Counts[d]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, countWords[d]))
		}
	}
	return strings.Join(parts, ", ")
}

// headline is the first line: the verdict with its counts.
func (in Input) headline() string { return in.Words() + ": " + in.tally() }

// tally counts the rows, and what has none.
func (in Input) tally() string {
	parts := []string{}
	if in.incomplete() {
		parts = append(parts, plural(len(in.PullRequest.Incomplete), "part")+" missing")
	}
	if c := in.counts(); c != "" {
		parts = append(parts, c)
	}
	if n := len(in.notMeasured()); n > 0 {
		parts = append(parts, fmt.Sprintf("%d not measured", n))
	}
	if len(parts) == 0 {
		parts = append(parts, "no benchmark")
	}
	return strings.Join(parts, ", ")
}

// notMeasured are the outcomes that keep a benchmark from being compared
// against the will of its owner; an added or skipped one is no failure.
func (in Input) notMeasured() []recording.Outcome {
	var failed []recording.Outcome
	for _, o := range in.Verdict.Outcomes {
		if o.Kind != recording.Added && o.Kind != recording.Skipped {
			failed = append(failed, o)
		}
	}
	return failed
}

// matters: what changed, and what was asked for and could not be decided.
func (in Input) matters(row verdict.Row) bool {
	switch row.Decision {
	case verdict.Regressed, verdict.Improved, verdict.Waived, verdict.LayoutSensitive:
		return true
	case verdict.Inconclusive:
		return in.Manifest.Policy.For(row.Change.Test.Key.String(), row.Change.Test.Unit).Required
	}
	return false
}

// pick are the rows to show: those that matter, or all.
func (in Input) pick(all bool) []verdict.Row {
	shown, _ := in.split(all)
	return shown
}

// split parts the rows into those to show and those to fold.
func (in Input) split(all bool) (shown, folded []verdict.Row) {
	for _, row := range in.Verdict.Rows {
		if all || in.matters(row) {
			shown = append(shown, row)
		} else {
			folded = append(folded, row)
		}
	}
	return shown, folded
}

// benchmark is a key as it is shown.
func (in Input) benchmark(k recording.Key) string {
	if k.Pkg == "" {
		return "the whole run"
	}
	return k.Short(in.Manifest.Module)
}

// effect is a change in the direction in which the unit is read: +5% of tx/s is
// more transactions. Ratios are head/base - 1.
type effect struct {
	ratio, lo, hi float64 // NaN where unknown
	// seen is the smallest change that would have moved the interval off zero:
	// half its width. NaN where no interval exists.
	seen  float64
	exact bool
}

func effectOf(c compare.Change) effect {
	none := effect{ratio: math.NaN(), lo: math.NaN(), hi: math.NaN(), seen: math.NaN()}
	switch {
	case c.Timed != nil && c.Timed.Pairs > 0:
		d, lo, hi := c.Timed.Delta, c.Timed.Lo, c.Timed.Hi
		if c.Better == "higher" {
			// Log ratios are oriented so that positive is worse.
			d, lo, hi = -d, -hi, -lo
		}
		return effect{ratio: math.Expm1(d), lo: math.Expm1(lo), hi: math.Expm1(hi), seen: math.Expm1((hi - lo) / 2)}
	case c.Exact != nil:
		none.exact = c.Exact.State != compare.Disagree && c.Exact.Runs > 0
		if none.exact {
			none.ratio = c.Exact.Relative
		}
	}
	return none
}

// text is the change with its confidence interval.
func (e effect) text() string {
	if e.exact || !finite(e.lo, e.hi) {
		return percent(e.ratio)
	}
	return fmt.Sprintf("%s [%s, %s]", percent(e.ratio), percent(e.lo), percent(e.hi))
}

// seenText is the smallest change that the row could have seen.
func (e effect) seenText() string {
	switch {
	case e.exact:
		return "exact"
	case finite(e.seen) && e.seen >= 1e4:
		return fmt.Sprintf("±%.1e%%", 100*e.seen)
	case finite(e.seen):
		return fmt.Sprintf("±%.1f%%", 100*e.seen)
	}
	return "?"
}

func percent(ratio float64) string {
	switch {
	case math.IsNaN(ratio):
		return "?"
	case math.IsInf(ratio, 1):
		return "from 0"
	case ratio == 0:
		return "0%"
	case math.Abs(ratio) < 0.0005 || math.Abs(ratio) >= 0.1 && math.Abs(ratio) < 10:
		return fmt.Sprintf("%+.1f%%", 100*ratio)
	case math.Abs(ratio) >= 1e4: // as many digits as a number has would fill a line
		return fmt.Sprintf("%+.1e%%", 100*ratio)
	case math.Abs(ratio) >= 10:
		return fmt.Sprintf("%+.0f%%", 100*ratio)
	}
	return fmt.Sprintf("%+.2f%%", 100*ratio)
}

func finite(values ...float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// sides are the base and head values with one prefix and precision.
func sides(c compare.Change) (base, head string) {
	b, h := c.Base.Median, c.Head.Median
	if c.Exact != nil {
		b, h = c.Exact.Base, c.Exact.Head
	}
	if !finite(b, h) || c.Exact == nil && c.Base.N == 0 && c.Head.N == 0 {
		return "-", "-"
	}
	texts := scale(c.Test.Unit, b, h)
	return texts[0], texts[1]
}

// numberMax bounds the digits of a value: beyond the prefixes of units there can
// be 300.
const numberMax = 16

// scale leaves small whole numbers (3 allocs/op) as they are: 3.000 suggests a
// precision that nobody asked about.
func scale(unit string, values ...float64) []string {
	texts := compare.Scale(unit, values...)
	for i, text := range texts {
		if len(text) > numberMax {
			texts[i] = fmt.Sprintf("%.3e", values[i])
		}
	}
	for _, v := range values {
		if v != math.Trunc(v) || math.Abs(v) >= 1000 {
			return texts
		}
	}
	for i, v := range values {
		texts[i] = fmt.Sprintf("%.0f", v)
	}
	return texts
}

// undecided says of inconclusive rows what they leave open: the largest slowdown
// that one of them did not exclude. Quote puts a name where it is shown.
func (in Input) undecided(rows []verdict.Row, quote func(string) string) string {
	var worst *verdict.Row
	blind := 0
	for i, row := range rows {
		t := row.Change.Timed
		switch {
		case t == nil || !finite(t.Hi):
			blind++
		case worst == nil || t.Hi > worst.Change.Timed.Hi:
			worst = &rows[i]
		}
	}
	var parts []string
	if worst != nil {
		slowdown := strings.TrimPrefix(percent(math.Expm1(worst.Change.Timed.Hi)), "+")
		parts = append(parts, fmt.Sprintf("a slowdown of %s or less is not excluded, by %s", slowdown, quote(in.benchmark(worst.Change.Test.Key))))
	}
	if blind > 0 {
		parts = append(parts, fmt.Sprintf("%d without an interval", blind))
	}
	return strings.Join(parts, "; ")
}

// effort is the pairs behind the verdict, by channel in the order of channels.
var channels = []recording.Channel{recording.CoRun, recording.Wall, recording.Exact, recording.Unchanged}

func (in Input) effort() string {
	type place struct {
		key     recording.Key
		channel recording.Channel
	}
	tests, pairs := map[recording.Channel]int{}, map[place]int{}
	for _, row := range in.Verdict.Rows {
		test := row.Change.Test
		tests[test.Channel]++
		if t := row.Change.Timed; t != nil {
			// The units of a benchmark share its runs.
			pairs[place{test.Key, test.Channel}] = max(pairs[place{test.Key, test.Channel}], t.Pairs)
		}
	}
	var parts []string
	for _, ch := range channels {
		if tests[ch] == 0 {
			continue
		}
		total := 0
		// maprange: a sum does not depend on the order
		for at, n := range pairs {
			if at.channel == ch {
				total += n
			}
		}
		part := fmt.Sprintf("%s %s", plural(tests[ch], "test"), channelWords[ch])
		if total > 0 {
			part += fmt.Sprintf(" (%s)", plural(total, "pair"))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

var channelWords = map[recording.Channel]string{
	recording.CoRun:     "by co-run",
	recording.Wall:      "by wall time",
	recording.Exact:     "exact",
	recording.Unchanged: "unchanged",
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// revision is a side in words: "main 1234567", "1234567 + uncommitted changes".
func revision(r recording.Revision) string {
	s := clean(r.Commit)
	if len(s) == 40 {
		s = s[:7]
	}
	if r.Ref != "" && r.Ref != r.Commit {
		s = clean(r.Ref) + " " + s
	}
	if r.Dirty {
		s += " + uncommitted changes"
	}
	return s
}

// machine is where the bundle was measured, in one line.
func (in Input) machine() string {
	class := in.Manifest.Machine.Class
	var parts []string
	for _, key := range []string{"cores", "cpu", "goos", "goarch", "go", "virtualization"} {
		value := clean(class[key])
		switch {
		case value == "":
		case key == "cores" && value == "1":
			parts = append(parts, "1 core")
		case key == "cores":
			parts = append(parts, value+" cores")
		default:
			parts = append(parts, value)
		}
	}
	return fmt.Sprintf("%s (class %s)", strings.Join(parts, ", "), clean(in.Manifest.Machine.ClassID))
}

// cost is what building and measuring both sides took.
func (in Input) cost() string {
	m := in.Manifest
	unit := "CPU-seconds"
	if seconds(m.CPUSeconds) == "1" {
		unit = "CPU-second"
	}
	s := fmt.Sprintf("%s %s, %s s", seconds(m.CPUSeconds), unit, seconds(m.WallSeconds))
	if m.BudgetSeconds > 0 {
		s += fmt.Sprintf(" of a budget of %s s", seconds(m.BudgetSeconds))
	}
	if m.OutOfTime {
		s += "; the budget ended before everything was decided"
	}
	return s
}

func seconds(v float64) string {
	if math.Abs(v) >= 1e9 {
		return fmt.Sprintf("%.1e", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// waivers lists what was asked to be accepted, and what became of each request.
func (in Input) waivers() []string {
	var out []string
	for _, w := range in.Manifest.Waivers {
		text := fmt.Sprintf("%.7s: ", w.Commit)
		if w.Benchmark != "" {
			text += fmt.Sprintf("%s %s <=%g%% until %s, ", w.Benchmark, w.Unit, w.Percent, w.Until)
		}
		became := in.became(w)
		if w.Refused != "" {
			became += ": " + w.Refused
		}
		out = append(out, text+w.Reason+" ("+became+")")
	}
	return out
}

// became is what a waiver did.
func (in Input) became(w config.Waiver) string {
	if w.Refused != "" {
		return "refused"
	}
	for _, row := range in.Verdict.Rows {
		test := row.Change.Test
		if !w.Covers(test.Key.String(), test.Key.Short(in.Manifest.Module), test.Unit) {
			continue
		}
		switch row.Decision {
		case verdict.Waived:
			return "accepted"
		case verdict.Regressed:
			return "not accepted: the slowdown is larger"
		}
	}
	return "nothing to accept"
}

// shards tells a part of a suite, or what was merged from parts, from a run of
// the whole.
func (in Input) shards() string {
	switch m := in.Manifest; {
	case m.Shard != nil:
		return fmt.Sprintf("%d of %d, a part of the suite: `perfgate merge` decides on all", m.Shard.Index, m.Shard.Count)
	case len(m.Parts) > 0:
		return fmt.Sprintf("merged from %s", plural(len(m.Parts), "shard"))
	}
	return ""
}

func shortHash(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}
