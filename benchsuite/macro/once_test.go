package macro

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// benchmarkTable are the benchmarks of this package.
var benchmarkTable = map[string]func(*testing.B){
	"BenchmarkClosedLoop": BenchmarkClosedLoop,
	"BenchmarkCrash":      BenchmarkCrash,
	"BenchmarkOpenLoop":   BenchmarkOpenLoop,
	"BenchmarkVirtual":    BenchmarkVirtual,
}

// TestEveryBenchmarkRunsOnce runs each benchmark, with the checks it makes, for
// one operation.
func TestEveryBenchmarkRunsOnce(t *testing.T) {
	for _, name := range declared(t) {
		f := benchmarkTable[name]
		if f == nil {
			t.Errorf("%s is missing from the list in this file", name)
			continue
		}
		t.Run(name, func(t *testing.T) { once(t, f) })
	}
}

// once runs a benchmark with -test.benchtime=1x.
func once(t *testing.T, f func(*testing.B)) {
	benchtime := flag.Lookup("test.benchtime").Value
	before := benchtime.String()
	if err := benchtime.Set("1x"); err != nil {
		t.Fatal(err)
	}
	defer benchtime.Set(before)
	passed := false
	testing.Benchmark(func(b *testing.B) {
		f(b)
		passed = !b.Failed()
	})
	if !passed {
		t.Errorf("it failed; go test -run '^$' -bench '^%s$' -benchtime 1x says why", strings.TrimPrefix(t.Name(), "TestEveryBenchmarkRunsOnce/"))
	}
}

// declared are the names of the benchmark functions in this folder.
func declared(t *testing.T) (names []string) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Benchmark") {
				names = append(names, f.Name.Name)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("no benchmark found")
	}
	return names
}
