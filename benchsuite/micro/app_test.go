package micro

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/types"
)

// commands makes commands on count keys of 16 bytes, with values of 200 bytes where
// the operation has one.
func commands(op app.Op, count int) []types.Tx {
	txs := make([]types.Tx, count)
	for i := range txs {
		key := make([]byte, 16)
		// Far apart, so that sorting has work to do.
		binary.BigEndian.PutUint64(key, uint64(i)*0x9e3779b97f4a7c15)
		txs[i].Payload = app.Command{Op: op, Key: key, Value: pattern(200)}.Encode()
	}
	return txs
}

// storeOfKeys is a key-value store that holds count keys.
func storeOfKeys(count int) *app.KV {
	kv := app.NewKV()
	for _, tx := range commands(app.Put, count) {
		kv.Apply(tx)
	}
	return kv
}

// BenchmarkKV executes one command on a store of 1,000 keys, each key in turn:
// values of 200 B.
//
//perfgate:sizes gate full
//perfgate:sizes op=put smoke gate full
func BenchmarkKV(b *testing.B) {
	const count = 1000
	for _, op := range []struct {
		name string
		op   app.Op
	}{{"put", app.Put}, {"get", app.Get}} {
		b.Run("op="+op.name, func(b *testing.B) {
			kv, txs, next := storeOfKeys(count), commands(op.op, count), 0
			var result []byte
			for b.Loop() {
				result = kv.Apply(txs[next])
				if next++; next == count {
					next = 0
				}
			}
			r, err := app.DecodeResult(result)
			if err != nil || r.Status != app.OK {
				b.Fatalf("the last result is %v (error %v)", r, err)
			}
		})
	}
}

// BenchmarkKVSnapshot writes the whole state of a store, in order of the keys.
//
//perfgate:sizes gate full
//perfgate:sizes keys=10000 full
func BenchmarkKVSnapshot(b *testing.B) {
	for _, count := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("keys=%d", count), func(b *testing.B) {
			kv := storeOfKeys(count)
			var snapshot []byte
			for b.Loop() {
				snapshot = kv.Snapshot()
			}
			if err := app.NewKV().Restore(snapshot); err != nil {
				b.Fatal(err)
			}
			want(b, "bytes", len(snapshot), 8+count*(4+16+4+200))
		})
	}
}
