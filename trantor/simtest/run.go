package simtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// What a run may take, generously: a run that needs more makes no progress.
const (
	stepsMax  = 20_000_000
	graceMax  = 10 * time.Minute // Virtual time after the faults.
	afterwork = 2 * time.Second  // Virtual time that is watched after the last delivery.
)

// Run runs a scenario to the end of its load and faults, then until everything
// is delivered that must be, and then a little longer. The error names what was
// broken.
func Run(s Scenario) (Result, error) {
	w, err := newWorld(s)
	if err != nil {
		return Result{}, err
	}
	err = w.run()
	return w.result(), err
}

// world is a system under simulation.
type world struct {
	scenario Scenario
	members  quorum.Membership // At first.
	final    quorum.Membership // After all changes.
	sim      *sim.Sim
	checker  *Checker
	hosts    []*host
	villains []*villain
	clients  *clients
	waiting  []*ambush            // For their situation.
	sprung   map[Situation]int    // How many crashes came of that.
	votes    types.TxNo           // cast so far
	watch    func(sim.Step) error // Looks at every step. It is observe, or in place of it.
	fault    error                // Why the run cannot go on, if the experiment itself says so.
}

func newWorld(s Scenario) (*world, error) {
	members, err := s.Genesis.Quorums()
	if err != nil {
		return nil, err
	}
	w := &world{scenario: s, members: members, final: must(s.Final().Quorums()), sprung: map[Situation]int{}}
	w.checker = NewChecker(s)
	w.clients = newClients(w)
	w.scenario.Network.Filter = w.filter
	w.watch = w.observe
	w.sim, err = sim.New(sim.Config{
		Seed: s.Seed, Codec: replica.NewCodec(), Network: w.scenario.Network, StepsMax: stepsMax,
		OnStep: func(step sim.Step) error { return w.watch(step) },
	})
	if err != nil {
		return nil, err
	}
	for id := range types.NodeID(s.N()) {
		if err := w.addHost(id); err != nil {
			return nil, err
		}
	}
	w.checker.look = func(id types.NodeID) *replica.Replica { return w.hosts[id].replica }
	for _, v := range s.Byzantine {
		w.villains = append(w.villains, newVillain(w, v))
	}
	return w, w.schedule()
}

// observe checks a step and lets the clients see it.
func (w *world) observe(s sim.Step) error {
	if w.fault != nil {
		return w.fault
	}
	if err := w.checker.Observe(s); err != nil {
		return err
	}
	w.clients.observe(s)
	if len(w.waiting) > 0 {
		w.ambushes(s.Node)
	}
	return nil
}

// filter is the simulation's Filter: what becomes of a message of a Byzantine
// replica.
func (w *world) filter(p sim.Packet) sim.Fate {
	for _, v := range w.villains {
		if v.id == p.From {
			return v.fate(p)
		}
	}
	return sim.Fate{}
}

// schedule plans the faults and the load.
func (w *world) schedule() error {
	for _, p := range w.scenario.Partitions {
		if err := w.sim.AddPartition(p); err != nil {
			return err
		}
	}
	for _, b := range w.scenario.Blackouts {
		dark := w.scenario.Network
		dark.LossRate = 1
		w.sim.At(b.Start, func() { w.setNetwork(dark) })
		w.sim.At(b.End, func() { w.setNetwork(w.scenario.Network) })
	}
	for _, c := range w.scenario.Crashes {
		switch {
		case c.While != "":
			w.waiting = append(w.waiting, &ambush{Crash: c})
		case c.Write == 0:
			w.sim.At(c.At, func() { w.crash(c) })
		}
	}
	for _, sub := range w.scenario.Txs {
		w.sim.At(sub.At, func() { w.clients.submit(sub, nil) })
	}
	for id := range types.NodeID(w.scenario.N()) {
		w.vote(id, 0)
	}
	for _, v := range w.villains {
		v.begin()
	}
	return nil
}

// setNetwork fails the run where the network is none.
func (w *world) setNetwork(n sim.Network) {
	if err := w.sim.SetNetwork(n); err != nil {
		w.fault = err
	}
}

func (w *world) run() error {
	if err := w.sim.Run(w.scenario.FaultsEnd); err != nil {
		return err
	}
	w.setNetwork(sim.Network{Latency: sim.Uniform(time.Millisecond, 5*time.Millisecond), Filter: w.filter})
	late := func() bool { return w.sim.Now() > w.scenario.FaultsEnd+graceMax }
	if len(w.scenario.Changes) > 0 {
		w.pump()
	}
	done := func() bool { return w.checker.Missing() == 0 && w.allUp() && w.changed() || late() }
	err := w.sim.RunUntil(done, stepsMax)
	if err == nil && late() {
		err = fmt.Errorf("%v passed since the last fault", graceMax)
	}
	if err != nil {
		return fmt.Errorf("%d deliveries are missing: %w", w.checker.Missing(), err)
	}
	w.waiting = nil
	if err := w.sim.Run(w.sim.Now() + afterwork); err != nil {
		return err
	}
	if err := w.unjust(); err != nil {
		return err
	}
	return w.checker.Finish()
}

// unjust looks for a correct replica that another one has found faulty: whatever a
// correct one signs verifies everywhere, which is why who shows something that does
// not is not believed for a while.
func (w *world) unjust() error {
	if len(w.villains) > 0 {
		return nil // It may well be one of them.
	}
	for _, h := range w.hosts {
		s := h.replica.Stats()
		if bad := s.PBFT.BadSignature + s.PBFT.Invalid + s.Ordering.BadCert + s.Availability.BadAcks; bad > 0 {
			return fmt.Errorf("replica %d found %d messages of correct replicas bad: %+v", h.id, bad, s)
		}
	}
	return nil
}

// allUp tells whether every replica is up that is to be.
func (w *world) allUp() bool {
	return !slices.ContainsFunc(w.hosts, func(h *host) bool { return h.down && !h.gone })
}
