package simtest

import (
	"fmt"
	"strings"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// Result is what a run did.
type Result struct {
	Steps       uint64
	Deliveries  uint64 // Compared by the checker.
	ViewChanges uint64
	Requeued    uint64      // Proposals that lost their slot to the empty one.
	Epochs      types.Epoch // That the furthest replica ended.
	Restarts    uint64
	Behind      uint64 // Crashes of replicas that were behind a stable checkpoint, where they were placed there.
	Fetching    uint64 // And of such that fetched a snapshot.
	Transfers   uint64 // Snapshots that were installed.
	Retries     uint64 // Of clients.
	Changes     uint64 // Configurations that differ from the one before.
	Network     sim.Counters
	Mischief    uint64 // Messages of Byzantine replicas that were forged, changed or withheld.
	TraceHash   uint64
}

func (w *world) result() Result {
	r := Result{
		Steps: w.sim.Steps(), Deliveries: w.checker.Checked(), Retries: w.clients.retries,
		Transfers: w.checker.Transfers(), Changes: w.checker.Changes(),
		Behind: uint64(w.sprung[Behind]), Fetching: uint64(w.sprung[Fetching]),
		Network: w.sim.Total(), TraceHash: w.sim.TraceHash(),
	}
	for _, h := range w.hosts {
		stats := h.pastAnd(h.replica.Stats())
		r.ViewChanges += stats.PBFT.ViewChanges
		r.Requeued += stats.Ordering.Requeued
		r.Epochs = max(r.Epochs, stats.Epoch)
		r.Restarts += uint64(h.restarts)
	}
	for _, v := range w.villains {
		r.Mischief += v.done
	}
	return r
}

// pastAnd sums up lives, as far as Result needs it.
func (h *host) pastAnd(s replica.Stats) replica.Stats {
	s.PBFT.ViewChanges += h.past.PBFT.ViewChanges
	s.Ordering.Requeued += h.past.Ordering.Requeued
	s.Epoch = max(s.Epoch, h.past.Epoch)
	return s
}

// Totals sums up the runs of a sweep.
type Totals struct {
	Result
	Seeds, Crashes, Byzantine, Partitions, Blackouts int
	Asked                                            int            // Changes of the configuration.
	Acts                                             map[string]int // By name.
}

// Add counts one run.
func (t *Totals) Add(s Scenario, r Result) {
	t.Seeds++
	t.Crashes += len(s.Crashes)
	t.Byzantine += len(s.Byzantine)
	t.Partitions += len(s.Partitions)
	t.Blackouts += len(s.Blackouts)
	if t.Acts == nil {
		t.Acts = map[string]int{}
	}
	for _, v := range s.Byzantine {
		for _, act := range v.Acts {
			t.Acts[act]++
		}
	}
	t.Asked += len(s.Changes)
	t.Steps += r.Steps
	t.Deliveries += r.Deliveries
	t.ViewChanges += r.ViewChanges
	t.Requeued += r.Requeued
	t.Epochs += r.Epochs
	t.Restarts += r.Restarts
	t.Behind += r.Behind
	t.Fetching += r.Fetching
	t.Transfers += r.Transfers
	t.Retries += r.Retries
	t.Changes += r.Changes
	t.Mischief += r.Mischief
	t.Network.MessagesSent += r.Network.MessagesSent
	t.Network.Lost += r.Network.Lost
	t.Network.Partitioned += r.Network.Partitioned
	t.Network.Duplicated += r.Network.Duplicated
}

// String is a few lines for people.
func (t *Totals) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d seeds, %d steps, %d messages\n", t.Seeds, t.Steps, t.Network.MessagesSent)
	fmt.Fprintf(&b, "faults: %d messages lost, %d doubled, %d dropped by partitions; %d partitions, %d blackouts, %d crashes, %d Byzantine replicas (%d messages forged, changed or withheld)\n",
		t.Network.Lost, t.Network.Duplicated, t.Network.Partitioned, t.Partitions, t.Blackouts, t.Crashes, t.Byzantine, t.Mischief)
	b.WriteString("Byzantine replicas by act:")
	for _, act := range repertoire {
		fmt.Fprintf(&b, " %s %d", act.name, t.Acts[act.name])
	}
	fmt.Fprintf(&b, "\nseen: %d deliveries checked, %d epochs, %d view changes, %d proposals requeued, %d restarts (%d of replicas that were behind, %d that fetched a snapshot), %d state transfers, %d reconfigurations (%d asked for), %d client retries",
		t.Deliveries, t.Epochs, t.ViewChanges, t.Requeued, t.Restarts, t.Behind, t.Fetching, t.Transfers, t.Changes, t.Asked, t.Retries)
	return b.String()
}
