package replica

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/delivery"
	"github.com/perfgate/perfgate/trantor/store/simdisk"
	"github.com/perfgate/perfgate/trantor/types"
)

// retryEvery is how often clients submit again what nobody has delivered.
const retryEvery = 250 * time.Millisecond

// lasting is a simulated system whose replicas have disks and come back.
type lasting struct {
	t       *testing.T
	sim     *sim.Sim
	genesis types.Configuration
	params  Params
	lives   []*life

	pending          map[types.TxID]types.Tx // Submitted and delivered nowhere.
	sequence         map[place]types.TxID
	submitted, votes uint64 // Transactions of clients, and of types.ConfigClient.
}

// life is one replica from crash to crash.
type life struct {
	replica *Replica
	disk    *simdisk.Disk
	down    bool
	at      place // Of the latest delivery.
	configs map[types.Epoch]types.EpochConfig
	runs    int
}

// lastingSystem is the system's name.
const lastingSystem = "lasting"

// place is where in the log a transaction was delivered.
type place struct {
	seq types.SeqNr
	no  int
}

// newLasting makes the members of genesis; disk says which disk each has.
func newLasting(t *testing.T, seed uint64, genesis types.Configuration, change func(*Params), disk ...func(node int) simdisk.Options) *lasting {
	t.Helper()
	s, err := sim.New(sim.Config{Seed: seed, Codec: NewCodec(), Network: sim.Network{
		Latency: sim.Uniform(time.Millisecond, 10*time.Millisecond), LossRate: 0.02,
	}})
	if err != nil {
		t.Fatal(err)
	}
	n := len(genesis.Members)
	l := &lasting{
		t: t, sim: s, genesis: genesis, params: DefaultParams(n), pending: map[types.TxID]types.Tx{},
		sequence: map[place]types.TxID{},
	}
	p := &l.params
	p.EpochLength, p.KeepEpochs, p.BatchTxsMax = 2*n, 1, 8
	p.ViewTimeout, p.RetryAfter, p.ResendAfter, p.CatchUpAfter = 300*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond, 400*time.Millisecond
	if change != nil {
		change(p)
	}
	for node := range n {
		opts := simdisk.Options{Latency: time.Millisecond}
		for _, d := range disk {
			opts = d(node)
		}
		l.add(opts)
	}
	return l
}

// add begins the first life of the next replica.
func (l *lasting) add(disk simdisk.Options) {
	l.t.Helper()
	node := len(l.lives)
	l.lives = append(l.lives, &life{disk: simdisk.New(disk), configs: map[types.Epoch]types.EpochConfig{}})
	if _, err := l.sim.AddNode(l.wire(node)); err != nil {
		l.t.Fatal(err)
	}
	l.sim.Inject(types.NodeID(node), l.lives[node].replica.Boot()...)
}

// wire makes the modules of a replica of what its disk holds.
func (l *lasting) wire(node int) sim.NodeConfig {
	l.t.Helper()
	life := l.lives[node]
	r, err := New(Config{
		Node: types.NodeID(node), Genesis: l.genesis, System: lastingSystem, Crypto: crypto.NewSimulated(1, types.NodeID(node), 32),
		App: &app.Chain{}, Params: l.params, Durable: true, Records: life.disk.Records(),
		Results: mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) { l.onResult(node, ev) }),
	})
	if err != nil {
		l.t.Fatalf("replica %d, life %d: %v", node, life.runs, err)
	}
	life.replica, life.down, life.at = r, false, place{}
	life.runs++
	modules := append([]mir.Registration{{ID: r.IDs.Store, Module: life.disk.Module(r.IDs.Store, r.IDs.Timer)}}, r.Modules...)
	return sim.NodeConfig{Names: r.Names, Modules: modules, Net: r.IDs.Net, Timer: r.IDs.Timer}
}

func (l *lasting) crash(node int) {
	l.lives[node].down = true
	l.sim.Crash(types.NodeID(node))
	l.lives[node].disk.Crash(rand.New(rand.NewPCG(1, uint64(node))))
}

func (l *lasting) restart(node int) {
	l.t.Helper()
	if err := l.sim.Restart(types.NodeID(node), l.wire(node)); err != nil {
		l.t.Fatal(err)
	}
	l.sim.Inject(types.NodeID(node), l.lives[node].replica.Boot()...)
}

// onResult checks that all replicas deliver the same at each place of the log.
func (l *lasting) onResult(node int, ev mir.Event) {
	life := l.lives[node]
	switch e := ev.Body.(type) {
	case types.Delivered:
		if e.Seq == life.at.seq {
			life.at.no++
		} else {
			life.at = place{seq: e.Seq, no: 1}
		}
		if have, ok := l.sequence[life.at]; ok && have != e.Tx.TxID {
			l.t.Errorf("replica %d delivers %v at %v, another %v", node, e.Tx.TxID, life.at, have)
		}
		l.sequence[life.at] = e.Tx.TxID
		delete(l.pending, e.Tx.TxID)
	case types.EpochConfig:
		life.configs[e.Epoch] = e
	case types.Restored:
		for _, config := range e.Configs {
			life.configs[config.Epoch] = config
		}
	}
}

// load submits more transactions over a time, and again until they are delivered.
func (l *lasting) load(count int, over time.Duration) {
	for i := range count {
		id := types.TxID{Client: types.ClientID(l.submitted % 5), No: types.TxNo(l.submitted / 5)}
		l.submitted++
		l.pending[id] = types.Tx{TxID: id, Payload: fmt.Append(nil, id)}
		l.sim.At(l.sim.Now()+time.Duration(i)*over/time.Duration(count), func() { l.submit(id) })
	}
}

// submit hands a transaction to all replicas that are up, and looks again later.
func (l *lasting) submit(id types.TxID) {
	tx, ok := l.pending[id]
	if !ok {
		return
	}
	for node, life := range l.lives {
		if !life.down {
			l.sim.Inject(types.NodeID(node), mir.Event{To: life.replica.IDs.Mempool, Body: types.Submit{Tx: tx}})
		}
	}
	l.sim.At(l.sim.Now()+retryEvery, func() { l.submit(id) })
}

// vote lets replicas vote for a change of the members.
func (l *lasting) vote(change types.Member, voters ...types.NodeID) {
	for _, voter := range voters {
		l.votes++
		id := types.TxID{Client: types.ConfigClient, No: types.TxNo(l.votes - 1)}
		signer := crypto.NewBound(crypto.NewSimulated(1, voter, 32), lastingSystem)
		vote := delivery.SignReconfig(signer, types.Reconfig{Voter: voter, No: l.votes, Change: change})
		l.pending[id] = types.Tx{TxID: id, Payload: vote.Encode()}
		l.submit(id)
	}
}

func (l *lasting) run(d time.Duration) {
	l.t.Helper()
	if err := l.sim.Run(l.sim.Now() + d); err != nil {
		l.t.Fatal(err)
	}
}

// settle runs until everything is delivered and the nodes have one state.
func (l *lasting) settle(nodes ...int) {
	l.t.Helper()
	one := func() bool {
		if len(l.pending) > 0 {
			return false
		}
		return !slices.ContainsFunc(nodes, func(i int) bool {
			return l.lives[i].down || l.lives[i].replica.AppHash() != l.lives[nodes[0]].replica.AppHash()
		})
	}
	until := l.sim.Now() + 5*time.Minute
	if err := l.sim.RunUntil(func() bool { return l.sim.Now() > until || one() }, 20_000_000); err != nil {
		l.t.Fatalf("%v\n%s", err, l.describe())
	}
	if !one() {
		l.t.Fatalf("5 minutes passed\n%s", l.describe())
	}
}

func (l *lasting) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d transactions pending, first %v\n", len(l.pending), slices.MinFunc(append(slices.Collect(maps.Keys(l.pending)), types.TxID{Client: 1 << 62}),
		func(x, y types.TxID) int { return int(x.Client) - int(y.Client) }))
	for i, life := range l.lives {
		fmt.Fprintf(&b, "replica %d: life %d, down %v, at %v, state %s, %+v\n", i, life.runs, life.down, life.at, life.replica.AppHash(), life.replica.Stats())
	}
	return b.String()
}

// loadUntil keeps the log going until something has come about.
func (l *lasting) loadUntil(what string, cond func() bool) {
	l.t.Helper()
	for until := l.sim.Now() + 2*time.Minute; !cond(); {
		if l.sim.Now() > until {
			l.t.Fatalf("2 minutes passed, and not yet: %s\n%s", what, l.describe())
		}
		l.load(20, 200*time.Millisecond)
		l.run(400 * time.Millisecond)
	}
}

// weight is what a replica weighs in the epoch in which this one is.
func (life *life) weight(id types.NodeID) uint64 {
	return life.configs[life.replica.Stats().Epoch].Members.Weight(id)
}

func upTo[T ~int | ~uint32](n int) (all []T) {
	for i := range n {
		all = append(all, T(i))
	}
	return all
}
