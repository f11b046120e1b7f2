package client

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/types"
)

// redial is how often a replica that does not answer is tried again.
var redial = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

// link is the connection to one replica. What can be queued is bounded by the
// transactions in flight, each of which is in a queue once.
type link struct {
	client *Client
	index  int
	member Member
	conn   *grpc.ClientConn
	wake   chan struct{} // Capacity 1: something is queued.

	// The client's lock guards these.
	connected bool
	slow      bool // It let a transaction wait for RetryAfter, and has told of no delivery since.
	queue     []*request
}

// enqueue asks the replica once more, or for the first time. Without a
// connection it only remembers to.
func (l *link) enqueue(r *request) {
	a := &r.asks[l.index]
	a.asked = true
	if a.queued || !l.connected {
		return
	}
	a.queued = true
	l.queue = append(l.queue, r)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run holds a stream to the replica open until ctx ends.
func (l *link) run(ctx context.Context) {
	pause := redial.BaseDelay
	for ctx.Err() == nil {
		began := time.Now()
		streamCtx, cancel := context.WithCancel(ctx)
		stream, err := l.conn.NewStream(streamCtx, &wire.Stream, wire.Method)
		if err == nil {
			l.serve(stream, cancel)
		}
		cancel()
		// A replica that takes connections and ends them at once is full.
		if time.Since(began) > redial.MaxDelay {
			pause = redial.BaseDelay
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, redial.MaxDelay)
	}
}

// serve sends and receives until the stream breaks.
func (l *link) serve(stream grpc.ClientStream, cancel context.CancelFunc) {
	received := make(chan struct{})
	l.becomeConnected()
	go func() {
		defer close(received)
		defer cancel()
		l.receive(stream)
	}()
	l.send(stream)
	cancel()
	<-received
	l.becomeDisconnected()
}

// becomeConnected asks again, in the old order, what this replica was asked and
// did not answer, and what too few were asked.
func (l *link) becomeConnected() {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	l.connected = true
	close(c.connected)
	c.connected = make(chan struct{})
	for e := c.order.Front(); e != nil; e = e.Next() {
		r := e.Value.(*request)
		if a := r.asks[l.index]; a.asked && !a.told {
			l.enqueue(r)
		}
		c.ask(r)
	}
}

// becomeDisconnected asks others for what this replica may have lost.
func (l *link) becomeDisconnected() {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	l.connected = false
	c.stats.Reconnects++
	for _, r := range l.queue {
		r.asks[l.index].queued = false
	}
	l.queue = nil
	for e := c.order.Front(); e != nil; e = e.Next() {
		c.ask(e.Value.(*request))
	}
}

// send sends what is queued until the stream ends.
func (l *link) send(stream grpc.ClientStream) {
	for {
		select {
		case <-l.wake:
		case <-stream.Context().Done():
			return
		}
		for more := true; more; {
			var messages [][]byte
			messages, more = l.take()
			for _, message := range messages {
				if stream.SendMsg(&message) != nil {
					return
				}
			}
		}
	}
}

// take encodes the front of the queue: at most one message of submissions and
// one of watches. It reports whether something is left.
func (l *link) take() (messages [][]byte, more bool) {
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	var txs []types.Tx
	var ids []types.TxID
	bytes, taken := types.BatchHeaderBytes, 0
	for _, r := range l.queue {
		size := types.EncodedTxBytes(r.tx)
		if taken == messageTxsMax || taken > 0 && bytes+size > messageBytes {
			break
		}
		taken++
		a := &r.asks[l.index]
		a.queued = false
		if l.client.pending[r.tx.TxID] != r {
			continue
		}
		if a.submitted {
			bytes += size
			txs = append(txs, r.tx)
		} else {
			ids = append(ids, r.tx.TxID)
		}
	}
	clear(l.queue[:taken])
	l.queue = l.queue[taken:]
	if len(l.queue) == 0 {
		l.queue = nil
	}
	return encode(txs, ids), l.queue != nil
}

func encode(txs []types.Tx, ids []types.TxID) (messages [][]byte) {
	if len(txs) > 0 {
		messages = append(messages, wire.AppendSubmit(nil, txs))
	}
	if len(ids) > 0 {
		messages = append(messages, wire.AppendWatch(nil, ids))
	}
	return messages
}

// receive takes answers until the stream ends. A replica that answers nonsense
// is cut off, and tried again like one that is down.
func (l *link) receive(stream grpc.ClientStream) {
	for {
		var message []byte
		if stream.RecvMsg(&message) != nil {
			return
		}
		answers, err := wire.DecodeAnswers(message)
		if err != nil {
			l.client.mu.Lock()
			l.client.stats.Conflicts++
			l.client.mu.Unlock()
			return
		}
		l.onAnswers(answers)
	}
}

func (l *link) onAnswers(answers []wire.Answer) {
	var finished []func()
	l.client.mu.Lock()
	for _, a := range answers {
		if do := l.client.onAnswer(l, a); do != nil {
			finished = append(finished, do)
		}
	}
	l.client.mu.Unlock()
	for _, do := range finished {
		do()
	}
}
