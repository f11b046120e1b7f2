package pbft

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// lossy is a segment of four slots on n replicas under virtual time, with a
// network that loses messages and replicas that restart from their disks.
type lossy struct {
	t       *testing.T
	sim     *sim.Sim
	segment types.Segment
	nodes   []*lossyNode
}

type lossyNode struct {
	l        *lossy
	id       types.NodeID
	instance *Instance
	disk     map[string]string
	decided  map[types.SeqNr]types.Digest
	stats    Stats
}

func newLossy(t *testing.T, seed uint64, n int, network sim.Network) *lossy {
	codec := &types.Codec{}
	RegisterMessages(codec)
	s, err := sim.New(sim.Config{Seed: seed, Codec: codec, Network: network})
	if err != nil {
		t.Fatal(err)
	}
	l := &lossy{t: t, sim: s}
	for at := range 4 {
		l.segment.Slots = append(l.segment.Slots, types.SeqNr(at*n))
	}
	for id := range types.NodeID(n) {
		node := &lossyNode{l: l, id: id, disk: map[string]string{}, decided: map[types.SeqNr]types.Digest{}}
		l.nodes = append(l.nodes, node)
		if _, err := s.AddNode(node.build(n)); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// build makes the node's modules from what is on its disk.
func (n *lossyNode) build(replicas int) sim.NodeConfig {
	names := &mir.Names{}
	for _, name := range []string{"log", "net", "timer", "store"} {
		names.Intern(name)
	}
	n.instance = New(Config{
		Node: n.id, Members: quorum.Equal(replicas), Crypto: crypto.NewSimulated(1, n.id, replicas),
		Log: logModule, Net: netModule, Timer: timerModule, Store: storeModule,
		Validate: func(types.Proposal) error { return nil }, CertsMax: 1,
		Timeout: time.Second, ResendAfter: 100 * time.Millisecond, Stats: &n.stats,
	}, n.l.segment, instanceSub)
	var records []types.Record
	for _, key := range slices.Sorted(maps.Keys(n.disk)) {
		records = append(records, types.Record{Key: []byte(key), Value: []byte(n.disk[key])})
	}
	if _, err := n.instance.Recover(records); err != nil {
		n.l.t.Fatal(err)
	}
	return sim.NodeConfig{Names: names, Net: netModule, Timer: timerModule, Modules: []mir.Registration{
		{ID: logModule, Module: mir.ModuleFunc(n.log)}, {ID: storeModule, Module: mir.ModuleFunc(n.store)},
	}}
}

func (n *lossyNode) log(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.SlotDecided:
		if was, again := n.decided[e.Seq]; again && was != digestOf(e.Proposal) {
			n.l.t.Errorf("replica %d decides slot %d differently after a restart", n.id, e.Seq)
		}
		n.decided[e.Seq] = digestOf(e.Proposal)
	case types.SlotProposed, types.LeaderDeposed:
	default:
		n.instance.Apply(ev, out)
	}
}

func (n *lossyNode) store(ev mir.Event, out *mir.Out) {
	e := ev.Body.(types.Persist)
	for _, rec := range e.Puts {
		n.disk[string(rec.Key)] = string(rec.Value)
	}
	for _, then := range e.Then {
		out.EmitSub(then.To, then.Sub, then.Body)
	}
}

func (l *lossy) inject(id types.NodeID, body mir.Body) {
	l.sim.Inject(id, mir.Event{To: logModule, Sub: instanceSub, Body: body})
}

func (l *lossy) needAll() {
	for _, n := range l.nodes {
		for _, seq := range l.segment.Slots {
			l.inject(n.id, types.SlotNeeded{Seq: seq})
		}
	}
}

func (l *lossy) restart(id types.NodeID) {
	l.sim.Crash(id)
	clear(l.nodes[id].decided)
	if err := l.sim.Restart(id, l.nodes[id].build(len(l.nodes))); err != nil {
		l.t.Fatal(err)
	}
	l.inject(id, types.Boot{})
	for _, seq := range l.segment.Slots {
		l.inject(id, types.SlotNeeded{Seq: seq})
	}
}

// wantDecided runs until all replicas have decided all slots, within a time.
func (l *lossy) wantDecided(within time.Duration) {
	l.t.Helper()
	all := func() bool {
		return l.sim.Now() > within || !slices.ContainsFunc(l.nodes, func(n *lossyNode) bool { return len(n.decided) < len(l.segment.Slots) })
	}
	if err := l.sim.RunUntil(all, 5_000_000); err != nil {
		l.t.Fatal(err)
	}
	for _, n := range l.nodes {
		if len(n.decided) < len(l.segment.Slots) {
			l.t.Errorf("seed %d: replica %d has decided %d slots after %v", l.sim.Seed(), n.id, len(n.decided), within)
		}
		if !maps.Equal(n.decided, l.nodes[0].decided) {
			l.t.Errorf("seed %d: replicas 0 and %d disagree", l.sim.Seed(), n.id)
		}
	}
}

// Three of ten messages are lost, some come twice, and two replicas restart, the
// leader among them in half of the runs.
func TestSegmentEndsUnderLossAndRestarts(t *testing.T) {
	for seed := range uint64(40) {
		l := newLossy(t, seed, 4, sim.Network{
			Latency: sim.Uniform(time.Millisecond, 40*time.Millisecond), LossRate: 0.3, DuplicateRate: 0.1,
		})
		for at := range 3 { // The leader keeps silent about the last slot.
			l.inject(0, types.Propose{Seq: l.segment.Slots[at], Proposal: value(at)})
		}
		l.needAll()
		for at := range types.NodeID(2) {
			l.sim.At(time.Duration(20+seed*7)*time.Millisecond, func() { l.restart(types.NodeID(seed+uint64(at)) % 4) })
		}
		l.wantDecided(time.Minute)
	}
}

// A replica that everything passes by has the slots a round trip and three ticks
// after the network lets it hear: it has not even to change the view.
func TestReplicaAloneBehindDecidesWithinTicks(t *testing.T) {
	for _, loss := range []float64{0, 0.2} {
		l := newLossy(t, 3, 4, sim.Network{Filter: func(p sim.Packet) sim.Fate {
			return sim.Fate{Drop: p.To == 3 || p.From == 3}
		}})
		for at, seq := range l.segment.Slots {
			l.inject(0, types.Propose{Seq: seq, Proposal: value(at)})
		}
		if err := l.sim.Run(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		if err := l.sim.SetNetwork(sim.Network{LossRate: loss}); err != nil {
			t.Fatal(err)
		}
		l.needAll()
		within := 300*time.Millisecond + 2*time.Millisecond
		if loss > 0 {
			within = time.Second
		}
		l.wantDecided(l.sim.Now() + within)
		if got := l.nodes[3].stats.ViewChanges; loss == 0 && got > 0 {
			t.Errorf("%d view changes", got)
		}
	}
}
