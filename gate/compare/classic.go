package compare

import (
	"slices"

	"golang.org/x/perf/benchmath"
)

// Classic compares two samples as benchstat does: the p-value of the
// Mann–Whitney U-test, and the change of the median, head/base - 1.
func Classic(base, head []float64) (p, change float64) {
	before := benchmath.NewSample(slices.Clone(base), &benchmath.DefaultThresholds)
	after := benchmath.NewSample(slices.Clone(head), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Compare(before, after).P, Median(head)/Median(base) - 1
}
