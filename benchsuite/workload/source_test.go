package workload

import (
	"bytes"
	"testing"
	"time"
)

func TestSourceNumbersEveryTransactionOnce(t *testing.T) {
	s := NewSource(1, 7, 32)
	next := map[uint64]uint64{}
	for i := range uint64(1000) {
		tx := s.Tx(i)
		if got := s.Index(tx.TxID); got != i {
			t.Fatalf("transaction %d has the identity of number %d", i, got)
		}
		client := uint64(tx.Client)
		if uint64(tx.No) != next[client] {
			t.Fatalf("client %d numbers its transaction %d, want %d", client, tx.No, next[client])
		}
		next[client]++
	}
	if len(next) != 7 {
		t.Errorf("%d clients, want 7", len(next))
	}
}

func TestSourceFollowsFromItsSeed(t *testing.T) {
	a, same, other := NewSource(1, 7, 32), NewSource(1, 7, 32), NewSource(2, 7, 32)
	for i := range uint64(100) {
		tx := a.Tx(i)
		if len(tx.Payload) != 32 {
			t.Fatalf("payload of %d bytes, want 32", len(tx.Payload))
		}
		if !bytes.Equal(tx.Payload, same.Tx(i).Payload) {
			t.Fatalf("transaction %d differs under the same seed", i)
		}
		if bytes.Equal(tx.Payload, other.Tx(i).Payload) || bytes.Equal(tx.Payload, a.Tx(i+1).Payload) {
			t.Fatalf("transaction %d has the payload of another", i)
		}
	}
}

func TestScheduleIsAConstantRate(t *testing.T) {
	s := NewSchedule(10, time.Second, 1000)
	for i, want := range map[uint64]time.Duration{
		10: time.Second, 11: time.Second + time.Millisecond, 1010: 2 * time.Second, 9: time.Second - time.Millisecond,
	} {
		if got := s.Due(i); got != want {
			t.Errorf("transaction %d is due at %v, want %v", i, got, want)
		}
	}
}

func TestTallyTellsASetFromItsFaults(t *testing.T) {
	numbers := func(change func([]uint64) []uint64) (tally Tally) {
		all := make([]uint64, 100)
		for i := range all {
			all[i] = uint64(len(all) - 1 - i)
		}
		for _, i := range change(all) {
			tally.Add(i)
		}
		return tally
	}
	whole := numbers(func(all []uint64) []uint64 { return all })
	if !whole.IsUpTo(100) || whole.Count() != 100 {
		t.Error("the numbers 0 to 99 are not recognised")
	}
	for fault, change := range map[string]func([]uint64) []uint64{
		"a loss":                     func(all []uint64) []uint64 { return all[1:] },
		"a duplicate":                func(all []uint64) []uint64 { return append(all, 7) },
		"a duplicate and a loss":     func(all []uint64) []uint64 { all[3] = all[4]; return all },
		"a number out of range":      func(all []uint64) []uint64 { all[0] = 100; return all },
		"two errors of the same sum": func(all []uint64) []uint64 { all[10]--; all[20]++; return all },
	} {
		if tally := numbers(change); tally.IsUpTo(100) {
			t.Errorf("%s is not noticed", fault)
		}
	}
}
