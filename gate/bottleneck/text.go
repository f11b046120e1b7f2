package bottleneck

import (
	"fmt"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
)

// Options choose what is shown.
type Options struct {
	// All shows every row of every table.
	All bool
}

// rowsShown is how many rows of a table are shown to a person who did not ask for
// all.
const rowsShown = 8

func (o Options) rows(n int) int {
	if o.All {
		return n
	}
	return min(n, rowsShown)
}

// Text is the report for a terminal.
func (r *Report) Text(o Options) string {
	var b strings.Builder
	r.textHead(&b)
	if len(r.Entries) == 0 {
		b.WriteString("no bottleneck is worth a name: each would bring less than 0.5 %\n")
	}
	for _, e := range r.Entries {
		e.text(&b)
	}
	if r.Dropped > 0 {
		fmt.Fprintf(&b, "%d more would each bring less than 0.5 %%\n", r.Dropped)
	}
	for _, a := range r.Benchmarks {
		a.text(&b, o)
	}
	b.WriteString("\nA bound is what the throughput gains at most if all of the entry goes; its interval is of 95 %.\n")
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

func (r *Report) textHead(b *strings.Builder) {
	fmt.Fprintf(b, "bottlenecks of %s\n", strings.Join(nonEmpty(r.Module, r.Commit, r.Toolchain, r.Machine), ", "))
	for _, n := range r.Notes {
		fmt.Fprintf(b, "note: %s\n", n)
	}
	b.WriteByte('\n')
}

func nonEmpty(words ...string) []string {
	var kept []string
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return kept
}

func (e Entry) text(b *strings.Builder) {
	fmt.Fprintf(b, "%2d  %s  %s  [%s]\n", e.Rank, times(e.Bound), e.Title, e.ID)
	for _, f := range e.Findings {
		fmt.Fprintf(b, "      %s: %s, %s per op\n", f.Benchmark, f.size(), f.perOp())
		if f.OfCollector != nil && f.OfCollector.Value >= .0005 {
			fmt.Fprintf(b, "        of that, garbage collection %s\n", percent(*f.OfCollector))
		}
		if len(f.Functions) > 0 {
			fmt.Fprintf(b, "        in  %s\n", partsText(f.Functions))
		}
		if len(f.Callers) > 0 {
			fmt.Fprintf(b, "        for %s\n", partsText(f.Callers))
		}
	}
	fmt.Fprintf(b, "      -> %s\n", e.Remedy)
}

func partsText(parts []Part) string {
	var words []string
	for _, p := range parts {
		words = append(words, fmt.Sprintf("%s %.1f %%", p.Name, 100*p.Share.Value))
	}
	return strings.Join(words, ", ")
}

// TextEntry is one entry with everything that is known of it.
func (r *Report) TextEntry(e Entry) string {
	var b strings.Builder
	r.textHead(&b)
	e.text(&b)
	fmt.Fprintf(&b, "      recognised by: %s\n      to expect:     %s\n", e.Signs, e.Expect)
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "      half of it in %s: at most %s\n", f.Benchmark, times(f.halved()))
	}
	fmt.Fprintf(&b, "      with stock tools:\n        %s\n", e.Check)
	return b.String()
}

// halved is the bound of removing half of a finding.
func (f Finding) halved() Interval {
	if f.Share == nil {
		return Interval{Value: halfway(f.Bound.Value), Lo: halfway(f.Bound.Lo), Hi: halfway(f.Bound.Hi)}
	}
	return amdahl(Interval{Value: f.Share.Value / 2, Lo: f.Share.Lo / 2, Hi: f.Share.Hi / 2})
}

// halfway is Amdahl's bound for half of the time that leads to a bound.
func halfway(bound float64) float64 { return without((1 - 1/bound) / 2) }

func (a *Analysis) text(b *strings.Builder, o Options) {
	fmt.Fprintf(b, "\n%s: %s\n", a.Title(), strings.Join(a.figures(), ", "))
	textRows(b, "cause", a.Causes, o)
	textRows(b, "package", a.Packages, o)
	textRows(b, "module", a.Labels, o)
	textRows(b, "function", a.Functions, o)
	for i, w := range a.Waits[:o.rows(len(a.Waits))] {
		if i == 0 {
			fmt.Fprintf(b, "  %-10s %-44s %s\n", "waiting", "", "per op, and how many wait on average")
		}
		at := "–"
		if w.Waiting != nil {
			at = plain(*w.Waiting)
		}
		fmt.Fprintf(b, "  %-10s %-44s %s, %s\n", strings.SplitN(w.ID, "@", 2)[0], w.Function, per(&w.Nanos, profdiff.Time), at)
	}
	for _, s := range a.Stations {
		fmt.Fprintf(b, "  station    %s\n", s.text())
	}
}

// figures are what is known of the benchmark as a whole.
func (a *Analysis) figures() []string {
	words := []string{
		fmt.Sprintf("%d replicates of %d operations", a.Replicates, a.Operations), fmt.Sprintf("%d CPU samples", a.Samples),
		per(a.Whole.CPUNanos, profdiff.Time) + " of CPU per op",
	}
	if a.Throughput != nil {
		words = append(words, fmt.Sprintf("%.0f op/s", a.Throughput.Value))
	}
	if a.Utilisation != nil {
		words = append(words, "cores busy "+percent(*a.Utilisation))
	}
	words = append(words, "garbage collection "+percent(a.Collector))
	if a.Load.Value > 0 {
		words = append(words, "the load itself "+percent(a.Load))
	}
	return words
}

func textRows(b *strings.Builder, title string, rows []Row, o Options) {
	for i, row := range rows[:o.rows(len(rows))] {
		label := ""
		if i == 0 {
			label = title
		}
		fmt.Fprintf(b, "  %-10s %-44s %s", label, row.Name, percent(row.Share))
		if row.Bytes != nil && row.Bytes.Value >= 1 {
			fmt.Fprintf(b, ", %s and %s per op", profdiff.Format(row.Bytes.Value, profdiff.Bytes), profdiff.Format(row.Objects.Value, profdiff.Objects))
		}
		if row.MutexNanos != nil && row.MutexNanos.Value >= 1 {
			fmt.Fprintf(b, ", %s of waiting for its locks", profdiff.Format(row.MutexNanos.Value, profdiff.Time))
		}
		b.WriteByte('\n')
	}
}

// text is a station in one line.
func (s Station) text() string {
	words := []string{s.Name, fmt.Sprintf("demand %s per op", per(&s.DemandNanos, profdiff.Time))}
	if s.Utilisation != nil {
		words = append(words, "busy "+percent(*s.Utilisation))
	}
	if s.ServiceNanos != nil {
		words = append(words, "service "+per(s.ServiceNanos, profdiff.Time))
	}
	if s.Queue != nil {
		words = append(words, "queue "+plain(*s.Queue))
	}
	if s.ResidenceNanos != nil {
		words = append(words, "residence "+per(s.ResidenceNanos, profdiff.Time))
	}
	words = append(words, fmt.Sprintf("at most %.0f op/s", s.ThroughputMax.Value))
	if s.CPUNanos != nil {
		words = append(words, fmt.Sprintf("CPU %s per op, which is at most %.0f op/s", per(s.CPUNanos, profdiff.Time), s.ThroughputMaxCPU.Value))
	}
	return strings.Join(words, ", ")
}
