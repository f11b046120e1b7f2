package replica

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// world is a simulated system.
type world struct {
	t         *testing.T
	sim       *sim.Sim
	replicas  []*Replica
	delivered [][]types.TxID
	refused   []error
	stable    []types.Epoch // epochs that are final, by replica
}

func newWorld(t *testing.T, seed uint64, n int, network sim.Network, change func(*Params)) *world {
	t.Helper()
	return newWorldOf(t, seed, slices.Repeat([]string{"test"}, n), network, change)
}

// newWorldOf says for each replica which system it takes itself to be of.
func newWorldOf(t *testing.T, seed uint64, systems []string, network sim.Network, change func(*Params)) *world {
	t.Helper()
	n := len(systems)
	s, err := sim.New(sim.Config{Seed: seed, Codec: NewCodec(), Network: network})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, sim: s, delivered: make([][]types.TxID, n), stable: make([]types.Epoch, n)}
	params := DefaultParams(n)
	params.EpochLength = 8 * n
	if change != nil {
		change(&params)
	}
	for i := range n {
		node := types.NodeID(i)
		r, err := New(Config{
			Node: node, Genesis: types.EqualConfiguration(n), System: systems[i], Crypto: crypto.NewSimulated(seed, node, n),
			App: &app.Chain{}, Params: params, Results: w.results(i),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddNode(sim.NodeConfig{Names: r.Names, Modules: r.Modules, Net: r.IDs.Net, Timer: r.IDs.Timer}); err != nil {
			t.Fatal(err)
		}
		s.Inject(node, r.Boot()...)
		w.replicas = append(w.replicas, r)
	}
	return w
}

func (w *world) results(i int) mir.Module {
	return mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) {
		switch e := ev.Body.(type) {
		case types.Delivered:
			w.delivered[i] = append(w.delivered[i], e.Tx.TxID)
		case types.SubmitResult:
			if e.Err != nil {
				w.refused = append(w.refused, e.Err)
			}
		case types.StableCheckpoint:
			w.stable[i] = e.Epoch + 1
		}
	})
}

func (w *world) submit(at time.Duration, node int, client, no uint64) {
	tx := types.Tx{TxID: types.TxID{Client: types.ClientID(client), No: types.TxNo(no)}, Payload: fmt.Append(nil, client, no)}
	w.sim.At(at, func() {
		w.sim.Inject(types.NodeID(node), mir.Event{To: w.replicas[node].IDs.Mempool, Body: types.Submit{Tx: tx}})
	})
}

// runUntilDelivered runs until each of the nodes delivered n transactions, and
// checks that they delivered one sequence without repetition.
func (w *world) runUntilDelivered(n int, nodes ...int) {
	w.t.Helper()
	all := func() bool {
		return !slices.ContainsFunc(nodes, func(i int) bool { return len(w.delivered[i]) < n })
	}
	if err := w.sim.RunUntil(all, 50_000_000); err != nil {
		w.t.Fatalf("seed %d: %v\n%s", w.sim.Seed(), err, w.describe())
	}
	first := w.delivered[nodes[0]]
	seen := map[types.TxID]bool{}
	for _, id := range first {
		if seen[id] {
			w.t.Errorf("seed %d: %v was delivered twice", w.sim.Seed(), id)
		}
		seen[id] = true
	}
	for _, i := range nodes {
		if !slices.Equal(w.delivered[i][:n], first[:n]) {
			w.t.Errorf("seed %d: replica %d delivered another sequence than replica %d", w.sim.Seed(), i, nodes[0])
		}
	}
}

func (w *world) describe() string {
	var b strings.Builder
	for i, r := range w.replicas {
		fmt.Fprintf(&b, "replica %d: %d delivered, %+v\n", i, len(w.delivered[i]), r.Stats())
	}
	return b.String()
}

func (w *world) nodes() (all []int) {
	for i := range w.replicas {
		all = append(all, i)
	}
	return all
}

// load submits 300 transactions of 10 clients over 300 ms, each at one replica.
func (w *world) load() int {
	for i := range 300 {
		w.submit(time.Duration(i)*time.Millisecond, i%len(w.replicas), uint64(i%10), uint64(i/10))
	}
	return 300
}

func TestReplicasDeliverOneSequence(t *testing.T) {
	for _, n := range []int{1, 2, 4, 7} {
		w := newWorld(t, uint64(n), n, sim.Network{Latency: sim.Uniform(time.Millisecond, 20*time.Millisecond)}, nil)
		w.runUntilDelivered(w.load(), w.nodes()...)
		for i, r := range w.replicas {
			if got, want := r.AppHash(), w.replicas[0].AppHash(); got != want {
				t.Errorf("n=%d: replica %d has state %s, replica 0 %s", n, i, got, want)
			}
		}
		if len(w.refused) > 0 {
			t.Errorf("n=%d: %d refused, first with %v", n, len(w.refused), w.refused[0])
		}
	}
}

// A replica of another system that has the same keys is one of the faulty to
// those whose system it is not.
func TestSignaturesOfAnotherSystemAreWorthNothing(t *testing.T) {
	w := newWorldOf(t, 1, []string{"ours", "ours", "ours", "theirs"}, sim.Network{}, nil)
	for i := range 100 {
		for node := range 4 {
			w.submit(time.Duration(i)*time.Millisecond, node, uint64(node), uint64(i))
		}
	}
	w.runUntilDelivered(300, 0, 1, 2)
	if got := len(w.delivered[3]); got > 0 {
		t.Errorf("%d deliveries in the other system, which is alone", got)
	}
	ours, theirs := w.replicas[0].Stats(), w.replicas[3].Stats()
	if ours.PBFT.BadSignature == 0 || theirs.PBFT.BadSignature == 0 || theirs.Checkpoint.BadSignature == 0 {
		t.Errorf("no bad signatures: the test shows nothing\n%s", w.describe())
	}
	if w.stable[0] == 0 || w.stable[3] > 0 {
		t.Errorf("%d stable checkpoints here, %d there, want some and none", w.stable[0], w.stable[3])
	}
}

func TestTransactionSubmittedEverywhereIsDeliveredOnce(t *testing.T) {
	w := newWorld(t, 1, 4, sim.Network{Latency: sim.Uniform(time.Millisecond, 20*time.Millisecond)}, nil)
	for i := range 100 {
		for node := range 4 {
			w.submit(time.Duration(i)*time.Millisecond, node, 1, uint64(i))
		}
	}
	w.runUntilDelivered(100, w.nodes()...)
	if err := w.sim.Run(w.sim.Now() + time.Second); err != nil {
		t.Fatal(err)
	}
	w.runUntilDelivered(100, w.nodes()...)
	if got := len(w.delivered[0]); got != 100 {
		t.Errorf("%d deliveries of 100 transactions", got)
	}
	// Buckets keep most of the other 300 out of the log. Some may be in it twice
	// where an epoch begins.
	if dropped := w.replicas[0].Stats().Delivery.DuplicateTxs; dropped >= 100 {
		t.Errorf("%d duplicates were ordered", dropped)
	}
}

func TestCheckpointsFollowTheLogAndFreeItsBatches(t *testing.T) {
	// With one batch in a slot, no more than those of the current epoch are left.
	const epochLength = 8
	w := newWorld(t, 3, 4, sim.Network{}, func(p *Params) {
		p.EpochLength, p.CertsPerSlotMax, p.KeepEpochs = epochLength, 1, 0
	})
	w.runUntilDelivered(w.load(), w.nodes()...)
	if err := w.sim.Run(w.sim.Now() + time.Second); err != nil {
		t.Fatal(err)
	}
	for i, r := range w.replicas {
		s := r.Stats()
		if s.Epoch < 5 || w.stable[i] != s.Epoch {
			t.Errorf("replica %d is in epoch %d and %d are stable", i, s.Epoch, w.stable[i])
		}
		if s.Delivery.Batches < 5*epochLength || s.BatchesHeld >= epochLength {
			t.Errorf("replica %d delivered %d batches and holds %d", i, s.Delivery.Batches, s.BatchesHeld)
		}
	}
}

func TestCrashedReplicaDoesNotStopTheOthers(t *testing.T) {
	for crashed := range 4 {
		w := newWorld(t, uint64(crashed), 4, sim.Network{Latency: sim.Uniform(time.Millisecond, 20*time.Millisecond)}, nil)
		w.sim.At(50*time.Millisecond, func() { w.sim.Crash(types.NodeID(crashed)) })
		alive := slices.DeleteFunc(w.nodes(), func(i int) bool { return i == crashed })
		for i := range 300 {
			w.submit(time.Duration(i)*time.Millisecond, alive[i%3], uint64(i%10), uint64(i/10))
		}
		w.runUntilDelivered(300, alive...)
	}
}

func TestReplicaThatWasCutOffCatchesUp(t *testing.T) {
	w := newWorld(t, 5, 4, sim.Network{Latency: sim.Fixed(5 * time.Millisecond)}, nil)
	if err := w.sim.AddPartition(sim.Partition{Start: 20 * time.Millisecond, Heal: time.Second, Side: []mir.NodeID{2}}); err != nil {
		t.Fatal(err)
	}
	w.runUntilDelivered(w.load(), w.nodes()...)
}

// Replica 3 proposes to replicas 0 and 1 only, makes checkpoints with them, and
// then falls silent. If replica 2 had been left behind for good, 0 and 1 would
// be alone.
func TestFaultyLeaderCannotLeaveACorrectReplicaBehind(t *testing.T) {
	network := sim.Network{Latency: sim.Fixed(5 * time.Millisecond), Filter: func(p sim.Packet) sim.Fate {
		_, proposal := p.Msg.(pbft.PrePrepare)
		return sim.Fate{Drop: proposal && p.From == 3 && p.To == 2}
	}}
	w := newWorld(t, 1, 4, network, nil)
	const each = 1000
	for i := range each {
		for node := range 4 {
			w.submit(time.Duration(i)*time.Millisecond, node, uint64(node), uint64(i))
		}
	}
	w.sim.At(2*time.Second, func() { w.sim.Crash(3) })
	w.runUntilDelivered(3*each, 0, 1, 2)
	if w.stable[0] == 0 {
		t.Error("no checkpoint was stable: the test shows nothing")
	}
}

// The same seed gives the same run, byte for byte, and another one does not.
func TestOneSeedIsOneRun(t *testing.T) {
	run := func(seed uint64) uint64 {
		w := newWorld(t, seed, 4, sim.Network{Latency: sim.Uniform(time.Millisecond, 20*time.Millisecond)}, nil)
		w.runUntilDelivered(w.load(), w.nodes()...)
		return w.sim.TraceHash()
	}
	if a, b := run(1), run(1); a != b {
		t.Errorf("two runs of seed 1 have hashes %x and %x", a, b)
	}
	if run(1) == run(2) {
		t.Error("seeds 1 and 2 gave one run")
	}
}

// An idle system sends nothing but heartbeats: one a second from each replica to
// each other.
func TestIdleSystemSendsHeartbeatsOnly(t *testing.T) {
	w := newWorld(t, 1, 4, sim.Network{}, nil)
	w.runUntilDelivered(w.load(), w.nodes()...)
	if err := w.sim.Run(w.sim.Now() + 10*time.Second); err != nil {
		t.Fatal(err)
	}
	before := w.sim.Total()
	if err := w.sim.Run(w.sim.Now() + time.Hour); err != nil {
		t.Fatal(err)
	}
	if got, want := w.sim.Total().MessagesSent-before.MessagesSent, uint64(4*3*3600); got != want {
		t.Errorf("an idle hour took %d messages, want %d", got, want)
	}
}

func TestMessagesToAnyModuleAreHarmless(t *testing.T) {
	w := newWorld(t, 1, 4, sim.Network{}, nil)
	r := w.replicas[3]
	for _, dest := range []mir.ModuleID{
		r.IDs.Results, r.IDs.Store, r.IDs.Mempool, r.IDs.Availability, r.IDs.Ordering,
		r.IDs.Delivery, r.IDs.Checkpoint, r.IDs.StateTransfer, 99,
	} {
		for _, sub := range []mir.SubID{0, 1, 1 << 16, 1<<64 - 1} {
			for _, msg := range foreignMessages(t) {
				w.sim.Inject(3, mir.Event{To: r.IDs.Net, Body: mir.Send{To: []mir.NodeID{0, 1, 2}, Dest: dest, Sub: sub, Msg: msg}})
			}
		}
	}
	w.runUntilDelivered(w.load(), 0, 1, 2)
	kinds := uint64(4 * len(foreignMessages(t)))
	if got := w.replicas[0].Stats().Misaddressed; got < 2*kinds {
		t.Errorf("%d messages to results and store were counted as misaddressed, want %d and those to the mempool", got, 2*kinds)
	}
}

// foreignMessages is one message for each wire tag that decodes from zeros.
func foreignMessages(t *testing.T) (out []mir.Message) {
	codec := NewCodec()
	for tag := range 256 {
		for size := range 200 {
			b := make([]byte, 1+size)
			b[0] = byte(tag)
			if m, err := codec.Decode(b); err == nil {
				out = append(out, m)
				break
			}
		}
	}
	if len(out) < 10 {
		t.Fatalf("only %d kinds of message", len(out))
	}
	return out
}

func TestNewRejectsWhatNoModuleCanSee(t *testing.T) {
	for setting, spoil := range map[string]func(*Params){
		"EpochLength":     func(p *Params) { p.EpochLength = 1 << 20 },
		"SlotsQueuedMax":  func(p *Params) { p.SlotsQueuedMax = p.EpochLength },
		"ViewTimeout":     func(p *Params) { p.ViewTimeout = 0 },
		"CertsPerSlotMax": func(p *Params) { p.EpochLength, p.SlotsQueuedMax, p.CertsPerSlotMax = 4096, 1<<16, 100 },
		"BatchTxsMax":     func(p *Params) { p.BatchTxsMax = 0 }, // and what a module sees
	} {
		params := DefaultParams(4)
		spoil(&params)
		_, err := New(Config{
			Genesis: types.EqualConfiguration(4), Crypto: crypto.NewSimulated(1, 0, 4), App: &app.Chain{}, Params: params,
		})
		if err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("bad %s: error %v", setting, err)
		}
	}
}

// A faulty leader gets everybody's signature into every certificate. A new view
// that no network carries would end the segment for good.
func TestTheLargestNewViewOfTheDefaultsCanBeSent(t *testing.T) {
	for _, n := range []int{1, 2, 4, 7, 16, 32, 64, 112, 128, 200, 512, 1024} {
		p := DefaultParams(n)
		if err := p.Validate(quorum.Equal(n)); err != nil {
			t.Errorf("n=%d: %v", n, err)
		}
		// Members come and go after genesis. An epoch's slots are too many for a
		// small part of those whom it is made for.
		for later := max(1, n/8); later <= min(p.EpochLength, types.MaxReplicas); later++ {
			if err := p.checkSegments(quorum.Equal(later)); err != nil {
				t.Errorf("n=%d, %d members later: %v", n, later, err)
				break
			}
		}
	}
}

// Of these the one with the weight is the only one that is sure to lead.
func TestTheLargestNewViewDependsOnWeights(t *testing.T) {
	weights := slices.Repeat([]uint64{1}, 128)
	p := DefaultParams(len(weights))
	if err := p.Validate(quorum.Equal(len(weights))); err != nil {
		t.Fatal(err)
	}
	weights[0] = 1000
	members, err := quorum.New(weights)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(members); err == nil || !strings.Contains(err.Error(), "CertsPerSlotMax") {
		t.Errorf("one leader of %d slots: error %v", p.EpochLength, err)
	}
}
