package bottleneck

import (
	"errors"
	"fmt"
	"strings"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// ReplicatesMin is the number of replicates from which intervals are worth their
// name; two are the least that give one at all.
const ReplicatesMin = 8

// ErrFew: there is nothing from which an interval could be made.
var ErrFew = errors.New("fewer than two CPU profiles")

// Measured is one benchmark with what was taken of it.
type Measured struct {
	Key      recording.Key
	Profiles []Profile
}

// Amounts are costs of one operation.
type Amounts struct {
	CPUNanos    *Interval `json:"cpu-ns,omitempty"`
	Bytes       *Interval `json:"bytes,omitempty"`
	Objects     *Interval `json:"objects,omitempty"`
	MutexNanos  *Interval `json:"mutex-wait-ns,omitempty"`
	BlockNanos  *Interval `json:"block-ns,omitempty"`
	Contentions *Interval `json:"contentions,omitempty"`
}

// Row is one line of a table: a part of the whole with its amounts.
type Row struct {
	Name string `json:"name"`
	// Share is of the CPU time.
	Share Interval `json:"cpu-share"`
	Amounts
}

// Analysis is what the profiles of one benchmark say.
type Analysis struct {
	Pkg        string `json:"pkg"`
	Name       string `json:"name"`
	Procs      int    `json:"procs"`
	Replicates int    `json:"replicates"`
	Samples    int    `json:"cpu-samples"`
	Operations int    `json:"operations"` // of one CPU run
	// Throughput is operations a second of the profiled runs. Utilisation is the part
	// of the cores that the program used, or waited for, if it reported that.
	Throughput  *Interval `json:"throughput,omitempty"`
	Utilisation *Interval `json:"utilisation,omitempty"`
	Whole       Amounts   `json:"whole"`
	// Collector is the part of garbage collection, which Causes has as it is and the
	// other tables divide among those who allocate. Load is the part of the load.
	Collector Interval `json:"gc-share"`
	Load      Interval `json:"load-share"`
	// Causes add up to all CPU time, and so do Packages.
	Causes    []Row     `json:"causes"`
	Packages  []Row     `json:"packages"`
	Labels    []Row     `json:"labels,omitempty"`
	Functions []Row     `json:"functions"`
	Waits     []Wait    `json:"waits,omitempty"`
	Stations  []Station `json:"stations,omitempty"`

	found []finding
}

// Title names the benchmark as a person would: its package's last part and name.
func (a *Analysis) Title() string {
	name := a.Pkg[strings.LastIndexByte(a.Pkg, '/')+1:] + "." + strings.TrimPrefix(a.Name, "Benchmark")
	if a.Procs > 1 {
		name += fmt.Sprintf("-%d", a.Procs)
	}
	return name
}

// study is an Analysis while it is made.
type study struct {
	Analysis
	scope                    Scope
	cpu, alloc, mutex, block *view
	cpuPerOp                 Interval
}

// Analyse reads the profiles of one benchmark.
func Analyse(scope Scope, m Measured) (*Analysis, error) {
	s := &study{Analysis: Analysis{Pkg: printable(m.Key.Pkg), Name: printable(m.Key.Name), Procs: m.Key.Procs}, scope: scope}
	for kind, to := range map[recording.ProfileKind]**view{ // maprange: each view is made by itself
		recording.CPUProfile: &s.cpu, recording.AllocProfile: &s.alloc, recording.MutexProfile: &s.mutex, recording.BlockProfile: &s.block,
	} {
		v, err := newView(scope, kind, m.Profiles)
		if err != nil {
			return nil, fmt.Errorf("%s: the %s profiles: %w", m.Key, kind, err)
		}
		if v != nil && v.runs() < 2 {
			v = nil // no interval
		}
		*to = v
	}
	if s.cpu == nil {
		return nil, fmt.Errorf("%s: %w", m.Key, ErrFew)
	}
	s.Replicates, s.Samples = s.cpu.runs(), int(s.cpu.eventsInAll())
	s.Operations = s.cpu.data.N[profdiff.Head][0]
	s.operational()
	s.tables()
	s.find()
	return &s.Analysis, nil
}

// all puts everything into one group.
func all(place) string { return "all" }

// tables fills in what adds up.
func (s *study) tables() {
	s.cpuPerOp = s.cpu.perOp(s.cpu.total)
	if used := s.cpuUsed(); used != nil {
		s.cpuPerOp = *used // ticks get lost where others use the cores too
	}
	s.Whole = s.amounts(all, "all")
	s.Whole.CPUNanos = &s.cpuPerOp
	onlyCause := func(p place) string {
		if p.load {
			return loadPackage
		}
		return p.cause.ID
	}
	s.Collector = s.shareOf(s.cpu.sums(isCollector, false)["gc"])
	s.Load = s.shareOf(s.costs(onlyCause)[loadPackage])
	for name, sums := range s.cpu.sums(onlyCause, false) { // maprange: sorted by rows
		s.Causes = append(s.Causes, Row{Name: name, Share: s.shareOf(sums)})
	}
	sortRows(s.Causes)
	s.Packages = s.rows(func(p place) string { return s.scope.short(p.pkg) })
	s.Labels = s.rows(func(p place) string { return p.label })
	s.Functions = s.rows(func(p place) string {
		if p.load {
			return ""
		}
		return s.scope.short(p.function)
	})
}

// functionsMax is how many functions are listed.
const functionsMax = 20

func isCollector(p place) string {
	if p.cause.ID == collector {
		return "gc"
	}
	return ""
}

// shareOf is the part of the CPU time with its interval.
func (s *study) shareOf(sums []float64) Interval {
	if sums == nil {
		return Interval{}
	}
	return share(s.cpu.parts(sums), s.cpu.eventsInAll())
}

// costs is the CPU time of each group by replicate, with the collector's divided
// among those who allocate, where it is known who does.
func (s *study) costs(of grouping) map[string][]float64 {
	if s.alloc == nil {
		return s.cpu.sums(of, false)
	}
	out := s.cpu.sums(func(p place) string {
		if p.cause.ID == collector {
			return ""
		}
		return of(p)
	}, false)
	gc := s.cpu.sums(isCollector, false)["gc"]
	if gc == nil {
		return out
	}
	bytes := s.alloc.sums(of, false)
	for _, name := range sortedNames(bytes) {
		part := share(s.alloc.parts(bytes[name]), 0).Value
		if out[name] == nil {
			out[name] = make([]float64, s.cpu.runs())
		}
		for i, x := range gc {
			out[name][i] += part * x
		}
	}
	return out
}

// rows is a table of groups, the largest share first.
func (s *study) rows(of grouping) []Row {
	costs := s.costs(of)
	waits := map[string]bool{}
	for _, v := range []*view{s.mutex, s.block} {
		for name := range v.sums(of, false) { // maprange: a set
			waits[name] = true
		}
	}
	for name := range waits { // maprange: a set
		if costs[name] == nil {
			costs[name] = make([]float64, s.cpu.runs())
		}
	}
	var rows []Row
	for _, name := range sortedNames(costs) {
		rows = append(rows, Row{Name: name, Share: s.shareOf(costs[name]), Amounts: s.amounts(of, name)})
	}
	sortRows(rows)
	return rows[:min(len(rows), functionsMax)]
}

// amounts are what an operation costs in one group. Waiting for something to do
// is none of it.
func (s *study) amounts(of grouping, name string) Amounts {
	var a Amounts
	if s.alloc != nil {
		a.Bytes = someOf(s.alloc, s.alloc.sums(of, false)[name])
		a.Objects = someOf(s.alloc, s.alloc.sums(of, true)[name])
	}
	if s.mutex != nil {
		a.MutexNanos = someOf(s.mutex, s.mutex.sums(of, false)[name])
		a.Contentions = someOf(s.mutex, s.mutex.sums(of, true)[name])
	}
	if s.block != nil {
		a.BlockNanos = someOf(s.block, s.block.sums(func(p place) string {
			if p.cause.ID == idle {
				return ""
			}
			return of(p)
		}, false)[name])
	}
	return a
}

func someOf(v *view, sums []float64) *Interval {
	if sums == nil {
		return nil
	}
	i := v.perOp(sums)
	return &i
}
