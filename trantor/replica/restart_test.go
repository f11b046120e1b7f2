package replica

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/store/simdisk"
	"github.com/perfgate/perfgate/trantor/types"
)

func TestEachReplicaComesBack(t *testing.T) {
	l := newLasting(t, 1, types.EqualConfiguration(4), nil)
	l.load(200, 4*time.Second)
	for node := range 4 {
		l.run(500 * time.Millisecond)
		l.crash(node)
		l.run(300 * time.Millisecond)
		l.restart(node)
	}
	l.settle(upTo[int](4)...)
}

func TestAllReplicasComeBackAtOnce(t *testing.T) {
	for _, n := range []int{1, 4, 7} {
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			l := newLasting(t, uint64(n), types.EqualConfiguration(n), nil)
			l.load(100, 2*time.Second)
			for range 2 {
				l.run(700 * time.Millisecond)
				for node := range n {
					l.crash(node)
				}
				l.run(100 * time.Millisecond)
				for node := range n {
					l.restart(node)
				}
			}
			l.settle(upTo[int](n)...)
		})
	}
}

// What it missed is collected everywhere: only the snapshot helps.
func TestReplicaThatMissedManyEpochsComesBack(t *testing.T) {
	l := newLasting(t, 2, types.EqualConfiguration(4), func(p *Params) { p.KeepEpochs = 0 })
	l.load(300, 6*time.Second)
	l.run(500 * time.Millisecond)
	l.crash(2)
	l.run(5 * time.Second)
	before := l.lives[0].replica.Stats().Epoch
	l.restart(2)
	l.settle(upTo[int](4)...)
	if got := l.lives[2].replica.Stats().Delivery.Installed; got == 0 {
		t.Errorf("no snapshot was installed, in epoch %d: the test shows nothing", before)
	}
}

func TestSystemsOfAllSizesDeliver(t *testing.T) {
	for name, weights := range map[string][]uint64{
		"n=16": {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, "unequal": {5, 1, 2, 3, 1}, "with an ID for later": {1, 1, 1, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLasting(t, 3, types.WeightedConfiguration(weights), nil)
			l.load(60, time.Second)
			var nodes []int
			for i, w := range weights {
				if w > 0 {
					nodes = append(nodes, i)
				}
			}
			l.settle(nodes...)
		})
	}
}

// A replica crashes right after its k-th write became durable, with what was to
// follow lost, and comes back.
func TestCrashAtEveryDurableWrite(t *testing.T) {
	const victim = 1
	for k := uint64(1); k <= 30; k++ {
		for _, applied := range []bool{false, true} {
			var l *lasting
			crashed := false
			crash := func(n uint64) {
				if n == k && !crashed {
					crashed = true
					l.crash(victim)
					l.sim.At(l.sim.Now()+50*time.Millisecond, func() { l.restart(victim) })
				}
			}
			l = newLasting(t, k, types.EqualConfiguration(4), nil, func(node int) simdisk.Options {
				switch {
				case node != victim:
					return simdisk.Options{}
				case applied:
					return simdisk.Options{Latency: time.Millisecond, OnThen: crash}
				}
				return simdisk.Options{Latency: time.Millisecond, OnDurable: crash}
			})
			l.load(60, 300*time.Millisecond)
			l.settle(upTo[int](4)...)
			if !crashed {
				t.Errorf("replica %d never came to write %d", victim, k)
			}
		}
	}
}

func TestMembersJoinLeaveAndChangeTheirWeight(t *testing.T) {
	l := newLasting(t, 4, types.EqualConfiguration(4), nil)
	l.load(100, time.Second)
	l.run(500 * time.Millisecond)
	l.vote(types.Member{Node: 4, Weight: 2}, 0, 1, 2)
	l.add(simdisk.Options{})
	l.loadUntil("replica 4 takes part", func() bool { return l.lives[4].replica.Stats().Ordering.Proposed > 0 })
	l.settle(upTo[int](5)...)
	l.vote(types.Member{Node: 0}, 1, 2, 4)
	l.vote(types.Member{Node: 1, Weight: 3}, 2, 3, 4)
	l.loadUntil("replica 0 has left", func() bool {
		return l.lives[1].weight(0) == 0 && l.lives[1].weight(1) == 3
	})
	l.crash(0)
	l.load(100, time.Second)
	l.settle(1, 2, 3, 4)
}

// Replica 3 sleeps while all others are replaced, one after the other.
func TestReplicaThatSleptThroughTheChangeOfAllOthersComesBack(t *testing.T) {
	l := newLasting(t, 6, types.EqualConfiguration(4), nil)
	l.load(50, 500*time.Millisecond)
	l.run(time.Second)
	l.crash(3)
	for joins := types.NodeID(4); joins < 7; joins++ {
		l.vote(types.Member{Node: joins, Weight: 1}, upTo[types.NodeID](int(joins))...)
		l.add(simdisk.Options{})
		l.loadUntil(fmt.Sprintf("replica %d takes part", joins), func() bool { return l.lives[joins].replica.Stats().Ordering.Proposed > 0 })
	}
	for leaves := range types.NodeID(3) {
		l.vote(types.Member{Node: leaves}, 1, 2, 4, 5, 6)
		l.loadUntil(fmt.Sprintf("replica %d has left", leaves), func() bool {
			return l.lives[6].weight(leaves) == 0 && l.lives[6].weight(6) == 1
		})
		l.crash(int(leaves))
	}
	l.restart(3)
	l.loadUntil("replica 3 takes part", func() bool { return l.lives[3].replica.Stats().Ordering.Proposed > 0 })
	l.settle(3, 4, 5, 6)
}

func TestRecordsThatBelongToNobodyAreAnError(t *testing.T) {
	for name, records := range map[string][]types.Record{
		"belongs to no module": {{Key: []byte("z1")}},
		"without a key":        {{}},
		"record 61 after 6f":   {{Key: []byte("o")}, {Key: []byte("a")}},
		"no key of this":       {{Key: []byte("c")}},
		"want none":            {{Key: []byte("s")}},
	} {
		_, err := New(Config{
			Genesis: types.EqualConfiguration(4), Crypto: crypto.NewSimulated(1, 0, 4), App: &app.Chain{}, Params: DefaultParams(4),
			Durable: true, Records: records,
		})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one with %q", err, name)
		}
	}
}

// Nobody votes or proposes any more when it can hear the others again.
func TestReplicaThatWasCutOffCatchesUpInAnIdleSystem(t *testing.T) {
	l := newLasting(t, 5, types.EqualConfiguration(4), func(p *Params) { p.KeepEpochs = 0 })
	cut := sim.Partition{Start: 300 * time.Millisecond, Heal: 20 * time.Second, Side: []types.NodeID{2}, Mode: sim.Drop}
	if err := l.sim.AddPartition(cut); err != nil {
		t.Fatal(err)
	}
	l.load(200, 3*time.Second)
	l.run(10 * time.Second)
	if len(l.pending) > 0 {
		t.Fatalf("three of four do not go on\n%s", l.describe())
	}
	l.settle(upTo[int](4)...)
	if l.lives[2].replica.Stats().Delivery.Installed == 0 {
		t.Error("no snapshot was installed: the test shows nothing")
	}
}
