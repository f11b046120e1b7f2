package micro

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// batchesPerEpoch is after how many batches a checkpoint frees the old ones.
const batchesPerEpoch = 16

// storeOf makes the availability module of one of n replicas. All buckets are
// those of replica creator.
func storeOf(node, n int, c crypto.Crypto, creator types.NodeID) *availability.Availability {
	store := availability.New(availability.Config{
		Self: self, Net: netModule, Timer: timerModule, Store: storeModule,
		Mempool: mempoolModule, Ordering: orderingModule, Delivery: deliveryModule,
		Node: types.NodeID(node), Members: quorum.Equal(n), ConfigDelay: 6, Crypto: c,
		BatchBytesMax: types.MaxBatchBytes, WindowSize: 256, HeldBytesMax: 64 << 20, StoringBytesMax: 256 << 20,
		Buckets: 16 * n, BucketGrace: 2, KeepEpochs: 1, RetryAfter: time.Hour,
	})
	var out discard
	out.apply(store, mir.Event{To: self, Body: types.EpochBegun{Leaders: []types.NodeID{creator}}})
	return store
}

// markUsed tells a store that a batch is delivered and, at the end of an epoch,
// that the epoch's checkpoint is stable.
func markUsed(no types.BatchNo, creator types.NodeID, d types.Digest, tell func(mir.Body)) {
	epoch := types.Epoch(no / batchesPerEpoch)
	tell(types.BatchUsed{Batch: d, Epoch: epoch, Creator: creator, No: no})
	if no%batchesPerEpoch == batchesPerEpoch-1 {
		tell(types.StableCheckpoint{Epoch: epoch})
	}
}

// BenchmarkStore takes the batch of a peer until it can be forgotten: hash it,
// look whether it is its creator's to make, store it, sign for it, free it. The batch has 256 B transactions.
func BenchmarkStore(b *testing.B) {
	for _, txs := range []int{128, 1024} {
		b.Run(fmt.Sprintf("txs=%d", txs), func(b *testing.B) {
			data := types.EncodeBatch(transactions(txs, 32))
			d := types.HashBatch(data)
			store := storeOf(0, 4, simulated(4)[0], 1)
			var out discard
			tell := func(body mir.Body) { out.apply(store, mir.Event{To: self, Body: body}) }
			next, acks := types.BatchNo(0), 0
			one := func() {
				out.apply(store, mir.Event{To: self, Body: mir.Received{From: 1, Msg: availability.Batch{No: next, Data: data}}})
				acks += out.apply(store, out.last().Body.(types.Persist).Then[0]) // It is durable.
				markUsed(next, 1, d, tell)
				next++
			}
			for range 8 * batchesPerEpoch {
				one()
			}
			acks = 0
			for b.Loop() {
				one()
			}
			want(b, "acknowledgements", acks, b.N)
			if s := store.Stats(); s != (availability.Stats{}) {
				b.Fatalf("the store refused something: %+v", s)
			}
		})
	}
}

// BenchmarkCertify spreads a batch of 128 transactions of 256 B from one of n
// replicas until it has the certificate and everybody has forgotten the batch.
// An operation is the work of all n.
//
//perfgate:sizes gate full
//perfgate:sizes n=4 smoke gate full
func BenchmarkCertify(b *testing.B) {
	for _, n := range []int{4, 16} {
		b.Run(replicas(n), func(b *testing.B) {
			members, verifier := quorum.Equal(n), simulated(n)[0]
			nodes := make([]mir.Module, n)
			for i := range nodes {
				nodes[i] = storeOf(i, n, simulated(n)[i], 0)
			}
			var cert types.Certificate
			certs := 0
			g := newGroup(nodes, func(_ int, ev mir.Event) {
				cert = ev.Body.(types.CertReady).Cert
				certs++
			})
			batch := mir.Event{To: self, Body: types.NewBatch{Data: types.EncodeBatch(transactions(128, 32))}}
			one := func() {
				g.input(0, batch)
				g.run()
				markUsed(cert.No, 0, cert.Batch, func(body mir.Body) {
					for i := range nodes {
						g.input(i, mir.Event{To: self, Body: body})
					}
				})
			}
			for range 8 * batchesPerEpoch {
				one()
			}
			certs = 0
			for b.Loop() {
				one()
			}
			want(b, "certificates", certs, b.N)
			if err := availability.VerifyCert(members, verifier, cert); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkVerifyAvailability checks a certificate of availability, of f+1
// signatures, with Ed25519 as it is done for each proposal.
func BenchmarkVerifyAvailability(b *testing.B) {
	for _, n := range []int{4, 16} {
		b.Run(replicas(n), func(b *testing.B) {
			members, cert := quorum.Equal(n), types.Certificate{}
			all := crypto.DeriveEd25519(1, n)
			nodes := make([]mir.Module, n)
			for i := range nodes {
				nodes[i] = storeOf(i, n, all[i], 0)
			}
			g := newGroup(nodes, func(_ int, ev mir.Event) { cert = ev.Body.(types.CertReady).Cert })
			g.input(0, mir.Event{To: self, Body: types.NewBatch{Data: types.EncodeBatch(transactions(4, 4))}})
			g.run()
			for b.Loop() {
				if err := availability.VerifyCert(members, all[0], cert); err != nil {
					b.Fatal(err)
				}
			}
			if cert.No++; availability.VerifyCert(members, all[0], cert) == nil {
				b.Fatal("the certificate of another batch is accepted")
			}
		})
	}
}

// BenchmarkRetrieve gets a batch of 128 transactions of 256 B, which delivery
// needs and this replica lacks, from another that holds it.
func BenchmarkRetrieve(b *testing.B) {
	data := types.EncodeBatch(transactions(128, 32))
	d := types.HashBatch(data)
	lacking, holding := storeOf(0, 4, simulated(4)[0], 1), storeOf(2, 4, simulated(4)[2], 1)
	delivered := 0
	g := newGroup([]mir.Module{lacking, nil, holding, nil}, func(_ int, ev mir.Event) {
		delivered += len(ev.Body.(types.BatchData).Data)
	})
	next := types.BatchNo(0)
	var out discard
	one := func() {
		out.apply(holding, mir.Event{To: self, Body: mir.Received{From: 1, Msg: availability.Batch{No: next, Data: data}}})
		// It is durable. The holder's acknowledgement goes nowhere: its creator does not run.
		out.apply(holding, out.last().Body.(types.Persist).Then[0])
		g.input(0, mir.Event{To: self, Body: types.NeedBatch{Cert: types.Certificate{
			Creator: 1, No: next, Batch: d, Sigs: holderSigs,
		}}})
		g.run()
		markUsed(next, 1, d, func(body mir.Body) {
			g.input(0, mir.Event{To: self, Body: body})
			g.input(2, mir.Event{To: self, Body: body})
		})
		if next++; next%batchesPerEpoch == 0 {
			g.fire(b, 2) // The tick until which a peer's share of answers lasts.
		}
	}
	for range 8 * batchesPerEpoch {
		one()
	}
	delivered = 0
	for b.Loop() {
		one()
	}
	want(b, "bytes delivered", delivered, b.N*len(data))
}

// holderSigs name the one replica that is asked.
var holderSigs = []types.Signature{{Signer: 2}}
