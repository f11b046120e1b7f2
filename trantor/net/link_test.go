package net

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

func TestMessagesOfAnySizeArriveWhole(t *testing.T) {
	s := newSystem(t, 2, nil).start()
	var wire uint64
	for i, size := range []int{0, 1, 256, voteBytesMax, voteBytesMax + 1, 64 << 10, 1 << 20, 20 << 20} {
		m := note(strings.Repeat(string(rune('a'+i)), size))
		s.replicas[0].send(m, 1)
		eventually(t, "the message", func() bool { return len(s.replicas[1].app.got(0)) == i+1 })
		if got := s.replicas[1].app.got(0)[i]; got != m {
			t.Fatalf("%d bytes came out as %d, or as others", size, len(got))
		}
		wire += uint64(mir.FrameHeaderBytes + size)
	}
	want := mir.NetCounters{MessagesSent: 8, WireBytesSent: wire}
	eventually(t, "the sender to count them", func() bool { return s.replicas[0].transport.Counters() == want })
	want = mir.NetCounters{MessagesReceived: 8, WireBytesReceived: wire}
	if got := s.replicas[1].transport.Counters(); got != want {
		t.Fatalf("the receiver counted %+v, want %+v", got, want)
	}
}

func TestABroadcastReachesEveryoneAndOneselfWithoutTheNetwork(t *testing.T) {
	s := newSystem(t, 3, nil).start()
	s.replicas[1].send("hello", 0, 1, 2)
	for _, r := range s.replicas {
		eventually(t, "the message", func() bool { return len(r.app.got(1)) == 1 })
	}
	eventually(t, "two to be counted", func() bool { return s.replicas[1].transport.Counters().MessagesSent == 2 })
}

func TestMessagesFlowAgainWhenAPeerHasRestarted(t *testing.T) {
	s := newSystem(t, 2, nil).start()
	s.replicas[0].send("before", 1)
	eventually(t, "the first message", func() bool { return len(s.replicas[1].app.got(0)) == 1 })
	s.replicas[1].stop()
	eventually(t, "the end to be noticed", func() bool { return !s.replicas[0].peerStats(1).Connected })

	s.replicas[0].send("while it was down", 1)
	again := s.build(1, listen(t, s.members[1].Addr))
	again.start(mir.NodeConfig{})
	eventually(t, "the message that waited", func() bool { return len(again.app.got(0)) == 1 })
	if got := s.replicas[0].peerStats(1).Reconnects; got != 1 {
		t.Errorf("counted %d reconnections, want 1", got)
	}
	again.send("back", 0)
	eventually(t, "its own message", func() bool { return len(s.replicas[0].app.got(1)) == 1 })
}

func TestMembersComeAndGo(t *testing.T) {
	s := newSystem(t, 3, nil)
	two := []types.Member{s.members[0], s.members[1]}
	s.replicas[0].transport.mustSetPeers(t, two)
	s.start()
	s.replicas[0].send("x", 1, 2)
	eventually(t, "the member's message", func() bool { return len(s.replicas[1].app.got(0)) == 1 })
	if got := s.replicas[0].transport.Stats().Unroutable; got != 1 {
		t.Fatalf("counted %d messages to no peer, want 1", got)
	}

	s.replicas[0].transport.mustSetPeers(t, s.members)
	s.replicas[0].send("y", 2)
	eventually(t, "the new member's message", func() bool { return len(s.replicas[2].app.got(0)) == 1 })
	s.replicas[2].send("z", 0)
	eventually(t, "the message of the new member", func() bool { return len(s.replicas[0].app.got(2)) == 1 })

	left := append([]types.Member(nil), s.members...)
	left[2].Weight = 0
	s.replicas[0].transport.mustSetPeers(t, left)
	eventually(t, "its link to end", func() bool { return !s.replicas[2].peerStats(0).Connected })
	refused := s.replicas[0].transport.Stats().Refused
	eventually(t, "it to be refused", func() bool { return s.replicas[0].transport.Stats().Refused > refused })
	s.replicas[0].send("still", 1)
	eventually(t, "the others to go on", func() bool { return len(s.replicas[1].app.got(0)) == 2 })
}

func TestWhatAMemberThatLeavesDidNotGetIsCountedAsDropped(t *testing.T) {
	s := newSystem(t, 3, nil)
	s.replicas[0].start(mir.NodeConfig{})
	s.replicas[1].start(mir.NodeConfig{})
	s.replicas[2].stop() // It is down.
	const messages = 5
	for range messages {
		s.replicas[0].send("x", 1, 2)
	}
	eventually(t, "the other member's messages", func() bool { return len(s.replicas[1].app.got(0)) == messages })
	s.replicas[0].transport.mustSetPeers(t, s.members[:2])
	if got := s.replicas[0].transport.Counters().Dropped; got != messages {
		t.Fatalf("counted %d, want %d", got, messages)
	}
}

func (t *Transport) mustSetPeers(tb testing.TB, members []types.Member) {
	tb.Helper()
	if err := t.SetPeers(members); err != nil {
		tb.Fatal(err)
	}
}

func TestAPeerThatMovedIsReachedAtItsNewAddress(t *testing.T) {
	s := newSystem(t, 2, nil).start()
	s.replicas[0].waitLinked(1)
	s.replicas[1].stop()
	l := listen(t, "127.0.0.1:0")
	members := append([]types.Member(nil), s.members...)
	members[1].Addr = l.Addr().String()
	// In a list of several epochs the last address counts.
	s.replicas[0].transport.mustSetPeers(t, append(append([]types.Member(nil), s.members...), members...))
	moved := s.build(1, l)
	moved.start(mir.NodeConfig{})
	s.replicas[0].send("hello", 1)
	eventually(t, "the message", func() bool { return len(moved.app.got(0)) == 1 })
}

func TestAPeersKeyNeverChanges(t *testing.T) {
	s := newSystem(t, 2, nil).start()
	members := append([]types.Member(nil), s.members...)
	members[1].Key = publicKey(testKey(5))
	if err := s.replicas[0].transport.SetPeers(members); err == nil {
		t.Fatal("another key was accepted")
	}
	s.replicas[0].send("hello", 1)
	eventually(t, "the link to go on", func() bool { return len(s.replicas[1].app.got(0)) == 1 })
}

// The members are what replicas have ordered: a change that names one without a
// key or an address must not cut the links between all others.
func TestAMemberThatCannotBeAPeerKeepsNoOtherOut(t *testing.T) {
	s := newSystem(t, 3, nil)
	s.replicas[0].transport.mustSetPeers(t, s.members[:2])
	s.start()
	members := append([]types.Member(nil), s.members...)
	members[1].Addr = "" // It is a peer, and stays one.
	members = append(members, types.Member{Node: 3, Weight: 1, Key: publicKey(testKey(3))}, types.Member{Node: 4, Weight: 1, Addr: "127.0.0.1:1"})
	err := s.replicas[0].transport.SetPeers(members)
	for _, want := range []string{"member 1 ", "member 3 ", "member 4 "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not name %s", err, want)
		}
	}
	s.replicas[0].send("hello", 1, 2)
	for _, r := range s.replicas[1:] {
		eventually(t, "the message", func() bool { return len(r.app.got(0)) == 1 })
	}
	if got := len(s.replicas[0].transport.Stats().Peers); got != 2 {
		t.Errorf("there are %d peers, want 2", got)
	}
}

// gate stops the app's node at its first message until it is opened.
func gate(a *app) (open func()) {
	opened := make(chan struct{})
	a.onReceived = func(types.NodeID, note, *mir.Out) { <-opened }
	return sync.OnceFunc(func() { close(opened) })
}

func TestAPeerThatDoesNotReadHoldsNobodyForLongAndLosesOnlyItsOwn(t *testing.T) {
	payload := note(strings.Repeat("x", 256<<10))
	s := newSystem(t, 3, func(cfg *Config) {
		cfg.Outbox = mir.OutboxBounds{PauseBytes: 8 << 20, ResumeBytes: 4 << 20, MaxBytes: 24 << 20}
		cfg.Limits.HoldMax = 50 * time.Millisecond
	})
	open := gate(s.replicas[1].app)
	defer open()
	s.start()
	sender := s.replicas[0]
	sender.waitLinked(1, 2)
	// 40 MiB fit nowhere on the way to replica 1. Clients are held at 8 MiB and
	// must be let in again by the clock.
	const messages = 160
	for i := range messages {
		sender.send(payload, 1, 2)
		eventually(t, "the replica that reads", func() bool { return len(s.replicas[2].app.got(0)) == i+1 })
	}
	if sender.peerStats(1).Holds == 0 || sender.peerStats(1).Holding {
		t.Errorf("the outbox held clients %d times, want some, and not for ever", sender.peerStats(1).Holds)
	}
	eventually(t, "drops to be counted", func() bool { return sender.peerStats(1).Dropped > 0 })
	if got := sender.peerStats(2).Dropped; got != 0 {
		t.Errorf("%d messages to the replica that reads were dropped", got)
	}
	if got := sender.transport.Counters().Dropped; got != sender.peerStats(1).Dropped {
		t.Errorf("the sum of dropped messages is %d, want %d", got, sender.peerStats(1).Dropped)
	}

	open()
	eventually(t, "the outbox to drain", func() bool { return sender.peerStats(1).OutboxBytes == 0 })
	sender.send("end", 1)
	eventually(t, "what was not dropped", func() bool {
		got := s.replicas[1].app.got(0)
		return len(got) > 0 && got[len(got)-1] == "end"
	})
}

func TestTwoNodesWithFullOutboxesBothDrain(t *testing.T) {
	const each = 1000
	question, answer := note(strings.Repeat("?", 1000)), note(strings.Repeat("#", 1000))
	// One frame pauses the clients, and every lane of the nodes holds one event.
	s := newSystem(t, 2, func(cfg *Config) {
		cfg.Outbox = mir.OutboxBounds{PauseBytes: 1100, ResumeBytes: 0, MaxBytes: 4 << 20}
		cfg.Limits.HoldMax = time.Hour
		cfg.Limits.UndeliveredMessages = 1
	})
	var answers [2]atomic.Int64
	for i, r := range s.replicas {
		r.app.onReceived = func(from types.NodeID, m note, out *mir.Out) {
			if m == answer {
				answers[i].Add(1)
				return
			}
			out.Emit(netID, sendEvent(answer, from).Body)
		}
		one := mir.Watermarks{High: 1, Low: 0}
		r.start(mir.NodeConfig{InputBatch: 1, ClientInput: one, ActiveInput: one})
	}
	s.replicas[0].waitLinked(1)
	s.replicas[1].waitLinked(0)
	done := make(chan error, 2)
	for i, r := range s.replicas {
		go func() {
			for range each {
				if err := r.node.Inject(t.Context(), sendEvent(question, types.NodeID(1-i))); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for i := range answers {
		eventually(t, "all answers", func() bool { return answers[i].Load() == each })
	}
}

func TestStopWaitsForNoPeer(t *testing.T) {
	// Replica 1 is a socket that accepts and says nothing; 2 does not read; 3 is
	// down. A stranger hangs in its handshake, and a peer in its stream.
	s := newSystem(t, 4, func(cfg *Config) {
		cfg.Limits.ConnectTimeout = time.Hour
		cfg.Outbox = mir.OutboxBounds{PauseBytes: 16 << 20, ResumeBytes: 0, MaxBytes: 32 << 20}
	})
	open := gate(s.replicas[2].app)
	defer open()
	s.replicas[3].stop()
	sender := s.replicas[0]
	sender.start(mir.NodeConfig{})
	s.replicas[2].start(mir.NodeConfig{})
	stranger, err := net.Dial("tcp", s.members[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	intrudeAs(t, s.members[0].Addr, 3)
	sender.waitLinked(2)
	for range 60 {
		sender.send(note(strings.Repeat("x", 256<<10)), 1, 2, 3)
	}
	eventually(t, "an outbox that stands", func() bool { return sender.peerStats(2).OutboxBytes > 1<<20 })

	stopped := make(chan struct{})
	go func() { sender.stop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(20 * time.Second):
		t.Fatal("Stop did not return")
	}
	if err := sender.node.Inject(t.Context(), sendEvent("late", 2)); !errors.Is(err, mir.ErrStopped) {
		t.Errorf("injecting gave %v, want ErrStopped", err)
	}
}

func TestATransportStartsOnceAndStopsWithoutAStart(t *testing.T) {
	s := newSystem(t, 1, nil)
	transport := s.replicas[0].transport
	transport.Stop()
	if err := transport.Start(nil); err == nil {
		t.Error("it started after it had stopped")
	}
	if err := transport.SetPeers(s.members); err != nil {
		t.Errorf("new members of a transport that has stopped: %v", err)
	}
	if _, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", s.members[0].Addr); err == nil {
		t.Error("the listener is still open")
	}
}

func TestManyMessagesOfBothLanesArriveEachOnceAndInOrderOfTheirLane(t *testing.T) {
	s := newSystem(t, 2, nil).start()
	const each = 500
	for i := range each {
		s.replicas[0].send(note(fmt.Sprintf("vote %d", i)), 1)
		s.replicas[0].send(note(fmt.Sprintf("payload %d %s", i, strings.Repeat("x", voteBytesMax))), 1)
	}
	eventually(t, "all of them", func() bool { return len(s.replicas[1].app.got(0)) == 2*each })
	votes, payloads := 0, 0
	for _, m := range s.replicas[1].app.got(0) {
		lane, no := &votes, 0
		if _, err := fmt.Sscanf(string(m), "vote %d", &no); err != nil {
			lane = &payloads
			if _, err := fmt.Sscanf(string(m), "payload %d", &no); err != nil {
				t.Fatal(err)
			}
		}
		if no != *lane {
			t.Fatalf("got number %d of a lane, want %d", no, *lane)
		}
		*lane++
	}
}
