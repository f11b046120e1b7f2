package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/verdict"
	"github.com/perfgate/perfgate/internal/golden"
)

// lines are n runs of a benchmark around a centre in ns/op.
func lines(name string, n, centre int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Benchmark%s 100 %d ns/op\n", name, centre+i)
	}
	return b.String()
}

func comparison(t *testing.T, oldText, newText string) Comparison {
	t.Helper()
	table, err := compare.Files(strings.NewReader(oldText), strings.NewReader(newText), [2]string{"old.txt", "new.txt"})
	if err != nil {
		t.Fatal(err)
	}
	return Comparison{Table: table, Timed: true, Verdict: verdict.DecideTable(table, true)}
}

func TestComparisonShowsWhatAPersonHasRead(t *testing.T) {
	c := comparison(t,
		"goos: linux\npkg: shop/cart\n"+lines("Add-8", 10, 100)+lines("Load-8", 10, 5000)+lines("Gone-8", 2, 7)+lines("Flat-8", 10, 60),
		"goos: linux\npkg: shop/cart\n"+lines("Add-8", 10, 150)+lines("Load-8", 10, 4000)+lines("Flat-8", 10, 60)+"pkg: shop/tax\n"+lines("New-8", 2, 7))
	c.Notes = []string{"the two sides were measured in different sessions"}
	const prose = "benchstat's columns with p corrected over the whole table: one row slower,\none faster, one unchanged, one missing from the new file and one new in it."
	render := func(f func(*bytes.Buffer) error) []byte {
		var buf bytes.Buffer
		if err := f(&buf); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	golden.Check(t, "comparison.text", prose, render(func(w *bytes.Buffer) error { return ComparisonText(w, c) }))
	golden.Check(t, "comparison.markdown", prose, render(func(w *bytes.Buffer) error { return ComparisonMarkdown(w, c) }))
	golden.Check(t, "comparison.json", prose, render(func(w *bytes.Buffer) error { return ComparisonJSON(w, c) }))
}

func TestHostileFilesStayInsideCodeSpans(t *testing.T) {
	hostile := "pkg: a|b`c</details>\ncpu: <img> @team #1\n"
	for _, name := range []string{"A|tick`b", "B``<img>", "C\\|javascript:x", "D<!--x-->@team"} {
		hostile += lines(name, 6, 100)
	}
	c := comparison(t, hostile, strings.ReplaceAll(hostile, "pkg: a", "pkg: z"))
	var buf bytes.Buffer
	if err := ComparisonMarkdown(&buf, c); err != nil {
		t.Fatal(err)
	}
	width := 0
	for i, line := range strings.Split(buf.String(), "\n") {
		cells := tableCells(line)
		if cells == nil {
			width = 0
			checkOutside(t, i, line)
			continue
		}
		if width == 0 {
			width = len(cells)
		}
		if len(cells) != width {
			t.Errorf("%d cells in a table of %d columns: %s", len(cells), width, line)
		}
		for _, cell := range cells {
			checkOutside(t, i, cell)
		}
	}
}

func TestRowsThatCannotShowAChangeAreNotCalledUnchanged(t *testing.T) {
	few := comparison(t, lines("Add", 3, 100), lines("Add", 3, 150))
	if words := few.Words(); !strings.HasPrefix(words, "inconclusive") {
		t.Errorf("three samples a side give %q", words)
	}
	enough := comparison(t, lines("Add", 10, 100), lines("Add", 10, 100))
	if words := enough.Words(); words != "no significant change" {
		t.Errorf("ten equal samples a side give %q", words)
	}
}
