package profdiff

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/perfgate/perfgate/gate/recording"
)

// Metric is what is compared of a profile.
type Metric string

// The metrics. Time is that of the profile's kind: on the CPU, or waiting.
const (
	Time    Metric = "ns"
	Bytes   Metric = "bytes"
	Objects Metric = "objects"
	// Goroutines is how many there are at a time.
	Goroutines Metric = "goroutines"
)

// Per is what a value of the metric is related to.
func (m Metric) Per() string {
	if m == Goroutines {
		return "at a time"
	}
	return "per operation"
}

// Run is one profile and the number of operations that it covers.
type Run struct {
	Profile *profile.Profile
	N       int
}

// Frame is a function in a stack.
type Frame struct {
	Pkg  string // import path
	Name string // within the package, as Name has it
	// File is without a module's version, which is Version where the file is of
	// another module.
	File, Version string
	Line          int // where the function begins, where the profile says it
}

// Func is the function's full name.
func (f Frame) Func() string {
	if f.Pkg == "" {
		return f.Name
	}
	return f.Pkg + "." + f.Name
}

// Sides index base and head in every pair of this package.
const (
	Base = 0
	Head = 1
)

// Tally is what was counted of something, by side and replicate: Count the events
// (ticks of the profiler, objects, contentions) and Value the metric.
type Tally struct {
	Count, Value [2][]float64
}

// Stack is one stack of either side with what was counted there.
type Stack struct {
	Frames []int    // into Data.Frames, the leaf first
	Labels []string // "key=value", sorted
	Tally
}

// Data is the profiles of both sides, joined. It may have one side only.
type Data struct {
	Kind   recording.ProfileKind
	Metric Metric
	// N is the number of operations of each run, by side.
	N      [2][]int
	Frames []Frame
	Stacks []Stack
}

// ErrEmpty: there is nothing to compare.
var ErrEmpty = errors.New("no profile")

// Join reads the profiles of both sides. A function that the head side has under
// another name is compared under that one: renames maps full names of the base
// side to those of the head side.
func Join(kind recording.ProfileKind, metric Metric, base, head []Run, renames map[string]string) (*Data, error) {
	if len(base)+len(head) == 0 {
		return nil, ErrEmpty
	}
	d := &Data{Kind: kind, Metric: metric}
	j := joiner{data: d, frames: map[string]int{}, stacks: map[string]int{}, runs: [2]int{len(base), len(head)}}
	for side, runs := range [2][]Run{base, head} {
		for rep, run := range runs {
			if run.N < 1 {
				return nil, fmt.Errorf("a profile of %d operations", run.N)
			}
			d.N[side] = append(d.N[side], run.N)
			j.side, j.rep, j.renames = side, rep, nil
			if side == Base {
				j.renames = renames
			}
			if err := j.add(run.Profile); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// joiner adds profiles to a Data.
type joiner struct {
	data      *Data
	frames    map[string]int
	stacks    map[string]int
	runs      [2]int
	side, rep int
	renames   map[string]string
}

func (j *joiner) add(p *profile.Profile) error {
	count, value, err := indexes(p, j.data.Metric)
	if err != nil {
		return err
	}
	for _, s := range p.Sample {
		var frames []int
		for _, l := range s.Location {
			// The lines of one location are calls that were inlined, the innermost first.
			for _, line := range l.Line {
				switch {
				case line.Function == nil:
				case slices.Contains(preemption, line.Function.Name):
					frames = nil // the profiler's signal met the scheduler's: the time is the caller's
				default:
					frames = append(frames, j.frame(line.Function))
				}
			}
		}
		stack := &j.data.Stacks[j.stack(frames, labels(s))]
		stack.Count[j.side][j.rep] += float64(s.Value[count])
		stack.Value[j.side][j.rep] += float64(s.Value[value])
	}
	return nil
}

// preemption is what the runtime puts below a function that has run for long.
var preemption = []string{"runtime.asyncPreempt", "runtime.asyncPreempt2"}

// indexes finds the sample types: what the runtime writes has the count first.
func indexes(p *profile.Profile, m Metric) (count, value int, err error) {
	if m == Goroutines && len(p.SampleType) == 1 {
		return 0, 0, nil
	}
	if len(p.SampleType) < 2 {
		return 0, 0, fmt.Errorf("a profile with %d sample types, want a count and a value", len(p.SampleType))
	}
	if m == Objects {
		return 0, 0, nil
	}
	return 0, 1, nil
}

func (j *joiner) frame(f *profile.Function) int {
	pkg, name := Name(f.Name)
	frame := Frame{Pkg: pkg, Name: name, Line: int(f.StartLine)}
	frame.File, frame.Version = SourceFile(f.Filename)
	id := frame.Func()
	if to, ok := j.renames[id]; ok {
		frame.Pkg, frame.Name = Name(to)
		id = to
	}
	if at, ok := j.frames[id]; ok {
		have := &j.data.Frames[at]
		// Closures begin later than the function that they belong to.
		if frame.File == have.File && frame.Line > 0 && frame.Line < have.Line {
			have.Line = frame.Line
		}
		if j.side == Head {
			have.Version = frame.Version
		}
		return at
	}
	j.data.Frames = append(j.data.Frames, frame)
	j.frames[id] = len(j.data.Frames) - 1
	return len(j.data.Frames) - 1
}

// stack is the index of the stack in the data.
func (j *joiner) stack(frames []int, labels []string) int {
	// A function that calls its own closure is one frame.
	frames = slices.Compact(frames)
	id := fmt.Sprint(frames, labels)
	if at, ok := j.stacks[id]; ok {
		return at
	}
	s := Stack{Frames: frames, Labels: labels, Tally: newTally(j.runs)}
	j.data.Stacks = append(j.data.Stacks, s)
	j.stacks[id] = len(j.data.Stacks) - 1
	return len(j.data.Stacks) - 1
}

func newTally(runs [2]int) Tally {
	var t Tally
	for side, n := range runs {
		t.Count[side], t.Value[side] = make([]float64, n), make([]float64, n)
	}
	return t
}

func (t *Tally) add(o *Tally) {
	for side := range t.Count {
		for i := range t.Count[side] {
			t.Count[side][i] += o.Count[side][i]
			t.Value[side][i] += o.Value[side][i]
		}
	}
}

func labels(s *profile.Sample) []string {
	var out []string
	// maprange: sorted below
	for key, values := range s.Label {
		out = append(out, key+"="+strings.Join(values, ","))
	}
	slices.Sort(out)
	return out
}

// Runs is the number of replicates of each side.
func (d *Data) Runs() [2]int { return [2]int{len(d.N[Base]), len(d.N[Head])} }

// Tallies adds up the stacks by the groups that they belong to; a stack in
// several groups counts in each.
func (d *Data) Tallies(groups func(s *Stack) []string) map[string]*Tally {
	out := map[string]*Tally{}
	for i := range d.Stacks {
		s := &d.Stacks[i]
		for _, g := range groups(s) {
			t := out[g]
			if t == nil {
				fresh := newTally(d.Runs())
				t = &fresh
				out[g] = t
			}
			t.add(&s.Tally)
		}
	}
	return out
}

// Total adds up all stacks.
func (d *Data) Total() Tally {
	t := newTally(d.Runs())
	for i := range d.Stacks {
		t.add(&d.Stacks[i].Tally)
	}
	return t
}

// PerOp is the metric per operation of a side.
func (d *Data) PerOp(t *Tally, side int) float64 {
	return ratio(sum(t.Value[side]), ops(d.N[side]))
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func sum(xs []float64) float64 {
	total := 0.0
	for _, x := range xs {
		total += x
	}
	return total
}

func ops(ns []int) float64 {
	total := 0.0
	for _, n := range ns {
		total += float64(n)
	}
	return total
}
