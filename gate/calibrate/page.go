package calibrate

import (
	"errors"
	"fmt"
	"strings"
)

// The page's tables stand between these lines.
const (
	pageBegin = "<!-- calibration: begin; written by `perfgate calibrate --report` -->"
	pageEnd   = "<!-- calibration: end -->"
)

// UpdatePage puts the tables of reports between the markers of a page.
func UpdatePage(page string, reports []*Report) (string, error) {
	before, rest, ok1 := strings.Cut(page, pageBegin)
	_, after, ok2 := strings.Cut(rest, pageEnd)
	if !ok1 || !ok2 {
		return "", errors.New("the page lacks the lines that the tables stand between: " + pageBegin + " and " + pageEnd)
	}
	return before + pageBegin + "\n\n" + Tables(reports) + "\n" + pageEnd + after, nil
}

// Tables are the reports in Markdown.
func Tables(reports []*Report) string {
	if len(reports) == 0 {
		return "No session is recorded yet.\n"
	}
	var parts []string
	for _, r := range reports {
		parts = append(parts, r.markdown())
	}
	return strings.Join(parts, "\n")
}

func (r *Report) markdown() string {
	var b strings.Builder
	suite := r.Suite
	if suite == "" {
		suite = "benchmarks"
	}
	fmt.Fprintf(&b, "## %s of %s, %s, on %s\n\n", suite, r.Module, map[string]string{"corun": "co-run and exact channels", "all": "all channels"}[r.Channel], r.Class)
	fmt.Fprintf(&b, "%s; %s cores, %s, %s. Sessions from %s to %s, of commit %s.", r.Machine["cpu"], r.Machine["cores"], r.Machine["go"], r.Machine["virtualization"],
		r.From, r.To, shortened(r.Commits))
	if r.Bench != "" {
		fmt.Fprintf(&b, " Only benchmarks that match `%s`.", r.Bench)
	}
	b.WriteString("\n\n")
	r.alarms(&b)
	r.power(&b)
	r.cost(&b)
	r.benchmarks(&b)
	r.rules(&b)
	r.replayed(&b)
	return b.String()
}

func shortened(commits []string) string {
	var short []string
	for _, c := range commits {
		short = append(short, c[:min(7, len(c))])
	}
	return strings.Join(short, ", ")
}

// table writes a table's head: the first column to the left, the others to the
// right.
func table(b *strings.Builder, head ...string) {
	row(b, head...)
	b.WriteString("|---" + strings.Repeat("|---:", len(head)-1) + "|\n")
}

func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// of is "3 of 50".
func of(r Rate) string { return fmt.Sprintf("%d of %d", r.K, r.N) }

// interval is "0.0–7.1 %".
func interval(r Rate) string { return fmt.Sprintf("%.1f–%.1f %%", 100*r.Lo, 100*r.Hi) }

// share is "94 % (88–98)", or a dash where nothing was tried.
func share(r Rate) string {
	if r.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %% (%.0f–%.0f)", 100*r.Share(), 100*r.Lo, 100*r.Hi)
}

func (r *Report) alarms(b *strings.Builder) {
	b.WriteString("### False alarms\n\nSuites in which an unchanged benchmark was called slower or faster, with the 95 % interval.\n\n")
	table(b, "sessions", "slower", "interval", "before relinked layouts", "faster", "interval", "not measurable", "cut by the budget")
	for _, s := range r.Series {
		if s.Kind != Injected {
			row(b, s.Series.String(), of(s.Regressed), interval(s.Regressed), fmt.Sprint(s.First.K), fmt.Sprint(s.Improved.K), interval(s.Improved), fmt.Sprint(s.Voided), fmt.Sprint(s.OutOfTime))
		}
	}
	b.WriteString("\n")
	for _, s := range r.Series {
		if s.Kind != Injected {
			fmt.Fprintf(b, "What the %s sessions support: a rate of false alarms of at most %.1f %% of suites, wrong with a chance of 5 %% at most.\n", s.Series, 100*s.Bound)
		}
	}
	fmt.Fprintf(b, "\"At most 1 %%\" may be claimed after 0 alarms in %d sessions.\n\n", r.ZerosForOnePercent)
}

func (r *Report) power(b *strings.Builder) {
	b.WriteString("### Slowdowns of known size\n\nTests of CPU time in the co-run, half of the suite slowed in each session, with the 95 % interval as if tests were independent.\n\n")
	table(b, "injected", "sessions", "tests", "measured", "found", "passed", "inconclusive", "taken back", "called faster", "cannot take it", "unchanged called slower")
	for _, s := range r.Series {
		if s.Kind == Injected {
			row(b, fmt.Sprintf("%d %%", s.Percent), fmt.Sprint(s.Suites), fmt.Sprint(s.Found.N), fmt.Sprintf("%+.1f %%", 100*s.Measured), share(s.Found), share(s.Passed), share(s.Inconclusive),
				fmt.Sprint(s.TakenBack.K), fmt.Sprint(s.Better.K), fmt.Sprint(s.NotInjectable), of(s.Unchanged))
		}
	}
	b.WriteString("\nMeasured is the median change over the tests. By default a pass says that there is no slowdown of 4 % or more: it is wrong at 5 and 10 %, and\n" +
		"right at 1 to 3 %, which the default target does not ask about.\n\n")
}

func (r *Report) cost(b *strings.Builder) {
	b.WriteString("### Cost\n\nMedians. A verdict's CPU-seconds are the exact runs and the pairs up to the decision; a session's are all processes, with planning,\n" +
		"canaries, relinked layouts and the pairs that were taken for other rules only.\n\n")
	table(b, "sessions", "pairs a verdict", "CPU-seconds a verdict", "CPU-seconds a session", "wall seconds a session")
	for _, s := range r.Series {
		row(b, s.Series.String(), fmt.Sprintf("%.0f", s.Pairs), fmt.Sprintf("%.2f", s.CPUSeconds), fmt.Sprintf("%.0f", s.SuiteCPU), fmt.Sprintf("%.0f", s.SuiteWall))
	}
	b.WriteString("\n")
}

func (r *Report) benchmarks(b *strings.Builder) {
	b.WriteString("### By benchmark\n\nFound, of the sessions with that slowdown; a dash where a run has too few operations to take it.\n\n")
	head := []string{"benchmark", "operations", "pair deviation", "pairs", "CPU-seconds", "false alarms", "inconclusive"}
	for _, p := range Percents {
		head = append(head, fmt.Sprintf("%d %%", p))
	}
	table(b, head...)
	for _, x := range r.Benchmarks {
		cells := []string{x.Name, fmt.Sprintf("%.0f", x.N), fmt.Sprintf("%.1f %%", 100*x.Deviation), fmt.Sprintf("%.0f", x.Pairs), fmt.Sprintf("%.2f", x.CPUSeconds), of(x.Alarms), of(x.Undecided)}
		for _, p := range Percents {
			cell := "–"
			if f, ok := x.Found[p]; ok {
				cell = of(f)
			}
			cells = append(cells, cell)
		}
		row(b, cells...)
	}
	b.WriteString("\n")
	if worst := r.Worst(5); len(worst) > 0 {
		w := worst[0]
		fmt.Fprintf(b, "The worst at 5 %%: %s, found in %s (%s), wrongly passed in %d; pair deviation %.1f %%.\n\n",
			w.Name, of(w.Found[5]), interval(w.Found[5]), w.Passed[5].K, 100*w.Deviation)
	}
}

func (r *Report) rules(b *strings.Builder) {
	b.WriteString("### The rules of other tools on the same runs\n\nA suite counts as an alarm where some unchanged benchmark is called slower; found is by test. The runs are fresh processes, interleaved,\n" +
		"the first n of each side.\n\n")
	head := []string{"rule", "suites with a false alarm", "interval"}
	for _, p := range Percents {
		head = append(head, fmt.Sprintf("%d %% found", p))
	}
	table(b, head...)
	for _, x := range r.Rules {
		cells := []string{x.Name, of(x.Alarms), interval(x.Alarms)}
		for _, p := range Percents {
			cells = append(cells, share(x.Found[p]))
		}
		row(b, cells...)
	}
	b.WriteString("\n")
}

// edge says what decides differently only since ratios are kept to some digits.
func (r *Report) edge() string {
	if r.Edge == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d on the edge of a decision when the last digit that is kept of the ratios is taken into account", r.Edge)
}

func (r *Report) replayed(b *strings.Builder) {
	fmt.Fprintf(b, "### Replay and bootstrap\n\nReplayed from the recorded ratios in their true order, %s tests are decided as they were%s.\n"+
		"Neighbouring ratios of one benchmark have an autocorrelation of %.2f (without any it would be about −1 / pairs).\n\n", of(r.Replay), r.edge(), r.Autocorrelation)
	b.WriteString("Bootstrap (not new measurements: suites drawn from the recorded ratios, in blocks, decided by the same rule without relinked layouts).\n\n")
	table(b, "drawn from", "seed", "pairs a block", "suites", "slower", "faster", "tests", "found", "passed", "inconclusive")
	for _, x := range r.Bootstrap {
		row(b, x.Series.String(), fmt.Sprint(x.Seed), fmt.Sprint(x.Block), fmt.Sprint(x.Suites), fmt.Sprint(x.Regressed), fmt.Sprint(x.Improved), fmt.Sprint(x.Tests),
			percentOf(x.Found, x.Tests), percentOf(x.Passed, x.Tests), percentOf(x.Inconclusive, x.Tests))
	}
}

func percentOf(k, n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(k)/float64(n))
}
