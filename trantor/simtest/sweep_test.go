package simtest

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/types"
)

var (
	oneSeed = flag.Int64("seed", -1, "run this seed of the sweep only")
	seeds   = flag.Uint64("seeds", 240, "how many seeds the sweep runs")
)

// totals sums up a sweep.
type totals struct {
	mu sync.Mutex
	Result
	seeds, crashes, byzantine, partitions int
}

func (t *totals) add(s Scenario, r Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seeds++
	t.crashes += len(s.Crashes)
	t.byzantine += len(s.Byzantine)
	t.partitions += len(s.Partitions)
	t.Steps += r.Steps
	t.Deliveries += r.Deliveries
	t.ViewChanges += r.ViewChanges
	t.Requeued += r.Requeued
	t.Epochs += r.Epochs
}

func TestSweep(t *testing.T) {
	first, last := uint64(0), *seeds
	if *oneSeed >= 0 {
		first, last = uint64(*oneSeed), uint64(*oneSeed)+1
	}
	var sum totals
	t.Run("seeds", func(t *testing.T) {
		for seed := first; seed < last; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				s := Draw(seed)
				r, err := Run(s)
				if err != nil {
					t.Fatalf("%v\n%s\nreplay: go test ./trantor/simtest -run TestSweep -seed=%d", err, describe(s), seed)
				}
				sum.add(s, r)
			})
		}
	})
	t.Logf("%d seeds: %d steps, %d deliveries checked, %d view changes, %d proposals requeued, %d epochs; %d crashes, %d Byzantine replicas, %d partitions",
		sum.seeds, sum.Steps, sum.Deliveries, sum.ViewChanges, sum.Requeued, sum.Epochs, sum.crashes, sum.byzantine, sum.partitions)
	if *oneSeed < 0 && (sum.Deliveries == 0 || sum.ViewChanges == 0 || sum.Requeued == 0 || sum.crashes == 0 || sum.byzantine == 0) {
		t.Error("the sweep shows nothing: some fault or effect never occurred")
	}
}

func describe(s Scenario) string {
	return fmt.Sprintf("n=%d, epochs of %d slots, %d transactions, faults end at %v, crashes %v, Byzantine %v, partitions %+v",
		s.N, s.Params.EpochLength, len(s.Txs), s.FaultsEnd, s.Crashes, s.Byzantine, s.Partitions)
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

// Design: a wholly idle cluster sends nothing.
func TestIdleSystemSendsNothing(t *testing.T) {
	s := Scenario{Seed: 1, N: 4, FaultsEnd: time.Second}
	s.Params = Draw(1).Params
	s.Params.EpochLength = 16
	s.Network = sim.Network{Latency: sim.Fixed(time.Millisecond)}
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
	if after := w.sim.Total(); after != before || before.MessagesSent == 0 {
		t.Errorf("counters went from %+v to %+v in an idle hour", before, after)
	}
}
