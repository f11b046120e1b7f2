package sim_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
)

// num is the message and event of these tests: 8 bytes on the wire, so that a
// frame has 18.
type num uint64

func (num) EventName() string { return "test.Num" }

type numCodec struct{}

func (numCodec) Encode(dst []byte, m mir.Message) ([]byte, error) {
	n, ok := m.(num)
	if !ok {
		return nil, errors.New("not a number")
	}
	return binary.BigEndian.AppendUint64(dst, uint64(n)), nil
}

func (numCodec) Decode(b []byte) (mir.Message, error) {
	if len(b) != 8 {
		return nil, fmt.Errorf("a number of %d bytes", len(b))
	}
	return num(binary.BigEndian.Uint64(b)), nil
}

// rig is a simulation of nodes with the modules net, timer and app.
type rig struct {
	*sim.Sim
	names           mir.Names
	net, timer, app mir.ModuleID
	got             [][]string // By node: what its app received and when.
}

// newRig makes nodes whose apps note what they receive, and which handle other
// events by on, which may be nil.
func newRig(t *testing.T, nodes int, cfg sim.Config, on func(r *rig, self mir.NodeID, ev mir.Event, out *mir.Out)) *rig {
	t.Helper()
	cfg.Codec = numCodec{}
	r := &rig{got: make([][]string, nodes)}
	r.net, r.timer, r.app = r.names.Intern("net"), r.names.Intern("timer"), r.names.Intern("app")
	var err error
	if r.Sim, err = sim.New(cfg); err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		if _, err := r.AddNode(r.node(mir.NodeID(i), on)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *rig) node(self mir.NodeID, on func(*rig, mir.NodeID, mir.Event, *mir.Out)) sim.NodeConfig {
	app := mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
		if body, ok := ev.Body.(mir.Received); ok {
			r.got[self] = append(r.got[self], fmt.Sprintf("%v from %d at %v", body.Msg, body.From, r.Now()))
		}
		if on != nil {
			on(r, self, ev, out)
		}
	})
	return sim.NodeConfig{
		Names: &r.names, Net: r.net, Timer: r.timer,
		Modules: []mir.Registration{{ID: r.app, Module: app}},
	}
}

func (r *rig) send(from mir.NodeID, msg num, to ...mir.NodeID) {
	r.Inject(from, mir.Event{To: r.net, Body: mir.Send{To: to, Dest: r.app, Msg: msg}})
}

func (r *rig) wantGot(t *testing.T, node int, want ...string) {
	t.Helper()
	if !slices.Equal(r.got[node], want) {
		t.Errorf("node %d received %q, want %q", node, r.got[node], want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gossip passes every number on to two others until it reaches zero.
func gossip(r *rig, self mir.NodeID, ev mir.Event, out *mir.Out) {
	body, ok := ev.Body.(mir.Received)
	if n, _ := body.Msg.(num); ok && n > 0 {
		out.Emit(r.net, mir.Send{To: []mir.NodeID{(self + 1) % 4, (self + 2) % 4}, Dest: r.app, Msg: n - 1})
	}
}

func TestOneSeedIsOneRun(t *testing.T) {
	run := func(seed uint64) (uint64, sim.Counters, [][]string) {
		r := newRig(t, 4, sim.Config{Seed: seed, Network: sim.Network{
			Latency: sim.Uniform(time.Millisecond, 50*time.Millisecond), LossRate: 0.05, DuplicateRate: 0.1,
		}}, gossip)
		r.send(0, 8, 0, 1, 2, 3)
		must(t, r.Run(time.Second))
		return r.TraceHash(), r.Total(), r.got
	}
	hash1, total1, got1 := run(1)
	hash2, total2, got2 := run(1)
	if hash1 != hash2 || total1 != total2 || !slices.EqualFunc(got1, got2, slices.Equal[[]string]) {
		t.Errorf("seed 1 gave two runs: %x %+v and %x %+v", hash1, total1, hash2, total2)
	}
	if hash3, _, _ := run(2); hash3 == hash1 {
		t.Errorf("seeds 1 and 2 gave the same run %x", hash1)
	}
	if total1.Lost == 0 || total1.Duplicated == 0 || total1.EventsApplied < 100 {
		t.Errorf("the run is too tame to prove anything: %+v", total1)
	}
}

func TestTheTraceHashCoversBytesAndTimes(t *testing.T) {
	run := func(msg num, latency time.Duration) uint64 {
		r := newRig(t, 2, sim.Config{Network: sim.Network{Latency: sim.Fixed(latency)}}, nil)
		r.send(0, msg, 1)
		must(t, r.Run(time.Second))
		return r.TraceHash()
	}
	if run(1, 1) == run(2, 1) {
		t.Error("runs with different messages have the same hash")
	}
	if run(1, 1) == run(1, 2) {
		t.Error("runs with different times have the same hash")
	}
}

func TestCountersAreExact(t *testing.T) {
	r := newRig(t, 3, sim.Config{}, nil)
	r.send(0, 7, 0, 1, 2)
	r.send(1, 8, 0)
	must(t, r.Run(time.Second))
	// Node 0 applies Send, its own copy and the message of node 1.
	want := sim.Counters{EventsApplied: 3, MessagesSent: 2, WireBytesSent: 36, MessagesReceived: 1, WireBytesReceived: 18}
	if got := r.Counters(0); got != want {
		t.Errorf("node 0 counted %+v, want %+v", got, want)
	}
	// Sends 2, own copy 1, remote messages 3.
	want = sim.Counters{EventsApplied: 6, MessagesSent: 3, WireBytesSent: 54, MessagesReceived: 3, WireBytesReceived: 54}
	if got := r.Total(); got != want {
		t.Errorf("in total %+v, want %+v", got, want)
	}
	if r.Steps() != 6 || r.ModuleCounters(0)[0].Applied != 1 {
		t.Errorf("%d steps, net of node 0 %+v", r.Steps(), r.ModuleCounters(0)[0])
	}
	r.wantGot(t, 0, "7 from 0 at 0s", "8 from 1 at 1ms")
}

func TestAnInputRunsToCompletionBeforeTheNextBegins(t *testing.T) {
	var order []num
	r := newRig(t, 1, sim.Config{}, func(r *rig, _ mir.NodeID, ev mir.Event, out *mir.Out) {
		n := ev.Body.(num)
		if order = append(order, n); n < 100 {
			out.Emit(r.app, 10*n)
		}
	})
	r.Inject(0, mir.Event{To: r.app, Body: num(1)}, mir.Event{To: r.app, Body: num(2)})
	must(t, r.Run(0))
	if want := []num{1, 10, 100, 2, 20, 200}; !slices.Equal(order, want) {
		t.Errorf("applied %v, want %v", order, want)
	}
}

func TestTimersFireInVirtualTimeAndReplaceAndCancelExactly(t *testing.T) {
	var fired []string
	r := newRig(t, 1, sim.Config{}, func(r *rig, _ mir.NodeID, ev mir.Event, _ *mir.Out) {
		fired = append(fired, fmt.Sprintf("%v at %v", ev.Body, r.Now()))
	})
	set := func(id, fire num, after time.Duration) mir.Event {
		return mir.Event{To: r.timer, Body: mir.SetTimer{
			ID: mir.TimerID{Owner: r.app, N: uint64(id)}, After: after,
			Fire: mir.Event{To: r.app, Body: fire},
		}}
	}
	cancel := func(id num) mir.Event {
		return mir.Event{To: r.timer, Body: mir.CancelTimer{ID: mir.TimerID{Owner: r.app, N: uint64(id)}}}
	}
	r.Inject(0,
		set(1, 100, time.Hour), set(2, 200, time.Minute), set(3, 300, time.Second), set(4, 400, time.Minute),
		set(1, 101, 2*time.Minute), // Replaces 100.
		cancel(2), cancel(9))       // Cancelling what is not set is allowed.
	r.At(time.Minute, func() { r.Inject(0, cancel(4)) }) // After timer 4 in the agenda: too late.
	must(t, r.Run(2*time.Hour))
	want := []string{"300 at 1s", "400 at 1m0s", "101 at 2m0s"}
	if !slices.Equal(fired, want) {
		t.Errorf("fired %q, want %q", fired, want)
	}
}

func TestABusyNodeHandlesItsInputsInTheOrderOfTheirArrival(t *testing.T) {
	var order []string
	const ms = time.Millisecond
	r := newRig(t, 2, sim.Config{EventCost: 10 * ms, Network: sim.Network{Latency: sim.Fixed(10 * ms)}},
		func(_ *rig, self mir.NodeID, ev mir.Event, _ *mir.Out) {
			order = append(order, fmt.Sprint(ev.Body))
		})
	r.send(1, 3, 0) // Leaves at 10ms and arrives at 20ms, when node 0 is free but 2 waits already.
	r.At(10*ms, func() { r.Inject(0, mir.Event{To: r.app, Body: num(1)}) })
	r.At(15*ms, func() { r.Inject(0, mir.Event{To: r.app, Body: num(2)}) })
	must(t, r.Run(time.Second))
	if want := []string{"1", "2", "{1 3}"}; !slices.Equal(order, want) {
		t.Errorf("applied %q, want %q", order, want)
	}
}

func TestABusyNodeForgetsACancelledTimerThatIsAlreadyDue(t *testing.T) {
	var at []string
	r := newRig(t, 1, sim.Config{
		EventCost: 10 * time.Millisecond,
		OnStep: func(st sim.Step) error {
			at = append(at, fmt.Sprintf("%v at %v", st.Event.Body.EventName(), st.At))
			return nil
		},
	}, func(r *rig, _ mir.NodeID, ev mir.Event, out *mir.Out) {
		if ev.Body == num(1) {
			out.Emit(r.timer, mir.CancelTimer{ID: mir.TimerID{Owner: r.app}})
		}
	})
	r.Inject(0, mir.Event{To: r.timer, Body: mir.SetTimer{
		ID: mir.TimerID{Owner: r.app}, After: 5 * time.Millisecond, Fire: mir.Event{To: r.app, Body: num(99)},
	}})
	r.Inject(0, mir.Event{To: r.app, Body: num(0)}) // Handled until 20ms; the timer is due at 15ms.
	r.Inject(0, mir.Event{To: r.app, Body: num(1)}) // Cancels the timer, which waits behind it.
	must(t, r.Run(time.Second))
	want := []string{"timer.Set at 10ms", "test.Num at 20ms", "test.Num at 30ms", "timer.Cancel at 40ms"}
	if !slices.Equal(at, want) {
		t.Errorf("steps %q, want %q", at, want)
	}
}

func TestAFailureNamesEverythingThatReplaysIt(t *testing.T) {
	errInvariant := errors.New("two leaders")
	for _, tc := range []struct {
		name   string
		onStep func(sim.Step) error
		on     func(*rig, mir.NodeID, mir.Event, *mir.Out)
		step   uint64
		is     error
		says   []string
	}{
		{
			name: "a module panics", step: 2, is: errInvariant,
			on:   func(*rig, mir.NodeID, mir.Event, *mir.Out) { panic(errInvariant) },
			says: []string{"seed=77", "step=2", "at=1ms", "node=1", "module=app", "event=net.Received", "two leaders", "sim_test.go"},
		},
		{
			name: "a module emits to an unregistered module", step: 2, is: mir.ErrUnregistered,
			on:   func(_ *rig, _ mir.NodeID, _ mir.Event, out *mir.Out) { out.Emit(42, num(1)) },
			says: []string{"seed=77", "app sent test.Num to module(42)"},
		},
		{
			name: "OnStep refuses", step: 1, is: errInvariant,
			onStep: func(sim.Step) error { return errInvariant },
			says:   []string{"seed=77", "step=1", "node=0", "module=net", "event=net.Send"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2, sim.Config{Seed: 77, OnStep: tc.onStep}, tc.on)
			r.send(0, 1, 1)
			err := r.Run(time.Second)
			var f *sim.Failure
			if !errors.As(err, &f) || !errors.Is(err, tc.is) || f.Step != tc.step {
				t.Fatalf("Run returned %v, want a Failure at step %d", err, tc.step)
			}
			for _, word := range tc.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the failure does not say %q: %v", word, err)
				}
			}
			if again := r.RunUntil(func() bool { return true }, 1); again != err {
				t.Errorf("after the failure RunUntil returned %v", again)
			}
		})
	}
}

func TestRunUntilEndsAtTheConditionTheLimitOrQuiet(t *testing.T) {
	r := newRig(t, 1, sim.Config{}, func(r *rig, _ mir.NodeID, ev mir.Event, out *mir.Out) {
		if n := ev.Body.(num); n > 0 {
			out.Emit(r.timer, mir.SetTimer{ID: mir.TimerID{Owner: r.app}, After: time.Second, Fire: mir.Event{To: r.app, Body: n - 1}})
		}
	})
	r.Inject(0, mir.Event{To: r.app, Body: num(5)})
	must(t, r.RunUntil(func() bool { return r.Now() == 2*time.Second }, 100))
	// Each second has two steps: the app's and the timer's.
	if err := r.RunUntil(func() bool { return false }, 2); !errors.Is(err, sim.ErrStepLimit) || r.Now() != 3*time.Second {
		t.Errorf("RunUntil returned %v at %v, want ErrStepLimit at 3s", err, r.Now())
	}
	if err := r.RunUntil(func() bool { return false }, 100); !errors.Is(err, sim.ErrQuiet) || r.Now() != 5*time.Second {
		t.Errorf("RunUntil returned %v at %v, want ErrQuiet at 5s", err, r.Now())
	}
}

func TestTheStepBoundEndsARunWithoutEnd(t *testing.T) {
	r := newRig(t, 1, sim.Config{StepsMax: 50}, func(r *rig, _ mir.NodeID, ev mir.Event, out *mir.Out) {
		out.Emit(r.app, ev.Body)
	})
	r.Inject(0, mir.Event{To: r.app, Body: num(1)})
	if err := r.Run(time.Second); err == nil || r.Steps() != 50 {
		t.Errorf("Run returned %v after %d steps, want an error after 50", err, r.Steps())
	}
}

type activeModule struct{ mir.ModuleFunc }

func (activeModule) Start(mir.Injector) error { return nil }
func (activeModule) Stop()                    {}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	if _, err := sim.New(sim.Config{}); err == nil {
		t.Error("a simulation without codec was not refused")
	}
	for name, cfg := range map[string]sim.Config{
		"loss":  {Codec: numCodec{}, Network: sim.Network{LossRate: 1.5}},
		"dup":   {Codec: numCodec{}, Network: sim.Network{DuplicateRate: -1}},
		"costs": {Codec: numCodec{}, EventCost: -1},
	} {
		if _, err := sim.New(cfg); err == nil {
			t.Errorf("%s: New did not refuse", name)
		}
	}
	r := newRig(t, 1, sim.Config{}, nil)
	for name, cfg := range map[string]sim.NodeConfig{
		"no timer":      {Names: &r.names, Net: r.net},
		"one for both":  {Names: &r.names, Net: r.net, Timer: r.net},
		"net is given":  {Names: &r.names, Net: r.net, Timer: r.timer, Modules: []mir.Registration{{ID: r.net, Module: mir.ModuleFunc(nil)}}},
		"active module": {Names: &r.names, Net: r.net, Timer: r.timer, Modules: []mir.Registration{{ID: r.app, Module: activeModule{}}}},
	} {
		if _, err := r.AddNode(cfg); err == nil {
			t.Errorf("%s: AddNode did not refuse", name)
		}
	}
	if err := r.AddPartition(sim.Partition{Start: 2, Heal: 2}); err == nil {
		t.Error("an empty partition was not refused")
	}
	if err := r.Restart(0, sim.NodeConfig{}); err == nil {
		t.Error("restarting a running node was not refused")
	}
}
