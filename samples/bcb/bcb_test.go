package bcb_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/samples/bcb"
)

// ids are the modules, the same on every node.
type ids struct {
	names               mir.Names
	net, timer, bcb, up mir.ModuleID
}

func newIDs() *ids {
	i := &ids{}
	i.net, i.timer = i.names.Intern("net"), i.names.Intern("timer")
	i.bcb, i.up = i.names.Intern("bcb"), i.names.Intern("up")
	return i
}

// modules of one process, with node 0 as the sender; each delivery goes to
// deliver.
func (i *ids) modules(n int, deliver func(bcb.Deliver)) []mir.Registration {
	return []mir.Registration{
		{ID: i.bcb, Module: bcb.New(bcb.Config{Self: i.bcb, Net: i.net, Up: i.up, N: n, Sender: 0})},
		{ID: i.up, Module: mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) {
			if d, ok := ev.Body.(bcb.Deliver); ok { // Peers may address this module too.
				deliver(d)
			}
		})},
	}
}

// simulate broadcasts "apple" among n processes under a filter, and returns what
// each delivered.
func simulate(t *testing.T, seed uint64, n int, filter sim.Filter) [][]string {
	t.Helper()
	s, err := sim.New(sim.Config{
		Seed: seed, Codec: bcb.Codec{},
		Network: sim.Network{
			Latency: sim.Uniform(time.Millisecond, 20*time.Millisecond), DuplicateRate: 0.2, Filter: filter,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	i, got := newIDs(), make([][]string, n)
	for node := range n {
		modules := i.modules(n, func(d bcb.Deliver) { got[node] = append(got[node], d.Value) })
		if _, err := s.AddNode(sim.NodeConfig{Names: &i.names, Net: i.net, Timer: i.timer, Modules: modules}); err != nil {
			t.Fatal(err)
		}
	}
	s.Inject(0, mir.Event{To: i.bcb, Body: bcb.Broadcast{Value: "apple"}})
	if err := s.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEveryProcessDeliversWhatACorrectSenderBroadcastOnce(t *testing.T) {
	for _, n := range []int{1, 4, 7, 10} {
		for seed := range uint64(20) {
			for node, got := range simulate(t, seed, n, nil) {
				if len(got) != 1 || got[0] != "apple" {
					t.Errorf("n=%d seed=%d: process %d delivered %q, want apple once", n, seed, node, got)
				}
			}
		}
	}
}

func TestFSilentProcessesDoNotHoldTheOthersUp(t *testing.T) {
	const n, f = 7, 2
	silent := func(p sim.Packet) sim.Fate { return sim.Fate{Drop: p.From >= n-f} }
	for node, got := range simulate(t, 1, n, silent)[:n-f] {
		if len(got) != 1 {
			t.Errorf("process %d delivered %q, want one value", node, got)
		}
	}
}

// lie makes node 0 equivocate: it tells and echoes "apple" to the nodes below
// the split and "pear" to the others. Its accomplices echo to each what it was told.
func lie(split mir.NodeID, byzantine map[mir.NodeID]bool) sim.Filter {
	return func(p sim.Packet) sim.Fate {
		if !byzantine[p.From] {
			return sim.Fate{}
		}
		value := "apple"
		if p.To >= split {
			value = "pear"
		}
		if _, ok := p.Msg.(bcb.Send); ok {
			return sim.Fate{Replace: bcb.Send{Value: value}}
		}
		return sim.Fate{Replace: bcb.Echo{Value: value}}
	}
}

func TestNoTwoValuesAreDeliveredHoweverTheSenderEquivocates(t *testing.T) {
	const n = 7
	byzantine := map[mir.NodeID]bool{0: true, 6: true} // f = 2
	delivered := 0
	for split := range mir.NodeID(n + 1) {
		for seed := range uint64(20) {
			values := map[string]bool{}
			for node, got := range simulate(t, seed, n, lie(split, byzantine)) {
				if byzantine[mir.NodeID(node)] {
					continue // A liar deceives itself as it likes.
				}
				if len(got) > 1 {
					t.Errorf("split=%d seed=%d: process %d delivered %q", split, seed, node, got)
				}
				for _, value := range got {
					values[value] = true
					delivered++
				}
			}
			if len(values) > 1 {
				t.Errorf("split=%d seed=%d: correct processes delivered %v", split, seed, values)
			}
		}
	}
	if delivered == 0 {
		t.Error("nothing was ever delivered: the test shows nothing")
	}
}

// With f+1 = 3 liars of 7 the guarantee is gone. That they can break it shows
// that the test above would see it.
func TestMoreThanFLiarsBreakConsistency(t *testing.T) {
	const n, split = 7, 3
	byzantine := map[mir.NodeID]bool{0: true, 5: true, 6: true}
	// The liars alone echo both values; 1 and 2 hear "apple", 3 and 4 "pear":
	// 2+3 = 5 echos of each, and more than (7+2)/2 = 4.5 deliver.
	values := map[string]bool{}
	for node, got := range simulate(t, 1, n, lie(split, byzantine)) {
		for _, value := range got {
			if !byzantine[mir.NodeID(node)] {
				values[value] = true
			}
		}
	}
	if len(values) != 2 {
		t.Errorf("correct processes delivered %v, want two values", values)
	}
}

func TestMessagesOfAnotherThanTheSenderStartNothing(t *testing.T) {
	i := newIDs()
	m := bcb.New(bcb.Config{Self: i.bcb, Net: i.net, Up: i.up, N: 4, Sender: 0})
	var out mir.Out
	m.Apply(mir.Event{To: i.bcb, Body: mir.Received{From: 2, Msg: bcb.Send{Value: "forged"}}}, &out)
	for range 10 { // One process echoes often, and counts once.
		m.Apply(mir.Event{To: i.bcb, Body: mir.Received{From: 2, Msg: bcb.Echo{Value: "forged"}}}, &out)
	}
	if len(out.Events()) != 0 {
		t.Errorf("emitted %v, want nothing", out.Events())
	}
}

// Four nodes in real time, over the network of one process.
func Example() {
	const n = 4
	network, err := mir.NewInprocNet(mir.InprocConfig{Nodes: n, Codec: bcb.Codec{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	delivered, stopped := make(chan bcb.Deliver, n), make(chan error, n)
	i := newIDs()
	var sender *mir.Node
	for id := range mir.NodeID(n) {
		modules := i.modules(n, func(d bcb.Deliver) { delivered <- d })
		modules = append(modules, mir.Registration{ID: i.net, Module: network.Port(id)})
		node, err := mir.NewNode(mir.NodeConfig{ID: id, Names: &i.names, Modules: modules})
		if err != nil {
			fmt.Println(err)
			return
		}
		if id == 0 {
			sender = node
		}
		go func() { stopped <- node.Run(ctx) }()
	}
	if err := sender.Inject(ctx, mir.Event{To: i.bcb, Body: bcb.Broadcast{Value: "apple"}}); err != nil {
		fmt.Println(err)
	}
	for range n {
		d := <-delivered
		fmt.Printf("delivered %q of process %d\n", d.Value, d.From)
	}
	stop()
	for range n {
		if err := <-stopped; err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// delivered "apple" of process 0
	// delivered "apple" of process 0
	// delivered "apple" of process 0
	// delivered "apple" of process 0
}

func FuzzDecodeRejectsWhatEncodeWouldNotWrite(f *testing.F) {
	f.Add([]byte{1, 'a'})
	f.Add([]byte{2})
	f.Add([]byte{3, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		msg, err := bcb.Codec{}.Decode(b)
		if err != nil {
			return
		}
		again, err := bcb.Codec{}.Encode(nil, msg)
		if err != nil || string(again) != string(b) {
			t.Errorf("%x decodes to %#v, which encodes to %x (%v)", b, msg, again, err)
		}
	})
}
