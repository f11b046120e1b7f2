package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/calibrate"
)

func TestTheTablesSayWhatTheReportCounts(t *testing.T) {
	text := analyse(handmade()).tables()
	for _, want := range []string{
		"15 injections, of which 14 have been tried and 1 could not be measured; from 2026-01-01T00:00:00Z to 2026-01-01T00:00:00Z, with perfgate v1.\n",
		"13 runs on c1: A; 2 cores, go1, none.\n",
		"| first suspect is right (top-1), of those confirmed | ≥ 70 % | 1 of 4 | 25.0 % | 0.6–80.6 % | not so far |\n", // 1 - .975^(1/4) = .63 %
		"| cause outside the change: the change blamed | ≤ 5 % | 1 of 2 | 50.0 % | 1.3–98.7 % | not so far |\n",
		"| A/A: functions flagged, CPU profiles | ≤ 1 % | 3 of 100 | 3.0 % | 0.6–8.5 % | not so far |\n",
		"| further runs with the same outcome | – | – | – | – | – |\n",
		"| seconds of profiling where the check fails, median / most | ≤ 120 | 8 | 45 / 110 | – | so far |\n",
		"| top-1 of a guess among the touched functions on the stacks | – | 4 | 68.8 % | – | – |\n",
		"| cpu | 5 | 3 | 2 of 3 | 1 of 2 | 1 of 2 | – | – | – | – |\n",
		"| dependency | 3 | 3 | 2 of 3 | – | – | 1 of 2 | 1 of 2 | – | – |\n",
		"| moved | 2 | 2 | – | – | – | – | – | 2 of 2 | 1 of 2 |\n",
		"| h/first | It is first. | `p.F` | `p.F` (50 %) | +25.0 % cpu-sec/op | 1 |\n",
		"| h/third | It is third. | `p.F` | `p.X` (50 %) | +25.0 % cpu-sec/op | 3 |\n",
		"| h/silent | It is silent. | `p.F` | none:  | +25.0 % cpu-sec/op | not named |\n",
		"| h/unseen | It is unseen. | `p.F` | not confirmed as slower | +1.0 % cpu-sec/op | – |\n",
		"| h/broken | It is broken. | `p.F` | not measured: it does not build | – | – |\n",
		"| h/said | It is said. | outside the change | module m, outside the change (50 %) | +25.0 % cpu-sec/op | 1 |\n",
		"| h/blamed | It is blamed. | outside the change | `p.F` (50 %) | +25.0 % cpu-sec/op | blamed in error |\n",
		"| h/accused | It is accused. | nothing is slower | outside the change (50 %) | +25.0 % cpu-sec/op | blamed in error |\n",
		"| h/untried | It is untried. | `p.F` | – | – | – |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
			break
		}
	}
}

// A target is met where the whole interval says so, and not by a lucky estimate.
func TestATargetIsMetByTheWholeInterval(t *testing.T) {
	for _, c := range []struct {
		least, most string
		k, n        int
	}{
		{"yes", "no", 40, 40},          // 91 to 100 %
		{"so far", "not so far", 4, 4}, // 40 to 100 %
		{"not so far", "so far", 2, 4}, // 7 to 93 %
		{"no", "yes", 0, 40},           // 0 to 9 %
	} {
		x := calibrate.NewRate(c.k, c.n)
		if least, most := atLeast(.7)(x), atMost(.7)(x); least != c.least || most != c.most {
			t.Errorf("%d of %d, %.2f to %.2f: at least %q, at most %q", c.k, c.n, x.Lo, x.Hi, least, most)
		}
	}
	if got := atLeast(.5)(calibrate.NewRate(40, 40)); got != "yes" {
		t.Errorf("all of forty reach a half: %q", got)
	}
}

func TestTheSameRunsGiveTheSamePage(t *testing.T) {
	page := "# Title\n" + pageBegin + "\nold\n" + pageEnd + "\nafter\n"
	first, err := updatePage(page, analyse(handmade()))
	if err != nil {
		t.Fatal(err)
	}
	second, err := updatePage(first, analyse(handmade()))
	if err != nil || first != second {
		t.Errorf("a second time it is another page (%v)", err)
	}
	if !strings.HasPrefix(first, "# Title\n") || !strings.HasSuffix(first, "\nafter\n") || strings.Contains(first, "old") {
		t.Error(first)
	}
	if _, err := updatePage("no markers", &Report{}); err == nil {
		t.Error("a page without markers is taken")
	}
}

// TestThePublishedTablesAreWhatTheDataGives keeps docs/ATTRIBUTION.md, report.json
// and the runs together: `go run ./internal/attribution report` writes both.
func TestThePublishedTablesAreWhatTheDataGives(t *testing.T) {
	sets, err := loadSets(embedded)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(root, filepath.FromSlash(defaultData))
	lines, err := readLines(data)
	if err != nil {
		t.Fatal(err)
	}
	published := map[string]string{"page": filepath.Join(root, filepath.FromSlash(defaultPage)), "report": filepath.Join(data, reportFile)}
	before, dir := map[string]string{}, t.TempDir()
	for what, name := range published {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before[what] = string(text)
	}
	page := filepath.Join(dir, "page.md")
	if err := os.WriteFile(page, []byte(before["page"]), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeReport(dir, page, analyse(sets, lines)); err != nil {
		t.Fatal(err)
	}
	for what, name := range map[string]string{"page": page, "report": filepath.Join(dir, reportFile)} {
		now, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(now) != before[what] {
			t.Errorf("%s is not what the runs give; run `go run ./internal/attribution report`", published[what])
		}
	}
}
