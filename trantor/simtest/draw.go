package simtest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/ordering/iss"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// Limits of what Draw draws.
const (
	loadEnd      = 2 * time.Second // Submissions and crashes come before.
	clientsMost  = 4
	txsMost      = 80
	latencyMost  = 150 * time.Millisecond // Against view timeouts from 100 ms on.
	lossMost     = 0.1
	partitionMax = time.Second
	blackoutMax  = 500 * time.Millisecond
	downMax      = 800 * time.Millisecond
	writesMost   = 150 // A replica writes about as often in a run.
	stragglerMax = time.Second
	ambushBits   = 9 // A replica takes some hundred steps while it fetches a snapshot.
)

// Draw makes a scenario of a seed.
func Draw(seed uint64) Scenario {
	rng := rand.New(rand.NewPCG(seed, 0x73696d74657374))
	n := drawSize(rng)
	s := Scenario{Seed: seed, Genesis: types.WeightedConfiguration(drawWeights(rng, n)), FaultsEnd: loadEnd}
	s.drawParams(rng)
	s.drawNetwork(rng)
	for range rng.IntN(3) {
		s.drawPartition(rng)
	}
	s.drawFaulty(rng)
	s.drawChanges(rng)
	s.drawLoad(rng)
	s.drawAmbushes(rand.New(rand.NewPCG(seed, 0x616d62757384)))
	return s
}

// drawSize prefers small systems: they are the cheapest that show most.
func drawSize(rng *rand.Rand) int {
	switch at := rng.IntN(32); {
	case at == 0:
		return 16
	case at < 3:
		return 10
	case at < 7:
		return 1
	case at < 15:
		return 7
	default:
		return 4
	}
}

// drawWeights gives a quarter of the systems unequal votes.
func drawWeights(rng *rand.Rand, n int) []uint64 {
	weights := make([]uint64, n)
	unequal := rng.IntN(4) == 0
	for i := range weights {
		weights[i] = 1
		if unequal {
			weights[i] = 1 + rng.Uint64N(4)
		}
	}
	return weights
}

// chance is one in n.
func chance(rng *rand.Rand, n int) bool { return rng.IntN(n) == 0 }

func upTo(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most) + 1))
}

// drawParams keeps epochs short, so that a run sees many, and all limits low.
func (s *Scenario) drawParams(rng *rand.Rand) {
	n := s.N()
	p := replica.DefaultParams(n)
	p.EpochLength = n * (1 + rng.IntN(4))
	p.EpochsAheadMax = 1 + rng.IntN(3)
	p.CertsPerSlotMax = 1 + rng.IntN(3)
	p.OwnInFlightMax = 1 + rng.IntN(3)
	p.BatchTxsMax = 1 + rng.IntN(4)
	p.CloseWhenIdle = chance(rng, 2)
	p.ViewTimeout = 100*time.Millisecond + upTo(rng, 400*time.Millisecond)
	p.RetryAfter = 100*time.Millisecond + upTo(rng, 400*time.Millisecond)
	p.ResendAfter = p.RetryAfter
	p.CatchUpAfter = 100*time.Millisecond + upTo(rng, 900*time.Millisecond)
	p.KeepEpochs = 1
	p.LeaderPolicy = []iss.Policy{iss.RoundRobin, iss.Blacklist, iss.Backoff}[rng.IntN(3)]
	p.HeartbeatAfter = 200*time.Millisecond + upTo(rng, 800*time.Millisecond)
	p.Buckets = 1 + rng.IntN(4*n)
	p.BucketGrace = 1 + rng.IntN(3)
	p.ClientOrder = chance(rng, 4)
	if chance(rng, 3) {
		p.ClientWindow = 8 + rng.IntN(16)
		p.BatchWindow = 4 + rng.IntN(8)
	}
	s.Params = p
}

// drawNetwork draws latency, duplicates, losses, blackouts, and in a quarter of
// the systems one replica whose links are slow.
func (s *Scenario) drawNetwork(rng *rand.Rand) {
	jitter := upTo(rng, latencyMost)
	slow, by := types.NodeID(s.N()), upTo(rng, stragglerMax)
	if chance(rng, 4) {
		slow = types.NodeID(rng.IntN(s.N()))
	}
	base := func(from, to types.NodeID) time.Duration {
		if from == slow || to == slow {
			return time.Millisecond + by
		}
		return time.Millisecond
	}
	s.Network = sim.Network{Latency: sim.Matrix(base, jitter), DuplicateRate: 0.2 * rng.Float64()}
	if !chance(rng, 3) {
		s.Network.LossRate = lossMost * rng.Float64()
	}
	if chance(rng, 4) {
		b := Blackout{Start: upTo(rng, loadEnd)}
		b.End = b.Start + time.Millisecond + upTo(rng, blackoutMax)
		s.Blackouts = append(s.Blackouts, b)
		s.FaultsEnd = max(s.FaultsEnd, b.End)
	}
}

// drawPartition separates two sides for a while.
func (s *Scenario) drawPartition(rng *rand.Rand) {
	p := sim.Partition{Start: upTo(rng, loadEnd), Mode: sim.Hold}
	if chance(rng, 2) {
		p.Mode = sim.Drop
	}
	p.Heal = p.Start + time.Millisecond + upTo(rng, partitionMax)
	for id := range types.NodeID(s.N()) {
		if chance(rng, 2) {
			p.Side = append(p.Side, id)
		}
	}
	s.Partitions = append(s.Partitions, p)
	s.FaultsEnd = max(s.FaultsEnd, p.Heal)
}

// drawFaulty makes replicas of weight up to f faulty, each of them Byzantine or
// crashed for good, and in half of the systems crashes any of the others, which
// come back.
func (s *Scenario) drawFaulty(rng *rand.Rand) {
	members := must(s.Genesis.Quorums())
	budget := members.FaultyMax()
	var faulty []types.NodeID
	for _, id := range order(rng, s.N()) {
		w := members.Weight(id)
		if w > budget || chance(rng, 3) {
			continue
		}
		budget -= w
		faulty = append(faulty, id)
		if chance(rng, 3) {
			s.Crashes = append(s.Crashes, Crash{Node: id, At: upTo(rng, loadEnd), Down: Forever})
		} else {
			s.Byzantine = append(s.Byzantine, Villain{Node: id, Acts: drawActs(rng)})
		}
	}
	slices.SortFunc(s.Byzantine, func(a, b Villain) int { return int(a.Node) - int(b.Node) })
	s.Durable = chance(rng, 2)
	if s.Durable {
		s.Disk = upTo(rng, 10*time.Millisecond)
		s.drawRestarts(rng, faulty)
	}
}

// drawRestarts crashes replicas that are otherwise correct, at a time or at a
// durable write, some of them more than once.
func (s *Scenario) drawRestarts(rng *rand.Rand, faulty []types.NodeID) {
	for range rng.IntN(4) {
		c := Crash{Node: types.NodeID(rng.IntN(s.N())), Down: time.Millisecond + upTo(rng, downMax)}
		if chance(rng, 2) {
			c.At = upTo(rng, loadEnd)
		} else {
			c.Write, c.AfterThen = 1+rng.Uint64N(writesMost), chance(rng, 2)
		}
		if !slices.Contains(faulty, c.Node) {
			s.Crashes = append(s.Crashes, c)
			s.FaultsEnd = max(s.FaultsEnd, c.At+c.Down)
		}
	}
}

// drawAmbushes crashes replicas that are otherwise correct when they are being
// brought up to date, should they ever be, some of them twice. It has a stream of its own, so
// that nothing else of a scenario depends on it.
func (s *Scenario) drawAmbushes(rng *rand.Rand) {
	if !s.Durable || chance(rng, 2) {
		return
	}
	faulty := s.villains()
	for _, c := range s.Crashes {
		if c.Down == Forever {
			faulty = append(faulty, c.Node)
		}
	}
	for id := range types.NodeID(s.N()) {
		if slices.Contains(faulty, id) || chance(rng, 3) {
			continue
		}
		for range 1 + rng.IntN(2) {
			c := Crash{
				Node: id, At: upTo(rng, loadEnd), While: Behind,
				Steps: rng.IntN(1 << rng.IntN(ambushBits)), Down: time.Millisecond + upTo(rng, downMax),
			}
			if chance(rng, 2) {
				c.While = Fetching
			}
			s.Crashes = append(s.Crashes, c)
		}
	}
}

// drawChanges lets a replica join, leave or have other weight, in a fifth of the
// systems, as long as the faulty ones stay within what each configuration takes.
func (s *Scenario) drawChanges(rng *rand.Rand) {
	if !chance(rng, 5) {
		return
	}
	config, at := s.Genesis, time.Duration(0)
	for range 1 + rng.IntN(3) {
		m := types.Member{Node: types.NodeID(rng.IntN(len(config.Members) + 1)), Weight: rng.Uint64N(4)}
		next, err := config.With(m)
		if err != nil || !s.endures(next) || int(m.Node) < len(config.Members) && m.Equal(config.Members[m.Node]) {
			continue
		}
		at += upTo(rng, loadEnd/4)
		s.Changes = append(s.Changes, Change{At: at, Member: m})
		config = next
	}
	s.Joiners = len(config.Members) - len(s.Genesis.Members)
	s.Params.EpochLength = max(s.Params.EpochLength, s.N())
}

// endures tells whether a configuration takes the faults that are drawn.
func (s *Scenario) endures(config types.Configuration) bool {
	members := must(config.Quorums())
	var weight uint64
	for _, id := range s.villains() {
		weight += members.Weight(id)
	}
	for _, c := range s.Crashes {
		if c.Down == Forever {
			weight += members.Weight(c.Node)
		}
	}
	return weight <= members.FaultyMax()
}

// drawActs draws one to three kinds of mischief.
func drawActs(rng *rand.Rand) []string {
	var acts []string
	for _, at := range rng.Perm(len(repertoire))[:1+rng.IntN(3)] {
		acts = append(acts, repertoire[at].name)
	}
	return acts
}

// order is the replicas in a random order.
func order(rng *rand.Rand, n int) []types.NodeID {
	ids := make([]types.NodeID, n)
	for i, id := range rng.Perm(n) {
		ids[i] = types.NodeID(id)
	}
	return ids
}

// drawLoad gives each client its numbers in a random order, so that windows are
// used. Half of the transactions are given once, to one replica or two; the
// clients of the others try until they have their answer, as all do where one that
// is lost would keep those after it.
func (s *Scenario) drawLoad(rng *rand.Rand) {
	for no := range 1 + rng.IntN(txsMost) {
		tx := types.Tx{
			TxID:    types.TxID{Client: types.ClientID(no % clientsMost), No: types.TxNo(no / clientsMost)},
			Payload: make([]byte, rng.IntN(64)),
		}
		for i := range tx.Payload {
			tx.Payload[i] = byte(rng.Uint32())
		}
		sub := Submission{At: upTo(rng, loadEnd), Tx: tx, Nodes: order(rng, s.N())[:1+rng.IntN(min(2, s.N()))]}
		if chance(rng, 2) || s.Params.ClientOrder || s.Params.ClientWindow < txsMost/clientsMost {
			sub.RetryEvery = 200*time.Millisecond + upTo(rng, 800*time.Millisecond)
		}
		s.Txs = append(s.Txs, sub)
	}
}

// must is for what the arguments make sure of.
func must(m quorum.Membership, err error) quorum.Membership {
	if err != nil {
		panic(err)
	}
	return m
}
