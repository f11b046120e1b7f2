package bottleneck

import (
	"errors"
	"fmt"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
)

// The lines of a page that the tables stand between.
const (
	pageBegin      = "<!-- bottlenecks: begin; written by `perfgate bottlenecks --page` -->"
	pageEnd        = "<!-- bottlenecks: end -->"
	catalogueBegin = "<!-- catalogue: begin; written by `perfgate bottlenecks --page` -->"
	catalogueEnd   = "<!-- catalogue: end -->"
)

// UpdatePage puts the tables of the report, and the catalogue, between the markers
// of a page.
func UpdatePage(page string, r *Report) (string, error) {
	page, err := between(page, pageBegin, pageEnd, r.Markdown())
	if err != nil {
		return "", err
	}
	return UpdateCatalogue(page)
}

// UpdateCatalogue puts only the catalogue into a page.
func UpdateCatalogue(page string) (string, error) {
	return between(page, catalogueBegin, catalogueEnd, CatalogueMarkdown())
}

func between(page, begin, end, text string) (string, error) {
	before, rest, ok1 := strings.Cut(page, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return "", errors.New("the page lacks the lines that the tables stand between: " + begin + " and " + end)
	}
	return before + begin + "\n\n" + text + "\n" + end + after, nil
}

// Markdown is the ranked list, what was measured, and the evidence of each entry.
func (r *Report) Markdown() string {
	var b strings.Builder
	r.markdownHead(&b)
	b.WriteString("| # | bottleneck | throughput at most | how large | per operation | proposal |\n|---:|---|---:|---|---|---|\n")
	for _, e := range r.Entries {
		f := e.Findings[0]
		row(&b, fmt.Sprint(e.Rank), fmt.Sprintf("%s<br>`%s`", cell(e.Title), cell(e.ID)), times(e.Bound), f.size(), f.perOp(), cell(e.Remedy))
	}
	if r.Dropped > 0 {
		fmt.Fprintf(&b, "\n%d more would each bring less than 0.5 %%.\n", r.Dropped)
	}
	b.WriteString("\n### What was measured\n")
	for _, a := range r.Benchmarks {
		a.markdown(&b)
	}
	b.WriteString("\n### Evidence\n")
	for _, e := range r.Entries {
		e.markdown(&b)
	}
	return b.String()
}

func (r *Report) markdownHead(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n\n", cell(strings.Join(nonEmpty(r.Module, r.Commit, r.Toolchain, r.Machine), ", ")))
	for _, n := range append(append([]string{}, r.Notes...), r.Warnings...) {
		fmt.Fprintf(b, "- %s\n", cell(n))
	}
	if len(r.Notes)+len(r.Warnings) > 0 {
		b.WriteByte('\n')
	}
	if r.Command != "" {
		fmt.Fprintf(b, "```console long\n$ %s\n```\n\n", r.Command)
	}
}

func (a *Analysis) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n**%s**: %s.\n", cell(a.Title()), strings.Join(a.figures(), ", "))
	markdownRows(b, "cause (CPU only)", a.Causes, false)
	markdownRows(b, "package, with its part of garbage collection", a.Packages, true)
	markdownRows(b, "module of the program, by profiler label", a.Labels, true)
	markdownRows(b, "function", a.Functions, true)
	a.markdownWaits(b)
	a.markdownStations(b)
}

func (a *Analysis) markdownStations(b *strings.Builder) {
	if len(a.Stations) == 0 {
		return
	}
	b.WriteString("\n| station | busy | demand per op | service | queue | residence | op/s at most | CPU per op | op/s at most by CPU |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, s := range a.Stations {
		busy, queue, most := "–", "–", "–"
		if s.Utilisation != nil {
			busy = percent(*s.Utilisation)
		}
		if s.Queue != nil {
			queue = plain(*s.Queue)
		}
		if s.ThroughputMaxCPU != nil {
			most = plain(*s.ThroughputMaxCPU)
		}
		row(b, cell(s.Name), busy, per(&s.DemandNanos, profdiff.Time), per(s.ServiceNanos, profdiff.Time), queue, per(s.ResidenceNanos, profdiff.Time),
			plain(s.ThroughputMax), per(s.CPUNanos, profdiff.Time), most)
	}
}

// pageRows is how many rows of a table a page has.
const pageRows = 12

func markdownRows(b *strings.Builder, title string, rows []Row, amounts bool) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| %s | share of CPU |", title)
	if amounts {
		b.WriteString(" allocated per op |")
	}
	b.WriteString("\n|---|---:|")
	if amounts {
		b.WriteString("---:|")
	}
	b.WriteByte('\n')
	for _, r := range rows[:min(len(rows), pageRows)] {
		cells := []string{cell(r.Name), percent(r.Share)}
		if amounts && r.Bytes != nil {
			cells = append(cells, fmt.Sprintf("%s, %s", profdiff.Format(r.Bytes.Value, profdiff.Bytes), profdiff.Format(r.Objects.Value, profdiff.Objects)))
		} else if amounts {
			cells = append(cells, "–")
		}
		row(b, cells...)
	}
}

func (a *Analysis) markdownWaits(b *strings.Builder) {
	if len(a.Waits) == 0 {
		return
	}
	b.WriteString("\n| who waits, or makes others wait | cause | waiting per op | waiting on average |\n|---|---|---:|---:|\n")
	for _, w := range a.Waits[:min(len(a.Waits), pageRows)] {
		at := "–"
		if w.Waiting != nil {
			at = plain(*w.Waiting)
		}
		id, _, _ := strings.Cut(w.ID, "@")
		row(b, cell(w.Function), find(Waiting, id).Title, per(&w.Nanos, profdiff.Time), at)
	}
}

func (e Entry) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n**%d. %s** (`%s`), at most %s\n\n", e.Rank, cell(e.Title), cell(e.ID), times(e.Bound))
	for _, f := range e.Findings {
		fmt.Fprintf(b, "- %s: %s, %s per op", cell(f.Benchmark), f.size(), f.perOp())
		if f.OfCollector != nil && f.OfCollector.Value >= .0005 {
			fmt.Fprintf(b, ", of which garbage collection %s", percent(*f.OfCollector))
		}
		if len(f.Functions) > 0 {
			fmt.Fprintf(b, "; in %s", cell(partsText(f.Functions)))
		}
		if len(f.Callers) > 0 {
			fmt.Fprintf(b, "; for %s", cell(partsText(f.Callers)))
		}
		fmt.Fprintf(b, ". Half of it: at most %s.\n", times(f.halved()))
	}
	fmt.Fprintf(b, "- Recognised by: %s.\n- Proposal: %s. To expect: %s.\n", e.Signs, e.Remedy, e.Expect)
	if e.Evidence != "" {
		fmt.Fprintf(b, "\n```console long\n$ %s\n```\n", e.Evidence)
	}
	fmt.Fprintf(b, "\n```sh\n%s\n```\n", e.Check)
}

// CatalogueMarkdown is the catalogue as a table.
func CatalogueMarkdown() string {
	var b strings.Builder
	b.WriteString("| cause | recognised by | proposal | to expect |\n|---|---|---|---|\n")
	for _, c := range append(append([]Cause{}, Catalogue...), Waiting...) {
		row(&b, fmt.Sprintf("%s (`%s`)", c.Title, c.ID), c.Signs, c.Remedy, c.Expect)
	}
	return b.String()
}

func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// cell makes a name from a profile harmless in a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "`", "'", "<", "&lt;", "*", "\\*", "_", "\\_").Replace(s)
}
