package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files of a module with a package of its own below the benchmarked one, a suite's
// folder, and a dependency.
var moduleFiles = map[string]string{
	"go.mod": "module example.org/m\n\ngo 1.24\n\nrequire example.org/dep v1.0.0\n",
	"m.go": `package m

import (
	"example.org/dep"
	"example.org/m/inner"
)

func Slow(n int) int {
	total := 0
	for i := range n {
		total += inner.One(i)
	}
	return dep.Add(total, n)
}

func Near(n int) int { twice := 2 * n; return twice }

func Guilty(n int) int { half := n / 2; return half }
`,
	"m_test.go":           "package m\n\nimport (\n\t\"testing\"\n\n\t_ \"example.org/m/suite\"\n)\n\nfunc BenchmarkSlow(b *testing.B) {\n\tfor b.Loop() {\n\t\tSlow(10)\n\t}\n}\n",
	"inner/inner.go":      "package inner\n\nfunc One(n int) int { one := n + 1; return one }\n\nfunc Two(n int) int { two := n + 2; return two }\n",
	"suite/manifest.json": "{}\n",
	"suite/suite.go":      "package suite\n\nfunc Load(n int) int { load := n; return load }\n",
	"far/far.go":          "package far\n\nfunc Away(n int) int { away := n; return away }\n",
}

// newModule makes a repository of the module, and a proxy with its dependency that
// is all the network there is.
func newModule(t *testing.T) (root, commit string) {
	t.Helper()
	if testing.Short() {
		t.Skip("it runs git and the go command")
	}
	dir := t.TempDir()
	dep, proxy := filepath.Join(dir, "dep"), filepath.Join(dir, "proxy")
	write(t, dep, map[string]string{"go.mod": "module example.org/dep\n\ngo 1.24\n", "dep.go": "package dep\n\nfunc Add(a, b int) int { return a + b }\n"})
	if err := publish(proxy, "example.org/dep", "v1.0.0", dep); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"GOMODCACHE": filepath.Join(dir, "modules"), "GOPROXY": "file://" + filepath.ToSlash(proxy),
		"GONOSUMDB": "example.org", "GOFLAGS": "-modcacherw", "GOWORK": "off"} {
		t.Setenv(name, value)
	}
	root = filepath.Join(dir, "m")
	write(t, root, moduleFiles)
	for _, line := range []string{"go mod tidy", "git init -q -b main", "git add -A", "git -c user.name=t -c user.email=t@localhost commit -q -m base"} {
		words := strings.Fields(line)
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	return root, strings.TrimSpace(output(t, root, "git", "rev-parse", "HEAD"))
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	bytes := map[string][]byte{}
	for name, text := range files {
		bytes[name] = []byte(text)
	}
	if err := writeFiles(dir, bytes); err != nil {
		t.Fatal(err)
	}
}

func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out, err := runIn(context.Background(), dir, nil, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheHeadSideHasTheEditAndDecoysAndNothingElse(t *testing.T) {
	root, commit := newModule(t)
	in := Injection{Name: "m/slow", Kind: CPU, Packages: []string{"."}, Bench: "BenchmarkSlow", Guilty: []string{thisModule + ".Guilty"}, Slower: true,
		Edits: []Edit{{"m.go", "total := 0\n", "total := 0\n\t_ = make([]int, n)\n"}}}
	p, err := preparePair(context.Background(), root, commit, t.TempDir(), &Set{}, &in, 7, seen("BenchmarkSlow"))
	if err != nil {
		t.Fatal(err)
	}
	// Slow is edited, Guilty guilty, Load the suite's, and Away in no benchmark.
	if want := []string{"inner.One", "inner.Two", thisModule + ".Near"}; !slices.Equal(p.decoys, want) {
		t.Errorf("decoys %q, want %q", p.decoys, want)
	}
	if p.base != commit {
		t.Errorf("the base side is %s", p.base)
	}
	diff := output(t, p.dir, "git", "diff", "--unified=0", p.base, p.head)
	var lines []string
	for line := range strings.SplitSeq(diff, "\n") {
		if strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++") {
			lines = append(lines, strings.ReplaceAll(strings.TrimSpace(line[1:]), "Renamed", ""))
		}
	}
	slices.Sort(lines)
	want := []string{"_ = make([]int, n)", "func Near(n int) int { twice := 2 * n; return twice }", "func One(n int) int { one := n + 1; return one }", "func Two(n int) int { two := n + 2; return two }"}
	if !slices.Equal(lines, want) {
		t.Errorf("added are %q:\n%s", lines, diff)
	}
	again, err := preparePair(context.Background(), root, commit, t.TempDir(), &Set{}, &in, 7, seen("BenchmarkSlow"))
	if err != nil || output(t, p.dir, "git", "rev-parse", p.head+"^{tree}") != output(t, again.dir, "git", "rev-parse", again.head+"^{tree}") {
		t.Errorf("the same seed gives another tree (%v)", err)
	}
}

// A dependency becomes slower without a line of the change's source: the diff is
// go.mod and go.sum, and the program is built with the edited module.
func TestASlowerDependencyIsOutsideOfTheDiff(t *testing.T) {
	root, commit := newModule(t)
	in := Injection{Name: "m/dep", Kind: Dependency, Packages: []string{"."}, Bench: "BenchmarkSlow", Outside: true, Slower: true,
		Dependency: &Upstream{"example.org/dep", "v1.0.0", []Edit{{"dep.go", "return a + b", "return a + b + edited"}, {"more.go", "", "package dep\n\nvar edited = 0\n"}}}}
	p, err := preparePair(context.Background(), root, commit, t.TempDir(), &Set{}, &in, 7, seen("BenchmarkSlow"))
	if err != nil {
		t.Fatal(err)
	}
	var others []string
	for name := range strings.FieldsSeq(output(t, p.dir, "git", "diff", "--name-only", p.base, p.head)) {
		if filepath.Ext(name) != ".go" { // decoys
			others = append(others, name)
		}
	}
	if !slices.Equal(others, []string{"go.mod", "go.sum"}) {
		t.Errorf("the change has %q", others)
	}
	version, err := in.Dependency.slower()
	if err != nil {
		t.Fatal(err)
	}
	if diff := output(t, p.dir, "git", "diff", "--unified=0", p.base, p.head, "--", "go.mod"); !strings.Contains(diff, "+require example.org/dep "+version) || !strings.HasPrefix(version, "v1.0.1-slower.h") {
		t.Errorf("version %s:\n%s", version, diff)
	}
	dir, err := runIn(context.Background(), p.dir, p.env, "go", "list", "-f", "{{.Dir}}", "example.org/dep")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(strings.TrimSpace(dir), "dep.go")); err != nil || !strings.Contains(string(text), "+ edited") {
		t.Errorf("built is (%v)\n%s", err, text)
	}
	if entries, _ := filepath.Glob(filepath.Join(os.Getenv("GOMODCACHE"), "example.org", "dep@*slower*")); len(entries) > 0 {
		t.Errorf("the user's module cache has %q", entries)
	}
}

// What is served is above the version that it comes from, whatever form that has.
func TestASlowerVersionIsTheNextOne(t *testing.T) {
	for from, want := range map[string]string{"v1.2.3": "v1.2.4-slower.h", "v1.0.0-rc.1": "v1.0.1-slower.h", "v0.0.0-20240101000000-abcdefabcdef": "v0.0.1-slower.h"} {
		if got, err := (&Upstream{Module: "m", Version: from}).slower(); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, %v", from, got, err)
		}
	}
	for _, wrong := range []string{"v2.0.0+incompatible", "latest", "v1"} {
		if _, err := (&Upstream{Module: "m", Version: wrong}).slower(); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
	if escaped("github.com/BurntSushi/toml") != "github.com/!burnt!sushi/toml" {
		t.Error("capital letters are not escaped")
	}
}

// Where nothing is executed, decoys come from both sides in equal parts where there
// are enough.
func TestDecoysAreDrawnNearTheEditsAndElsewhere(t *testing.T) {
	in := &Injection{Edits: []Edit{{File: "a/a.go"}}}
	for near := range 6 {
		var some []decoy
		for i := range 10 {
			some = append(some, decoy{dir: "b", name: fmt.Sprint(i)})
			if i < near {
				some = append(some, decoy{dir: "a", name: fmt.Sprint(i)})
			}
		}
		count := map[string]int{}
		for _, d := range drawDecoys(some, in, newRand(uint64(near))) {
			count[d.dir]++
		}
		if want := min(decoysMax/2, near); count["a"] != want || count["a"]+count["b"] != decoysMax {
			t.Errorf("with %d functions near: %v", near, count)
		}
	}
}

// What is executed is touched first, wherever it is, and by the toss of a coin where
// there is more of it than can be.
func TestDecoysAreExecuted(t *testing.T) {
	in := &Injection{Edits: []Edit{{File: "a/a.go"}}}
	for executed := range 20 {
		var all []decoy
		for i := range 40 {
			all = append(all, decoy{dir: []string{"a", "b"}[i%2], name: fmt.Sprint(i), executed: i%2 == 1 && i/2 < executed})
		}
		drawn := map[string]bool{}
		for seed := range uint64(50) {
			names := map[string]bool{}
			count := 0
			for _, d := range drawDecoys(slices.Clone(all), in, newRand(seed)) {
				names[d.name] = true
				if d.executed {
					count++
					drawn[d.name] = true
				}
			}
			if count != min(decoysMax, executed) || len(names) != decoysMax {
				t.Fatalf("of %d executed functions %d were taken, with %d in all", executed, count, len(names))
			}
		}
		if len(drawn) != executed {
			t.Errorf("of %d executed functions %d are ever taken", executed, len(drawn))
		}
	}
}

// seen are the stacks of the module's benchmark without a look at it.
func seen(bench string, functions ...string) executed {
	names := map[string]bool{}
	for _, f := range functions {
		names[f] = true
	}
	return executed{executedKey(&Set{}, "example.org/m", bench): names}
}

// The stacks are those of the benchmark that is named, and are looked at once.
func TestTheStacksOfABenchmarkAreLookedAtOnce(t *testing.T) {
	root, _ := newModule(t)
	in := &Injection{Packages: []string{".", "./far"}, Bench: "^BenchmarkSlow$"}
	known := executed{}
	first, err := known.of(context.Background(), root, t.TempDir(), &Set{}, in)
	if err != nil {
		t.Fatal(err)
	}
	if !first["example.org/m.Slow"] || first["example.org/m/far.Away"] || first["example.org/m.Near"] {
		t.Errorf("on stacks are %v", first)
	}
	write(t, root, map[string]string{"m_test.go": "package m\n\nit does not build\n"})
	again, err := known.of(context.Background(), root, t.TempDir(), &Set{}, in)
	if err != nil || !maps.Equal(first, again) {
		t.Errorf("a second time: %v, %v", again, err)
	}
	if _, err := (executed{}).of(context.Background(), root, t.TempDir(), &Set{}, in); err == nil {
		t.Error("a benchmark that does not build has stacks")
	}
}

// A function that is executed is known by its name in profiles: with room for few,
// those are the decoys.
func TestTheDecoysOfAPairAreThoseOnStacks(t *testing.T) {
	root, _ := newModule(t)
	var text strings.Builder
	text.WriteString("package inner\n\ntype Box[T any] struct{}\n\nfunc (b *Box[T]) Open(n int) int { open := n; return open }\n")
	for i := range 20 {
		fmt.Fprintf(&text, "\nfunc More%d(n int) int { more := n; return more }\n", i)
	}
	write(t, root, map[string]string{"inner/more.go": text.String()})
	on := map[string]bool{"example.org/m/inner.(*Box[...]).Open": true, "example.org/m/inner.More7": true, "example.org/m.Near": true}
	for seed := range uint64(3) {
		got, err := addDecoys(context.Background(), root, thisModule, &Injection{Packages: []string{"."}}, os.DirFS(root), on, newRand(seed), nil)
		if err != nil || len(got) != decoysMax {
			t.Fatalf("%q, %v", got, err)
		}
		for _, want := range []string{"inner.(*Box[...]).Open", "inner.More7", thisModule + ".Near"} {
			if !slices.Contains(got, want) {
				t.Errorf("seed %d: no %s in %q", seed, want, got)
			}
		}
	}
}

// What .gitignore names is a part of the change all the same.
func TestANewFileThatGitIgnoresIsInTheChange(t *testing.T) {
	root, _ := newModule(t)
	write(t, root, map[string]string{".gitignore": "*.dat\n"})
	for _, args := range [][]string{{"add", ".gitignore"}, {"-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "ignore"}} {
		output(t, root, "git", args...)
	}
	commit := strings.TrimSpace(output(t, root, "git", "rev-parse", "HEAD"))
	in := Injection{Name: "m/data", Kind: CPU, Packages: []string{"."}, Bench: "BenchmarkSlow", Edits: []Edit{{"large.dat", "", "data\n"}}}
	p, err := preparePair(context.Background(), root, commit, t.TempDir(), &Set{}, &in, 7, seen("BenchmarkSlow"))
	if err != nil {
		t.Fatal(err)
	}
	if names := output(t, p.dir, "git", "diff", "--name-only", p.base, p.head); !strings.Contains(names, "large.dat") {
		t.Errorf("the change has %q", names)
	}
}

// What a decoy renames are names: without them the program is the same, and it
// still type-checks.
func TestADecoyChangesNoBehaviour(t *testing.T) {
	dir := t.TempDir()
	const text = "package p\n\nfunc F(n int) (sum int) {\n\tfor i, v := range make([]int, n) {\n\t\tsum += i*v + n\n\t}\n\tadd := func(z int) int { return z + sum }\n\treturn add(1)\n}\n"
	write(t, dir, map[string]string{"p.go": text})
	all, err := bystanders(dir, "m", []string{"."}, &Injection{}, os.DirFS(dir))
	if err != nil || len(all) != 1 || all[0].name != "m.F" {
		t.Fatalf("offered are %+v, %v", all, err)
	}
	if err := renameDecoys(dir, all); err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(filepath.Join(dir, "p.go"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.ReplaceAll(string(now), "Renamed", "") != text || string(now) == text {
		t.Errorf("changed to\n%s", now)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", now, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&types.Config{}).Check("p", fset, []*ast.File{f}, nil); err != nil {
		t.Error(err)
	}
}
