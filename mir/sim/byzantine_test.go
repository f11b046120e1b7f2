package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
)

// wire is a number as it travels.
func wire(n num) []byte {
	b, _ := numCodec{}.Encode(nil, n)
	return b
}

func TestRawBytesReachAPeerInTheNameOfTheirSenderPastTheFilter(t *testing.T) {
	r := newRig(t, 3, sim.Config{Network: sim.Network{Filter: func(sim.Packet) sim.Fate { return sim.Fate{Drop: true} }}}, nil)
	r.SendRaw(2, 0, r.app, 0, wire(5))
	r.SendRaw(2, 0, r.app, 0, []byte("garbage"))
	r.SendRaw(2, 0, r.timer, 0, wire(6))
	r.send(2, 7, 0) // The filter sees this one.
	must(t, r.Run(time.Second))
	r.wantGot(t, 0, "5 from 2 at 1ms")
	if c := r.Counters(2); c.Raw != 3 || c.MessagesSent != 3 || c.WireBytesSent != 18+17+18 || c.Filtered != 1 {
		t.Errorf("the sender counted %+v", c)
	}
	if c := r.Counters(0); c.MessagesReceived != 3 || c.DecodeErrors != 1 || c.Misaddressed != 1 {
		t.Errorf("the receiver counted %+v", c)
	}
}

func TestAFilterFloodsWithStaleMessagesAndTheRunStaysReproducible(t *testing.T) {
	const copies = 20
	run := func() (*rig, uint64) {
		var r *rig
		var first []byte
		r = newRig(t, 2, sim.Config{Seed: 4, Network: sim.Network{
			Latency: sim.Uniform(0, time.Second), LossRate: 0.1,
			Filter: func(p sim.Packet) sim.Fate {
				if first == nil {
					first = p.Wire
				}
				for range copies {
					r.SendRaw(p.From, p.To, p.Dest, p.Sub, first)
				}
				return sim.Fate{}
			},
		}}, nil)
		for i := range num(5) {
			r.send(0, i, 1)
		}
		must(t, r.Run(time.Minute))
		return r, r.TraceHash()
	}
	r, hash := run()
	if _, again := run(); again != hash {
		t.Errorf("one seed gave the runs %x and %x", hash, again)
	}
	c := r.Counters(0)
	if want := uint64(5 * (copies + 1)); c.MessagesSent != want || c.Raw != 5*copies || uint64(len(r.got[1]))+c.Lost != want {
		t.Errorf("%d arrived, counted %+v; want %d sent", len(r.got[1]), c, want)
	}
}

func TestANodeThatIsDownCanStillBeAbused(t *testing.T) {
	r := newRig(t, 2, sim.Config{}, nil)
	r.Crash(0)
	r.At(time.Second, func() { r.SendRaw(0, 1, r.app, 0, wire(1)) })
	must(t, r.Run(time.Minute))
	r.wantGot(t, 1, "1 from 0 at 1.001s")
}

func TestRawBytesToOneselfAreAMistake(t *testing.T) {
	r := newRig(t, 2, sim.Config{}, nil)
	defer func() {
		if recover() == nil {
			t.Error("SendRaw to oneself did not panic")
		}
	}()
	r.SendRaw(1, 1, r.app, 0, wire(1))
}

func TestWhatTheNetworkDoesToMessagesIsCounted(t *testing.T) {
	r := newRig(t, 2, sim.Config{Network: sim.Network{Latency: func() sim.Latency {
		delays := []time.Duration{3, 1, 2, 4}
		return sim.Matrix(func(_, _ mir.NodeID) time.Duration {
			d := delays[0]
			delays = delays[1:]
			return d * time.Millisecond
		}, 0)
	}()}}, nil)
	must(t, r.AddPartition(sim.Partition{Start: time.Second, Heal: 2 * time.Second, Side: []mir.NodeID{0}}))
	for i := range num(3) {
		r.send(0, i, 1)
	}
	r.At(time.Second, func() { r.send(0, 3, 1) })
	r.At(3*time.Second, func() { r.Crash(1); r.Inject(1, mir.Event{To: r.app, Body: num(0)}) })
	must(t, r.Run(time.Minute))
	r.wantGot(t, 1, "1 from 0 at 1ms", "2 from 0 at 2ms", "0 from 0 at 3ms", "3 from 0 at 2.004s")
	if c := r.Counters(1); c.Overtaken != 1 || c.Crashes != 1 || c.InputsToCrashed != 1 {
		t.Errorf("the receiver counted %+v, want one overtaken message, crash and lost input", c)
	}
	if c := r.Total(); c.Held != 1 || c.Overtaken != 1 || c.Crashes != 1 {
		t.Errorf("in total %+v, want one held message", c)
	}
}

// What a module keeps on its disk is all that a crash right after any step
// leaves of it.
func TestANodeCrashesRightAfterAnyStepAndRestartsFromItsDiskLater(t *testing.T) {
	const inputs = 4
	for k := uint64(1); k <= 2*inputs; k++ {
		var r *rig
		var disk, memory []num
		newTable := func() sim.NodeConfig {
			memory = append([]num(nil), disk...)
			return r.node(0, func(r *rig, _ mir.NodeID, ev mir.Event, out *mir.Out) {
				switch n := ev.Body.(num); {
				case n < 100: // Written down first; the next event says it is durable.
					disk = append(disk, n)
					out.Emit(r.app, n+100)
				default:
					memory = append(memory, n-100)
				}
			})
		}
		r = newRig(t, 0, sim.Config{Seed: k}, nil)
		_, err := r.AddNode(newTable())
		must(t, err)
		r.got = make([][]string, 1)
		for i := range num(inputs) {
			r.At(time.Duration(i)*time.Second, func() { r.Inject(0, mir.Event{To: r.app, Body: i}) })
		}
		r.AtStep(k, func() { r.Crash(0); r.Crash(0) })
		r.At(inputs*time.Second, func() {
			if r.Steps() != k || !r.Crashed(0) {
				t.Errorf("step %d: the node applied %d steps before its restart", k, r.Steps())
			}
			must(t, r.Restart(0, newTable()))
		})
		must(t, r.Run(time.Minute))
		// Each input has two steps, and the first of them writes.
		if want := int(k+1) / 2; len(disk) != want || len(memory) != want {
			t.Errorf("step %d: %v on disk and %v in memory, want %d of each", k, disk, memory, want)
		}
		c := r.Counters(0)
		if lost := uint64(inputs) - (k+1)/2; c.Crashes != 1 || c.EventsApplied != k || c.InputsToCrashed != lost {
			t.Errorf("step %d: counted %+v, want one crash and %d lost inputs", k, c, lost)
		}
	}
}

// A Byzantine node runs the modules of a correct one behind a filter, which
// keeps what they say to one peer and says it to another, too late and twice.
func ExampleSim_SendRaw() {
	var s *sim.Sim
	var names mir.Names
	net, timer, app := names.Intern("net"), names.Intern("timer"), names.Intern("app")
	const liar = 2
	s, err := sim.New(sim.Config{Codec: numCodec{}, Network: sim.Network{Filter: func(p sim.Packet) sim.Fate {
		if p.From != liar {
			return sim.Fate{}
		}
		s.At(time.Second, func() {
			s.SendRaw(liar, 1, p.Dest, p.Sub, p.Wire)
			s.SendRaw(liar, 1, p.Dest, p.Sub, append([]byte(nil), p.Wire[:3]...)) // Cut off.
		})
		return sim.Fate{Drop: true}
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for id := range mir.NodeID(3) {
		module := mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) {
			got := ev.Body.(mir.Received)
			fmt.Printf("node %d hears %d from node %d at %v\n", id, got.Msg, got.From, s.Now())
		})
		modules := []mir.Registration{{ID: app, Module: module}}
		if _, err := s.AddNode(sim.NodeConfig{Names: &names, Net: net, Timer: timer, Modules: modules}); err != nil {
			fmt.Println(err)
			return
		}
	}
	s.Inject(liar, mir.Event{To: net, Body: mir.Send{To: []mir.NodeID{0}, Dest: app, Msg: num(7)}})
	if err := s.Run(time.Minute); err != nil {
		fmt.Println(err)
	}
	c := s.Total()
	fmt.Println(c.Filtered, "filtered,", c.Raw, "raw,", c.DecodeErrors, "refused")
	// Output:
	// node 1 hears 7 from node 2 at 1.001s
	// 1 filtered, 2 raw, 1 refused
}
