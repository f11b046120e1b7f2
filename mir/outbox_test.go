package mir

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// holdCounter is a sender that counts the holds in force.
type holdCounter struct{ holds int }

func (*holdCounter) Inject(...Event) error { return nil }
func (h *holdCounter) HoldClients()        { h.holds++ }
func (h *holdCounter) ReleaseClients()     { h.holds-- }
func (*holdCounter) Accepts(ModuleID) bool { return true }
func (*holdCounter) Fail(error)            {}

// heldOutbox is an outbox above its pause mark: 2 frames of 10 bytes.
func heldOutbox(t *testing.T) (*outbox, *holdCounter) {
	t.Helper()
	o, sender := newOutbox(OutboxBounds{PauseBytes: 15, ResumeBytes: 5, MaxBytes: 25}, time.Hour), &holdCounter{}
	o.attach(sender)
	for range 2 {
		if got := o.put(frame{}); got != putKept {
			t.Fatalf("putting a frame gave %v, want it kept", got)
		}
	}
	if sender.holds != 1 {
		t.Fatalf("%d holds above the pause mark, want 1", sender.holds)
	}
	return o, sender
}

func TestAnOutboxReleasesItsSenderOnlyWhenTheReceiverHasTheBytes(t *testing.T) {
	o, sender := heldOutbox(t)
	if taken, open := o.take(nil, 10); len(taken) != 2 || !open {
		t.Fatalf("took %d frames, open %v", len(taken), open)
	}
	if got := o.put(frame{}); got != putDropped {
		t.Fatal("frames that are under way did not count towards the hard bound")
	}
	o.settle(10)
	if sender.holds != 1 {
		t.Fatal("the sender was released above the resume mark")
	}
	o.settle(10)
	if sender.holds != 0 {
		t.Fatal("the sender is still held")
	}
}

func TestClosingAnOutboxReleasesItsSender(t *testing.T) {
	o, sender := heldOutbox(t)
	if lost := o.close(); lost != 2 || sender.holds != 0 {
		t.Fatalf("lost %d frames, %d holds left; want 2 and 0", lost, sender.holds)
	}
}

func TestASenderThatRestartsInheritsTheHold(t *testing.T) {
	o, _ := heldOutbox(t)
	restarted := &holdCounter{}
	o.attach(restarted)
	if restarted.holds != 1 {
		t.Fatal("the restarted sender takes clients although its outbox is full")
	}
	o.close()
	if restarted.holds != 0 {
		t.Fatal("the restarted sender is still held")
	}
}

func TestAPeerThatReadsNothingHoldsItsSenderOnceAndNotForever(t *testing.T) {
	o, sender := heldOutbox(t)
	o.giveUp(o.since)
	if sender.holds != 0 {
		t.Fatal("the sender is held longer than the limit")
	}
	o.bytes = 0 // As if MaxBytes left room again.
	for range 2 {
		o.put(frame{})
	}
	if sender.holds != 0 {
		t.Fatal("a peer that has read nothing since holds the sender again")
	}
	if taken, _ := o.take(nil, 10); len(taken) != 4 {
		t.Fatalf("took %d frames, want 4", len(taken))
	}
	o.settle(20)
	before := o.since
	for range 2 {
		o.put(frame{})
	}
	if sender.holds != 1 {
		t.Fatal("a peer that has caught up no longer holds its sender")
	}
	o.giveUp(before)
	if sender.holds != 1 {
		t.Fatal("the limit of an earlier hold ended this one")
	}
}

// slowInjector holds a link in Inject until release.
type slowInjector struct {
	holdCounter
	entered, release chan struct{}
	left             atomic.Bool
}

func (s *slowInjector) Inject(...Event) error {
	close(s.entered)
	<-s.release
	s.left.Store(true)
	return ErrStopped
}

type nilCodec struct{}

func (nilCodec) Encode(dst []byte, _ Message) ([]byte, error) { return dst, nil }
func (nilCodec) Decode([]byte) (Message, error)               { return Send{}, nil }

func TestStoppingAPortWaitsForItsLinks(t *testing.T) {
	net, err := NewInprocNet(InprocConfig{Nodes: 2, Codec: nilCodec{}})
	if err != nil {
		t.Fatal(err)
	}
	in := &slowInjector{entered: make(chan struct{}), release: make(chan struct{})}
	if err := net.Port(1).Start(in); err != nil {
		t.Fatal(err)
	}
	net.Port(0).Apply(Event{Body: Send{To: []NodeID{1}, Dest: 1, Msg: Send{}}}, &Out{})
	<-in.entered
	go func() {
		runtime.Gosched()
		close(in.release)
	}()
	net.Port(1).Stop()
	if !in.left.Load() {
		t.Fatal("Stop returned while a link was at work")
	}
}
