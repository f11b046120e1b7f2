package simtest

import (
	"flag"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

var (
	oneSeed = flag.Int64("seed", -1, "run this seed of the sweep only")
	seeds   = flag.Uint64("seeds", 240, "how many seeds the sweep runs")
)

func TestSweep(t *testing.T) {
	first, last := uint64(0), *seeds
	if *oneSeed >= 0 {
		first, last = uint64(*oneSeed), uint64(*oneSeed)+1
	}
	sum := sweep(t, first, last)
	t.Logf("%s", sum)
	if *oneSeed < 0 && !t.Failed() {
		for what, n := range sum.shown() {
			if n == 0 {
				t.Errorf("the sweep shows nothing about %s: it never occurred", what)
			}
		}
	}
}

// sweep runs seeds, as many at a time as there are processors.
func sweep(t *testing.T, first, last uint64) *Totals {
	var (
		mu   sync.Mutex
		sum  Totals
		work sync.WaitGroup
		next atomic.Uint64
	)
	next.Store(first)
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for seed := next.Add(1) - 1; seed < last; seed = next.Add(1) - 1 {
				s := Draw(seed)
				r, err := Run(s)
				if err != nil {
					t.Errorf("%v\n%s\nreplay: go test ./trantor/simtest -run TestSweep -seed=%d", err, s, seed)
					continue
				}
				mu.Lock()
				sum.Add(s, r)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	return &sum
}

// shown is what a sweep must have seen to mean anything.
func (t *Totals) shown() map[string]uint64 {
	all := map[string]uint64{
		"deliveries": t.Deliveries, "view changes": t.ViewChanges, "requeued proposals": t.Requeued,
		"losses": t.Network.Lost, "blackouts": uint64(t.Blackouts), "restarts": t.Restarts,
		"crashes behind a checkpoint": t.Behind, "crashes while fetching": t.Fetching,
		"state transfers": t.Transfers, "reconfigurations": t.Changes,
		"crashes": uint64(t.Crashes), "partitions": uint64(t.Partitions), "client retries": t.Retries,
	}
	for _, act := range repertoire {
		all[act.name] = uint64(t.Acts[act.name])
	}
	return all
}

// Exactness: the seed alone decides a run.
func TestSameSeedSameRun(t *testing.T) {
	hashes := map[uint64]bool{}
	for seed := range uint64(6) {
		first, err := Run(Draw(seed))
		if err != nil {
			t.Fatal(err)
		}
		second, err := Run(Draw(seed))
		if err != nil {
			t.Fatal(err)
		}
		if first != second {
			t.Errorf("seed %d: %+v, and again %+v", seed, first, second)
		}
		hashes[first.TraceHash] = true
	}
	if len(hashes) != 6 {
		t.Errorf("6 seeds gave %d different runs", len(hashes))
	}
}

// Design: a wholly idle cluster sends nothing but heartbeats.
func TestIdleSystemSendsHeartbeatsOnly(t *testing.T) {
	s := calm(4)
	s.Txs = []Submission{{At: 0, Nodes: []types.NodeID{2}, Tx: types.Tx{TxID: types.TxID{Client: 1}}}}
	w, err := newWorld(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	before := w.sim.Total()
	if err := w.sim.Run(w.sim.Now() + time.Hour); err != nil {
		t.Fatal(err)
	}
	want := uint64(4 * 3 * (time.Hour / s.Params.HeartbeatAfter))
	if got := w.sim.Total().MessagesSent - before.MessagesSent; got != want || before.MessagesSent == 0 {
		t.Errorf("%d messages in an idle hour, want %d", got, want)
	}
}

// calm is n equal replicas without any fault or load, with epochs and timeouts as
// short as the sweep's.
func calm(n int) Scenario {
	p := replica.DefaultParams(n)
	p.EpochLength, p.EpochsAheadMax, p.CertsPerSlotMax, p.BatchTxsMax = 4*n, 2, 2, 4
	p.ClientWindow, p.BatchWindow = 256, 64
	p.ViewTimeout, p.RetryAfter, p.ResendAfter = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	p.CatchUpAfter = 500 * time.Millisecond
	return Scenario{
		Seed: 1, Genesis: types.EqualConfiguration(n), Params: p, FaultsEnd: time.Second,
		Network: sim.Network{Latency: sim.Fixed(time.Millisecond)},
	}
}

// A seed means the same scenario as long as Draw does not change.
func TestDrawnFaultsStayWithinTheirBudget(t *testing.T) {
	for seed := range uint64(500) {
		s := Draw(seed)
		members := must(s.Genesis.Quorums())
		var weight uint64
		for _, id := range s.villains() {
			weight += members.Weight(id)
		}
		gone := map[types.NodeID]bool{}
		for _, c := range s.Crashes {
			if c.Down == Forever && !gone[c.Node] {
				gone[c.Node] = true
				weight += members.Weight(c.Node)
			}
			if slices.Contains(s.villains(), c.Node) {
				t.Errorf("seed %d: replica %d is Byzantine and crashes", seed, c.Node)
			}
		}
		if weight > members.FaultyMax() {
			t.Errorf("seed %d: faulty weight %d, at most %d", seed, weight, members.FaultyMax())
		}
	}
}

// A replica that sleeps while the others go on is crashed when it is brought up to
// date, and is so in its next life.
func TestCrashesWaitForTheirSituation(t *testing.T) {
	for _, situation := range []Situation{Behind, Fetching} {
		s := calm(4)
		s.Durable, s.Disk, s.FaultsEnd = true, time.Millisecond, 2*time.Second
		s.Partitions = []sim.Partition{{Start: 0, Heal: s.FaultsEnd, Side: []types.NodeID{3}}}
		s.Crashes = []Crash{{Node: 3, While: situation, Steps: 1, Down: time.Second}}
		for no := range 200 {
			at := time.Duration(no) * 10 * time.Millisecond
			s.Txs = append(s.Txs, Submission{At: at, Nodes: []types.NodeID{types.NodeID(no % 3)}, Tx: tx(no, "x")})
		}
		r, err := Run(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := map[Situation]uint64{Behind: r.Behind, Fetching: r.Fetching}[situation]; got != 1 || r.Restarts != 1 || r.Transfers == 0 {
			t.Errorf("%s: %d crashes, %d restarts, %d state transfers", situation, got, r.Restarts, r.Transfers)
		}
	}
}
