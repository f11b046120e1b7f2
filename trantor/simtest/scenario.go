package simtest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// Scenario is everything that decides a run.
type Scenario struct {
	Seed   uint64
	N      int
	Params replica.Params

	Network    sim.Network // Until FaultsEnd. Its Filter is set by Run.
	Partitions []sim.Partition
	Crashes    []Crash
	Byzantine  []types.NodeID
	Txs        []Submission
	FaultsEnd  time.Duration // Then every partition has healed and messages are timely.

	// Genesis is what a replica believes the replicas to be. Nil means the
	// truth, N replicas of weight 1; anything else is a broken system.
	Genesis func(types.NodeID) types.Configuration
}

// Crash stops a replica for good.
type Crash struct {
	Node types.NodeID
	At   time.Duration
}

// Submission is a transaction given to some replicas at once.
type Submission struct {
	At    time.Duration
	Nodes []types.NodeID
	Tx    types.Tx
}

// Limits of what Draw draws.
const (
	loadEnd      = 2 * time.Second // Submissions and crashes come before.
	clients      = 4
	txsMost      = 80
	latencyMost  = 150 * time.Millisecond // Against view timeouts from 100 ms on.
	partitionMax = time.Second
)

// Draw makes a scenario of a seed.
func Draw(seed uint64) Scenario {
	rng := rand.New(rand.NewPCG(seed, 0x73696d74657374))
	s := Scenario{Seed: seed, N: []int{1, 4, 7}[rng.IntN(3)]}
	s.drawParams(rng)
	s.Network = sim.Network{
		Latency:       sim.Uniform(time.Millisecond, time.Millisecond+upTo(rng, latencyMost)),
		DuplicateRate: 0.2 * rng.Float64(),
	}
	s.FaultsEnd = loadEnd
	for range rng.IntN(3) {
		s.drawPartition(rng)
	}
	s.drawFaulty(rng)
	s.drawLoad(rng)
	return s
}

func upTo(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most) + 1))
}

// drawParams keeps epochs short, so that a run sees many, and all limits low
// except EarlyMessageMax: a message that it drops would not come again.
func (s *Scenario) drawParams(rng *rand.Rand) {
	p := replica.DefaultParams(s.N)
	p.EpochLength = s.N * (1 + rng.IntN(4))
	p.EpochsAheadMax = 1 + rng.IntN(3)
	p.CertsPerSlotMax = 1 + rng.IntN(3)
	p.OwnInFlightMax = 1 + rng.IntN(3)
	p.BatchTxsMax = 1 + rng.IntN(4)
	p.CloseWhenIdle = rng.IntN(2) == 0
	p.ViewTimeout = 100*time.Millisecond + upTo(rng, 400*time.Millisecond)
	p.RetryAfter = 100*time.Millisecond + upTo(rng, 400*time.Millisecond)
	p.EarlyMessageMax = 1 << 16
	p.KeepEpochs = 1
	s.Params = p
}

// drawPartition holds messages between two sides for a while.
func (s *Scenario) drawPartition(rng *rand.Rand) {
	p := sim.Partition{Start: upTo(rng, loadEnd), Mode: sim.Hold}
	p.Heal = p.Start + time.Millisecond + upTo(rng, partitionMax)
	for id := range types.NodeID(s.N) {
		if rng.IntN(2) == 0 {
			p.Side = append(p.Side, id)
		}
	}
	s.Partitions = append(s.Partitions, p)
	s.FaultsEnd = max(s.FaultsEnd, p.Heal)
}

// drawFaulty makes up to f replicas faulty, each of them Byzantine or crashing.
// A Byzantine replica and a partition together may leave a correct replica
// further behind what the others have collected than KeepEpochs helps, and only
// state transfer would: nothing is collected in such runs.
func (s *Scenario) drawFaulty(rng *rand.Rand) {
	f := int(quorum.Equal(s.N).FaultyMax())
	for _, id := range rng.Perm(s.N)[:rng.IntN(f+1)] {
		if rng.IntN(2) == 0 {
			s.Byzantine = append(s.Byzantine, types.NodeID(id))
		} else {
			s.Crashes = append(s.Crashes, Crash{Node: types.NodeID(id), At: upTo(rng, loadEnd)})
		}
	}
	slices.Sort(s.Byzantine)
	if len(s.Byzantine) > 0 && len(s.Partitions) > 0 {
		s.Params.KeepEpochs = 1000
	}
}

// drawLoad gives each client its numbers in a random order, so that windows are
// used, and some transactions to several replicas.
func (s *Scenario) drawLoad(rng *rand.Rand) {
	for no := range 1 + rng.IntN(txsMost) {
		tx := types.Tx{
			TxID:    types.TxID{Client: types.ClientID(no % clients), No: types.TxNo(no / clients)},
			Payload: make([]byte, rng.IntN(64)),
		}
		for i := range tx.Payload {
			tx.Payload[i] = byte(rng.Uint32())
		}
		sub := Submission{At: upTo(rng, loadEnd), Tx: tx}
		for _, id := range rng.Perm(s.N)[:1+rng.IntN(min(2, s.N))] {
			sub.Nodes = append(sub.Nodes, types.NodeID(id))
		}
		s.Txs = append(s.Txs, sub)
	}
}
