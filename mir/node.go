package mir

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// Default bounds of a node's input. An event is 32 bytes beside its body, so
// the lanes' own memory is at most 2 x 4096 x 32 B = 256 KiB.
const (
	DefaultInputHigh  = 4096
	DefaultInputLow   = 1024
	DefaultInputBatch = 256
)

// stepsBetweenStopChecks bounds how long a stop can go unnoticed while one
// input keeps causing events.
const stepsBetweenStopChecks = 256

// NodeConfig describes a Node. Zero bounds mean the defaults.
type NodeConfig struct {
	ID      NodeID
	Names   *Names
	Modules []Registration // Active modules start in this order and stop in reverse.

	ClientInput    Watermarks // Bounds what Inject has accepted and the node not yet taken.
	ActiveInput    Watermarks // The same for active modules: network, timer, stores.
	InputBytesMax  int        // Bytes in each of the two, above which they wait: see Event.Sized.
	InputBatch     int        // Events taken from each lane in one turn.
	QueueEventsMax int        // Events pending inside the node; see MachineConfig.

	// Lanes give modules goroutines of their own: see Lane. Without any, all
	// run in the node's loop.
	Lanes []Lane

	Interceptor Interceptor // May be nil, which costs nothing. Nil where there are Lanes.
	Instrument  Instrument  // May be nil, which costs nothing.
}

// Node runs a table of modules in real time. One goroutine takes input and runs
// each input to completion, unless NodeConfig.Lanes says otherwise.
//
// Who may wait for whom. The loop waits for nothing but input. Clients wait for
// room in the client lane and for held outboxes; active modules wait for room
// in the active lane. Since no wait leads back from the loop to a waiter, there
// is no cycle, whatever the bounds are: see InprocNet for the rule between
// nodes, and Lane for that between lanes.
type Node struct {
	id         NodeID
	machine    *Machine
	lanes      *crew // Nil without lanes.
	instrument Instrument
	actives    []Active
	input      *input
	batch      int
	ran        atomic.Bool
}

// InputCounters describe a node's input lanes.
type InputCounters struct {
	ClientQueued int    // Events that wait in the client lane.
	ActiveQueued int    // Events that wait in the active lane.
	ClientBytes  int    // Their bytes, as far as they were sized.
	ActiveBytes  int    // The same for the active lane.
	ClientPauses uint64 // How often the client lane reached its high-water mark or InputBytesMax.
	ActivePauses uint64 // The same for the active lane.
	ClientHolds  int    // How many holds of active modules are in force.
}

// NewNode checks the configuration and wires a node.
func NewNode(cfg NodeConfig) (*Node, error) {
	marks := Watermarks{High: DefaultInputHigh, Low: DefaultInputLow}
	clients, actives := cfg.ClientInput.orDefault(marks), cfg.ActiveInput.orDefault(marks)
	if err := clients.check(); err != nil {
		return nil, fmt.Errorf("mir: node %d: ClientInput: %w", cfg.ID, err)
	}
	if err := actives.check(); err != nil {
		return nil, fmt.Errorf("mir: node %d: ActiveInput: %w", cfg.ID, err)
	}
	if cfg.InputBatch < 0 || cfg.InputBytesMax < 0 {
		return nil, fmt.Errorf("mir: node %d: InputBatch is %d and InputBytesMax %d, want at least 0", cfg.ID, cfg.InputBatch, cfg.InputBytesMax)
	}
	if cfg.InputBytesMax == 0 {
		cfg.InputBytesMax = DefaultInputBytesMax
	}
	machine, err := NewMachine(MachineConfig{
		Names: cfg.Names, Modules: cfg.Modules,
		QueueEventsMax: cfg.QueueEventsMax, Interceptor: cfg.Interceptor,
	})
	if err != nil {
		return nil, fmt.Errorf("mir: node %d: %w", cfg.ID, err)
	}
	n := &Node{
		id: cfg.ID, machine: machine, instrument: cfg.Instrument,
		input: newInput(clients, actives, cfg.InputBytesMax), batch: cfg.InputBatch,
	}
	if len(cfg.Lanes) > 0 {
		if n.lanes, err = newLanes(cfg, machine); err != nil {
			return nil, fmt.Errorf("mir: node %d: %w", cfg.ID, err)
		}
	}
	if n.batch == 0 {
		n.batch = DefaultInputBatch
	}
	for _, r := range cfg.Modules {
		if a, ok := r.Module.(Active); ok {
			n.actives = append(n.actives, a)
		}
	}
	return n, nil
}

func newLanes(cfg NodeConfig, machine *Machine) (*crew, error) {
	if cfg.Interceptor != nil {
		return nil, errors.New("an Interceptor sees the node's inputs in one order, which lanes do not have: record without Lanes")
	}
	return newCrew(machine, cfg.Lanes, cfg.InputBytesMax)
}

// ID is the node's identity.
func (n *Node) ID() NodeID { return n.id }

// Run starts the active modules and applies events until ctx ends, which
// returns nil, or until something breaks: an event for an unregistered module,
// a module's panic (a *PanicError), a full event queue, or the failure of an
// active module. It returns after every active module has stopped. What was
// still queued is lost, as in a crash. A node runs once.
func (n *Node) Run(ctx context.Context) error {
	if !n.ran.CompareAndSwap(false, true) {
		return fmt.Errorf("mir: node %d was run twice", n.id)
	}
	started, err := n.startActives()
	if err == nil {
		err = n.loop(ctx)
	}
	n.input.close()
	for i := started - 1; i >= 0; i-- {
		n.actives[i].Stop()
	}
	if err == nil || (ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		return nil
	}
	return fmt.Errorf("mir: node %d: %w", n.id, err)
}

// Inject hands events of a client to the node, in order. It blocks while the
// client lane is above its high-water mark or held, and takes a batch that does
// not fit in parts. On an error, which is ErrStopped or wraps that of ctx, a
// prefix of the events may have been accepted. It may be called from any
// goroutine except the node's own, and before Run.
func (n *Node) Inject(ctx context.Context, events ...Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mir: injecting into node %d: %w", n.id, err)
	}
	return n.input.put(ctx, &n.input.clients, events)
}

// Counters counts the events of each module. It may be called at any time.
func (n *Node) Counters() []ModuleCounters {
	all := n.machine.Counters()
	if n.instrument != nil {
		for i := range all {
			all[i].Spent = n.instrument.Spent(all[i].ID)
		}
	}
	return all
}

// LaneCounters describes the lanes at this moment, in the order of
// NodeConfig.Lanes; the modules of none of them come last, as "loop". It is
// empty for a node without lanes.
func (n *Node) LaneCounters() []LaneCounters {
	if n.lanes == nil {
		return nil
	}
	return n.lanes.counters()
}

// InputCounters describes the input lanes at this moment.
func (n *Node) InputCounters() InputCounters {
	n.input.mu.Lock()
	defer n.input.mu.Unlock()
	return InputCounters{
		ClientQueued: n.input.clients.events.len(),
		ActiveQueued: n.input.actives.events.len(),
		ClientBytes:  n.input.clients.bytes,
		ActiveBytes:  n.input.actives.bytes,
		ClientPauses: n.input.clients.pauses,
		ActivePauses: n.input.actives.pauses,
		ClientHolds:  n.input.holds,
	}
}

func (n *Node) startActives() (started int, err error) {
	for i, a := range n.actives {
		if err := a.Start(nodeInjector{n}); err != nil {
			return i, fmt.Errorf("starting an active module: %w", err)
		}
	}
	return len(n.actives), nil
}

func (n *Node) loop(ctx context.Context) error {
	if n.lanes != nil {
		return n.lanes.run(ctx, n.input, n.batch, n.instrument)
	}
	defer watch(ctx, n.instrument, loopLane, n.machine)()
	var buf []Event
	for {
		n.machine.rest()
		batch, err := n.input.take(ctx, buf[:0], n.batch)
		if err != nil {
			return err
		}
		for _, ev := range batch {
			if err := n.machine.Input(ev); err != nil {
				return err
			}
			if err := finish(ctx, n.machine); err != nil {
				return err
			}
		}
		clear(batch)
		buf = batch
	}
}

// finish applies everything that is pending and that follows from it.
func finish(ctx context.Context, m *Machine) error {
	for steps := 1; ; steps++ {
		_, applied, err := m.Step()
		if err != nil || !applied {
			return err
		}
		if steps%stepsBetweenStopChecks == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// nodeInjector is a Node as its active modules see it.
type nodeInjector struct{ n *Node }

func (i nodeInjector) Inject(events ...Event) error {
	return i.n.input.put(context.Background(), &i.n.input.actives, events)
}

func (i nodeInjector) HoldClients()    { i.n.input.hold() }
func (i nodeInjector) ReleaseClients() { i.n.input.unhold() }
func (i nodeInjector) Fail(err error)  { i.n.input.fail(err) }

func (i nodeInjector) Accepts(id ModuleID) bool {
	module := i.n.machine.Module(id)
	_, active := module.(Active)
	return module != nil && !active
}
