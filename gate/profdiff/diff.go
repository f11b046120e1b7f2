package profdiff

import (
	"cmp"
	"math"
	"slices"
)

// Options say how to compare.
type Options struct {
	// Measured is the ratio head/base of the cost of an operation, where the gate has
	// measured it in pairs; 0 where it has not.
	Measured float64
}

// Function is one function of either side.
type Function struct {
	Frame
	// Flat is what it does itself, Cum with all that it calls.
	Flat, Cum Change
}

// Result is a profile diff.
type Result struct {
	// Functions, the largest change of cost first: of the flat cost, then of
	// the cumulative one, then by name.
	Functions []Function
	// Total is the whole profile. It was not tested among the functions.
	Total Change
	// Factor is the size factor that the head side was divided by.
	Factor float64
	// Needed is the count on each side with which a slowdown of the size that was
	// measured is found wherever in the program it is. TooFew: there are fewer, and
	// nothing was found. 0 where nothing is known to be slower.
	Needed float64
	TooFew bool
}

// Diff compares the two sides of d function by function.
func Diff(d *Data, o Options) Result {
	name := func(i int) string { return d.Frames[i].Func() }
	flat := d.Tallies(func(s *Stack) []string {
		if len(s.Frames) == 0 {
			return nil
		}
		return []string{name(s.Frames[0])}
	})
	cum := d.Tallies(func(s *Stack) []string {
		var names []string
		for _, f := range s.Frames {
			names = append(names, name(f))
		}
		slices.Sort(names) // a function counts once in a stack, however often it calls itself
		return slices.Compact(names)
	})
	r := Result{Factor: d.sizeFactor(flat, o.Measured)}
	flatChanges, cumChanges := d.Compare(flat, r.Factor), d.Compare(cum, r.Factor)
	for i := range d.Frames {
		n := name(i)
		f := Function{Frame: d.Frames[i], Flat: flatChanges[n], Cum: cumChanges[n]}
		if flat[n] == nil {
			none := newTally(d.Runs())
			f.Flat = d.change(&none, scatter{}, 0, r.Factor)
		}
		r.Functions = append(r.Functions, f)
	}
	slices.SortFunc(r.Functions, func(a, b Function) int {
		return cmp.Or(
			cmp.Compare(math.Abs(b.Flat.Delta()), math.Abs(a.Flat.Delta())),
			cmp.Compare(math.Abs(b.Cum.Delta()), math.Abs(a.Cum.Delta())),
			cmp.Compare(a.Func(), b.Func()))
	})
	total := d.Total()
	r.Total = d.Compare(map[string]*Tally{"": &total}, r.Factor)[""]
	r.judgeSize(o.Measured)
	return r
}

// judgeSize says whether the profile could have shown what the gate has found.
func (r *Result) judgeSize(measured float64) {
	if measured <= 1 {
		return
	}
	r.Needed = Needed(measured - 1)
	found := slices.ContainsFunc(r.Functions, func(f Function) bool { return f.Flat.Shown || f.Cum.Shown })
	r.TooFew = !found && r.Total.BaseCount < r.Needed
}

// Shown are the functions that changed: whose flat or cumulative cost did.
func (r Result) Shown() []Function {
	return slices.DeleteFunc(slices.Clone(r.Functions), func(f Function) bool { return !f.Flat.Shown && !f.Cum.Shown })
}
