package mir

import (
	"context"
	"errors"
	"testing"
)

func open(gate <-chan struct{}) bool {
	select {
	case <-gate:
		return true
	default:
		return false
	}
}

func TestALanePausesAtHighAndResumesAtLow(t *testing.T) {
	in := newInput(Watermarks{High: 4, Low: 2}, Watermarks{High: 1, Low: 0}, 1<<20)
	offer := func(n, want int) <-chan struct{} {
		t.Helper()
		accepted, gate, err := in.offer(&in.clients, make([]Event, n))
		if accepted != want || err != nil {
			t.Fatalf("offered %d events: accepted %d, %v; want %d", n, accepted, err, want)
		}
		return gate
	}
	takeOne := func() {
		t.Helper()
		if got, err := in.takeNow(nil, 1); len(got) != 1 || err != nil {
			t.Fatalf("took %d events, %v", len(got), err)
		}
	}

	gate := offer(6, 4) // The bound is reached, and not passed.
	takeOne()           // Three are left: above the low-water mark.
	if open(gate) {
		t.Fatal("the lane resumed above its low-water mark")
	}
	offer(1, 0)
	takeOne() // Two are left.
	if !open(gate) {
		t.Fatal("the lane did not resume at its low-water mark")
	}
	offer(2, 2)
	if in.clients.pauses != 2 {
		t.Fatalf("%d pauses were counted, want 2", in.clients.pauses)
	}
}

func TestAClientFloodLeavesRoomForActiveModules(t *testing.T) {
	in := newInput(Watermarks{High: 4, Low: 2}, Watermarks{High: 4, Low: 2}, 1<<20)
	_, _, _ = in.offer(&in.clients, make([]Event, 100))
	accepted, _, err := in.offer(&in.actives, []Event{{To: 7}})
	if accepted != 1 || err != nil {
		t.Fatalf("accepted %d, %v", accepted, err)
	}
	got, err := in.takeNow(nil, 2)
	if err != nil || len(got) != 3 || got[0].To != 7 {
		t.Fatalf("took %v, %v; want the active module's event and two of clients", got, err)
	}
}

func TestHeldClientsAreNeitherAcceptedNorTaken(t *testing.T) {
	in := newInput(Watermarks{High: 4, Low: 2}, Watermarks{High: 4, Low: 2}, 1<<20)
	_, _, _ = in.offer(&in.clients, make([]Event, 1))
	in.hold()
	in.hold()
	accepted, gate, _ := in.offer(&in.clients, make([]Event, 1))
	if taken, _ := in.takeNow(nil, 10); accepted != 0 || len(taken) != 0 {
		t.Fatalf("while held, %d were accepted and %d taken", accepted, len(taken))
	}
	in.unhold()
	if open(gate) {
		t.Fatal("one of two holds is still in force")
	}
	in.unhold()
	if taken, _ := in.takeNow(nil, 10); !open(gate) || len(taken) != 1 {
		t.Fatalf("after the release, gate open %v and %d taken", open(gate), len(taken))
	}
}

func TestClosingAnInputWakesWhoeverWaits(t *testing.T) {
	in := newInput(Watermarks{High: 1, Low: 0}, Watermarks{High: 1, Low: 0}, 1<<20)
	done := make(chan error, 2)
	go func() { done <- in.put(context.Background(), &in.clients, make([]Event, 2)) }()
	go func() { done <- in.put(context.Background(), &in.actives, make([]Event, 2)) }()
	in.close()
	for range 2 {
		if err := <-done; !errors.Is(err, ErrStopped) {
			t.Fatalf("put returned %v, want ErrStopped", err)
		}
	}
}

func TestALanePausesAtItsBytesAndLetsAnEventOfAnySizePass(t *testing.T) {
	in := newInput(Watermarks{High: 100, Low: 50}, Watermarks{High: 100, Low: 50}, 1000)
	sized := func(n int) Event { return Event{To: 1}.Sized(n) }
	events := []Event{sized(400), sized(500), sized(1 << 40), sized(1)}
	accepted, gate, err := in.offer(&in.actives, events)
	if accepted != 3 || err != nil || in.actives.pauses != 1 {
		t.Fatalf("accepted %d (%v) with %d pauses, want the third to fill the lane", accepted, err, in.actives.pauses)
	}
	for i := range 3 {
		if open(gate) {
			t.Fatalf("the lane resumed with %d bytes", in.actives.bytes)
		}
		if got, err := in.takeNow(nil, 1); len(got) != 1 || err != nil {
			t.Fatalf("taking event %d: %v, %v", i, got, err)
		}
	}
	if !open(gate) || in.actives.bytes != 0 {
		t.Fatalf("the lane has %d bytes and did not resume", in.actives.bytes)
	}
	if accepted, _, _ := in.offer(&in.clients, []Event{sized(1000), sized(0)}); accepted != 1 {
		t.Fatalf("the client lane accepted %d events, want 1", accepted)
	}
}
