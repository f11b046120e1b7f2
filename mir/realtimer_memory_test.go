package mir

import (
	"testing"
	"time"
)

func TestForgottenTimersLeaveNothingBehind(t *testing.T) {
	timer := NewRealTimer(1)
	apply := func(body Body) { timer.Apply(Event{To: 1, Body: body}, &Out{}) }
	for n := range uint64(100) {
		for range 2 { // The second replaces the first.
			apply(SetTimer{ID: TimerID{N: n}, After: time.Duration(n) * time.Hour})
		}
	}
	for n := range uint64(100) {
		apply(CancelTimer{ID: TimerID{N: n}})
		if left := int(99 - n); len(timer.set) != left || len(timer.heap) != left {
			t.Fatalf("%d timers set and %d in the heap, want %d", len(timer.set), len(timer.heap), left)
		}
	}
}
