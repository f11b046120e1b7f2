package measure

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

var leavesModule = map[string]string{
	"go.mod": "module example.org/leaves\n\ngo 1.24\n",
	"leaves_test.go": `package leaves

import (
	"fmt"
	"testing"
)

func BenchmarkTree(b *testing.B) {
	fmt.Println("Unit msgs/tx better=lower assume=exact")
	for _, n := range []int{4, 16} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(n), "msgs/tx")
		})
	}
}

func BenchmarkLeaf(b *testing.B) {
	for b.Loop() {
	}
}

func BenchmarkSkipped(b *testing.B) { b.Skip("not here") }
`,
	"failing/failing_test.go": "package failing\n\nimport \"testing\"\n\nfunc BenchmarkX(b *testing.B) { b.Fatal(\"no such luck\") }\n",
	"broken/broken_test.go":   "package broken\n\nimport \"testing\"\n\nfunc BenchmarkX(b *testing.B) { undefined() }\n",
	"plain/plain.go":          "package plain\n",
}

// leavesOf runs the benchmarks of the packages that match pattern, or only some.
func leavesOf(t *testing.T, pattern string, only ...recording.Key) (map[recording.Key]map[string]recording.Unit, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range leavesModule {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool, err := FindToolchain(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return Leaves(t.Context(), LeavesConfig{
		Toolchain: tool, Dir: dir, Packages: []string{pattern}, Only: only, Scratch: t.TempDir(),
	})
}

func leafKey(name string) recording.Key {
	return recording.Key{Pkg: "example.org/leaves", Name: name, Procs: 1}
}

func TestLeavesAreTheBenchmarksThatRanWithTheirUnits(t *testing.T) {
	leaves, err := leavesOf(t, ".")
	if err != nil {
		t.Fatal(err)
	}
	got := slices.SortedFunc(maps.Keys(leaves), recording.Key.Compare)
	want := []recording.Key{leafKey("BenchmarkLeaf"), leafKey("BenchmarkTree/n=16"), leafKey("BenchmarkTree/n=4")}
	if !slices.Equal(got, want) {
		t.Fatalf("leaves: %v, want %v", got, want)
	}
	tree, leaf := leaves[want[1]], leaves[want[0]]
	if got := tree["msgs/tx"]; got != (recording.Unit{Better: "lower", Assume: "exact"}) {
		t.Errorf("msgs/tx is declared as %+v, want better=lower assume=exact", got)
	}
	if _, ok := tree["sec/op"]; ok {
		t.Error("a benchmark that hides its ns/op has the unit sec/op")
	}
	if _, ok := leaf["sec/op"]; !ok {
		t.Error("a plain benchmark lacks the unit sec/op")
	}
}

func TestOnlyTheLeavesThatAreWantedRun(t *testing.T) {
	leaves, err := leavesOf(t, ".", leafKey("BenchmarkTree/n=4"), leafKey("BenchmarkGone"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := leaves[leafKey("BenchmarkTree/n=4")]; !ok || len(leaves) != 1 {
		t.Errorf("leaves: %v, want BenchmarkTree/n=4 alone", leaves)
	}
}

func TestLeavesThatCannotBeHadAreErrors(t *testing.T) {
	_, err := leavesOf(t, "./failing")
	var failed *LeavesError
	if !errors.As(err, &failed) || failed.Outcome.Kind != recording.Crashed || failed.Outcome.Key.Pkg != "example.org/leaves/failing" {
		t.Errorf("a benchmark that fails: %v; want BenchmarkX crashed", err)
	}
	_, err = leavesOf(t, "./broken")
	var build *BuildError
	if !errors.As(err, &build) || build.Pkg != "example.org/leaves/broken" {
		t.Errorf("a package that does not compile: %v; want a BuildError that names it", err)
	}
	if _, err = leavesOf(t, "./plain"); !errors.Is(err, ErrNoBenchmarks) {
		t.Errorf("a package without benchmarks: %v; want %v", err, ErrNoBenchmarks)
	}
}
