package recording

import (
	"fmt"
	"path"
	"strings"

	"github.com/perfgate/perfgate/gate/config"
)

// Schema is the version of the bundle's format.
const Schema = 1

// Side is one of the two versions that are compared.
type Side string

// The two sides.
const (
	Base Side = "base"
	Head Side = "head"
)

// Channel is a way of measuring. See docs/METHOD.md.
type Channel string

// The channels. Plan marks runs that only chose N; no verdict reads them. Layout
// marks pairs of a test that was found slower, taken again on binaries that were
// linked in another order: they can take the finding back and nothing else.
const (
	Unchanged Channel = "unchanged"
	Exact     Channel = "exact"
	CoRun     Channel = "corun"
	Wall      Channel = "wall"
	Plan      Channel = "plan"
	Layout    Channel = "layout"
)

// Processes a side in the exact channel: ExactRuns at first, ExactConfirmRuns in
// all where the sides differ. The measuring makes them and the verdict asks for
// them.
const (
	ExactRuns        = 3
	ExactConfirmRuns = 10
)

// Key identifies a benchmark: package path, name without the GOMAXPROCS
// suffix, and GOMAXPROCS.
type Key struct {
	Pkg   string `json:"pkg"`
	Name  string `json:"name"` // "BenchmarkSubmit/state=fresh"
	Procs int    `json:"procs"`
}

// String is "PKG.NAME", with "-PROCS" where GOMAXPROCS is not 1. Policy rules
// match against it.
func (k Key) String() string {
	s := k.Pkg + "." + k.Name
	if k.Procs != 1 {
		s += fmt.Sprintf("-%d", k.Procs)
	}
	return s
}

// Short is the key as reports show it: the package below module, and the name
// without the word that every name begins with.
func (k Key) Short(module string) string {
	pkg := strings.TrimPrefix(strings.TrimPrefix(k.Pkg, module), "/")
	name := strings.TrimPrefix(k.Name, "Benchmark")
	if k.Name != "" && k.Procs > 1 {
		name += fmt.Sprintf("-%d", k.Procs)
	}
	switch {
	case pkg == "" && name == "":
		return path.Base(k.Pkg)
	case pkg == "":
		return name
	case name == "":
		return pkg
	}
	return pkg + "." + name
}

// Compare orders keys by package, name and GOMAXPROCS.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(k.Pkg, o.Pkg); c != 0 {
		return c
	}
	if c := strings.Compare(k.Name, o.Name); c != 0 {
		return c
	}
	return k.Procs - o.Procs
}

// Value is one metric of one sample, in tidied units: "sec/op", "cpu-sec/op",
// "B/op", "allocs/op", and whatever the benchmark reports itself.
type Value struct {
	Unit  string
	Value float64
}

// Sample is one run of one benchmark: one line of samples/SIDE.txt.
type Sample struct {
	Side    Side
	Channel Channel
	Key     Key
	// Pair joins a base run and a head run of the same Key and Channel: they met
	// the same weather. Pairs count from 1 within Key and Channel.
	Pair int
	// Round counts the looks at the whole suite, from 1: the verdict is looked at
	// after every round. 0 for plan runs.
	Round int
	// Order is 1 for the process that was launched first in its pair, 2 for the
	// second: drawn by a recorded coin.
	Order int
	// Core is the CPU the process was pinned to, or -1.
	Core int
	// Layout is the linker's seed of both sides' binaries in the layout channel,
	// and 0 elsewhere.
	Layout uint64
	N      int // iterations
	Values []Value
}

// Units by which a benchmark says how it wants to be measured; they are no
// metrics and are not stored.
const (
	// MinN: a run needs at least so many iterations, b.ReportMetric(8192, "min-n").
	MinN = "min-n"
	// WallOnly: it follows a schedule, which a co-run would let it see at half
	// speed, b.ReportMetric(1, "wall-only").
	WallOnly = "wall-only"
)

// Contention per op, of benchmarks in the wall channel: how long goroutines
// waited, all together.
const (
	// MutexWait is for locks of package sync and of the runtime.
	MutexWait = "mutex-wait-sec/op"
	// Block is for channels, condition variables, wait groups and locks. What
	// has nothing to do waits too.
	Block = "block-sec/op"
)

// Instructions per op are retired ones in user space, of all threads and of the
// processes that they start, in the co-run of a machine that counts them.
const Instructions = "instructions/op"

// Test is a benchmark and unit with the channel that decides it. The family of
// tests is registered before the first measurement and does not shrink.
type Test struct {
	Key     Key     `json:"key"`
	Unit    string  `json:"unit"`
	Channel Channel `json:"channel"`
}

// Unit is what a suite's Unit lines, or the defaults, say of a unit.
type Unit struct {
	Better string `json:"better"`           // "lower", "higher", or "" where unknown: shown, never gated
	Assume string `json:"assume,omitempty"` // "exact" or ""
}

// Benchmark is the plan of one benchmark.
type Benchmark struct {
	Key     Key     `json:"key"`
	Channel Channel `json:"channel"` // how its time is measured: unchanged, corun or wall
	Reason  string  `json:"reason"`  // why that channel
	N       int     `json:"n"`       // iterations per timed run, planned on base
	ExactN  int     `json:"exact-n"` // iterations per exact run
	// BenchHash is the definition hash of its function (package suite), the same
	// on both sides.
	BenchHash string `json:"bench-hash,omitempty"`
	// File and Line are where the head side has its function: relative to the
	// repository, with slashes. Empty where that is not known.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// OutcomeKind says why a benchmark has no comparison.
type OutcomeKind string

// The outcomes. All but Added and Skipped make the run "not measured".
const (
	Added     OutcomeKind = "added"     // on head only: shown, not compared
	Missing   OutcomeKind = "missing"   // on base, or in the manifest, but not on head
	Redefined OutcomeKind = "redefined" // its definition differs between the sides
	Crashed   OutcomeKind = "crashed"   // panic, b.Fatal, exit status
	Hung      OutcomeKind = "hung"      // killed at the time limit
	Garbage   OutcomeKind = "garbage"   // its output is not benchmark format
	NoBuild   OutcomeKind = "no-build"  // the base side does not compile
	Void      OutcomeKind = "void"      // runs void themselves again and again, or inputs changed while measuring
	Skipped   OutcomeKind = "skipped"   // b.Skip on both sides
	TooFew    OutcomeKind = "too-few"   // fewer runs than a comparison needs; for want of time, none at all
)

// Outcome is a benchmark (or, with an empty Name, a package) that could not be compared.
type Outcome struct {
	Key    Key         `json:"key"`
	Side   Side        `json:"side,omitempty"`
	Kind   OutcomeKind `json:"kind"`
	Detail string      `json:"detail"` // what happened and what to do; several lines at most
}

// Revision is one side's source.
type Revision struct {
	Ref    string `json:"ref"`    // as asked for: "main", "HEAD", "working tree"
	Commit string `json:"commit"` // 40 hex digits
	Tree   string `json:"tree"`   // git tree hash of what was built, uncommitted changes included
	Dirty  bool   `json:"dirty"`  // differs from Commit
}

// Machine is where the bundle was measured.
type Machine struct {
	ClassID string            `json:"class-id"` // short hash of Class
	Class   map[string]string `json:"class"`    // cpu, cores, goos, goarch, go, virtualization
	Notes   []string          `json:"notes,omitempty"`
}

// BaselineCheck is one exact metric of head beside the stored baseline's.
type BaselineCheck struct {
	Key    Key     `json:"key"`
	Unit   string  `json:"unit"`
	Stored float64 `json:"stored"`
	Head   float64 `json:"head"`
	// Base is what the base side of this session has; nil where it was not measured
	// there, or did not repeat.
	Base *float64 `json:"base,omitempty"`
}

// BaselineRef says which stored baseline the head side was compared with.
type BaselineRef struct {
	Path    string `json:"path,omitempty"` // slash-separated, relative to the module, or a URL
	Commit  string `json:"commit,omitempty"`
	ClassID string `json:"class-id,omitempty"`
	// SameClass: metrics that hold only within a machine class were compared too.
	SameClass bool `json:"same-class"`
	// Checks lists every exact metric that both know.
	Checks []BaselineCheck `json:"checks,omitempty"`
	// Why is the reason where there was nothing to compare with.
	Why string `json:"why,omitempty"`
	// Unreachable: the store did not answer, so nobody knows whether there is one.
	Unreachable bool `json:"unreachable,omitempty"`
	// Anchor is what its ledger says of the way from the anchor release to the
	// newest commit in it; nil where none was chosen.
	Anchor *AnchorDrift `json:"anchor,omitempty"`
}

// AnchorDrift is what changed since the anchor release, before this session. It
// is shown and never gates.
type AnchorDrift struct {
	Ref    string `json:"ref"` // as the anchor was named
	Commit string `json:"commit"`
	// Rows are the tests of this session to which an unbroken chain of ratios
	// leads.
	Rows []Drift `json:"rows,omitempty"`
	// Broken counts the tests of this session in the ledger without one.
	Broken int `json:"broken,omitempty"`
}

// Drift is the product of the ratios head/base from the anchor on, with its
// interval where the sessions err independently.
type Drift struct {
	Key   Key     `json:"key"`
	Unit  string  `json:"unit"`
	Links int     `json:"links"` // ratios
	Ratio float64 `json:"ratio"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

// Manifest is manifest.json: everything about a bundle but the samples.
type Manifest struct {
	Schema     int             `json:"schema"`
	Tool       string          `json:"tool"`    // "perfgate VERSION"
	Command    string          `json:"command"` // "local" or "check"
	Module     string          `json:"module"`
	Suite      string          `json:"suite"`           // "smoke", or "" for all benchmarks of --pkg
	Bench      string          `json:"bench,omitempty"` // the -bench pattern that left out some of it
	Shard      *Shard          `json:"shard,omitempty"` // the part of the suite that was measured; nil for all
	Parts      []Part          `json:"parts,omitempty"` // of a bundle merged from shards, by index
	Base       Revision        `json:"base"`
	Head       Revision        `json:"head"`
	AA         bool            `json:"aa"` // both sides are the same tree, measured on purpose
	BaseReason string          `json:"base-reason"`
	Toolchain  string          `json:"toolchain"`
	BuildFlags []string        `json:"build-flags"`
	Machine    Machine         `json:"machine"`
	Seed       uint64          `json:"seed"` // of every coin: order, core, benchmark order
	Policy     config.Policy   `json:"policy"`
	Waivers    []config.Waiver `json:"waivers,omitempty"` // asked for by the commits of the head side
	// WaiversAllowed: the base side's policy lets regressions be accepted.
	WaiversAllowed bool            `json:"waivers-allowed,omitempty"`
	Units          map[string]Unit `json:"units"`
	Benchmarks     []Benchmark     `json:"benchmarks"`
	Family         []Test          `json:"family"`
	Outcomes       []Outcome       `json:"outcomes,omitempty"`
	Baseline       *BaselineRef    `json:"baseline,omitempty"`
	Warnings       []string        `json:"warnings,omitempty"`
	// OutOfTime: the budget ended before every test was decided or at its cap.
	OutOfTime bool `json:"out-of-time,omitempty"`
	// BudgetSeconds is the suite's time budget, WallSeconds and CPUSeconds what
	// building and measuring both sides cost.
	BudgetSeconds float64 `json:"budget-seconds"`
	WallSeconds   float64 `json:"wall-seconds"`
	CPUSeconds    float64 `json:"cpu-seconds"`
	// Profiles lists the profiles that were taken after the measuring, and
	// ProfileSeconds is what that took.
	Profiles       []Profile `json:"profiles,omitempty"`
	ProfileSeconds float64   `json:"profile-seconds,omitempty"`
	// Files is the sha256 of every other file of the bundle, by slash-separated path.
	Files map[string]string `json:"files"`
	// Checksum is the sha256 of this manifest, as it is written, with Checksum
	// empty. Write and Read see to it.
	Checksum string `json:"checksum"`
}

// Bundle is a manifest and its samples, in the order in which they were taken.
type Bundle struct {
	Manifest Manifest
	Samples  []Sample
	// Canary are co-run pairs of the base side with itself, as if one of them were
	// the head side: what differs here is the machine's or the tool's doing.
	Canary []Sample
	// Profiles is the data of the manifest's profiles, by Profile.File, as
	// DecodeProfile reads it.
	Profiles map[string][]byte
	// Diff is what the change did to the source; nil where nobody looked.
	Diff *Diff
}
