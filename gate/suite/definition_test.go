package suite

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// example is a module with a suite: benchmarks in two packages below bench, a
// package that they share, and the product that they measure.
var example = map[string]string{
	"go.mod":             "module example.com/m\n\ngo 1.24\n",
	"product/product.go": "package product\n\nfunc Do(n int) int { return n }\n",
	"bench/workload/load.go": `package workload

import "example.com/m/product"

// Length is how long a load is.
const Length = 8

type Load struct{ parts []part }

func New() *Load { return &Load{} }

func (l *Load) Run() int { return product.Do(Length) + l.helper() }

func (l *Load) helper() int { return len(l.parts) }

func Unused() int { return unusedHelper() }

func unusedHelper() int { return 1 }
`,
	"bench/workload/part.go":      "package workload\n\ntype part struct{ n int }\n\nfunc (p part) String() string { return \"part\" }\n",
	"bench/workload/load_test.go": "package workload\n\nfunc onlyTested() int { return Length }\n",
	"bench/micro/a_test.go": `package micro

import (
	"os"
	"testing"

	"example.com/m/bench/workload"
	"example.com/m/product"
)

// BenchmarkLoad runs a load.
//
//perfgate:sizes smoke gate full
//perfgate:sizes n=2 full
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1, 2} {
		b.Run(names[n], func(b *testing.B) {
			for b.Loop() {
				workload.New().Run()
			}
		})
	}
}

var names = map[int]string{1: "n=1", 2: "n=2"}

//go:noinline
func touch(n int) int { return product.Do(n) }

func BenchmarkTouch(b *testing.B) {
	for b.Loop() {
		touch(kindTwo)
	}
}

func BenchmarkFile(b *testing.B) {
	for b.Loop() {
		os.ReadFile("testdata/input.txt")
	}
}
`,
	"bench/micro/b_test.go":             "package micro\n\nconst (\n\tkindOne = iota\n\tkindTwo\n)\n",
	"bench/micro/testdata/input.txt":    "one",
	"bench/micro/testdata/fuzz/FuzzX/a": "seed",
	"bench/outside_test.go":             "package bench_test\n\nimport (\n\t\"testing\"\n\n\t. \"example.com/m/bench/workload\"\n)\n\nfunc BenchmarkDot(b *testing.B) {\n\tfor b.Loop() {\n\t\tNew()\n\t}\n}\n",
	"product/product_test.go":           "package product\n\nimport \"testing\"\n\nfunc BenchmarkDo(b *testing.B) {\n\tfor b.Loop() {\n\t\tDo(1)\n\t}\n}\n",
	"bench/micro/ignored.go":            "//go:build ignore\n\npackage main\n\nfunc touch() {}\n",
	"bench/micro/data.go":               "package micro\n\nimport _ \"embed\"\n\n//go:embed corpus.txt\nvar corpus string\n",
	"bench/micro/corpus.txt":            "corpus",
	"bench/micro/embed_test.go":         "package micro\n\nimport \"testing\"\n\nfunc BenchmarkEmbed(b *testing.B) {\n\tfor b.Loop() {\n\t\t_ = len(corpus)\n\t}\n}\n",
}

// all are the benchmark functions of example.
const all = "Load Touch File Dot Do Embed"

// place writes files into a fresh folder.
func place(t *testing.T, files map[string]string) Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Source{ModuleDir: dir, Root: filepath.Join(dir, "bench"), Packages: map[string]string{
		"example.com/m/bench":       filepath.Join(dir, "bench"),
		"example.com/m/bench/micro": filepath.Join(dir, "bench", "micro"),
		"example.com/m/product":     filepath.Join(dir, "product"),
	}}
}

func definitions(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	out, err := Definitions(place(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// edited is example with a text replaced in one file; with an empty text, the
// whole file.
func edited(t *testing.T, name, old, text string) map[string]string {
	t.Helper()
	files := maps.Clone(example)
	switch {
	case old == "":
		files[name] = text
	case strings.Count(files[name], old) == 1:
		files[name] = strings.Replace(files[name], old, text, 1)
	default:
		t.Fatalf("%s has %q %d times, want once", name, old, strings.Count(files[name], old))
	}
	return files
}

func TestADefinitionChangesWithWhatTheBenchmarkReachesInItsSuite(t *testing.T) {
	before := definitions(t, example)
	if len(before) != len(strings.Fields(all)) {
		t.Fatalf("definitions of %d functions, want those of %s: %v", len(before), all, before)
	}
	const (
		a     = "bench/micro/a_test.go"
		load  = "bench/workload/load.go"
		parts = "bench/workload/part.go"
	)
	tests := []struct {
		rule            string
		file, old, text string
		changed         string
	}{
		{"the function itself", a, "touch(kindTwo)", "touch(kindTwo + 1)", "Touch"},
		{"a helper of the package", a, "return product.Do(n) }", "return product.Do(n + 1) }", "Touch"},
		{"a package-level variable", a, `2: "n=2"}`, `2: "n=3"}`, "Load"},
		{"a constant of an iota group, by the one before it", "bench/micro/b_test.go", "kindOne = iota", "kindOne = 3 * iota", "Touch"},
		{"a directive of the compiler", a, "//go:noinline\n", "", "Touch"},
		{"the package behind an import name", a, `"example.com/m/product"`, `product "example.com/m/product2"`, "Touch"},
		{"a helper in another package of the suite", load, "return len(l.parts)", "return cap(l.parts)", "Load Dot"},
		{"a constant that a workload uses", load, "Length = 8", "Length = 9", "Load Dot"},
		{"a type that another type has, in another file", parts, "n int", "n int64", "Load Dot"},
		{"a method that only an interface calls", parts, `return "part"`, `return "a part"`, "Load Dot"},
		{"an init function of a package that is imported", parts, "type part", "func init() { println() }\n\ntype part", "Load Touch File Dot Embed"},
		{"TestMain", "bench/micro/main_test.go", "", "package micro\n\nimport \"testing\"\n\nfunc TestMain(m *testing.M) { m.Run() }\n", "Load Touch File Embed"},
		{"a blank variable that calls", "bench/micro/main_test.go", "", "package micro\n\nvar _ = touch(7)\n", "Load Touch File Embed"},
		{"a file that it reads", "bench/micro/testdata/input.txt", "one", "two", "File"},
		{"a file that it embeds", "bench/micro/corpus.txt", "corpus", "other", "Embed"},
		{"a benchmark of the product", "product/product_test.go", "Do(1)", "Do(2)", "Do"},

		{"comments", load, "// Length is how long a load is.\n", "// Length is arbitrary.\n\n\n", ""},
		{"sizes", a, "//perfgate:sizes n=2 full\n", "", ""},
		{"formatting", a, `names = map[int]string{1: "n=1", 2: "n=2"}`, "names = map[int]string{\n1: \"n=1\", // one\n\n2: \"n=2\",\n}", ""},
		{"the product", "product/product.go", "return n }", "return n + 1 }", ""},
		{"a helper that nothing reaches", load, "return 1 }", "return 2 }", ""},
		{"a new type with an assertion of its methods", parts, "type part", "type other struct{}\n\nvar _ error = (*other)(nil)\n\nfunc (*other) Error() string { return \"\" }\n\ntype part", ""},
		{"tests of another package of the suite", "bench/workload/load_test.go", "return Length", "return 1", ""},
		{"the corpus of a fuzz test", "bench/micro/testdata/fuzz/FuzzX/a", "seed", "another seed", ""},
		{"a file that is in no build", "bench/micro/ignored.go", "func touch() {}", "func touch(int) {}", ""},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			after := definitions(t, edited(t, tt.file, tt.old, tt.text))
			for _, name := range strings.Fields(all) {
				wanted := strings.Contains(" "+tt.changed+" ", " "+name+" ")
				for key, hash := range before {
					if strings.HasSuffix(key, ".Benchmark"+name) && (after[key] != hash) != wanted {
						t.Errorf("%s: definition changed: %t, want %t", key, after[key] != hash, wanted)
					}
				}
			}
		})
	}
}

func TestADefinitionDoesNotDependOnFilesAndTheirOrder(t *testing.T) {
	before := definitions(t, example)
	files := maps.Clone(example)
	// The files of a package trade places, and one declaration moves.
	files["bench/workload/z.go"] = files["bench/workload/load.go"]
	files["bench/workload/load.go"] = files["bench/workload/part.go"]
	delete(files, "bench/workload/part.go")
	const moved = "var names = map[int]string{1: \"n=1\", 2: \"n=2\"}\n"
	files["bench/micro/z_test.go"] = strings.Replace(files["bench/micro/a_test.go"], moved, "", 1)
	files["bench/micro/a_test.go"] = files["bench/micro/b_test.go"] + "\n" + moved
	delete(files, "bench/micro/b_test.go")
	if after := definitions(t, files); !maps.Equal(before, after) {
		t.Errorf("definitions after moving code: %v, want %v", after, before)
	}
}

func TestWithoutASuiteOnlyTestFilesDefineABenchmark(t *testing.T) {
	for _, root := range []string{"", ".", "no such folder"} {
		hashes := func(files map[string]string) map[string]string {
			src := place(t, files)
			if src.Root = root; root != "" {
				src.Root = filepath.Join(src.ModuleDir, root)
			}
			out, err := Definitions(src)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		before := hashes(example)
		product := hashes(edited(t, "bench/workload/load.go", "Length = 8", "Length = 9"))
		if !maps.Equal(before, product) {
			t.Errorf("root %q: a change outside of test files changes definitions", root)
		}
		helper := Redefined(before, hashes(edited(t, "bench/micro/a_test.go", "return product.Do(n) }", "return 1 }")))
		if len(helper) != 1 || helper["example.com/m/bench/micro.BenchmarkTouch"] == "" {
			t.Errorf("root %q: after a change of a helper in a test file, redefined are %v; want BenchmarkTouch", root, helper)
		}
	}
}

func TestOnlyBenchmarksOfBothSidesCanBeRedefined(t *testing.T) {
	got := Redefined(map[string]string{"p.BenchmarkA": "1", "p.BenchmarkB": "1", "p.BenchmarkC": "1"},
		map[string]string{"p.BenchmarkB": "2", "p.BenchmarkC": "1", "p.BenchmarkD": "1"})
	if len(got) != 1 || !strings.Contains(got["p.BenchmarkB"], "on its own") {
		t.Errorf("redefined: %v; want p.BenchmarkB alone, with what to do", got)
	}
}
