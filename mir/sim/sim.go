package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// DefaultStepsMax ends a run that would never end by itself, such as messages
// that go round without latency.
const DefaultStepsMax = 1_000_000_000

// pcgStream is the second word of the generator's seed: any constant will do.
const pcgStream = 0x6d69722f73696d

// Why RunUntil ended before its condition held.
var (
	// ErrQuiet reports that nothing is left to happen.
	ErrQuiet = errors.New("sim: nothing is left to happen")
	// ErrStepLimit reports that the step limit of the call was used up.
	ErrStepLimit = errors.New("sim: step limit reached")
)

// Config describes a simulation.
type Config struct {
	Seed    uint64
	Codec   mir.Codec
	Network Network

	// EventCost is the virtual time that a node is busy for with each event.
	// Zero suits safety tests; a cost makes queues and saturation visible.
	EventCost time.Duration

	// OnStep, if not nil, is called after each applied event. An error of
	// it ends the run with a *Failure: invariants are checked here.
	OnStep func(Step) error

	StepsMax uint64 // Bounds the whole run. Zero means DefaultStepsMax.
}

// Step is one applied event. At is the clock of the node: with an EventCost,
// steps of different nodes may overlap in time.
type Step struct {
	N     uint64 // Counts from 1.
	At    time.Duration
	Node  mir.NodeID
	Event mir.Event
}

// Failure is a simulation that can not go on: a module panicked, the wiring is
// wrong, or OnStep refused. Running the same program with the same Seed fails
// at the same Step.
type Failure struct {
	Seed   uint64
	Step   uint64 // The step that failed.
	At     time.Duration
	Node   mir.NodeID
	Module string
	Sub    mir.SubID
	Event  string
	Cause  error // A *mir.PanicError, which has the stack, or another error.
}

// Error tells what failed, where, and the seed that replays it.
func (f *Failure) Error() string {
	return fmt.Sprintf("sim: seed=%d step=%d at=%v node=%d module=%s sub=%d event=%s: %v",
		f.Seed, f.Step, f.At, f.Node, f.Module, f.Sub, f.Event, f.Cause)
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// Counters are exact counts of one node, or of all.
type Counters struct {
	EventsApplied uint64

	MessagesSent      uint64 // To remote nodes; one for each receiver.
	WireBytesSent     uint64 // Frames: mir.FrameHeaderBytes and the encoded message.
	MessagesReceived  uint64
	WireBytesReceived uint64

	Raw         uint64 // Of those sent, the ones that SendRaw made.
	Filtered    uint64 // Dropped by the Filter, never sent.
	Lost        uint64 // Sent, lost by chance.
	Partitioned uint64 // Sent, lost in a partition.
	Held        uint64 // Sent, and departing only when a partition heals.
	Duplicated  uint64 // Sent, and arriving twice.

	Overtaken       uint64 // Arrived at this node after a message that the same peer sent later.
	ToCrashed       uint64 // Arrived at this node while it was down.
	InputsToCrashed uint64 // Of Inject, while the node was down.
	DecodeErrors    uint64 // Received, refused by the codec.
	Misaddressed    uint64 // Received, for a module that no peer may address.

	Crashes uint64
}

// add sums counters.
func (c *Counters) add(d Counters) {
	c.EventsApplied += d.EventsApplied
	c.MessagesSent += d.MessagesSent
	c.WireBytesSent += d.WireBytesSent
	c.MessagesReceived += d.MessagesReceived
	c.WireBytesReceived += d.WireBytesReceived
	c.Raw += d.Raw
	c.Filtered += d.Filtered
	c.Lost += d.Lost
	c.Partitioned += d.Partitioned
	c.Held += d.Held
	c.Duplicated += d.Duplicated
	c.Overtaken += d.Overtaken
	c.ToCrashed += d.ToCrashed
	c.InputsToCrashed += d.InputsToCrashed
	c.DecodeErrors += d.DecodeErrors
	c.Misaddressed += d.Misaddressed
	c.Crashes += d.Crashes
}

// Sim is a simulation. It is not safe for concurrent use.
type Sim struct {
	cfg        Config
	network    Network
	partitions []Partition
	rng        *rand.Rand
	nodes      []*node
	agenda     agenda
	now        time.Duration
	steps      uint64
	atStep     map[uint64][]func() // By the step after which they are called.
	trace      hash.Hash64
	scratch    []byte
	failure    error
}

// New makes a simulation without nodes, at time zero.
func New(cfg Config) (*Sim, error) {
	if cfg.Codec == nil {
		return nil, errors.New("sim: Config.Codec is nil")
	}
	if cfg.EventCost < 0 {
		return nil, fmt.Errorf("sim: Config.EventCost is %v, want at least 0", cfg.EventCost)
	}
	if cfg.StepsMax == 0 {
		cfg.StepsMax = DefaultStepsMax
	}
	s := &Sim{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, pcgStream)), trace: fnv.New64a(),
		atStep: map[uint64][]func(){},
	}
	if err := s.SetNetwork(cfg.Network); err != nil {
		return nil, err
	}
	return s, nil
}

// Inject gives events of a client to a node at the current time, each as an
// input of its own. Like everything else they happen when the simulation runs.
func (s *Sim) Inject(id mir.NodeID, events ...mir.Event) {
	n := s.node(id)
	for _, ev := range events {
		s.agenda.add(&occurrence{at: s.now, node: n, in: input{event: ev}})
	}
}

// At calls do at virtual time t, or now if that is past.
func (s *Sim) At(t time.Duration, do func()) {
	s.agenda.add(&occurrence{at: max(t, s.now), do: do})
}

// AtStep calls do right after step n of the whole run, before OnStep looks at it.
// With the same seed it is the same moment in every run: a crash here is "right
// after step n", in the middle of an input. A step that is past never comes.
func (s *Sim) AtStep(n uint64, do func()) { s.atStep[n] = append(s.atStep[n], do) }

// Run lets everything happen that is due up to and including until, and leaves
// the clock there.
func (s *Sim) Run(until time.Duration) error {
	for s.failure == nil && !s.agenda.empty() && s.agenda.nextAt() <= until {
		s.advance()
	}
	if s.failure == nil {
		s.now = max(s.now, until)
	}
	return s.failure
}

// RunUntil lets things happen until cond holds, which it checks first and then
// after each input. It returns nil then, and otherwise an error that wraps
// ErrQuiet or ErrStepLimit, or is a *Failure. The limit counts the steps of
// this call, and the input that passes it is completed.
func (s *Sim) RunUntil(cond func() bool, maxSteps uint64) error {
	start := s.steps
	for s.failure == nil {
		switch {
		case cond():
			return nil
		case s.agenda.empty():
			return fmt.Errorf("%w: seed=%d step=%d at=%v", ErrQuiet, s.cfg.Seed, s.steps, s.now)
		case s.steps-start >= maxSteps:
			return fmt.Errorf("%w: seed=%d step=%d at=%v", ErrStepLimit, s.cfg.Seed, s.steps, s.now)
		}
		s.advance()
	}
	return s.failure
}

// Now is the virtual time.
func (s *Sim) Now() time.Duration { return s.now }

// Seed is the seed of the run.
func (s *Sim) Seed() uint64 { return s.cfg.Seed }

// Steps is the number of events applied.
func (s *Sim) Steps() uint64 { return s.steps }

// TraceHash digests the run so far: time, node, module, instance and name of
// every applied event, and the bytes of those that came over the network.
func (s *Sim) TraceHash() uint64 { return s.trace.Sum64() }

// Counters counts what one node did.
func (s *Sim) Counters(id mir.NodeID) Counters { return s.node(id).counters }

// ModuleCounters counts the events of each module of a node since it booted.
func (s *Sim) ModuleCounters(id mir.NodeID) []mir.ModuleCounters {
	return s.node(id).machine.Counters()
}

// Total sums the counters of all nodes.
func (s *Sim) Total() Counters {
	var t Counters
	for _, n := range s.nodes {
		t.add(n.counters)
	}
	return t
}

// advance lets the next thing happen. If that fails, s.failure is set.
func (s *Sim) advance() {
	o := s.agenda.next()
	s.now = o.at
	if o.do != nil {
		o.do()
		return
	}
	s.arrive(o.node, o.in)
}

func (s *Sim) node(id mir.NodeID) *node {
	if int(id) >= len(s.nodes) {
		panic(fmt.Sprintf("sim: there is no node %d among %d", id, len(s.nodes)))
	}
	return s.nodes[id]
}

// fail ends the run.
func (s *Sim) fail(n *node, step uint64, ev mir.Event, cause error) {
	f := &Failure{
		Seed: s.cfg.Seed, Step: step, At: n.clock, Node: n.id,
		Module: n.cfg.Names.Name(ev.To), Sub: ev.Sub, Cause: cause,
	}
	if ev.Body != nil {
		f.Event = ev.Body.EventName()
	}
	s.failure = f
}

func (s *Sim) digest(n *node, ev mir.Event, wire []byte) {
	name := ev.Body.EventName()
	b := s.scratch[:0]
	b = binary.LittleEndian.AppendUint64(b, uint64(n.clock))
	b = binary.LittleEndian.AppendUint32(b, uint32(n.id))
	b = binary.LittleEndian.AppendUint16(b, uint16(ev.To))
	b = binary.LittleEndian.AppendUint64(b, uint64(ev.Sub))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)))
	b = append(b, name...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(wire)))
	b = append(b, wire...)
	s.scratch = b
	_, _ = s.trace.Write(b) // A hash never fails to take bytes.
}
