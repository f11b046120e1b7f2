package archtest

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Determinism is what a package must not do so that the same input gives the
// same output on every run: read a clock, start a goroutine, depend on the
// order of a map, draw random numbers, or do I/O.
//
// A range over a map is accepted where a comment on its line or the line above
// says `maprange: REASON` (collecting keys to sort, a sum).
type Determinism struct {
	// Forbidden packages and everything below them.
	Forbidden []string
}

// timeAllowed is all that a deterministic package may use of package time: a
// length of time is data, the clock is not.
var timeAllowed = []string{"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}

// CheckPackage type-checks a package's files, tests left out, and returns every
// violation. Imports come from exports, the go command's compiled packages by
// import path (see Exports).
func (d Determinism) CheckPackage(p Package, exports map[string]string) ([]string, error) {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return d.checkFiles(p.ImportPath, fset, files, exports)
}

func (d Determinism) checkFiles(importPath string, fset *token.FileSet, files []*ast.File, exports map[string]string) ([]string, error) {
	open := func(importPath string) (io.ReadCloser, error) {
		name, ok := exports[importPath]
		if !ok {
			return nil, fmt.Errorf("no compiled package for %s", importPath)
		}
		return os.Open(name)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", open)}
	if _, err := conf.Check(importPath, fset, files, info); err != nil {
		return nil, fmt.Errorf("type-checking %s: %w", importPath, err)
	}
	var found []string
	for _, f := range files {
		c := fileCheck{fset: fset, info: info, reasons: mapRangeReasons(fset, f), sorted: map[ast.Node]bool{}}
		c.imports(f, d.Forbidden)
		ast.Inspect(f, c.visit)
		found = append(found, c.found...)
	}
	return found, nil
}

// Exports maps the import path of every package that the patterns need to its
// compiled form, which the go command builds or has cached.
func Exports(dir string, patterns ...string) (map[string]string, error) {
	pkgs, err := List(dir, append([]string{"-deps", "-export"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, p := range pkgs {
		if p.Export != "" {
			exports[p.ImportPath] = p.Export
		}
	}
	return exports, nil
}

// fileCheck walks one file.
type fileCheck struct {
	fset    *token.FileSet
	info    *types.Info
	reasons map[int]bool      // lines that a maprange comment covers
	sorted  map[ast.Node]bool // calls whose result goes straight into a sort
	found   []string
}

func (c *fileCheck) report(at token.Pos, format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf("%s: %s", c.fset.Position(at), fmt.Sprintf(format, args...)))
}

func (c *fileCheck) imports(f *ast.File, forbidden []string) {
	for _, spec := range f.Imports {
		imp := strings.Trim(spec.Path.Value, `"`)
		if slices.ContainsFunc(forbidden, func(tree string) bool { return within(imp, tree) }) {
			c.report(spec.Pos(), "imports %s", imp)
		}
	}
}

func (c *fileCheck) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.report(n.Pos(), "starts a goroutine")
	case *ast.SelectStmt:
		c.report(n.Pos(), "selects between channels")
	case *ast.RangeStmt:
		if _, ok := c.info.TypeOf(n.X).Underlying().(*types.Map); ok && !c.reasons[c.fset.Position(n.Pos()).Line] {
			c.report(n.Pos(), "ranges over a map; sort the keys first, or say why in a `maprange:` comment")
		}
	case *ast.CallExpr:
		c.call(n)
	case *ast.Ident:
		c.use(n)
	}
	return true
}

// call follows the iterators of package maps: their order is the map's, unless
// a sorting function of package slices takes it.
func (c *fileCheck) call(n *ast.CallExpr) {
	switch pkg, name := c.callee(n); {
	case pkg == "slices" && strings.HasPrefix(name, "Sorted"):
		c.sorted[n.Args[0]] = true
	case pkg == "maps" && (name == "Keys" || name == "Values" || name == "All"):
		if !c.sorted[n] && !c.reasons[c.fset.Position(n.Pos()).Line] {
			c.report(n.Pos(), "uses maps.%s unsorted; give it to slices.Sorted, or say why in a `maprange:` comment", name)
		}
	}
}

func (c *fileCheck) callee(n *ast.CallExpr) (pkg, name string) {
	sel, ok := n.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	obj := c.info.Uses[sel.Sel]
	if obj == nil || obj.Pkg() == nil {
		return "", ""
	}
	return obj.Pkg().Path(), obj.Name()
}

func (c *fileCheck) use(n *ast.Ident) {
	obj := c.info.Uses[n]
	if obj == nil || obj.Pkg() == nil || obj.Pkg().Path() != "time" || obj.Parent() != obj.Pkg().Scope() {
		return
	}
	if !slices.Contains(timeAllowed, obj.Name()) {
		c.report(n.Pos(), "uses time.%s", obj.Name())
	}
}

// mapRangeReasons returns the lines that a `maprange: REASON` comment covers:
// its own and the one after it.
func mapRangeReasons(fset *token.FileSet, f *ast.File) map[int]bool {
	lines := map[int]bool{}
	for _, group := range f.Comments {
		for _, comment := range group.List {
			_, reason, ok := strings.Cut(comment.Text, "maprange:")
			if ok && strings.TrimSpace(reason) != "" {
				// The comment may go on for several lines below the marker.
				for line := fset.Position(comment.Pos()).Line; line <= fset.Position(group.End()).Line+1; line++ {
					lines[line] = true
				}
			}
		}
	}
	return lines
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
