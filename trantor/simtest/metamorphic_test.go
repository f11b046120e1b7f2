package simtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/types"
)

// writer is a client with a key of its own, which it changes in a fixed order,
// each time after the answer to the last.
type writer struct {
	world *world
	id    int
	next  types.TxNo
	done  *int
}

const (
	writers = 4
	writes  = 12 // Of each.
)

// command is the same for the same writer and number, whatever happened before.
func (w *writer) command() app.Command {
	key := fmt.Append(nil, "key of ", w.id)
	value := func(no types.TxNo) []byte { return fmt.Append(nil, w.id, "/", no) }
	switch {
	case w.next%5 == 4:
		return app.Command{Op: app.Delete, Key: key}
	case w.next%3 == 2:
		return app.Command{Op: app.CAS, Key: key, Value: value(w.next), Old: value(w.next - 1)}
	default:
		return app.Command{Op: app.Put, Key: key, Value: value(w.next)}
	}
}

func (w *writer) run() {
	if w.next == writes {
		*w.done++
		return
	}
	tx := types.Tx{TxID: types.TxID{Client: types.ClientID(w.id), No: w.next}, Payload: w.command().Encode()}
	w.next++
	node := types.NodeID(w.id % w.world.scenario.N())
	w.world.clients.ask(Submission{Tx: tx, Nodes: []types.NodeID{node}, RetryEvery: time.Second}, func([]byte) { w.run() })
}

// stateAfter runs the writers and gives the state that all replicas agree on.
func stateAfter(t *testing.T, s Scenario) types.Digest {
	t.Helper()
	s.App = func(types.NodeID) app.Application { return app.NewKV() }
	w, err := newWorld(s)
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for id := range writers {
		w.sim.At(0, (&writer{world: w, id: id, done: &done}).run)
	}
	if err := w.sim.RunUntil(func() bool { return done == writers }, stepsMax); err != nil {
		t.Fatal(err)
	}
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	state := w.hosts[0].replica.AppHash()
	for _, h := range w.hosts {
		if got := h.replica.AppHash(); got != state {
			t.Errorf("replica %d has state %s, replica 0 %s", h.id, got, state)
		}
	}
	return state
}

// Requests whose order their clients fix lead to one state, however they are
// batched, however many segments and epochs they are ordered in, and over
// whatever network.
func TestStateDoesNotDependOnHowRequestsAreOrdered(t *testing.T) {
	want := stateAfter(t, calm(4))
	if empty := app.NewKV().Hash(); want == empty {
		t.Fatal("the writers wrote nothing: the test shows nothing")
	}
	for name, change := range map[string]func(*Scenario){
		"batches of one":    func(s *Scenario) { s.Params.BatchTxsMax = 1 },
		"large batches":     func(s *Scenario) { s.Params.BatchTxsMax, s.Params.CloseWhenIdle = 64, false },
		"many certificates": func(s *Scenario) { s.Params.CertsPerSlotMax, s.Params.OwnInFlightMax = 8, 8 },
		"short epochs":      func(s *Scenario) { s.Params.EpochLength = 4 },
		"long epochs":       func(s *Scenario) { s.Params.EpochLength = 64; s.Params.SlotsQueuedMax = 1024 },
		"one segment":       func(s *Scenario) { s.resize(1) },
		"seven segments":    func(s *Scenario) { s.resize(7) },
		"unequal votes":     func(s *Scenario) { s.Genesis = types.WeightedConfiguration([]uint64{3, 1, 2, 2}) },
		"a slow network":    func(s *Scenario) { s.Network.Latency = sim.Fixed(80 * time.Millisecond) },
		"a network that reorders and repeats": func(s *Scenario) {
			s.Network = sim.Network{Latency: sim.Uniform(0, 50*time.Millisecond), DuplicateRate: 0.3}
		},
		"disks": func(s *Scenario) { s.Durable, s.Disk = true, 5*time.Millisecond },
	} {
		s := calm(4)
		change(&s)
		if got := stateAfter(t, s); got != want {
			t.Errorf("%s: state %s, want %s", name, got, want)
		}
	}
}

// resize makes it n equal replicas.
func (s *Scenario) resize(n int) {
	s.Genesis = types.EqualConfiguration(n)
	s.Params.EpochLength = 4 * n
}
