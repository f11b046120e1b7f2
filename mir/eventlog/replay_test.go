package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/eventlog"
)

// replayAll replays one node into module until an error, which is io.EOF at the
// end, and counts the steps.
func replayAll(t *testing.T, recording []byte, i *ids, node mir.NodeID, module mir.Module) (steps uint64, err error) {
	t.Helper()
	p, err := eventlog.NewReplay(newReader(t, recording), eventlog.ReplayConfig{
		Node: node, Codec: codec{}, Names: &i.names, Net: i.net, Timer: i.timer,
		Modules: []mir.Registration{{ID: i.app, Module: module}},
	})
	for ; err == nil; steps++ {
		_, _, err = p.Step()
	}
	return steps - 1, err
}

func TestAReplayedSimulationEndsInTheSameState(t *testing.T) {
	run := simulate(t, 3)
	for id, sum := range run.sums {
		module := &counter{ids: run.ids, n: nodes}
		steps, err := replayAll(t, run.recording, run.ids, mir.NodeID(id), module)
		if !errors.Is(err, io.EOF) || steps != run.events[id] || module.sum != sum {
			t.Errorf("node %d: %d steps to %d (%v), want %d to %d", id, steps, module.sum, err, run.events[id], sum)
		}
	}
}

func TestAStepReturnsTheEventAndItsRecord(t *testing.T) {
	run := simulate(t, 3)
	p, err := eventlog.NewReplay(newReader(t, run.recording), eventlog.ReplayConfig{
		Node: 1, Codec: codec{}, Names: &run.names, Net: run.net, Timer: run.timer,
		Modules: []mir.Registration{{ID: run.app, Module: &counter{ids: run.ids, n: nodes}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ev, rec, err := p.Step()
	if err != nil || ev.Body != (start{ticks: ticks}) || !rec.Input || rec.Node != 1 || rec.Event != "test.Start" {
		t.Errorf("the first step is %+v, %+v (%v)", ev, rec, err)
	}
}

func TestOtherCodeDiverges(t *testing.T) {
	run := simulate(t, 3)
	other := &counter{ids: run.ids, n: nodes, step: 1} // It sends other tokens.
	steps, err := replayAll(t, run.recording, run.ids, 0, other)
	if !errors.Is(err, eventlog.ErrDiverged) || steps == 0 || steps >= run.events[0] {
		t.Errorf("after %d of %d steps: %v, want a divergence on the way", steps, run.events[0], err)
	}
	silent := mir.ModuleFunc(func(mir.Event, *mir.Out) {})
	if _, err := replayAll(t, run.recording, run.ids, 0, silent); !errors.Is(err, eventlog.ErrDiverged) {
		t.Errorf("a module that emits nothing: %v", err)
	}
}

func TestAnInputThatNobodyCanRebuildStopsTheReplay(t *testing.T) {
	i := newIDs()
	var file bytes.Buffer
	recorder := newRecorder(t, eventlog.Config{Out: &file, Header: eventlog.NewHeader(&i.names), Codec: codec{}, Clock: func() time.Duration { return 0 }})
	recorder.Node(0).Intercept(mir.Event{To: i.app, Body: tick{left: 1}}, true) // Of no timer.
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := replayAll(t, file.Bytes(), i, 0, &counter{ids: i}); !errors.Is(err, eventlog.ErrUndecodable) {
		t.Errorf("the replay ends with %v", err)
	}
}

func TestWhatANetworkInjectsToItselfIsAStepThatDoesNothing(t *testing.T) {
	i := newIDs()
	var file bytes.Buffer
	recorder := newRecorder(t, eventlog.Config{Out: &file, Header: eventlog.NewHeader(&i.names), Codec: codec{}, Clock: func() time.Duration { return 0 }})
	log := recorder.Node(0)
	log.Intercept(mir.Event{To: i.net, Body: tick{left: 1}}, true)
	log.Intercept(mir.Event{To: i.app, Body: mir.Received{From: 2, Msg: token{value: 5}}}, true)
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	module := &counter{ids: i}
	steps, err := replayAll(t, file.Bytes(), i, 0, module)
	if !errors.Is(err, io.EOF) || steps != 2 || module.sum != 15 { // 5 * (2 + 1)
		t.Errorf("%d steps to %d (%v), want 2 to 15", steps, module.sum, err)
	}
}

func TestAPartialRecordingIsNotReplayed(t *testing.T) {
	run := simulate(t, 3)
	filtered := filter(t, run.recording, eventlog.Filter{Inputs: true})
	if _, err := eventlog.NewReplay(newReader(t, filtered), eventlog.ReplayConfig{}); !errors.Is(err, eventlog.ErrIncomplete) {
		t.Errorf("a filtered recording: %v", err)
	}
}

// filter writes what a filter chooses as a recording.
func filter(t *testing.T, recording []byte, f eventlog.Filter) []byte {
	t.Helper()
	r := newReader(t, recording)
	var out bytes.Buffer
	w, err := eventlog.NewWriter(&out, eventlog.Header{Modules: r.Header().Modules, Partial: true})
	if err == nil {
		err = eventlog.Each(r, f, w.Write)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// keep asks a disk to emit then once something is durable.
type keep struct{ then []mir.Event }

func (keep) EventName() string { return "test.Keep" }

// disk is an active module that answers later.
type disk struct {
	queue chan []mir.Event
	done  chan struct{}
}

func (d *disk) Apply(ev mir.Event, _ *mir.Out) { d.queue <- ev.Body.(keep).then }

func (d *disk) Start(in mir.Injector) error {
	go func() {
		defer close(d.done)
		for then := range d.queue {
			if in.Inject(then...) != nil {
				return
			}
		}
	}()
	return nil
}

func (d *disk) Stop() { close(d.queue); <-d.done }

// keeper is a module that answers each token, and each start, by what it has
// made durable first: a message to all, and an event that no codec knows.
type keeper struct {
	*ids
	disk  mir.ModuleID
	sum   uint64
	ended int           // Starts that have led to their last tick.
	done  chan struct{} // Closed after two; nil in a replay.
}

func (k *keeper) Apply(ev mir.Event, out *mir.Out) {
	switch b := ev.Body.(type) {
	case start:
		k.keep(b.ticks, out)
	case mir.Received:
		if k.sum += b.Msg.(token).value; b.Msg.(token).value > 0 {
			k.keep(b.Msg.(token).value-1, out)
		}
	case tick:
		k.sum *= 3
		if b.left > 0 {
			return
		}
		if k.ended++; k.ended == 2 && k.done != nil {
			close(k.done)
		}
	}
}

func (k *keeper) keep(left uint64, out *mir.Out) {
	out.Emit(k.disk, keep{then: []mir.Event{
		{To: k.net, Body: mir.Send{To: []mir.NodeID{0}, Dest: k.app, Msg: token{value: left}}},
		{To: k.app, Body: tick{left: left}},
	}})
}

func TestWhatAStoreEmitsLaterIsReplayed(t *testing.T) {
	i := newIDs()
	diskID := i.names.Intern("disk")
	network, err := mir.NewInprocNet(mir.InprocConfig{Nodes: 1, Codec: codec{}})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	recorder := newRecorder(t, eventlog.Config{Out: &file, Header: eventlog.NewHeader(&i.names), Codec: codec{}, Clock: func() time.Duration { return 0 }})
	recorded := &keeper{ids: i, disk: diskID, done: make(chan struct{})}
	node, err := mir.NewNode(mir.NodeConfig{
		Names: &i.names, Interceptor: recorder.Node(0),
		Modules: []mir.Registration{
			{ID: i.net, Module: network.Port(0)}, {ID: i.app, Module: recorded},
			{ID: diskID, Module: &disk{queue: make(chan []mir.Event, 100), done: make(chan struct{})}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() { stopped <- node.Run(ctx) }()
	begin := mir.Event{To: i.app, Body: start{ticks: ticks}}
	if err := node.Inject(ctx, begin, begin); err != nil { // What they lead to interleaves.
		t.Fatal(err)
	}
	<-recorded.done
	stop()
	if err := errors.Join(<-stopped, recorder.Close()); err != nil {
		t.Fatal(err)
	}

	replayed := &keeper{ids: i, disk: diskID}
	then := mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
		for _, later := range ev.Body.(keep).then {
			out.EmitSub(later.To, later.Sub, later.Body)
		}
	})
	p, err := eventlog.NewReplay(newReader(t, file.Bytes()), eventlog.ReplayConfig{
		Codec: codec{}, Names: &i.names, Net: i.net, Timer: i.timer,
		Modules: []mir.Registration{{ID: i.app, Module: replayed}}, Deferred: []mir.Registration{{ID: diskID, Module: then}},
	})
	for err == nil {
		_, _, err = p.Step()
	}
	if !errors.Is(err, io.EOF) || replayed.sum != recorded.sum || replayed.sum == 0 {
		t.Errorf("the replay ends with %d (%v), want %d", replayed.sum, err, recorded.sum)
	}
}
