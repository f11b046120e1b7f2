package net

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"reflect"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Config of one replica's transport. Node, Self, SystemID, Key, Codec and one of
// Listener and Listen are needed; zero bounds mean the defaults.
type Config struct {
	Node types.NodeID
	Self mir.ModuleID // What the transport is registered as.

	// SystemID names the replicated system, 1 to 128 bytes. Replicas of
	// different systems refuse each other, even where they share keys.
	SystemID string

	// Key is the replica's own. Its public half is what the other replicas
	// know this one by.
	Key ed25519.PrivateKey

	// Listener is used where it is not nil, and closed by Stop. Otherwise New
	// listens at Listen, host:port over TCP; port 0 takes a free one.
	Listener net.Listener
	Listen   string

	// Codec must not keep the bytes that it decodes: their buffer is used
	// again. It is called from many goroutines at once.
	Codec mir.Codec

	Peers  []types.Member // As for SetPeers.
	Outbox mir.OutboxBounds
	Limits Limits
}

// Limits bound what one peer, or a stranger, can make a replica do. A zero field
// means its default.
type Limits struct {
	// MessageBytesMax bounds one encoded message in both directions, so all
	// replicas should agree on it.
	MessageBytesMax int

	// MessagesPerSecond and BytesPerSecond are how fast a peer is read. It can
	// save up one second's worth.
	MessagesPerSecond int
	BytesPerSecond    int

	// UndeliveredMessages and UndeliveredBytes are one peer's share of the
	// node's input: what was read and the node has not applied yet. A message
	// more may pass them.
	UndeliveredMessages int
	UndeliveredBytes    int

	// BadFramesMax malformed frames on one connection end it, and the peer is
	// refused for PenaltyMin, twice as long each time, up to PenaltyMax.
	BadFramesMax           int
	PenaltyMin, PenaltyMax time.Duration

	// HandshakesMax bounds the connections that have not yet shown who they
	// are. With more, the oldest is closed.
	HandshakesMax int

	// HoldMax is how long an outbox may hold our clients. A peer that has not
	// brought it down to ResumeBytes by then is too slow to wait for: the
	// outbox holds nobody again before it is drained to there.
	HoldMax time.Duration

	// ConnectTimeout bounds a connection attempt with its handshake.
	ConnectTimeout time.Duration

	// BackoffMin is the mean wait before the first new attempt to reach a
	// peer; it doubles up to BackoffMax.
	BackoffMin, BackoffMax time.Duration

	// KeepaliveAfter is how long a silent connection goes unquestioned, at
	// least 10 s; all replicas should agree on it. KeepaliveTimeout is how long
	// the answer may take, and the acknowledgement of any other byte.
	KeepaliveAfter, KeepaliveTimeout time.Duration
}

// DefaultLimits suit replicas of one data centre.
//
// MessageBytesMax: the largest message of a batch is types.MaxBatchBytes and less
// than 64 bytes around it. A new view may be larger; package pbft has the
// arithmetic, and package replica refuses settings with which one would not fit.
//
// Rates: 1 GiB/s is what a network of 10 Gbit/s carries. 250,000 messages a
// second are what a core can take from one stream, and two orders of magnitude
// above what a replica sends in votes.
//
// Undelivered: 15 peers with 256 messages and 4 MiB each fit the 4,096 events and
// 64 MiB of a node's input, so that none fills it for the others.
//
// Memory that one peer can make a replica hold: 4 MiB undelivered, one message of
// 32 MiB that passes them, one being decoded and one being read, and
// receiveWindow twice, on a connection and on the one before: 116 MiB. A correct
// one stays below 20.
//
// HoldMax: (64 - 16) MiB in 2 s is 24 MiB/s, which a peer must take to be waited
// for.
func DefaultLimits() Limits {
	return Limits{
		MessageBytesMax:   types.MaxMessageBytes,
		MessagesPerSecond: 250_000, BytesPerSecond: 1 << 30,
		UndeliveredMessages: 256, UndeliveredBytes: 4 << 20,
		BadFramesMax: 16, PenaltyMin: time.Second, PenaltyMax: time.Minute,
		HandshakesMax: 128, HoldMax: 2 * time.Second, ConnectTimeout: 5 * time.Second,
		BackoffMin: 50 * time.Millisecond, BackoffMax: 5 * time.Second,
		KeepaliveAfter: 10 * time.Second, KeepaliveTimeout: 5 * time.Second,
	}
}

func (c Config) withDefaults() Config {
	if c.Outbox == (mir.OutboxBounds{}) {
		c.Outbox = mir.DefaultOutboxBounds
	}
	d, l := DefaultLimits(), &c.Limits
	l.MessageBytesMax = cmp.Or(l.MessageBytesMax, d.MessageBytesMax)
	l.MessagesPerSecond = cmp.Or(l.MessagesPerSecond, d.MessagesPerSecond)
	l.BytesPerSecond = cmp.Or(l.BytesPerSecond, d.BytesPerSecond)
	l.UndeliveredMessages = cmp.Or(l.UndeliveredMessages, d.UndeliveredMessages)
	l.UndeliveredBytes = cmp.Or(l.UndeliveredBytes, d.UndeliveredBytes)
	l.BadFramesMax = cmp.Or(l.BadFramesMax, d.BadFramesMax)
	l.PenaltyMin = cmp.Or(l.PenaltyMin, d.PenaltyMin)
	l.PenaltyMax = cmp.Or(l.PenaltyMax, d.PenaltyMax)
	l.HandshakesMax = cmp.Or(l.HandshakesMax, d.HandshakesMax)
	l.HoldMax = cmp.Or(l.HoldMax, d.HoldMax)
	l.ConnectTimeout = cmp.Or(l.ConnectTimeout, d.ConnectTimeout)
	l.BackoffMin = cmp.Or(l.BackoffMin, d.BackoffMin)
	l.BackoffMax = cmp.Or(l.BackoffMax, d.BackoffMax)
	l.KeepaliveAfter = cmp.Or(l.KeepaliveAfter, d.KeepaliveAfter)
	l.KeepaliveTimeout = cmp.Or(l.KeepaliveTimeout, d.KeepaliveTimeout)
	return c
}

// systemIDBytesMax bounds Config.SystemID, which is part of every certificate.
const systemIDBytesMax = 128

func (c Config) check() error {
	b := c.Outbox
	switch {
	case c.Self == 0:
		return errors.New("no module is named as the transport itself")
	case len(c.SystemID) == 0 || len(c.SystemID) > systemIDBytesMax:
		return fmt.Errorf("the system's name has %d bytes, want 1 to %d", len(c.SystemID), systemIDBytesMax)
	case len(c.Key) != ed25519.PrivateKeySize:
		return fmt.Errorf("the private key has %d bytes, want %d", len(c.Key), ed25519.PrivateKeySize)
	case c.Codec == nil:
		return errors.New("there is no codec")
	case b.ResumeBytes < 0 || b.PauseBytes < b.ResumeBytes || b.MaxBytes <= b.PauseBytes:
		return fmt.Errorf("outbox bounds %+v: want 0 <= resume <= pause < max", b)
	}
	return c.Limits.Validate()
}

// Validate reports the first limit that cannot work, by its field's name.
func (l Limits) Validate() error {
	all := reflect.ValueOf(l)
	for i := range all.NumField() {
		if f := all.Field(i); f.Int() <= 0 {
			return fmt.Errorf("%s is %v, want more than 0", all.Type().Field(i).Name, f.Interface())
		}
	}
	switch {
	case l.PenaltyMax < l.PenaltyMin:
		return fmt.Errorf("PenaltyMax is %v, less than PenaltyMin, %v", l.PenaltyMax, l.PenaltyMin)
	case l.BackoffMax < l.BackoffMin:
		return fmt.Errorf("BackoffMax is %v, less than BackoffMin, %v", l.BackoffMax, l.BackoffMin)
	}
	return nil
}
