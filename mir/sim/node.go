package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// NodeConfig describes a simulated node. Names must have interned Net and Timer,
// and Modules must not contain them: sim serves both.
type NodeConfig struct {
	Names          *mir.Names
	Modules        []mir.Registration
	Net            mir.ModuleID
	Timer          mir.ModuleID
	QueueEventsMax int             // See mir.MachineConfig.
	Interceptor    mir.Interceptor // May be nil.
}

// node is one simulated node.
type node struct {
	id       mir.NodeID
	cfg      NodeConfig
	machine  *mir.Machine
	timers   map[mir.TimerID]*timer // Never iterated, except to forget all.
	counters Counters
	links    []link // By peer.
	crashed  bool

	clock time.Duration // The node's own time: >= Sim.now while it works.
	inbox []input       // Waiting until the node is done with earlier inputs.
	wake  *occurrence   // When it will take from inbox; nil if that is empty.
}

// timer is a set timer. It may wait in the agenda or, already due, in the inbox
// of a busy node.
type timer struct {
	id  mir.TimerID
	due *occurrence
}

// AddNode adds a node; the first is node 0.
func (s *Sim) AddNode(cfg NodeConfig) (mir.NodeID, error) {
	n := &node{id: mir.NodeID(len(s.nodes))}
	if err := s.boot(n, cfg); err != nil {
		return 0, err
	}
	s.nodes = append(s.nodes, n)
	return n.id, nil
}

// Crash stops a node now: it applies nothing more, its timers are gone, and
// messages to it vanish. What it has sent still arrives. Called from OnStep or AtStep, it
// stops the node right after that step, in the middle of an input. Crashing a
// node that is down changes nothing.
func (s *Sim) Crash(id mir.NodeID) {
	n := s.node(id)
	if n.crashed {
		return
	}
	n.crashed = true
	n.counters.Crashes++
	for _, t := range n.timers {
		s.agenda.remove(t.due)
	}
	clear(n.timers)
	for _, in := range n.inbox {
		n.countToCrashed(in)
	}
	n.inbox = nil
	if n.wake != nil {
		s.agenda.remove(n.wake)
		n.wake = nil
	}
}

// Restart boots a crashed node with a new module table. Messages that were sent
// to it and have not arrived yet will arrive. The table is made by whoever
// restarts the node, at that moment and not before: what is to survive the crash
// (a disk) is handed from the old modules to the new ones there. The counters go
// on; an error leaves the node down.
func (s *Sim) Restart(id mir.NodeID, cfg NodeConfig) error {
	n := s.node(id)
	if !n.crashed {
		return fmt.Errorf("sim: restarting node %d, which has not crashed", id)
	}
	return s.boot(n, cfg)
}

// Crashed reports whether a node is down.
func (s *Sim) Crashed(id mir.NodeID) bool { return s.node(id).crashed }

func (s *Sim) boot(n *node, cfg NodeConfig) error {
	if cfg.Net == 0 || cfg.Timer == 0 || cfg.Net == cfg.Timer {
		return fmt.Errorf("sim: node %d: Net and Timer must name two modules", n.id)
	}
	table := append([]mir.Registration{
		{ID: cfg.Net, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) { s.onSend(n, ev, out) })},
		{ID: cfg.Timer, Module: mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) { s.onTimer(n, ev) })},
	}, cfg.Modules...)
	machine, err := mir.NewMachine(mir.MachineConfig{
		Names: cfg.Names, Modules: table,
		QueueEventsMax: cfg.QueueEventsMax, Interceptor: cfg.Interceptor,
	})
	if err != nil {
		return fmt.Errorf("sim: node %d: %w", n.id, err)
	}
	for _, r := range cfg.Modules {
		if _, active := r.Module.(mir.Active); active {
			return fmt.Errorf("sim: node %d: %s is an active module", n.id, cfg.Names.Name(r.ID))
		}
	}
	n.cfg, n.machine, n.crashed = cfg, machine, false
	n.timers = make(map[mir.TimerID]*timer)
	n.clock = s.now
	return nil
}

// onTimer is the timer module of node n.
func (s *Sim) onTimer(n *node, ev mir.Event) {
	switch body := ev.Body.(type) {
	case mir.SetTimer:
		s.forgetTimer(n, body.ID)
		t := &timer{id: body.ID}
		n.timers[body.ID] = t
		t.due = s.agenda.add(&occurrence{
			at:   n.clock + max(0, body.After),
			node: n,
			in:   input{event: body.Fire, timer: t},
		})
	case mir.CancelTimer:
		s.forgetTimer(n, body.ID)
	default:
		panic(fmt.Sprintf("sim: invariant broken: the timer was sent %s", ev.Body.EventName()))
	}
}

func (s *Sim) forgetTimer(n *node, id mir.TimerID) {
	if t := n.timers[id]; t != nil {
		delete(n.timers, id)
		s.agenda.remove(t.due)
	}
}

// arrive gives an input to a node, which handles it when it is done with what
// arrived before.
func (s *Sim) arrive(n *node, in input) {
	if in.packet {
		n.countOvertaken(in)
	}
	if n.crashed {
		n.countToCrashed(in)
		return
	}
	if len(n.inbox) > 0 || s.now < n.clock {
		n.inbox = append(n.inbox, in)
		s.scheduleWake(n)
		return
	}
	s.handle(n, in)
}

func (s *Sim) scheduleWake(n *node) {
	if n.wake == nil {
		n.wake = s.agenda.add(&occurrence{at: n.clock, do: func() { s.onWake(n) }})
	}
}

func (s *Sim) onWake(n *node) {
	n.wake = nil
	in := n.inbox[0]
	n.inbox[0] = input{}
	n.inbox = n.inbox[1:]
	s.handle(n, in)
	if len(n.inbox) > 0 {
		s.scheduleWake(n)
	}
}

// handle runs one input to completion, or until the node crashes on the way.
func (s *Sim) handle(n *node, in input) {
	ev, ok := s.resolve(n, in)
	if !ok {
		return
	}
	n.clock = max(n.clock, s.now)
	machine := n.machine
	if err := machine.Input(ev); err != nil {
		s.fail(n, s.steps+1, ev, err)
		return
	}
	wire := in.wire
	for machine == n.machine && !n.crashed && machine.Pending() > 0 {
		n.clock += s.cfg.EventCost
		ev, _, err := machine.Step()
		if err != nil {
			s.fail(n, s.steps+1, ev, err)
			return
		}
		n.counters.EventsApplied++
		if err := s.onStep(n, ev, wire); err != nil {
			s.fail(n, s.steps, ev, err)
			return
		}
		wire = nil // Only the input itself came over the wire.
	}
}

// resolve makes the event of an input. It reports false when the input comes to
// nothing: a cancelled timer, or a message that the receiver refuses.
func (s *Sim) resolve(n *node, in input) (mir.Event, bool) {
	if in.timer != nil {
		if n.timers[in.timer.id] != in.timer {
			return mir.Event{}, false
		}
		delete(n.timers, in.timer.id)
		return in.event, true
	}
	if !in.packet {
		return in.event, true
	}
	n.counters.MessagesReceived++
	n.counters.WireBytesReceived += frameBytes(in.wire)
	if in.dest == n.cfg.Net || in.dest == n.cfg.Timer || n.machine.Module(in.dest) == nil {
		n.counters.Misaddressed++
		return mir.Event{}, false
	}
	msg, err := s.cfg.Codec.Decode(in.wire)
	if err != nil {
		n.counters.DecodeErrors++
		return mir.Event{}, false
	}
	return mir.Event{To: in.dest, Sub: in.sub, Body: mir.Received{From: in.from, Msg: msg}}, true
}

// onStep accounts for an applied event and lets the experiment look.
func (s *Sim) onStep(n *node, ev mir.Event, wire []byte) error {
	s.steps++
	s.digest(n, ev, wire)
	if due := s.atStep[s.steps]; due != nil {
		delete(s.atStep, s.steps)
		for _, do := range due {
			do()
		}
	}
	if s.cfg.OnStep != nil {
		if err := s.cfg.OnStep(Step{N: s.steps, At: n.clock, Node: n.id, Event: ev}); err != nil {
			return err
		}
	}
	if s.steps >= s.cfg.StepsMax {
		return errors.New("the run reached Config.StepsMax")
	}
	return nil
}

// countToCrashed counts what comes to a node that is down. The timers of before
// the crash are forgotten and come to nothing.
func (n *node) countToCrashed(in input) {
	switch {
	case in.packet:
		n.counters.ToCrashed++
	case in.timer == nil:
		n.counters.InputsToCrashed++
	}
}

// link counts the messages between a node and one peer.
type link struct {
	sent    uint64 // To the peer.
	arrived uint64 // The highest number among those that came from it.
}

// link is that to a peer.
func (n *node) link(peer mir.NodeID) *link {
	for len(n.links) <= int(peer) {
		n.links = append(n.links, link{})
	}
	return &n.links[peer]
}

// countOvertaken notes in which order the messages of a peer arrive.
func (n *node) countOvertaken(in input) {
	l := n.link(in.from)
	if in.number < l.arrived {
		n.counters.Overtaken++
	}
	l.arrived = max(l.arrived, in.number)
}
