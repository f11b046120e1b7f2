package verdict

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
)

// dealt splits a bundle into shards, as a measurement with --shard would: by
// benchmark.
func dealt(whole recording.Bundle, count int) []recording.Bundle {
	mine := func(k recording.Key, index int) bool { return int(k.Name[len("Benchmark")]-'A')%count == index-1 }
	var shards []recording.Bundle
	for index := 1; index <= count; index++ {
		s := recording.Bundle{Manifest: whole.Manifest}
		m := &s.Manifest
		m.Shard = &recording.Shard{Index: index, Count: count, FamilyMin: len(whole.Manifest.Family)}
		m.Family = slices.DeleteFunc(slices.Clone(m.Family), func(t recording.Test) bool { return !mine(t.Key, index) })
		m.Benchmarks = slices.DeleteFunc(slices.Clone(m.Benchmarks), func(b recording.Benchmark) bool { return !mine(b.Key, index) })
		s.Samples = slices.DeleteFunc(slices.Clone(whole.Samples), func(x recording.Sample) bool { return !mine(x.Key, index) })
		shards = append(shards, s)
	}
	return shards
}

func TestMergedShardsDecideAsOneRunOverTheSameSamples(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		f := newFixture()
		for i := range 9 {
			shift := []float64{0, 0, .03, .08, -.1}[rng.IntN(5)]
			var d []float64
			for range 10 + rng.IntN(80) {
				d = append(d, shift+.03*rng.NormFloat64())
			}
			f.timed(i, d...)
		}
		f.exact(0, 10, 3, 4)
		recording.Canonical(f.b.Samples)
		want := f.decide(t)
		shards := dealt(f.b, 3)
		rng.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
		merged, err := recording.Merge(shards)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decide(merged)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Rows, want.Rows) || got.Exit != want.Exit || got.Headline != want.Headline {
			t.Fatalf("merged: %s, exit %d, %v; one run: %s, exit %d, %v", got.Headline, got.Exit, got.Counts, want.Headline, want.Exit, want.Counts)
		}
	}
}

// What a shard has found slower while it was measured, and so stopped measuring,
// must not turn out undecided once the tests of the other shards are counted.
func TestAShardCountsTheTestsOfTheOthers(t *testing.T) {
	test := recording.Test{Key: keyOf(0), Unit: "cpu-sec/op", Channel: recording.CoRun}
	pairsUntilRegressed := func(shard *recording.Shard) int {
		tr := NewTracker([]recording.Test{test}, nil, config.Policy{}, shard)
		for n, d := range wobble(60, .08, .02) {
			tr.Add(test, d)
			tr.Look()
			if got, _ := tr.Decision(test); got == Regressed {
				return n + 1
			}
		}
		t.Fatal("8 % were not found in 60 pairs")
		return 0
	}
	alone, part := pairsUntilRegressed(nil), pairsUntilRegressed(&recording.Shard{Index: 1, Count: 4, FamilyMin: 1000})
	if part <= alone {
		t.Errorf("a shard of 1000 tests decided after %d pairs, a run of its own after %d", part, alone)
	}
}
