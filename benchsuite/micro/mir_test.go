package micro

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/types"
)

// ping is an event without content, so that boxing it costs nothing.
type ping struct{}

func (ping) EventName() string { return "micro.Ping" }

// counting is an interceptor that does the least that one can do.
type counting struct{ inputs, events int }

func (c *counting) Intercept(_ mir.Event, input bool) {
	c.events++
	if input {
		c.inputs++
	}
}

// complete carries one input through a machine.
func complete(b *testing.B, m *mir.Machine, ev mir.Event) {
	if err := m.Input(ev); err != nil {
		b.Fatal(err)
	}
	for {
		_, applied, err := m.Step()
		if err != nil {
			b.Fatal(err)
		}
		if !applied {
			return
		}
	}
}

// fan makes a machine whose first module sends each event to others more.
func fan(b *testing.B, others int, interceptor mir.Interceptor) (m *mir.Machine, first mir.ModuleID, arrived *int) {
	names, arrived := &mir.Names{}, new(int)
	var ids []mir.ModuleID
	first = names.Intern("first")
	table := []mir.Registration{{ID: first, Module: mir.ModuleFunc(func(_ mir.Event, out *mir.Out) {
		for _, id := range ids {
			out.Emit(id, ping{})
		}
	})}}
	for i := range others {
		id := names.Intern(fmt.Sprintf("other %d", i))
		ids = append(ids, id)
		table = append(table, mir.Registration{ID: id, Module: mir.ModuleFunc(func(mir.Event, *mir.Out) { *arrived++ })})
	}
	m, err := mir.NewMachine(mir.MachineConfig{Names: names, Modules: table, Interceptor: interceptor})
	if err != nil {
		b.Fatal(err)
	}
	return m, first, arrived
}

// BenchmarkDispatch takes an input through one module to another: two events.
// An interceptor, as a recorder is one, sees both.
//
//perfgate:sizes gate full
//perfgate:sizes interceptor=off smoke gate full
func BenchmarkDispatch(b *testing.B) {
	b.Run("interceptor=off", func(b *testing.B) {
		m, first, arrived := fan(b, 1, nil)
		for b.Loop() {
			complete(b, m, mir.Event{To: first, Body: ping{}})
		}
		want(b, "events arrived", *arrived, b.N)
	})
	b.Run("interceptor=on", func(b *testing.B) {
		seen := &counting{}
		m, first, _ := fan(b, 1, seen)
		for b.Loop() {
			complete(b, m, mir.Event{To: first, Body: ping{}})
		}
		want(b, "inputs seen", seen.inputs, b.N)
		want(b, "events seen", seen.events, 2*b.N)
	})
}

// BenchmarkFanOut takes an input through one module to eight others: nine
// events.
//
//perfgate:sizes smoke gate full
func BenchmarkFanOut(b *testing.B) {
	b.Run("modules=8", func(b *testing.B) {
		m, first, arrived := fan(b, 8, nil)
		for b.Loop() {
			complete(b, m, mir.Event{To: first, Body: ping{}})
		}
		want(b, "events arrived", *arrived, 8*b.N)
	})
}

// BenchmarkTimer sets a timer and cancels it, among others that stay set, in
// the module that keeps real time. Its goroutine is not running: what is
// measured is what the node's loop pays.
//
//perfgate:sizes gate full
//perfgate:sizes set=1000 smoke gate full
func BenchmarkTimer(b *testing.B) {
	for _, others := range []int{1, 1000} {
		b.Run(fmt.Sprintf("set=%d", others), func(b *testing.B) {
			timer := mir.NewRealTimer(timerModule)
			var d discard
			set := func(n uint64, after time.Duration) mir.Event {
				return mir.Event{To: timerModule, Body: mir.SetTimer{
					ID: mir.TimerID{Owner: self, N: n}, After: after, Fire: mir.Event{To: self, Body: ping{}},
				}}
			}
			for i := range others {
				d.apply(timer, set(uint64(i), time.Hour+time.Duration(i)*time.Second))
			}
			// Neither the first nor the last to fire.
			one := set(uint64(others), time.Hour+time.Duration(others/2)*time.Second)
			cancel := mir.Event{To: timerModule, Body: mir.CancelTimer{ID: mir.TimerID{Owner: self, N: uint64(others)}}}
			d.apply(timer, one)
			want(b, "timers are set", timer.Len(), others+1)
			for b.Loop() {
				d.apply(timer, one)
				d.apply(timer, cancel)
			}
			want(b, "timers are left", timer.Len(), others)
		})
	}
}

// BenchmarkInject hands 64 events to a running node and waits until its module
// has applied the last: two goroutine switches.
//
//perfgate:sizes gate full
func BenchmarkInject(b *testing.B) {
	b.Run("events=64", func(b *testing.B) {
		const events = 64
		names := &mir.Names{}
		id := names.Intern("module")
		applied, batch := 0, make(chan struct{}, 1)
		module := mir.ModuleFunc(func(mir.Event, *mir.Out) {
			if applied++; applied%events == 0 {
				batch <- struct{}{}
			}
		})
		node, err := mir.NewNode(mir.NodeConfig{Names: names, Modules: []mir.Registration{{ID: id, Module: module}}})
		if err != nil {
			b.Fatal(err)
		}
		stop := startNode(b, node)
		all := make([]mir.Event, events)
		for i := range all {
			all[i] = mir.Event{To: id, Body: ping{}}
		}
		for b.Loop() {
			if err := node.Inject(context.Background(), all...); err != nil {
				b.Fatal(err)
			}
			<-batch
		}
		stop()
		want(b, "events applied", applied, events*b.N)
	})
}

// startNode runs a node until the function that it returns is called.
func startNode(b *testing.B, node *mir.Node) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInproc sends a batch to the other node of an in-process network and
// waits for the answer, an empty batch: encode, two links, decode.
//
//perfgate:sizes gate full
func BenchmarkInproc(b *testing.B) {
	for _, bytes := range []int{256, 64 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", bytes), func(b *testing.B) { benchmarkInproc(b, bytes) })
	}
}

func benchmarkInproc(b *testing.B, bytes int) {
	codec := &types.Codec{}
	availability.RegisterMessages(codec)
	network, err := mir.NewInprocNet(mir.InprocConfig{Nodes: 2, Codec: codec})
	if err != nil {
		b.Fatal(err)
	}
	returned := make(chan int, 1)
	there := inprocNode(b, network, 0, func(ev mir.Event, out *mir.Out, net mir.ModuleID) {
		switch m := ev.Body.(type) {
		case mir.Send:
			out.Emit(net, m)
		case mir.Received:
			returned <- len(m.Msg.(availability.Batch).Data)
		}
	})
	back := inprocNode(b, network, 1, func(ev mir.Event, out *mir.Out, net mir.ModuleID) {
		if len(ev.Body.(mir.Received).Msg.(availability.Batch).Data) != bytes {
			panic("micro: a batch arrived with another size")
		}
		out.Emit(net, mir.Send{To: []mir.NodeID{0}, Dest: ev.To, Msg: availability.Batch{}})
	})
	stopThere, stopBack := startNode(b, there), startNode(b, back)
	// Module 1 is the network, module 2 the one under it.
	request := mir.Event{To: 2, Body: mir.Send{To: []mir.NodeID{1}, Dest: 2, Msg: availability.Batch{Data: pattern(bytes)}}}
	for b.Loop() {
		if err := there.Inject(context.Background(), request); err != nil {
			b.Fatal(err)
		}
		want(b, "bytes returned", <-returned, 0)
	}
	stopThere()
	stopBack()
	want(b, "messages arrived", int(network.Port(1).Counters().MessagesReceived), b.N)
}

func inprocNode(b *testing.B, network *mir.InprocNet, id mir.NodeID,
	apply func(ev mir.Event, out *mir.Out, net mir.ModuleID)) *mir.Node {
	names := &mir.Names{}
	net, module := names.Intern("net"), names.Intern("module")
	node, err := mir.NewNode(mir.NodeConfig{ID: id, Names: names, Modules: []mir.Registration{
		{ID: net, Module: network.Port(id)},
		{ID: module, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) { apply(ev, out, net) })},
	}})
	if err != nil {
		b.Fatal(err)
	}
	return node
}
