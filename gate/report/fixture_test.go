package report

import (
	"math"
	"strings"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/culprit"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

const module = "example.com/shop"

func key(pkg, name string) recording.Key {
	return recording.Key{Pkg: module + "/" + pkg, Name: "Benchmark" + name, Procs: 1}
}

// timed makes a row of the co-run channel: ratio is head/base - 1, width the
// half-width of its confidence interval.
func timed(k recording.Key, base, ratio, width float64, d verdict.Decision) verdict.Row {
	delta, half := math.Log1p(ratio), math.Log1p(width)
	return verdict.Row{
		Change: compare.Change{
			Test:   recording.Test{Key: k, Unit: "cpu-sec/op", Channel: recording.CoRun},
			Better: "lower",
			Base:   compare.Centre{Median: base, Lo: base * .98, Hi: base * 1.02, N: 24},
			Head:   compare.Centre{Median: base * (1 + ratio), Lo: base * (1 + ratio) * .98, Hi: base * (1 + ratio) * 1.02, N: 24},
			Timed: &compare.Timed{Pairs: 24, Delta: delta, Lo: delta - half, Hi: delta + half,
				Deviation: .02, PWorse: .5, PBetter: .5, EPass: 10},
		},
		Decision: d, Adjusted: .0001, Target: 5, Why: "24 pairs", Gating: true,
	}
}

func exact(k recording.Key, unit string, base, head float64, state compare.ExactState, d verdict.Decision) verdict.Row {
	relative := 0.0
	if base != head {
		relative = head/base - 1 // +Inf where base is 0
	}
	return verdict.Row{
		Change: compare.Change{
			Test:   recording.Test{Key: k, Unit: unit, Channel: recording.Exact},
			Better: "lower",
			Base:   compare.Centre{Median: base, Lo: base, Hi: base, N: 3},
			Head:   compare.Centre{Median: head, Lo: head, Hi: head, N: 3},
			Exact:  &compare.ExactResult{State: state, Base: base, Head: head, Runs: 3, Relative: relative},
		},
		Decision: d, Target: 5, Why: "exact", Gating: true,
	}
}

func identical(k recording.Key) verdict.Row {
	return verdict.Row{
		Change:   compare.Change{Test: recording.Test{Key: k, Unit: "cpu-sec/op", Channel: recording.Unchanged}, Better: "lower"},
		Decision: verdict.Identical, Target: 5, Why: "identical binary", Gating: true,
	}
}

// input is a bundle with these rows, and the verdict as package verdict would
// give it.
func input(headline verdict.Headline, exit int, rows ...verdict.Row) Input {
	counts := map[verdict.Decision]int{}
	for _, row := range rows {
		counts[row.Decision]++
	}
	return Input{
		Manifest: recording.Manifest{
			Schema: recording.Schema, Tool: "perfgate v0.1.0", Command: "local", Module: module, Suite: "smoke",
			Base:       recording.Revision{Ref: "main", Commit: strings.Repeat("1", 40), Tree: strings.Repeat("a", 40)},
			Head:       recording.Revision{Ref: "working tree", Commit: strings.Repeat("2", 40), Tree: strings.Repeat("b", 40), Dirty: true},
			BaseReason: "merge base with main", Toolchain: "go1.26.0",
			Machine: recording.Machine{ClassID: "c0ffee12", Class: map[string]string{
				"cores": "2", "cpu": "Example CPU 3 GHz", "goos": "linux", "goarch": "amd64", "go": "go1.26.0", "virtualization": "kvm"}},
			Policy:        config.Policy{},
			BudgetSeconds: 180, WallSeconds: 121.4, CPUSeconds: 201.7,
		},
		Verdict: verdict.Verdict{Headline: headline, Exit: exit, Rows: rows, Counts: counts},
		Path:    ".git/perfgate/1111111-2222222-1",
		Hash:    strings.Repeat("0123456789abcdef", 4),
	}
}

// example is one input with what it shows.
type example struct {
	name, prose string
	in          Input
}

func examples() []example {
	return []example{
		{"clean", "Nothing changed: every row is folded, and the comment has two lines.",
			input(verdict.SuiteNoChange, verdict.ExitPass,
				timed(key("cart", "Add"), 1.2e-6, .001, .012, verdict.Pass),
				exact(key("cart", "Add"), "allocs/op", 3, 3, compare.Same, verdict.Pass),
				identical(key("tax", "Rate")))},
		{"regressed", "One benchmark got slower in time and in allocations: two rows, the\nothers folded; the exact row needs no interval.",
			input(verdict.SuiteRegressed, verdict.ExitRegression,
				timed(key("cart", "Add/items=1000"), 1.2e-6, .139, .018, verdict.Regressed),
				exact(key("cart", "Add/items=1000"), "allocs/op", 3, 5, compare.Rise, verdict.Regressed),
				timed(key("cart", "Remove"), 4e-5, -.002, .01, verdict.Pass),
				identical(key("tax", "Rate")))},
		{"suspects", "Two slowdowns with their suspects: a function that the change touches, one\nthat only mentions what changed, and what is outside; and one that could not be looked for.", suspected()},
		{"improved", "One benchmark got faster, and one stopped allocating.",
			input(verdict.SuiteImproved, verdict.ExitPass,
				timed(key("cart", "Add"), .0031, -.213, .02, verdict.Improved),
				exact(key("cart", "Add"), "allocs/op", 3, 0, compare.Fall, verdict.Improved),
				timed(key("cart", "Remove"), 4e-5, -.002, .01, verdict.Pass))},
		{"mixed", "A throughput fell, which is worse although the change is negative; an\nallocation came from nothing; one improvement; a regression that policy\nlets pass; a unit without direction is only counted.", mixed()},
		{"not-measurable", "Every kind of outcome, with what happened and what to do. An added or\nskipped benchmark is told, but not counted as a failure.", notMeasurable()},
		{"inconclusive", "The budget ended early: one row is shown because policy requires it, the\nother is folded with the slowdown that was not excluded.", inconclusive()},
		{"aa-baseline", "Base and head are the same source: the verdict is \"unchanged\", the stored\nbaseline differs in one exact metric, and the next thing to try is named.", sameTree()},
		{"baseline-gate", "An exact metric is worse than the stored baseline's, and policy fails it; another differs since before this change.", gatedBaseline()},
		{"no-baseline", "There is no stored baseline, and the report says why.", noBaseline()},
		{"not-stored", "The bundle could not be written: the report says so, and offers no replay.", notStored()},
		{"hostile", "Names, refs and details that try to leave their place: escape sequences,\nbidi overrides, zero-width characters, line breaks, pipes with and without\na backslash, backticks, HTML, a marker, mentions, an invalid byte.", hostile()},
		{"one-core", "A machine with one core: the wall channel is missing, and the notes say so.", oneCore()},
	}
}

func suspected() Input {
	slower, wider := timed(key("cart", "Add"), 1.2e-6, .139, .018, verdict.Regressed), exact(key("cart", "Add"), "B/op", 96, 128, compare.Rise, verdict.Regressed)
	unread := timed(key("tax", "Rate"), 1e-3, .3, .02, verdict.Regressed)
	in := input(verdict.SuiteRegressed, verdict.ExitRegression, slower, wider, unread, timed(key("cart", "Remove"), 4e-5, -.002, .01, verdict.Pass))
	in.Findings = map[recording.Test]culprit.Finding{
		slower.Change.Test: {Kind: recording.CPUProfile, Suspects: []culprit.Suspect{
			{Function: module + "/cart.(*Cart).Add", File: "cart/cart.go", Line: 31, Share: .71, Confidence: .66,
				Why:   "it changed, and with what it calls has 71 % of the growth: 410 ns -> 528 ns per operation; it allocates 32.0 B more per operation",
				Hunks: []recording.Hunk{{BaseStart: 33, BaseLines: 1, HeadStart: 33, HeadLines: 2}}},
			{Outside: true, Share: .29, Confidence: .19, Why: "most of the growth is in sort.Slice: 90.0 ns -> 138 ns per operation"},
			{Function: module + ".limit", File: "shop.go", Line: 12, Share: .2, Confidence: .1, Why: "this const changed, and functions that mention it have 20 % of the growth: 1 ns -> 34.0 ns per operation"},
		}},
		wider.Change.Test: {Kind: recording.AllocProfile, Note: "what the change did to the source is not recorded"},
		unread.Change.Test: {Kind: recording.CPUProfile, Note: "too few samples to tell: 812 on the base side, and 23780 would show a slowdown of this size wherever it is",
			Suspects: []culprit.Suspect{{Function: "module example.org/rates", File: "go.mod", Outside: true, Share: 1, Confidence: .2, Why: "the dependency changed (v1.0.0 -> v1.1.0), and its code has 100 % of the growth"}}},
	}
	return in
}

func mixed() Input {
	throughput := timed(key("shop", "Checkout"), 81500, -.081, .02, verdict.Regressed)
	throughput.Change.Test.Unit, throughput.Change.Better = "orders/s", "higher"
	throughput.Change.Test.Channel = recording.Wall
	// Log ratios are oriented so that positive is worse.
	d := throughput.Change.Timed
	d.Delta, d.Lo, d.Hi = -d.Delta, -d.Hi, -d.Lo
	lenient := timed(key("cart", "Debug"), 1e-3, .3, .02, verdict.Regressed)
	lenient.Gating = false
	lenient.Change.Warnings = []string{"2 of 24 pairs do not report cpu-sec/op on both sides"}
	ungated := timed(key("cart", "Remove"), 17, .4, .3, verdict.Ungated)
	ungated.Change.Test.Unit, ungated.Change.Better, ungated.Gating = "widgets", "", false
	return input(verdict.SuiteRegressed, verdict.ExitRegression,
		throughput, lenient,
		exact(key("cart", "Add"), "allocs/op", 0, 2, compare.Rise, verdict.Regressed),
		timed(key("cart", "Load"), .0031, -.213, .02, verdict.Improved),
		ungated)
}

func notMeasurable() Input {
	in := input(verdict.SuiteNotMeasured, verdict.ExitNotMeasured,
		timed(key("cart", "Add"), 1.2e-6, .001, .012, verdict.Pass))
	outcome := func(kind recording.OutcomeKind, side recording.Side, name, detail string) recording.Outcome {
		k := key("cart", name)
		if name == "" {
			k.Name = ""
		}
		return recording.Outcome{Key: k, Kind: kind, Side: side, Detail: detail}
	}
	in.Verdict.Outcomes = []recording.Outcome{
		outcome(recording.Added, recording.Head, "New", ""),
		outcome(recording.Missing, recording.Head, "Gone", "it is on base but not on head; restore it, or remove it from the manifest on base first"),
		outcome(recording.Redefined, "", "Edited", "its source differs between the sides; land the new definition first"),
		outcome(recording.Crashed, recording.Head, "Panics", "panic: index out of range [3] with length 3\n\ncart.Add(...)\n\tcart/cart.go:31\n"+strings.Repeat("more\n", 20)),
		outcome(recording.Hung, recording.Head, "Hangs", "killed after 60 s"),
		outcome(recording.Garbage, recording.Base, "Chatty", "line 3: BenchmarkChatty 12 x ns/op: no number"),
		outcome(recording.NoBuild, recording.Base, "", "cart/cart.go:7: undefined: Item"),
		outcome(recording.TooFew, "", "Short", "cpu-sec/op: 2 pairs; nothing says why there are no more"),
		outcome(recording.Skipped, "", "Windows", ""),
		{Kind: recording.Void, Side: recording.Head, Detail: "the working tree changed while it was measured; run again and leave it alone"},
	}
	return in
}

func inconclusive() Input {
	required := timed(key("cart", "Add"), 1.2e-6, .02, .05, verdict.Inconclusive)
	required.Why = "the budget ended after 24 pairs; policy requires a decision"
	blind := timed(key("cart", "Blind"), 1e-3, 0, .1, verdict.Inconclusive)
	blind.Change.Timed.Lo, blind.Change.Timed.Hi = math.Inf(-1), math.Inf(1)
	in := input(verdict.SuiteNotMeasured, verdict.ExitNotMeasured,
		required, blind, timed(key("cart", "Load"), .0031, .01, .06, verdict.Inconclusive))
	in.Manifest.Policy.Rules = []config.Rule{{Match: `cart\.BenchmarkAdd`, Required: true}}
	in.Manifest.OutOfTime = true
	return in
}

func sameTree() Input {
	in := input(verdict.SuiteNoChange, verdict.ExitPass,
		timed(key("cart", "Add"), 1.2e-6, .001, .012, verdict.Pass),
		exact(key("cart", "Add"), "allocs/op", 3, 3, compare.Same, verdict.Pass))
	in.Manifest.AA = true
	in.Manifest.Head = in.Manifest.Base
	in.Manifest.Head.Ref = "working tree"
	in.Manifest.Warnings = []string{"perfgate.yml is new on the head side: it counts once it is on the base side"}
	drift := recording.BaselineCheck{Key: key("cart", "Add"), Unit: "allocs/op", Stored: 2, Head: 3}
	same := recording.BaselineCheck{Key: key("cart", "Add"), Unit: "msgs/op", Stored: 4, Head: 4}
	in.Manifest.Baseline = &recording.BaselineRef{
		Path: "baselines/smoke/0badcafe", Commit: strings.Repeat("3", 40), ClassID: "0badcafe",
		Checks: []recording.BaselineCheck{drift, same},
	}
	in.Verdict.BaselineDrift = []recording.BaselineCheck{drift}
	return in
}

func gatedBaseline() Input {
	in := input(verdict.SuiteRegressed, verdict.ExitRegression, timed(key("cart", "Add"), 1.2e-6, .001, .012, verdict.Pass))
	seven := 7.0
	grown := recording.BaselineCheck{Key: key("cart", "Add"), Unit: "allocs/op", Stored: 2, Head: 3}
	older := recording.BaselineCheck{Key: key("cart", "Add"), Unit: "msgs/op", Stored: 4, Head: 7, Base: &seven}
	in.Manifest.Base.Tree, in.Manifest.Head.Tree = "a", "b"
	in.Manifest.Baseline = &recording.BaselineRef{
		Path: "s3://bucket/shop/smoke/0badcafe", Commit: strings.Repeat("3", 40), ClassID: "0badcafe", SameClass: true,
		Checks: []recording.BaselineCheck{grown, older},
	}
	in.Verdict.BaselineDrift = []recording.BaselineCheck{grown, older}
	in.Verdict.BaselineGated = []recording.BaselineCheck{grown}
	return in
}

func noBaseline() Input {
	in := input(verdict.SuiteNoChange, verdict.ExitPass, timed(key("cart", "Add"), 1.2e-6, .001, .012, verdict.Pass))
	in.Manifest.Baseline = &recording.BaselineRef{Why: "baselines/smoke holds none; record one with `perfgate baseline record`"}
	return in
}

func notStored() Input {
	in := input(verdict.SuiteNotMeasured, verdict.ExitNotMeasured, timed(key("cart", "Add"), 1.2e-6, .001, .012, verdict.Pass))
	in.Hash = ""
	return in
}

// nasty are pieces that try to leave the place they are shown in.
var nasty = []string{
	"\x1b[31mred\x1b[0m", "\u202etxt.exe", "zero\u200bwidth\ufeff", "two\nlines\r", "a|b", `c\|d`, `e\\|f`, "`tick`", "``two",
	"</details><img src=x onerror=alert(1)>", "<!-- perfgate -->", "@team", "#1", "javascript:alert(1)", "\xff", "[x](http://y)", "tail\\",
}

func hostile() Input {
	var rows []verdict.Row
	for _, piece := range nasty {
		rows = append(rows, timed(key("cart", piece), 1e-6, .139, .018, verdict.Regressed))
	}
	in := input(verdict.SuiteRegressed, verdict.ExitRegression, rows...)
	all := strings.Join(nasty, " ")
	in.Manifest.Suite, in.Manifest.Base.Ref, in.Manifest.BaseReason = all, all, all
	in.Manifest.Tool, in.Manifest.Toolchain = all, all
	in.Manifest.Machine.Class["cpu"], in.Manifest.Machine.Notes = all, []string{all}
	in.Manifest.Warnings = []string{all}
	in.Manifest.Baseline = &recording.BaselineRef{Path: all, Commit: all, Why: all}
	in.Verdict.Outcomes = []recording.Outcome{{Key: key("cart", all), Kind: recording.Crashed, Detail: all}}
	in.Verdict.BaselineDrift = []recording.BaselineCheck{{Key: key("cart", all), Unit: all, Stored: 1, Head: 2}}
	in.Findings = map[recording.Test]culprit.Finding{rows[0].Change.Test: {Note: all, Suspects: []culprit.Suspect{
		{Function: all, File: all, Line: 7, Why: all, Share: .5, Confidence: .5}}}}
	in.Path = "bundles of `me`/it's | here"
	return in
}

func oneCore() Input {
	in := input(verdict.SuiteNoChange, verdict.ExitPass,
		timed(key("cart", "Add"), 1.2e-6, .001, .012, verdict.Pass),
		exact(key("cart", "Add"), "allocs/op", 3, 3, compare.Same, verdict.Pass))
	in.Manifest.Machine.Class["cores"] = "1"
	in.Manifest.Machine.Notes = []string{"one core: benchmarks that need parallelism are not timed by the wall"}
	return in
}
