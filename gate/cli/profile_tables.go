package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// profileTables are the tables of one benchmark.
type profileTables struct {
	env    *Env
	data   *profdiff.Data
	result profdiff.Result
	top    int
}

func (t profileTables) sides() bool {
	return t.data.Runs()[profdiff.Base] > 0 && t.data.Runs()[profdiff.Head] > 0
}

func (t profileTables) print(title string) error {
	total := t.result.Total
	fmt.Fprintf(t.env.Stdout, "%s\n", title)
	if total.BaseCount+total.HeadCount == 0 {
		fmt.Fprintf(t.env.Stdout, "\nnothing was recorded: it %s\n", map[recording.ProfileKind]string{
			recording.CPUProfile: "took no CPU time", recording.AllocProfile: "allocates nothing",
			recording.MutexProfile: "waits for no lock", recording.BlockProfile: "never waits", recording.GoroutineProfile: "was over before anybody looked"}[t.data.Kind])
		return nil
	}
	what := map[recording.ProfileKind]string{recording.CPUProfile: "samples", recording.AllocProfile: "objects",
		recording.MutexProfile: "contentions", recording.BlockProfile: "waits", recording.GoroutineProfile: "sightings"}[t.data.Kind]
	fmt.Fprintf(t.env.Stdout, "%s %s, from %.0f %s\n", t.amounts(total), t.data.Metric.Per(), total.BaseCount+total.HeadCount, what)
	if t.sides() {
		return t.printSides()
	}
	t.printOne()
	return nil
}

func (t profileTables) amounts(c profdiff.Change) string {
	if t.sides() {
		return profdiff.Format(c.Base, t.data.Metric) + " -> " + profdiff.Format(c.Head, t.data.Metric)
	}
	return profdiff.Format(c.Base+c.Head, t.data.Metric)
}

// printOne is where the cost of one version goes.
func (t profileTables) printOne() {
	total := t.result.Total.Base + t.result.Total.Head
	line := func(flat, cum float64, name string) {
		fmt.Fprintf(t.env.Stdout, "%6.1f %%  %9s  %6.1f %%  %s\n", 100*flat/total, profdiff.Format(flat, t.data.Metric), 100*cum/total, printable(name))
	}
	for _, group := range t.groups() {
		fmt.Fprintf(t.env.Stdout, "\n  itself             with calls  %s\n", group.title)
		for _, g := range group.rows[:min(len(group.rows), t.top)] {
			line(g.flat, g.cum, g.name)
		}
		if rest := len(group.rows) - t.top; rest > 0 {
			fmt.Fprintf(t.env.Stdout, "%35s(%d more)\n", "", rest)
		}
	}
}

// costRow is a line of a table.
type costRow struct {
	name      string
	flat, cum float64
}

type costTable struct {
	title string
	rows  []costRow
}

// groups are the tables of one version: by label, where the program labels its
// work, by package and by function.
func (t profileTables) groups() []costTable {
	d := t.data
	var tables []costTable
	for _, key := range labelKeys(d) {
		tables = append(tables, t.table(key, func(s *profdiff.Stack) []string {
			for _, l := range s.Labels {
				if name, value, _ := strings.Cut(l, "="); name == key {
					return []string{value}
				}
			}
			return []string{"(none)"}
		}))
	}
	return append(tables,
		t.table("package", func(s *profdiff.Stack) []string {
			return namesOf(d, s, func(f profdiff.Frame) string { return cmp.Or(f.Pkg, f.Name) })
		}),
		t.table("function", func(s *profdiff.Stack) []string { return namesOf(d, s, profdiff.Frame.Func) }))
}

// namesOf are the names on a stack, the leaf's first.
func namesOf(d *profdiff.Data, s *profdiff.Stack, name func(profdiff.Frame) string) []string {
	var names []string
	for _, f := range s.Frames {
		if n := name(d.Frames[f]); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// table adds up what stacks hold for each of their names: the first has it itself.
func (t profileTables) table(title string, names func(*profdiff.Stack) []string) costTable {
	rows := map[string]*costRow{}
	for i := range t.data.Stacks {
		s := &t.data.Stacks[i]
		value := t.data.PerOp(&s.Tally, profdiff.Base) + t.data.PerOp(&s.Tally, profdiff.Head)
		for i, name := range names(s) {
			if rows[name] == nil {
				rows[name] = &costRow{name: name}
			}
			rows[name].cum += value
			if i == 0 {
				rows[name].flat += value
			}
		}
	}
	table := costTable{title: title}
	for _, row := range rows {
		table.rows = append(table.rows, *row)
	}
	slices.SortFunc(table.rows, func(a, b costRow) int {
		return cmp.Or(cmp.Compare(b.flat, a.flat), cmp.Compare(b.cum, a.cum), strings.Compare(a.name, b.name))
	})
	return table
}

// labelKeys are the names of the labels that samples carry.
func labelKeys(d *profdiff.Data) []string {
	var keys []string
	for i := range d.Stacks {
		for _, l := range d.Stacks[i].Labels {
			if key, _, _ := strings.Cut(l, "="); !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// printSides is what differs between two versions.
func (t profileTables) printSides() error {
	shown := t.result.Shown()
	if len(shown) == 0 {
		fmt.Fprintf(t.env.Stdout, "\nno function differs by more than chance (%d replicates of the base side; false findings held at 1 %%)\n", t.data.Runs()[profdiff.Base])
		if t.result.TooFew {
			fmt.Fprintf(t.env.Stdout, "too few samples to tell: a slowdown of the size that was measured shows in %.0f a side wherever it is\n", t.result.Needed)
		}
		return nil
	}
	fmt.Fprintf(t.env.Stdout, "\nfunctions that differ by more than chance (false findings held at 1 %%)\n\n    itself: base -> head            with calls: base -> head\n")
	for _, f := range shown[:min(len(shown), t.top)] {
		fmt.Fprintf(t.env.Stdout, "%30s  %30s  %s\n", t.cell(f.Flat), t.cell(f.Cum), printable(f.Func()))
	}
	if rest := len(shown) - t.top; rest > 0 {
		fmt.Fprintf(t.env.Stdout, "%64s(%d more)\n", "", rest)
	}
	return nil
}

// cell is a change, in brackets where it may be chance.
func (t profileTables) cell(c profdiff.Change) string {
	if c.Base == 0 && c.Head == 0 {
		return "-"
	}
	text := t.amounts(c)
	switch {
	case c.Base == 0:
		text += " new"
	case c.Head == 0:
		text += " gone"
	default:
		text += fmt.Sprintf(" %+.0f %%", 100*(c.Ratio-1))
	}
	if !c.Shown {
		return "(" + text + ")"
	}
	return text
}
