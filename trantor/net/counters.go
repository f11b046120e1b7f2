package net

import (
	"sync/atomic"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Stats is what a transport counted, and the state of its links.
type Stats struct {
	mir.NetCounters
	// Refused counts inbound connections that did not become a link: not TLS
	// 1.3, no or a wrong certificate, a stranger, another system, too slow, or
	// a peer that is being punished.
	Refused     uint64
	LastRefusal string // Why, and from where, the last time; empty without any.
	Unroutable  uint64 // Messages to nodes that are no peers.
	TooLarge    uint64 // Own messages above MessageBytesMax. They were not sent.
	Peers       []PeerStats
}

// PeerStats is about the two links with one peer.
type PeerStats struct {
	Node types.NodeID

	// From here to the peer.
	Connected   bool
	Reconnects  uint64 // Connections after the first.
	Failures    uint64 // Attempts that led to no connection.
	Refused     uint64 // Of these, the handshakes in which the other side was not the peer.
	LastFailure string // Why the latest of these failed; empty while connected.
	OutboxBytes int
	Holding     bool   // The outbox holds our clients.
	Holds       uint64 // How often it did.
	Dropped     uint64 // Messages given up: over the bound, or on a connection that failed.

	// From the peer to here.
	Receiving   bool
	RateLimited uint64 // How often the peer was read more slowly than it sent.
	BadFrames   uint64 // Malformed or too large.
	Penalties   uint64 // How often it was refused for a while for its bad frames.
}

// traffic is the counters of mir.NetCounters.
type traffic struct {
	messagesSent, wireBytesSent         atomic.Uint64
	messagesReceived, wireBytesReceived atomic.Uint64
	decodeErrors, misaddressed, lost    atomic.Uint64
	dropped                             atomic.Uint64
	refused, unroutable, tooLarge       atomic.Uint64
}

// Counters counts the traffic of this node. It may be called at any time. A
// message counts as sent when it was handed to a connection, as Dropped when it
// was given up before, and as Lost when it arrived after the node had stopped.
func (t *Transport) Counters() mir.NetCounters {
	c := &t.traffic
	return mir.NetCounters{
		MessagesSent:      c.messagesSent.Load(),
		WireBytesSent:     c.wireBytesSent.Load(),
		MessagesReceived:  c.messagesReceived.Load(),
		WireBytesReceived: c.wireBytesReceived.Load(),
		DecodeErrors:      c.decodeErrors.Load(),
		Misaddressed:      c.misaddressed.Load(),
		Lost:              c.lost.Load(),
		Dropped:           c.dropped.Load(),
	}
}

// Stats counts everything, peers in ascending order. It may be called at any
// time.
func (t *Transport) Stats() Stats {
	s := Stats{
		NetCounters: t.Counters(),
		Refused:     t.traffic.refused.Load(),
		LastRefusal: t.door.lastRefusal(),
		Unroutable:  t.traffic.unroutable.Load(),
		TooLarge:    t.traffic.tooLarge.Load(),
	}
	for _, p := range t.sortedPeers() {
		s.Peers = append(s.Peers, p.stats())
	}
	return s
}

// PeerStats is what Stats has about one peer; zero for a node that is none.
func (t *Transport) PeerStats(id types.NodeID) PeerStats {
	if p := t.peer(id); p != nil {
		return p.stats()
	}
	return PeerStats{}
}
