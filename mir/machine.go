package mir

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// DefaultQueueEventsMax bounds the events that one input may have pending
// inside a node: 2^20 events of 32 bytes are 32 MiB. A correct protocol stays
// far below it, so reaching it is a runaway emission and not overload.
const DefaultQueueEventsMax = 1 << 20

// Errors of a Machine. They mean a bug in the node's own wiring or modules,
// never bad input from a peer.
var (
	// ErrUnregistered reports an event for a module that the table lacks.
	ErrUnregistered = errors.New("module is not registered")
	// ErrQueueFull reports that one input led to more pending events than
	// MachineConfig.QueueEventsMax.
	ErrQueueFull = errors.New("event queue is full")
)

// PanicError is a panic of a module, with the event that it was applying.
type PanicError struct {
	Module string // The module's name.
	Sub    SubID
	Event  string // The event's name.
	Value  any    // What the module panicked with.
	Stack  []byte // The stack of the panic.
}

// Error names module and event, and ends with the stack of the panic.
func (e *PanicError) Error() string {
	return fmt.Sprintf("mir: module %s (sub %d) panicked applying %s: %v\n%s",
		e.Module, e.Sub, e.Event, e.Value, e.Stack)
}

// Unwrap gives the panic's value when that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Registration puts a module into a node's table.
type Registration struct {
	ID     ModuleID
	Module Module
}

// Interceptor sees what a node applies; recorders implement it.
type Interceptor interface {
	// Intercept is called on the node's goroutine with each event just
	// before its module applies it. Input tells an event that came from
	// outside (a client, the network, a timer) from one that a module
	// emitted: the inputs alone determine the run.
	Intercept(ev Event, input bool)
}

// MachineConfig describes a Machine.
type MachineConfig struct {
	Names          *Names
	Modules        []Registration
	QueueEventsMax int         // Zero means DefaultQueueEventsMax.
	Interceptor    Interceptor // May be nil, which costs nothing.
}

// Machine is the run-to-completion core that [Node], package sim and replay
// share: a table of modules and one queue. It has no goroutine and no clock.
//
// One input is carried to its end before the next is taken, so that everything
// that an input causes has happened when the next arrives. In particular a
// timer cancelled by one input can not fire in the next, in real and in virtual
// time alike, unless lanes come between: see Lane. Taking many inputs into the
// queue at once would save a little bookkeeping and lose that.
type Machine struct {
	names       *Names
	modules     []Module // Indexed by ModuleID.
	counts      []moduleCount
	queue       ring[Event]
	queueMax    int
	out         Out
	interceptor Interceptor
	inputNext   bool // The event at the queue's head is an input.

	probe Probe    // May be nil.
	turn  ModuleID // Whose turn it is, by the probe; 0 when the machine rests.

	// elsewhere takes events for modules that this table lacks. Not nil in a
	// lane of a node.
	elsewhere func(from string, ev Event) error
}

type moduleCount struct {
	in      atomic.Uint64
	applied atomic.Uint64
	bytes   atomic.Uint64
}

func (c *moduleCount) count(ev Event) {
	c.in.Add(1)
	if ev.bytes > 0 {
		c.bytes.Add(uint64(ev.bytes))
	}
}

// ModuleCounters counts the events of one module.
type ModuleCounters struct {
	ID      ModuleID
	Name    string
	In      uint64        // Events queued for the module.
	Applied uint64        // Events that the module has applied.
	Bytes   uint64        // What the events queued held, as far as they were sized: see Event.Sized.
	Spent   time.Duration // Time at work, where NodeConfig.Instrument measures it.
}

// Queued is the number of the module's events that are pending.
func (c ModuleCounters) Queued() uint64 { return c.In - c.Applied }

// NewMachine checks the table and builds a Machine over it.
func NewMachine(cfg MachineConfig) (*Machine, error) {
	if cfg.Names == nil {
		return nil, errors.New("mir: building a machine: Names is nil")
	}
	if cfg.QueueEventsMax < 0 {
		return nil, fmt.Errorf("mir: building a machine: QueueEventsMax is %d, want at least 0", cfg.QueueEventsMax)
	}
	m := &Machine{
		names:       cfg.Names,
		modules:     make([]Module, cfg.Names.Len()+1),
		counts:      make([]moduleCount, cfg.Names.Len()+1),
		queueMax:    cfg.QueueEventsMax,
		interceptor: cfg.Interceptor,
	}
	if m.queueMax == 0 {
		m.queueMax = DefaultQueueEventsMax
	}
	for _, r := range cfg.Modules {
		if err := m.register(r); err != nil {
			return nil, fmt.Errorf("mir: registering %s: %w", cfg.Names.Name(r.ID), err)
		}
	}
	return m, nil
}

func (m *Machine) register(r Registration) error {
	switch {
	case r.ID == 0 || int(r.ID) >= len(m.modules):
		return errors.New("its ID was not interned")
	case r.Module == nil:
		return errors.New("its module is nil")
	case m.modules[r.ID] != nil:
		return errors.New("it is registered twice")
	}
	m.modules[r.ID] = r.Module
	return nil
}

// Module is the module registered under id, or nil.
func (m *Machine) Module(id ModuleID) Module {
	if int(id) >= len(m.modules) {
		return nil
	}
	return m.modules[id]
}

// Input queues an event from outside. The previous input must have run to its
// end.
func (m *Machine) Input(ev Event) error {
	if m.queue.len() != 0 {
		panic(fmt.Sprintf("mir: invariant broken: input while %d events are pending", m.queue.len()))
	}
	m.inputNext = true
	return m.push("input", ev)
}

// Pending is the number of events that are queued.
func (m *Machine) Pending() int { return m.queue.len() }

// Step applies the oldest pending event and queues what its module emits. It
// reports false when nothing is pending. After an error the machine must not
// be used again.
func (m *Machine) Step() (ev Event, applied bool, err error) {
	if m.queue.len() == 0 {
		return Event{}, false, nil
	}
	ev = m.queue.pop()
	if m.probe != nil && m.turn != ev.To {
		m.turn = ev.To
		m.probe.Turn(ev.To)
	}
	if m.interceptor != nil {
		m.interceptor.Intercept(ev, m.inputNext)
	}
	m.inputNext = false
	if err := m.apply(ev); err != nil {
		return ev, false, err
	}
	m.counts[ev.To].applied.Add(1)
	for _, emitted := range m.out.Events() {
		if err := m.push(m.names.Name(ev.To), emitted); err != nil {
			return ev, true, err
		}
	}
	m.out.Reset()
	return ev, true, nil
}

// rest tells the probe that nobody is at work.
func (m *Machine) rest() {
	if m.probe != nil && m.turn != 0 {
		m.turn = 0
		m.probe.Turn(0)
	}
}

func (m *Machine) apply(ev Event) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{
				Module: m.names.Name(ev.To), Sub: ev.Sub, Event: ev.Body.EventName(),
				Value: v, Stack: debug.Stack(),
			}
		}
	}()
	m.modules[ev.To].Apply(ev, &m.out)
	return nil
}

func (m *Machine) push(from string, ev Event) error {
	if ev.Body == nil {
		return m.bodiless(from, ev)
	}
	if m.Module(ev.To) == nil {
		if m.elsewhere != nil {
			return m.elsewhere(from, ev)
		}
		return m.unregistered(from, ev)
	}
	if m.queue.len() >= m.queueMax {
		return m.full(from, ev, m.queue.len())
	}
	m.counts[ev.To].count(ev)
	m.queue.push(ev)
	return nil
}

func (m *Machine) bodiless(from string, ev Event) error {
	return fmt.Errorf("mir: %s sent an event without body to %s", from, m.names.Name(ev.To))
}

func (m *Machine) unregistered(from string, ev Event) error {
	return fmt.Errorf("mir: %s sent %s to %s: %w", from, ev.Body.EventName(), m.names.Name(ev.To), ErrUnregistered)
}

func (m *Machine) full(from string, ev Event, pending int) error {
	return fmt.Errorf("mir: %s sent %s to %s with %d events pending: %w",
		from, ev.Body.EventName(), m.names.Name(ev.To), pending, ErrQueueFull)
}

// Counters counts the events of every registered module, in ModuleID order. It
// may be called from any goroutine.
func (m *Machine) Counters() []ModuleCounters {
	var all []ModuleCounters
	for id, module := range m.modules {
		if module == nil {
			continue
		}
		// Applied is read first, so that it never exceeds In.
		applied := m.counts[id].applied.Load()
		all = append(all, ModuleCounters{
			ID: ModuleID(id), Name: m.names.Name(ModuleID(id)),
			In: m.counts[id].in.Load(), Applied: applied, Bytes: m.counts[id].bytes.Load(),
		})
	}
	return all
}
