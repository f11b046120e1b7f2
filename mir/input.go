package mir

import (
	"context"
	"fmt"
	"sync"
)

// Watermarks bound an input lane, in events. The lane pauses when it holds
// High events, which it never exceeds, and resumes when it holds at most Low.
type Watermarks struct {
	High int
	Low  int
}

func (w Watermarks) orDefault(d Watermarks) Watermarks {
	if w == (Watermarks{}) {
		return d
	}
	return w
}

func (w Watermarks) check() error {
	if w.Low < 0 || w.High <= w.Low {
		return fmt.Errorf("high-water mark %d and low-water mark %d: want 0 <= low < high", w.High, w.Low)
	}
	return nil
}

// DefaultInputBytesMax bounds the bytes of each input lane of a node: without
// it, 4096 messages of half a MiB would be 2 GiB.
const DefaultInputBytesMax = 64 << 20

// resumeShare is the part of its bytes at which a lane that was full of them
// resumes: a quarter, like the default marks.
const resumeShare = 4

// input is a node's bounded input. It has two lanes, so that a flood of client
// requests can not starve the network and the timers: each turn of the loop
// takes from both.
type input struct {
	mu      sync.Mutex
	clients lane
	actives lane
	holds   int   // Client input is neither accepted nor taken while positive.
	failed  error // The first error given to fail.
	closed  bool
	wake    chan struct{} // Capacity 1: tells the loop to look again.
}

// lane is one bounded queue of an input. Its owner's lock guards it.
type lane struct {
	events   ring[Event] // Invariant: never more than marks.High.
	marks    Watermarks
	bytes    int // Of events. Invariant: below bytesMax without the newest event.
	bytesMax int
	paused   bool
	pauses   uint64        // How often the high-water mark or bytesMax was reached.
	gate     chan struct{} // Closed when waiters should look again; nil without waiters.
}

func newInput(clients, actives Watermarks, bytesMax int) *input {
	return &input{
		clients: lane{marks: clients, bytesMax: bytesMax},
		actives: lane{marks: actives, bytesMax: bytesMax},
		wake:    make(chan struct{}, 1),
	}
}

// put appends events to l, waiting whenever l is shut. On an error a prefix of
// events may have been accepted.
func (in *input) put(ctx context.Context, l *lane, events []Event) error {
	for len(events) > 0 {
		accepted, gate, err := in.offer(l, events)
		if err != nil {
			return err
		}
		events = events[accepted:]
		if len(events) == 0 {
			return nil
		}
		select {
		case <-gate:
		case <-ctx.Done():
			return fmt.Errorf("mir: waiting for room in a node's input: %w", ctx.Err())
		}
	}
	return nil
}

// offer appends what fits of events. When not all did, gate is closed once
// there may be room again.
func (in *input) offer(l *lane, events []Event) (accepted int, gate <-chan struct{}, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return 0, nil, ErrStopped
	}
	if !in.shut(l) {
		accepted = l.accept(events)
		in.wakeLoop()
	}
	if accepted < len(events) {
		gate = l.waitGate()
	}
	return accepted, gate, nil
}

func (in *input) shut(l *lane) bool {
	return l.paused || (l == &in.clients && in.holds > 0)
}

// take waits for input and appends up to perLane events of each lane to buf.
func (in *input) take(ctx context.Context, buf []Event, perLane int) ([]Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		buf, err := in.takeNow(buf, perLane)
		if err != nil || len(buf) > 0 {
			return buf, err
		}
		select {
		case <-in.wake:
		case <-ctx.Done():
		}
	}
}

func (in *input) takeNow(buf []Event, perLane int) ([]Event, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.failed != nil {
		return nil, in.failed
	}
	buf = in.actives.release(buf, perLane)
	if in.holds == 0 {
		buf = in.clients.release(buf, perLane)
	}
	return buf, nil
}

func (in *input) hold() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.holds++
}

func (in *input) unhold() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.holds == 0 {
		panic("mir: invariant broken: clients released more often than held")
	}
	in.holds--
	if in.holds == 0 {
		in.clients.openGate()
		in.wakeLoop()
	}
}

func (in *input) fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.failed == nil {
		in.failed = err
		in.wakeLoop()
	}
}

// close refuses all further input and wakes everyone who waits.
func (in *input) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.clients.openGate()
	in.actives.openGate()
}

func (in *input) wakeLoop() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// accept takes what fits of events. The event that reaches bytesMax still fits,
// so that one that is larger than all of it passes too.
func (l *lane) accept(events []Event) int {
	n := 0
	for n < len(events) && l.events.len() < l.marks.High && l.bytes < l.bytesMax {
		l.events.push(events[n])
		l.bytes += int(events[n].bytes)
		n++
	}
	if l.events.len() == l.marks.High || l.bytes >= l.bytesMax {
		l.paused = true
		l.pauses++
	}
	return n
}

func (l *lane) release(buf []Event, most int) []Event {
	for range min(most, l.events.len()) {
		ev := l.events.pop()
		l.bytes -= int(ev.bytes)
		buf = append(buf, ev)
	}
	if l.paused && l.events.len() <= l.marks.Low && l.bytes <= l.bytesMax/resumeShare {
		l.paused = false
		l.openGate()
	}
	return buf
}

func (l *lane) waitGate() <-chan struct{} {
	if l.gate == nil {
		l.gate = make(chan struct{})
	}
	return l.gate
}

func (l *lane) openGate() {
	if l.gate != nil {
		close(l.gate)
		l.gate = nil
	}
}
