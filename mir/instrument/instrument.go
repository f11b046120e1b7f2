package instrument

import (
	"context"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// The profiler labels of a goroutine while a module is at work on it.
const (
	LabelNode   = "node"   // The node's number.
	LabelLane   = "lane"   // "loop", or the name of the lane.
	LabelModule = "module" // The module's name.
)

// Instrument is the mir.Instrument of one node. Its methods may be called from
// any goroutine.
type Instrument struct {
	node    mir.NodeID
	modules []string // By ModuleID; the first is nobody.

	labels atomic.Bool
	times  atomic.Bool
	spent  []atomic.Int64 // Nanoseconds, by ModuleID.
}

var _ mir.Instrument = (*Instrument)(nil)

// New makes the instrument of a node, with labels and times off. All modules
// have been interned in names before.
func New(node mir.NodeID, names *mir.Names) *Instrument {
	i := &Instrument{node: node, modules: make([]string, names.Len()+1), spent: make([]atomic.Int64, names.Len()+1)}
	for id := range i.modules {
		i.modules[id] = names.Name(mir.ModuleID(id))
	}
	return i
}

// SetLabels turns profiler labels on or off, from the next turn of each
// goroutine on.
func (i *Instrument) SetLabels(on bool) { i.labels.Store(on) }

// SetTimes turns the measuring of time on or off, from the next turn of each
// goroutine on. Times that were measured stay.
func (i *Instrument) SetTimes(on bool) { i.times.Store(on) }

// Spent implements mir.Instrument: the time of all complete turns.
func (i *Instrument) Spent(id mir.ModuleID) time.Duration {
	if int(id) >= len(i.spent) {
		return 0
	}
	return time.Duration(i.spent[id].Load())
}

// Probe implements mir.Instrument. While nobody's turn it is, the goroutine has
// the labels of ctx, so that a caller's own labels survive the node.
func (i *Instrument) Probe(ctx context.Context, lane string) mir.Probe {
	p := &probe{i: i, base: ctx, labels: make([]context.Context, len(i.modules))}
	node := strconv.FormatUint(uint64(i.node), 10)
	for id, module := range i.modules {
		p.labels[id] = pprof.WithLabels(ctx, pprof.Labels(LabelNode, node, LabelLane, lane, LabelModule, module))
	}
	return p
}

// probe is the mir.Probe of one goroutine.
type probe struct {
	i      *Instrument
	base   context.Context
	labels []context.Context // By ModuleID.

	turn     mir.ModuleID  // Zero for nobody.
	region   *trace.Region // Of the turn; nil without.
	since    time.Time     // When the turn began; zero if it is not measured.
	labelled bool          // The goroutine has labels of ours.
}

// Turn implements mir.Probe.
func (p *probe) Turn(to mir.ModuleID) {
	if int(to) >= len(p.labels) {
		to = 0 // Interned after New: nobody knows its name.
	}
	if p.region != nil {
		p.region.End()
		p.region = nil
	}
	p.measure(to)
	p.label(to)
	p.turn = to
	if to != 0 && trace.IsEnabled() {
		p.region = trace.StartRegion(p.base, p.i.modules[to])
	}
}

// measure ends the measuring of one turn and begins that of the next.
func (p *probe) measure(to mir.ModuleID) {
	on := p.i.times.Load() && to != 0
	if !on && p.since.IsZero() {
		return
	}
	now := time.Now()
	if !p.since.IsZero() {
		p.i.spent[p.turn].Add(int64(now.Sub(p.since)))
	}
	p.since = time.Time{}
	if on {
		p.since = now
	}
}

func (p *probe) label(to mir.ModuleID) {
	if p.i.labels.Load() && to != 0 {
		pprof.SetGoroutineLabels(p.labels[to])
		p.labelled = true
	} else if p.labelled {
		pprof.SetGoroutineLabels(p.base)
		p.labelled = false
	}
}
