package server

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/types"
)

// desk serves clients: it hands their transactions to the mempool and tells them
// what becomes of those. It has a session for each stream of a client, and is
// told by the replica's results module (see results).
//
// Memory: sessions times inFlight transactions of at most what a request may
// have, answers of at most answerBytes for each session, the results that recent
// keeps, and a window of past for each of Params.ClientsMax.
type desk struct {
	limits  Limits
	mempool mir.ModuleID
	window  int // Params.ClientWindow.
	inject  func(context.Context, ...mir.Event) error

	workers sync.WaitGroup // Those of all streams.

	mu       sync.Mutex
	sessions map[*session]struct{}
	waiting  map[types.TxID][]*session // Who shall hear of the delivery.
	// asked says who submitted and has no answer of the mempool, oldest first.
	// The mempool answers each submission once, in order.
	asked  map[types.TxID][]*session
	recent *recent
	// past says what was delivered, also before recent and before this process.
	past     map[types.ClientID]*types.Window
	stopping bool
	idle     chan struct{}        // Closed when stopping and nobody waits.
	counts   map[wire.Code]uint64 // Answers by code.
	turned   uint64               // Streams that were refused.
}

func newDesk(limits Limits, mempool mir.ModuleID, window int, inject func(context.Context, ...mir.Event) error) *desk {
	return &desk{
		limits: limits, mempool: mempool, window: window, inject: inject,
		sessions: map[*session]struct{}{}, waiting: map[types.TxID][]*session{}, asked: map[types.TxID][]*session{},
		recent: newRecent(limits.RecentResults, limits.RecentBytes), past: map[types.ClientID]*types.Window{},
		idle: make(chan struct{}), counts: map[wire.Code]uint64{},
	}
}

// serve is the stream of one client.
func (d *desk) serve(stream grpc.ServerStream) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	s, err := d.open(cancel)
	if err != nil {
		return err
	}
	// Both may wait for the client: they go on when this function returns,
	// which ends the stream.
	d.workers.Go(func() { cancel(d.receive(ctx, s, stream)) })
	d.workers.Go(func() { cancel(s.send(ctx, stream)) })
	<-ctx.Done()
	d.close(s)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (d *desk) open(cut context.CancelCauseFunc) (*session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.stopping:
		d.turned++
		return nil, status.Error(codes.Unavailable, wire.ErrStopping.Error())
	case len(d.sessions) >= d.limits.Clients:
		d.turned++
		return nil, status.Errorf(codes.ResourceExhausted, "%d clients are connected", d.limits.Clients)
	}
	s := &session{desk: d, cut: cut, waits: map[types.TxID]struct{}{}, wake: make(chan struct{}, 1)}
	s.room.L = &d.mu
	d.sessions[s] = struct{}{}
	return s, nil
}

// close forgets a session; what it submitted goes its way.
func (d *desk) close(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.closed = true
	delete(d.sessions, s)
	for id := range s.waits {
		d.forget(s, id)
	}
	d.checkIdle()
}

// receive takes the requests of a client until it ends.
func (d *desk) receive(ctx context.Context, s *session, stream grpc.ServerStream) error {
	// A session that waits for room must notice the end of its stream.
	defer context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		s.room.Broadcast()
	})()
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return nil // The client has gone, or sent more than it may.
		}
		request, err := wire.DecodeRequest(message)
		if err == nil && request.Len() > d.limits.InFlight {
			err = errTooMany
		}
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		submissions, err := d.take(ctx, s, request)
		if err != nil {
			return nil
		}
		if err := d.submit(ctx, s, submissions); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
	}
}

// submit hands transactions to the mempool, all at once: a client that goes in
// between takes none of them back. Where it fails, some of them may have been taken
// all the same; then the mempool's answer, which nobody waits for any more, may go
// to a later submitter of the same transaction, for whom it is as good.
func (d *desk) submit(ctx context.Context, s *session, txs []types.Tx) error {
	events := make([]mir.Event, len(txs))
	for i, tx := range txs {
		events[i] = mir.Event{To: d.mempool, Body: types.Submit{Tx: tx}}.Sized(types.EncodedTxBytes(tx))
	}
	err := d.inject(ctx, events...)
	if err != nil {
		d.withdraw(s, txs)
	}
	return err
}

// withdraw forgets who submitted what may never have reached the mempool.
func (d *desk) withdraw(s *session, txs []types.Tx) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tx := range txs {
		d.asked[tx.TxID] = without(d.asked[tx.TxID], s)
		if len(d.asked[tx.TxID]) == 0 {
			delete(d.asked, tx.TxID)
		}
	}
}

var errTooMany = errors.New("more transactions in a request than may be in flight")

// take registers what a client wants to hear of, once there is room for it, and
// returns what the mempool must be given.
func (d *desk) take(ctx context.Context, s *session, request wire.Request) ([]types.Tx, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s.inFlight+request.Len() > d.limits.InFlight && ctx.Err() == nil {
		s.room.Wait()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var submissions []types.Tx
	for _, tx := range request.Submit {
		if d.register(s, tx.TxID, true) {
			d.asked[tx.TxID] = append(d.asked[tx.TxID], s)
			submissions = append(submissions, tx)
		}
	}
	for _, id := range request.Watch {
		d.register(s, id, false)
	}
	return submissions, nil
}

// register makes a session wait for a delivery, unless there is an answer
// already. It reports whether a submission may go on.
func (d *desk) register(s *session, id types.TxID, submission bool) bool {
	if done, ok := d.answerOf(id); ok {
		s.inFlight++
		s.finish(done)
		return false
	}
	if d.stopping && submission {
		s.inFlight++
		s.finish(wire.Answer{ID: id, Code: wire.Stopping})
		return false
	}
	if _, ok := s.waits[id]; !ok {
		s.inFlight++
		s.waits[id] = struct{}{}
		d.waiting[id] = append(d.waiting[id], s)
	}
	return true
}

// answerOf is the answer to a transaction that was delivered.
func (d *desk) answerOf(id types.TxID) (answer wire.Answer, delivered bool) {
	if done, ok := d.recent.get(id); ok {
		return done, true
	}
	w := d.past[id.Client]
	return wire.Answer{ID: id, Code: wire.Forgotten}, w != nil && w.Has(uint64(id.No))
}

// forget makes a session wait no more.
func (d *desk) forget(s *session, id types.TxID) {
	delete(s.waits, id)
	d.waiting[id] = without(d.waiting[id], s)
	if len(d.waiting[id]) == 0 {
		delete(d.waiting, id)
	}
}

func without(list []*session, s *session) []*session {
	for i, have := range list {
		if have == s {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}

// onResult is what the mempool said to the oldest submission of a transaction.
func (d *desk) onResult(e types.SubmitResult) {
	d.mu.Lock()
	defer d.mu.Unlock()
	askers := d.asked[e.ID]
	if len(askers) == 0 {
		return
	}
	s := askers[0]
	if len(askers) > 1 {
		d.asked[e.ID] = askers[1:]
	} else {
		delete(d.asked, e.ID)
	}
	if _, ok := s.waits[e.ID]; !ok {
		return // It is answered, or has gone.
	}
	code := wire.CodeOf(e.Err)
	if code == wire.Accepted {
		d.counts[code]++
		s.queue(wire.Answer{ID: e.ID, Code: code})
		return
	}
	d.forget(s, e.ID)
	s.finish(wire.Answer{ID: e.ID, Code: code})
	d.checkIdle()
}

// onDelivered tells whoever waits.
func (d *desk) onDelivered(e types.Delivered) {
	answer := wire.Answer{ID: e.Tx.TxID, Code: wire.Delivered, Seq: e.Seq, Tag: wire.TagOf(e.Tx.Payload), Result: e.Result}
	if len(e.Result) > wire.ResultBytesMax {
		// It cannot be carried to a client.
		answer = wire.Answer{ID: e.Tx.TxID, Code: wire.Forgotten}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recent.add(answer)
	w := d.past[e.Tx.Client]
	if w == nil {
		w = types.NewWindow(d.window)
		d.past[e.Tx.Client] = w
	}
	w.Add(uint64(e.Tx.No))
	d.answerAll(answer)
}

// onRestored: the state leapt over deliveries, whose results nobody here knows.
func (d *desk) onRestored(e types.Restored) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.past)
	for client, w := range e.Clients {
		d.past[client] = w.Clone()
	}
	for id := range d.waiting {
		if w := e.Clients[id.Client]; w != nil && w.Has(uint64(id.No)) {
			d.answerAll(wire.Answer{ID: id, Code: wire.Forgotten})
		}
	}
}

func (d *desk) answerAll(answer wire.Answer) {
	sessions := d.waiting[answer.ID]
	if len(sessions) == 0 {
		return
	}
	delete(d.waiting, answer.ID)
	for _, s := range sessions {
		delete(s.waits, answer.ID)
		s.finish(answer)
	}
	d.checkIdle()
}

// drain refuses new submissions, and waits until all others are answered or ctx
// ends.
func (d *desk) drain(ctx context.Context) {
	d.mu.Lock()
	d.stopping = true
	d.checkIdle()
	d.mu.Unlock()
	select {
	case <-d.idle:
	case <-ctx.Done():
	}
}

// checkIdle: an answer counts as given when it is sent.
func (d *desk) checkIdle() {
	if !d.stopping {
		return
	}
	for s := range d.sessions {
		if s.inFlight > 0 {
			return
		}
	}
	select {
	case <-d.idle:
	default:
		close(d.idle)
	}
}
