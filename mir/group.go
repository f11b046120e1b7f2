package mir

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
)

// Level is the part of a SubID that one [Group] routes by: Bits bits, from bit
// Shift up. They are zero where the SubID addresses the group itself, and
// otherwise the index of an instance, plus one.
type Level struct{ Shift, Bits uint }

// Levels splits a SubID into levels of so many bits each, the outermost first;
// the innermost begins at bit 0. Fewer than one bit in a level, or more than 64
// in all, is a wiring error and panics.
func Levels(bits ...uint) []Level {
	levels := make([]Level, len(bits))
	shift := uint(0)
	for i, b := range slices.Backward(bits) {
		levels[i] = Level{Shift: shift, Bits: b}
		if shift += b; b < 1 || shift > 64 {
			panic(fmt.Sprintf("mir: levels of %v bits: want at least 1 each and at most 64 in all", bits))
		}
	}
	return levels
}

// Sub addresses an instance below parent, which is the SubID of the group: zero,
// or what Sub of the level above gave. It panics at an index that the level has
// no bits for.
func (l Level) Sub(parent SubID, index uint64) SubID {
	if index > l.last() {
		panic(fmt.Sprintf("mir: invariant broken: instance %d in a level of %d bits", index, l.Bits))
	}
	return parent | SubID(index+1)<<l.Shift
}

// Index is the instance of this level that sub addresses or lies below. It
// reports false where sub addresses the group itself.
func (l Level) Index(sub SubID) (index uint64, ok bool) {
	value := uint64(sub>>l.Shift) & (l.last() + 1)
	return value - 1, value != 0
}

// last is the highest index: all bits set are that plus one.
func (l Level) last() uint64 { return 1<<l.Bits - 2 }

// GroupConfig describes a Group.
type GroupConfig[M Module] struct {
	Name   string // For panics.
	Level  Level
	Parent SubID // The group's own SubID: zero unless it is an instance of a group itself.

	// Self gets what is addressed to the group itself. Nil where that is nothing.
	Self Module
	// New makes the instance with an index, which is addressed by sub, because
	// of an event: the first for it, or what Open was given. It reports false
	// to refuse, which a later event does not change by itself: New is asked
	// again.
	New func(index uint64, sub SubID, cause Event) (M, bool)
	// Window is how many indexes may have instances, from First on. It bounds
	// what peers can make a node keep.
	Window uint64
}

// GroupStats count instances, and events that reached none. A peer may send
// anything, and a timer may fire after its instance is gone: all of them are
// dropped.
type GroupStats struct {
	Created   uint64 // Instances.
	Collected uint64 // Of those.

	Gone        uint64 // Events for an index below First.
	TooFar      uint64 // For an index beyond the window.
	Refused     uint64 // For an index that New refused.
	Unaddressed uint64 // Messages of peers to a group without Self.
}

// Group is a module that consists of instances: one agreement for each segment
// of the log, one broadcast for each of its senders. It creates them when the
// first event comes for them, routes events by SubID, and forgets the instances
// that are over.
//
// Instances are numbered from 0 and live in a window that moves upward only:
// Collect ends all below an index for good. An arbitrary range can not be
// collected: the group would have to remember every gap for ever, or create
// again what was over.
//
// Groups nest: an instance may be a Group of the next Level, with the
// instance's SubID as its Parent. Instances are ordinary modules and get events
// with their full SubID.
//
// A look-up is a binary search among the instances. A Group is as deterministic
// as they are: it has no order but that of the index.
type Group[M Module] struct {
	cfg       GroupConfig[M]
	first     uint64
	instances []groupInstance[M] // Sorted by index. Invariant: all in [first, first+Window).
	stats     GroupStats
}

type groupInstance[M Module] struct {
	index  uint64
	module M
}

// NewGroup makes a group without instances. A configuration without New, Window
// or Level is a wiring error and panics.
func NewGroup[M Module](cfg GroupConfig[M]) *Group[M] {
	if cfg.New == nil || cfg.Window == 0 || cfg.Level.Bits == 0 || cfg.Level.Shift+cfg.Level.Bits > 64 {
		panic(fmt.Sprintf("mir: group %s: it needs New, a Window and a Level within 64 bits", cfg.Name))
	}
	return &Group[M]{cfg: cfg}
}

// Apply implements Module.
func (g *Group[M]) Apply(ev Event, out *Out) {
	index, ok := g.cfg.Level.Index(ev.Sub)
	if !ok {
		g.applySelf(ev, out)
		return
	}
	if m, ok := g.Open(index, ev); ok {
		m.Apply(ev, out)
	}
}

func (g *Group[M]) applySelf(ev Event, out *Out) {
	if g.cfg.Self != nil {
		g.cfg.Self.Apply(ev, out)
		return
	}
	if _, received := ev.Body.(Received); !received {
		panic(fmt.Sprintf("mir: invariant broken: group %s itself was sent %s", g.cfg.Name, ev.Body.EventName()))
	}
	g.stats.Unaddressed++
}

// Open is the instance with an index, which it creates if there is none. It
// reports false, and counts why, where there can be none.
func (g *Group[M]) Open(index uint64, cause Event) (M, bool) {
	var none M
	switch {
	case index < g.first:
		g.stats.Gone++
		return none, false
	case index-g.first >= g.cfg.Window || index > g.cfg.Level.last():
		g.stats.TooFar++
		return none, false
	}
	at, found := g.search(index)
	if found {
		return g.instances[at].module, true
	}
	m, ok := g.cfg.New(index, g.Sub(index), cause)
	if !ok {
		g.stats.Refused++
		return none, false
	}
	g.stats.Created++
	g.instances = slices.Insert(g.instances, at, groupInstance[M]{index: index, module: m})
	return m, true
}

// Get is the instance with an index, if it exists. It counts nothing.
func (g *Group[M]) Get(index uint64) (m M, ok bool) {
	at, found := g.search(index)
	if found {
		m = g.instances[at].module
	}
	return m, found
}

// Sub addresses the instance with an index, whether it exists or not.
func (g *Group[M]) Sub(index uint64) SubID { return g.cfg.Level.Sub(g.cfg.Parent, index) }

// First is the lowest index that may have an instance.
func (g *Group[M]) First() uint64 { return g.first }

// Len is the number of instances.
func (g *Group[M]) Len() int { return len(g.instances) }

// Stats may be read between two events.
func (g *Group[M]) Stats() GroupStats { return g.stats }

// All goes through the instances in the order of their index. None may be
// created or collected meanwhile.
func (g *Group[M]) All() iter.Seq2[uint64, M] {
	return func(yield func(uint64, M) bool) {
		for _, in := range g.instances {
			if !yield(in.index, in.module) {
				return
			}
		}
	}
}

// Collect ends all instances below an index, for good: the window begins there
// from now on. Before an instance is forgotten it is given to last, which may be
// nil; that is the moment to cancel its timers. Collecting what is collected
// changes nothing.
func (g *Group[M]) Collect(below uint64, last func(index uint64, m M)) {
	if below <= g.first {
		return
	}
	g.first = below
	n, _ := g.search(below)
	gone := slices.Clone(g.instances[:n])
	g.instances = slices.Delete(g.instances, 0, n)
	g.stats.Collected += uint64(n)
	for _, in := range gone {
		if last != nil {
			last(in.index, in.module)
		}
	}
}

func (g *Group[M]) search(index uint64) (at int, found bool) {
	return slices.BinarySearchFunc(g.instances, index, func(in groupInstance[M], index uint64) int {
		return cmp.Compare(in.index, index)
	})
}
