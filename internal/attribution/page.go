package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfgate/perfgate/gate/calibrate"
)

// The page's tables stand between these lines.
const (
	pageBegin = "<!-- attribution: begin; written by `go run ./internal/attribution report` -->"
	pageEnd   = "<!-- attribution: end -->"
)

// Where this repository keeps the runs and the page.
const (
	defaultData = "docs/evidence/attribution"
	defaultPage = "docs/ATTRIBUTION.md"
	reportFile  = "report.json"
)

// runReport writes the page's tables, and the report beside the runs.
func runReport(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	data := flags.String("data", "", "read the runs in the folder `DIR` (default: "+defaultData+")")
	page := flags.String("page", "", "write the tables into `FILE` (default: "+defaultPage+")")
	if err := parseFlags(flags, args, stderr); err != nil {
		return err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if *data == "" {
		*data = filepath.Join(root, filepath.FromSlash(defaultData))
	}
	if *page == "" {
		*page = filepath.Join(root, filepath.FromSlash(defaultPage))
	}
	sets, err := loadSets(embedded)
	if err != nil {
		return err
	}
	lines, err := readLines(*data)
	if err != nil {
		return err
	}
	return writeReport(*data, *page, analyse(sets, lines))
}

func writeReport(data, page string, r *Report) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("report: the page for the tables: %w", err)
	}
	updated, err := updatePage(string(text), r)
	if err != nil {
		return fmt.Errorf("report: %s: %w", page, err)
	}
	document, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(page, []byte(updated), 0o644); err != nil {
		return fmt.Errorf("report: writing the tables: %w", err)
	}
	if err := os.WriteFile(filepath.Join(data, reportFile), append(document, '\n'), 0o644); err != nil {
		return fmt.Errorf("report: writing %s: %w", reportFile, err)
	}
	return nil
}

// updatePage puts the tables between the markers of a page.
func updatePage(page string, r *Report) (string, error) {
	before, rest, ok1 := strings.Cut(page, pageBegin)
	_, after, ok2 := strings.Cut(rest, pageEnd)
	if !ok1 || !ok2 {
		return "", errors.New("the page lacks the lines that the tables stand between: " + pageBegin + " and " + pageEnd)
	}
	return before + pageBegin + "\n\n" + r.tables() + "\n" + pageEnd + after, nil
}

// tables are the report in Markdown.
func (r *Report) tables() string {
	if r.Tried == 0 {
		return "No run is recorded yet.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d injections, of which %d have been tried", r.Injections, r.Tried)
	if r.Unmeasured > 0 {
		fmt.Fprintf(&b, " and %d could not be measured", r.Unmeasured)
	}
	fmt.Fprintf(&b, "; from %s to %s, with %s.\n", r.From, r.To, strings.Join(r.Tools, ", "))
	if r.Reread > 0 {
		var short []string
		for _, c := range r.Rules {
			short = append(short, c[:min(7, len(c))])
		}
		fmt.Fprintf(&b, "The suspects of %d runs are those that the rules of commit %s name, which read the bundles again.\n", r.Reread, strings.Join(short, ", "))
	}
	if r.Stale > 0 {
		fmt.Fprintf(&b, "%d recorded runs are of injections that have changed or were removed since, and count for nothing here.\n", r.Stale)
	}
	for _, p := range r.Machines {
		fmt.Fprintf(&b, "%d runs on %s: %s; %s cores, %s, %s.\n", p.Runs, p.Class, p.Machine["cpu"], p.Machine["cores"], p.Machine["go"], p.Machine["virtualization"])
	}
	b.WriteString("\n")
	r.figures(&b)
	r.byKind(&b)
	r.each(&b)
	return b.String()
}

// row writes one line of a table.
func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// table writes a table's head: as many columns to the left as said, the others to
// the right.
func table(b *strings.Builder, left int, head ...string) {
	row(b, head...)
	b.WriteString(strings.Repeat("|---", left) + strings.Repeat("|---:", len(head)-left) + "|\n")
}

// The targets, which were set before anything was measured.
const (
	targetTop1    = .70
	targetTop3    = .90
	targetOutside = .05
	targetFlagged = .01
	targetProfile = 120 // seconds
)

// figures is the main table.
func (r *Report) figures(b *strings.Builder) {
	b.WriteString("### What the suspects are worth\n\nThe project set the targets before anything was measured. One is met, or is not, where the whole interval lies on one side " +
		"of it; otherwise the rate itself is within it so far, or not so far.\n\n")
	table(b, 1, "question", "target", "count", "rate", "95 % interval", "met")
	rate := func(name string, x calibrate.Rate, target string, met func(x calibrate.Rate) string) {
		cells := []string{name, target, of(x), share(x), interval(x), "–"}
		if met != nil && x.N > 0 {
			cells[5] = met(x)
		}
		row(b, cells...)
	}
	rate("slowdowns that the gate confirmed", r.Found, "–", nil)
	rate("first suspect is right (top-1), of those confirmed", r.Top1, fmt.Sprintf("≥ %.0f %%", 100*targetTop1), atLeast(targetTop1))
	guess := []string{"top-1 of a guess among the touched functions on the stacks", "–", fmt.Sprint(r.Top1.N), "–", "–", "–"}
	if r.Top1.N > 0 {
		guess[3] = fmt.Sprintf("%.1f %%", 100*r.Guess)
	}
	row(b, guess...)
	rate("one of the first three is (top-3), of those confirmed", r.Top3, fmt.Sprintf("≥ %.0f %%", 100*targetTop3), atLeast(targetTop3))
	rate("top-1, of all that were measured", r.All1, "–", nil)
	rate("top-3, of all that were measured", r.All3, "–", nil)
	rate("cause outside the change: said so first", r.Outside, "–", nil)
	rate("cause outside the change: the change blamed", r.FalseOutside, fmt.Sprintf("≤ %.0f %%", 100*targetOutside), atMost(targetOutside))
	rate("nothing slower: called slower", r.Called, "–", nil)
	rate("nothing slower: the change blamed", r.FalseNothing, "–", nil)
	rate("A/A: functions flagged, CPU profiles", r.Flagged, fmt.Sprintf("≤ %.0f %%", 100*targetFlagged), atMost(targetFlagged))
	rate("A/A: functions shown, CPU profiles", r.Shown, "–", nil)
	rate("A/A: functions flagged, allocation profiles", r.FlaggedAlloc, "–", nil)
	rate("further runs with the same outcome", r.Repeats, "–", nil)
	cells := []string{"seconds of profiling where the check fails, median / most", fmt.Sprintf("≤ %d", targetProfile), fmt.Sprint(r.Profiled), "–", "–", "–"}
	if r.Profiled > 0 {
		cells[3], cells[5] = fmt.Sprintf("%.0f / %.0f", r.ProfileMedian, r.ProfileMax), "so far"
		if r.ProfileMax > targetProfile {
			cells[5] = "no"
		}
	}
	row(b, cells...)
	b.WriteString("\n")
}

func (r *Report) byKind(b *strings.Builder) {
	b.WriteString("### By kind\n\n")
	table(b, 1, "kind", "injections", "measured", "slower: confirmed", "top-1", "top-3", "outside: said", "outside: change blamed", "not slower: called slower", "not slower: change blamed")
	for _, k := range r.Kinds {
		row(b, string(k.Kind), fmt.Sprint(k.Injections), fmt.Sprint(k.Measured), of(k.Found), of(k.Top1), of(k.Top3), of(k.Outside), of(k.FalseOutside), of(k.Called), of(k.FalseNothing))
	}
	b.WriteString("\n")
}

func (r *Report) each(b *strings.Builder) {
	b.WriteString("### Every injection\n\nThe slowdown is the one that the gate measured, of the test whose suspects count. Place is that of the right answer among the suspects.\n\n")
	table(b, 4, "injection", "what it does", "right answer", "first suspect", "slowdown", "place")
	for _, x := range r.Results {
		row(b, x.Name, x.What, x.right(), x.first(), x.size(), x.place())
	}
}

// right is the right answer in words.
func (x *Result) right() string {
	switch {
	case !x.Slower:
		return "nothing is slower"
	case x.Outside:
		return outsideWords
	}
	return "`" + strings.Join(x.Guilty, "`, `") + "`"
}

// outsideWords stand for a cause that is not in the change.
const outsideWords = "outside the change"

// name is a suspect in words.
func (s Suspect) name() string {
	switch {
	case s.Function == "":
		return outsideWords
	case s.Outside:
		return s.Function + ", " + outsideWords
	}
	return "`" + s.Function + "`"
}

// first is the first suspect, or why there is none.
func (x *Result) first() string {
	switch {
	case x.Runs == 0:
		return "–"
	case !x.Measured:
		line, _, _ := strings.Cut(x.Error, "\n")
		return "not measured: " + strings.ReplaceAll(line, "|", "/")
	case !x.Confirmed:
		return "not confirmed as slower"
	case len(x.Answer.Suspects) == 0:
		return "none: " + strings.ReplaceAll(x.Answer.Note, "|", "/")
	}
	s := x.Answer.Suspects[0]
	return fmt.Sprintf("%s (%.0f %%)", s.name(), 100*s.Confidence)
}

func (x *Result) size() string {
	if x.Answer == nil {
		return "–"
	}
	return fmt.Sprintf("%s %s", percent(x.Answer.Slowdown), x.Answer.Unit)
}

func (x *Result) place() string {
	switch {
	case x.Blamed:
		return "blamed in error"
	case !x.Confirmed || !x.Slower:
		return "–"
	case x.Place == 0:
		return "not named"
	}
	return fmt.Sprint(x.Place)
}

func percent(x float64) string { return fmt.Sprintf("%+.1f %%", 100*x) }

func of(r calibrate.Rate) string {
	if r.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d", r.K, r.N)
}

func share(r calibrate.Rate) string {
	if r.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*r.Share())
}

func interval(r calibrate.Rate) string {
	if r.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f–%.1f %%", 100*r.Lo, 100*r.Hi)
}

// atLeast says whether a rate reaches a limit, and atMost whether it stays below.
func atLeast(limit float64) func(calibrate.Rate) string {
	return func(x calibrate.Rate) string { return met(x.Lo >= limit, x.Hi < limit, x.Share() >= limit) }
}

func atMost(limit float64) func(calibrate.Rate) string {
	return func(x calibrate.Rate) string { return met(x.Hi <= limit, x.Lo > limit, x.Share() <= limit) }
}

// met puts into words where an interval lies, or else the rate itself.
func met(inside, outside, rate bool) string {
	switch {
	case inside:
		return "yes"
	case outside:
		return "no"
	case rate:
		return "so far"
	}
	return "not so far"
}
