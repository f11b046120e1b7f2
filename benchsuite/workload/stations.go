package workload

import (
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Station is what one module did and what waited for it, on all replicas
// together.
type Station struct {
	Name    string
	Busy    time.Duration // at work
	Visits  uint64        // events applied
	Waiting float64       // events pending, on average
}

// Watch counts what the modules of running replicas do, from Begin on. Labels of
// the profiler are on meanwhile.
type Watch struct {
	real    *Real
	begin   map[string]Station
	waiting map[string]uint64
	looks   uint64
}

// NewWatch makes the replicas measure their modules. It is no method of Real, since
// what Real has is part of the definition of every benchmark that uses it.
func NewWatch(r *Real) *Watch {
	r.cluster.Watch(true, true)
	return &Watch{real: r}
}

// Begin forgets what was before.
func (w *Watch) Begin() error {
	w.waiting, w.looks = map[string]uint64{}, 0
	begin, err := w.totals()
	w.begin = begin
	return err
}

// Look counts what is pending now. A caller looks at regular times.
func (w *Watch) Look() error {
	w.looks++
	return w.each(func(m mir.ModuleCounters) { w.waiting[m.Name] += m.Queued() })
}

// Stations is what the modules did since Begin, by name, and "loop", which is the
// goroutine of a replica with all of them.
func (w *Watch) Stations() (map[string]Station, error) {
	all, err := w.totals()
	if err != nil {
		return nil, err
	}
	loop := Station{Name: "loop"}
	for name, s := range all {
		s.Busy -= w.begin[name].Busy
		s.Visits -= w.begin[name].Visits
		if w.looks > 0 {
			s.Waiting = float64(w.waiting[name]) / float64(w.looks)
		}
		all[name] = s
		loop.Busy, loop.Visits, loop.Waiting = loop.Busy+s.Busy, loop.Visits+s.Visits, loop.Waiting+s.Waiting
	}
	all[loop.Name] = loop
	return all, nil
}

// totals adds up the replicas' counters, by module.
func (w *Watch) totals() (map[string]Station, error) {
	all := map[string]Station{}
	err := w.each(func(m mir.ModuleCounters) {
		s := all[m.Name]
		all[m.Name] = Station{Name: m.Name, Busy: s.Busy + m.Spent, Visits: s.Visits + m.Applied}
	})
	return all, err
}

func (w *Watch) each(do func(mir.ModuleCounters)) error {
	for id := range w.real.nodes {
		c, err := w.real.cluster.Counters(types.NodeID(id))
		if err != nil {
			return err
		}
		for _, m := range c.Modules {
			do(m)
		}
	}
	return nil
}
