package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// Forever is a time that never comes.
const Forever = time.Duration(math.MaxInt64)

// Latency draws how long a message takes from one node to another. It must use
// no other randomness than rng. Less than zero counts as zero.
type Latency func(from, to mir.NodeID, rng *rand.Rand) time.Duration

// Fixed takes d on every link.
func Fixed(d time.Duration) Latency {
	return func(mir.NodeID, mir.NodeID, *rand.Rand) time.Duration { return d }
}

// Uniform takes from least to most, each equally likely.
func Uniform(least, most time.Duration) Latency {
	return Matrix(func(mir.NodeID, mir.NodeID) time.Duration { return least }, most-least)
}

// Matrix takes base(from, to) and from nothing up to jitter more.
func Matrix(base func(from, to mir.NodeID) time.Duration, jitter time.Duration) Latency {
	return func(from, to mir.NodeID, rng *rand.Rand) time.Duration {
		return base(from, to) + time.Duration(rng.Int64N(max(0, int64(jitter))+1))
	}
}

// Network is the network's behaviour. Messages on one link overtake each other
// whenever their latencies say so.
type Network struct {
	Latency       Latency // Nil means Fixed(time.Millisecond).
	LossRate      float64 // The probability that a message is lost.
	DuplicateRate float64 // The probability that a message arrives twice, each copy with its own latency.
	Filter        Filter  // May be nil.
}

// Packet is a message at the moment when it leaves its sender.
type Packet struct {
	At       time.Duration
	From, To mir.NodeID
	Dest     mir.ModuleID
	Sub      mir.SubID
	Msg      mir.Message // Shared with the sender and other receivers: read-only.
	Wire     []byte      // Its encoding, shared alike.
}

// Filter decides what becomes of each remote message, for each receiver apart,
// so that a Byzantine sender can tell one peer this and another that. A filter
// must be deterministic. What a Byzantine sender sends beside, it sends with
// [Sim.SendRaw], which a filter may call.
type Filter func(p Packet) Fate

// Fate is what becomes of a message. The zero Fate passes it on.
type Fate struct {
	Drop    bool          // The sender never sends it: it counts as Filtered only.
	Replace mir.Message   // Not nil: sent in its place.
	Wire    []byte        // Not nil: these bytes are sent in place of the encoding.
	Delay   time.Duration // Added to the latency.
}

func (n Network) check() error {
	for _, rate := range []float64{n.LossRate, n.DuplicateRate} {
		if !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("sim: a network rate is %v, want 0 to 1", rate)
		}
	}
	return nil
}

// PartitionMode says what a partition does to the messages that would cross it.
type PartitionMode int

const (
	// Hold lets messages depart when the partition heals, like a transport
	// that keeps retrying.
	Hold PartitionMode = iota
	// Drop loses them.
	Drop
)

// Partition separates the nodes of Side from all others. It concerns messages
// sent in [Start, Heal); what is already under way arrives.
type Partition struct {
	Start, Heal time.Duration // Heal may be Forever.
	Side        []mir.NodeID
	Mode        PartitionMode
}

func (p Partition) separates(a, b mir.NodeID, at time.Duration) bool {
	return p.Start <= at && at < p.Heal && slices.Contains(p.Side, a) != slices.Contains(p.Side, b)
}

// SetNetwork changes the network for messages sent from now on.
func (s *Sim) SetNetwork(n Network) error {
	if err := n.check(); err != nil {
		return err
	}
	if n.Latency == nil {
		n.Latency = Fixed(time.Millisecond)
	}
	s.network = n
	return nil
}

// AddPartition adds a partition to those that exist.
func (s *Sim) AddPartition(p Partition) error {
	if p.Heal <= p.Start {
		return errors.New("sim: a partition heals before it starts")
	}
	s.partitions = append(s.partitions, p)
	return nil
}

// onSend is the network module of node n.
func (s *Sim) onSend(n *node, ev mir.Event, out *mir.Out) {
	send, ok := ev.Body.(mir.Send)
	if !ok {
		panic(fmt.Sprintf("sim: invariant broken: the network was sent %s", ev.Body.EventName()))
	}
	var wire []byte
	encoded := false
	for _, to := range send.To {
		if to == n.id {
			out.EmitSub(send.Dest, send.Sub, mir.Received{From: n.id, Msg: send.Msg})
			continue
		}
		if int(to) >= len(s.nodes) {
			panic(fmt.Sprintf("sim: invariant broken: Send to node %d of %d", to, len(s.nodes)))
		}
		if !encoded {
			wire, encoded = s.encode(send.Msg), true
		}
		s.transmit(n, Packet{At: n.clock, From: n.id, To: to, Dest: send.Dest, Sub: send.Sub, Msg: send.Msg, Wire: wire})
	}
}

func (s *Sim) encode(m mir.Message) []byte {
	wire, err := s.cfg.Codec.Encode(nil, m)
	if err != nil {
		panic(fmt.Errorf("sim: invariant broken: own message %s can not be encoded: %w", m.EventName(), err))
	}
	return wire
}

// transmit sends one packet of a module, through the filter.
func (s *Sim) transmit(n *node, p Packet) {
	var fate Fate
	if s.network.Filter != nil {
		fate = s.network.Filter(p)
	}
	switch {
	case fate.Drop:
		n.counters.Filtered++
		return
	case fate.Wire != nil:
		p.Wire = fate.Wire
	case fate.Replace != nil:
		p.Wire = s.encode(fate.Replace)
	}
	s.carry(n, p, max(0, fate.Delay))
}

// SendRaw sends bytes to a peer in the name of a node, now: garbage, a stale
// message, or the hundredth copy of one, as a Byzantine node may at will. They
// pass through loss, partitions and latency like any message and count as sent,
// but the Filter does not see them. The node's modules have no part in it, and
// it may even be down. SendRaw may be called at any time between New and the end
// of the run, from a Filter, At, AtStep and OnStep too. Wire is not copied and
// must not change any more. Sending to oneself is a mistake, and panics.
func (s *Sim) SendRaw(from, to mir.NodeID, dest mir.ModuleID, sub mir.SubID, wire []byte) {
	n := s.node(from)
	if s.node(to) == n {
		panic(fmt.Sprintf("sim: SendRaw from node %d to itself, where there is no network", from))
	}
	n.counters.Raw++
	s.carry(n, Packet{At: max(s.now, n.clock), From: from, To: to, Dest: dest, Sub: sub, Wire: wire}, 0)
}

// carry takes one packet through loss, partitions and latency.
func (s *Sim) carry(n *node, p Packet, delay time.Duration) {
	n.counters.MessagesSent++
	n.counters.WireBytesSent += frameBytes(p.Wire)
	l := n.link(p.To)
	l.sent++
	number := l.sent
	if s.chance(s.network.LossRate) {
		n.counters.Lost++
		return
	}
	depart, passes := s.departure(p)
	if !passes {
		n.counters.Partitioned++
		return
	}
	if depart > p.At {
		n.counters.Held++
	}
	copies := 1
	if s.chance(s.network.DuplicateRate) {
		n.counters.Duplicated++
		copies = 2
	}
	for range copies {
		latency := max(0, s.network.Latency(p.From, p.To, s.rng))
		s.agenda.add(&occurrence{
			at:   depart + latency + delay,
			node: s.nodes[p.To],
			in:   input{packet: true, from: p.From, dest: p.Dest, sub: p.Sub, wire: p.Wire, number: number},
		})
	}
}

// departure is when the packet gets past every partition, if it ever does.
func (s *Sim) departure(p Packet) (at time.Duration, passes bool) {
	at = p.At
	for i := 0; i < len(s.partitions); i++ {
		wall := s.partitions[i]
		if !wall.separates(p.From, p.To, at) {
			continue
		}
		if wall.Mode == Drop || wall.Heal == Forever {
			return 0, false
		}
		at = wall.Heal
		i = -1 // The later time may fall into any of the others.
	}
	return at, true
}

// chance draws only when the outcome is open, so that turning a fault off does
// not cost randomness.
func (s *Sim) chance(rate float64) bool { return rate > 0 && s.rng.Float64() < rate }

func frameBytes(wire []byte) uint64 { return uint64(mir.FrameHeaderBytes + len(wire)) }
