package verdict

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

// Whoever looked for each test among all outcomes would take a quarter of an hour
// here, and a stranger's bundle may be like this.
func TestManyTestsWithoutRunsAreDecidedAtOnce(t *testing.T) {
	const count = 120_000
	m := recording.Manifest{Module: "example.org/m"}
	long := strings.Repeat("x", 200)
	for i := range count {
		key := recording.Key{Pkg: "example.org/m", Name: fmt.Sprintf("Benchmark%s%06d", long, i), Procs: 1}
		m.Family = append(m.Family, recording.Test{Key: key, Unit: "allocs/op", Channel: recording.Exact})
	}
	v, err := Decide(recording.Bundle{Manifest: m})
	if err != nil {
		t.Fatal(err)
	}
	if v.Exit != ExitNotMeasured || len(v.Outcomes) != count {
		t.Errorf("exit %d, %d outcomes", v.Exit, len(v.Outcomes))
	}
}

// The first outcome of the benchmark, of a function that it is a part of, or of
// its package is the one that explains.
func TestTheFirstOutcomeThatSpeaksOfABenchmarkExplainsIt(t *testing.T) {
	j := judge{byName: map[benchmark][]int{}}
	for _, o := range []recording.Outcome{
		{Key: recording.Key{Pkg: "p", Name: "BenchmarkA/x"}, Kind: recording.Added},
		{Key: recording.Key{Pkg: "p", Name: "BenchmarkA", Procs: 4}, Kind: recording.Crashed},
		{Key: recording.Key{Pkg: "q"}, Kind: recording.NoBuild},
	} {
		j.note(o)
	}
	for name, want := range map[string]recording.OutcomeKind{
		"p BenchmarkA": recording.Crashed, "p BenchmarkA/x": recording.Added, "p BenchmarkA/x/y": recording.Added,
		"p BenchmarkA/xy": recording.Crashed, "p BenchmarkAB": "", "q BenchmarkA": recording.NoBuild, "r BenchmarkA": "",
	} {
		pkg, of, _ := strings.Cut(name, " ")
		got := recording.OutcomeKind("")
		if o := j.outcomeOf(recording.Key{Pkg: pkg, Name: of, Procs: 1}); o != nil {
			got = o.Kind
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if o := j.outcomeOf(recording.Key{Pkg: "p", Name: "BenchmarkA/x"}, recording.Crashed); o == nil || o.Kind != recording.Crashed {
		t.Errorf("of a kind: %+v", o)
	}
}
