package micro

import (
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// BenchmarkCheckpoint makes the state at the end of an epoch final, from the
// snapshots of 4 KiB until all n replicas have the certificate. An operation is
// the work of all n.
//
//perfgate:sizes gate full
//perfgate:sizes n=4 smoke gate full
func BenchmarkCheckpoint(b *testing.B) {
	for _, n := range []int{4, 16} {
		b.Run(replicas(n), func(b *testing.B) {
			cryptos, members := simulated(n), quorum.Equal(n)
			nodes := make([]mir.Module, n)
			for i := range nodes {
				nodes[i] = checkpoint.New(checkpoint.Config{
					Node: types.NodeID(i), Members: members, Crypto: cryptos[i],
					Self: self, Net: netModule, Stable: []mir.ModuleID{orderingModule}, EpochsAheadMax: 4,
				})
			}
			stable := 0
			var last types.StableCheckpoint
			g := newGroup(nodes, func(_ int, ev mir.Event) {
				last = ev.Body.(types.StableCheckpoint)
				stable++
			})
			state, epoch := pattern(4<<10), types.Epoch(0)
			for b.Loop() {
				snapshot := mir.Event{To: self, Body: types.Snapshot{Epoch: epoch, Data: state}}
				for i := range n {
					g.input(i, snapshot)
				}
				g.run()
				epoch++
			}
			want(b, "stable checkpoints", stable, n*b.N)
			want(b, "epochs", int(last.Epoch)+1, b.N)
			if !members.IsQuorum(uint64(len(last.Sigs))) {
				b.Fatalf("%d signatures are no quorum", len(last.Sigs))
			}
		})
	}
}
