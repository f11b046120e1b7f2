package micro

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/store"
	"github.com/perfgate/perfgate/trantor/types"
)

// recordBytes is about what a replica writes down of a vote.
const recordBytes = 256

// openStore opens a store in a directory.
func openStore(b *testing.B, dir string, noSync bool) *store.Store {
	b.Helper()
	s, err := store.Open(store.Options{Dir: dir, Identity: store.Identity{System: "benchsuite"}, NoSync: noSync})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func closeStore(b *testing.B, s *store.Store) {
	b.Helper()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// persistOf puts one record. There are 4,096 keys, so that the store does not grow.
func persistOf(no uint64, value []byte) types.Persist {
	key := binary.BigEndian.AppendUint64([]byte{types.RecordsOrdering}, no%4096)
	return types.Persist{
		Puts: []types.Record{{Key: key, Value: value}},
		Then: []mir.Event{{To: self, Body: types.Boot{}}},
	}
}

// BenchmarkStoreAppend commits one record at a time.
//
//perfgate:sizes gate full
//perfgate:sizes sync=on smoke gate full
func BenchmarkStoreAppend(b *testing.B) {
	for _, sync := range []string{"off", "on"} {
		b.Run("sync="+sync, func(b *testing.B) {
			s, value := openStore(b, b.TempDir(), sync == "off"), pattern(recordBytes)
			defer closeStore(b, s)
			no := uint64(0)
			before := s.Stats().Persists
			for b.Loop() {
				if err := s.Commit(persistOf(no, value)); err != nil {
					b.Fatal(err)
				}
				no++
			}
			want(b, "persists", int(s.Stats().Persists-before), b.N)
		})
	}
}

// BenchmarkStoreGroupCommit sends records to the store's module at once, and
// waits until each is durable. An operation is all of them.
func BenchmarkStoreGroupCommit(b *testing.B) {
	for _, persists := range []int{16, 256} {
		b.Run(fmt.Sprintf("persists=%d", persists), func(b *testing.B) {
			s, value := openStore(b, b.TempDir(), false), pattern(recordBytes)
			defer closeStore(b, s)
			in := make(durable, persists)
			m := s.Module()
			if err := m.Start(in); err != nil {
				b.Fatal(err)
			}
			defer m.Stop()
			no := uint64(0)
			before := s.Stats().Persists
			for b.Loop() {
				for range persists {
					m.Apply(mir.Event{To: storeModule, Body: persistOf(no, value)}, nil)
					no++
				}
				for range persists {
					<-in
				}
			}
			want(b, "persists", int(s.Stats().Persists-before), b.N*persists)
		})
	}
}

// durable is a node that only counts what became durable.
type durable chan mir.Event

func (d durable) Inject(events ...mir.Event) error {
	for _, ev := range events {
		d <- ev
	}
	return nil
}

func (d durable) HoldClients()              {}
func (d durable) ReleaseClients()           {}
func (d durable) Accepts(mir.ModuleID) bool { return false }
func (d durable) Fail(err error)            { panic(err) }

// BenchmarkStoreRecovery opens a store, which reads and checks everything, and
// hands out its records of 4 KiB.
//
//perfgate:sizes gate full
//perfgate:sizes mb=100 full
func BenchmarkStoreRecovery(b *testing.B) {
	for _, mb := range []int{1, 100} {
		b.Run(fmt.Sprintf("mb=%d", mb), func(b *testing.B) {
			const bytes = 4 << 10
			dir, count := b.TempDir(), mb<<20/bytes
			s := openStore(b, dir, true)
			for no := range count {
				value := pattern(bytes)
				binary.LittleEndian.PutUint64(value, uint64(no))
				key := binary.BigEndian.AppendUint64([]byte{types.RecordsAvailability}, uint64(no))
				if err := s.Commit(types.Persist{Puts: []types.Record{{Key: key, Value: value}}}); err != nil {
					b.Fatal(err)
				}
			}
			closeStore(b, s)
			b.SetBytes(int64(mb) << 20)
			for b.Loop() {
				s := openStore(b, dir, true)
				records, err := s.Records()
				if err != nil {
					b.Fatal(err)
				}
				want(b, "records", len(records), count)
				closeStore(b, s)
			}
		})
	}
}
