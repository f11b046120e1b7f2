package net

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfgate/perfgate/mir"
)

const (
	// voteBytesMax is the largest message of the vote lane. Votes,
	// acknowledgements and requests are a few hundred bytes; a certificate of
	// 16 replicas is half a KiB.
	voteBytesMax = 4 << 10

	// votesInRowMax is how many votes overtake a waiting payload before it has
	// its turn, so that an endless stream of votes starves no payload.
	votesInRowMax = 64

	// frameOverheadBytes is what a queued frame costs beside its bytes, so that
	// a flood of tiny messages to a dead peer is bounded too.
	frameOverheadBytes = 64
)

func (f frame) cost() int { return f.wireBytes() + frameOverheadBytes }

// outbox is the bounded queue to one peer. The node's loop puts, without
// waiting; the peer's sender takes. Small frames overtake large ones; frames of
// one size class stay in order.
type outbox struct {
	bounds  mir.OutboxBounds
	holdMax time.Duration
	total   *atomic.Uint64 // Counts what all outboxes of the node dropped.
	wake    chan struct{}  // Capacity 1: tells the sender to look again.

	mu              sync.Mutex
	votes, payloads []frame
	votesInRow      int          // Taken since the last payload.
	bytes           int          // Cost of what is queued, and of what is taken until settled. Invariant: <= MaxBytes.
	in              mir.Injector // Nil before the start.
	connected       bool
	closed          bool
	held            bool // This outbox holds the clients. Invariant: then it is connected.
	tooSlow         bool // A hold ran out of time; no other one before ResumeBytes.
	holds           uint64
	holdEnds        *time.Timer // Of the last hold.
	dropped         uint64
}

func newOutbox(bounds mir.OutboxBounds, holdMax time.Duration, total *atomic.Uint64) *outbox {
	return &outbox{bounds: bounds, holdMax: holdMax, total: total, wake: make(chan struct{}, 1)}
}

// start names the node whose clients are held.
func (o *outbox) start(in mir.Injector) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in = in
}

// put appends f, or drops it where the bound is reached. To a peer that is not
// connected the bound is PauseBytes: it is enough for a short interruption, and
// what a peer missed in a longer one it must ask for anyway.
func (o *outbox) put(f frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	most := o.bounds.MaxBytes
	if !o.connected {
		most = o.bounds.PauseBytes
	}
	if o.closed || o.bytes+f.cost() > most {
		o.drop(1)
		return
	}
	if len(f.wire) <= voteBytesMax {
		o.votes = append(o.votes, f)
	} else {
		o.payloads = append(o.payloads, f)
	}
	o.bytes += f.cost()
	if o.bytes > o.bounds.PauseBytes {
		o.hold()
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take waits for a frame. Its bytes count until settle. It reports false when
// ctx ended.
func (o *outbox) take(ctx context.Context) (frame, bool) {
	for {
		if ctx.Err() != nil {
			return frame{}, false
		}
		if f, ok := o.pop(); ok {
			return f, true
		}
		select {
		case <-o.wake:
		case <-ctx.Done():
		}
	}
}

func (o *outbox) pop() (f frame, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.votes) > 0 && (len(o.payloads) == 0 || o.votesInRow < votesInRowMax):
		o.votesInRow++
		return popFront(&o.votes), true
	case len(o.payloads) > 0:
		o.votesInRow = 0
		return popFront(&o.payloads), true
	default:
		return frame{}, false
	}
}

// settle says that a frame was handed to the connection, or lost with it.
func (o *outbox) settle(f frame, sent bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !sent {
		o.drop(1)
	}
	if o.closed {
		return // close has settled everything.
	}
	o.bytes -= f.cost()
	if o.bytes <= o.bounds.ResumeBytes {
		o.tooSlow = false
		o.release()
	}
}

// connect and disconnect say whether somebody takes. A peer that is not
// connected holds nobody, and loses the newest of what is above PauseBytes.
func (o *outbox) connect() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.connected = true
}

func (o *outbox) disconnect() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.connected = false
	o.release()
	for _, lane := range []*[]frame{&o.payloads, &o.votes} {
		for len(*lane) > 0 && o.bytes > o.bounds.PauseBytes {
			o.bytes -= popBack(lane).cost()
			o.drop(1)
		}
	}
}

// close drops what is queued and everything put from now on.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.drop(len(o.votes) + len(o.payloads))
	o.votes, o.payloads, o.bytes = nil, nil, 0
	o.release()
}

func (o *outbox) drop(frames int) {
	o.dropped += uint64(frames)
	o.total.Add(uint64(frames))
}

func (o *outbox) hold() {
	if o.held || o.tooSlow || !o.connected {
		return
	}
	o.held = true
	o.in.HoldClients()
	o.holds++
	hold := o.holds
	o.holdEnds = time.AfterFunc(o.holdMax, func() { o.expire(hold) })
}

func (o *outbox) release() {
	if !o.held {
		return
	}
	o.held = false
	o.in.ReleaseClients()
	o.holdEnds.Stop()
}

// expire ends that hold, if it is still in force.
func (o *outbox) expire(hold uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held && o.holds == hold {
		o.tooSlow = true
		o.release()
	}
}

// stats fills in what s says about the outbox.
func (o *outbox) stats(s *PeerStats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.Connected, s.Holding, s.Holds = o.connected, o.held, o.holds
	s.OutboxBytes, s.Dropped = o.bytes, o.dropped
}

// popFront and popBack remove the first and the last of a list that is not empty,
// and the list's reference to it.
func popFront(list *[]frame) frame {
	f := (*list)[0]
	(*list)[0] = frame{}
	*list = (*list)[1:]
	return f
}

func popBack(list *[]frame) frame {
	last := len(*list) - 1
	f := (*list)[last]
	(*list)[last] = frame{}
	*list = (*list)[:last]
	return f
}
