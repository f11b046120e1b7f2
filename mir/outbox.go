package mir

import (
	"errors"
	"fmt"
	"sync"
)

// ErrOutboxFull reports that the traffic to one peer passed the hard bound
// OutboxBounds.MaxBytes.
var ErrOutboxFull = errors.New("outbox is full")

// OutboxBounds bound the encoded traffic from one node to one peer, in bytes.
// Above PauseBytes the sender takes no client input until ResumeBytes is
// reached; MaxBytes is never exceeded.
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
	bounds OutboxBounds

	mu     sync.Mutex
	ready  sync.Cond // Something to take, or closed.
	frames ring[frame]
	bytes  int      // Of frames, and of those taken until settled. Invariant: <= MaxBytes.
	sender Injector // The sending node; nil before its first start.
	held   bool     // This outbox holds the sender's clients.
	closed bool     // The receiver has stopped: what is sent is lost.
}

func newOutbox(bounds OutboxBounds) *outbox {
	o := &outbox{bounds: bounds}
	o.ready.L = &o.mu
	return o
}

// put appends f and reports false when it is lost, because the receiver has
// stopped.
func (o *outbox) put(f frame) (kept bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false, nil
	}
	if o.bytes+f.wireBytes() > o.bounds.MaxBytes {
		return false, fmt.Errorf("%d bytes are queued and %d come, of at most %d: %w",
			o.bytes, f.wireBytes(), o.bounds.MaxBytes, ErrOutboxFull)
	}
	o.frames.push(f)
	o.bytes += f.wireBytes()
	if !o.held && o.bytes > o.bounds.PauseBytes {
		o.held = true
		o.sender.HoldClients()
	}
	o.ready.Signal()
	return true, nil
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
	o.releaseBelow(o.bounds.ResumeBytes)
}

// attach names the node that sends from now on.
func (o *outbox) attach(sender Injector) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sender = sender
	if o.held {
		sender.HoldClients()
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
	o.releaseBelow(0)
	o.ready.Broadcast()
	return lost
}

func (o *outbox) releaseBelow(bytes int) {
	if o.held && o.bytes <= bytes {
		o.held = false
		o.sender.ReleaseClients()
	}
}
