package eventlog

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// BuffersMax bounds the batches that a Recorder holds: one that is being filled,
// and those that wait for the writer.
const BuffersMax = 8

// ErrClosed is what closing a Recorder again returns.
var ErrClosed = errors.New("eventlog: recorder is closed")

// Config describes a Recorder.
type Config struct {
	Out    io.Writer
	Header Header
	// Codec makes bodies decodable. It is called on the nodes' goroutines, and
	// asked about the bodies of all events: for those that it does not know it
	// returns an error.
	Codec mir.Codec
	// Clock tells the time since whatever the recording's zero is. In a
	// simulation it is Sim.Now. It must not call into the Recorder.
	Clock func() time.Duration
	// Wait makes a node wait for the writer, where it otherwise drops events.
	// That is right in virtual time, where nobody notices, and only there.
	Wait bool
}

// Recorder writes what nodes apply to one recording. Its nodes may run on
// goroutines of their own; they then take turns while an event is encoded, so
// use a Recorder for each node where that matters.
type Recorder struct {
	clock func() time.Duration
	wait  bool
	out   io.Writer

	mu      sync.Mutex
	bodies  describer
	batch   *batch // Being filled; nil while there is no buffer.
	events  uint64
	dropped uint64 // In all.
	missing uint64 // Of dropped, those that no batch has told of yet.
	closed  bool

	full   chan *batch // To the writer. Closed by Close.
	free   chan *batch // From it.
	done   chan struct{}
	failed error // The writer's; readable once done is closed.
}

// NewRecorder writes the header and starts the writer.
func NewRecorder(cfg Config) (*Recorder, error) {
	if cfg.Out == nil || cfg.Codec == nil || cfg.Clock == nil {
		return nil, errors.New("eventlog: a recorder needs an output, a codec and a clock")
	}
	start, err := encodeHeader(cfg.Header)
	if err == nil {
		_, err = cfg.Out.Write(start)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the header of a recording: %w", err)
	}
	r := &Recorder{
		bodies: describer{codec: cfg.Codec}, clock: cfg.Clock, wait: cfg.Wait, out: cfg.Out,
		full: make(chan *batch, BuffersMax), free: make(chan *batch, BuffersMax), done: make(chan struct{}),
	}
	for range BuffersMax {
		r.free <- newBatch()
	}
	go r.write()
	return r, nil
}

// Node is the interceptor that records a node. After Close it does nothing.
func (r *Recorder) Node(id mir.NodeID) mir.Interceptor { return nodeRecorder{r, id} }

// Counts tells how many events were recorded and how many were dropped.
func (r *Recorder) Counts() (recorded, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events, r.dropped
}

// Close writes what is left and ends the writer. The error is the first that
// writing gave: the recording then ends early. Out stays open.
func (r *Recorder) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ErrClosed
	}
	r.closed = true
	last, missing := r.batch, r.missing
	r.mu.Unlock()
	if last == nil && missing > 0 {
		last = <-r.free // The writer is at work and frees one.
		last.begin(missing)
	}
	if last != nil {
		r.full <- last
	}
	close(r.full)
	<-r.done
	return r.failed
}

// write is the goroutine of the writer. After an error it goes on to free
// buffers, so that nobody waits for it.
func (r *Recorder) write() {
	defer close(r.done)
	for b := range r.full {
		if r.failed == nil {
			if _, err := r.out.Write(b.bytes()); err != nil {
				r.failed = fmt.Errorf("writing a recording: %w", err)
			}
		}
		r.free <- b
	}
}

type nodeRecorder struct {
	r  *Recorder
	id mir.NodeID
}

// Intercept implements mir.Interceptor.
func (n nodeRecorder) Intercept(ev mir.Event, input bool) { n.r.record(n.id, ev, input) }

func (r *Recorder) record(node mir.NodeID, ev mir.Event, input bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if r.batch == nil && !r.takeBuffer() {
		r.dropped++
		r.missing++
		return
	}
	rec := r.bodies.describe(ev)
	rec.At, rec.Node, rec.Input = r.clock(), node, input
	r.batch.add(rec)
	r.events++
	if r.batch.full() {
		r.full <- r.batch // Never blocks: the channel has room for every buffer.
		r.batch = nil
	}
}

// takeBuffer begins a batch, if there is a buffer or if waiting for one is
// right.
func (r *Recorder) takeBuffer() bool {
	select {
	case r.batch = <-r.free:
	default:
		if !r.wait {
			return false
		}
		r.batch = <-r.free
	}
	r.batch.begin(r.missing)
	r.missing = 0
	return true
}
