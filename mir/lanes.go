package mir

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Default bounds of a lane's backlog.
const (
	DefaultBacklogHigh = 4096
	DefaultBacklogLow  = 1024
)

// loopLane is the name of the lane of all modules that no lane names.
const loopLane = "loop"

// Lane gives some modules of a node a goroutine of their own, so that heavy work
// (signatures, the application) runs beside the rest. Lanes are the node's
// choice and not the protocol's: the same modules run without them, and under
// package sim.
//
// # What stays
//
// Each module has one lane, which applies its events one at a time. What
// module A emits to module B arrives in the order of emission. More than that,
// order is causal: if A emits to B, and then anything that follows from that
// Apply or a later one of A's leads to another event for B, then B applies A's
// first. For an event enters the queue of B's lane when the Apply that emitted it
// returns, in the order of emission; whatever it leads to enters later; and a
// lane takes from its queue in order and finishes what it takes, with everything
// that its own modules emit to each other on account of it, before it takes more.
//
// # What weakens
//
// Without lanes an input runs to completion before the next begins. With lanes
// that holds within one lane only: an input may be at work in one lane while the
// next is in another. A module can notice by three things.
//
//   - A timer that was cancelled, or set anew, may fire once more, if the timer
//     module is in another lane: its Fire may already wait in this module's
//     queue. Where that matters, put a generation (a view, an epoch, a counter)
//     into Fire's body and drop what is of an old one.
//   - A module may see the causes of two inputs interleaved, where it saw one
//     input's before. Messages over a network already come in any order.
//   - Runs are not repeatable. A node with lanes therefore refuses an
//     Interceptor: a recording of its inputs would not replay.
//
// Modules in different lanes must share nothing but events, and event bodies
// are read-only once emitted, as they are for the network.
//
// # Why lanes do not deadlock
//
// No lane ever waits for another: it puts what it emits into the other's queue
// and goes on. What is bounded is the input: while any lane's backlog is at its
// high-water mark, the node takes no input from clients or active modules, until
// it is at the low-water mark again. So clients, links and timers wait for the
// node's input, the input waits for lanes, and lanes wait for nobody: the graph
// of waits has no cycle. A rule by which a lane waits for room in another was
// rejected, since two lanes that are full of events for each other would wait
// for ever.
//
// A queue can pass its mark by what inputs that were taken before still cause.
// Protocols bound that; at NodeConfig.QueueEventsMax it is a runaway emission,
// and the node ends with ErrQueueFull, as it does without lanes.
type Lane struct {
	Name    string
	Modules []ModuleID // Active ones too: their Apply then runs in the lane.
	Backlog Watermarks // Zero means the defaults. InputBytesMax bounds it too.
}

// LaneCounters describe a lane of a node.
type LaneCounters struct {
	Name      string
	Queued    int    // Events that wait for the lane.
	QueuedMax int    // The most that ever did.
	Bytes     int    // What those that wait hold, as far as they were sized.
	Pauses    uint64 // How often the backlog reached its high-water mark.
}

// crew is the lanes of a node.
type crew struct {
	whole    *Machine // All modules; it applies nothing and has the counters.
	workers  []*worker
	byModule []*worker     // Indexed by ModuleID; nil where no module is registered.
	resumed  chan struct{} // Capacity 1: some backlog may be low again.

	mu     sync.Mutex
	failed error // The first of a worker.
}

// worker is one lane.
type worker struct {
	name     string
	marks    Watermarks
	bytesMax int
	machine  *Machine // Over the lane's modules; the counters are shared by all.

	mu        sync.Mutex
	ready     sync.Cond // Something to take, or stopped.
	backlog   ring[Event]
	bytes     int // Of backlog.
	queuedMax int
	paused    bool // The backlog was high and is not low yet.
	pauses    uint64
	stopped   bool
}

// newCrew deals the modules of whole out to lanes.
func newCrew(whole *Machine, lanes []Lane, bytesMax int) (*crew, error) {
	c := &crew{whole: whole, byModule: make([]*worker, len(whole.modules)), resumed: make(chan struct{}, 1)}
	for _, l := range lanes {
		if err := c.add(l, bytesMax); err != nil {
			return nil, fmt.Errorf("lane %q: %w", l.Name, err)
		}
	}
	rest := Lane{Name: loopLane}
	for id, module := range whole.modules {
		if module != nil && c.byModule[id] == nil {
			rest.Modules = append(rest.Modules, ModuleID(id))
		}
	}
	if len(rest.Modules) == 0 {
		return c, nil
	}
	if err := c.add(rest, bytesMax); err != nil {
		return nil, fmt.Errorf("lane %q, of the modules that no lane names: %w", rest.Name, err)
	}
	return c, nil
}

func (c *crew) add(l Lane, bytesMax int) error {
	w := &worker{name: l.Name, marks: l.Backlog.orDefault(Watermarks{High: DefaultBacklogHigh, Low: DefaultBacklogLow}), bytesMax: bytesMax}
	w.ready.L = &w.mu
	w.machine = &Machine{
		names: c.whole.names, modules: make([]Module, len(c.whole.modules)), counts: c.whole.counts,
		queueMax: c.whole.queueMax, elsewhere: c.deliver,
	}
	switch {
	case l.Name == "" || slices.ContainsFunc(c.workers, func(have *worker) bool { return have.name == l.Name }):
		return errors.New("its name is empty or used twice")
	case len(l.Modules) == 0:
		return errors.New("it has no modules")
	}
	for _, id := range l.Modules {
		switch {
		case c.whole.Module(id) == nil:
			return fmt.Errorf("%s: %w", c.whole.names.Name(id), ErrUnregistered)
		case c.byModule[id] != nil:
			return fmt.Errorf("%s is in lane %q too", c.whole.names.Name(id), c.byModule[id].name)
		}
		c.byModule[id] = w
		w.machine.modules[id] = c.whole.modules[id]
	}
	c.workers = append(c.workers, w)
	return w.marks.check()
}

// run works until ctx ends or something breaks, and returns when every lane has
// stopped. What was queued is lost.
func (c *crew) run(ctx context.Context, in *input, batch int, i Instrument) error {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	for _, w := range c.workers {
		working.Go(func() {
			defer watch(ctx, i, w.name, w.machine)()
			if err := w.run(ctx, batch, c.resumed); err != nil {
				c.fail(err)
				cancel()
			}
		})
	}
	err := c.feed(ctx, in, batch)
	cancel()
	for _, w := range c.workers {
		w.stop()
	}
	working.Wait()
	if c.failed != nil {
		return c.failed
	}
	return err
}

// feed hands the node's input to the lanes.
func (c *crew) feed(ctx context.Context, in *input, perLane int) error {
	var buf []Event
	for {
		if err := c.waitForRoom(ctx); err != nil {
			return err
		}
		batch, err := in.take(ctx, buf[:0], perLane)
		if err != nil {
			return err
		}
		for _, ev := range batch {
			if err := c.input(ev); err != nil {
				return err
			}
		}
		clear(batch)
		buf = batch
	}
}

func (c *crew) input(ev Event) error {
	if ev.Body == nil {
		return c.whole.bodiless("input", ev)
	}
	return c.deliver("input", ev)
}

// deliver puts an event into the queue of its module's lane. It never waits.
func (c *crew) deliver(from string, ev Event) error {
	if int(ev.To) >= len(c.byModule) || c.byModule[ev.To] == nil {
		return c.whole.unregistered(from, ev)
	}
	if pending, ok := c.byModule[ev.To].put(ev); !ok {
		return c.whole.full(from, ev, pending)
	}
	return nil
}

// waitForRoom waits while any lane is behind.
func (c *crew) waitForRoom(ctx context.Context) error {
	for slices.ContainsFunc(c.workers, (*worker).behind) {
		select {
		case <-c.resumed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *crew) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = err
	}
}

func (c *crew) counters() []LaneCounters {
	all := make([]LaneCounters, len(c.workers))
	for i, w := range c.workers {
		w.mu.Lock()
		all[i] = LaneCounters{Name: w.name, Queued: w.backlog.len(), QueuedMax: w.queuedMax, Bytes: w.bytes, Pauses: w.pauses}
		w.mu.Unlock()
	}
	return all
}

// run is the goroutine of the lane.
func (w *worker) run(ctx context.Context, most int, resumed chan<- struct{}) error {
	var buf []Event
	for {
		w.machine.rest()
		batch, ok := w.take(buf[:0], most, resumed)
		if !ok {
			return nil
		}
		for _, ev := range batch {
			w.machine.queue.push(ev) // It was counted when it was put.
			if err := finish(ctx, w.machine); err == ctx.Err() && err != nil {
				return nil // The node stops.
			} else if err != nil {
				return err
			}
		}
		clear(batch)
		buf = batch
	}
}

// put appends to the backlog, and reports false if that has as many events as
// any queue may have.
func (w *worker) put(ev Event) (pending int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.backlog.len() >= w.machine.queueMax {
		return w.backlog.len(), false
	}
	w.machine.counts[ev.To].count(ev)
	w.backlog.push(ev)
	w.bytes += int(ev.bytes)
	w.queuedMax = max(w.queuedMax, w.backlog.len())
	if !w.paused && (w.backlog.len() >= w.marks.High || w.bytes >= w.bytesMax) {
		w.paused = true
		w.pauses++
	}
	w.ready.Signal()
	return w.backlog.len(), true
}

// take waits for events and appends at most most of them to buf. It reports
// false when the lane is stopped.
func (w *worker) take(buf []Event, most int, resumed chan<- struct{}) ([]Event, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.backlog.len() == 0 && !w.stopped {
		w.ready.Wait()
	}
	if w.stopped {
		return nil, false
	}
	for range min(most, w.backlog.len()) {
		ev := w.backlog.pop()
		w.bytes -= int(ev.bytes)
		buf = append(buf, ev)
	}
	if w.paused && w.backlog.len() <= w.marks.Low && w.bytes <= w.bytesMax/resumeShare {
		w.paused = false
		select {
		case resumed <- struct{}{}:
		default:
		}
	}
	return buf, true
}

func (w *worker) behind() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.paused
}

func (w *worker) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.ready.Broadcast()
}
