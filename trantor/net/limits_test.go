package net

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
)

func TestWhatAPeerMayNotAddressIsCountedAndDropped(t *testing.T) {
	s := newSystem(t, 2, nil)
	r := s.replicas[0]
	r.start(mir.NodeConfig{})
	peer := intrudeAs(t, s.members[0].Addr, 1)
	for _, dest := range []mir.ModuleID{0, netID, 99} {
		peer.send(frameOf(dest, []byte("mischief")))
	}
	peer.send(frameOf(appID, []byte("good")))
	eventually(t, "the good message", func() bool { return len(r.app.got(1)) == 1 })
	if got := r.transport.Counters(); got.Misaddressed != 3 || got.MessagesReceived != 4 {
		t.Fatalf("counted %+v, want 3 misaddressed of 4", got)
	}
}

func TestGarbageEndsTheConnectionAndThePeerIsRefusedForAWhile(t *testing.T) {
	const most = 4
	s := newSystem(t, 2, func(cfg *Config) {
		cfg.Limits.BadFramesMax = most
		cfg.Limits.PenaltyMin, cfg.Limits.PenaltyMax = time.Hour, time.Hour
	})
	r := s.replicas[0]
	r.start(mir.NodeConfig{})
	peer := intrudeAs(t, s.members[0].Addr, 1)
	// Of these a correct one too: it does not make good for the others.
	for _, b := range [][]byte{nil, {1, 2, 3}, frameOf(appID, []byte("good")), frameOf(appID, []byte("!malformed")), frameOf(appID, []byte("!more"))} {
		peer.send(b)
	}
	peer.waitEnded()
	if got := r.peerStats(1); got.BadFrames != most || got.Penalties != 1 {
		t.Errorf("counted %+v, want %d bad frames and a penalty", got, most)
	}
	if got := r.transport.Counters().DecodeErrors; got != most {
		t.Errorf("counted %d decode errors, want %d", got, most)
	}
	if _, err := intrude(t, s.members[0].Addr, clientTLS(honestCertificate(t, 1))); err == nil {
		t.Fatal("it was let in again at once")
	}
	// The clock is moved on by moving the end of the penalty back.
	r.transport.peer(1).mu.Lock()
	r.transport.peer(1).refusedUntil = time.Now().Add(-time.Second)
	r.transport.peer(1).mu.Unlock()
	intrudeAs(t, s.members[0].Addr, 1).send(frameOf(appID, []byte("sorry")))
	eventually(t, "a message after the penalty", func() bool { return len(r.app.got(1)) == 2 })
}

func TestPenaltiesDoubleUpToTheirMaximum(t *testing.T) {
	for times, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		if got := doubled(1, 10, uint64(times)); got != want {
			t.Errorf("after %d times: %d, want %d", times, got, want)
		}
	}
	if got := doubled(time.Second, time.Minute, 1<<40); got != time.Minute {
		t.Errorf("after very many times: %v, want a minute", got)
	}
}

func TestAnOversizeFrameEndsTheConnection(t *testing.T) {
	const most = 64 << 10
	s := newSystem(t, 2, func(cfg *Config) {
		cfg.Limits.MessageBytesMax = most
		cfg.Limits.PenaltyMin, cfg.Limits.PenaltyMax = time.Hour, time.Hour
	})
	r := s.replicas[0]
	r.start(mir.NodeConfig{})
	peer := intrudeAs(t, s.members[0].Addr, 1)
	peer.send(frameOf(appID, make([]byte, most)))
	eventually(t, "the largest message", func() bool { return len(r.app.got(1)) == 1 })
	peer.send(frameOf(appID, make([]byte, most+1)))
	peer.waitEnded()
	eventually(t, "the frame to be counted", func() bool { got := r.peerStats(1); return got.BadFrames == 1 && got.Penalties == 1 })
	if len(r.app.got(1)) != 1 {
		t.Fatal("it arrived all the same")
	}
}

func TestAnOwnMessageThatIsTooLargeIsNotSent(t *testing.T) {
	const most = 64 << 10
	s := newSystem(t, 2, func(cfg *Config) { cfg.Limits.MessageBytesMax = most }).start()
	s.replicas[0].send(note(strings.Repeat("x", most+1)), 1)
	s.replicas[0].send("small", 1)
	eventually(t, "the next message", func() bool { return len(s.replicas[1].app.got(0)) == 1 })
	if got := s.replicas[0].transport.Stats().TooLarge; got != 1 {
		t.Fatalf("counted %d, want 1", got)
	}
	if got := s.replicas[0].peerStats(1).Reconnects; got != 0 {
		t.Fatalf("the link was lost %d times", got)
	}
}

func TestAFloodFillsOnlyThePeersOwnShareOfTheInput(t *testing.T) {
	for name, flood := range map[string]struct {
		size, messages int // messages fill the share.
	}{
		"of messages": {size: 1, messages: 64},
		"of bytes":    {size: 64 << 10, messages: 16}, // 16 * (64 KiB + 10 B) pass 1 MiB; 15 do not.
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, 3, func(cfg *Config) {
				cfg.Limits.UndeliveredMessages, cfg.Limits.UndeliveredBytes = 64, 1<<20
			})
			r := s.replicas[0]
			open := gate(r.app)
			defer open()
			r.start(mir.NodeConfig{InputBatch: 1})
			flooder, other := intrudeAs(t, s.members[0].Addr, 1), intrudeAs(t, s.members[0].Addr, 2)
			frame := frameOf(appID, make([]byte, flood.size))
			var flooded = make(chan struct{})
			go func() {
				defer close(flooded)
				for range 4 * flood.messages {
					flooder.send(frame)
				}
			}()
			share := r.transport.peer(1).share
			full := func() bool {
				share.mu.Lock()
				defer share.mu.Unlock()
				return share.messages == flood.messages && share.freed != nil
			}
			eventually(t, "the share to be used up, and somebody to wait", full)
			other.send(frameOf(appID, []byte("hello")))
			eventually(t, "the other peer to get in", func() bool { return r.transport.peer(2).share.used() == 1 })
			if !full() {
				t.Error("the flooder got more than its share")
			}
			open()
			eventually(t, "the other peer's message", func() bool { return len(r.app.got(2)) == 1 })
			eventually(t, "all of the flood", func() bool { return len(r.app.got(1)) == 4*flood.messages })
			<-flooded
		})
	}
}

func (s *share) used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages
}

func TestAStreamThatEndsKeepsNothingOfTheShare(t *testing.T) {
	s := newSystem(t, 2, nil)
	r := s.replicas[0]
	r.start(mir.NodeConfig{})
	peer := intrudeAs(t, s.members[0].Addr, 1)
	peer.send(frameOf(appID, []byte("hello"))) // Too little to be given back at once.
	eventually(t, "the message", func() bool { return len(r.app.got(1)) == 1 })
	if got := r.transport.peer(1).share.used(); got != 1 {
		t.Fatalf("the share is %d before the end, want 1", got)
	}
	if err := peer.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	peer.waitEnded()
	// A connection is good for one stream.
	eventually(t, "the connection to be closed", func() bool { return !r.peerStats(1).Receiving })
	eventually(t, "the share to be given back", func() bool { return r.transport.peer(1).share.used() == 0 })
}

func TestAStreamOfAnotherMethodCostsAPeerItsConnection(t *testing.T) {
	s := newSystem(t, 2, nil)
	r := s.replicas[0]
	r.start(mir.NodeConfig{})
	conn := dial(t, s.members[0].Addr, clientTLS(honestCertificate(t, 1)))
	defer conn.Close()
	stream, err := conn.NewStream(t.Context(), &framesStream, "/"+serviceName+"/Other")
	if err == nil {
		err = stream.RecvMsg(&inFrame{})
	}
	if err == nil {
		t.Fatal("it was served")
	}
	eventually(t, "the connection to be closed", func() bool { return !r.peerStats(1).Receiving })
}

// What a connection has on its way stays in memory until its receiver is gone.
func TestAPeerThatReconnectsWhileTheNodeIsBusyIsReadOnce(t *testing.T) {
	s := newSystem(t, 2, nil)
	r := s.replicas[0]
	open := gate(r.app)
	defer open()
	r.start(mir.NodeConfig{InputBatch: 1, ActiveInput: mir.Watermarks{High: 1, Low: 0}})
	first := intrudeAs(t, s.members[0].Addr, 1)
	// One is being applied, one is the input, and the third waits for room.
	for range 3 {
		first.send(frameOf(appID, []byte("hello")))
	}
	eventually(t, "the node to be busy", func() bool { return r.transport.peer(1).share.used() == 3 })
	const more = 5
	for range more {
		intrudeAs(t, s.members[0].Addr, 1).send(frameOf(appID, []byte("again")))
	}
	eventually(t, "all receivers but the first and the last to end", func() bool { return receivers() == 2 })
	if got := r.transport.Counters().MessagesReceived; got != 3 {
		t.Errorf("%d messages were read, want 3", got)
	}
	open()
	eventually(t, "the last connection's message", func() bool { return len(r.app.got(1)) == 4 })
}

// receivers is how many streams are being received, in all transports.
func receivers() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Count(stacks, []byte("net.(*Transport).receive("))
}

func TestAPeerThatIsTooFastIsReadMoreSlowlyAndLosesNothing(t *testing.T) {
	for name, edit := range map[string]func(*Limits){
		"messages": func(l *Limits) { l.MessagesPerSecond = 20 },
		// A second's worth is at least the largest message.
		"bytes": func(l *Limits) { l.BytesPerSecond, l.MessageBytesMax = 20*100, 100 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, 3, func(cfg *Config) { edit(&cfg.Limits) })
			r := s.replicas[0]
			r.start(mir.NodeConfig{})
			fast, other := intrudeAs(t, s.members[0].Addr, 1), intrudeAs(t, s.members[0].Addr, 2)
			const messages = 30 // Of 100 bytes: 1.5 seconds' worth.
			frame := frameOf(appID, make([]byte, 90))
			for range messages {
				fast.send(frame)
			}
			other.send(frameOf(appID, []byte("hello")))
			eventually(t, "the other peer's message", func() bool { return len(r.app.got(2)) == 1 })
			eventually(t, "everything", func() bool { return len(r.app.got(1)) == messages })
			if r.peerStats(1).RateLimited == 0 || r.peerStats(2).RateLimited != 0 {
				t.Errorf("rate limited %d and %d times, want some and none", r.peerStats(1).RateLimited, r.peerStats(2).RateLimited)
			}
		})
	}
}
