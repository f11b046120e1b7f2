package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// Terminal writes the report that a person reads in a terminal: the headline,
// what changed, what could not be measured, how it was measured, and what to do
// next. The last line is Input.LastLine.
func Terminal(w io.Writer, in Input) error {
	t := terminal{Input: in}
	t.heading()
	t.rows()
	t.suspects()
	t.outcomes()
	t.baseline()
	t.list("warnings", in.Manifest.Warnings)
	t.list("waivers", in.waivers())
	t.method()
	t.next()
	t.line("%s", in.LastLine())
	_, err := w.Write(t.buf.Bytes())
	return err
}

type terminal struct {
	Input
	buf bytes.Buffer
}

func (t *terminal) line(format string, args ...any) {
	fmt.Fprintf(&t.buf, format+"\n", args...)
}

func (t *terminal) heading() {
	m := t.Manifest
	t.line("%s", t.paint(t.headline(), headlineColor[t.Verdict.Headline]))
	if m.Suite != "" {
		t.line("suite  %s", clean(m.Suite))
	}
	if s := t.shards(); s != "" {
		t.line("shard  %s", s)
	}
	base := revision(m.Base)
	if m.BaseReason != "" && m.BaseReason != m.Base.Ref {
		base += " (" + clean(m.BaseReason) + ")"
	}
	t.line("base   %s", base)
	t.line("head   %s", revision(m.Head))
	if m.AA {
		t.line("       both sides are the same source, measured as two: what differs below is noise")
	}
}

// rows prints the table and folds what is not in it.
func (t *terminal) rows() {
	shown, folded := t.split(t.Options.All)
	if len(shown) > 0 {
		t.line("")
		t.table(shown)
	}
	if len(folded) > 0 {
		t.line("")
		t.line("not shown: %s; --all shows them", t.folded(folded))
	}
}

// folded is the one line that stands for the rows not shown.
func (t *terminal) folded(rows []verdict.Row) string {
	byDecision := map[verdict.Decision][]verdict.Row{}
	for _, row := range rows {
		byDecision[row.Decision] = append(byDecision[row.Decision], row)
	}
	var parts []string
	for _, d := range decisionOrder {
		n := len(byDecision[d])
		if n == 0 {
			continue
		}
		part := fmt.Sprintf("%d %s", n, countWords[d])
		if d == verdict.Inconclusive {
			part += " (" + t.undecided(byDecision[d], clean) + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// table aligns the rows in columns. The likely cause has no room there: it stands
// below.
func (t *terminal) table(rows []verdict.Row) {
	cells := [][]string{{"benchmark", "unit", "base", "head", "change", "could see", "verdict"}}
	for _, row := range rows {
		c := row.Change
		base, head := sides(c)
		e := effectOf(c)
		cells = append(cells, []string{
			clean(t.benchmark(c.Test.Key)), clean(c.Test.Unit), base, head, e.text(), e.seenText(), t.decision(row),
		})
	}
	widths := columnWidths(cells)
	t.fit(cells, widths)
	for i, line := range cells {
		var b strings.Builder
		for col, cell := range line {
			last := col == len(line)-1
			switch {
			case last && i > 0:
				b.WriteString(t.paint(cell, decisionColor[rows[i-1].Decision]))
			case last:
				b.WriteString(cell)
			case col == 2 || col == 3:
				b.WriteString(pad(cell, widths[col]) + cell + "  ")
			default:
				b.WriteString(cell + pad(cell, widths[col]) + "  ")
			}
		}
		t.line("%s", strings.TrimRight(b.String(), " "))
		if i > 0 {
			t.rowWarnings(rows[i-1])
		}
	}
}

// fit shortens benchmark names in the middle where the table is wider than the
// terminal: their beginning says where they are, their end which case it is.
func (t *terminal) fit(cells [][]string, widths []int) {
	const nameMin = 16
	total := 2 * (len(widths) - 1)
	for _, width := range widths {
		total += width
	}
	if t.Options.Width == 0 || total <= t.Options.Width {
		return
	}
	widths[0] = max(nameMin, widths[0]-(total-t.Options.Width))
	for _, line := range cells {
		name := []rune(line[0])
		if len(name) > widths[0] {
			front := (widths[0] - 1) / 3
			line[0] = string(name[:front]) + "…" + string(name[len(name)-(widths[0]-1-front):])
		}
	}
}

// wrap breaks a line at spaces so that it fits into columns, where it can.
// Spaces at the front are kept in front of every part.
func wrap(line string, columns int) []string {
	text := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(text)]
	var parts []string
	for text != "" {
		end := len(text)
		if utf8.RuneCountInString(text) > columns {
			cut := len(string([]rune(text)[:columns+1]))
			if space := strings.LastIndexByte(text[:cut], ' '); space > 0 {
				end = space
			} else if space := strings.IndexByte(text, ' '); space > 0 {
				end = space
			}
		}
		parts = append(parts, indent+text[:end])
		text = strings.TrimLeft(text[end:], " ")
	}
	return parts
}

func columnWidths(cells [][]string) []int {
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for col, cell := range line {
			widths[col] = max(widths[col], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func pad(cell string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(cell)))
}

// decision is a row's verdict; one that does not count for the exit code says so.
func (t *terminal) decision(row verdict.Row) string {
	s := string(row.Decision)
	if row.Decision == verdict.Regressed && !row.Gating {
		s += " (not gating)"
	}
	if t.Options.All && row.Why != "" {
		s += ": " + clean(row.Why)
	}
	return s
}

func (t *terminal) rowWarnings(row verdict.Row) {
	for _, warning := range row.Change.Warnings {
		t.line("  note: %s", clean(warning))
	}
}

// What one outcome may print: lines, characters of a line, and columns at which a
// line is wrapped.
const (
	detailLinesMax = 12
	detailRunesMax = 1000
	detailColumns  = 110
)

// alike puts outcomes together that differ in the benchmark only, at the place of
// the first: what ends a budget early is one reason, however many it meets.
func alike(all []recording.Outcome) [][]recording.Outcome {
	var groups [][]recording.Outcome
	at := map[recording.Outcome]int{}
	for _, o := range all {
		what := o
		what.Key = recording.Key{}
		i, ok := at[what]
		if !ok {
			i = len(groups)
			at[what] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], o)
	}
	return groups
}

func (t *terminal) outcomes() {
	if len(t.Verdict.Outcomes) == 0 {
		return
	}
	t.line("")
	for _, same := range alike(t.Verdict.Outcomes) {
		o, names := same[0], make([]string, len(same))
		for i, other := range same {
			names[i] = clean(t.benchmark(other.Key))
		}
		where := ""
		if o.Side != "" {
			where = fmt.Sprintf(" (%s)", clean(string(o.Side)))
		}
		color := yellow
		if o.Kind == recording.Added || o.Kind == recording.Skipped {
			color = ""
		}
		head := clean(string(o.Kind))
		text := []string{head + ": " + names[0] + where}
		if len(names) > 1 {
			text = wrap(head+": "+strings.Join(names, ", ")+where, detailColumns)
		}
		for i, part := range text {
			if i == 0 {
				part = t.paint(head, color) + strings.TrimPrefix(part, head)
			}
			t.line("%s", part)
		}
		lines := strings.Split(strings.TrimRight(o.Detail, "\n"), "\n")
		for i, detail := range lines {
			if i == detailLinesMax {
				t.line("    … %s more", plural(len(lines)-i, "line"))
				break
			}
			for _, part := range wrap(visible(clip(strings.ReplaceAll(detail, "\t", "    "), detailRunesMax)), detailColumns) {
				t.line("    %s", part)
			}
		}
	}
}

func (t *terminal) baseline() {
	ref := t.Manifest.Baseline
	if ref == nil {
		return
	}
	t.line("")
	if ref.Unreachable {
		t.line("stored baseline: not compared: %s", clean(ref.Why))
		return
	}
	if ref.Path == "" {
		t.line("stored baseline: none: %s", clean(ref.Why))
		return
	}
	class := "same machine class"
	if !ref.SameClass {
		class = "another machine class, so only what holds on every machine is compared"
	}
	t.line("stored baseline: %s of %s, %s", clean(ref.Path), revision(recording.Revision{Commit: ref.Commit}), class)
	drift := t.Verdict.BaselineDrift
	t.line("  %s compared, %d %s", plural(len(ref.Checks), "exact metric"), len(drift), differ(len(drift)))
	if ref.Why != "" {
		t.line("  %s", clean(ref.Why))
	}
	for _, d := range drift {
		values := scale(d.Unit, d.Stored, d.Head)
		note := t.driftNote(d)
		if note != "" {
			note = " (" + note + ")"
		}
		t.line("  %s %s: stored %s, head %s%s", clean(t.benchmark(d.Key)), clean(d.Unit), values[0], values[1], note)
	}
}

// driftNote says whose the difference is, where the base side was measured too.
func (in Input) driftNote(d recording.BaselineCheck) string {
	switch {
	case in.gates(d):
		return "worse: policy fails it"
	case d.Base != nil && *d.Base == d.Head && in.Manifest.Base.Tree != in.Manifest.Head.Tree:
		return "so has base: older than this change"
	}
	return ""
}

func differ(n int) string {
	if n == 1 {
		return "differs"
	}
	return "differ"
}

func (t *terminal) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	t.line("")
	t.line("%s:", title)
	for _, line := range lines {
		t.line("  %s", clean(line))
	}
}

// method says where and how, and what it cost.
func (t *terminal) method() {
	m := t.Manifest
	t.line("")
	t.line("machine  %s", t.machine())
	for _, note := range m.Machine.Notes {
		t.line("         %s", clean(note))
	}
	if effort := t.effort(); effort != "" {
		t.line("method   %s", effort)
	}
	t.line("cost     %s", t.cost())
	if t.stored() {
		t.line("bundle   %s (sha256 %s)", visible(t.Path), shortHash(t.Hash))
	} else {
		t.line("bundle   not stored, so this report cannot be replayed")
	}
}

// stored: the bundle could be written, and has a hash.
func (t *terminal) stored() bool { return t.Hash != "" }

// next says which commands a reader is likely to want now.
func (t *terminal) next() {
	type step struct{ command, why string }
	var steps []step
	bundle := shellWord(t.Path)
	if t.stored() && !t.Options.All && len(t.pick(true)) > len(t.pick(false)) {
		steps = append(steps, step{"perfgate replay --all " + bundle, "every row"})
	}
	if t.stored() {
		steps = append(steps, step{"perfgate replay " + bundle, "this report again, from the bundle"})
	}
	if t.stored() && len(t.explained()) > 0 {
		steps = append(steps, step{"perfgate profile --bundle " + bundle, "which functions became slower, and a flame graph"})
	}
	if t.Manifest.AA {
		steps = append(steps, step{"perfgate local --base HEAD~1", "compare with the commit before"})
	}
	if len(steps) == 0 {
		return
	}
	width := 0
	for _, s := range steps {
		width = max(width, utf8.RuneCountInString(s.command))
	}
	t.line("")
	t.line("next:")
	for _, s := range steps {
		t.line("  %s%s  # %s", s.command, pad(s.command, width), s.why)
	}
}

// The colours, as ANSI sequences.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

var decisionColor = map[verdict.Decision]string{
	verdict.Regressed: red, verdict.Improved: green, verdict.Inconclusive: yellow, verdict.LayoutSensitive: yellow, verdict.Waived: yellow,
}

var headlineColor = map[verdict.Headline]string{
	verdict.SuiteRegressed: red, verdict.SuiteImproved: green, verdict.SuiteNotMeasured: yellow,
}

func (t *terminal) paint(s, color string) string {
	if !t.Options.Color || color == "" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}
