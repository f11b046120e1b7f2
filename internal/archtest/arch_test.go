package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func TestPackagesImportOnlyWhatTheArchitectureAllows(t *testing.T) {
	pkgs, err := List(root, "./...")
	if err != nil {
		t.Fatal(err)
	}
	for _, violation := range rules.Check(pkgs) {
		t.Error(violation)
	}
}

func TestDeterministicPackagesHaveNoClockGoroutineMapOrderOrIO(t *testing.T) {
	all, err := List(root, "./...")
	if err != nil {
		t.Fatal(err)
	}
	var patterns []string
	var pkgs []Package
	for _, p := range all {
		rel := rules.relative(p.ImportPath)
		if slices.ContainsFunc(deterministic, func(tree string) bool { return within(rel, tree) }) && len(p.GoFiles) > 0 {
			pkgs, patterns = append(pkgs, p), append(patterns, p.ImportPath)
		}
	}
	exports, err := Exports(root, patterns...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pkgs {
		violations, err := determinism.CheckPackage(p, exports)
		if err != nil {
			t.Error(err)
		}
		for _, violation := range violations {
			t.Error(violation)
		}
	}
}

// TestEachImportRuleReportsItsViolation keeps the checker honest: a rule that
// stopped working would let everything pass.
func TestEachImportRuleReportsItsViolation(t *testing.T) {
	synthetic := Rules{
		Module:  "m",
		Guarded: []string{"os/exec", "net"},
		Owners:  map[string][]string{"os/exec": {"gate/repo"}, "x.org/perf": {"gate/compare"}},
		Apart:   [][2]string{{"gate", "trantor"}},
		Siblings: []string{
			"trantor/mempool", "trantor/ordering",
		},
		Packages: map[string]Rule{
			"gate/repo":             {Imports: []string{"os/exec"}},
			"gate/compare":          {Imports: []string{"x.org/perf", "gate/repo"}, Tests: []string{"x.org/golden"}},
			"gate/cli":              {Imports: []string{"os/exec", "x.org/perf", "gate/repo", "trantor/mempool"}},
			"trantor/mempool":       {Imports: []string{"trantor/ordering"}},
			"trantor/ordering":      {},
			"trantor/ordering/pbft": {Imports: []string{"trantor/ordering"}},
		},
	}
	for _, tc := range []struct {
		name string
		pkg  Package
		want []string
	}{
		{"what is listed is allowed",
			Package{ImportPath: "m/gate/compare", Imports: []string{"fmt", "x.org/perf/benchmath", "m/gate/repo"}, TestImports: []string{"x.org/golden", "testing"}}, nil},
		{"a package's external test imports it",
			Package{ImportPath: "m/gate/repo", Imports: []string{"os/exec"}, XTestImports: []string{"m/gate/repo"}}, nil},
		{"one tree of siblings may use itself",
			Package{ImportPath: "m/trantor/ordering/pbft", Imports: []string{"m/trantor/ordering"}}, nil},
		{"a package that nobody listed fails",
			Package{ImportPath: "m/gate/surprise"}, []string{"not in the allow-list"}},
		{"another package of the module",
			Package{ImportPath: "m/gate/repo", Imports: []string{"m/gate/compare"}}, []string{"may not import gate/compare"}},
		{"somebody else's module",
			Package{ImportPath: "m/gate/repo", Imports: []string{"x.org/yaml"}}, []string{"may not import x.org/yaml"}},
		{"a name that only begins alike",
			Package{ImportPath: "m/gate/compare", Imports: []string{"x.org/perfect"}}, []string{"may not import x.org/perfect"}},
		{"a guarded standard package",
			Package{ImportPath: "m/gate/compare", Imports: []string{"net"}}, []string{"may not import net"}},
		{"a test's import outside both lists",
			Package{ImportPath: "m/gate/repo", TestImports: []string{"x.org/golden"}}, []string{"tests may not import x.org/golden"}},
		{"what belongs to another package, although listed",
			Package{ImportPath: "m/gate/cli", Imports: []string{"os/exec", "x.org/perf/benchfmt"}},
			[]string{"imports os/exec, which belongs to gate/repo", "imports x.org/perf/benchfmt, which belongs to gate/compare"}},
		{"across the pillars, although listed",
			Package{ImportPath: "m/gate/cli", Imports: []string{"m/trantor/mempool"}}, []string{"across the line"}},
		{"across the pillars in a test",
			Package{ImportPath: "m/gate/cli", XTestImports: []string{"m/trantor/mempool"}}, []string{"across the line"}},
		{"a sibling, although listed",
			Package{ImportPath: "m/trantor/mempool", Imports: []string{"m/trantor/ordering"}}, []string{"imports its sibling trantor/ordering"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, synthetic.Check([]Package{tc.pkg}), tc.want)
		})
	}
}

func TestEachDeterminismRuleReportsItsViolation(t *testing.T) {
	exports, err := Exports(root, "time", "maps", "slices", "math/rand/v2", "os", "sync")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, imports, body string
		want                []string
	}{
		{"a length of time is data", `"time"`, "var d time.Duration = 3 * time.Second; _ = d.Seconds()", nil},
		{"a slice may be ranged over", ``, "for range []int{1} {}", nil},
		{"a map with a reason", ``, "// maprange: collects keys to sort\nfor range map[int]int{} {}", nil},
		{"a map with a reason of two lines", ``, "// maprange: collects keys that are\n// sorted below\nfor range map[int]int{} {}", nil},
		{"sorted keys", `"maps"; "slices"`, "_ = slices.Sorted(maps.Keys(map[int]int{}))", nil},
		{"the clock", `"time"`, "_ = time.Now()", []string{"uses time.Now"}},
		{"the clock as a value", `"time"`, "f := time.Since; _ = f", []string{"uses time.Since"}},
		{"a type that carries the clock", `"time"`, "var t *time.Timer; _ = t", []string{"uses time.Timer"}},
		{"a goroutine", ``, "go func() {}()", []string{"starts a goroutine"}},
		{"a select", ``, "select {default:}", []string{"selects between channels"}},
		{"a map", ``, "for range map[int]int{} {}", []string{"ranges over a map"}},
		{"a map of a named type", ``, "type set map[int]bool; for range (set{}) {}", []string{"ranges over a map"}},
		{"a map without a reason", ``, "// maprange:\nfor range map[int]int{} {}", []string{"ranges over a map"}},
		{"a reason too far above", ``, "// maprange: sorted below\n\n_ = 0\nfor range map[int]int{} {}", []string{"ranges over a map"}},
		{"unsorted keys", `"maps"`, "for range maps.Keys(map[int]int{}) {}", []string{"uses maps.Keys unsorted"}},
		{"randomness", `"math/rand/v2"`, "_ = rand.Int()", []string{"imports math/rand/v2"}},
		{"the file system", `"os"`, "_ = os.Args", []string{"imports os"}},
		{"a lock", `"sync"`, "var m sync.Mutex; m.Lock()", []string{"imports sync"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fset := token.NewFileSet()
			src := "package p\nimport (" + tc.imports + ")\nfunc f() {\n" + tc.body + "\n}\n"
			f, err := parser.ParseFile(fset, "p.go", src, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			got, err := determinism.checkFiles("p", fset, []*ast.File{f}, exports)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, got, tc.want)
		})
	}
}

// expect wants one violation for each part, in order, that contains it.
func expect(t *testing.T, got, parts []string) {
	t.Helper()
	ok := len(got) == len(parts)
	for i := 0; ok && i < len(parts); i++ {
		ok = strings.Contains(got[i], parts[i])
	}
	if !ok {
		t.Errorf("violations %q, want %q", got, parts)
	}
}
