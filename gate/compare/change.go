package compare

import "github.com/perfgate/perfgate/gate/recording"

// Change is what the samples say of one benchmark and unit.
type Change struct {
	Test recording.Test
	// Better is "lower", "higher", or "" where the direction is unknown.
	Better string
	// Base and Head are the medians of each side with their 95 % interval, as
	// benchmath gives them, and N the samples behind each.
	Base, Head Centre
	// Timed is set for the co-run and wall channels, Exact for the exact one.
	Timed *Timed
	Exact *ExactResult
	// Warnings are statistical doubts, for the reader.
	Warnings []string
}

// Centre is a median with its 95 % confidence interval.
type Centre struct {
	Median, Lo, Hi float64
	N              int
}

// Timed is the sequential test over pairs. Every log ratio is oriented so that
// positive means worse: ln(head/base) where lower is better, ln(base/head)
// where higher is.
type Timed struct {
	Pairs int
	// Delta is the median of the oriented log ratios, [Lo, Hi] their confidence
	// sequence at 2.5 % a side: valid at any stopping time. Hi is thus the
	// smallest slowdown that is excluded.
	Delta, Lo, Hi float64
	// Deviation is the standard deviation of the log ratios, estimated from the
	// median absolute deviation.
	Deviation float64
	// PWorse and PBetter are the running p-values 1/sup E before correction.
	PWorse, PBetter float64
	// EPass is sup E against a slowdown of delta1.
	EPass float64
}

// ExactState says how the two sides' exact values relate.
type ExactState string

// The states. Disagree: a side does not agree with itself, so that the metric
// is no exact one on this machine. Unconfirmed: the sides differ, but the
// further processes that would confirm it did not run. Where the direction is
// unknown, Rise and Fall are those of the number.
const (
	Same      ExactState = "same"
	Rise      ExactState = "rise"      // worse, confirmed by more processes
	Fall      ExactState = "fall"      // better, confirmed
	Tolerated ExactState = "tolerated" // differs by less than the unit's tolerance
	Disagree  ExactState = "disagree"

	Unconfirmed ExactState = "unconfirmed"
)

// ExactResult is the exact channel's finding. Values are per op.
type ExactResult struct {
	State      ExactState
	Base, Head float64
	// Runs is the number of processes on each side.
	Runs int
	// Relative is head/base - 1, +Inf where base is 0 and head is not.
	Relative float64
}
