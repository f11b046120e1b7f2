package verdict

import (
	"fmt"
	"math"

	"github.com/perfgate/perfgate/gate/compare"
)

// alphaTable is what the corrected p-value of a row has to reach. The tests are
// two-sided, so one direction spends half of the 1 % that a suite may.
const alphaTable = .01

// TableVerdict is the decision on the classic comparison of two benchmark files.
type TableVerdict struct {
	Headline Headline
	Exit     int
	// Counts by decision, over the rows that were compared.
	Counts map[Decision]int
	// Missing names the benchmarks of the old file that the new one lacks, once
	// for each unit.
	Missing []string
	// Blind is the number of rows that have too few samples for any difference
	// to survive the correction.
	Blind int
}

// DecideTable decides conservatively, since two files say nothing about how
// their samples were taken: a row counts when its p-value, corrected over the
// whole table, reaches .01, in a unit whose direction is known. timed says that
// both files come from one session; otherwise only units declared exact count,
// because a stored time is not comparable with a new one.
//
// A benchmark that vanished makes the comparison "not measured" (exit 3). Too
// few samples do not: the files are what the user has, and Blind says it.
func DecideTable(t *compare.Table, timed bool) TableVerdict {
	v := TableVerdict{Headline: SuiteNoChange, Exit: ExitPass, Counts: map[Decision]int{}}
	comparisons := tested(t)
	for _, g := range t.Groups {
		for _, row := range g.Rows {
			switch {
			case row.Cells[0] != nil && row.Cells[1] == nil:
				v.Missing = append(v.Missing, fmt.Sprintf("%s (%s)", row.Name, g.Unit))
			case row.Compared:
				v.Counts[decideFileRow(g, row, timed, comparisons, &v.Blind)]++
			}
		}
	}
	switch {
	case v.Counts[Regressed] > 0:
		v.Headline, v.Exit = SuiteRegressed, ExitRegression
	case len(v.Missing) > 0 || len(v.Counts) == 0:
		v.Headline, v.Exit = SuiteNotMeasured, ExitNotMeasured
	case v.Counts[Improved] > 0:
		v.Headline = SuiteImproved
	}
	return v
}

// DecideFileRow is the decision on one row, for reports.
func DecideFileRow(t *compare.Table, g compare.Group, row compare.FileRow, timed bool) Decision {
	return decideFileRow(g, row, timed, tested(t), new(int))
}

// tested is the number of comparisons that share the correction.
func tested(t *compare.Table) int {
	n := 0
	for _, g := range t.Groups {
		for _, row := range g.Rows {
			if row.Compared && !g.Exact {
				n++
			}
		}
	}
	return n
}

func decideFileRow(g compare.Group, row compare.FileRow, timed bool, comparisons int, blind *int) Decision {
	before, after := row.Cells[0], row.Cells[1]
	if g.Better == "" || !timed && !g.Exact {
		return Ungated
	}
	if !g.Exact && smallestP(before.N, after.N)*float64(comparisons) > alphaTable {
		*blind++
		return Inconclusive
	}
	switch {
	case before.Center == after.Center || row.Holm > alphaTable:
		// No significant difference is not the proof that there is none.
		if g.Exact {
			return Pass
		}
		return Inconclusive
	case (after.Center > before.Center) == (g.Better == "lower"):
		return Regressed
	}
	return Improved
}

// smallestP is the least two-sided p-value that a rank test of n and m samples
// can give: 2 / C(n+m, n).
func smallestP(n, m int) float64 {
	choose, _ := math.Lgamma(float64(n + m + 1))
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(m + 1))
	return 2 * math.Exp(a+b-choose)
}
