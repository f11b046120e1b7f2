package bottleneck

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// Station is a part of the program with a queue in front of it, as the benchmark
// itself reports it: in units "NAME:busy-sec/op", "NAME:visits/op", "NAME:queue"
// and "NAME:servers" (1 where it does not say).
type Station struct {
	Name    string `json:"name"`
	Servers int    `json:"servers"`
	// Demand is the busy time D for each operation, Visits the number V of things
	// that were served, Service the time S = D/V for each.
	DemandNanos  Interval  `json:"demand-ns"`
	Visits       *Interval `json:"visits,omitempty"`
	ServiceNanos *Interval `json:"service-ns,omitempty"`
	// Utilisation is U = X·D/m of m servers.
	Utilisation *Interval `json:"utilisation,omitempty"`
	// Queue is the number Q of things that wait or are served, on average, and
	// ResidenceNanos what each takes with its wait: R = Q/(X·V). A Q below what is
	// being served, U·m, is no average over time, and gives no R.
	Queue          *Interval `json:"queue,omitempty"`
	ResidenceNanos *Interval `json:"residence-ns,omitempty"`
	// ThroughputMax is m/D: no more operations a second go through it, as things were.
	ThroughputMax Interval `json:"throughput-max"`
	// CPUNanos is the CPU time for each operation of what has its name as a profiler
	// label, and ThroughputMaxCPU what m servers could do that never wait for a core.
	CPUNanos         *Interval `json:"cpu-ns,omitempty"`
	ThroughputMaxCPU *Interval `json:"throughput-max-cpu,omitempty"`
}

// Wait is one place where goroutines waited.
type Wait struct {
	ID       string `json:"id"` // "lock@shop/cart"
	Package  string `json:"package"`
	Function string `json:"function"`
	// Nanos is the waiting for each operation, of all goroutines, and Events how often.
	Nanos  Interval `json:"ns"`
	Events Interval `json:"events"`
	// Waiting is how many goroutines wait there on average: L = X·w.
	Waiting *Interval `json:"waiting,omitempty"`
	Ranked  bool      `json:"ranked"` // not for want of work
}

// units of a run that are read here.
const (
	runDelay     = "run-delay/run"
	busyUnit     = ":busy-sec/op"
	visitsUnit   = ":visits/op"
	queueUnit    = ":queue"
	serversUnit  = ":servers"
	nanosPerUnit = 1e9
)

// value is the value of a unit; 0 where there is none.
func value(values []recording.Value, unit string) float64 {
	for _, v := range values {
		if v.Unit == unit {
			return v.Value
		}
	}
	return 0
}

// throughput is operations a second: what the time of an operation says, or else a
// rate that the benchmark reports. 0 where nothing does.
func throughput(values []recording.Value) float64 {
	if t := value(values, "sec/op"); t > 0 {
		return 1 / t
	}
	for _, v := range values {
		if strings.HasSuffix(v.Unit, "/s") && v.Unit != "B/s" && v.Value > 0 {
			return v.Value
		}
	}
	return 0
}

// each computes one value from the report of each run; nil where a run lacks it.
func each(reports [][]recording.Value, f func(i int, values []recording.Value) float64) *Interval {
	var xs []float64
	for i, values := range reports {
		x := f(i, values)
		if !(x > 0) || math.IsInf(x, 0) {
			return nil
		}
		xs = append(xs, x)
	}
	interval := across(xs, 0)
	return &interval
}

// operational fills in throughput, the use of the cores, and the stations.
func (s *study) operational() {
	reports := s.cpu.reported
	s.Throughput = each(reports, func(_ int, values []recording.Value) float64 { return throughput(values) })
	s.Utilisation = each(reports, func(i int, values []recording.Value) float64 {
		// Ready to run without a CPU is as good as busy: another core would be used.
		perOp := value(values, "cpu-sec/op") + value(values, runDelay)/nanosPerUnit/float64(s.cpu.data.N[profdiff.Head][i])
		return math.Min(1, perOp*throughput(values)/float64(max(1, s.Procs)))
	})
	if s.Utilisation != nil {
		s.Utilisation.Hi = math.Min(1, s.Utilisation.Hi)
	}
	for _, v := range reports[0] {
		if name, ok := strings.CutSuffix(v.Unit, busyUnit); ok && name != "" {
			s.station(name, reports)
		}
	}
	slices.SortFunc(s.Stations, func(a, b Station) int {
		return cmp.Or(cmp.Compare(a.ThroughputMax.Value, b.ThroughputMax.Value), cmp.Compare(a.Name, b.Name))
	})
}

func (s *study) station(name string, reports [][]recording.Value) {
	at := Station{Name: printable(name), Servers: max(1, int(value(reports[0], name+serversUnit)))}
	servers := float64(at.Servers)
	demand := func(values []recording.Value) float64 { return value(values, name+busyUnit) }
	visits := func(values []recording.Value) float64 { return value(values, name+visitsUnit) }
	interval := func(f func(values []recording.Value) float64) *Interval {
		return each(reports, func(_ int, values []recording.Value) float64 { return f(values) })
	}
	d := interval(func(v []recording.Value) float64 { return demand(v) * nanosPerUnit })
	most := interval(func(v []recording.Value) float64 { return servers / demand(v) })
	if d == nil || most == nil {
		return
	}
	at.DemandNanos, at.ThroughputMax = *d, *most
	at.Visits = interval(visits)
	at.ServiceNanos = interval(func(v []recording.Value) float64 { return demand(v) / visits(v) * nanosPerUnit })
	at.Utilisation = interval(func(v []recording.Value) float64 { return throughput(v) * demand(v) / servers })
	at.Queue = interval(func(v []recording.Value) float64 { return value(v, name+queueUnit) })
	at.onCPU(s)
	if at.Utilisation == nil || at.Queue == nil || at.Queue.Value < at.Utilisation.Value*servers {
		s.Stations = append(s.Stations, at)
		return
	}
	at.ResidenceNanos = interval(func(v []recording.Value) float64 {
		return value(v, name+queueUnit) / (throughput(v) * visits(v)) * nanosPerUnit
	})
	s.Stations = append(s.Stations, at)
}

// cpuUsed is the CPU time of an operation in ns, as the runs reported it; nil where
// they did not.
func (s *study) cpuUsed() *Interval {
	return each(s.cpu.reported, func(_ int, values []recording.Value) float64 { return value(values, "cpu-sec/op") * nanosPerUnit })
}

// onCPU fills in what the profile says of a station: its share, of the CPU time that
// the runs used.
func (at *Station) onCPU(s *study) {
	costs := s.costs(func(p place) string {
		if slices.Contains(p.values, at.Name) {
			return at.Name
		}
		return ""
	})[at.Name]
	used := s.cpuUsed()
	if costs == nil || used == nil {
		return
	}
	part := s.shareOf(costs)
	if part.Lo <= 0 {
		return
	}
	nanos := used.Value
	at.CPUNanos = &Interval{Value: part.Value * nanos, Lo: part.Lo * nanos, Hi: part.Hi * nanos}
	most := float64(at.Servers) * nanosPerUnit
	at.ThroughputMaxCPU = &Interval{Value: most / at.CPUNanos.Value, Lo: most / at.CPUNanos.Hi, Hi: most / at.CPUNanos.Lo}
}

// waiting is how many goroutines wait in a group on average; nil where nobody
// knows how long the runs took.
func (s *study) waiting(v *view, sums []float64) *Interval {
	xs := make([]float64, v.runs())
	for i, values := range v.reported {
		x := throughput(values)
		if x == 0 {
			return nil
		}
		xs[i] = sums[i] / nanosPerUnit / float64(v.data.N[profdiff.Head][i]) * x
	}
	interval := across(xs, 0)
	return &interval
}
