package workload

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// chunkTxs is how many transactions are handed to a replica at once, at most.
const chunkTxs = 64

// stalledAfter: a real run without progress for so long is given up.
const stalledAfter = 30 * time.Second

// Real is n replicas in one process, with Ed25519 and real time, and what their
// clients know. Submissions and all other calls come from one goroutine.
type Real struct {
	cluster *cluster.Cluster
	source  *Source
	nodes   []realNode
	chunks  [][]types.Tx // by replica: taken from the source and not handed over
	// submitted counts the transactions taken from the source.
	submitted uint64
	failure   atomic.Pointer[error] // the first refusal
	progress  chan struct{}         // a replica has delivered a batch's worth more
	observe   func(node types.NodeID, i uint64)
}

// realNode is what one replica delivered. Its goroutine writes it.
type realNode struct {
	delivered atomic.Uint64
	tally     Tally // Read only after the replica was asked for its state.
	_         [64]byte
}

// Place is where replicas run. The zero Place is the process itself, with nothing
// on disk.
type Place struct {
	Transport cluster.Transport
	Dir       string // An empty folder for their stores; empty for none.
}

// newReal starts a cluster. If observe is not nil, each replica calls it with
// the number of each transaction that it delivers, on its own goroutine.
func newReal(n int, seed uint64, params replica.Params, place Place, observe func(types.NodeID, uint64)) (*Real, error) {
	r := &Real{
		source: NewSource(seed, Clients, PayloadBytes), nodes: make([]realNode, n), chunks: make([][]types.Tx, n),
		progress: make(chan struct{}, 1), observe: observe,
	}
	for i := range r.chunks {
		r.chunks[i] = make([]types.Tx, 0, chunkTxs)
	}
	var err error
	r.cluster, err = cluster.New(cluster.Config{
		Weights: cluster.Equal(n), Params: &params, Seed: seed, Transport: place.Transport, Dir: place.Dir,
		OnDelivered: r.onDelivered, OnResult: r.onResult,
	})
	if err != nil {
		return nil, err
	}
	r.cluster.Start()
	return r, nil
}

func (r *Real) onDelivered(id types.NodeID, e types.Delivered) {
	i, node := r.source.Index(e.Tx.TxID), &r.nodes[id]
	node.tally.Add(i)
	if r.observe != nil {
		r.observe(id, i)
	}
	if node.delivered.Add(1)%BatchTxs == 0 {
		select {
		case r.progress <- struct{}{}:
		default:
		}
	}
}

func (r *Real) onResult(_ types.NodeID, e types.SubmitResult) {
	if e.Err != nil {
		err := fmt.Errorf("transaction %d: %w", r.source.Index(e.ID), e.Err)
		r.failure.CompareAndSwap(nil, &err)
	}
}

// Submitted is the number of transactions so far.
func (r *Real) Submitted() uint64 { return r.submitted }

// take puts the next transaction into the chunk of a replica, and hands the
// chunk over when it is full.
func (r *Real) take(to int) error {
	r.chunks[to] = append(r.chunks[to], r.source.Tx(r.submitted))
	r.submitted++
	if len(r.chunks[to]) < chunkTxs {
		return nil
	}
	return r.handOver(to)
}

// handOver gives a chunk to its replica, and blocks while that has more input
// than it can take.
func (r *Real) handOver(to int) error {
	if len(r.chunks[to]) == 0 {
		return nil
	}
	err := r.cluster.SubmitAsync(context.Background(), types.NodeID(to), r.chunks[to]...)
	r.chunks[to] = r.chunks[to][:0]
	return err
}

// deliveredByAll is how many transactions every replica has delivered.
func (r *Real) deliveredByAll() uint64 {
	least := r.submitted
	for i := range r.nodes {
		least = min(least, r.nodes[i].delivered.Load())
	}
	return least
}

// wait waits until every replica has delivered count transactions.
func (r *Real) wait(count uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), stalledAfter)
	defer cancel()
	for id := range r.nodes {
		if err := r.cluster.WaitDelivered(ctx, types.NodeID(id), count); err != nil {
			return r.because(err)
		}
	}
	return r.because(nil)
}

// because names a refusal as the cause of a stall, where there was one.
func (r *Real) because(err error) error {
	if refused := r.failure.Load(); refused != nil {
		return errors.Join(*refused, err)
	}
	return err
}

// Check tells whether all replicas delivered all transactions exactly once and
// agree, and no view changed.
func (r *Real) Check() error {
	ctx, cancel := context.WithTimeout(context.Background(), stalledAfter)
	defer cancel()
	var hash types.Digest
	for id := range r.nodes {
		state, err := r.cluster.State(ctx, types.NodeID(id))
		if err != nil {
			return err
		}
		if id == 0 {
			hash = state.AppHash
		}
		switch {
		case !r.nodes[id].tally.IsUpTo(r.submitted):
			return fmt.Errorf("replica %d did not deliver each of %d transactions once: it delivered %d", id, r.submitted, r.nodes[id].tally.Count())
		case state.AppHash != hash:
			return fmt.Errorf("the states of replicas 0 and %d differ", id)
		case state.Stats.PBFT.ViewChanges > 0:
			return VoidError{fmt.Sprintf("replica %d left %d views", id, state.Stats.PBFT.ViewChanges)}
		}
	}
	return r.because(nil)
}

// Stop ends the replicas.
func (r *Real) Stop() error { return r.cluster.Stop() }
