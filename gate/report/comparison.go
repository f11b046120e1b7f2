package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/verdict"
)

// Comparison is two benchmark files side by side, as benchstat shows them, with
// the correction over the whole table.
type Comparison struct {
	Table   *compare.Table
	Verdict verdict.TableVerdict
	// Timed: times count for the verdict (both sides come from one session, or
	// the user says so by giving plain files).
	Timed bool
	// Notes are said ahead of the tables.
	Notes []string
}

// Words are the verdict in the words of the last line. Where no row could have
// shown a change, "no change" would claim too much.
func (c Comparison) Words() string {
	v := c.Verdict
	gated := v.Counts[verdict.Regressed] + v.Counts[verdict.Improved] + v.Counts[verdict.Pass] + v.Counts[verdict.Inconclusive]
	switch {
	case v.Headline != verdict.SuiteNoChange:
		return string(v.Headline)
	case gated == 0:
		return "nothing gated"
	case v.Blind == gated:
		return "inconclusive: too few samples for any change to show"
	}
	return "no significant change"
}

// LastLine is the last line on standard output.
func (c Comparison) LastLine() string {
	return fmt.Sprintf("verdict: %s (exit %d)", c.Words(), c.Verdict.Exit)
}

// hints are what a reader has to know to read the verdict.
func (c Comparison) hints() []string {
	hints := append([]string(nil), c.Notes...)
	if n := c.Verdict.Blind; n > 0 {
		hints = append(hints, fmt.Sprintf("%s cannot show any change after the correction over the table: take more samples (go test -count=10 or more)", plural(n, "row")))
	}
	const shown = 10
	for i, name := range c.Verdict.Missing {
		if i == shown {
			hints = append(hints, fmt.Sprintf("and %d more", len(c.Verdict.Missing)-i))
			break
		}
		hints = append(hints, "missing from "+c.Table.Names[1]+": "+name)
	}
	return hints
}

// mark is the word behind a row that counts.
func (c Comparison) mark(g compare.Group, row compare.FileRow) string {
	if !row.Compared {
		return ""
	}
	switch d := verdict.DecideFileRow(c.Table, g, row, c.Timed); d {
	case verdict.Regressed, verdict.Improved:
		return string(d)
	}
	return ""
}

// ComparisonText writes benchstat's table with two columns more: p corrected
// over all rows of all tables, and the decision.
func ComparisonText(w io.Writer, c Comparison) error {
	var buf bytes.Buffer
	for _, hint := range c.hints() {
		fmt.Fprintf(&buf, "note: %s\n", visible(hint))
	}
	if buf.Len() > 0 {
		fmt.Fprintln(&buf)
	}
	shown := map[string]string{}
	for _, g := range c.Table.Groups {
		for _, line := range g.Config {
			name, value, _ := strings.Cut(line, ": ")
			if old, ok := shown[name]; !ok || old != value {
				fmt.Fprintln(&buf, clean(line))
			}
			shown[name] = value
		}
		c.group(&buf, g)
		fmt.Fprintln(&buf)
	}
	fmt.Fprintln(&buf, c.LastLine())
	_, err := w.Write(buf.Bytes())
	return err
}

// group writes one table. Warnings are footnotes below it.
func (c Comparison) group(buf *bytes.Buffer, g compare.Group) {
	notes := &footnotes{}
	names, units := c.columnTitles(g)
	cells := append([][]string{names, units}, c.cells(g, notes)...)
	widths := columnWidths(cells)
	for _, line := range cells {
		var b strings.Builder
		for col, cell := range line {
			b.WriteString(cell + pad(cell, widths[col]) + "  ")
		}
		fmt.Fprintln(buf, strings.TrimRight(b.String(), " "))
	}
	for i, note := range notes.texts {
		fmt.Fprintf(buf, "%s %s\n", superscript(i+1), clean(note))
	}
}

// columnTitles are the two lines above the columns: the files and the units.
func (c Comparison) columnTitles(g compare.Group) (names, units []string) {
	names, units = []string{""}, []string{""}
	for i, file := range g.Files {
		names, units = append(names, clean(c.Table.Names[file])), append(units, clean(g.Unit))
		if i == 1 {
			names, units = append(names, "", "", ""), append(units, "vs base", "corrected", "")
		}
	}
	return names, units
}

func (c Comparison) cells(g compare.Group, notes *footnotes) [][]string {
	var lines [][]string
	for _, row := range g.Rows {
		line := []string{clean(row.Name)}
		for i, file := range g.Files {
			cell := row.Cells[file]
			if cell == nil {
				line = append(line, "")
			} else {
				line = append(line, fmt.Sprintf("%s ± %s%s", scaleOne(g.Unit, cell.Center), cell.Range, notes.add(cell.Warnings)))
			}
			if i == 1 {
				line = append(line, c.change(row, notes)...)
				line = append(line, c.mark(g, row))
			}
		}
		lines = append(lines, line)
	}
	line := []string{"geomean"}
	for i, gm := range g.Geomean {
		value := ""
		if gm.HasCenter {
			value = scaleOne(g.Unit, gm.Center)
		}
		line = append(line, value+notes.add(gm.Warnings))
		if i == 1 {
			line = append(line, gm.Delta, "", "")
		}
	}
	return append(lines, line)
}

// change is benchstat's delta and p, and the p over the whole table.
func (c Comparison) change(row compare.FileRow, notes *footnotes) []string {
	if !row.Compared {
		return []string{"", ""}
	}
	vs := row.Delta
	if row.Comparison != "" {
		vs += " (" + row.Comparison + ")"
	}
	return []string{vs + notes.add(row.Warnings), fmt.Sprintf("p=%.3f", row.Holm)}
}

func scaleOne(unit string, v float64) string { return compare.Scale(unit, v)[0] }

// footnotes number warnings, each text once.
type footnotes struct{ texts []string }

func (f *footnotes) add(texts []string) string {
	var marks []string
	for _, text := range texts {
		at := -1
		for i, known := range f.texts {
			if known == text {
				at = i
			}
		}
		if at < 0 {
			f.texts = append(f.texts, text)
			at = len(f.texts) - 1
		}
		marks = append(marks, superscript(at+1))
	}
	if len(marks) == 0 {
		return ""
	}
	return " " + strings.Join(marks, " ")
}

func superscript(n int) string {
	return strings.Map(func(r rune) rune {
		return []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[r-'0']
	}, fmt.Sprint(n))
}

// ComparisonMarkdown writes the tables for a page; names only in code spans.
func ComparisonMarkdown(w io.Writer, c Comparison) error {
	var buf bytes.Buffer
	fmt.Fprintf(&buf, "### perfgate compare: %s\n", c.Words())
	for _, hint := range c.hints() {
		fmt.Fprintf(&buf, "\n- %s\n", code(hint))
	}
	for _, g := range c.Table.Groups {
		fmt.Fprintf(&buf, "\n%s, %s\n\n", code(strings.Join(g.Config, ", ")), code(g.Unit))
		notes := &footnotes{}
		titles, units := c.columnTitles(g)
		titles[0] = "benchmark"
		for i, title := range titles {
			switch {
			case i > 0 && title != "":
				titles[i] = cell(title)
			case i > 0:
				titles[i] = units[i]
			}
		}
		fmt.Fprintf(&buf, "| %s |\n|%s\n", strings.Join(titles, " | "), strings.Repeat("---|", len(titles)))
		for _, line := range c.cells(g, notes) {
			line[0] = cell(line[0])
			fmt.Fprintf(&buf, "| %s |\n", strings.Join(line, " | "))
		}
		for i, note := range notes.texts {
			fmt.Fprintf(&buf, "\n%s %s\n", superscript(i+1), code(note))
		}
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// ComparisonJSON writes every row for programs, keys sorted.
func ComparisonJSON(w io.Writer, c Comparison) error {
	doc := comparisonJSON{
		Counts: c.Verdict.Counts, Exit: c.Verdict.Exit, Headline: c.Verdict.Headline, Missing: orEmpty(c.Verdict.Missing),
		Names: c.Table.Names, Notes: orEmpty(c.hints()), Rows: []fileRowJSON{}, Schema: JSONSchema, Verdict: c.Words(),
	}
	for _, g := range c.Table.Groups {
		for _, row := range g.Rows {
			doc.Rows = append(doc.Rows, c.rowJSON(g, row))
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

func (c Comparison) rowJSON(g compare.Group, row compare.FileRow) fileRowJSON {
	r := fileRowJSON{Better: g.Better, Config: orEmpty(g.Config), Exact: g.Exact, Name: row.Name, Unit: g.Unit, Warnings: orEmpty(row.Warnings)}
	side := func(cell *compare.Cell) *centreJSON {
		if cell == nil {
			return nil
		}
		return &centreJSON{number(cell.Hi), number(cell.Lo), number(cell.Center), cell.N}
	}
	r.Old, r.New = side(row.Cells[0]), side(row.Cells[1])
	if row.Compared {
		p, corrected := number(row.P), number(row.Holm)
		r.P, r.Corrected = &p, &corrected
		r.Decision = verdict.DecideFileRow(c.Table, g, row, c.Timed)
		r.Delta = row.Delta
	}
	return r
}

// The fields stand in the order of their keys, as in document.
type comparisonJSON struct {
	Counts   map[verdict.Decision]int `json:"counts"`
	Exit     int                      `json:"exit"`
	Headline verdict.Headline         `json:"headline"`
	Missing  []string                 `json:"missing"`
	Names    [2]string                `json:"names"`
	Notes    []string                 `json:"notes"`
	Rows     []fileRowJSON            `json:"rows"`
	Schema   int                      `json:"schema"`
	Verdict  string                   `json:"verdict"`
}

type fileRowJSON struct {
	Better    string           `json:"better"`
	Config    []string         `json:"config"`
	Corrected *number          `json:"corrected-p"`
	Decision  verdict.Decision `json:"decision"`
	Delta     string           `json:"delta"`
	Exact     bool             `json:"exact"`
	Name      string           `json:"name"`
	New       *centreJSON      `json:"new"`
	Old       *centreJSON      `json:"old"`
	P         *number          `json:"p"`
	Unit      string           `json:"unit"`
	Warnings  []string         `json:"warnings"`
}
