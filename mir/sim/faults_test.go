package sim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
)

func TestJitterReordersALink(t *testing.T) {
	r := newRig(t, 2, sim.Config{Seed: 3, Network: sim.Network{Latency: sim.Uniform(0, time.Second)}}, nil)
	for i := range num(50) {
		r.send(0, i, 1)
	}
	must(t, r.Run(time.Second))
	var order []string
	for _, line := range r.got[1] {
		var n int
		_, err := fmt.Sscan(line, &n)
		must(t, err)
		order = append(order, fmt.Sprintf("%02d", n))
	}
	if len(order) != 50 || slices.IsSorted(order) {
		t.Errorf("received %v, want all fifty out of order", order)
	}
}

func TestLatencyStaysWithinItsModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	base := func(from, to mir.NodeID) time.Duration { return time.Duration(10*from+to) * time.Millisecond }
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		d := sim.Matrix(base, 3*time.Millisecond)(2, 1, rng)
		least, most = min(least, d), max(most, d)
	}
	if least < 21*time.Millisecond || most > 24*time.Millisecond || most-least < 2*time.Millisecond {
		t.Errorf("latencies were %v to %v, want to fill 21ms to 24ms", least, most)
	}
	if d := sim.Uniform(time.Second, time.Second)(0, 1, rng); d != time.Second {
		t.Errorf("a uniform latency without width was %v", d)
	}
}

func TestLossAndDuplicationFollowTheirRates(t *testing.T) {
	const sent = 1000
	for _, tc := range []struct {
		name        string
		loss, dup   float64
		least, most int
	}{
		{"none", 0, 0, sent, sent},
		{"all lost", 1, 0, 0, 0},
		{"all doubled", 0, 1, 2 * sent, 2 * sent},
		// 5 standard deviations of a binomial with n=1000, p=0.3 are 72.
		{"a third lost", 0.3, 0, 700 - 72, 700 + 72},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2, sim.Config{Network: sim.Network{LossRate: tc.loss, DuplicateRate: tc.dup}}, nil)
			for range sent {
				r.send(0, 1, 1)
			}
			must(t, r.Run(time.Second))
			c0, c1 := r.Counters(0), r.Counters(1)
			if got := len(r.got[1]); got < tc.least || got > tc.most {
				t.Errorf("%d arrived, want %d to %d", got, tc.least, tc.most)
			}
			if c0.MessagesSent != sent || sent-c0.Lost+c0.Duplicated != c1.MessagesReceived {
				t.Errorf("the counts do not add up: %+v and %+v", c0, c1)
			}
		})
	}
}

func TestAPartitionHoldsOrDropsUntilItHeals(t *testing.T) {
	run := func(mode sim.PartitionMode, heal time.Duration) *rig {
		r := newRig(t, 3, sim.Config{}, nil)
		must(t, r.AddPartition(sim.Partition{Start: time.Second, Heal: heal, Side: []mir.NodeID{2}, Mode: mode}))
		for i, at := range []time.Duration{
			time.Second - 1, // Under way when the partition begins: arrives.
			time.Second,
			3*time.Second - 1,
			3 * time.Second, // The partition has healed.
		} {
			r.At(at, func() { r.send(0, num(i), 1, 2) })
		}
		must(t, r.Run(time.Minute))
		if got := len(r.got[1]); got != 4 {
			t.Errorf("the node on the sender's side received %d messages, want 4", got)
		}
		return r
	}
	r := run(sim.Hold, 3*time.Second)
	r.wantGot(t, 2, "0 from 0 at 1.000999999s", "1 from 0 at 3.001s", "2 from 0 at 3.001s", "3 from 0 at 3.001s")
	r = run(sim.Drop, 3*time.Second)
	r.wantGot(t, 2, "0 from 0 at 1.000999999s", "3 from 0 at 3.001s")
	if got := r.Counters(0).Partitioned; got != 2 {
		t.Errorf("%d messages were counted as partitioned, want 2", got)
	}
	r = run(sim.Hold, sim.Forever)
	r.wantGot(t, 2, "0 from 0 at 1.000999999s")
}

func TestAHeldMessageWaitsForEveryPartitionInItsWay(t *testing.T) {
	r := newRig(t, 2, sim.Config{}, nil)
	// The message meets the second wall when the first lets it go.
	for _, p := range []sim.Partition{
		{Start: 2 * time.Second, Heal: 5 * time.Second, Side: []mir.NodeID{0}},
		{Start: 0, Heal: 3 * time.Second, Side: []mir.NodeID{1}},
		{Start: 0, Heal: time.Hour, Side: []mir.NodeID{0, 1}}, // Does not separate them.
	} {
		must(t, r.AddPartition(p))
	}
	r.send(0, 1, 1)
	must(t, r.Run(time.Minute))
	r.wantGot(t, 1, "1 from 0 at 5.001s")
}

func TestACrashedNodeAppliesNothingAndWhatItSentArrives(t *testing.T) {
	r := newRig(t, 2, sim.Config{}, nil)
	fire := mir.Event{To: r.timer, Body: mir.SetTimer{
		ID: mir.TimerID{Owner: r.app}, After: time.Second, Fire: mir.Event{To: r.app, Body: num(1)},
	}}
	r.Inject(0, fire)
	r.send(0, 10, 1)
	r.send(1, 20, 0)
	r.At(time.Millisecond/2, func() { r.Crash(0) })
	r.At(2*time.Second, func() { r.send(1, 21, 0); r.send(0, 11, 1) })
	must(t, r.Run(3*time.Second))
	r.wantGot(t, 0)
	r.wantGot(t, 1, "10 from 0 at 1ms")
	if c := r.Counters(0); c.EventsApplied != 2 || c.ToCrashed != 2 || c.MessagesReceived != 0 || !r.Crashed(0) {
		t.Errorf("the crashed node counted %+v", c)
	}

	must(t, r.Restart(0, r.node(0, nil)))
	r.send(1, 22, 0)
	must(t, r.Run(4*time.Second))
	r.wantGot(t, 0, "22 from 1 at 3.001s")
}

func TestACrashInOnStepCutsAnInputShort(t *testing.T) {
	var r *rig
	var steps []num
	count := func(r *rig, _ mir.NodeID, ev mir.Event, out *mir.Out) {
		n := ev.Body.(num)
		steps = append(steps, n)
		out.Emit(r.app, n+1)
	}
	r = newRig(t, 1, sim.Config{OnStep: func(st sim.Step) error {
		switch st.N {
		case 3: // Crash and come back between two events of one input.
			r.Crash(0)
			return r.Restart(0, r.node(0, count))
		case 5:
			r.Crash(0)
		}
		return nil
	}}, count)
	r.Inject(0, mir.Event{To: r.app, Body: num(1)}, mir.Event{To: r.app, Body: num(10)})
	must(t, r.Run(time.Second))
	if want := []num{1, 2, 3, 10, 11}; !slices.Equal(steps, want) {
		t.Errorf("applied %v, want %v", steps, want)
	}
}

func TestAFilterMakesASenderByzantine(t *testing.T) {
	r := newRig(t, 6, sim.Config{Network: sim.Network{Filter: func(p sim.Packet) sim.Fate {
		switch p.To {
		case 1:
			return sim.Fate{Drop: true}
		case 2:
			return sim.Fate{Replace: p.Msg.(num) + 1}
		case 3:
			return sim.Fate{Wire: []byte("garbage")}
		case 4:
			return sim.Fate{Delay: time.Second}
		}
		return sim.Fate{}
	}}}, nil)
	r.send(0, 7, 1, 2, 3, 4, 5)
	must(t, r.Run(time.Minute))
	r.wantGot(t, 1)
	r.wantGot(t, 2, "8 from 0 at 1ms")
	r.wantGot(t, 3)
	r.wantGot(t, 4, "7 from 0 at 1.001s")
	r.wantGot(t, 5, "7 from 0 at 1ms")
	if c := r.Counters(0); c.Filtered != 1 || c.MessagesSent != 4 || c.WireBytesSent != 3*18+17 {
		t.Errorf("the sender counted %+v", c)
	}
	if c := r.Counters(3); c.DecodeErrors != 1 || c.MessagesReceived != 1 {
		t.Errorf("the receiver of garbage counted %+v", c)
	}
}

func TestAPeerCanNotCauseAWiringError(t *testing.T) {
	r := newRig(t, 2, sim.Config{}, nil)
	for _, dest := range []mir.ModuleID{0, r.net, r.timer, 999} {
		r.Inject(0, mir.Event{To: r.net, Body: mir.Send{To: []mir.NodeID{1}, Dest: dest, Msg: num(1)}})
	}
	must(t, r.Run(time.Second))
	if c := r.Counters(1); c.Misaddressed != 4 || c.EventsApplied != 0 {
		t.Errorf("counted %+v, want 4 misaddressed", c)
	}
}

func TestTheNetworkCanChangeInTheMiddle(t *testing.T) {
	r := newRig(t, 2, sim.Config{Network: sim.Network{LossRate: 1}}, nil)
	r.send(0, 1, 1)
	r.At(time.Second, func() {
		must(t, r.SetNetwork(sim.Network{Latency: sim.Fixed(time.Minute)}))
		r.send(0, 2, 1)
	})
	must(t, r.Run(time.Hour))
	r.wantGot(t, 1, "2 from 0 at 1m1s")
}
