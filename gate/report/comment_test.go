package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
	"github.com/perfgate/perfgate/internal/golden"
)

const runURL = "https://github.com/example/shop/actions/runs/4242"

var firstOfMarch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// inPullRequest is an input as the commenting job has it.
func inPullRequest(in Input) Input {
	in.Manifest.Command = "ci"
	in.Manifest.Base.Ref = "main"
	in.Manifest.Head = recording.Revision{Ref: "refs/pull/7/merge", Commit: strings.Repeat("2", 40), Tree: strings.Repeat("b", 40)}
	in.PullRequest = &PullRequestContext{
		RunURL: runURL, Accepting: config.Waivers{Allow: true},
		AcceptUntil: "2026-03-31",
	}
	return in
}

func exampleNamed(name string) Input {
	for _, ex := range examples() {
		if ex.name == name {
			return inPullRequest(ex.in)
		}
	}
	panic("no example " + name)
}

// comments are what a pull request can meet.
func comments() []example {
	mixed := exampleNamed("mixed")
	mixed.Verdict.Outcomes = exampleNamed("not-measurable").Verdict.Outcomes[:3]
	mixed.Manifest.Baseline = exampleNamed("baseline-gate").Manifest.Baseline
	mixed.Verdict.BaselineDrift = exampleNamed("baseline-gate").Verdict.BaselineDrift
	mixed.Manifest.Baseline.Anchor = anchored()
	mixed.Manifest.Units = map[string]recording.Unit{"cpu-sec/op": {Better: "lower"}}
	mixed.PullRequest.Accepting.By = []string{"ada", "grace"}
	return []example{
		{"clean", "Nothing was confirmed: two lines.", exampleNamed("clean")},
		{"regressed", "Slower in time and in allocations: what to do, the trailers that ask for it\nto be accepted, and who must approve.", exampleNamed("regressed")},
		{"improved", "One benchmark got faster, and one stopped allocating.", exampleNamed("improved")},
		{"mixed", "Everything at once: regressions of which one does not gate and one came from\nnothing, an improvement, a missing and a redefined benchmark, drift against the\nstored baseline and since the anchor, and named people who may accept.", mixed},
		{"not-measurable", "Every kind of outcome, with what would fix it.", exampleNamed("not-measurable")},
		{"incomplete", "Two of four shards are missing. There is no bundle of the whole, and no\nverdict.", incomplete()},
		{"waived", "Two slowdowns that were accepted, and a request that cannot be read.", waived()},
		{"waiver-pending", "One slowdown was accepted; the request for the other waits for an approval.", pending()},
		{"fork", "A change from a fork: its verdict is advisory, which the first lines say.", fromFork()},
		{"suite-changed", "A change that touches policy and baselines; nothing else was confirmed.", suiteChanged()},
		{"too-long", "3,000 regressions with names of 150 emoji: whole rows are dropped, and\ncounted. Rows in excess of two are left out of this file.", tooLong()},
		{"hostile", "Names and details that try to leave their place.", inPullRequest(hostile())},
	}
}

func anchored() *recording.AnchorDrift {
	return &recording.AnchorDrift{Ref: "v1.4.0", Commit: strings.Repeat("4", 40), Broken: 1, Rows: []recording.Drift{
		{Key: key("cart", "Add"), Unit: "cpu-sec/op", Links: 7, Ratio: 1.08, Lo: 1.05, Hi: 1.11},
		{Key: key("cart", "Load"), Unit: "cpu-sec/op", Links: 7, Ratio: .9, Lo: .88, Hi: .92},
		{Key: key("cart", "Remove"), Unit: "cpu-sec/op", Links: 7, Ratio: 1.01, Lo: .99, Hi: 1.03},
	}}
}

func incomplete() Input {
	in := inPullRequest(Input{Verdict: verdict.Verdict{Headline: verdict.SuiteNotMeasured, Exit: verdict.ExitNotMeasured}})
	in.Manifest = recording.Manifest{}
	in.PullRequest.Incomplete = []string{
		"shard 2 of 4: head does not compile:\ncart/cart.go:7:2: undefined: Item\ncart/cart.go:9:2: undefined: Item",
		"shard 3 of 4: it left no artifact; the job was cancelled or timed out",
	}
	return in
}

// waived are two requests that count, and one that cannot be read.
func waived() Input {
	in := exampleNamed("regressed")
	in.Verdict.Headline, in.Verdict.Exit = verdict.SuiteNoChange, verdict.ExitPass
	in.Verdict.Rows[0].Decision, in.Verdict.Rows[1].Decision = verdict.Waived, verdict.Waived
	in.Verdict.Counts = map[verdict.Decision]int{verdict.Waived: 2, verdict.Pass: 1, verdict.Identical: 1}
	in.PullRequest.Waivers = []WaiverRequest{
		{Waiver: request("cart.Add/items=1000 cpu-sec/op <=20% until=2026-04-01 — the new check is worth it"), ApprovedBy: "ada"},
		{Waiver: request("cart.Add/items=1000 allocs/op <=70% until=2026-04-01 — needed by the check"), ApprovedBy: "ada"},
		{Waiver: request("everything is fine")},
	}
	return in
}

// pending has a request that nobody has approved.
func pending() Input {
	in := waived()
	in.Verdict.Headline, in.Verdict.Exit = verdict.SuiteRegressed, verdict.ExitRegression
	in.Verdict.Rows[1].Decision = verdict.Regressed
	in.Verdict.Counts = map[verdict.Decision]int{verdict.Regressed: 1, verdict.Waived: 1, verdict.Pass: 1, verdict.Identical: 1}
	in.PullRequest.Waivers = in.PullRequest.Waivers[:2]
	in.PullRequest.Waivers[1].ApprovedBy = ""
	in.PullRequest.Waivers[1].Refused = "it waits for a maintainer's approval of this head"
	return in
}

func request(trailer string) config.Waiver {
	return config.ParseWaiver(trailer, strings.Repeat("5", 40), firstOfMarch)
}

func fromFork() Input {
	in := exampleNamed("clean")
	in.PullRequest.Fork = true
	return in
}

func suiteChanged() Input {
	in := exampleNamed("clean")
	in.PullRequest.SuiteChanged = []string{"perfgate.yml", "baselines/smoke/c0ffee12/exact.txt", "gate/verdict/decide.go"}
	return in
}

func tooLong() Input {
	var rows []verdict.Row
	for i := range 3000 {
		rows = append(rows, timed(key("cart", fmt.Sprintf("%s/%d", strings.Repeat("\U0001F600", 150), i)), 1e-6, .139, .018, verdict.Regressed))
	}
	in := inPullRequest(input(verdict.SuiteRegressed, verdict.ExitRegression, rows...))
	for range 1000 {
		in.Verdict.Outcomes = append(in.Verdict.Outcomes, recording.Outcome{
			Key: key("cart", strings.Repeat("\U0001F600", 150)), Kind: recording.Crashed, Detail: strings.Repeat("x", 1000)})
		in.PullRequest.SuiteChanged = append(in.PullRequest.SuiteChanged, "baselines/"+strings.Repeat("\U0001F600", 150))
	}
	return in
}

func summaryText(t *testing.T, in Input) string {
	return string(render(t, func(w *bytes.Buffer) error { return Summary(w, in) }))
}

func TestEveryCommentShowsWhatAPersonHasRead(t *testing.T) {
	for _, ex := range comments() {
		text := markdownText(t, ex.in)
		if ex.name == "too-long" {
			text = shortened(text)
		}
		golden.Check(t, "comment/"+ex.name, ex.prose, []byte(text))
		checkPage(t, ex.name, ex.prose, text)
	}
	golden.Check(t, "comment/refused", "What the measuring job left cannot be believed.", []byte(RefusedMarkdown("bundle/manifest.json: unknown field \"x`y\"\nsecond line")))
	golden.Check(t, "comment/summary", "The job summary of a run that found nothing: every section.", []byte(summaryText(t, exampleNamed("clean"))))
}

// shortened leaves out the rows of a table or list after the second.
func shortened(text string) string {
	var out []string
	rows := 0
	for _, line := range strings.Split(text, "\n") {
		row := strings.HasPrefix(line, "| `") || strings.HasPrefix(line, "- `")
		if rows++; !row {
			rows = 0
		}
		if rows <= 2 {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// checkPage keeps a rendered page of each comment for the documentation.
func checkPage(t *testing.T, name, prose, markdown string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "evidence", "comment", name+".html")
	page := fmt.Sprintf(pageFrame, name, strings.ReplaceAll(prose, "\n", " "), rendered(t, markdown))
	if golden.Updating() {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(page), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(stored) != page {
		t.Errorf("%s is not what the comment is now (run the test with -update)", path)
	}
}

// pageFrame needs nothing but itself.
const pageFrame = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>comment: %s</title>
<style>
:root{color-scheme:light dark}
body{font:14px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;display:block;overflow-x:auto}
th,td{border:1px solid #8884;padding:4px 10px;vertical-align:top}
code{font:12px ui-monospace,monospace;background:#8882;padding:1px 4px;border-radius:4px;overflow-wrap:anywhere}
details{margin:.6em 0}summary{cursor:pointer}
body>p:first-child{color:#888}
</style></head><body>
<p>%s</p>
<hr>
%s</body></html>
`

func TestANameOfTenMegabytesIsCut(t *testing.T) {
	in := everywhere(strings.Repeat("n`|\n", 10<<20/4))
	if n := utf16Units(markdownText(t, in)); n > commentMax {
		t.Errorf("comment of %d characters", n)
	}
	if n := len(summaryText(t, in)); n > summaryMax {
		t.Errorf("summary of %d bytes", n)
	}
	for _, a := range Annotations(in) {
		if len(a.Message)+len(a.Path) > 10_000 {
			t.Errorf("annotation of %d bytes", len(a.Message))
		}
	}
}

// Names of all lengths move the limit over the surrogate pairs of an emoji.
func TestCommentStaysBelowTheLimitAndCountsWhatItDrops(t *testing.T) {
	dropped := regexp.MustCompile(`and \d+ rows more`)
	for _, piece := range []string{"\U0001F600", "`", "|", "é", "字", "x"} {
		for length := 148; length <= 150; length++ {
			in := tooLong()
			for i := range in.Verdict.Rows {
				in.Verdict.Rows[i].Change.Test.Key.Name = "Benchmark" + strings.Repeat(piece, length)
			}
			in.PullRequest.Incomplete = []string{strings.Repeat(strings.Repeat(piece, 300)+"\n", 30)}
			text := markdownText(t, in)
			if n := utf16Units(text); n > commentMax || n < commentMax/2 {
				t.Fatalf("%q of %d: comment of %d characters", piece, length, n)
			}
			if !dropped.MatchString(text) || strings.ContainsRune(text, '\uFFFD') && piece != "|" {
				t.Fatalf("%q of %d: no count of what was dropped, or a character was cut", piece, length)
			}
			if strings.Count(text, "<details") != strings.Count(text, "</details>") {
				t.Fatalf("%q of %d: a folded section stays open", piece, length)
			}
		}
	}
	if n := len(summaryText(t, tooLong())); n > summaryMax || n < summaryMax/2 {
		t.Errorf("summary of %d bytes", n)
	}
}

func TestSharesOfTheSectionsFitIntoAComment(t *testing.T) {
	sum := headingShare + missingShare + confirmedShare + suspectsShare + countersShare + outcomesShare + changedShare + driftShare + anchorShare +
		waiversShare + reproduceShare + acceptShare + methodShare
	if sum > commentMax {
		t.Errorf("the shares sum up to %d of %d", sum, commentMax)
	}
	in := everywhere(strings.Repeat("`", 5000))
	in.PullRequest.SuiteChanged = append(in.PullRequest.SuiteChanged, in.PullRequest.SuiteChanged...)
	p := page{Input: in, size: utf16Units, max: commentMax, scale: 1}
	if n := p.size(p.heading()); n > headingShare {
		t.Errorf("a heading of %d, of which the shares allow %d", n, headingShare)
	}
}

func TestNumbersOfAnySizeStayShort(t *testing.T) {
	in := everywhere("x")
	for i := range in.Verdict.Rows {
		c := &in.Verdict.Rows[i].Change
		c.Base.Median, c.Head.Median = 1e-300, 1e300
		if c.Timed != nil {
			c.Timed.Delta, c.Timed.Lo, c.Timed.Hi = 700, 690, 709
		} else {
			c.Exact.Base, c.Exact.Head, c.Exact.Relative = 1, 1.7e308, 1.7e308
		}
	}
	in.Manifest.CPUSeconds, in.Manifest.WallSeconds, in.Manifest.BudgetSeconds = 1e308, 1e308, 1e308
	in.Manifest.Baseline.Anchor.Rows[0].Ratio, in.Manifest.Baseline.Anchor.Rows[0].Hi = 1e308, 1e308
	in.PullRequest.Waivers[0].Percent = 1e308
	if long := regexp.MustCompile(`\d{20,}`).FindString(markdownText(t, in)); long != "" {
		t.Errorf("a number of %d digits", len(long))
	}
}

// Every trailer that is proposed is read by config as covering its row, and its
// bound holds for the slowdown that was measured.
func TestProposedTrailersCoverTheirRows(t *testing.T) {
	in := exampleNamed("regressed")
	large := timed(key("cart", "Large"), 1e-6, 1.5, .018, verdict.Regressed)
	in.Verdict.Rows = append(in.Verdict.Rows, large, exact(key("cart", "Zero"), "allocs/op", 0, 2, compare.Rise, verdict.Regressed),
		timed(key("cart", "Odd name"), 1e-6, .1, .018, verdict.Regressed))
	p := page{Input: in}
	proposed := 0
	for _, row := range in.Verdict.Rows {
		if row.Decision != verdict.Regressed {
			continue
		}
		line, why := p.trailer(row)
		if why != "" {
			continue
		}
		proposed++
		w := config.ParseWaiver(strings.TrimPrefix(line, config.WaiverTrailer+": "), "", firstOfMarch)
		k := row.Change.Test.Key
		e := effectOf(row.Change)
		if w.Refused != "" || !w.Covers(k.String(), k.Short(module), row.Change.Test.Unit) || w.Percent < 100*e.ratio {
			t.Errorf("%s: %+v does not accept it", line, w)
		}
	}
	if proposed != 2 {
		t.Errorf("%d trailers proposed, want 2: +150 %%, from 0 and a name with a space cannot be accepted", proposed)
	}
	in.PullRequest.Accepting.Allow = false
	if text := markdownText(t, in); strings.Contains(text, config.WaiverTrailer) || strings.Contains(text, "have them accepted") {
		t.Error("a trailer is proposed where policy allows none")
	}
}

func TestMissingShardsAreNeverNoChange(t *testing.T) {
	for _, headline := range []verdict.Headline{verdict.SuiteNoChange, verdict.SuiteImproved, verdict.SuiteNotMeasured, verdict.SuiteRegressed} {
		in := exampleNamed("clean")
		in.Verdict.Headline = headline
		in.PullRequest.Incomplete = []string{"shard 2 of 4: no artifact"}
		if text := markdownText(t, in); !strings.Contains(strings.SplitN(text, "\n", 2)[0], "incomplete") || strings.Contains(text, "no action needed") {
			t.Errorf("%s: %s", headline, text)
		}
		if s := StatusDescription(in); !strings.Contains(s, "incomplete: 1 part missing") {
			t.Errorf("status %q", s)
		}
	}
}

func TestStatusDescriptionFits(t *testing.T) {
	all := exampleNamed("mixed")
	all.PullRequest.Fork = true
	for _, d := range decisionOrder {
		all.Verdict.Counts[d] = 123456
	}
	for _, ex := range append(comments(), example{name: "long", in: all}) {
		s := StatusDescription(ex.in)
		if n := len([]rune(s)); n > 140 || n == 0 || strings.Contains(s, "\n") {
			t.Errorf("%s: %d characters: %q", ex.name, n, s)
		}
	}
	if s := StatusDescription(fromFork()); !strings.HasPrefix(s, "advisory, from a fork: no change") {
		t.Errorf("status of a fork: %q", s)
	}
}

func TestAnnotationsStandBesideTheSourceOfWhatFailed(t *testing.T) {
	in := exampleNamed("regressed")
	in.Manifest.Benchmarks = []recording.Benchmark{{Key: key("cart", "Add/items=1000"), File: "shop/cart/cart_test.go", Line: 31}}
	in.Verdict.Outcomes = exampleNamed("not-measurable").Verdict.Outcomes
	got := Annotations(in)
	want := Annotation{Path: "shop/cart/cart_test.go", Line: 31, Title: "perfgate: regressed",
		Message: "cart.Add/items=1000: cpu-sec/op +13.9% [+11.9%, +16.0%], from 1.200µ to 1.367µ; allocs/op +66.7%, from 3 to 5"}
	if len(got) != 9 || got[0] != want { // and 8 that were not measured; added and skipped are no failure
		t.Fatalf("%d annotations, the first %+v", len(got), got[0])
	}
	if crashed := got[3]; crashed.Path != "" || !strings.HasSuffix(crashed.Message, "panic: index out of range [3] with length 3") {
		t.Errorf("annotation %+v", crashed)
	}
	many := Annotations(tooLong())
	// 3,000 that regressed and 1,000 that crashed: 9 are told, 3,991 counted.
	if len(many) != AnnotationsMax || many[9].Message != "and 3991 more; the job summary has them all" {
		t.Errorf("%d annotations, the last %+v", len(many), many[len(many)-1])
	}
	for _, path := range []string{"../up.go", "/etc/passwd", "a\nb.go", "a\u202eb.go", "", ".", "a//b"} {
		in.Manifest.Benchmarks[0].File = path
		if a := Annotations(in)[0]; a.Path != "" || a.Line != 0 {
			t.Errorf("path %q becomes %q", path, a.Path)
		}
	}
}
