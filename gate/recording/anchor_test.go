package recording

import "testing"

// Every shard read the same baseline, and kept of its drift what speaks of its
// own benchmarks.
func TestMergedDriftIsThatOfAllShards(t *testing.T) {
	part := func(name, anchor string) *BaselineRef {
		return &BaselineRef{Path: "baselines/smoke/c", Anchor: &AnchorDrift{Ref: "v1", Commit: anchor, Broken: 1,
			Rows: []Drift{{Key: Key{Pkg: "p", Name: name, Procs: 1}, Unit: "cpu-sec/op", Links: 2, Ratio: 1.1, Lo: 1, Hi: 1.2}}}}
	}
	first := part("BenchmarkA", "aaaa")
	var m Manifest
	for _, ref := range []*BaselineRef{first, nil, part("BenchmarkB", "aaaa"), part("BenchmarkC", "bbbb")} {
		m.absorbBaseline(ref)
	}
	got := m.Baseline.Anchor
	if len(got.Rows) != 2 || got.Rows[1].Key.Name != "BenchmarkB" || got.Broken != 2 {
		t.Errorf("merged drift %+v, want A and B of the one anchor, and their broken chains", got)
	}
	if len(first.Anchor.Rows) != 1 || first.Anchor.Broken != 1 {
		t.Error("merging changed a shard")
	}
}
