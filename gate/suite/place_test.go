package suite

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestPlacesPointAtTheFunctions(t *testing.T) {
	src := place(t, example)
	places, err := Places(src)
	if err != nil {
		t.Fatal(err)
	}
	// The line after the doc comment: "func BenchmarkLoad" and so on.
	for _, name := range strings.Fields(all) {
		found := slices.DeleteFunc(slices.Sorted(maps.Keys(places)), func(k string) bool { return !strings.HasSuffix(k, ".Benchmark"+name) })
		if len(found) != 1 {
			t.Fatalf("Benchmark%s is at %v", name, found)
		}
		at := places[found[0]]
		lines := strings.Split(example[at.File], "\n")
		if at.Line < 1 || at.Line > len(lines) || !strings.HasPrefix(lines[at.Line-1], "func Benchmark"+name+"(") {
			t.Errorf("Benchmark%s is said to be at %s:%d", name, at.File, at.Line)
		}
	}
	if len(places) != len(strings.Fields(all)) {
		t.Errorf("%d places for %d functions", len(places), len(strings.Fields(all)))
	}
}
