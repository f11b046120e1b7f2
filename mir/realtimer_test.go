package mir_test

import (
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
)

const timerModule, ownerModule = mir.ModuleID(1), mir.ModuleID(2)

// chanInjector hands what an active module injects to the test.
type chanInjector struct {
	events chan mir.Event
	closed chan struct{}
}

func newChanInjector() *chanInjector {
	return &chanInjector{events: make(chan mir.Event), closed: make(chan struct{})}
}

func (c *chanInjector) Inject(events ...mir.Event) error {
	for _, ev := range events {
		select {
		case c.events <- ev:
		case <-c.closed:
			return mir.ErrStopped
		}
	}
	return nil
}

func (*chanInjector) HoldClients()              {}
func (*chanInjector) ReleaseClients()           {}
func (*chanInjector) Accepts(mir.ModuleID) bool { return true }
func (*chanInjector) Fail(error)                {}

// timerRig drives a RealTimer as a node's loop would.
type timerRig struct {
	*mir.RealTimer
	in *chanInjector
}

func newTimerRig(t *testing.T) timerRig {
	t.Helper()
	r := newStoppedTimerRig(t)
	r.start(t)
	return r
}

// newStoppedTimerRig has timers set before any can fire.
func newStoppedTimerRig(t *testing.T) timerRig {
	t.Helper()
	return timerRig{mir.NewRealTimer(timerModule), newChanInjector()}
}

func (r timerRig) start(t *testing.T) {
	t.Helper()
	check := noLeak(t)
	if err := r.Start(r.in); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(r.in.closed)
		r.Stop()
		check()
	})
}

func (r timerRig) apply(body mir.Body) []mir.Event {
	var out mir.Out
	r.Apply(mir.Event{To: timerModule, Body: body}, &out)
	return out.Events()
}

func (r timerRig) set(n uint64, after time.Duration, fire note) {
	r.apply(mir.SetTimer{ID: timerID(n), After: after, Fire: mir.Event{To: ownerModule, Sub: 9, Body: fire}})
}

func timerID(n uint64) mir.TimerID { return mir.TimerID{Owner: ownerModule, N: n} }

func TestTimersFireInTheOrderOfTheirDeadlines(t *testing.T) {
	r := newStoppedTimerRig(t)
	// However long it takes to set them, the deadlines are in this order.
	r.set(1, 10*time.Millisecond, "late")
	r.set(2, -time.Hour, "middle")
	r.set(3, -24*time.Hour, "early")
	r.start(t)
	for _, want := range []note{"early", "middle", "late"} {
		fired := r.apply((<-r.in.events).Body)
		if len(fired) != 1 || fired[0] != (mir.Event{To: ownerModule, Sub: 9, Body: want}) {
			t.Fatalf("fired %v, want %s", fired, want)
		}
	}
	if r.Len() != 0 {
		t.Fatalf("%d timers are left", r.Len())
	}
}

func TestCancellingWinsOverATimerThatIsAlreadyDue(t *testing.T) {
	r := newTimerRig(t)
	r.set(1, 0, "x")
	due := <-r.in.events
	r.apply(mir.CancelTimer{ID: timerID(1)})
	if fired := r.apply(due.Body); len(fired) != 0 {
		t.Fatalf("a cancelled timer fired: %v", fired)
	}
}

func TestReplacingWinsOverATimerThatIsAlreadyDue(t *testing.T) {
	r := newTimerRig(t)
	r.set(1, 0, "old")
	due := <-r.in.events
	r.set(1, 0, "new")
	if fired := r.apply(due.Body); len(fired) != 0 {
		t.Fatalf("a replaced timer fired: %v", fired)
	}
	if fired := r.apply((<-r.in.events).Body); len(fired) != 1 || fired[0].Body != note("new") {
		t.Fatalf("fired %v, want the new timer", fired)
	}
}

func TestCancellingFreesTheTimer(t *testing.T) {
	r := newTimerRig(t)
	for n := range uint64(1000) {
		r.set(n, time.Hour, "never")
		r.set(n, time.Hour, "never")
	}
	if r.Len() != 1000 {
		t.Fatalf("%d timers are set, want 1000", r.Len())
	}
	for n := range uint64(1001) { // The last was never set, which is allowed.
		r.apply(mir.CancelTimer{ID: timerID(n)})
	}
	if r.Len() != 0 {
		t.Fatalf("%d timers are left", r.Len())
	}
}

func TestATooLargeNumberOfTimersIsABrokenInvariant(t *testing.T) {
	r := newTimerRig(t)
	for n := range uint64(mir.RealTimersMax) {
		r.set(n, time.Hour, "never")
	}
	r.set(0, time.Hour, "replacing is still allowed")
	defer func() {
		if recover() == nil {
			t.Error("the bound on timers was passed")
		}
	}()
	r.set(mir.RealTimersMax, time.Hour, "one too many")
}

func TestTimersFireInANodeThatIsFlooded(t *testing.T) {
	defer noLeak(t)()
	var names mir.Names
	timer, owner := names.Intern("timer"), names.Intern("owner")
	const rounds = 50
	fired, done := 0, make(chan struct{})
	arm := func(out *mir.Out) {
		out.Emit(timer, mir.SetTimer{ID: mir.TimerID{Owner: owner}, Fire: mir.Event{To: owner, Body: note("fire")}})
	}
	n := mustNode(t, mir.NodeConfig{
		Names: &names, InputBatch: 1,
		ClientInput: mir.Watermarks{High: 2, Low: 1}, ActiveInput: mir.Watermarks{High: 1, Low: 0},
		Modules: []mir.Registration{
			{ID: timer, Module: mir.NewRealTimer(timer)},
			{ID: owner, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
				switch ev.Body.(note) {
				case "begin":
					arm(out)
				case "fire":
					if fired++; fired == rounds {
						close(done)
					} else {
						arm(out)
					}
				}
			})},
		},
	})
	stop := start(n)
	inject(t, n, mir.Event{To: owner, Body: note("begin")})
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for n.Inject(t.Context(), mir.Event{To: owner, Body: note("flood")}) == nil {
		}
	}()
	<-done
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	<-flooded
}
