package sim

import (
	"container/heap"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// occurrence is one thing that is going to happen: an input arrives at a node,
// or, if do is set, a function of the experiment or of sim itself is called.
type occurrence struct {
	at    time.Duration
	seq   uint64 // Orders occurrences of the same time by when they were scheduled.
	index int    // Position in the agenda, -1 outside.

	do   func()
	node *node
	in   input
}

// input is what a node handles to completion. Exactly one of its forms is used.
type input struct {
	event mir.Event // An injected event, or the Fire event of a timer.

	timer *timer // Not nil: event fires only if this timer is still set.

	packet bool // From a peer: wire decodes to the message for dest and sub.
	from   mir.NodeID
	dest   mir.ModuleID
	sub    mir.SubID
	wire   []byte
	number uint64 // Counts what from sent to this node, from 1.
}

// agenda holds what is going to happen, earliest first.
type agenda struct {
	heap occurrences
	seq  uint64
}

func (a *agenda) add(o *occurrence) *occurrence {
	a.seq++
	o.seq = a.seq
	heap.Push(&a.heap, o)
	return o
}

// remove forgets o, if it has not happened yet.
func (a *agenda) remove(o *occurrence) {
	if o.index >= 0 {
		heap.Remove(&a.heap, o.index)
	}
}

func (a *agenda) next() *occurrence { return heap.Pop(&a.heap).(*occurrence) }

func (a *agenda) empty() bool { return len(a.heap) == 0 }

func (a *agenda) nextAt() time.Duration { return a.heap[0].at }

type occurrences []*occurrence

func (h occurrences) Len() int { return len(h) }

func (h occurrences) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}

func (h occurrences) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *occurrences) Push(x any) {
	o := x.(*occurrence)
	o.index = len(*h)
	*h = append(*h, o)
}

// Pop implements heap.Interface.
func (h *occurrences) Pop() any {
	old := *h
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	o.index = -1
	return o
}
