package workload

import (
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// virtualStepsMax ends a virtual run that never gets done.
const virtualStepsMax = 1 << 40

// drainMax is the virtual time after which what is missing is lost.
const drainMax = 10 * time.Minute

// VirtualConfig of a Virtual.
type VirtualConfig struct {
	N       int
	Seed    uint64
	Params  replica.Params
	Latency sim.Latency
	Rate    int            // transactions a second of virtual time
	Origins []types.NodeID // who gets them, in turn; nil for all replicas
}

// Virtual is the whole stack on n replicas in seeded virtual time, under an
// open loop of transactions. Signatures are simulated and counted: what a
// signature costs is not in the CPU time of a run, how many there are is exact.
type Virtual struct {
	cfg      VirtualConfig
	sim      *sim.Sim
	replicas []*replica.Replica
	cryptos  []*crypto.Counting
	source   *Source
	schedule Schedule

	submitted uint64
	waiting   uint64 // Invariant: deliveries that live replicas owe.
	tallies   []Tally
	latencies Histogram
	refused   error

	before counts // At the last Reset.
}

// counts are what metrics are the differences of.
type counts struct {
	txs, batches, messages, bytes, events uint64
	signs, verifies                       uint64
}

// Metrics of a virtual run since the last Reset. Equal runs give equal metrics.
type Metrics struct {
	MessagesPerTx, WireBytesPerTx, EventsPerTx float64
	SignsPerBatch, VerifiesPerBatch            float64
	P50, P99                                   time.Duration // from due to delivered at the origin
	TraceHash                                  uint64        // of all since the beginning
}

// NewVirtual makes replicas that have done nothing yet.
func NewVirtual(cfg VirtualConfig) (*Virtual, error) {
	s, err := sim.New(sim.Config{Seed: cfg.Seed, Codec: replica.NewCodec(), Network: sim.Network{Latency: cfg.Latency}, StepsMax: virtualStepsMax})
	if err != nil {
		return nil, err
	}
	nodes := quorum.Equal(cfg.N).Nodes()
	if cfg.Origins == nil {
		cfg.Origins = nodes
	}
	v := &Virtual{
		cfg: cfg, sim: s, source: NewSource(cfg.Seed, Clients, PayloadBytes),
		schedule: NewSchedule(0, 0, cfg.Rate), tallies: make([]Tally, cfg.N),
	}
	for _, id := range nodes {
		if err := v.addReplica(id); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *Virtual) addReplica(id types.NodeID) error {
	counting := crypto.NewCounting(crypto.NewSimulated(v.cfg.Seed, id, v.cfg.N))
	r, err := replica.New(replica.Config{
		Node: id, Genesis: types.EqualConfiguration(v.cfg.N), Crypto: counting, App: &app.Chain{}, Params: v.cfg.Params,
		Results: mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) { v.onResult(id, ev) }),
	})
	if err != nil {
		return err
	}
	v.replicas, v.cryptos = append(v.replicas, r), append(v.cryptos, counting)
	node, err := v.sim.AddNode(sim.NodeConfig{Names: r.Names, Modules: r.Modules, Net: r.IDs.Net, Timer: r.IDs.Timer})
	if err != nil {
		return err
	}
	v.sim.Inject(node, r.Boot()...)
	return nil
}

// onResult is the results module of a replica.
func (v *Virtual) onResult(id types.NodeID, ev mir.Event) {
	switch e := ev.Body.(type) {
	case types.Delivered:
		i := v.source.Index(e.Tx.TxID)
		v.tallies[id].Add(i)
		v.waiting--
		if id == v.origin(i) {
			v.latencies.Record(v.sim.Now() - v.schedule.Due(i))
		}
	case types.SubmitResult:
		if e.Err != nil && v.refused == nil {
			v.refused = fmt.Errorf("transaction %d: %w", v.source.Index(e.ID), e.Err)
		}
	}
}

func (v *Virtual) origin(i uint64) types.NodeID {
	return v.cfg.Origins[i%uint64(len(v.cfg.Origins))]
}

// Submit hands over the next transaction when it is due, after all that happens
// before.
func (v *Virtual) Submit() error {
	i := v.submitted
	if err := v.sim.Run(v.schedule.Due(i)); err != nil {
		return err
	}
	v.submitted++
	for id := range v.replicas {
		if !v.sim.Crashed(types.NodeID(id)) {
			v.waiting++
		}
	}
	to := v.origin(i)
	v.sim.Inject(to, mir.Event{To: v.replicas[to].IDs.Mempool, Body: types.Submit{Tx: v.source.Tx(i)}})
	return nil
}

// Drain closes the batches that are being filled, and runs until every live
// replica has delivered every transaction.
func (v *Virtual) Drain() error {
	for _, id := range v.cfg.Origins {
		v.sim.Inject(id, mir.Event{To: v.replicas[id].IDs.Mempool, Body: types.Flush{}})
	}
	last := v.sim.Now() + drainMax
	err := v.sim.RunUntil(func() bool { return v.waiting == 0 || v.sim.Now() > last }, virtualStepsMax)
	if err == nil && v.waiting > 0 {
		err = fmt.Errorf("%v have passed", drainMax)
	}
	if err != nil {
		return fmt.Errorf("with %d deliveries missing: %w", v.waiting, err)
	}
	return nil
}

// Reset begins the part of a run that counts. Transactions are due from now on.
// The run must be drained.
func (v *Virtual) Reset() {
	v.latencies.Reset()
	v.schedule = NewSchedule(v.submitted, v.sim.Now(), v.cfg.Rate)
	v.before = v.counts()
}

// Crash stops a replica, which owes no delivery any more.
func (v *Virtual) Crash(id types.NodeID) {
	v.sim.Crash(id)
	v.waiting -= v.submitted - v.tallies[id].Count()
}

// Now is the virtual time.
func (v *Virtual) Now() time.Duration { return v.sim.Now() }

// Check tells whether all live replicas delivered all transactions exactly once
// and agree, and no view changed.
func (v *Virtual) Check() error {
	if err := v.CheckDelivered(); err != nil {
		return err
	}
	for id, r := range v.replicas {
		if s := r.Stats(); s.PBFT.ViewChanges > 0 {
			return VoidError{fmt.Sprintf("replica %d left %d views", id, s.PBFT.ViewChanges)}
		}
	}
	return nil
}

// CheckDelivered is Check without a look at views.
func (v *Virtual) CheckDelivered() error {
	if v.refused != nil {
		return v.refused
	}
	witness := -1
	for id, r := range v.replicas {
		if v.sim.Crashed(types.NodeID(id)) {
			continue
		}
		if !v.tallies[id].IsUpTo(v.submitted) {
			return fmt.Errorf("replica %d did not deliver each of %d transactions once: it delivered %d", id, v.submitted, v.tallies[id].Count())
		}
		if witness < 0 {
			witness = id
		}
		if r.AppHash() != v.replicas[witness].AppHash() {
			return fmt.Errorf("the states of replicas %d and %d differ", witness, id)
		}
	}
	return nil
}

func (v *Virtual) counts() counts {
	total := v.sim.Total()
	c := counts{
		txs: v.submitted, batches: v.replicas[v.cfg.Origins[0]].Stats().Delivery.Batches,
		messages: total.MessagesSent, bytes: total.WireBytesSent, events: total.EventsApplied,
	}
	for _, counting := range v.cryptos {
		c.signs += counting.Counts().Signs
		c.verifies += counting.Counts().Verifies
	}
	return c
}

// Metrics of the run since the last Reset. It must be drained.
func (v *Virtual) Metrics() Metrics {
	now, was := v.counts(), v.before
	txs, batches := float64(now.txs-was.txs), float64(now.batches-was.batches)
	return Metrics{
		MessagesPerTx:    float64(now.messages-was.messages) / txs,
		WireBytesPerTx:   float64(now.bytes-was.bytes) / txs,
		EventsPerTx:      float64(now.events-was.events) / txs,
		SignsPerBatch:    float64(now.signs-was.signs) / batches,
		VerifiesPerBatch: float64(now.verifies-was.verifies) / batches,
		P50:              v.latencies.Quantile(0.5),
		P99:              v.latencies.Quantile(0.99),
		TraceHash:        v.sim.TraceHash(),
	}
}
