package mir

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// FrameHeaderBytes is what a message costs on the wire beside its own bytes:
// 2 for the destination module and 8 for the instance.
const FrameHeaderBytes = 2 + 8

// linkBatchFrames bounds the messages that a link decodes before it hands them
// to its node.
const linkBatchFrames = 64

// InprocConfig describes an InprocNet.
type InprocConfig struct {
	Nodes  int
	Codec  Codec        // Called from many goroutines at once.
	Outbox OutboxBounds // Zero means DefaultOutboxBounds.
	// HoldMax is how long a peer whose outbox is above PauseBytes can hold the
	// clients of a node. Zero means DefaultHoldMax.
	HoldMax time.Duration
}

// InprocNet connects the nodes 0..Nodes-1 of one process. Messages are encoded
// and decoded as on a real wire, but nothing is copied in between: a Codec whose
// messages alias their bytes must treat those as read-only, because all
// receivers of a broadcast share them.
//
// Links are reliable and first-in-first-out while the receiver runs and reads.
// What is sent to a node that has not started yet waits for it; what is queued
// for or sent to a node that has stopped is lost, and counted, until it starts
// again.
//
// Backpressure. Each pair of nodes has an outbox bounded in bytes and a link
// goroutine that moves it to the receiver's bounded input. The rule is:
//
//   - a loop never waits: Send puts into the outbox and returns;
//   - a link waits for room in its receiver's input, and for nothing else;
//   - above OutboxBounds.PauseBytes to any peer, a node takes no *client* input
//     until ResumeBytes is reached; network and timer input goes on;
//   - at OutboxBounds.MaxBytes the newest message to that peer is dropped, and
//     counted.
//
// So clients wait for links, links wait for loops and loops wait for nobody:
// the graph of waits has no cycle, and two nodes with full outboxes towards each
// other both keep draining. Two other rules were rejected: an outbox that
// blocks the sender's loop deadlocks in a cycle of full nodes, and so does
// pausing network input while an outbox is full.
//
// A peer that reads nothing harms nobody for long: a hold lasts at most
// InprocConfig.HoldMax, and such a peer holds no clients again before it has
// read down to ResumeBytes. What it then misses beyond MaxBytes is lost to it, as
// on any network; protocols must send again whatever matters.
type InprocNet struct {
	codec    Codec
	ports    []*InprocPort
	outboxes [][]*outbox // By sender, then receiver; nil to oneself.
}

// NetCounters count the traffic of one node.
type NetCounters struct {
	MessagesSent      uint64 // One for each remote receiver of a Send.
	WireBytesSent     uint64 // Their frames, headers included.
	MessagesReceived  uint64
	WireBytesReceived uint64
	DecodeErrors      uint64 // Received, but refused by the codec.
	Misaddressed      uint64 // Received, but for a module that no peer may address.
	Lost              uint64 // Sent to this node, but lost because it had stopped.
	Dropped           uint64 // Not sent by this node: the peer's outbox was full.
}

// NewInprocNet makes a network for cfg.Nodes nodes.
func NewInprocNet(cfg InprocConfig) (*InprocNet, error) {
	if cfg.Outbox == (OutboxBounds{}) {
		cfg.Outbox = DefaultOutboxBounds
	}
	if cfg.HoldMax == 0 {
		cfg.HoldMax = DefaultHoldMax
	}
	if err := cfg.Outbox.check(); err != nil {
		return nil, fmt.Errorf("mir: building a network: %w", err)
	}
	if cfg.HoldMax < 0 {
		return nil, fmt.Errorf("mir: building a network: HoldMax is %v, want at least 0", cfg.HoldMax)
	}
	if cfg.Nodes < 1 || cfg.Codec == nil {
		return nil, errors.New("mir: building a network: it needs at least one node and a codec")
	}
	net := &InprocNet{codec: cfg.Codec, outboxes: make([][]*outbox, cfg.Nodes)}
	for from := range cfg.Nodes {
		net.ports = append(net.ports, &InprocPort{net: net, self: NodeID(from)})
		net.outboxes[from] = make([]*outbox, cfg.Nodes)
		for to := range cfg.Nodes {
			if to != from {
				net.outboxes[from][to] = newOutbox(cfg.Outbox, cfg.HoldMax)
			}
		}
	}
	return net, nil
}

// Port is the network module of node id. A node built anew after a crash uses
// the same port again.
func (net *InprocNet) Port(id NodeID) *InprocPort { return net.ports[id] }

// InprocPort is one node's end of an InprocNet: the active module that serves
// Send and injects Received.
type InprocPort struct {
	net   *InprocNet
	self  NodeID
	links sync.WaitGroup

	messagesSent, wireBytesSent         atomic.Uint64
	messagesReceived, wireBytesReceived atomic.Uint64
	decodeErrors, misaddressed          atomic.Uint64
	lost, dropped                       atomic.Uint64
}

var _ Active = (*InprocPort)(nil)

// Start implements Active.
func (p *InprocPort) Start(in Injector) error {
	for peer := range p.net.ports {
		if NodeID(peer) == p.self {
			continue
		}
		p.net.outboxes[p.self][peer].attach(in)
		inbound := p.net.outboxes[peer][p.self]
		inbound.open()
		p.links.Add(1)
		go p.runLink(NodeID(peer), inbound, in)
	}
	return nil
}

// Stop implements Active. What this node has sent still arrives.
func (p *InprocPort) Stop() {
	for peer := range p.net.ports {
		if NodeID(peer) != p.self {
			p.lost.Add(uint64(p.net.outboxes[peer][p.self].close()))
		}
	}
	p.links.Wait()
}

// Apply implements Module.
func (p *InprocPort) Apply(ev Event, out *Out) {
	send, ok := ev.Body.(Send)
	if !ok {
		panic(fmt.Sprintf("mir: invariant broken: the network was sent %s", ev.Body.EventName()))
	}
	encoded := false
	f := frame{dest: send.Dest, sub: send.Sub}
	for _, to := range send.To {
		if to == p.self {
			out.EmitSub(send.Dest, send.Sub, Received{From: p.self, Msg: send.Msg})
			continue
		}
		if !encoded {
			f.wire, encoded = p.encode(send.Msg), true
		}
		p.transmit(to, f)
	}
}

// Counters counts the traffic of this node. It may be called at any time.
func (p *InprocPort) Counters() NetCounters {
	return NetCounters{
		MessagesSent:      p.messagesSent.Load(),
		WireBytesSent:     p.wireBytesSent.Load(),
		MessagesReceived:  p.messagesReceived.Load(),
		WireBytesReceived: p.wireBytesReceived.Load(),
		DecodeErrors:      p.decodeErrors.Load(),
		Misaddressed:      p.misaddressed.Load(),
		Lost:              p.lost.Load(),
		Dropped:           p.dropped.Load(),
	}
}

func (p *InprocPort) encode(m Message) []byte {
	wire, err := p.net.codec.Encode(nil, m)
	if err != nil {
		panic(fmt.Errorf("mir: invariant broken: own message %s can not be encoded: %w", m.EventName(), err))
	}
	return wire
}

func (p *InprocPort) transmit(to NodeID, f frame) {
	if int(to) >= len(p.net.ports) {
		panic(fmt.Sprintf("mir: invariant broken: Send to node %d of %d", to, len(p.net.ports)))
	}
	result := p.net.outboxes[p.self][to].put(f)
	if result == putDropped {
		p.dropped.Add(1)
		return
	}
	p.messagesSent.Add(1)
	p.wireBytesSent.Add(uint64(f.wireBytes()))
	if result == putLost {
		p.net.ports[to].lost.Add(1)
	}
}

// runLink moves the messages of one peer into this node until either stops.
func (p *InprocPort) runLink(from NodeID, o *outbox, in Injector) {
	defer p.links.Done()
	var frames []frame
	var events []Event
	for {
		var open bool
		if frames, open = o.take(frames[:0], linkBatchFrames); !open {
			return
		}
		bytes := 0
		events = events[:0]
		for _, f := range frames {
			bytes += f.wireBytes()
			if ev, ok := p.receive(from, f, in); ok {
				events = append(events, ev)
			}
		}
		if in.Inject(events...) != nil {
			return // The node has stopped.
		}
		o.settle(bytes)
		clear(frames)
		clear(events)
	}
}

// receive counts and decodes one frame of a peer.
func (p *InprocPort) receive(from NodeID, f frame, in Injector) (Event, bool) {
	p.messagesReceived.Add(1)
	p.wireBytesReceived.Add(uint64(f.wireBytes()))
	if !in.Accepts(f.dest) {
		p.misaddressed.Add(1)
		return Event{}, false
	}
	msg, err := p.net.codec.Decode(f.wire)
	if err != nil {
		p.decodeErrors.Add(1)
		return Event{}, false
	}
	return Event{To: f.dest, Sub: f.sub, Body: Received{From: from, Msg: msg}}.Sized(f.wireBytes()), true
}
