package mir_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// cluster is a few nodes on an InprocNet, each with a module "app".
type cluster struct {
	names    mir.Names
	net, app mir.ModuleID
	inproc   *mir.InprocNet
	nodes    []*mir.Node
	stops    []func() error
}

// newCluster builds nodes whose app modules app makes; holdMax may be left out.
// The nodes are not started.
func newCluster(t *testing.T, n int, bounds mir.OutboxBounds, node mir.NodeConfig, app func(c *cluster, self mir.NodeID) mir.Module, holdMax ...time.Duration) *cluster {
	t.Helper()
	c := &cluster{nodes: make([]*mir.Node, n), stops: make([]func() error, n)}
	c.net, c.app = c.names.Intern("net"), c.names.Intern("app")
	cfg := mir.InprocConfig{Nodes: n, Codec: noteCodec{}, Outbox: bounds}
	for _, d := range holdMax {
		cfg.HoldMax = d
	}
	var err error
	if c.inproc, err = mir.NewInprocNet(cfg); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c.build(t, mir.NodeID(i), node, app(c, mir.NodeID(i)))
	}
	return c
}

func (c *cluster) build(t *testing.T, id mir.NodeID, cfg mir.NodeConfig, app mir.Module) {
	t.Helper()
	cfg.ID, cfg.Names = id, &c.names
	cfg.Modules = []mir.Registration{{ID: c.net, Module: c.inproc.Port(id)}, {ID: c.app, Module: app}}
	c.nodes[id] = mustNode(t, cfg)
}

func (c *cluster) start(ids ...int) {
	for _, i := range ids {
		c.stops[i] = start(c.nodes[i])
	}
}

func (c *cluster) stop(t *testing.T, ids ...int) {
	t.Helper()
	for _, i := range ids {
		if err := c.stops[i](); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
}

func (c *cluster) send(to []mir.NodeID, text note) mir.Event {
	return mir.Event{To: c.net, Body: mir.Send{To: to, Dest: c.app, Sub: 3, Msg: text}}
}

// received counts the messages that reached one app.
type received struct {
	n    atomic.Int64
	from atomic.Int64 // The sender of the last.
}

func (r *received) Apply(ev mir.Event, _ *mir.Out) {
	if body, ok := ev.Body.(mir.Received); ok && ev.Sub == 3 {
		r.from.Store(int64(body.From))
		r.n.Add(1)
	}
}

func newReceivers(t *testing.T, n int) (*cluster, []*received) {
	t.Helper()
	apps := make([]*received, n)
	c := newCluster(t, n, mir.OutboxBounds{}, mir.NodeConfig{}, func(_ *cluster, self mir.NodeID) mir.Module {
		apps[self] = &received{}
		return apps[self]
	})
	return c, apps
}

func TestABroadcastReachesEveryoneAndOnlyRemoteCopiesAreTraffic(t *testing.T) {
	defer noLeak(t)()
	c, apps := newReceivers(t, 3)
	c.start(0, 1, 2)
	inject(t, c.nodes[1], c.send([]mir.NodeID{0, 1, 2}, "hello"))
	for i, app := range apps {
		eventually(t, "the message", func() bool { return app.n.Load() == 1 })
		if app.from.Load() != 1 {
			t.Errorf("node %d got it from node %d, want 1", i, app.from.Load())
		}
	}
	c.stop(t, 0, 1, 2)
	// A frame is 2 + 8 + len("hello") = 15 bytes.
	if got, want := c.inproc.Port(1).Counters(), (mir.NetCounters{MessagesSent: 2, WireBytesSent: 30}); got != want {
		t.Errorf("the sender counted %+v, want %+v", got, want)
	}
	if got, want := c.inproc.Port(2).Counters(), (mir.NetCounters{MessagesReceived: 1, WireBytesReceived: 15}); got != want {
		t.Errorf("a receiver counted %+v, want %+v", got, want)
	}
}

func TestWhatAPeerMayNotSendIsCountedAndDropped(t *testing.T) {
	c, apps := newReceivers(t, 2)
	absent := c.names.Intern("absent")
	c.start(0, 1)
	forge := func(dest mir.ModuleID, text note) mir.Event {
		return mir.Event{To: c.net, Body: mir.Send{To: []mir.NodeID{1}, Dest: dest, Sub: 3, Msg: text}}
	}
	inject(t, c.nodes[0],
		forge(c.app, "!malformed"), forge(absent, "unregistered"), forge(c.net, "active"), forge(0, "nowhere"),
		forge(c.app, "good"))
	eventually(t, "the good message", func() bool { return apps[1].n.Load() == 1 })
	c.stop(t, 0, 1)
	got := c.inproc.Port(1).Counters()
	if got.DecodeErrors != 1 || got.Misaddressed != 3 || got.MessagesReceived != 5 {
		t.Fatalf("counted %+v, want 1 decode error and 3 misaddressed of 5", got)
	}
}

func TestAStoppedNodeLosesItsTrafficAndHoldsNobodyUp(t *testing.T) {
	defer noLeak(t)()
	apps := make([]*received, 3)
	cfg := mir.NodeConfig{InputBatch: 1}
	// Two frames of 11 bytes pause: without the loss, node 1 would be held for ever.
	bounds := mir.OutboxBounds{PauseBytes: 22, ResumeBytes: 0, MaxBytes: 1 << 20}
	newApp := func(_ *cluster, self mir.NodeID) mir.Module {
		apps[self] = &received{}
		return apps[self]
	}
	c := newCluster(t, 3, bounds, cfg, newApp)
	c.start(0, 1, 2)
	c.stop(t, 2)
	for range 100 {
		inject(t, c.nodes[0], c.send([]mir.NodeID{1, 2}, "x"))
	}
	eventually(t, "the running node to get all", func() bool { return apps[1].n.Load() == 100 })
	eventually(t, "the loss to be counted", func() bool { return c.inproc.Port(2).Counters().Lost == 100 })

	c.build(t, 2, cfg, newApp(c, 2)) // Back from the crash.
	c.start(2)
	eventually(t, "the restarted node to hear again", func() bool {
		inject(t, c.nodes[0], c.send([]mir.NodeID{2}, "y"))
		return apps[2].n.Load() > 0
	})
	c.stop(t, 0, 1, 2)
}

func TestAFullOutboxHoldsClientsUntilThePeerReads(t *testing.T) {
	defer noLeak(t)()
	apps := make([]*received, 2)
	// Frames are 11 bytes: the tenth passes 100 bytes.
	bounds := mir.OutboxBounds{PauseBytes: 100, ResumeBytes: 50, MaxBytes: 111}
	c := newCluster(t, 2, bounds, mir.NodeConfig{InputBatch: 1}, func(_ *cluster, self mir.NodeID) mir.Module {
		apps[self] = &received{}
		return apps[self]
	})
	c.start(0) // Node 1 does not read yet.
	const all = 200
	injected := make(chan error, 1)
	go func() {
		for range all {
			if err := c.nodes[0].Inject(t.Context(), c.send([]mir.NodeID{1}, "x")); err != nil {
				injected <- err
				return
			}
		}
		injected <- nil
	}()
	eventually(t, "the hold", func() bool { return c.nodes[0].InputCounters().ClientHolds == 1 })
	eventually(t, "ten messages", func() bool { return c.inproc.Port(0).Counters().MessagesSent == 10 })

	c.start(1)
	if err := <-injected; err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything to arrive", func() bool { return apps[1].n.Load() == all })
	eventually(t, "the release", func() bool { return c.nodes[0].InputCounters().ClientHolds == 0 })
	c.stop(t, 0, 1)
}

func TestWhatAFullOutboxCanNotTakeIsDroppedAndTheNodeGoesOn(t *testing.T) {
	apps := make([]*received, 3)
	// Frames are 11 bytes: nine of them fit.
	bounds := mir.OutboxBounds{PauseBytes: 98, ResumeBytes: 50, MaxBytes: 100}
	c := newCluster(t, 3, bounds, mir.NodeConfig{}, func(_ *cluster, self mir.NodeID) mir.Module {
		apps[self] = &received{}
		return apps[self]
	})
	c.start(0, 1) // Node 2 does not read yet.
	all := make([]mir.NodeID, 30)
	for i := range all {
		all[i] = 2
	}
	inject(t, c.nodes[0], c.send(append(all, 1), "x"))
	eventually(t, "the healthy peer to hear", func() bool { return apps[1].n.Load() == 1 })
	if got := c.inproc.Port(0).Counters(); got.Dropped != 21 || got.MessagesSent != 10 || got.WireBytesSent != 110 {
		t.Errorf("counted %+v, want 21 dropped and 10 sent", got)
	}
	c.start(2)
	eventually(t, "what was kept to arrive", func() bool { return apps[2].n.Load() == 9 })
	c.stop(t, 0, 1, 2)
}

func TestAPeerThatReadsNothingDoesNotKeepClientsOutForever(t *testing.T) {
	apps := make([]*received, 3)
	c := newCluster(t, 3, mir.OutboxBounds{PauseBytes: 22, ResumeBytes: 0, MaxBytes: 33}, mir.NodeConfig{InputBatch: 1},
		func(_ *cluster, self mir.NodeID) mir.Module {
			apps[self] = &received{}
			return apps[self]
		}, time.Millisecond)
	c.start(0, 1) // Node 2 never reads.
	for range 100 {
		inject(t, c.nodes[0], c.send([]mir.NodeID{1, 2}, "x"))
	}
	eventually(t, "the healthy peer to hear all", func() bool { return apps[1].n.Load() == 100 })
	if got := c.inproc.Port(0).Counters().Dropped; got != 97 {
		t.Errorf("%d messages were dropped, want all but 3", got)
	}
	c.stop(t, 0, 1)
}

// flooder answers each message of its peer with one of its own, which is not
// answered: twice as much traffic as clients ask for, in both directions.
type flooder struct {
	c       *cluster
	peer    mir.NodeID
	answers atomic.Int64
}

func (f *flooder) Apply(ev mir.Event, out *mir.Out) {
	switch body := ev.Body.(type) {
	case note:
		out.Emit(f.c.net, mir.Send{To: []mir.NodeID{f.peer}, Dest: f.c.app, Msg: note("question")})
	case mir.Received:
		if body.Msg == note("answer") {
			f.answers.Add(1)
			return
		}
		out.Emit(f.c.net, mir.Send{To: []mir.NodeID{f.peer}, Dest: f.c.app, Msg: note("answer")})
	}
}

func TestTwoNodesThatFloodEachOtherThroughTinyBuffersDoNotDeadlock(t *testing.T) {
	defer noLeak(t)()
	const each = 3000
	apps := make([]*flooder, 2)
	// One frame pauses the clients, and every lane holds one event. The hard
	// bound fits all answers: clients here have no window that would bound
	// them more tightly.
	bounds := mir.OutboxBounds{PauseBytes: 1, ResumeBytes: 0, MaxBytes: 2 * each * 20}
	cfg := mir.NodeConfig{
		InputBatch:  1,
		ClientInput: mir.Watermarks{High: 1, Low: 0}, ActiveInput: mir.Watermarks{High: 1, Low: 0},
	}
	c := newCluster(t, 2, bounds, cfg, func(c *cluster, self mir.NodeID) mir.Module {
		apps[self] = &flooder{c: c, peer: 1 - self}
		return apps[self]
	})
	c.start(0, 1)
	done := make(chan error, 2)
	for i := range 2 {
		go func() {
			for range each {
				if err := c.nodes[i].Inject(t.Context(), mir.Event{To: c.app, Body: note("client")}); err != nil {
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
	for i := range 2 {
		eventually(t, "all answers", func() bool { return apps[i].answers.Load() == each })
		if got := c.nodes[i].InputCounters(); got.ActivePauses == 0 {
			t.Errorf("node %d: the bound was never reached: %+v", i, got)
		}
	}
	c.stop(t, 0, 1)
}

func TestStoppingNodesThatAreFullDoesNotHang(t *testing.T) {
	defer noLeak(t)()
	cfg := mir.NodeConfig{
		InputBatch:  1,
		ClientInput: mir.Watermarks{High: 1, Low: 0}, ActiveInput: mir.Watermarks{High: 1, Low: 0},
	}
	bounds := mir.OutboxBounds{PauseBytes: 1, ResumeBytes: 0, MaxBytes: 1 << 30}
	c := newCluster(t, 2, bounds, cfg, func(c *cluster, self mir.NodeID) mir.Module {
		return &flooder{c: c, peer: 1 - self}
	})
	c.start(0, 1)
	var ended [2]chan error
	for i := range 2 {
		ended[i] = make(chan error, 1)
		go func() {
			for {
				if err := c.nodes[i].Inject(t.Context(), mir.Event{To: c.app, Body: note("client")}); err != nil {
					ended[i] <- err
					return
				}
			}
		}()
	}
	eventually(t, "traffic", func() bool { return c.inproc.Port(1).Counters().MessagesReceived > 100 })
	c.stop(t, 0, 1)
	for i := range 2 {
		if err := <-ended[i]; !errors.Is(err, mir.ErrStopped) {
			t.Errorf("client of node %d got %v, want ErrStopped", i, err)
		}
	}
}

func TestWrongNetworksAreRefused(t *testing.T) {
	for name, cfg := range map[string]mir.InprocConfig{
		"no codec":           {Nodes: 1},
		"no nodes":           {Codec: noteCodec{}},
		"max at pause":       {Nodes: 1, Codec: noteCodec{}, Outbox: mir.OutboxBounds{PauseBytes: 5, MaxBytes: 5}},
		"hold":               {Nodes: 1, Codec: noteCodec{}, HoldMax: -1},
		"resume above pause": {Nodes: 1, Codec: noteCodec{}, Outbox: mir.OutboxBounds{PauseBytes: 5, ResumeBytes: 6, MaxBytes: 9}},
	} {
		if _, err := mir.NewInprocNet(cfg); err == nil {
			t.Errorf("%s: NewInprocNet did not refuse", name)
		}
	}
}
