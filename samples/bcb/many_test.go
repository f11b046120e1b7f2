package bcb_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/samples/bcb"
)

// crowd is n processes that broadcast many values, under a filter.
type crowd struct {
	*sim.Sim
	*ids
	many      []bcb.Many
	delivered [][]string // By process.
}

func newCrowd(t *testing.T, n int, filter sim.Filter) *crowd {
	t.Helper()
	s, err := sim.New(sim.Config{
		Seed: 1, Codec: bcb.Codec{},
		Network: sim.Network{Latency: sim.Uniform(time.Millisecond, 20*time.Millisecond), DuplicateRate: 0.2, Filter: filter},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{Sim: s, ids: newIDs(), delivered: make([][]string, n)}
	for node := range n {
		many := bcb.NewMany(bcb.Config{Self: c.bcb, Net: c.net, Up: c.up, N: n})
		c.many = append(c.many, many)
		if _, err := s.AddNode(sim.NodeConfig{Names: &c.names, Net: c.net, Timer: c.timer, Modules: []mir.Registration{
			{ID: c.bcb, Module: many},
			{ID: c.up, Module: mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) {
				if d, ok := ev.Body.(bcb.Deliver); ok {
					c.delivered[node] = append(c.delivered[node], fmt.Sprintf("%s is %d of %d", d.Value, d.No, d.From))
				}
			})},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *crowd) broadcast(from mir.NodeID, no uint64, value string) {
	c.Inject(from, mir.Event{To: c.bcb, Sub: bcb.Sub(from, no), Body: bcb.Broadcast{Value: value}})
}

func (c *crowd) run(t *testing.T) {
	t.Helper()
	if err := c.Run(c.Now() + time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestEveryProcessBroadcastsManyValuesThatDoNotMix(t *testing.T) {
	const n, each = 4, 5
	c := newCrowd(t, n, nil)
	var want []string
	for from := range mir.NodeID(n) {
		for no := range uint64(each) {
			value := fmt.Sprint("value ", from, no)
			c.broadcast(from, no, value)
			want = append(want, fmt.Sprintf("%s is %d of %d", value, no, from))
		}
	}
	c.run(t)
	slices.Sort(want)
	for node, got := range c.delivered {
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("process %d delivered %q, want %q", node, got, want)
		}
	}
}

// A liar that broadcasts in another's name, and numbers that nobody may use yet,
// start nothing and are kept within bounds.
func TestALiarStartsNoBroadcastOfAnotherAndFillsNoMemory(t *testing.T) {
	const n, liar = 4, 3
	c := newCrowd(t, n, nil)
	wire, err := bcb.Codec{}.Encode(nil, bcb.Send{Value: "forged"})
	if err != nil {
		t.Fatal(err)
	}
	for no := range uint64(100) {
		c.SendRaw(liar, 0, c.bcb, bcb.Sub(1, no), wire)
		c.SendRaw(liar, 0, c.bcb, bcb.Sub(n+5, no), wire)
	}
	c.run(t)
	if len(c.delivered[0]) != 0 {
		t.Errorf("process 0 delivered %q", c.delivered[0])
	}
	if kept, dropped := c.many[0].Under(1); kept != bcb.Window || dropped.TooFar < 100-bcb.Window {
		t.Errorf("%d broadcasts are kept and %+v dropped, want %d kept", kept, dropped, bcb.Window)
	}
	if kept, _ := c.many[0].Under(n + 5); kept != 0 {
		t.Errorf("%d broadcasts of no process are kept", kept)
	}
}

func TestForgottenBroadcastsMakeRoomForTheNextAndNeverComeBack(t *testing.T) {
	const n, rounds = 4, 3
	c := newCrowd(t, n, nil)
	for round := range uint64(rounds) {
		for i := range uint64(bcb.Window) {
			c.broadcast(0, round*bcb.Window+i, "x")
		}
		c.run(t)
		for node, many := range c.many {
			if got, want := len(c.delivered[node]), int(round+1)*bcb.Window; got != want {
				t.Fatalf("round %d: process %d delivered %d values, want %d", round, node, got, want)
			}
			many.Forget(0, (round+1)*bcb.Window)
		}
	}
	c.broadcast(0, 0, "again")
	c.run(t)
	for node, many := range c.many {
		if kept, _ := many.Under(0); kept != 0 || len(c.delivered[node]) != rounds*bcb.Window {
			t.Errorf("process %d keeps %d broadcasts and delivered %d values", node, kept, len(c.delivered[node]))
		}
	}
}
