package cli

import (
	"math"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

func rowOf(name, unit string, channel recording.Channel, slower float64, d verdict.Decision) verdict.Row {
	row := verdict.Row{Decision: d, Change: compare.Change{
		Test: recording.Test{Key: recording.Key{Pkg: "p", Name: "Benchmark" + name, Procs: 1}, Unit: unit, Channel: channel}}}
	if channel == recording.Exact {
		row.Change.Exact = &compare.ExactResult{Base: 100, Head: 100 * slower}
	} else {
		row.Change.Timed = &compare.Timed{Delta: math.Log(slower)}
	}
	return row
}

func TestTheSlowestIsProfiledFirstAndAsLongAsItNeeds(t *testing.T) {
	v := verdict.Verdict{Rows: []verdict.Row{
		rowOf("Small", "cpu-sec/op", recording.CoRun, 1.05, verdict.Regressed),
		rowOf("Large", "cpu-sec/op", recording.CoRun, 2, verdict.Regressed),
		rowOf("Small", "allocs/op", recording.Exact, 1.5, verdict.Regressed),
		rowOf("Waits", "sec/op", recording.Wall, 1.2, verdict.Regressed),
		rowOf("Same", "cpu-sec/op", recording.CoRun, 1, verdict.Pass),
	}}
	order := func(all bool) (got []string) {
		for _, w := range wanted(v, all) {
			got = append(got, w.Key.Name)
		}
		return got
	}
	if got, want := order(false), []string{"BenchmarkLarge", "BenchmarkSmall", "BenchmarkWaits"}; !slices.Equal(got, want) {
		t.Errorf("profiled are %q, want %q", got, want)
	}
	if got, want := order(true), []string{"BenchmarkLarge", "BenchmarkSmall", "BenchmarkWaits", "BenchmarkSame"}; !slices.Equal(got, want) {
		t.Errorf("with all profiled are %q, want %q", got, want)
	}
	wants := wanted(v, false)
	if got, want := wants[1].Samples, spare*profdiff.Needed(.05); math.Abs(got-want) > 1e-6*want {
		t.Errorf("the small slowdown gets %v samples, want %v", got, want)
	}
	for i, want := range [][]recording.ProfileKind{
		{recording.CPUProfile, recording.AllocProfile}, {recording.AllocProfile, recording.CPUProfile}, recording.ProfileKinds,
	} {
		if !slices.Equal(wants[i].Kinds, want) {
			t.Errorf("%s has profiles of %q, want %q", wants[i].Key, wants[i].Kinds, want)
		}
	}
}

func TestProfilesThatCannotBeReadWithholdNoVerdict(t *testing.T) {
	row := rowOf("Large", "cpu-sec/op", recording.CoRun, 2, verdict.Regressed)
	b := recording.Bundle{Manifest: recording.Manifest{Profiles: []recording.Profile{{Side: recording.Head, Key: row.Change.Test.Key, Kind: recording.CPUProfile, Rep: 1, N: 1, File: "x"}}},
		Profiles: map[string][]byte{"x": []byte("no profile")}}
	found := findings(&b, verdict.Verdict{Rows: []verdict.Row{row}})
	if f := found[row.Change.Test]; f.Note == "" || len(f.Suspects) > 0 {
		t.Errorf("finding %+v", f)
	}
}
