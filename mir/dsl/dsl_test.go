package dsl_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/dsl"
)

type add struct{ n int }

type other struct{}

// impostor has the name of add and another type.
type impostor struct{}

func (add) EventName() string      { return "test.Add" }
func (other) EventName() string    { return "test.Other" }
func (impostor) EventName() string { return "test.Add" }

// apply gives a module one event and lists what it emitted.
func apply(m mir.Module, body mir.Body) []mir.Event {
	var out mir.Out
	m.Apply(mir.Event{To: 1, Body: body}, &out)
	return out.Events()
}

// panicOf runs f and wants a panic with that text.
func panicOf(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
			t.Errorf("panic %q, want one with %q", got, want)
		}
	}()
	f()
}

func TestAnEventGoesToTheHandlerOfItsTypeAndAMessageToItsOwn(t *testing.T) {
	m := dsl.New("m")
	var got []string
	dsl.On(m, func(ev add, out *mir.Out) {
		got = append(got, fmt.Sprint("add ", ev.n))
		out.Emit(2, other{})
	})
	dsl.OnMessage(m, func(from mir.NodeID, msg add, _ *mir.Out) {
		got = append(got, fmt.Sprintf("message %d from %d", msg.n, from))
	})
	emitted := apply(m, add{n: 1})
	apply(m, mir.Received{From: 3, Msg: add{n: 2}})
	if want := []string{"add 1", "message 2 from 3"}; !reflect.DeepEqual(got, want) {
		t.Errorf("handled %q, want %q", got, want)
	}
	if want := []mir.Event{{To: 2, Body: other{}}}; !reflect.DeepEqual(emitted, want) {
		t.Errorf("emitted %v, want %v", emitted, want)
	}
}

func TestAMessageThatNobodyHandlesIsDroppedAndCounted(t *testing.T) {
	m := dsl.New("m")
	dsl.On(m, func(other, *mir.Out) { t.Error("an event handler took a message") })
	dsl.OnMessage(m, func(mir.NodeID, add, *mir.Out) { t.Error("a handler took another type") })
	m.Upon("always", func() bool { t.Error("a rule was tried after a dropped message"); return false }, func(*mir.Out) {})
	for _, msg := range []mir.Message{other{}, impostor{}} {
		apply(m, mir.Received{From: 1, Msg: msg})
	}
	if m.Dropped() != 2 {
		t.Errorf("%d messages were dropped, want 2", m.Dropped())
	}
}

func TestAnOwnEventThatNobodyHandlesIsABrokenInvariant(t *testing.T) {
	m := dsl.New("m")
	dsl.On(m, func(add, *mir.Out) {})
	dsl.OnMessage(m, func(mir.NodeID, other, *mir.Out) {})
	for _, body := range []mir.Body{other{}, impostor{}} {
		want := fmt.Sprintf("invariant broken: module m was sent %s", body.EventName())
		panicOf(t, want, func() { apply(m, body) })
	}
}

// A counter that must stay below 10 is halved by one rule; the other notes when
// it is even. Applying 41: 41 -> 20 (first), 20 is even (second), 20 -> 10
// (first), 10 -> 5 (first).
func TestRulesFireInOrderUntilNoneHolds(t *testing.T) {
	m := dsl.New("m")
	n, noted := 0, 0
	var fired []string
	dsl.On(m, func(ev add, _ *mir.Out) { n += ev.n })
	m.Upon("halve", func() bool { return n >= 10 }, func(*mir.Out) {
		fired = append(fired, fmt.Sprint("halve ", n))
		n /= 2
	})
	m.Upon("even", func() bool { return n%2 == 0 && noted == 0 }, func(out *mir.Out) {
		fired = append(fired, fmt.Sprint("even ", n))
		noted = n
		out.Emit(2, other{})
	})
	emitted := apply(m, add{n: 41})
	if want := []string{"halve 41", "even 20", "halve 20", "halve 10"}; !reflect.DeepEqual(fired, want) || n != 5 {
		t.Errorf("fired %q with %d left, want %q with 5", fired, n, want)
	}
	if len(emitted) != 1 {
		t.Errorf("emitted %v, want one event", emitted)
	}
}

func TestARuleThatItsHandlerDoesNotMakeFalseIsABrokenInvariant(t *testing.T) {
	m := dsl.New("m")
	dsl.On(m, func(add, *mir.Out) {})
	m.Upon("for ever", func() bool { return true }, func(*mir.Out) {})
	panicOf(t, `"for ever" still holds`, func() { apply(m, add{}) })
}

func TestHandlersThatCanNotBeDispatchedAreRefused(t *testing.T) {
	m := dsl.New("m")
	dsl.On(m, func(add, *mir.Out) {})
	panicOf(t, "two handlers for test.Add", func() { dsl.On(m, func(impostor, *mir.Out) {}) })
	panicOf(t, "want a concrete type", func() { dsl.On(m, func(mir.Body, *mir.Out) {}) })
	panicOf(t, "which is for OnMessage", func() { dsl.On(m, func(mir.Received, *mir.Out) {}) })
}

func TestDispatchDoesNotAllocate(t *testing.T) {
	m := dsl.New("m")
	sum := 0
	dsl.On(m, func(ev *tick, _ *mir.Out) { sum += ev.n })
	m.Upon("never", func() bool { return sum < 0 }, func(*mir.Out) {})
	var out mir.Out
	ev := mir.Event{To: 1, Body: &tick{n: 1}}
	if allocs := testing.AllocsPerRun(100, func() { m.Apply(ev, &out) }); allocs != 0 {
		t.Errorf("%v allocations for each event, want none", allocs)
	}
}

type tick struct{ n int }

func (*tick) EventName() string { return "test.Tick" }
