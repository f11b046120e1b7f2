package report

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// rendered is a comment as a browser gets it: GitHub's flavour, raw HTML kept as
// it is, so that nothing but our escaping stands between a name and the page.
func rendered(t *testing.T, markdown string) string {
	t.Helper()
	md := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote), goldmark.WithRendererOptions(html.WithUnsafe()))
	var buf bytes.Buffer
	if err := md.Convert([]byte(markdown), &buf); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// attacks are what a string from the measured code may be.
var attacks = append([]string{
	"plain", " ", "``", "a`b``c```d", "`", "```go", "~~~", "\\", "\\`", "|", "| a | b |\n|---|---|\n| c | d |", "\\|", `\\|`, "a\n\n# heading",
	"<b>", "&lt;b&gt;", "&#64;team", "<script>alert(1)</script>", "<!-- perfgate:comment v1 run=99 attempt=1 -->", "-->", "<![CDATA[", "<?php", "<details open>", "<summary>",
	"![i](https://evil.example/x.png)", "[l](javascript:alert(1))", "<https://evil.example>", "https://evil.example", "www.evil.example", "mail@evil.example",
	"[ref]: https://evil.example", "[^1]: note", "[^1]", "@octocat", "@org/team", "#1", "GH-1", "org/repo#1", strings.Repeat("da39a3ee", 5), "deadbeef",
	":tada:", "$x$", "$`x`$", "- [ ] task", "> [!WARNING]", "**bold**", "~~x~~", "_x_", "---", "===", "\tcode", "    code",
	"\u202e\u2066abc\u2069", "a\u200b\u200d\ufeffb", "a\u0000b", "a\rb", "a\u2028b", "a\u0085b", "\x1b]8;;http://x\x07", "\xff\xfe", "\U000e0041", "z" + strings.Repeat("\u0300", 50),
	strings.Repeat("`", 5000), strings.Repeat("|", 5000), strings.Repeat("\\", 5000), strings.Repeat("\U0001F600", 5000), strings.Repeat("\U0001F600", 199) + "`|",
}, nasty...)

// everywhere is an input that has s in every field that the measured code, the
// change or a person can choose.
func everywhere(s string) Input {
	k := recording.Key{Pkg: module + "/" + s, Name: "Benchmark" + s, Procs: 2}
	slower := timed(k, 1e-6, .139, .018, verdict.Regressed)
	slower.Change.Test.Unit, slower.Why, slower.Change.Warnings = s, s, []string{s}
	rise := exact(k, s, 3, 5, compare.Rise, verdict.Regressed)
	open := timed(k, 1e-6, .02, .05, verdict.Inconclusive)
	in := inPullRequest(input(verdict.SuiteRegressed, verdict.ExitRegression, slower, rise, open))
	m := &in.Manifest
	m.Suite, m.Bench, m.Tool, m.Toolchain, m.BaseReason, m.BuildFlags = s, s, s, s, s, []string{s, s}
	m.Base = recording.Revision{Ref: s, Commit: s, Tree: s}
	m.Head = recording.Revision{Ref: s, Commit: s, Tree: s}
	m.Machine = recording.Machine{ClassID: s, Class: map[string]string{"cores": s, "cpu": s, "goos": s, "goarch": s, "go": s, "virtualization": s}, Notes: []string{s}}
	m.Warnings = []string{s}
	m.Benchmarks = []recording.Benchmark{{Key: k, File: s, Line: 1, Reason: s}}
	m.Baseline = &recording.BaselineRef{Path: s, Commit: s, ClassID: s, Why: s, Anchor: &recording.AnchorDrift{Ref: s, Commit: s,
		Rows: []recording.Drift{{Key: k, Unit: s, Links: 1, Ratio: 2, Lo: 1.5, Hi: 3}}}}
	check := recording.BaselineCheck{Key: k, Unit: s, Stored: 1, Head: 2}
	in.Verdict.BaselineDrift, in.Verdict.BaselineGated = []recording.BaselineCheck{check}, []recording.BaselineCheck{check}
	for _, kind := range []recording.OutcomeKind{recording.Added, recording.Missing, recording.Crashed, recording.OutcomeKind(s)} {
		in.Verdict.Outcomes = append(in.Verdict.Outcomes, recording.Outcome{Key: k, Side: recording.Side(s), Kind: kind, Detail: s})
	}
	in.Hash = s
	pr := in.PullRequest
	pr.SuiteChanged, pr.Incomplete, pr.Accepting.By = []string{s, s}, []string{s, s}, []string{s}
	w := config.Waiver{Commit: s, Benchmark: s, Unit: s, Percent: 5, Until: s, Reason: s}
	refused := w
	refused.Refused = s
	pr.Waivers = []WaiverRequest{{Waiver: w, ApprovedBy: s}, {Waiver: refused}}
	return in
}

// harmless has a letter for every character of s, and its line breaks.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return 'x'
	}, s)
}

// What a string says must make no difference to anything outside the code spans
// that hold it: the rest of the page is compared with that of a harmless string.
func TestUntrustedStringsChangeNothingOutsideCodeSpans(t *testing.T) {
	for _, attack := range attacks {
		pages := map[string]func(Input) string{"summary": func(in Input) string { return summaryText(t, in) }}
		if len(attack) < 500 { // a longer one drops rows of a comment
			pages["comment"] = func(in Input) string { return markdownText(t, in) }
		}
		for name, page := range pages {
			got, want := skeleton(rendered(t, page(everywhere(attack)))), skeleton(rendered(t, page(everywhere(harmless(attack)))))
			if got != want {
				t.Errorf("%.40q changes the %s:\n%s", attack, name, parting(got, want))
			}
		}
		got, want := skeleton(rendered(t, RefusedMarkdown(attack))), skeleton(rendered(t, RefusedMarkdown(harmless(attack))))
		if got != want {
			t.Errorf("%.40q changes the refusal:\n%s", attack, parting(got, want))
		}
	}
}

var (
	codeSpan = regexp.MustCompile(`<code>[^<]*</code>`)
	// A line of nothing that shows is left out, so their number is not compared.
	codeLines = regexp.MustCompile(`(?:<code></code>|\(none\))(?:<br><code></code>)*`)
	oneLine   = regexp.MustCompile(`and \d+ lines? more`)
)

// skeleton is a page without what stands in its code spans.
func skeleton(page string) string {
	return oneLine.ReplaceAllString(codeLines.ReplaceAllString(codeSpan.ReplaceAllString(page, "<code></code>"), "<code></code>"), "more lines")
}

// parting shows where two texts part.
func parting(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-60)
	return fmt.Sprintf("got  %.200q\nwant %.200q", got[from:], want[from:])
}

// The page of a harmless string is our own text: what it may hold is listed here,
// so that the comparison above means something.
func TestOurOwnTextHasNoMentionReferenceOrForeignLink(t *testing.T) {
	elements := regexp.MustCompile(`</?([a-zA-Z0-9]+)([^>]*)>`)
	known := map[string]bool{"h3": true, "p": true, "table": true, "thead": true, "tbody": true, "tr": true, "th": true, "td": true, "code": true,
		"strong": true, "ul": true, "li": true, "br": true, "details": true, "summary": true, "a": true}
	attribute := regexp.MustCompile(`^( open| id="[a-z0-9-]*"| style="text-align:(right|left)"| href="` + regexp.QuoteMeta(runURL) + `")?$`)
	special := regexp.MustCompile(`@|#\d|\b[0-9a-f]{7,40}\b|javascript:|:[a-z]+:|\$`)
	for _, ex := range append(comments(), example{name: "everywhere", in: everywhere("x")}, example{name: "attacked", in: everywhere(strings.Join(attacks[:40], " "))}) {
		for _, text := range []string{markdownText(t, ex.in), summaryText(t, ex.in), RefusedMarkdown("x")} {
			page := codeSpan.ReplaceAllString(rendered(t, text), "<code></code>")
			for _, m := range elements.FindAllStringSubmatch(page, -1) {
				if !known[m[1]] || !attribute.MatchString(m[2]) {
					t.Errorf("%s: element %s", ex.name, m[0])
				}
			}
			bare := strings.ReplaceAll(elements.ReplaceAllString(page, ""), "sha256", "")
			if found := special.FindString(bare); found != "" {
				t.Errorf("%s: %q stands in our own text", ex.name, found)
			}
			if n := strings.Count(page, "<details"); n != strings.Count(page, "</details>") {
				t.Errorf("%s: a folded section stays open", ex.name)
			}
		}
	}
}
