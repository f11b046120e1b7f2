package mir

import (
	"fmt"
	"sync"
	"time"
)

// OutboxBounds bound the encoded traffic from one node to one peer, in bytes.
// Above PauseBytes the sender takes no client input until ResumeBytes is
// reached; MaxBytes is never exceeded: what would pass it is dropped.
type OutboxBounds struct {
	PauseBytes  int
	ResumeBytes int
	MaxBytes    int
}

// DefaultOutboxBounds leave MaxBytes - PauseBytes = 192 MiB for what a protocol
// still sends to one peer while client input is held: with the windows of
// Trantor that is a few hundred batches of 0.5 MiB. The frames of one broadcast
// share their bytes.
var DefaultOutboxBounds = OutboxBounds{
	PauseBytes:  64 << 20,
	ResumeBytes: 16 << 20,
	MaxBytes:    256 << 20,
}

func (b OutboxBounds) check() error {
	if b.ResumeBytes < 0 || b.PauseBytes < b.ResumeBytes || b.MaxBytes <= b.PauseBytes {
		return fmt.Errorf("outbox bounds %+v: want 0 <= resume <= pause < max", b)
	}
	return nil
}

// DefaultHoldMax is how long one peer can hold the clients of another. A peer
// that reads empties 48 MiB, the way from PauseBytes to ResumeBytes, in well
// under a second.
const DefaultHoldMax = 10 * time.Second

// frame is one message on its way to one peer.
type frame struct {
	dest ModuleID
	sub  SubID
	wire []byte // Shared with other peers' frames: read-only.
}

func (f frame) wireBytes() int { return FrameHeaderBytes + len(f.wire) }

// outbox is the bounded queue from one node to one peer. The sender's loop puts,
// without waiting; the receiver's link goroutine takes.
type outbox struct {
	bounds  OutboxBounds
	holdMax time.Duration

	mu     sync.Mutex
	ready  sync.Cond // Something to take, or closed.
	frames ring[frame]
	bytes  int         // Of frames, and of those taken until settled. Invariant: <= MaxBytes.
	sender Injector    // The sending node; nil before its first start.
	held   bool        // This outbox holds the sender's clients. Invariant: not while stalled.
	limit  *time.Timer // Ends the hold; nil before the first.
	since  uint64      // Counts holds, so that a late limit does not end the next one.
	// stalled says that a hold lasted holdMax. The peer holds nobody until it
	// has read down to ResumeBytes.
	stalled bool
	closed  bool // The receiver has stopped: what is sent is lost.
}

func newOutbox(bounds OutboxBounds, holdMax time.Duration) *outbox {
	o := &outbox{bounds: bounds, holdMax: holdMax}
	o.ready.L = &o.mu
	return o
}

// putResult is what became of a frame.
type putResult int

const (
	putKept    putResult = iota
	putLost              // The receiver has stopped.
	putDropped           // There is no room.
)

// put appends f.
func (o *outbox) put(f frame) putResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return putLost
	}
	if o.bytes+f.wireBytes() > o.bounds.MaxBytes {
		return putDropped
	}
	o.frames.push(f)
	o.bytes += f.wireBytes()
	if !o.held && !o.stalled && o.bytes > o.bounds.PauseBytes {
		o.hold()
	}
	o.ready.Signal()
	return putKept
}

// hold keeps the sender's clients out until the peer has read, or until holdMax
// has passed.
func (o *outbox) hold() {
	o.held = true
	o.sender.HoldClients()
	o.since++
	since := o.since
	o.limit = time.AfterFunc(o.holdMax, func() { o.giveUp(since) })
}

// giveUp ends a hold that has lasted too long.
func (o *outbox) giveUp(since uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held && o.since == since {
		o.stalled = true
		o.unhold()
	}
}

func (o *outbox) unhold() {
	o.held = false
	o.limit.Stop()
	o.sender.ReleaseClients()
}

// take waits for frames and appends at most most of them to buf. It reports
// false when the outbox was closed. The bytes count until settle.
func (o *outbox) take(buf []frame, most int) ([]frame, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.frames.len() == 0 && !o.closed {
		o.ready.Wait()
	}
	if o.closed {
		return nil, false
	}
	for range min(most, o.frames.len()) {
		buf = append(buf, o.frames.pop())
	}
	return buf, true
}

// settle says that frames of that many bytes have reached the receiver's input.
func (o *outbox) settle(bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return // close has settled everything.
	}
	o.bytes -= bytes
	o.resume()
}

// attach names the node that sends from now on.
func (o *outbox) attach(sender Injector) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sender = sender
	if o.held {
		o.limit.Stop()
		o.hold()
	}
}

// open lets the receiver take again after a close.
func (o *outbox) open() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = false
}

// close loses what is queued and everything sent until open. It returns how
// many queued frames were lost.
func (o *outbox) close() (lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	lost = o.frames.len()
	o.closed = true
	o.frames = ring[frame]{}
	o.bytes = 0
	o.resume()
	o.ready.Broadcast()
	return lost
}

// resume ends what the outbox did to its sender once the peer has read enough.
func (o *outbox) resume() {
	if o.bytes > o.bounds.ResumeBytes {
		return
	}
	o.stalled = false
	if o.held {
		o.unhold()
	}
}
