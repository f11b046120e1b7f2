package verdict

import (
	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/recording"
)

// Exit codes of perfgate. They are API: scripts and the Action rely on them.
const (
	ExitPass        = 0
	ExitRegression  = 1
	ExitUsage       = 2
	ExitNotMeasured = 3
	ExitInterrupted = 130
)

// Decision is the verdict on one benchmark and unit.
type Decision string

// The decisions.
const (
	Regressed Decision = "regressed"
	Improved  Decision = "improved"
	Pass      Decision = "pass" // no slowdown of the size asked about
	// LayoutSensitive: slower as first linked, but not on most relinked layouts.
	LayoutSensitive Decision = "layout-sensitive"
	// Waived: slower, and accepted by a waiver that covers it.
	Waived       Decision = "waived"
	Inconclusive Decision = "inconclusive" // neither, at the cap or the end of the budget
	Identical    Decision = "unchanged"    // identical binaries and inputs
	Ungated      Decision = "ungated"      // direction unknown, or ignored by policy: shown only
)

// Row is one benchmark and unit with its decision.
type Row struct {
	Change   compare.Change
	Decision Decision
	// Adjusted is the Holm-adjusted p-value of the decision's direction.
	Adjusted float64
	// Target is the slowdown asked about, in percent.
	Target int
	// Why says how the decision came about, in a few words.
	Why string
	// Gating: this row counts for the exit code.
	Gating bool
}

// Headline is the verdict on the whole suite.
type Headline string

// The headlines, most serious first.
const (
	SuiteRegressed   Headline = "regressed"
	SuiteNotMeasured Headline = "not measurable"
	SuiteImproved    Headline = "improved"
	SuiteNoChange    Headline = "no change"
)

// Verdict is the decision on a bundle. It is a pure function of the bundle.
type Verdict struct {
	Headline Headline
	Exit     int
	// Rows, ordered by seriousness, then key and unit.
	Rows []Row
	// Outcomes are the benchmarks that could not be compared.
	Outcomes []recording.Outcome
	// BaselineDrift lists exact metrics of head that differ from the stored baseline.
	BaselineDrift []recording.BaselineCheck
	// BaselineGated are those of BaselineDrift that fail the run: see Gates.
	BaselineGated []recording.BaselineCheck
	// Counts by decision, over Rows.
	Counts map[Decision]int
}
