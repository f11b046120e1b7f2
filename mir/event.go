package mir

import (
	"fmt"
	"math"
	"time"
)

// NodeID identifies a replica. Replicas of one system are numbered 0..n-1.
type NodeID uint32

// ModuleID identifies a module inside one node. Zero is no module.
// IDs come from [Names.Intern]; every replica of a system wires its modules in
// the same order, so an ID means the same module on every replica.
type ModuleID uint16

// SubID addresses an instance inside a module (one PBFT segment, say). Zero is
// the module itself. Its structure is the owning module's business; Group and
// Level give it one.
type SubID uint64

// Body is the concrete struct that an event carries.
type Body interface {
	// EventName names the event in traces and errors: "pbft.Prepare".
	EventName() string
}

// Event is a Body addressed to a module of the same node.
type Event struct {
	To    ModuleID
	bytes uint32 // Set by Sized. It fills what would be padding.
	Sub   SubID
	Body  Body
}

// Sized is the event with the number of bytes that its body holds, as a network
// knows it from the wire. Nodes bound their input by it and count it by module;
// modules can not see it. An event that nobody sized counts as zero bytes.
func (ev Event) Sized(bytes int) Event {
	ev.bytes = uint32(min(max(bytes, 0), math.MaxUint32))
	return ev
}

// Message is a Body that may cross the network.
type Message interface {
	Body
}

// Codec turns messages into bytes and back. Decode gets bytes from a peer: it
// must reject anything malformed with an error, must not panic, must not keep
// allocations larger than its input justifies, and must not alias b unless its
// documentation says so.
type Codec interface {
	Encode(dst []byte, m Message) ([]byte, error)
	Decode(b []byte) (Message, error)
}

// Send asks the network module to carry a message to module Dest, instance Sub,
// of each node in To. A node may name itself: its copy is delivered locally,
// without encoding, and is not counted as network traffic.
type Send struct {
	To   []NodeID
	Dest ModuleID
	Sub  SubID
	Msg  Message
}

// Received is what module Dest gets when a message from a peer arrives. From is
// authenticated by the transport.
type Received struct {
	From NodeID
	Msg  Message
}

// TimerID names a timer within its owner.
type TimerID struct {
	Owner ModuleID
	Sub   SubID
	N     uint64
}

// SetTimer asks the timer module to emit Fire after After has passed. Setting
// an ID that is already set replaces it.
type SetTimer struct {
	ID    TimerID
	After time.Duration
	Fire  Event
}

// CancelTimer forgets a timer. Cancelling one that is not set is allowed.
type CancelTimer struct {
	ID TimerID
}

func (Send) EventName() string        { return "net.Send" }
func (Received) EventName() string    { return "net.Received" }
func (SetTimer) EventName() string    { return "timer.Set" }
func (CancelTimer) EventName() string { return "timer.Cancel" }

// Out collects the events that one Apply call emits, in order.
type Out struct {
	events []Event
}

// Emit appends an event for module to.
func (o *Out) Emit(to ModuleID, body Body) { o.EmitSub(to, 0, body) }

// EmitSub appends an event for instance sub of module to.
func (o *Out) EmitSub(to ModuleID, sub SubID, body Body) {
	if to == 0 {
		panic(fmt.Sprintf("mir: invariant broken: %s emitted to module 0", body.EventName()))
	}
	o.events = append(o.events, Event{To: to, Sub: sub, Body: body})
}

// Events returns what was emitted since the last Reset. The slice is valid
// until the next Emit or Reset.
func (o *Out) Events() []Event { return o.events }

// Reset empties the collector and drops its references.
func (o *Out) Reset() {
	clear(o.events)
	o.events = o.events[:0]
}

// Module is a passive module: a pure transition. Apply must not keep out, and
// must not depend on anything but its receiver and the event. A broken
// invariant of the module's own state is a panic that names it; a bad message
// from a peer is dropped and counted, never a panic.
type Module interface {
	Apply(ev Event, out *Out)
}

// ModuleFunc makes a Module of a function.
type ModuleFunc func(ev Event, out *Out)

// Apply calls f.
func (f ModuleFunc) Apply(ev Event, out *Out) { f(ev, out) }
