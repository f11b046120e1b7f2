package micro

import (
	"fmt"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/delivery"
	"github.com/perfgate/perfgate/trantor/types"
)

// feed is a delivery module with the log that feeds it: one batch for each
// position, of one client's transactions, which is always the same bytes except
// for the transactions' numbers.
type feed struct {
	*group
	delivery *delivery.Delivery
	data     []byte
	txs      uint64
	next     types.SeqNr

	delivered, dropped int
}

func newFeed(application app.Application, batch []types.Tx) *feed {
	l := &feed{data: types.EncodeBatch(batch), txs: uint64(len(batch))}
	l.delivery = delivery.New(delivery.Config{
		Self: self, Mempool: mempoolModule, Availability: availabilityModule, Checkpoint: checkpointModule, Results: resultsModule,
		App: application, Crypto: simulated(4)[0], Genesis: types.EqualConfiguration(4), ConfigDelay: 6, MembersMax: 4, ClientWindow: 4096, BatchWindow: 256, ClientsMax: 1024,
		SlotsFetchingMax: 64, SlotsQueuedMax: 256,
	})
	l.group = newGroup([]mir.Module{l.delivery}, func(_ int, ev mir.Event) {
		switch body := ev.Body.(type) {
		case types.NeedBatch:
			l.local = append(l.local, mir.Event{To: self, Body: types.BatchData{Batch: body.Cert.Batch, Data: l.data}})
		case types.Delivered:
			l.delivered++
		case types.Progress:
			l.dropped += len(body.Dropped)
		}
	})
	return l
}

// position orders the batch once more. Its digest is never looked at: whoever
// stores batches has checked it.
func (l *feed) position(certs []types.Certificate) {
	certs[0] = types.Certificate{Creator: 1, No: types.BatchNo(l.next), Batch: digest(uint64(l.next))}
	l.input(0, mir.Event{To: self, Body: types.Ordered{Seq: l.next, Proposal: types.Proposal{Certs: certs}}})
	l.next++
}

// BenchmarkDeliver orders, fetches, decodes and executes one batch of one
// client's 256 B transactions, none of which came by before.
//
//perfgate:sizes gate full
//perfgate:sizes txs=128 smoke gate full
func BenchmarkDeliver(b *testing.B) {
	for _, txs := range []int{128, 1024} {
		b.Run(fmt.Sprintf("txs=%d", txs), func(b *testing.B) {
			l, certs := newFeed(&app.Chain{}, transactions(txs, 1)), make([]types.Certificate, 1)
			one := func() {
				renumber(l.data, uint64(l.next)*l.txs)
				l.position(certs)
			}
			for range 8 {
				one()
			}
			l.delivered = 0
			for b.Loop() {
				one()
			}
			want(b, "transactions delivered", l.delivered, txs*b.N)
			want(b, "transactions dropped", l.dropped, 0)
		})
	}
}

// BenchmarkDedup orders a batch of 128 transactions of 32 clients that have all
// been delivered before, so that all are dropped.
//
//perfgate:sizes smoke gate full
func BenchmarkDedup(b *testing.B) {
	b.Run("txs=128", func(b *testing.B) {
		const txs = 128
		l, certs := newFeed(&app.Chain{}, transactions(txs, 32)), make([]types.Certificate, 1)
		for range 8 {
			l.position(certs)
		}
		want(b, "transactions delivered", l.delivered, txs)
		l.dropped = 0
		for b.Loop() {
			l.position(certs)
		}
		want(b, "transactions delivered", l.delivered, txs)
		want(b, "transactions dropped", l.dropped, txs*b.N)
	})
}

// BenchmarkDeliverySnapshot takes the state at the end of an epoch, with the
// windows of a number of clients.
func BenchmarkDeliverySnapshot(b *testing.B) {
	b.Run("clients=1000", func(b *testing.B) {
		const clients = 1000
		l, certs := newFeed(&app.Chain{}, transactions(clients, clients)), make([]types.Certificate, 1)
		l.position(certs)
		want(b, "transactions delivered", l.delivered, clients)
		sink, bytes, epoch := l.sink, 0, types.Epoch(0)
		l.sink = func(node int, ev mir.Event) {
			if s, ok := ev.Body.(types.Snapshot); ok {
				bytes += len(s.Data)
				return
			}
			sink(node, ev)
		}
		for b.Loop() {
			l.input(0, mir.Event{To: self, Body: types.EpochEnd{Epoch: epoch}})
			epoch++
		}
		// Epoch, position and one configuration of 4 members, no policy, 4 windows
		// of batches, no voters, clients with windows, nothing kept back, state: a
		// digest.
		const least = 8 + 8 + 4 + (4 + 4 + 4*20) + 4 + 4 + 4*types.WindowWireBytesMin + 4 + 4 + clients*(8+types.WindowWireBytesMin) + 4 + 4 + 32
		want(b, "bytes of snapshots", bytes, b.N*least)
	})
}
