package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

const rowsHead = "| benchmark | unit | base | head | change | could see | verdict |\n|---|---|--:|--:|--:|--:|---|\n"

// tableRow is one line of a table. Cells that hold anything from the measured
// code went through cell.
func tableRow(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |" }

func (p page) row(row verdict.Row) string {
	c := row.Change
	base, head := sides(c)
	e := effectOf(c)
	decision := string(row.Decision)
	if row.Decision == verdict.Regressed {
		decision = "**regressed**"
		if !row.Gating {
			decision += " (not gating)"
		}
	}
	return tableRow(cell(p.benchmark(c.Test.Key)), cell(c.Test.Unit), base, head, e.text(), e.seenText(), decision)
}

// confirmed is the one table that is not folded.
func (p page) confirmed() section {
	return list(section{share: confirmedShare, head: rowsHead}, p.pick(false), p.row)
}

func (p page) allRows() section {
	return list(section{title: "all rows", head: rowsHead}, p.Verdict.Rows, p.row)
}

// counters are the exact metrics in one line.
func (p page) counters() section {
	n := map[compare.ExactState]int{}
	total := 0
	for _, row := range p.Verdict.Rows {
		if x := row.Change.Exact; x != nil && x.Runs > 0 {
			n[x.State]++
			total++
		}
	}
	if total == 0 {
		return section{}
	}
	text := fmt.Sprintf("Deterministic counters: %d worse, %d better, %d the same, %d that do not repeat",
		n[compare.Rise], n[compare.Fall], n[compare.Same]+n[compare.Tolerated], n[compare.Disagree])
	if open := n[compare.Unconfirmed]; open > 0 {
		text += fmt.Sprintf(", %d that differ and were not confirmed", open)
	}
	return section{share: countersShare, intro: []string{text + "."}}
}

// fixes say what to do about an outcome.
var fixes = map[recording.OutcomeKind]string{
	recording.Missing:   "restore it, or remove it from the suite on the base branch first",
	recording.Redefined: "merge the change of the benchmark on its own first",
	recording.Added:     "nothing: it is compared once it is on the base branch",
	recording.Skipped:   "nothing: it skips itself on both sides",
	recording.Crashed:   "make the benchmark pass on this side",
	recording.Hung:      "make the benchmark end, or give it longer with `--timeout`",
	recording.Garbage:   "let the benchmark print nothing between its results",
	recording.NoBuild:   "make this side build",
	recording.Void:      "run it again",
	recording.TooFew:    "give it more time or fewer benchmarks, or see the detail",
}

func (p page) outcomeRow(o recording.Outcome) string {
	fix := fixes[o.Kind]
	if fix == "" {
		fix = "see the detail"
	}
	return tableRow(cell(p.benchmark(o.Key)), cell(string(o.Side)), cell(string(o.Kind)), fix, eachLine(o.Detail, cell, "<br>"))
}

// notMeasurable is open where it is why there is no verdict.
func (p page) notMeasurable() section {
	s := list(section{
		title: "not measurable, and what would fix it", share: outcomesShare,
		open: p.Verdict.Headline == verdict.SuiteNotMeasured,
		head: "| benchmark | side | what | what would fix it | detail |\n|---|---|---|---|---|\n",
	}, p.outcomesOf(true, changedKinds...), p.outcomeRow)
	var open []verdict.Row
	for _, row := range p.Verdict.Rows {
		if row.Decision == verdict.Inconclusive {
			open = append(open, row)
		}
	}
	if len(open) > 0 {
		why := "They are at the cap of pairs: a quieter machine would decide them."
		if p.Manifest.OutOfTime {
			why = "The budget ended first: a longer one (`--budget`), or more shards, would decide them."
		}
		s.intro = append(s.intro, fmt.Sprintf("%s undecided: %s. %s", plural(len(open), "comparison"), p.undecided(open, code), why))
	}
	return s
}

// changedKinds are the outcomes of a suite that is not the same on both sides.
var changedKinds = []recording.OutcomeKind{recording.Added, recording.Skipped, recording.Missing, recording.Redefined}

func (p page) changedBenchmarks() section {
	return list(section{
		title: "added, removed and changed benchmarks", share: changedShare,
		open: p.Verdict.Headline == verdict.SuiteNotMeasured && len(p.outcomesOf(false, recording.Missing, recording.Redefined)) > 0,
		head: "| benchmark | side | what | what to do | detail |\n|---|---|---|---|---|\n",
	}, p.outcomesOf(false, changedKinds...), p.outcomeRow)
}

// drift is open where it is what fails.
func (p page) drift() section {
	ref := p.Manifest.Baseline
	if ref == nil {
		return section{}
	}
	s := section{title: "drift against the stored baseline", share: driftShare, open: len(p.Verdict.BaselineGated) > 0}
	switch {
	case ref.Unreachable:
		s.intro = []string{"Not compared: " + eachLine(ref.Why, code, "<br>")}
		return s
	case ref.Path == "":
		s.intro = []string{"There is none: " + eachLine(ref.Why, code, "<br>")}
		return s
	}
	class := "the same machine class"
	if !ref.SameClass {
		class = "another machine class, so that only what holds on every machine is compared"
	}
	drift := p.Verdict.BaselineDrift
	s.intro = []string{fmt.Sprintf("%s of %s, %s: %s compared, %d %s.", code(ref.Path), code(revision(recording.Revision{Commit: ref.Commit})),
		class, plural(len(ref.Checks), "exact metric"), len(drift), differ(len(drift)))}
	s.head = "| benchmark | unit | stored | head | |\n|---|---|--:|--:|---|\n"
	return list(s, drift, func(d recording.BaselineCheck) string {
		values := scale(d.Unit, d.Stored, d.Head)
		return tableRow(cell(p.benchmark(d.Key)), cell(d.Unit), values[0], values[1], p.driftNote(d))
	})
}

// anchor shows the tests whose drift is no noise of its sessions.
func (p page) anchor() section {
	if p.Manifest.Baseline == nil || p.Manifest.Baseline.Anchor == nil {
		return section{}
	}
	a := p.Manifest.Baseline.Anchor
	s := section{title: "drift since the anchor release", share: anchorShare,
		head: "| benchmark | unit | since the anchor | sessions | |\n|---|---|--:|--:|---|\n"}
	var drifted []recording.Drift
	for _, d := range a.Rows {
		if d.Lo > 1 || d.Hi < 1 {
			drifted = append(drifted, d)
		}
	}
	text := fmt.Sprintf("From %s to the newest recorded commit, without this change: %d of %s drifted.",
		code(revision(recording.Revision{Ref: a.Ref, Commit: a.Commit})), len(drifted), plural(len(a.Rows), "test"))
	if a.Broken > 0 {
		text += fmt.Sprintf(" Of %d more the chain of ratios is broken.", a.Broken)
	}
	s.intro = []string{text}
	return list(s, drifted, p.anchorRow)
}

func (p page) anchorRow(d recording.Drift) string {
	direction := ""
	switch better := compare.Better(&p.Manifest, recording.Test{Key: d.Key, Unit: d.Unit}); {
	case better == "":
	case (d.Ratio > 1) == (better == "lower"):
		direction = "worse"
	default:
		direction = "better"
	}
	change := fmt.Sprintf("%s [%s, %s]", percent(d.Ratio-1), percent(d.Lo-1), percent(d.Hi-1))
	return tableRow(cell(p.benchmark(d.Key)), cell(d.Unit), change, fmt.Sprint(d.Links), direction)
}

// waiverTable tells of every request what became of it.
func (p page) waiverTable() section {
	s := section{title: "waivers asked for", share: waiversShare,
		head: "| commit | benchmark | unit | at most | until | reason | what became of it |\n|---|---|---|--:|---|---|---|\n"}
	return list(s, p.requests(), func(w WaiverRequest) string {
		became := p.became(w.Waiver)
		switch {
		case w.Refused != "":
			became = "does not count: " + cell(w.Refused)
		case w.ApprovedBy != "":
			became += ", approved by " + cell(w.ApprovedBy)
		}
		return tableRow(cell(fmt.Sprintf("%.7s", w.Commit)), cell(w.Benchmark), cell(w.Unit),
			strings.TrimPrefix(percent(w.Percent/100), "+"), cell(w.Until), cell(w.Reason), became)
	})
}

// reproduce gives the commands that come to the same, by samples and by measuring.
func (p page) reproduce() section {
	m := p.Manifest
	if m.Base.Commit == "" {
		return section{}
	}
	replay := "the verdict from the recorded samples: `perfgate replay BUNDLE`"
	if link := p.runLink("this run"); link != "" {
		replay += ", with the bundle from the artifacts of " + link
	}
	word := func(s string) string { return shellWord(clip(s, nameRunesMax)) }
	command := "perfgate local --base " + word(m.Base.Commit)
	if m.Command != "local" && !m.Head.Dirty {
		command = fmt.Sprintf("perfgate check --base %s --head %s", word(m.Base.Commit), word(m.Head.Commit))
	}
	if m.Suite != "" {
		command += " --suite " + word(m.Suite)
	}
	if m.Bench != "" {
		command += " --bench " + word(m.Bench)
	}
	rows := []string{replay}
	if p.PullRequest != nil {
		rows = append(rows, "the commit that was measured: "+code("git fetch origin "+word(m.Head.Commit)))
	}
	rows = append(rows, "measured again: "+span(visible(command)))
	return list(section{title: "how to reproduce", share: reproduceShare}, rows, bullet)
}

// bullet is one line of a list.
func bullet(s string) string { return "- " + s }

// accept gives the trailer for each row that fails, and who must approve it.
func (p page) accept() section {
	var failing []verdict.Row
	for _, row := range p.Verdict.Rows {
		if row.Decision == verdict.Regressed && row.Gating {
			failing = append(failing, row)
		}
	}
	s := section{title: "how to accept", share: acceptShare}
	switch {
	case len(failing) == 0:
		return section{}
	case p.PullRequest != nil && !p.PullRequest.Accepting.Allow:
		s.intro = []string{"It cannot be: `perfgate.yml` of the base branch allows no waivers."}
		return s
	}
	until := ""
	if p.until() == "" {
		until = fmt.Sprintf(" and a date at most %d days ahead", config.WaiverDaysMax)
	}
	s.intro = []string{"Add the lines of what is worth its cost, with the reason" + until + ", to the last paragraph of the message of a commit of this change. " + p.approvers()}
	return list(s, failing, func(row verdict.Row) string {
		trailer, why := p.trailer(row)
		if why != "" {
			trailer = "cannot be accepted: " + why
		}
		return bullet(span(trailer))
	})
}

// approvers says whose approval makes a trailer count.
func (p page) approvers() string {
	const how = "with a review that approves exactly the commit at the head; a later push asks for it again."
	if p.PullRequest == nil || len(p.PullRequest.Accepting.By) == 0 {
		return "They count once a maintainer (role maintain or admin) accepts them " + how
	}
	const most = 10
	var names []string
	for i, login := range p.PullRequest.Accepting.By {
		if i == most {
			names = append(names, fmt.Sprintf("%d more of `perfgate.yml`", len(p.PullRequest.Accepting.By)-i))
			break
		}
		names = append(names, code(login))
	}
	return "They count once one of " + strings.Join(names, ", ") + " accepts them " + how
}

// trailer is the line that asks for a row to be accepted, or why there is none.
// Its bound is the upper end of the interval, rounded up: another run of the same
// change must not exceed it by chance.
func (p page) trailer(row verdict.Row) (line, why string) {
	slowdown, bound := math.NaN(), math.NaN()
	switch c := row.Change; {
	case c.Timed != nil:
		slowdown, bound = 100*math.Expm1(c.Timed.Delta), 100*math.Expm1(c.Timed.Hi)
	case c.Exact != nil:
		slowdown = 100 * math.Abs(c.Exact.Relative)
		bound = slowdown
	}
	key, unit := row.Change.Test.Key, row.Change.Test.Unit
	name := key.Short(p.Manifest.Module)
	if len(name)+len(unit) > trailerMax {
		return "", clean(name) + ": its name is too long for a trailer"
	}
	if !finite(slowdown) || slowdown > config.WaiverPercentMax {
		return "", fmt.Sprintf("%s %s: at most %d %% can be accepted", clean(name), clean(unit), config.WaiverPercentMax)
	}
	bound = max(1, math.Ceil(min(bound, config.WaiverPercentMax)))
	line, err := config.ProposeWaiver(name, unit, bound, p.until())
	if err != nil || visible(line) != line {
		return "", fmt.Sprintf("%s %s: a trailer cannot name it", clean(name), clean(unit))
	}
	return line, ""
}

// trailerMax bounds the names in a trailer, in bytes.
const trailerMax = 300

func (p page) until() string {
	if p.PullRequest == nil {
		return ""
	}
	return clean(p.PullRequest.AcceptUntil)
}

// method says where and how it was measured, and by what.
func (p page) method() section {
	m := p.Manifest
	if m.Base.Commit == "" {
		return section{}
	}
	s := section{title: "method and versions", share: methodShare}
	rows := []string{"bundle: sha256 " + code(p.Hash), "machine: " + code(p.machine())}
	if effort := p.effort(); effort != "" {
		rows = append(rows, "method: "+effort+"; base and head interleaved in pairs on one machine, with a chance of at most 1 % of any false alarm in the suite")
	}
	flags := ""
	if len(m.BuildFlags) > 0 {
		flags = ", built with " + code(strings.Join(m.BuildFlags, " "))
	}
	rows = append(rows, "cost: "+p.cost(), "versions: "+code(m.Tool)+", "+code(m.Toolchain)+flags)
	for _, warning := range m.Warnings {
		rows = append(rows, "warning: "+eachLine(warning, code, "<br>"))
	}
	for _, note := range m.Machine.Notes {
		rows = append(rows, "note: "+eachLine(note, code, "<br>"))
	}
	return list(s, rows, bullet)
}
