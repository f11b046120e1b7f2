package bottleneck

import (
	"slices"

	"github.com/google/pprof/profile"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// Kinds are the profiles that bottlenecks are found in.
var Kinds = []recording.ProfileKind{recording.CPUProfile, recording.AllocProfile, recording.MutexProfile, recording.BlockProfile}

// Profile is one profile of one run.
type Profile struct {
	Kind    recording.ProfileKind
	N       int // operations
	Profile *profile.Profile
	// Reported is what the benchmark printed of the run, or of as many runs as
	// there are for a profile.
	Reported []recording.Value
}

// view is the profiles of one kind with every stack filed.
type view struct {
	data   *profdiff.Data
	places []place
	// total is the metric of all stacks, and events their number, by replicate. Those
	// of the profiler itself are in neither.
	total, events []float64
	reported      [][]recording.Value
}

// newView joins the profiles of one kind; nil where there are none.
func newView(scope Scope, kind recording.ProfileKind, profiles []Profile) (*view, error) {
	var runs []profdiff.Run
	v := &view{}
	for _, p := range profiles {
		if p.Kind == kind {
			runs = append(runs, profdiff.Run{Profile: p.Profile, N: p.N})
			v.reported = append(v.reported, p.Reported)
		}
	}
	if len(runs) == 0 {
		return nil, nil
	}
	metric := profdiff.Time
	if kind == recording.AllocProfile {
		metric = profdiff.Bytes
	}
	var err error
	if v.data, err = profdiff.Join(kind, metric, nil, runs, nil); err != nil {
		return nil, err
	}
	v.total, v.events = make([]float64, len(runs)), make([]float64, len(runs))
	for i := range v.data.Stacks {
		s := &v.data.Stacks[i]
		p := scope.locate(v.data, s)
		v.places = append(v.places, p)
		if p.cause.ID != profiler {
			addTo(v.total, s.Value[profdiff.Head])
			addTo(v.events, s.Count[profdiff.Head])
		}
	}
	return v, nil
}

// addTo adds values to sums.
func addTo(sums, values []float64) {
	for i, x := range values {
		sums[i] += x
	}
}

// grouping names the group of a place; the empty name is no group.
type grouping func(p place) string

// sums adds up the metric (or the events) of each group, by replicate.
func (v *view) sums(of grouping, events bool) map[string][]float64 {
	out := map[string][]float64{}
	if v == nil {
		return out
	}
	for i := range v.data.Stacks {
		p := v.places[i]
		name := of(p)
		if name == "" || p.cause.ID == profiler {
			continue
		}
		if out[name] == nil {
			out[name] = make([]float64, v.runs())
		}
		values := &v.data.Stacks[i].Value
		if events {
			values = &v.data.Stacks[i].Count
		}
		addTo(out[name], values[profdiff.Head])
	}
	return out
}

func (v *view) runs() int { return len(v.total) }

// perOp divides sums by the operations of each replicate.
func (v *view) perOp(sums []float64) Interval {
	values := make([]float64, len(sums))
	for i, x := range sums {
		values[i] = x / float64(v.data.N[profdiff.Head][i])
	}
	return across(values, 0)
}

// parts divides sums by the whole of each replicate.
func (v *view) parts(sums []float64) []float64 {
	values := make([]float64, len(sums))
	for i, x := range sums {
		if v.total[i] > 0 {
			values[i] = x / v.total[i]
		}
	}
	return values
}

func (v *view) eventsInAll() float64 { return sumOf(v.events) }

func sumOf(xs []float64) float64 {
	total := 0.0
	for _, x := range xs {
		total += x
	}
	return total
}

// sortedNames are the names of groups, sorted.
func sortedNames[T any](groups map[string]T) []string {
	names := make([]string, 0, len(groups))
	// maprange: sorted below
	for name := range groups {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
