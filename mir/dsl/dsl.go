// Package dsl lets a protocol module be written as the textbooks write it: one
// handler for each kind of event, and rules of the form "upon condition do".
//
//	upon event <bcb, Broadcast | m> do           dsl.On(m, func(ev Broadcast, out *mir.Out) { … })
//	upon event <al, Deliver | p, [ECHO, m]> do   dsl.OnMessage(m, func(p mir.NodeID, e Echo, out *mir.Out) { … })
//	upon #(echos) > (N+f)/2 do                   m.Upon("enough echos", func() bool { … }, func(out *mir.Out) { … })
//
// A [Module] is an ordinary mir.Module: handlers are pure transitions of the
// state that they close over, and the module runs wherever others run.
//
// Two things differ from the books. Handlers are not tried again: where a book
// says "upon event … such that condition" and means that the event waits for the
// condition, keep what the event said and write a rule over it. And a rule that
// holds fires again and again until it no longer holds, so its handler must make
// it false, which the books leave to the reader.
//
// What nobody handles is the package's one opinion: a message from a peer is
// dropped and counted, because a peer may send anything; an event of this node's
// own is a broken invariant, because its wiring is wrong.
//
// Costs: an event is one lookup in a map by the event's name and one type
// assertion, without reflection or allocation, and every rule's condition is
// evaluated once more. A module looks at no mir.SubID: one that has instances is
// a mir.Group of Modules.
package dsl

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
)

// FiringsMax bounds how often rules fire after one event. A textbook protocol
// fires each rule once for an instance or for a delivery; a million firings
// after one event is a rule that its handler does not make false.
const FiringsMax = 1 << 20

// Module dispatches events to handlers, and fires rules. Build it with New, add
// handlers and rules, and register it; none is added once events arrive.
type Module struct {
	name     string
	events   map[string]handler // By the name of the event.
	messages map[string]handler // By the name of the message that mir.Received carries.
	rules    []rule
	dropped  uint64
}

// handler reports false when the body, whatever its name says, is not of its
// type. From is the sender of a message.
type handler func(from mir.NodeID, body mir.Body, out *mir.Out) bool

type rule struct {
	name  string
	holds func() bool
	do    func(out *mir.Out)
}

var _ mir.Module = (*Module)(nil)

// New makes a module without handlers. The name is for panics.
func New(name string) *Module {
	return &Module{name: name, events: map[string]handler{}, messages: map[string]handler{}}
}

// On makes do the handler of the node's own events of type T. T is a concrete
// type whose EventName is the same for all its values, and a second handler for
// that name is a panic; so is mir.Received, whose messages OnMessage handles.
func On[T mir.Body](m *Module, do func(ev T, out *mir.Out)) {
	name := nameOf[T](m)
	if name == (mir.Received{}).EventName() {
		panic(fmt.Sprintf("dsl: module %s handles %s, which is for OnMessage", m.name, name))
	}
	m.add(m.events, name, func(_ mir.NodeID, body mir.Body, out *mir.Out) bool {
		ev, ok := body.(T)
		if ok {
			do(ev, out)
		}
		return ok
	})
}

// OnMessage makes do the handler of messages of type T, under the rules of On.
// From is the peer that sent it, or the node itself. The message comes from
// outside: do must expect every value that the codec lets through.
func OnMessage[T mir.Message](m *Module, do func(from mir.NodeID, msg T, out *mir.Out)) {
	m.add(m.messages, nameOf[T](m), func(from mir.NodeID, body mir.Body, out *mir.Out) bool {
		msg, ok := body.(T)
		if ok {
			do(from, msg, out)
		}
		return ok
	})
}

// nameOf is the event name that T has in all its values.
func nameOf[T mir.Body](m *Module) string {
	var zero T
	if any(zero) == nil {
		panic(fmt.Sprintf("dsl: module %s has a handler for an interface, want a concrete type", m.name))
	}
	return zero.EventName()
}

func (m *Module) add(table map[string]handler, name string, h handler) {
	if table[name] != nil {
		panic(fmt.Sprintf("dsl: module %s has two handlers for %s", m.name, name))
	}
	table[name] = h
}

// Upon adds a rule. After every handler, rules are tried in the order in which
// they were added, and tried again until none holds; do must make holds false.
// The name is for panics.
func (m *Module) Upon(name string, holds func() bool, do func(out *mir.Out)) {
	m.rules = append(m.rules, rule{name: name, holds: holds, do: do})
}

// Apply implements mir.Module.
func (m *Module) Apply(ev mir.Event, out *mir.Out) {
	if received, ok := ev.Body.(mir.Received); ok {
		h := m.messages[received.Msg.EventName()]
		if h == nil || !h(received.From, received.Msg, out) {
			m.dropped++
			return
		}
	} else {
		h := m.events[ev.Body.EventName()]
		if h == nil || !h(0, ev.Body, out) {
			panic(fmt.Sprintf("dsl: invariant broken: module %s was sent %s, which it does not handle", m.name, ev.Body.EventName()))
		}
	}
	m.fire(out)
}

// Dropped counts the messages that no handler took. It may be called between
// two events.
func (m *Module) Dropped() uint64 { return m.dropped }

// fire fires rules until none holds.
func (m *Module) fire(out *mir.Out) {
	for firings, again := 0, true; again; {
		again = false
		for _, r := range m.rules {
			if !r.holds() {
				continue
			}
			if firings++; firings > FiringsMax {
				panic(fmt.Sprintf("dsl: invariant broken: module %s: %q still holds after %d firings; its handler must make it false",
					m.name, r.name, FiringsMax))
			}
			r.do(out)
			again = true
		}
	}
}
