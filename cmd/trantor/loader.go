package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perfgate/perfgate/benchsuite/workload"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/client"
	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	// refusedPause is how long a refused transaction waits for its next try.
	refusedPause = 10 * time.Millisecond
	// sampleMax is how many transactions are submitted again in the end.
	sampleMax = 256
)

// loader submits transactions and checks what comes back.
//
// A lane is a place for one transaction in flight with a key of its own. It
// writes and reads the key in turn, and since nobody else writes it, what is
// read must be what was written last.
type loader struct {
	cfg    loadConfig
	client *client.Client
	source *workload.Source
	lanes  chan *lane

	mu         sync.Mutex
	latency    workload.Histogram
	took       time.Duration
	submitted  uint64
	delivered  uint64
	refused    uint64
	lost       uint64
	wrong      uint64
	firstWrong error
	sample     []answered
	repeated   int
	confirmed  int
}

// lane is one place in flight.
type lane struct {
	key   []byte
	value []byte // What was written last; nil before.
	read  bool   // The transaction in flight reads.
}

// answered is a transaction with its answer.
type answered struct {
	tx     types.Tx
	result client.Result
}

func newLoader(cfg loadConfig, c *client.Client) *loader {
	l := &loader{
		cfg: cfg, client: c, source: workload.NewSource(cfg.first, cfg.clients, cfg.size), lanes: make(chan *lane, cfg.lanes),
	}
	for i := range cfg.lanes {
		l.lanes <- &lane{key: fmt.Appendf(nil, "load/%d/%d", cfg.first, i)}
	}
	return l
}

// run submits for the duration and waits for all answers.
func (l *loader) run(ctx context.Context) {
	began := time.Now()
	for i := uint64(0); ; i++ {
		due := time.Now()
		if l.cfg.rate > 0 {
			due = began.Add(time.Duration(float64(i) / float64(l.cfg.rate) * float64(time.Second)))
		}
		if due.Sub(began) >= l.cfg.duration || !sleepUntil(ctx, due) {
			break
		}
		var to *lane
		select {
		case to = <-l.lanes:
		case <-ctx.Done():
		}
		if to == nil {
			break
		}
		if l.cfg.rate == 0 {
			due = time.Now()
		}
		l.submitted++
		tx := l.tx(i, to)
		l.submit(tx, to, due)
	}
	// All lanes are back when all transactions are answered or lost.
	for range l.cfg.lanes {
		<-l.lanes
	}
	l.took = time.Since(began)
}

// sleepUntil reports false where ctx ended first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

// tx is transaction number i, on a lane.
func (l *loader) tx(i uint64, to *lane) types.Tx {
	tx := l.source.Tx(i)
	tx.Client += types.ClientID(l.cfg.first)
	if l.cfg.members.Application != "kv" {
		return tx
	}
	to.read = to.value != nil && !to.read
	if to.read {
		tx.Payload = app.Command{Op: app.Get, Key: to.key}.Encode()
		return tx
	}
	// The number makes every value another one.
	to.value = append(binary.BigEndian.AppendUint64(nil, i), tx.Payload...)
	tx.Payload = app.Command{Op: app.Put, Key: to.key, Value: to.value}.Encode()
	return tx
}

// submit submits until there is an answer or the time is over. Where a
// transaction is refused it is tried again, because later numbers of its client
// wait for it.
func (l *loader) submit(tx types.Tx, to *lane, due time.Time) {
	l.try(tx, to, due, time.Now().Add(l.cfg.timeout))
}

func (l *loader) try(tx types.Tx, to *lane, due, deadline time.Time) {
	late := time.AfterFunc(time.Until(deadline), func() {
		// What is not in flight any more has its answer on the way.
		if l.client.Forget(tx.TxID) {
			l.finish(to, func() { l.lose(fmt.Errorf("%+v: no answer within %v", tx.TxID, l.cfg.timeout)) })
		}
	})
	err := l.client.Go(context.Background(), tx, func(r client.Result, err error) {
		late.Stop()
		if retryable(err) && time.Now().Before(deadline) {
			l.mu.Lock()
			l.refused++
			l.mu.Unlock()
			time.AfterFunc(refusedPause, func() { l.try(tx, to, due, deadline) })
			return
		}
		l.finish(to, func() { l.check(tx, to, due, r, err) })
	})
	if err != nil {
		late.Stop()
		l.finish(to, func() { l.lose(err) })
	}
}

// retryable: the same transaction may be taken a moment later.
func retryable(err error) bool {
	return errors.Is(err, mempool.ErrWindowFull) || errors.Is(err, mempool.ErrFull) || errors.Is(err, wire.ErrStopping)
}

// finish takes what became of a transaction, and gives its lane back.
func (l *loader) finish(to *lane, account func()) {
	l.mu.Lock()
	account()
	l.mu.Unlock()
	l.lanes <- to
}

func (l *loader) lose(err error) {
	l.lost++
	if l.firstWrong == nil {
		l.firstWrong = err
	}
}

// check compares an answer with what it must be.
func (l *loader) check(tx types.Tx, to *lane, due time.Time, r client.Result, err error) {
	if err != nil {
		l.lose(fmt.Errorf("%+v: %w", tx.TxID, err))
		return
	}
	l.delivered++
	l.latency.Record(time.Since(due))
	if want := l.want(to); !bytes.Equal(r.Data, want) {
		l.wrong++
		if l.firstWrong == nil {
			l.firstWrong = fmt.Errorf("%+v: result %.40x, want %.40x", tx.TxID, r.Data, want)
		}
	}
	// Later ones take the place of earlier ones, so that all of the run's
	// parts are in the sample, but those that the replicas still remember more.
	if a := (answered{tx, r}); len(l.sample) < sampleMax {
		l.sample = append(l.sample, a)
	} else {
		l.sample[l.delivered%sampleMax] = a
	}
}

// want is the right result of a lane's transaction. A chain's is empty.
func (l *loader) want(to *lane) []byte {
	switch {
	case l.cfg.members.Application != "kv":
		return nil
	case to.read:
		return app.Result{Status: app.OK, Value: to.value}.Encode()
	}
	return app.Result{Status: app.OK}.Encode()
}

// again submits some transactions once more. Each was delivered, so there is
// nothing left to do but to answer as before, or to say that it was delivered: a
// second delivery would have another position.
func (l *loader) again(ctx context.Context) {
	for _, a := range l.sample {
		if ctx.Err() != nil {
			return
		}
		tryCtx, cancel := context.WithTimeout(ctx, l.cfg.timeout)
		r, err := l.client.Submit(tryCtx, a.tx)
		cancel()
		l.mu.Lock()
		l.repeated++
		switch {
		case err == nil && r.Seq == a.result.Seq && bytes.Equal(r.Data, a.result.Data), errors.Is(err, mempool.ErrDelivered):
			l.confirmed++
		case ctx.Err() != nil:
			l.repeated--
		default:
			l.wrong++
			if l.firstWrong == nil {
				l.firstWrong = fmt.Errorf("%+v again: position %d and result %.40x (%v), before position %d and %.40x",
					a.tx.TxID, r.Seq, r.Data, err, a.result.Seq, a.result.Data)
			}
		}
		l.mu.Unlock()
	}
}
