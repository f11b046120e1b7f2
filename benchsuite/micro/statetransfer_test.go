package micro

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/statetransfer"
	"github.com/perfgate/perfgate/trantor/types"
)

// BenchmarkStateTransfer brings a snapshot from three servers to a replica that is
// behind: list, chunks, verification. An operation is the work of all four, with
// new modules.
//
//perfgate:sizes gate full
func BenchmarkStateTransfer(b *testing.B) {
	b.Run("chunks=16", func(b *testing.B) {
		const chunks, fetcher = 16, 3
		data := pattern(chunks * types.SnapshotChunkBytes)
		checkpoint := types.StableCheckpoint{Epoch: 7, Digest: types.SnapshotDigest(data)}
		for id := range types.NodeID(fetcher) {
			checkpoint.Sigs = append(checkpoint.Sigs, types.Signature{Signer: id})
		}
		installed := 0
		for b.Loop() {
			nodes := make([]mir.Module, fetcher+1)
			for i := range nodes {
				nodes[i] = statetransfer.New(statetransfer.Config{
					Node: types.NodeID(i), Self: self, Net: netModule, Timer: timerModule,
					Delivery: deliveryModule, Checkpoint: checkpointModule, ConfigDelay: configDelay,
					CatchUpAfter: time.Second, RetryAfter: time.Second, ChunksInFlightMax: 16, ServeChunksMax: 64,
				})
			}
			g := newGroup(nodes, func(_ int, ev mir.Event) {
				if s, ok := ev.Body.(types.InstallSnapshot); ok && ev.To == deliveryModule {
					installed += len(s.Data)
				}
			})
			for i := range fetcher {
				g.input(i, mir.Event{To: self, Body: types.HeldSnapshot{Checkpoint: checkpoint, Data: data}})
			}
			g.input(fetcher, mir.Event{To: self, Body: checkpoint})
			g.input(fetcher, mir.Event{To: self, Body: types.Executed{Behind: true}})
			g.run()
		}
		want(b, fmt.Sprintf("bytes of %d chunks", chunks), installed, b.N*len(data))
	})
}
