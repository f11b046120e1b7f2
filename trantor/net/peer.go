package net

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// peer is another replica: the link to it, and the link from it.
type peer struct {
	node types.NodeID
	key  ed25519.PublicKey

	outbox   *outbox
	share    *share
	messages *rate.Limiter
	bytes    *rate.Limiter

	ctx    context.Context // Ends when the peer is none any more.
	cancel context.CancelFunc

	receiving chan struct{} // Capacity 1: full while a receiver is at work.

	mu           sync.Mutex
	addr         string
	sessions     uint64             // That had a stream.
	endSession   context.CancelFunc // Nil without a session.
	inbound      *inbound           // The connection it sends on; nil without.
	refusedUntil time.Time
	counted      PeerStats // What is only counted. The rest is filled in by stats.
}

func newPeer(ctx context.Context, m types.Member, cfg Config, dropped *atomic.Uint64) *peer {
	l := cfg.Limits
	p := &peer{
		node: m.Node, key: ed25519.PublicKey(m.Key), addr: m.Addr,
		receiving: make(chan struct{}, 1),
		outbox:    newOutbox(cfg.Outbox, l.HoldMax, dropped),
		share:     newShare(l.UndeliveredMessages, l.UndeliveredBytes),
		messages:  rate.NewLimiter(rate.Limit(l.MessagesPerSecond), l.MessagesPerSecond),
		// One message must fit what can be saved up.
		bytes: rate.NewLimiter(rate.Limit(l.BytesPerSecond), max(l.BytesPerSecond, l.MessageBytesMax+mir.FrameHeaderBytes)),
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	return p
}

// leave ends both links. It does not wait for their goroutines.
func (p *peer) leave() {
	p.cancel()
	p.outbox.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inbound != nil {
		p.inbound.hangUp()
	}
}

// move makes the peer be reached at another address, at once.
func (p *peer) move(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addr == addr {
		return
	}
	p.addr = addr
	if p.endSession != nil {
		p.endSession()
	}
}

// beginSession returns where to connect to. The session ends with ctx.
func (p *peer) beginSession() (ctx context.Context, cancel context.CancelFunc, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel = context.WithCancel(p.ctx)
	p.endSession = cancel
	return ctx, cancel, p.addr
}

// connected says that the session has a stream.
func (p *peer) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions > 0 {
		p.counted.Reconnects++
	}
	p.sessions++
	p.counted.LastFailure = ""
	p.outbox.connect()
}

// adopt makes conn the one connection that the peer sends on: an older one is
// closed.
func (p *peer) adopt(conn *inbound, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ctx.Err() != nil:
		return errStranger
	case now.Before(p.refusedUntil):
		return errPunished
	}
	if p.inbound != nil {
		p.inbound.hangUp()
	}
	p.inbound = conn
	return nil
}

// beginReceiving waits for the receiver of the connection before, which ends when
// the node's input has its last message. Otherwise a peer that reconnects while the
// node is busy would leave what each of its connections had on its way in memory.
// It reports false when ctx ended.
func (p *peer) beginReceiving(ctx context.Context) bool {
	select {
	case p.receiving <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *peer) endReceiving() { <-p.receiving }

// abandon forgets conn, which is closed.
func (p *peer) abandon(conn *inbound) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inbound == conn {
		p.inbound = nil
	}
}

// punish refuses the peer for a while, twice as long each time.
func (p *peer) punish(now time.Time, l Limits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusedUntil = now.Add(doubled(l.PenaltyMin, l.PenaltyMax, p.counted.Penalties))
	p.counted.Penalties++
}

func (p *peer) count(update func(*PeerStats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	update(&p.counted)
}

func (p *peer) stats() PeerStats {
	p.mu.Lock()
	s := p.counted
	s.Node, s.Receiving = p.node, p.inbound != nil
	p.mu.Unlock()
	p.outbox.stats(&s)
	return s
}

// doubled is first, doubled times times, and at most limit.
func doubled(first, limit time.Duration, times uint64) time.Duration {
	for range min(times, 63) {
		if first >= limit/2 {
			return limit
		}
		first *= 2
	}
	return min(first, limit)
}

// share is one peer's part of the node's input: what was injected and is not
// applied yet.
type share struct {
	messagesMax, bytesMax int

	mu              sync.Mutex
	messages, bytes int
	freed           chan struct{} // Closed when there is room again; nil when nobody waits.
}

func newShare(messagesMax, bytesMax int) *share {
	return &share{messagesMax: messagesMax, bytesMax: bytesMax}
}

// take waits until the share is not used up, and adds one message.
func (s *share) take(ctx context.Context, bytes int) error {
	for {
		freed := s.tryTake(bytes)
		if freed == nil {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *share) tryTake(bytes int) (wait <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.messages < s.messagesMax && s.bytes < s.bytesMax {
		s.messages++
		s.bytes += bytes
		return nil
	}
	if s.freed == nil {
		s.freed = make(chan struct{})
	}
	return s.freed
}

// free gives back what the node has applied.
func (s *share) free(messages, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages -= messages
	s.bytes -= bytes
	if s.messages < 0 || s.bytes < 0 {
		panic(fmt.Sprintf("trantor/net: invariant broken: a share of %d messages and %d bytes", s.messages, s.bytes))
	}
	if s.freed != nil {
		close(s.freed)
		s.freed = nil
	}
}
