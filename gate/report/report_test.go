package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/verdict"
	"github.com/perfgate/perfgate/internal/golden"
)

func render(t *testing.T, f func(*bytes.Buffer) error) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := f(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func terminalText(t *testing.T, in Input) string {
	return string(render(t, func(w *bytes.Buffer) error { return Terminal(w, in) }))
}

func markdownText(t *testing.T, in Input) string {
	return string(render(t, func(w *bytes.Buffer) error { return Markdown(w, in) }))
}

func jsonText(t *testing.T, in Input) []byte {
	return render(t, func(w *bytes.Buffer) error { return JSON(w, in) })
}

func TestEveryReportShowsWhatAPersonHasRead(t *testing.T) {
	for _, ex := range examples() {
		t.Run(ex.name, func(t *testing.T) {
			golden.Check(t, ex.name+".terminal", ex.prose, []byte(terminalText(t, ex.in)))
			golden.Check(t, ex.name+".markdown", ex.prose, []byte(markdownText(t, ex.in)))
		})
	}
	in := mixed()
	in.Options.All = true
	golden.Check(t, "all.terminal", "The same as mixed, with --all: every row, and why it was decided so.", []byte(terminalText(t, in)))
	golden.Check(t, "mixed.json", "The same as mixed, for programs: every row, keys sorted, what is no number null.", jsonText(t, mixed()))
}

func TestLastLineStatesVerdictAndExitCode(t *testing.T) {
	for _, ex := range examples() {
		lines := strings.Split(strings.TrimSuffix(terminalText(t, ex.in), "\n"), "\n")
		want := fmt.Sprintf("verdict: %s (exit %d)", ex.in.Words(), ex.in.Verdict.Exit)
		if last := lines[len(lines)-1]; last != want {
			t.Errorf("%s: last line %q, want %q", ex.name, last, want)
		}
	}
}

func TestRowsAreAlignedAndFitTheTerminal(t *testing.T) {
	in := mixed()
	in.Verdict.Rows[0].Change.Test.Key.Name += "/" + strings.Repeat("long", 30) + "/case=last"
	in.Options.Width = 100
	text := terminalText(t, in)
	head := regexp.MustCompile(`(?m)^benchmark .*verdict$`).FindString(text)
	column := strings.Index(head, "verdict")
	rows := regexp.MustCompile(`(?m)^.*(regressed|improved)( \(not gating\))?$`).FindAllString(text, -1)
	if head == "" || len(rows) != 4 {
		t.Fatalf("no table with four rows in:\n%s", text)
	}
	for _, row := range rows {
		runes := []rune(row)
		if at := string(runes[column:]); !strings.HasPrefix(at, "regressed") && !strings.HasPrefix(at, "improved") {
			t.Errorf("column verdict does not begin at %d: %s", column, row)
		}
		if len(runes) > 100+len(" (not gating)") {
			t.Errorf("row of %d characters on a terminal of 100: %s", len(runes), row)
		}
	}
	if !strings.Contains(text, "/case=last") {
		t.Error("the end of a shortened name is gone: it says which case it is")
	}
}

func TestColourIsOnlyThereWhenAskedFor(t *testing.T) {
	in := mixed()
	plain := terminalText(t, in)
	if strings.Contains(plain, "\x1b") {
		t.Error("escape sequence without Color")
	}
	in.Options.Color = true
	colored := terminalText(t, in)
	if !strings.Contains(colored, "\x1b[31mregressed") {
		t.Error("no red in a report with regressions and Color")
	}
	if got := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(colored, ""); got != plain {
		t.Error("colour changes more than colour")
	}
}

// Swapping base and head must turn every worse into a better of the same size.
func TestSwappedSidesTurnTheSign(t *testing.T) {
	forward := effectOf(timed(key("cart", "Add"), 1, .25, .02, verdict.Regressed).Change)
	// 1/1.25 - 1 = -0.2
	backward := effectOf(timed(key("cart", "Add"), 1, -.2, .02, verdict.Improved).Change)
	for _, pair := range [][2]float64{{forward.ratio, backward.ratio}, {forward.lo, backward.hi}, {forward.hi, backward.lo}} {
		if product := (1 + pair[0]) * (1 + pair[1]); product < .9999999 || product > 1.0000001 {
			t.Errorf("ratios %v and %v are not each other's inverse", pair[0], pair[1])
		}
	}
}

func TestThroughputIsShownInItsOwnDirection(t *testing.T) {
	row := mixed().Verdict.Rows[0]
	e := effectOf(row.Change)
	if row.Change.Timed.Delta <= 0 {
		t.Fatal("the fixture's log ratio is not oriented: positive is worse")
	}
	if !(e.lo < e.ratio && e.ratio < e.hi && e.hi < 0) {
		t.Errorf("a lost throughput reads %s", e.text())
	}
}

func TestPercentages(t *testing.T) {
	for _, tc := range []struct {
		ratio float64
		want  string
	}{
		{0, "0%"}, {.0123, "+1.23%"}, {-.0123, "-1.23%"}, {.139, "+13.9%"}, {-.5, "-50.0%"}, {12, "+1200%"},
	} {
		if got := percent(tc.ratio); got != tc.want {
			t.Errorf("percent(%v) = %q, want %q", tc.ratio, got, tc.want)
		}
	}
}

func TestUntrustedStringsCannotLeaveTheirLineInATerminal(t *testing.T) {
	text := terminalText(t, hostile())
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Errorf("character %U in the report", r)
		}
	}
	if n := strings.Count(text, "verdict: "); n != 1 {
		t.Errorf("%d verdict lines", n)
	}
}

// TestUntrustedStringsStayInsideCodeSpans removes the code spans as a reader of
// markdown finds them, and looks for what is left of the hostile strings.
func TestUntrustedStringsStayInsideCodeSpans(t *testing.T) {
	text := markdownText(t, hostile())
	for i, line := range strings.Split(text, "\n") {
		if cells := tableCells(line); cells != nil {
			for _, cell := range cells {
				checkOutside(t, i, cell)
			}
			continue
		}
		checkOutside(t, i, line)
	}
}

func checkOutside(t *testing.T, line int, text string) {
	t.Helper()
	outside := withoutCodeSpans(text)
	for _, piece := range []string{"tick", "[31m", "txt.exe", "<img", "@team", "#1", "javascript:", "<!--", "width", "[x]", "two", "`"} {
		if strings.Contains(outside, piece) {
			t.Errorf("line %d: %q stands outside a code span: %s", line+1, piece, outside)
		}
	}
}

// tableCells splits a table's row as GitHub does, before code spans are read: at
// every pipe that no backslash escapes, where a backslash may escape itself.
func tableCells(line string) []string {
	if !strings.HasPrefix(line, "| ") {
		return nil
	}
	var cells []string
	start := 1
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '|':
			cells = append(cells, line[start:i])
			start = i + 1
		}
	}
	return cells
}

// withoutCodeSpans removes every run of backticks with its equal and what lies between.
func withoutCodeSpans(s string) string {
	runs := regexp.MustCompile("`+")
	var out strings.Builder
	for {
		open := runs.FindStringIndex(s)
		if open == nil {
			return out.String() + s
		}
		out.WriteString(s[:open[0]])
		fence, rest := s[open[0]:open[1]], s[open[1]:]
		closed := false
		for _, at := range runs.FindAllStringIndex(rest, -1) {
			if rest[at[0]:at[1]] == fence {
				s, closed = rest[at[1]:], true
				break
			}
		}
		if !closed {
			return out.String() + fence + rest
		}
	}
}

func TestTablesKeepTheirColumnsWithHostileNames(t *testing.T) {
	for _, attack := range attacks {
		width := 0
		for _, line := range strings.Split(summaryText(t, everywhere(attack)), "\n") {
			cells := tableCells(line)
			switch {
			case cells == nil:
				width = 0
			case width == 0:
				width = len(cells)
			case len(cells) != width:
				t.Errorf("%.40q: %d cells in a table of %d columns: %s", attack, len(cells), width, line)
			}
		}
	}
}

func TestSameInputGivesSameBytes(t *testing.T) {
	for _, ex := range examples() {
		all := func() string { return string(jsonText(t, ex.in)) + terminalText(t, ex.in) + markdownText(t, ex.in) }
		first := all()
		for range 5 { // map order would show in one of them
			if all() != first {
				t.Fatalf("%s: two renderings differ", ex.name)
			}
		}
	}
}

func TestExactStatesThatCompareNothingShowNoChange(t *testing.T) {
	for _, state := range []compare.ExactState{compare.Disagree} {
		row := exact(key("cart", "Add"), "allocs/op", 3, 5, state, verdict.Inconclusive)
		if e := effectOf(row.Change); e.text() != "?" || e.seenText() != "?" {
			t.Errorf("state %s reads %s, %s", state, e.text(), e.seenText())
		}
	}
	row := exact(key("cart", "Add"), "allocs/op", 0, 0, "", verdict.Inconclusive)
	row.Change.Exact.Runs = 0
	if e := effectOf(row.Change); e.text() != "?" {
		t.Errorf("no runs read %s", e.text())
	}
}

func TestJSONKeysAreSorted(t *testing.T) {
	for _, ex := range examples() {
		dec := json.NewDecoder(bytes.NewReader(jsonText(t, ex.in)))
		if err := checkSorted(dec); err != nil {
			t.Errorf("%s: %v", ex.name, err)
		}
	}
}

func checkSorted(dec *json.Decoder) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	last := ""
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			if last >= name.(string) && last != "" {
				return fmt.Errorf("key %q follows %q", name, last)
			}
			last = name.(string)
		}
		if err := checkSorted(dec); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}
