package micro

import (
	"testing"

	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// BenchmarkWindow takes numbers from a window of 4096. In order=ascending each
// one moves the window, in order=swapped every second one does, by two.
func BenchmarkWindow(b *testing.B) {
	for _, order := range []struct {
		name string
		flip uint64
	}{{"ascending", 0}, {"swapped", 1}} {
		b.Run("order="+order.name, func(b *testing.B) {
			w := types.NewWindow(4096)
			no, fresh := uint64(0), 0
			for b.Loop() {
				if w.Add(no ^ order.flip) {
					fresh++
				}
				no++
			}
			want(b, "fresh numbers", fresh, b.N)
			if low := w.Low(); low < no-1 {
				b.Fatalf("the window is at %d after %d numbers", low, no)
			}
		})
	}
}

// BenchmarkWindowEncode writes a window of 4096 in which every second number
// is taken, as a snapshot does for each client.
func BenchmarkWindowEncode(b *testing.B) {
	const size = 4096
	w := types.NewWindow(size)
	for no := uint64(1); no < size; no += 2 {
		w.Add(no)
	}
	buf := make([]byte, 0, types.WindowWireBytesMin+4*size)
	for b.Loop() {
		buf = w.AppendWire(buf[:0])
	}
	want(b, "bytes", len(buf), types.WindowWireBytesMin+4*size/2)
}

// BenchmarkQuorum adds up the weights of n replicas until they are a quorum.
func BenchmarkQuorum(b *testing.B) {
	for _, n := range []int{4, 64} {
		b.Run(replicas(n), func(b *testing.B) {
			weights := make([]uint64, n)
			for i := range weights {
				weights[i] = uint64(1 + i%3)
			}
			m, err := quorum.New(weights)
			if err != nil {
				b.Fatal(err)
			}
			voters := 0
			for b.Loop() {
				var weight uint64
				voters = 0
				for !m.IsQuorum(weight) {
					weight += m.Weight(types.NodeID(voters))
					voters++
				}
			}
			if voters <= n/2 || voters > n {
				b.Fatalf("%d of %d replicas are a quorum", voters, n)
			}
		})
	}
}
