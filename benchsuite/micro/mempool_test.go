package micro

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// mempoolOf makes a mempool that closes batches of txs transactions. All buckets
// are those of replica leader; it is replica 0.
func mempoolOf(txs int, leader types.NodeID) *mempool.Mempool {
	pool := mempool.New(mempool.Config{
		Self: self, Net: netModule, Timer: timerModule,
		Availability: availabilityModule, Ordering: orderingModule, Results: resultsModule,
		Members: quorum.Equal(4), ConfigDelay: 6,
		BatchTxsMax: txs, BatchBytesMax: types.MaxBatchBytes, BatchTimeout: time.Hour,
		PayloadBytesMax: 64 << 10, PendingBytesMax: types.MaxBatchBytes, ForwardedBytesMax: types.MaxBatchBytes,
		WindowSize: 4096, ClientsMax: 1024, Buckets: 64, RetryAfter: time.Hour,
	})
	var out discard
	out.apply(pool, mir.Event{To: self, Body: types.EpochBegun{Leaders: []types.NodeID{leader}}})
	return pool
}

// submitter is a stream of new transactions of clients in turn, and the mempool's
// events about them.
type submitter struct {
	discard
	pool    *mempool.Mempool
	payload []byte
	clients uint64
	next    uint64
	ids     []types.TxID // Submitted, and not delivered yet.
	batches int
}

func newSubmitter(pool *mempool.Mempool, clients, txs int) *submitter {
	return &submitter{pool: pool, payload: pattern(payloadBytes), clients: uint64(clients), ids: make([]types.TxID, 0, txs)}
}

// submit hands the next transaction to the mempool. A batch that this closes is
// delivered at once.
func (c *submitter) submit() {
	id := types.TxID{Client: types.ClientID(c.next % c.clients), No: types.TxNo(c.next / c.clients)}
	c.next++
	c.ids = append(c.ids, id)
	c.apply(c.pool, mir.Event{To: self, Body: types.Submit{Tx: types.Tx{TxID: id, Payload: c.payload}}})
	if len(c.ids) == cap(c.ids) {
		c.delivered()
	}
}

func (c *submitter) delivered() {
	if _, ok := c.last().Body.(types.NewBatch); ok {
		c.batches++
	}
	c.apply(c.pool, mir.Event{To: self, Body: types.Progress{IDs: c.ids}})
	c.ids = c.ids[:0]
}

// BenchmarkSubmit hands one transaction of 256 B to the mempool. In state=fresh
// it is accepted, and each 128th closes a batch, which is delivered: the whole
// life of a transaction in the mempool. In state=duplicate it is pending
// already, in state=full the mempool has no room.
//
//perfgate:sizes gate full
//perfgate:sizes state=fresh smoke gate full
func BenchmarkSubmit(b *testing.B) {
	const txs = 128
	b.Run("state=fresh", func(b *testing.B) {
		c := newSubmitter(mempoolOf(txs, 0), 32, txs)
		for range 64 * txs {
			c.submit()
		}
		c.batches = 0
		for b.Loop() {
			c.submit()
		}
		want(b, "batches", c.batches, b.N/txs)
	})
	b.Run("state=duplicate", func(b *testing.B) {
		c := newSubmitter(mempoolOf(txs, 0), 32, txs)
		for range txs / 2 {
			c.submit()
		}
		again := mir.Event{To: self, Body: types.Submit{Tx: types.Tx{TxID: c.ids[txs/4], Payload: c.payload}}}
		refused(b, c.pool, again, mempool.ErrDuplicate)
	})
	b.Run("state=full", func(b *testing.B) {
		c := newSubmitter(mempoolOf(types.MaxBatchTxs, 0), 32, types.MaxBatchTxs)
		for range types.MaxBatchBytes / encodedTxBytes {
			c.submit()
		}
		fresh := types.TxID{Client: types.ClientID(c.next % c.clients), No: types.TxNo(c.next / c.clients)}
		refused(b, c.pool, mir.Event{To: self, Body: types.Submit{Tx: types.Tx{TxID: fresh, Payload: c.payload}}}, mempool.ErrFull)
	})
}

// refused submits what the mempool answers with an error.
func refused(b *testing.B, pool *mempool.Mempool, ev mir.Event, reason error) {
	var d discard
	answers := 0
	for b.Loop() {
		answers += d.apply(pool, ev)
	}
	want(b, "answers", answers, b.N)
	if got := d.last().Body.(types.SubmitResult).Err; got != reason {
		b.Fatalf("the mempool answered %v, want %v", got, reason)
	}
}

// BenchmarkMakeBatch fills and closes a batch of one client's transactions and
// is told that they are delivered.
//
//perfgate:sizes gate full
//perfgate:sizes txs=128 smoke gate full
func BenchmarkMakeBatch(b *testing.B) {
	for _, txs := range []int{128, 1024} {
		b.Run(fmt.Sprintf("txs=%d", txs), func(b *testing.B) {
			c := newSubmitter(mempoolOf(txs, 0), 1, txs)
			for range 16 * txs {
				c.submit()
			}
			c.batches = 0
			for b.Loop() {
				for range txs {
					c.submit()
				}
			}
			want(b, "batches", c.batches, b.N)
		})
	}
}

// BenchmarkForward takes one transaction of 256 B to the leader of its bucket and
// through its mempool: each 128th closes a message, which is one batch there and
// is delivered at both.
//
//perfgate:sizes gate full
func BenchmarkForward(b *testing.B) {
	const txs = 128
	origin, leader := newSubmitter(mempoolOf(txs, 1), 32, txs), &discard{}
	pool := mempoolOf(txs, 0) // Each replica is 0 in its own eyes.
	batches := 0
	one := func() {
		c := origin
		id := types.TxID{Client: types.ClientID(c.next % c.clients), No: types.TxNo(c.next / c.clients)}
		c.next++
		c.ids = append(c.ids, id)
		c.apply(c.pool, mir.Event{To: self, Body: types.Submit{Tx: types.Tx{TxID: id, Payload: c.payload}}})
		if len(c.ids) < txs {
			return
		}
		send := c.last().Body.(mir.Send)
		leader.apply(pool, mir.Event{To: self, Body: mir.Received{From: 1, Msg: send.Msg}})
		if _, ok := leader.last().Body.(types.NewBatch); ok {
			batches++
		}
		delivered := mir.Event{To: self, Body: types.Progress{IDs: c.ids}}
		c.apply(c.pool, delivered)
		leader.apply(pool, delivered)
		c.ids = c.ids[:0]
	}
	for range 64 * txs {
		one()
	}
	batches = 0
	for b.Loop() {
		one()
	}
	want(b, "batches", batches, b.N/txs)
}
