package bottleneck

import (
	"cmp"
	"slices"
	"strings"
)

// Finding is one bottleneck in one benchmark.
type Finding struct {
	Benchmark string `json:"benchmark"`
	// Share is the part of the CPU time, of which OfCollector is garbage collection on
	// its behalf; or Waiting the number of goroutines that wait.
	Share       *Interval `json:"cpu-share,omitempty"`
	OfCollector *Interval `json:"of-gc,omitempty"`
	Waiting     *Interval `json:"waiting,omitempty"`
	Amounts
	// Bound is by how much throughput can grow at most if all of it goes.
	Bound Interval `json:"throughput-bound"`
	// Functions are where it is, and Callers for which packages, as parts of the whole
	// of the benchmark, the largest first.
	Functions []Part `json:"functions"`
	Callers   []Part `json:"callers,omitempty"`
}

// Part is a share of a whole: of the CPU time, or of all waiting.
type Part struct {
	Name  string   `json:"name"`
	Share Interval `json:"share"`
}

// finding is a Finding before it is ranked.
type finding struct {
	id, pkg string
	cause   *Cause
	load    bool
	Finding
}

// partsMax is how many functions and callers a finding names.
const partsMax = 4

// find lists what can be ranked.
func (s *study) find() {
	s.findCosts()
	s.findWaits(s.mutex, s.heldAcrossIO())
	s.findWaits(s.block, nil)
	slices.SortFunc(s.Waits, func(a, b Wait) int {
		return cmp.Or(cmp.Compare(b.Nanos.Value, a.Nanos.Value), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Function, b.Function))
	})
}

// known gives an example of a place for each name.
func (s *study) known(v *view, of grouping) map[string]place {
	out := map[string]place{}
	if v == nil {
		return out
	}
	for _, p := range v.places {
		if name := of(p); name != "" {
			if _, ok := out[name]; !ok {
				out[name] = p
			}
		}
	}
	return out
}

// findCosts makes one finding of each cause in each package.
func (s *study) findCosts() {
	id := func(p place) string { return p.id(s.scope) }
	places := s.known(s.alloc, id)
	for name, p := range s.known(s.cpu, id) { // maprange: fills a map
		places[name] = p
	}
	costs := s.costs(id)
	var direct map[string][]float64
	if s.alloc != nil {
		direct = s.cpu.sums(id, false)
	}
	for _, name := range sortedNames(costs) {
		p := places[name]
		if !p.cause.ranked() {
			continue
		}
		part := s.shareOf(costs[name])
		cpu := Interval{Value: part.Value * s.cpuPerOp.Value, Lo: part.Lo * s.cpuPerOp.Value, Hi: part.Hi * s.cpuPerOp.Value}
		f := finding{id: name, pkg: s.scope.short(p.pkg), cause: p.cause, load: p.load, Finding: Finding{
			Benchmark: s.Title(), Share: &part, Amounts: s.amounts(id, name), Bound: amdahl(part),
		}}
		f.CPUNanos, f.MutexNanos, f.BlockNanos, f.Contentions = &cpu, nil, nil, nil
		if direct != nil {
			f.OfCollector = s.collectorPart(costs[name], direct[name])
		}
		f.Functions = s.parts(s.costs(s.inside(id, name, func(p place) string { return s.scope.short(p.function) })))
		f.Callers = s.parts(s.costs(s.inside(id, name, func(p place) string { return s.scope.shortOrNone(p.caller) })))
		s.found = append(s.found, f)
	}
}

// collectorPart is the part of a cost that is the collector's.
func (s *study) collectorPart(with, without []float64) *Interval {
	rest := slices.Clone(with)
	for i := range without {
		rest[i] -= without[i]
	}
	if sumOf(rest) <= 0 {
		return nil
	}
	i := share(s.cpu.parts(rest), 0)
	return &i
}

func (s Scope) shortOrNone(pkg string) string {
	if pkg == "" {
		return ""
	}
	return s.short(pkg)
}

// inside groups the places of one name further.
func (s *study) inside(of grouping, name string, further grouping) grouping {
	return func(p place) string {
		if of(p) != name {
			return ""
		}
		return further(p)
	}
}

func (s *study) parts(costs map[string][]float64) []Part {
	var parts []Part
	for _, name := range sortedNames(costs) {
		parts = append(parts, Part{Name: name, Share: s.shareOf(costs[name])})
	}
	return largest(parts)
}

// largest are the largest parts, without those that are nothing.
func largest(parts []Part) []Part {
	parts = slices.DeleteFunc(parts, func(p Part) bool { return p.Share.Value < .0005 })
	slices.SortStableFunc(parts, func(a, b Part) int { return cmp.Compare(b.Share.Value, a.Share.Value) })
	return parts[:min(len(parts), partsMax)]
}

// findWaits makes a finding of each place where goroutines waited for each other.
// across is the functions that are known to do I/O.
func (s *study) findWaits(v *view, across map[string]bool) {
	if v == nil {
		return
	}
	file := func(p place) place {
		if p.cause.ID == contention && across[p.function] {
			p.cause = find(Waiting, lockAcross)
		}
		return p
	}
	id := func(p place) string { return file(p).id(s.scope) }
	const separator = "\x00"
	byFunction := func(p place) string { return id(p) + separator + s.scope.short(p.function) }
	sums, events := v.sums(byFunction, false), v.sums(byFunction, true)
	known := s.known(v, id)
	for _, key := range sortedNames(sums) {
		name, function, _ := strings.Cut(key, separator)
		p := known[name]
		s.Waits = append(s.Waits, Wait{ID: name, Package: s.scope.short(p.pkg), Function: function, Nanos: v.perOp(sums[key]), Events: v.perOp(events[key]),
			Waiting: s.waiting(v, sums[key]), Ranked: p.cause.ID != idle && !p.load})
	}
	groups, counts := v.sums(id, false), v.sums(id, true)
	for _, name := range sortedNames(groups) {
		p := file(known[name])
		waiting := s.waiting(v, groups[name])
		if !p.cause.ranked() || waiting == nil {
			continue
		}
		w, n := v.perOp(groups[name]), v.perOp(counts[name])
		var u Interval
		if s.Utilisation != nil {
			u = *s.Utilisation
		}
		f := finding{id: name, pkg: s.scope.short(p.pkg), cause: p.cause, load: p.load, Finding: Finding{
			Benchmark: s.Title(), Waiting: waiting, Bound: waitingBound(*waiting, u)}}
		if v == s.mutex {
			f.MutexNanos, f.Contentions = &w, &n
		} else {
			f.BlockNanos = &w
		}
		var parts []Part
		inside := v.sums(s.inside(id, name, func(p place) string { return s.scope.short(p.function) }), false)
		for _, function := range sortedNames(inside) {
			parts = append(parts, Part{Name: function, Share: share(v.parts(inside[function]), 0)})
		}
		f.Functions = largest(parts)
		s.found = append(s.found, f)
	}
}

// heldAcrossIO are the functions of the module that stand on CPU stacks of system
// calls for files and connections. One that also releases a lock for which
// others wait may hold it meanwhile.
func (s *study) heldAcrossIO() map[string]bool {
	doers := map[string]bool{}
	for i := range s.cpu.data.Stacks {
		switch s.cpu.places[i].cause.ID {
		case diskSync, netWrite, netRead:
			for _, f := range s.cpu.data.Stacks[i].Frames {
				if frame := s.cpu.data.Frames[f]; s.scope.own(frame) {
					doers[frame.Func()] = true
				}
			}
		}
	}
	return doers
}

func sortRows(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Share.Value, a.Share.Value), cmp.Compare(a.Name, b.Name))
	})
}
