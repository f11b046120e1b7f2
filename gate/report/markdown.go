package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// markdownBytesMax bounds a comment: the host takes 65,536 characters, and
// bytes are never fewer than characters. Whole rows are dropped, and counted.
const markdownBytesMax = 60_000

// Markdown writes the comment on a pull request: the headline with what to do,
// what was confirmed, and everything else folded. Nothing confirmed: two lines.
func Markdown(w io.Writer, in Input) error {
	md := markdown{Input: in}
	md.line("### perfgate: %s", md.headline())
	if md.quiet() {
		md.line("")
		md.line("%s %s; bundle %s.", md.action(), md.scope(), code(shortHash(in.Hash)))
	} else {
		md.loud()
	}
	_, err := w.Write(md.buf.Bytes())
	return err
}

type markdown struct {
	Input
	buf bytes.Buffer
}

func (md *markdown) line(format string, args ...any) {
	fmt.Fprintf(&md.buf, format+"\n", args...)
}

// quiet: nothing was confirmed, and nothing is missing.
func (md *markdown) quiet() bool {
	return len(md.pick(false)) == 0 && len(md.Verdict.Outcomes) == 0 && len(md.Verdict.BaselineDrift) == 0 &&
		md.Verdict.Exit == verdict.ExitPass
}

func (md *markdown) loud() {
	md.line("")
	md.line("%s %s.", md.action(), md.scope())
	md.table(md.pick(false))
	md.counters()
	md.fold("not measured, and what would fix it", md.outcomeTable(md.notMeasured()))
	md.fold("added and skipped benchmarks", md.outcomeTable(md.harmless()))
	md.fold("drift against the stored baseline", md.driftTable())
	md.fold("waivers", md.waiverLines())
	md.fold("how to reproduce", md.reproduce())
	md.fold("method and versions", md.methodLines())
	md.allRows()
}

// action is what the reader of the comment is asked to do.
func (md *markdown) action() string {
	switch md.Verdict.Headline {
	case verdict.SuiteRegressed:
		if md.Verdict.Exit == verdict.ExitPass {
			return "Slower, but by policy no reason to fail."
		}
		return "Please make the rows below as fast as base again."
	case verdict.SuiteNotMeasured:
		return "No verdict: please fix what kept benchmarks from being measured."
	case verdict.SuiteImproved:
		return "Faster: no action needed."
	}
	if n := md.Verdict.Counts[verdict.Inconclusive]; n > 0 {
		return fmt.Sprintf("No regression found; %d of %d comparisons could not be decided.", n, len(md.Verdict.Rows))
	}
	return "No action needed."
}

func (md *markdown) scope() string {
	m := md.Manifest
	suite := "All benchmarks"
	if m.Suite != "" {
		suite = "Suite " + code(m.Suite)
	}
	if s := md.shards(); s != "" {
		suite += " (" + s + ")"
	}
	return fmt.Sprintf("%s, base %s against head %s", suite, code(revision(m.Base)), code(revision(m.Head)))
}

func (md *markdown) table(rows []verdict.Row) {
	if len(rows) == 0 {
		return
	}
	md.line("")
	md.line("%s", tableHead)
	for _, row := range rows {
		line := md.row(row)
		if md.buf.Len()+len(line) > markdownBytesMax/2 {
			md.line("")
			md.line("More rows changed than fit here; %s has them all.", code("perfgate replay BUNDLE"))
			return
		}
		md.line("%s", line)
	}
}

const tableHead = "| benchmark | unit | base | head | change | could see | verdict |\n|---|---|--:|--:|--:|--:|---|"

func (md *markdown) row(row verdict.Row) string {
	c := row.Change
	base, head := sides(c)
	e := effectOf(c)
	decision := string(row.Decision)
	if row.Decision == verdict.Regressed {
		decision = "**regressed**"
		if !row.Gating {
			decision += " (not gating)"
		}
	}
	return "| " + strings.Join([]string{
		code(md.benchmark(c.Test.Key)), code(c.Test.Unit), base, head, e.text(), e.seenText(), decision}, " | ") + " |"
}

// counters are the exact metrics in one line.
func (md *markdown) counters() {
	n := map[compare.ExactState]int{}
	for _, row := range md.Verdict.Rows {
		if x := row.Change.Exact; x != nil && x.Runs > 0 {
			n[x.State]++
		}
	}
	same := n[compare.Same] + n[compare.Tolerated]
	if same+n[compare.Rise]+n[compare.Fall]+n[compare.Disagree] == 0 {
		return
	}
	md.line("")
	md.line("Exact counters: %d worse, %d better, %d the same, %d that do not repeat.",
		n[compare.Rise], n[compare.Fall], same, n[compare.Disagree])
}

// fold adds a folded section, where there is anything to fold.
func (md *markdown) fold(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	const closing = "\n</details>"
	body := strings.Join(lines, "\n")
	if md.buf.Len()+len(body)+len(title)+len(closing) > markdownBytesMax {
		md.line("\n%s: too long for a comment; the report in the terminal has it.", title)
		return
	}
	md.line("\n<details><summary>%s</summary>\n\n%s\n%s", title, body, closing)
}

func (md *markdown) harmless() []recording.Outcome {
	var rest []recording.Outcome
	for _, o := range md.Verdict.Outcomes {
		if o.Kind == recording.Added || o.Kind == recording.Skipped {
			rest = append(rest, o)
		}
	}
	return rest
}

// outcomesMax bounds a table of outcomes: at most 500 bytes each.
const outcomesMax = 30

func (md *markdown) outcomeTable(outcomes []recording.Outcome) []string {
	if len(outcomes) == 0 {
		return nil
	}
	lines := []string{"| benchmark | side | what | detail |", "|---|---|---|---|"}
	for i, o := range outcomes {
		if i == outcomesMax {
			return append(lines, "", fmt.Sprintf("and %d more.", len(outcomes)-i))
		}
		detail := strings.ReplaceAll(strings.TrimSpace(o.Detail), "\n", " / ")
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s |",
			code(md.benchmark(o.Key)), code(string(o.Side)), code(string(o.Kind)), code(detail)))
	}
	return lines
}

func (md *markdown) driftTable() []string {
	if len(md.Verdict.BaselineDrift) == 0 || md.Manifest.Baseline == nil {
		return nil
	}
	lines := []string{
		fmt.Sprintf("Stored baseline %s of %s.", code(md.Manifest.Baseline.Path), code(revision(recording.Revision{Commit: md.Manifest.Baseline.Commit}))),
		"", "| benchmark | unit | stored | head |", "|---|---|--:|--:|",
	}
	for i, d := range md.Verdict.BaselineDrift {
		if i == outcomesMax {
			return append(lines, "", fmt.Sprintf("and %d more.", len(md.Verdict.BaselineDrift)-i))
		}
		values := scale(d.Unit, d.Stored, d.Head)
		fails := ""
		if md.gates(d) {
			fails = " (fails)"
		}
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s%s |", code(md.benchmark(d.Key)), code(d.Unit), values[0], values[1], fails))
	}
	return lines
}

func (md *markdown) reproduce() []string {
	return []string{
		"- the verdict from the recorded samples: " + code("perfgate replay BUNDLE"),
		"- measured again: " + code("perfgate local --base "+shellWord(md.Manifest.Base.Commit)),
	}
}

func (md *markdown) waiverLines() []string {
	var lines []string
	for _, w := range md.waivers() {
		lines = append(lines, "- "+code(w))
	}
	return lines
}

func (md *markdown) methodLines() []string {
	m := md.Manifest
	lines := []string{"- machine: " + code(md.machine())}
	for _, note := range m.Machine.Notes {
		lines = append(lines, "- note: "+code(note))
	}
	for _, warning := range m.Warnings {
		lines = append(lines, "- warning: "+code(warning))
	}
	if effort := md.effort(); effort != "" {
		lines = append(lines, "- method: "+effort)
	}
	return append(lines,
		"- cost: "+md.cost(),
		"- versions: "+code(m.Tool)+", "+code(m.Toolchain),
		"- bundle: "+code(md.Hash))
}

// allRows comes last, and takes the room that is left.
func (md *markdown) allRows() {
	if len(md.Verdict.Rows) == 0 {
		return
	}
	const closing = 200 // the line that counts what was dropped, and the closing tag
	lines, size := []string{tableHead}, len(tableHead)
	for i, row := range md.Verdict.Rows {
		line := md.row(row)
		size += len(line) + 1
		if md.buf.Len()+size+closing > markdownBytesMax {
			lines = append(lines, "", fmt.Sprintf("and %d more rows.", len(md.Verdict.Rows)-i))
			break
		}
		lines = append(lines, line)
	}
	md.fold("all rows", lines)
}
