package verdict

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/compare"
)

// runs are n lines of a benchmark, rising by one from a value.
func runs(name, unit string, n, from int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Benchmark%s 100 %d %s\n", name, from+i, unit)
	}
	return b.String()
}

func table(t *testing.T, oldText, newText string) *compare.Table {
	t.Helper()
	files, err := compare.Files(strings.NewReader(oldText), strings.NewReader(newText), [2]string{"old", "new"})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTableVerdicts(t *testing.T) {
	const exact = "Unit msgs/op better=lower assume=exact\n"
	constant := func(name string, value int) string {
		return strings.Repeat(fmt.Sprintf("Benchmark%s 100 %d msgs/op\n", name, value), 2)
	}
	for _, tc := range []struct {
		name     string
		old, new string
		timed    bool
		headline Headline
		exit     int
	}{
		{"slower", runs("A", "ns/op", 10, 100), runs("A", "ns/op", 10, 150), true, SuiteRegressed, ExitRegression},
		{"faster", runs("A", "ns/op", 10, 150), runs("A", "ns/op", 10, 100), true, SuiteImproved, ExitPass},
		{"less throughput", runs("A", "MB/s", 10, 150), runs("A", "MB/s", 10, 100), true, SuiteRegressed, ExitRegression},
		{"the same", runs("A", "ns/op", 10, 100), runs("A", "ns/op", 10, 100), true, SuiteNoChange, ExitPass},
		{"slower in another session", runs("A", "ns/op", 10, 100), runs("A", "ns/op", 10, 150), false, SuiteNoChange, ExitPass},
		{"unknown direction", runs("A", "widgets", 10, 100), runs("A", "widgets", 10, 150), true, SuiteNoChange, ExitPass},
		{"exact and worse in another session", exact + constant("A", 7), exact + constant("A", 8), false, SuiteRegressed, ExitRegression},
		{"exact and better", exact + constant("A", 8), exact + constant("A", 7), false, SuiteImproved, ExitPass},
		{"vanished", runs("A", "ns/op", 10, 100) + runs("B", "ns/op", 10, 100), runs("A", "ns/op", 10, 100), true, SuiteNotMeasured, ExitNotMeasured},
		{"a regression goes before what vanished", runs("A", "ns/op", 10, 100) + runs("B", "ns/op", 10, 100), runs("A", "ns/op", 10, 150), true, SuiteRegressed, ExitRegression},
		{"added", runs("A", "ns/op", 10, 100), runs("A", "ns/op", 10, 100) + runs("B", "ns/op", 10, 100), true, SuiteNoChange, ExitPass},
		{"nothing in common", runs("A", "ns/op", 10, 100), runs("B", "ns/op", 10, 100), true, SuiteNotMeasured, ExitNotMeasured},
	} {
		v := DecideTable(table(t, tc.old, tc.new), tc.timed)
		if v.Headline != tc.headline || v.Exit != tc.exit {
			t.Errorf("%s: %s (exit %d), want %s (exit %d)", tc.name, v.Headline, v.Exit, tc.headline, tc.exit)
		}
	}
}

// The least p of 6 and 6 runs is 2/924 = .0022: five such rows, corrected, stay
// above .01 whatever the values are, and one does not.
func TestSmallestPDecidesWhatCanBeSeen(t *testing.T) {
	for _, tc := range []struct {
		n, m int
		want float64
	}{{1, 1, 1}, {3, 3, 2. / 20}, {6, 6, 2. / 924}, {10, 10, 2. / 184756}} {
		if got := smallestP(tc.n, tc.m); math.Abs(got-tc.want) > 1e-12 {
			t.Errorf("smallestP(%d, %d) = %v, want %v", tc.n, tc.m, got, tc.want)
		}
	}
	var before, after string
	for i := range 5 {
		name := fmt.Sprint("B", i)
		before, after = before+runs(name, "ns/op", 6, 100), after+runs(name, "ns/op", 6, 200)
		want := 0
		if i == 4 {
			want = 5
		}
		if v := DecideTable(table(t, before, after), true); v.Blind != want {
			t.Errorf("%d rows of 6 runs: %d blind, want %d", i+1, v.Blind, want)
		}
	}
}
