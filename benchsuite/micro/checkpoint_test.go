package micro

import (
	"testing"
	"time"

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
					Node: types.NodeID(i), Genesis: types.EqualConfiguration(n), ConfigDelay: configDelay, Crypto: cryptos[i],
					Self: self, Net: netModule, Timer: timerModule, Store: storeModule, Transfer: transferModule,
					Stable: []mir.ModuleID{orderingModule}, EpochsAheadMax: 4, ResendAfter: time.Second,
				})
			}
			stable := 0
			var last types.StableCheckpoint
			g := newGroup(nodes, func(_ int, ev mir.Event) {
				if s, ok := ev.Body.(types.StableCheckpoint); ok {
					last = s
					stable++
				}
			})
			epoch := types.Epoch(0)
			for b.Loop() {
				snapshot := mir.Event{To: self, Body: types.Snapshot{Epoch: epoch, Data: snapshotOf(epoch, n, 4<<10)}}
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

// configDelay is as with the default parameters.
const configDelay = 6

// snapshotOf is the state of an epoch with n members, of a size or a little more.
func snapshotOf(e types.Epoch, n, bytes int) []byte {
	header := types.SnapshotHeader{Epoch: e}
	config := types.EpochConfig{Config: types.EqualConfiguration(n), Members: quorum.Equal(n)}
	for range configDelay {
		header.Configs = append(header.Configs, config)
	}
	return append(header.AppendWire(make([]byte, 0, bytes+1<<10)), pattern(bytes)...)
}
