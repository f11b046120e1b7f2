package net

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// holds counts the holds of an injector.
type holds struct{ n atomic.Int64 }

func (h *holds) Inject(...mir.Event) error { return nil }
func (h *holds) HoldClients()              { h.n.Add(1) }
func (h *holds) ReleaseClients()           { h.n.Add(-1) }
func (h *holds) Accepts(mir.ModuleID) bool { return true }
func (h *holds) Fail(error)                {}

// vote and payload are frames of the two lanes. A vote costs 10 + 64 + 26 = 100.
func vote(no int) frame    { return frame{sub: mir.SubID(no), wire: make([]byte, 26)} }
func payload(no int) frame { return frame{sub: mir.SubID(no), wire: make([]byte, voteBytesMax+1)} }

func testOutbox(holdMax time.Duration) (*outbox, *holds) {
	in := &holds{}
	o := newOutbox(mir.OutboxBounds{PauseBytes: 500, ResumeBytes: 200, MaxBytes: 1000}, holdMax, &atomic.Uint64{})
	o.start(in)
	o.connect()
	return o, in
}

func mustTake(t *testing.T, o *outbox) frame {
	t.Helper()
	f, ok := o.pop()
	if !ok {
		t.Fatal("the outbox is empty")
	}
	return f
}

func TestVotesOvertakePayloadsButStarveNone(t *testing.T) {
	o := newOutbox(mir.DefaultOutboxBounds, time.Hour, &atomic.Uint64{})
	o.start(&holds{})
	o.connect()
	o.put(payload(0))
	o.put(payload(1))
	for i := range 2 * votesInRowMax {
		o.put(vote(i))
	}
	votes := 0
	for p := range 2 {
		for range votesInRowMax {
			if f := mustTake(t, o); len(f.wire) > voteBytesMax || f.sub != mir.SubID(votes) {
				t.Fatalf("took frame %d of %d bytes, want vote %d", f.sub, len(f.wire), votes)
			}
			votes++
		}
		if f := mustTake(t, o); len(f.wire) <= voteBytesMax || f.sub != mir.SubID(p) {
			t.Fatalf("took frame %d of %d bytes, want payload %d", f.sub, len(f.wire), p)
		}
	}
}

func TestClientsAreHeldAbovePauseUntilResume(t *testing.T) {
	o, in := testOutbox(time.Hour)
	for i := range 5 {
		o.put(vote(i))
	}
	if in.n.Load() != 0 {
		t.Fatal("held at PauseBytes")
	}
	o.put(vote(5))
	if in.n.Load() != 1 {
		t.Fatalf("%d holds above PauseBytes, want 1", in.n.Load())
	}
	for i := range 4 {
		if in.n.Load() != 1 {
			t.Fatalf("released after %d of 6 frames", i)
		}
		o.settle(mustTake(t, o), true)
	}
	if in.n.Load() != 0 {
		t.Fatal("still held at ResumeBytes")
	}
}

func TestTheNewestFrameAboveMaxIsDropped(t *testing.T) {
	o, _ := testOutbox(time.Hour)
	for i := range 12 {
		o.put(vote(i))
	}
	if o.dropped != 2 || o.total.Load() != 2 || o.bytes != 1000 {
		t.Fatalf("dropped %d (%d in all) and kept %d bytes, want 2, 2 and 1000", o.dropped, o.total.Load(), o.bytes)
	}
	for i := range 10 {
		if f := mustTake(t, o); f.sub != mir.SubID(i) {
			t.Fatalf("took frame %d, want %d: an older one was dropped", f.sub, i)
		}
	}
}

func TestAPeerThatIsNotConnectedHoldsNobodyAndGetsPauseBytesAtMost(t *testing.T) {
	o, in := testOutbox(time.Hour)
	for i := range 8 {
		o.put(vote(i))
	}
	o.settle(mustTake(t, o), false) // Lost with the connection: number 0.
	o.disconnect()                  // 6 and 7 are above PauseBytes.
	if in.n.Load() != 0 {
		t.Fatal("it still holds")
	}
	o.put(vote(8))
	if in.n.Load() != 0 || o.dropped != 4 || o.bytes != 500 {
		t.Fatalf("%d holds, %d dropped, %d bytes; want 0, 4, 500", in.n.Load(), o.dropped, o.bytes)
	}
	for i := range 5 {
		if f := mustTake(t, o); f.sub != mir.SubID(1+i) {
			t.Fatalf("kept frame %d, want %d", f.sub, 1+i)
		}
	}
}

func TestAHoldEndsWithTimeAndReturnsOnlyAfterDraining(t *testing.T) {
	o, in := testOutbox(time.Millisecond)
	for i := range 6 {
		o.put(vote(i))
	}
	eventually(t, "the hold to end", func() bool { return in.n.Load() == 0 })
	o.settle(mustTake(t, o), true)
	o.put(vote(6)) // Above PauseBytes again, and not yet drained.
	if in.n.Load() != 0 {
		t.Fatal("a peer that is too slow holds again")
	}
	for range 4 {
		o.settle(mustTake(t, o), true)
	}
	o.mu.Lock()
	o.holdMax = time.Hour
	o.mu.Unlock()
	for i := range 4 {
		o.put(vote(i))
	}
	if in.n.Load() != 1 {
		t.Fatal("a peer that drained does not hold again")
	}
	o.close()
	if in.n.Load() != 0 {
		t.Fatal("a closed outbox holds")
	}
}

func TestALateEndOfAHoldDoesNotEndTheNextOne(t *testing.T) {
	o, in := testOutbox(time.Hour)
	for range 2 {
		for i := range 6 {
			o.put(vote(i))
		}
		o.expire(o.holds - 1) // As if the timer had fired just before it was stopped.
		if in.n.Load() != 1 {
			t.Fatal("the hold ended")
		}
		for range 6 {
			o.settle(mustTake(t, o), true)
		}
	}
}

func TestAClosedOutboxDropsEverything(t *testing.T) {
	o, _ := testOutbox(time.Hour)
	for i := range 3 {
		o.put(vote(i))
	}
	taken := mustTake(t, o)
	o.close()
	o.put(vote(3))
	o.settle(taken, false)
	if o.dropped != 4 || o.bytes != 0 {
		t.Fatalf("dropped %d and kept %d bytes, want all 4 and 0", o.dropped, o.bytes)
	}
}

func TestTakeWaitsForAFrameOrTheEnd(t *testing.T) {
	o, _ := testOutbox(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	taken := make(chan bool)
	go func() {
		_, ok := o.take(ctx)
		taken <- ok
		_, ok = o.take(ctx)
		taken <- ok
	}()
	o.put(vote(0))
	if !<-taken {
		t.Fatal("took nothing")
	}
	cancel()
	if <-taken {
		t.Fatal("took a frame of an empty outbox")
	}
}
