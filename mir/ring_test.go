package mir

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRingIsFirstInFirstOutUnderAnyMix(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var r ring[int]
	var model []int
	for i := range 10_000 {
		if rng.IntN(100) < 52 || len(model) == 0 {
			r.push(i)
			model = append(model, i)
		} else {
			if got := r.pop(); got != model[0] {
				t.Fatalf("operation %d popped %d, want %d", i, got, model[0])
			}
			model = model[1:]
		}
		if r.len() != len(model) {
			t.Fatalf("operation %d: length %d, want %d", i, r.len(), len(model))
		}
	}
}

func TestRingDropsReferencesToWhatItPopped(t *testing.T) {
	var r ring[*int]
	for range 5 {
		r.push(new(int))
	}
	for r.len() > 0 {
		r.pop()
	}
	if slices.ContainsFunc(r.slots, func(p *int) bool { return p != nil }) {
		t.Fatal("a popped element is still referenced")
	}
}
