package iss

import (
	"slices"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const simDelay = 4 // epochs that a log knows the members ahead

// system is n logs with PBFT under virtual time. Checkpoints are stable as soon
// as three of the logs have ended an epoch, and instances are kept for good: what
// follows when they are collected is another module's.
type system struct {
	t     *testing.T
	sim   *sim.Sim
	nodes []*simNode
	ended map[types.Epoch]int
}

type simNode struct {
	s       *system
	id      types.NodeID
	log     *Log
	pbft    pbft.Stats
	ordered []types.Digest        // Batches in the log, in order.
	batches map[types.Digest]bool // The same; one may be handed to two leaders.
}

func newSystem(t *testing.T, seed uint64, policy Policy, network sim.Network) *system {
	codec := &types.Codec{}
	RegisterMessages(codec)
	pbft.RegisterMessages(codec)
	s, err := sim.New(sim.Config{Seed: seed, Codec: codec, Network: network})
	if err != nil {
		t.Fatal(err)
	}
	w := &system{t: t, sim: s, ended: map[types.Epoch]int{}}
	for id := range types.NodeID(4) {
		w.add(id, policy)
	}
	return w
}

func (w *system) add(id types.NodeID, policy Policy) {
	n, members := &simNode{s: w, id: id, batches: map[types.Digest]bool{}}, quorum.Equal(4)
	keys := crypto.NewSimulated(1, id, 4)
	n.log = New(Config{
		Node: id, Members: members, ConfigDelay: simDelay, Self: selfModule, Net: netModule, Delivery: deliveryModule,
		Timer: timerModule, Store: storeModule, Mempool: mempoolModule, Availability: mempoolModule,
		NewInstance: func(segment types.Segment, members quorum.Membership, doublings int, sub mir.SubID) Instance {
			return pbft.New(pbft.Config{
				Node: id, Members: members, Crypto: keys,
				Log: selfModule, Net: netModule, Timer: timerModule, Store: storeModule, CertsMax: 2,
				Validate: func(types.Proposal) error { return nil },
				Timeout:  time.Second << doublings, ResendAfter: 200 * time.Millisecond, Stats: &n.pbft,
			}, segment, sub)
		},
		CheckRecord: pbft.CheckRecord,
		VerifyCert:  func(quorum.Membership, types.Certificate) error { return nil },
		Policy:      policy, EpochLength: 8, MaxCertsPerSlot: 2, OwnInFlightMax: 2, EpochsAheadMax: 2, KeepEpochs: 1 << 20,
		HeartbeatAfter: 200 * time.Millisecond, BufferedMax: 10, BufferedBytesMax: 2000, HandedMax: 20,
	})
	names := &mir.Names{}
	for _, name := range []string{"log", "net", "delivery", "timer", "store", "mempool"} {
		names.Intern(name)
	}
	if _, err := w.sim.AddNode(sim.NodeConfig{Names: names, Net: netModule, Timer: timerModule, Modules: []mir.Registration{
		{ID: selfModule, Module: n.log},
		{ID: deliveryModule, Module: mir.ModuleFunc(n.deliver)},
		{ID: storeModule, Module: mir.ModuleFunc(store)},
		{ID: mempoolModule, Module: mir.ModuleFunc(func(mir.Event, *mir.Out) {})},
	}}); err != nil {
		w.t.Fatal(err)
	}
	w.nodes = append(w.nodes, n)
	w.inject(id, types.Boot{})
}

func store(ev mir.Event, out *mir.Out) {
	for _, then := range ev.Body.(types.Persist).Then {
		out.EmitSub(then.To, then.Sub, then.Body)
	}
}

func (n *simNode) deliver(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.Ordered:
		for _, c := range e.Proposal.Certs {
			n.ordered = append(n.ordered, c.Batch)
			n.batches[c.Batch] = true
		}
	case types.EpochEnd:
		out.Emit(selfModule, types.EpochConfig{Epoch: e.Epoch + simDelay, Members: quorum.Equal(4)})
		if n.s.ended[e.Epoch]++; n.s.ended[e.Epoch] == 3 {
			for id := range types.NodeID(4) {
				n.s.inject(id, types.StableCheckpoint{Epoch: e.Epoch})
			}
		}
	}
}

func (w *system) inject(id types.NodeID, body mir.Body) {
	w.sim.Inject(id, mir.Event{To: selfModule, Body: body})
}

// load makes a certificate ready at each of these replicas every 20 ms.
func (w *system) load(count int, ids ...types.NodeID) {
	for no := range count {
		w.sim.At(time.Duration(no)*20*time.Millisecond, func() {
			for _, id := range ids {
				w.inject(id, types.CertReady{Cert: types.Certificate{
					Creator: id, No: types.BatchNo(no), Batch: types.Digest{byte(id), byte(no), byte(no >> 8)},
					Sigs: []types.Signature{{Signer: 0}, {Signer: 1}},
				}})
			}
		})
	}
}

// runUntilOrdered runs until these replicas have count batches in their logs,
// within a time, and compares them.
func (w *system) runUntilOrdered(count int, within time.Duration, ids ...types.NodeID) {
	w.t.Helper()
	short := func(id types.NodeID) bool { return len(w.nodes[id].batches) < count }
	done := func() bool { return w.sim.Now() > within || !slices.ContainsFunc(ids, short) }
	if err := w.sim.RunUntil(done, 20_000_000); err != nil {
		w.t.Fatal(err)
	}
	longest := w.nodes[ids[0]].ordered
	for _, id := range ids {
		if got := len(w.nodes[id].batches); got < count {
			w.t.Errorf("seed %d: replica %d has %d batches in its log after %v, want %d (epoch %d, %+v)",
				w.sim.Seed(), id, got, within, count, w.nodes[id].log.Epoch(), w.nodes[id].log.Stats())
		}
		both := min(len(longest), len(w.nodes[id].ordered))
		if !slices.Equal(longest[:both], w.nodes[id].ordered[:both]) {
			w.t.Errorf("seed %d: replicas %d and %d disagree", w.sim.Seed(), ids[0], id)
		}
	}
}

func TestLogsGrowUnderLoss(t *testing.T) {
	for _, policy := range []Policy{RoundRobin, Blacklist, Backoff} {
		for seed := range uint64(4) {
			w := newSystem(t, seed, policy, sim.Network{
				Latency: sim.Uniform(time.Millisecond, 30*time.Millisecond), LossRate: 0.2, DuplicateRate: 0.05,
			})
			w.load(40, 0, 1, 2, 3)
			w.runUntilOrdered(160, 5*time.Minute, 0, 1, 2, 3)
		}
	}
}

// Everything of one kind is lost for a while, on the way to one replica or
// between all of them.
func TestLossOfAnyKindOfMessageIsRepaired(t *testing.T) {
	for _, kind := range []string{
		"pbft.PrePrepare", "pbft.Prepare", "pbft.Commit", "pbft.ViewChange", "pbft.NewView", "pbft.Ask", "pbft.Decision",
		"iss.FinishEpoch", "iss.Status", "iss.HandOver",
	} {
		for _, everybody := range []bool{false, true} {
			w := newSystem(t, 1, Blacklist, sim.Network{Filter: func(p sim.Packet) sim.Fate {
				return sim.Fate{Drop: p.Msg.EventName() == kind && p.At < 3*time.Second && (everybody || p.To == 2)}
			}})
			w.load(40, 0, 1, 2, 3)
			w.runUntilOrdered(160, time.Minute, 0, 1, 2, 3)
			if t.Failed() {
				t.Fatalf("without %s, everybody %v", kind, everybody)
			}
		}
	}
}

// The blacklist spares every epoch but the first a view change for a leader that
// is gone, and what a slow replica has still gets into the log.
func TestCrashedLeaderIsBlacklisted(t *testing.T) {
	w := newSystem(t, 1, Blacklist, sim.Network{})
	w.sim.Crash(3)
	w.load(200, 0, 1, 2)
	w.runUntilOrdered(600, 5*time.Minute, 0, 1, 2)
	if got := w.nodes[0].pbft.ViewChanges; got == 0 || got > 3 {
		t.Errorf("%d view changes in %d epochs, want that of the first", got, w.nodes[0].log.Epoch())
	}
}

// A replica that was cut off for twenty epochs and more follows by a few round
// trips for each, not by a heartbeat for each.
func TestReplicaAloneBehindCatchesUp(t *testing.T) {
	w := newSystem(t, 1, Blacklist, sim.Network{Filter: func(p sim.Packet) sim.Fate {
		return sim.Fate{Drop: (p.To == 3 || p.From == 3) && p.At < 10*time.Second}
	}})
	w.load(300, 0, 1, 2)
	if err := w.sim.Run(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	epochs := w.nodes[0].log.Epoch() - w.nodes[3].log.Epoch()
	if epochs < 20 {
		t.Fatalf("the others are %d epochs ahead: the test shows nothing", epochs)
	}
	w.runUntilOrdered(900, 10*time.Second+2*time.Second, 0, 1, 2, 3)
}
