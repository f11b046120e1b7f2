package cli

import (
	"math"
	"testing"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/recording"
)

// A ledger of three commits, the first of them the anchor: Add grew twice,
// Load's chain is broken, and Gone is not measured any more.
func TestDriftSinceTheAnchorIsThatOfTheTestsOfThisSession(t *testing.T) {
	key := func(name string) recording.Key {
		return recording.Key{Pkg: "example.org/shop", Name: "Benchmark" + name, Procs: 1}
	}
	entry := func(name, base, head string, ratio float64) baseline.Entry {
		return baseline.Entry{Base: base, Head: head, Ratio: baseline.Ratio{
			Key: key(name), Unit: "cpu-sec/op", Pairs: 20, Ratio: ratio, Lo: ratio / 1.01, Hi: ratio * 1.01}}
	}
	b := &baseline.Baseline{Manifest: baseline.Manifest{Anchor: &baseline.Anchor{Ref: "v1", Commit: "a"}}, Ledger: []baseline.Entry{
		entry("Add", "a", "b", 1.1), entry("Add", "b", "c", 1.2), entry("Load", "x", "c", 1.3), entry("Gone", "a", "c", 1.4)}}
	family := []recording.Test{{Key: key("Add"), Unit: "cpu-sec/op"}, {Key: key("Load"), Unit: "cpu-sec/op"}, {Key: key("Add"), Unit: "B/op"}}
	got := anchorDrift(b, family)
	if got == nil || got.Ref != "v1" || got.Commit != "a" || len(got.Rows) != 1 || got.Broken != 1 {
		t.Fatalf("drift %+v, want one row and one broken chain", got)
	}
	// 1.1 * 1.2 = 1.32
	if row := got.Rows[0]; row.Key != key("Add") || row.Links != 2 || math.Abs(row.Ratio-1.32) > 1e-9 || !(row.Lo < 1.32 && row.Hi > 1.32) {
		t.Errorf("row %+v", row)
	}
	b.Manifest.Anchor = nil
	if got := anchorDrift(b, family); got != nil {
		t.Errorf("without an anchor: %+v", got)
	}
}
