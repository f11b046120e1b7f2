package culprit

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// Suspect is a part of the change, or what is outside it, with how much of the
// slowdown it explains.
type Suspect struct {
	// Function is what is suspected, as the source names it with its package: a
	// function, a const, var or type, or "module PATH". Empty where Outside.
	Function string
	// File is relative to the repository, and Line the head side's first one there.
	// Both are empty where the change has no such place.
	File string
	Line int
	// Why is the evidence, in a sentence or two.
	Why string
	// Share is the part of the growth that it explains, and Confidence how sure that
	// is, both from 0 to 1. The confidences of one finding add up to at most 1.
	Share, Confidence float64
	// Outside: the cause is not in the change's source.
	Outside bool
	// Hunks are the lines that the change touches there.
	Hunks []recording.Hunk
}

// Finding is why one benchmark is slower.
type Finding struct {
	Kind   recording.ProfileKind
	Metric profdiff.Metric
	// Suspects, the most likely first. There may be none.
	Suspects []Suspect
	// Note says why there is no suspect, or what to be careful about.
	Note string
	// Result is the profile diff behind it.
	Result profdiff.Result
}

// Input is what is known of one benchmark.
type Input struct {
	Data *profdiff.Data
	// Alloc is the allocations of the same benchmark, which explain the garbage
	// collector's time; nil where there is none.
	Alloc *profdiff.Data
	Diff  *recording.Diff
	// Measured is the ratio head/base of the cost of an operation as the gate has
	// measured it; 0 where it has not measured this metric.
	Measured float64
	// Pkg is the import path of the benchmark's package, whose testdata it may read;
	// empty where nobody knows.
	Pkg string
}

// suspectsMax is how many are listed.
const suspectsMax = 5

// Find looks for what made the benchmark slower.
func Find(in Input) Finding {
	f := Finding{Kind: in.Data.Kind, Metric: in.Data.Metric, Result: profdiff.Diff(in.Data, profdiff.Options{Measured: in.Measured})}
	if in.Diff == nil {
		f.Note = "what the change did to the source is not recorded"
		return f
	}
	c := newCase(in, f.Result)
	if c.growth <= 0 {
		f.Note = "the profiles do not show the slowdown"
		return f
	}
	c.assign()
	c.netMoved()
	c.blameCallers()
	c.blameCallees()
	c.collectGarbage()
	c.shareRuntime()
	f.Suspects = c.suspects()
	if f.Result.TooFew {
		f.Note = fmt.Sprintf("too few samples to tell: %.0f on the base side, and %.0f would show a slowdown of this size wherever it is", f.Result.Total.BaseCount, f.Result.Needed)
	}
	return f
}

// owner is a unit of the change with what its stacks grew by.
type owner struct {
	*unit
	change profdiff.Change
	growth float64 // what is held against it, per operation
	moved  float64 // of its growth, what came from another touched function
	source string  // where that was
	direct float64 // of its growth, what is in itself or in calls that are new
	gc     float64 // the collector's part
	called float64 // of its growth, what is in a touched function that it calls more often
	notes  []string
	hint   bool // it is not on the stacks; functions that mention it are
	wide   bool // the functions that mention it are most of the program
	users  int  // units that share the stacks
}

// investigation of one benchmark.
type investigation struct {
	Input
	result profdiff.Result
	index  *index
	growth float64 // of an operation, to be explained
	owners []*owner
	// byName finds an owner by its unit's name.
	byName   map[string]*owner
	outside  []string // evidence
	acquit   float64  // growth that was held against an owner and is not its doing
	rootless float64  // growth of stacks without any code but the runtime's
}

func newCase(in Input, r profdiff.Result) *investigation {
	c := &investigation{Input: in, result: r, index: newIndex(in.Diff), byName: map[string]*owner{}}
	c.growth = r.Total.Delta()
	if in.Measured > 0 && in.Data.Metric == profdiff.Time {
		c.growth = (in.Measured - 1) * r.Total.Base
	}
	return c
}

// suspects ranks the owners, and what is outside.
func (c *investigation) suspects() []Suspect {
	var all []Suspect
	data := c.changedData()
	explained := 0.0
	for _, o := range c.owners {
		share := o.growth / c.growth
		if o.growth <= 0 || share < .05 {
			continue
		}
		s := Suspect{
			Function: o.name, File: o.file, Line: o.line, Hunks: o.hunks, Share: min(share, 1),
			Why: c.why(o), Outside: o.module,
		}
		s.Confidence = s.Share * c.trust(o)
		if data != "" && c.even(o) {
			s.Confidence *= evenTrust
			s.Why += "; but everything has become slower alike, and " + data + " changed, which the benchmark may read"
		}
		explained += s.Confidence
		all = append(all, s)
	}
	left := 1.0
	for _, s := range all {
		left -= s.Share * certainty(s.Confidence, s.Share)
	}
	if left = max(0, left); left >= .3 || len(all) == 0 {
		all = append(all, Suspect{Outside: true, Share: min(1, left), Confidence: c.outsideTrust(left, len(all) > 0), Why: c.outsideWhy(len(all) > 0)})
		explained += all[len(all)-1].Confidence
	}
	for i := range all {
		all[i].Confidence /= max(1, explained)
	}
	slices.SortStableFunc(all, func(a, b Suspect) int {
		return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(a.Function, b.Function))
	})
	return all[:min(len(all), suspectsMax)]
}

// evenTrust is what is left of the trust in an owner that grew like everything else,
// where data changed that the benchmark may read: more to do is as good a reason.
const evenTrust = .4

// changedData is a file that the change touches in the testdata of the benchmark's
// package, or of a folder above it; empty for none.
func (c *investigation) changedData() string {
	for _, file := range c.index.other {
		dir, _, ok := strings.Cut("/"+file, "/testdata/")
		if ok && c.Pkg != "" && strings.Contains("/"+c.Pkg+"/", dir+"/") {
			return file
		}
	}
	return ""
}

// even tells whether an owner grew by about as much as the whole.
func (c *investigation) even(o *owner) bool {
	whole := c.growth / c.result.Total.Base
	return o.change.Base > 0 && !o.hint && !o.module && o.change.Ratio-1 < evenMax*whole
}

// evenMax is by how much more than the whole an owner may grow and still be one of
// all.
const evenMax = 1.3

func certainty(confidence, share float64) float64 {
	if share == 0 {
		return 0
	}
	return confidence / share
}

// trust is how sure it is that what grew below an owner is its doing.
func (c *investigation) trust(o *owner) float64 {
	switch {
	case o.hint && o.wide && o.kind == "func":
		return .3 / float64(o.users)
	case o.hint && o.wide:
		// A limit or a layout of data has no cost of its own that could be seen
		// elsewhere; a function that is on no stack has none that matters.
		return .4 / float64(o.users)
	case o.hint:
		return .5 / float64(min(o.users, 3))
	case !o.change.Significant && o.gc+o.called < o.growth/2:
		return .3
	}
	direct := 0.0
	if o.change.Delta() > 0 {
		direct = math.Max(0, math.Min(1, o.direct/o.change.Delta()))
	}
	return .75 + .2*direct
}
