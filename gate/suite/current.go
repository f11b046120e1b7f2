package suite

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
)

// Function is a benchmark function as its source declares it.
type Function struct {
	Pkg, Name string
	Hash      string // of its definition
	rules     []sizeRule
}

func (f Function) key() string { return f.Pkg + "." + f.Name }

// Sizes are the sizes that a benchmark of this function belongs to: the
// function itself, or one of its sub-benchmarks.
func (f Function) Sizes(name string) []string { return sizesOf(f.rules, name) }

// Functions reads the benchmark functions of a suite with their directives,
// ordered by package and name.
func Functions(src Source) ([]Function, error) {
	t, err := readTree(src)
	if err != nil {
		return nil, err
	}
	for _, pkg := range t.packages {
		for _, f := range slices.Concat(t.folders[pkg].lib, t.folders[pkg].tests, t.folders[pkg].xtests) {
			if err := strayDirective(t.fset, f.ast); err != nil {
				return nil, err
			}
		}
	}
	var out []Function
	err = t.eachBenchmark(func(b *binary, name string, fn *ast.FuncDecl) error {
		rules, err := parseRules(t.fset, fn.Doc)
		if err != nil {
			return err
		}
		hash, err := b.definition(name)
		out = append(out, Function{Pkg: b.pkg.path, Name: name, Hash: hash, rules: rules})
		return err
	})
	return out, err
}

// Leaves are the benchmarks that a suite ran, with the units that each
// reported, in tidied form, and what its Unit lines say of them.
type Leaves = map[recording.Key]map[string]recording.Unit

// New makes the manifest of a suite from its functions and what they ran. A
// function that ran no benchmark, a benchmark that belongs to no function, and
// a directive that applies to nothing are errors.
func New(functions []Function, leaves Leaves) (*Manifest, error) {
	m := &Manifest{Version: Version}
	byName := map[string]Function{}
	for _, f := range functions {
		byName[f.key()] = f
	}
	for _, k := range slices.SortedFunc(maps.Keys(leaves), recording.Key.Compare) {
		b := Benchmark{Pkg: k.Pkg, Name: k.Name, Units: units(leaves[k])}
		f, ok := byName[b.function()]
		if !ok {
			return nil, fmt.Errorf("%s ran, and no benchmark function of its name was found", k)
		}
		b.Sizes, b.Class, b.Hash = f.Sizes(k.Name), class(b.Units), f.Hash
		if err := b.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		m.Benchmarks = append(m.Benchmarks, b)
	}
	for _, f := range functions {
		if err := m.covers(f); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// covers tells whether a function and each of its directives has a benchmark.
func (m *Manifest) covers(f Function) error {
	var elements []string
	found := false
	for _, b := range m.Benchmarks {
		if b.function() == f.key() {
			found = true
			elements = append(elements, strings.Split(b.Name, "/")[1:]...)
		}
	}
	if !found {
		return fmt.Errorf("%s ran no benchmark (b.Skip?): what cannot run here cannot be written down", f.key())
	}
	for _, r := range f.rules {
		if r.element != "" && !slices.Contains(elements, r.element) {
			return fmt.Errorf("%s: the directive %s %s applies to none of its sub-benchmarks", f.key(), sizesDirective, r.element)
		}
	}
	return nil
}

// unlisted are the units that the gate adds to every benchmark, or that are a
// request to it.
var unlisted = []string{"cpu-sec/op", "B/op", "allocs/op", recording.MinN, recording.WallOnly}

func units(reported map[string]recording.Unit) []Unit {
	var out []Unit
	for _, name := range slices.Sorted(maps.Keys(reported)) {
		if slices.Contains(unlisted, name) {
			continue
		}
		u := Unit{Unit: name, Better: reported[name].Better, Assume: reported[name].Assume}
		switch {
		case u.Better != "":
		case name == "sec/op":
			u.Better = "lower"
		case name == "B/s":
			u.Better = "higher"
		}
		out = append(out, u)
	}
	return out
}

func class(units []Unit) Class {
	exact := 0
	for _, u := range units {
		if u.Assume == "exact" {
			exact++
		}
	}
	switch exact {
	case 0:
		return Timed
	case len(units):
		return Exact
	}
	return Both
}

// Check compares a manifest with the source alone, without running anything:
// which functions there are, their definitions, and the sizes. It returns a
// line for each difference.
func (m *Manifest) Check(functions []Function) []string {
	var out []string
	byName := map[string]Function{}
	for _, f := range functions {
		byName[f.key()] = f
	}
	listed := map[string]bool{}
	for _, b := range m.Benchmarks {
		f, ok := byName[b.function()]
		listed[b.function()] = true
		if !ok {
			out = append(out, "removed "+b.key().String())
			continue
		}
		now := b
		now.Hash, now.Sizes = f.Hash, f.Sizes(b.Name)
		out = append(out, difference(b, now)...)
	}
	for _, f := range functions {
		if !listed[f.key()] {
			out = append(out, "added   "+f.key())
		}
	}
	return out
}

// CheckRun compares the benchmarks of one size with what ran: whether they are
// all there, and their units. It returns a line for each difference.
func (m *Manifest) CheckRun(size string, leaves Leaves) []string {
	var out []string
	for _, b := range m.Benchmarks {
		if !slices.Contains(b.Sizes, size) {
			continue
		}
		reported, ok := leaves[b.key()]
		if !ok {
			out = append(out, "removed "+b.key().String())
			continue
		}
		now := b
		now.Units = units(reported)
		now.Class = class(now.Units)
		out = append(out, difference(b, now)...)
	}
	return out
}

// Diff compares a manifest with a new one, and returns a line for each
// difference, ordered by package and name.
func Diff(before, after *Manifest) []string {
	var out []string
	a, b := before.Benchmarks, after.Benchmarks
	for len(a) > 0 || len(b) > 0 {
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = a[0].key().Compare(b[0].key())
		}
		switch {
		case order < 0:
			out = append(out, "removed "+a[0].key().String())
			a = a[1:]
		case order > 0:
			out = append(out, "added   "+b[0].key().String())
			b = b[1:]
		default:
			out = append(out, difference(a[0], b[0])...)
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// difference describes how two entries for one benchmark differ, in a line or
// none.
func difference(a, b Benchmark) []string {
	var parts []string
	if a.Hash != b.Hash {
		parts = append(parts, "its definition")
	}
	if x, y := strings.Join(a.Sizes, " "), strings.Join(b.Sizes, " "); x != y {
		parts = append(parts, fmt.Sprintf("sizes %s -> %s", x, y))
	}
	if x, y := describeUnits(a.Units), describeUnits(b.Units); x != y {
		parts = append(parts, fmt.Sprintf("units %s -> %s", x, y))
	}
	if a.Class != b.Class {
		parts = append(parts, fmt.Sprintf("class %s -> %s", a.Class, b.Class))
	}
	if len(parts) == 0 {
		return nil
	}
	return []string{"changed " + a.key().String() + ": " + strings.Join(parts, ", ")}
}

func describeUnits(units []Unit) string {
	if len(units) == 0 {
		return "none"
	}
	var out []string
	for _, u := range units {
		s := u.Unit
		if u.Better != "" {
			s += " better=" + u.Better
		}
		if u.Assume != "" {
			s += " assume=" + u.Assume
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}
