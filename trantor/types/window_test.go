package types

import (
	"math/rand/v2"
	"testing"
)

// A window agrees with a plain set of numbers, and its encoding keeps it.
func TestWindowIsTheSetOfTakenNumbers(t *testing.T) {
	for _, size := range []int{1, 2, 63, 64, 65, 1000} {
		rng := rand.New(rand.NewPCG(1, uint64(size)))
		w := NewWindow(size)
		taken, low := map[uint64]bool{}, uint64(0)
		for range 20 * size {
			no := low + uint64(rng.IntN(2*size))
			if got, want := w.InReach(no), no < low+uint64(size); got != want {
				t.Fatalf("size %d: InReach(%d) = %v with low %d", size, no, got, low)
			}
			if got := w.Has(no); got != taken[no] {
				t.Fatalf("size %d: Has(%d) = %v, want %v", size, no, got, taken[no])
			}
			if !w.InReach(no) {
				continue
			}
			if got := w.Add(no); got == taken[no] {
				t.Fatalf("size %d: Add(%d) = %v on a number taken %v", size, no, got, taken[no])
			}
			taken[no] = true
			for taken[low] {
				low++
			}
			if w.Low() != low {
				t.Fatalf("size %d: low is %d, want %d", size, w.Low(), low)
			}
		}
		r := NewReader(w.AppendWire(nil))
		back := ReadWindow(r, size)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		for no := range low + 2*uint64(size) {
			if back.Has(no) != w.Has(no) {
				t.Fatalf("size %d: %d is taken %v before and %v after the encoding", size, no, w.Has(no), back.Has(no))
			}
		}
	}
}

func TestWindowPanicsBeyondItsReach(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewWindow(4).Add(4)
}

func TestReadWindowRejectsForgedOffsets(t *testing.T) {
	low := []byte{0, 0, 0, 0, 0, 0, 0, 0}
	for name, tail := range map[string][]byte{
		"offset zero would be the low number": {1, 0, 0, 0, 0, 0, 0, 0},
		"offset beyond the size":              {1, 0, 0, 0, 8, 0, 0, 0},
		"offsets not ascending":               {2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0},
		"more offsets than the size":          {8, 0, 0, 0},
		"truncated":                           {1, 0, 0, 0, 1},
	} {
		r := NewReader(append(append([]byte(nil), low...), tail...))
		ReadWindow(r, 8)
		if r.Close() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
