package calibrate

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/verdict"
)

// slowed is a benchmark that did one operation in K more.
func slowed(name string, n int, decision verdict.Decision) Benchmark {
	b := benchmark(name, noise(1, 20, .05, .02), decision)
	b.N, b.Slowed = n, true
	return b
}

// handmade has counts that can be followed by eye: of four unchanged suites one
// with an alarm that stood and one that layouts took back, one improved; and of
// 5 %, found 2, passed 1, undecided 1, of 4 tests, beside one that cannot take it and
// two that were not slowed, of which one was called slower.
func handmade() *Data {
	aa, five := Series{Kind: AA}, Series{Injected, 5}
	quiet := noise(2, 20, 0, .02)
	return &Data{Header: header(), Sessions: []Session{
		session(aa, 1, benchmark("A", quiet, verdict.Pass), benchmark("B", quiet, verdict.Pass)),
		session(aa, 2, benchmark("A", quiet, verdict.Regressed), benchmark("B", quiet, verdict.Pass)),
		session(aa, 3, benchmark("A", quiet, verdict.LayoutSensitive), benchmark("B", quiet, verdict.Improved)),
		session(aa, 4, benchmark("A", quiet, verdict.Pass), benchmark("B", quiet, verdict.Inconclusive)),
		session(five, 1, slowed("A", 10_000, verdict.Regressed), slowed("B", 10_000, verdict.Pass), slowed("C", 7, verdict.Inconclusive)),
		session(five, 2, slowed("A", 10_000, verdict.Regressed), benchmark("B", quiet, verdict.Regressed)),
		session(five, 3, slowed("B", 10_000, verdict.Inconclusive), benchmark("A", quiet, verdict.Pass)),
	}}
}

func TestTheReportCountsWhatTheSessionsSay(t *testing.T) {
	r := Analyse(handmade())
	if len(r.Series) != 2 {
		t.Fatalf("%d series", len(r.Series))
	}
	aa, five := r.Series[0], r.Series[1]
	if aa.Suites != 4 || of(aa.Regressed) != "1 of 4" || of(aa.First) != "2 of 4" || of(aa.Improved) != "1 of 4" || of(aa.Found) != "1 of 8" {
		t.Errorf("aa: %+v", aa)
	}
	if math.Abs(aa.Bound-.7514) > 1e-4 { // sum of k<=1 of Bin(4, .7514) = .05
		t.Errorf("1 of 4 supports %.4f", aa.Bound)
	}
	if of(five.Found) != "2 of 4" || of(five.Passed) != "1 of 4" || of(five.Inconclusive) != "1 of 4" || five.NotInjectable != 1 || of(five.Unchanged) != "1 of 2" {
		t.Errorf("5 %%: %+v", five)
	}
	// All four tests have one sequence of noise about .05.
	if want := math.Expm1(median(noise(1, 20, .05, .02))); math.Abs(five.Measured-want) > 1e-12 {
		t.Errorf("measured %v, want %v", five.Measured, want)
	}
	worst := r.Worst(5)
	if len(worst) != 2 || worst[0].Name != "B" || of(worst[0].Found[5]) != "0 of 2" || of(worst[0].Passed[5]) != "1 of 2" {
		t.Errorf("worst: %+v", worst)
	}
	for _, b := range r.Benchmarks {
		if b.Name == "A" && (of(b.Alarms) != "1 of 4" || b.Pairs != 20 || b.N != 10_000) {
			t.Errorf("A: %+v", b)
		}
		if _, ok := b.Found[5]; ok && b.Name == "C" {
			t.Error("a benchmark that cannot take 5 % has a rate at 5 %")
		}
	}
	if own := r.Rules[0]; own.Name != "perfgate" || of(own.Alarms) != "1 of 4" || of(own.Found[5]) != "2 of 4" {
		t.Errorf("the gate's own rule: %+v", own)
	}
}

// All of base at 100 and all of head 8 % above it: every test at .05 finds it, a mean
// of +10 % does not; and unchanged suites of constant runs alarm nobody.
func TestRulesOfOtherToolsAreCountedOnTheSameRuns(t *testing.T) {
	constant := func(d float64) []float64 {
		x := noise(1, 20, d, 0)
		for i := range x {
			x[i] += 1e-5 * float64(i)
		}
		return x
	}
	b := benchmark("A", constant(.08), verdict.Regressed)
	b.Slowed = true
	data := &Data{Header: header(), Sessions: []Session{
		session(Series{Kind: AA}, 1, benchmark("A", make([]float64, 20), verdict.Pass)),
		session(Series{Injected, 10}, 1, b),
		session(Series{Injected, 10}, 2, benchmark("A", constant(.08), verdict.Regressed)), // not slowed: no test
	}}
	want := map[string]string{"perfgate": "1 of 1", "benchstat, p < .05, n=20": "1 of 1", "benchstat, p < .05 and at least 5 %, n=10": "1 of 1",
		"mean more than 10 % higher, n=10": "0 of 1", "Welch's t-test, p < .05, n=20": "1 of 1", "minimum more than 5 % higher, n=20": "1 of 1", "one run, 2x": "0 of 1"}
	for _, r := range ruleReports(data) {
		if w, ok := want[r.Name]; ok && of(r.Found[10]) != w {
			t.Errorf("%s found %s, want %s", r.Name, of(r.Found[10]), w)
		}
		if of(r.Alarms) != "0 of 1" {
			t.Errorf("%s: alarms %s", r.Name, of(r.Alarms))
		}
	}
}

func TestTheSameSessionsGiveTheSamePage(t *testing.T) {
	page := "# Title\n" + pageBegin + "\nold\n" + pageEnd + "\nafter\n"
	first, err := UpdatePage(page, []*Report{Analyse(handmade())})
	if err != nil {
		t.Fatal(err)
	}
	second, err := UpdatePage(first, []*Report{Analyse(handmade())})
	if err != nil || first != second {
		t.Errorf("a second time it is another page (%v)", err)
	}
	if !strings.HasPrefix(first, "# Title\n") || !strings.HasSuffix(first, "\nafter\n") || strings.Contains(first, "old") || !strings.Contains(first, "| aa | 1 of 4 |") {
		t.Error(first)
	}
	if _, err := UpdatePage("no markers", nil); err == nil {
		t.Error("a page without markers is taken")
	}
}

// TestThePublishedTablesAreWhatTheDataGives keeps docs/CALIBRATION.md and the data
// together: `perfgate calibrate --report` writes the page.
func TestThePublishedTablesAreWhatTheDataGives(t *testing.T) {
	if testing.Short() {
		t.Skip("it bootstraps all recorded sessions")
	}
	docs := filepath.Join("..", "..", "docs")
	all, err := ReadAll(filepath.Join(docs, "evidence", "calibration"))
	if err != nil {
		t.Fatal(err)
	}
	var reports []*Report
	for _, data := range all {
		r := Analyse(data)
		if r.Replay.K+r.Edge != r.Replay.N || r.Edge > r.Replay.N/500 {
			t.Errorf("%s %s: %d of %d tests replay to what was decided, and %d more by rounding", r.Suite, r.Class, r.Replay.K, r.Replay.N, r.Edge)
		}
		reports = append(reports, r)
	}
	page, err := os.ReadFile(filepath.Join(docs, "CALIBRATION.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := UpdatePage(string(page), reports)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != want {
		t.Error("docs/CALIBRATION.md is not what the data gives; run `perfgate calibrate --report`")
	}
}
