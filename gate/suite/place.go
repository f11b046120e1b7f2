package suite

import "go/ast"

// Place is where a benchmark function stands.
type Place struct {
	File string // relative to the module, with slashes
	Line int
}

// Places finds each benchmark function below the module's folder, as
// "PKG.BenchmarkX": what is said of a benchmark can then be said beside its
// source. A package of another module has no place.
func Places(src Source) (map[string]Place, error) {
	t, err := readTree(src)
	if err != nil {
		return nil, err
	}
	out := map[string]Place{}
	err = t.eachBenchmark(func(b *binary, name string, fn *ast.FuncDecl) error {
		at := t.fset.Position(fn.Pos())
		if rel, ok := below(t.moduleDir, at.Filename); ok {
			out[b.pkg.path+"."+name] = Place{File: rel, Line: at.Line}
		}
		return nil
	})
	return out, err
}
