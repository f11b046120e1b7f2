package compare

import "golang.org/x/perf/benchunit"

// Scale writes values of one unit the way benchstat does, all with the same
// prefix and precision so that they can be read against each other: 12.31µ and
// 14.02µ for seconds, 1.500Ki for bytes.
func Scale(unit string, values ...float64) []string {
	scaler := benchunit.CommonScale(values, benchunit.ClassOf(unit))
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = scaler.Format(v)
	}
	return texts
}
