package compare

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchproc"

	"github.com/perfgate/perfgate/gate/recording"
)

// Table is the classic comparison of two benchmark files: what
// "benchstat OLD NEW" computes with its default flags, with Holm's correction
// over the whole table beside it.
type Table struct {
	// Names are the two files' labels.
	Names [2]string
	// Groups hold the benchmarks by configuration and unit, in benchstat's order.
	Groups []Group
}

// Group is benchstat's table: the benchmarks of one configuration in one unit.
type Group struct {
	// Config are the configuration lines ("goos: linux") in the order of the files.
	Config []string
	Unit   string
	// Exact: the unit was declared assume=exact.
	Exact bool
	// Better is "lower" or "higher", from the files' Unit lines or what is known
	// of the unit, or "" where nobody says.
	Better string
	// Files says which of the two files have results here, in order.
	Files []int
	Rows  []FileRow
	// Geomean has a column for each of Files.
	Geomean []Geomean
}

// FileRow is one benchmark.
type FileRow struct {
	Name string // with its GOMAXPROCS suffix, without "Benchmark"
	// Cells are the sides by file; nil where a file does not have the benchmark.
	Cells [2]*Cell
	// Compared: both files have the benchmark, and the following are set.
	Compared bool
	// P is the p-value of one comparison, Holm the one corrected over all
	// comparisons of the Table.
	P, Holm float64
	// Delta and Comparison are P and the change as benchstat writes them: "~" or
	// "+5.00%", and "p=0.002 n=10".
	Delta, Comparison string
	Warnings          []string
}

// Cell is one side of a row.
type Cell struct {
	Center, Lo, Hi float64
	N              int
	// Range is the interval as benchstat writes it: "2%", "∞".
	Range    string
	Warnings []string

	sample *benchmath.Sample
}

// Geomean is the last row of a group.
type Geomean struct {
	// HasCenter: the geometric mean of the centres exists (all are above zero).
	HasCenter bool
	Center    float64
	// Delta is the change of the geometric mean as benchstat writes it, empty in
	// the first column.
	Delta    string
	Warnings []string
}

// confidence and the alpha of benchmath.DefaultThresholds are benchstat's defaults.
const confidence = .95

// Files compares two benchmark files as "benchstat OLD NEW" does. names label
// the files; equal ones get "#0" and "#1", as benchstat does it. A malformed
// line, over which benchstat goes with a warning, is an error here.
func Files(oldFile, newFile io.Reader, names [2]string) (*Table, error) {
	t := &Table{Names: names}
	if names[0] == names[1] {
		t.Names = [2]string{names[0] + "#0", names[1] + "#1"}
	}
	b, err := newTableBuilder()
	if err != nil {
		return nil, err
	}
	var r benchfmt.Reader
	for i, in := range []io.Reader{oldFile, newFile} {
		r.Reset(in, names[i], ".file", t.Names[i])
		for r.Scan() {
			switch rec := r.Result().(type) {
			case *benchfmt.SyntaxError:
				return nil, rec
			case *benchfmt.Result:
				b.add(i, rec)
			}
		}
		if err := r.Err(); err != nil {
			return nil, err
		}
	}
	if len(b.groups) == 0 {
		return nil, fmt.Errorf("no benchmark results in %s and %s", names[0], names[1])
	}
	t.Groups = b.finish(r.Units())
	t.correct()
	return t, nil
}

// tableBuilder gathers values by benchstat's default projections.
type tableBuilder struct {
	table, row, residue *benchproc.Projection
	unit                *benchproc.Field
	groups              map[benchproc.Key]*groupBuilder
}

type groupBuilder struct {
	rows  map[benchproc.Key]bool
	files map[int]bool
	cells map[cellKey]*cellBuilder
}

type cellKey struct {
	row  benchproc.Key
	file int
}

type cellBuilder struct {
	values  []float64
	residue map[benchproc.Key]bool
}

func newTableBuilder() (*tableBuilder, error) {
	var parser benchproc.ProjectionParser
	filter, err := benchproc.NewFilter("*")
	if err != nil {
		return nil, err
	}
	b := &tableBuilder{groups: map[benchproc.Key]*groupBuilder{}}
	if b.table, b.unit, err = parser.ParseWithUnit(".config", filter); err != nil {
		return nil, err
	}
	if b.row, err = parser.Parse(".fullname", filter); err != nil {
		return nil, err
	}
	// The columns are told apart by the loop over the files; naming the key keeps
	// it out of the residue.
	if _, err = parser.Parse(".file", filter); err != nil {
		return nil, err
	}
	b.residue = parser.Residue()
	return b, nil
}

func (b *tableBuilder) add(file int, res *benchfmt.Result) {
	row := b.row.Project(res)
	residue := b.residue.Project(res)
	for i, key := range b.table.ProjectValues(res) {
		g := b.groups[key]
		if g == nil {
			g = &groupBuilder{rows: map[benchproc.Key]bool{}, files: map[int]bool{}, cells: map[cellKey]*cellBuilder{}}
			b.groups[key] = g
		}
		g.rows[row], g.files[file] = true, true
		c := g.cells[cellKey{row, file}]
		if c == nil {
			c = &cellBuilder{residue: map[benchproc.Key]bool{}}
			g.cells[cellKey{row, file}] = c
		}
		c.values = append(c.values, res.Values[i].Value)
		c.residue[residue] = true
	}
}

func sortedKeys[V any](m map[benchproc.Key]V) []benchproc.Key {
	// maprange: SortKeys orders them; distinct keys of one projection never tie.
	keys := slices.Collect(maps.Keys(m))
	benchproc.SortKeys(keys)
	return keys
}

func (b *tableBuilder) finish(units benchfmt.UnitMetadataMap) []Group {
	var groups []Group
	for _, key := range sortedKeys(b.groups) {
		gb := b.groups[key]
		unit := key.Get(b.unit)
		assume := units.GetAssumption(unit)
		g := Group{Config: b.config(key), Unit: unit, Exact: assume == benchmath.AssumeExact, Better: betterOf(unit, units)}
		for file := range 2 {
			if gb.files[file] {
				g.Files = append(g.Files, file)
			}
		}
		for _, row := range sortedKeys(gb.rows) {
			g.Rows = append(g.Rows, gb.fileRow(row, assume))
		}
		for i, file := range g.Files {
			g.Geomean = append(g.Geomean, g.geomean(file, i == 0))
		}
		groups = append(groups, g)
	}
	return groups
}

// betterOf is the direction in which a unit improves.
func betterOf(unit string, units benchfmt.UnitMetadataMap) string {
	switch units.GetBetter(unit) {
	case 1:
		return "higher"
	case -1:
		return "lower"
	}
	return Better(&recording.Manifest{}, recording.Test{Unit: unit})
}

// config are the configuration lines that a group has.
func (b *tableBuilder) config(key benchproc.Key) []string {
	var lines []string
	for _, f := range b.table.FlattenedFields() {
		if f != b.unit {
			lines = append(lines, f.Name+": "+key.Get(f))
		}
	}
	return lines
}

func (g *groupBuilder) fileRow(key benchproc.Key, assume benchmath.Assumption) FileRow {
	row := FileRow{Name: key.StringValues(), P: 1, Holm: 1}
	for file := range row.Cells {
		if c := g.cells[cellKey{key, file}]; c != nil {
			row.Cells[file] = c.finish(assume)
		}
	}
	before, after := row.Cells[0], row.Cells[1]
	if before == nil || after == nil {
		return row
	}
	cmp := assume.Compare(before.sample, after.sample)
	row.Compared, row.P = true, cmp.P
	row.Delta, row.Comparison = cmp.FormatDelta(before.Center, after.Center), cmp.String()
	row.Warnings = texts(cmp.Warnings)
	return row
}

func (c *cellBuilder) finish(assume benchmath.Assumption) *Cell {
	thresholds := benchmath.DefaultThresholds
	sample := benchmath.NewSample(c.values, &thresholds)
	s := assume.Summary(sample, confidence)
	cell := &Cell{Center: s.Center, Lo: s.Lo, Hi: s.Hi, N: len(c.values), Range: s.PctRangeString(), sample: sample}
	if fields := benchproc.NonSingularFields(sortedKeys(c.residue)); len(fields) > 0 {
		var names []string
		for _, f := range fields {
			names = append(names, f.Name)
		}
		cell.Warnings = append(cell.Warnings, "benchmarks vary in "+strings.Join(names, ", "))
	}
	cell.Warnings = append(cell.Warnings, texts(s.Warnings)...)
	return cell
}

func texts(errs []error) []string {
	var out []string
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}

// geomean summarises one file's column. Its change is the mean of the ratios
// and not the ratio of the means, which would compare different benchmarks
// where the files do not have the same.
func (g *Group) geomean(file int, first bool) Geomean {
	var gm Geomean
	var centers, ratios []float64
	inFirst, divided := 0, true
	for _, row := range g.Rows {
		base, cell := row.Cells[g.Files[0]], row.Cells[file]
		if base != nil {
			inFirst++
		}
		if cell == nil {
			continue
		}
		centers = append(centers, cell.Center)
		switch {
		case base == nil:
		case base.Center == cell.Center: // 0/0 is no change
			ratios = append(ratios, 1)
		case base.Center == 0:
			ratios, divided = append(ratios, 0), false
		default:
			ratios = append(ratios, cell.Center/base.Center)
		}
	}
	if !first && len(ratios) != inFirst {
		gm.Warnings = append(gm.Warnings, "benchmark set differs from baseline; geomeans may not be comparable")
	}
	if gm.Center = geometricMean(centers); math.IsNaN(gm.Center) {
		gm.Center = 0
		gm.Warnings = append(gm.Warnings, "summaries must be >0 to compute geomean")
	} else {
		gm.HasCenter = true
	}
	if first {
		return gm
	}
	gm.Delta = "?"
	if ratio := geometricMean(ratios); divided && math.IsNaN(ratio) {
		gm.Warnings = append(gm.Warnings, "ratios must be >0 to compute geomean")
	} else if divided {
		gm.Delta = fmt.Sprintf("%+.2f%%", (ratio-1)*100)
	}
	return gm
}

// geometricMean is NaN without values, or where one is not above zero. The
// running mean of the logarithms is benchstat's way to sum, which the last
// digits show.
func geometricMean(xs []float64) float64 {
	if len(xs) == 0 || slices.Min(xs) <= 0 {
		return math.NaN()
	}
	mean := 0.0
	for i, x := range xs {
		mean += (math.Log(x) - mean) / float64(i+1)
	}
	return math.Exp(mean)
}

// correct fills in Holm's p-values over all comparisons of the table. Exact
// ones are left out: they have no p-value, and their difference is no chance.
func (t *Table) correct() {
	var rows []*FileRow
	var p []float64
	for i := range t.Groups {
		for j := range t.Groups[i].Rows {
			row := &t.Groups[i].Rows[j]
			switch {
			case !row.Compared:
			case t.Groups[i].Exact:
				row.Holm = row.P
			default:
				rows, p = append(rows, row), append(p, row.P)
			}
		}
	}
	for i, adjusted := range Holm(p, len(p)) {
		rows[i].Holm = adjusted
	}
}
