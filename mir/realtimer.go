package mir

import (
	"container/heap"
	"fmt"
	"sync"
	"time"
)

// RealTimersMax bounds the timers that are set in one RealTimer: at about
// 200 bytes each, 2^18 timers are some 50 MiB. A protocol holds a few timers
// per instance, so reaching the bound means that it forgets to cancel.
const RealTimersMax = 1 << 18

// TimerDue is what a RealTimer injects to itself when a timer's time has come.
// Only its Apply, on the node's goroutine, then emits Fire, and only if the
// timer is still set: cancelling and replacing are thereby exact, however late
// the loop is. Set counts the SetTimer events applied so far, which a replay of
// the same inputs reproduces.
type TimerDue struct {
	ID  TimerID
	Set uint64
}

// EventName implements Body.
func (TimerDue) EventName() string { return "timer.Due" }

// RealTimer is the active module that serves SetTimer and CancelTimer by the
// real, monotonic clock.
type RealTimer struct {
	self ModuleID

	mu   sync.Mutex
	set  map[TimerID]*realTimerEntry // Every timer that has not fired.
	heap realTimerHeap               // Those of set that are not due yet.
	sets uint64                      // SetTimer events applied.

	wake chan struct{} // Capacity 1: the earliest deadline has changed.
	quit chan struct{}
	done chan struct{}
}

type realTimerEntry struct {
	id    TimerID
	set   uint64
	at    time.Time
	fire  Event
	index int // Position in the heap, or -1 once due.
}

var _ Active = (*RealTimer)(nil)

// NewRealTimer makes the timer module that is registered as self.
func NewRealTimer(self ModuleID) *RealTimer {
	return &RealTimer{
		self: self,
		set:  make(map[TimerID]*realTimerEntry),
		wake: make(chan struct{}, 1),
	}
}

// Start implements Active.
func (t *RealTimer) Start(in Injector) error {
	t.quit, t.done = make(chan struct{}), make(chan struct{})
	go t.run(in, t.quit, t.done)
	return nil
}

// Stop implements Active. All timers are forgotten.
func (t *RealTimer) Stop() {
	close(t.quit)
	<-t.done
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.set)
	t.heap = nil
}

// Apply implements Module.
func (t *RealTimer) Apply(ev Event, out *Out) {
	switch body := ev.Body.(type) {
	case SetTimer:
		t.onSet(body)
	case CancelTimer:
		t.onCancel(body.ID)
	case TimerDue:
		t.onDue(body, out)
	default:
		panic(fmt.Sprintf("mir: invariant broken: the timer was sent %s", ev.Body.EventName()))
	}
}

// Len is the number of timers that are set. It may be called at any time.
func (t *RealTimer) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.set)
}

func (t *RealTimer) onSet(body SetTimer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(body.ID)
	if len(t.set) >= RealTimersMax {
		panic(fmt.Sprintf("mir: invariant broken: more than %d timers are set", RealTimersMax))
	}
	t.sets++
	e := &realTimerEntry{id: body.ID, set: t.sets, at: time.Now().Add(body.After), fire: body.Fire}
	t.set[body.ID] = e
	heap.Push(&t.heap, e)
	if e.index == 0 {
		t.wakeRun()
	}
}

func (t *RealTimer) onCancel(id TimerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(id)
}

func (t *RealTimer) onDue(body TimerDue, out *Out) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.set[body.ID]
	if e == nil || e.set != body.Set {
		return // Cancelled or replaced while TimerDue waited in the input.
	}
	t.forget(body.ID)
	out.EmitSub(e.fire.To, e.fire.Sub, e.fire.Body)
}

func (t *RealTimer) forget(id TimerID) {
	e := t.set[id]
	if e == nil {
		return
	}
	delete(t.set, id)
	if e.index >= 0 {
		heap.Remove(&t.heap, e.index)
	}
}

func (t *RealTimer) wakeRun() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run injects what is due. It holds no lock while it injects, so that Apply
// never waits for it.
func (t *RealTimer) run(in Injector, quit <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		due, wait := t.takeDue()
		if len(due) > 0 {
			if in.Inject(due...) != nil {
				return // The node has stopped.
			}
			continue
		}
		clock.Reset(wait)
		select {
		case <-clock.C:
		case <-t.wake:
		case <-quit:
			return
		}
	}
}

// takeDue takes the timers whose time has come off the heap, earliest first,
// and tells how long to sleep until the next.
func (t *RealTimer) takeDue() (due []Event, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for len(t.heap) > 0 && !t.heap[0].at.After(now) {
		e := heap.Pop(&t.heap).(*realTimerEntry)
		due = append(due, Event{To: t.self, Body: TimerDue{ID: e.id, Set: e.set}})
	}
	if len(t.heap) == 0 {
		return due, time.Hour // onSet wakes the goroutine earlier.
	}
	return due, t.heap[0].at.Sub(now)
}

// realTimerHeap orders by deadline, and by the order of setting among equals.
type realTimerHeap []*realTimerEntry

func (h realTimerHeap) Len() int { return len(h) }

func (h realTimerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].set < h[j].set
	}
	return h[i].at.Before(h[j].at)
}

func (h realTimerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *realTimerHeap) Push(x any) {
	e := x.(*realTimerEntry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *realTimerHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}
