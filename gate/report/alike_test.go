package report

import (
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

func TestOutcomesThatDifferInTheBenchmarkOnlyAreToldOnce(t *testing.T) {
	outcome := func(name string, side recording.Side, detail string) recording.Outcome {
		return recording.Outcome{Key: recording.Key{Pkg: "p", Name: name}, Side: side, Kind: recording.TooFew, Detail: detail}
	}
	a, b, c, d := outcome("A", "", "late"), outcome("B", "", "one run"), outcome("C", "", "late"), outcome("D", recording.Head, "late")
	groups := alike([]recording.Outcome{a, b, c, d})
	want := [][]recording.Outcome{{a, c}, {b}, {d}}
	if len(groups) != len(want) {
		t.Fatalf("%v, want %v", groups, want)
	}
	for i := range want {
		if len(groups[i]) != len(want[i]) || groups[i][0] != want[i][0] || groups[i][len(groups[i])-1] != want[i][len(want[i])-1] {
			t.Errorf("group %d is %v, want %v", i, groups[i], want[i])
		}
	}
}
