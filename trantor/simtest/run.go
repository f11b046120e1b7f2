package simtest

import (
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// What a run may take, generously: a run that needs more makes no progress.
const (
	stepsMax  = 20_000_000
	graceMax  = 10 * time.Minute // Virtual time after the faults.
	afterwork = 5 * time.Second  // Virtual time that is watched after the last delivery.
)

// Result is what a run did.
type Result struct {
	Steps       uint64
	Deliveries  uint64 // Compared by the checker.
	ViewChanges uint64
	Requeued    uint64      // Proposals that lost their slot to the empty one.
	Epochs      types.Epoch // That the furthest replica ended.
	TraceHash   uint64
}

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
	sim      *sim.Sim
	checker  *Checker
	replicas []*replica.Replica
}

func newWorld(s Scenario) (*world, error) {
	truth := quorum.Equal(s.N)
	var crashing []types.NodeID
	for _, c := range s.Crashes {
		crashing = append(crashing, c.Node)
	}
	w := &world{scenario: s}
	w.checker = NewChecker(truth, crypto.NewSimulated(s.Seed, 0, s.N), s.Byzantine, crashing)
	w.scenario.Network.Filter = newByzantine(s).filter
	var err error
	w.sim, err = sim.New(sim.Config{
		Seed: s.Seed, Codec: replica.NewCodec(), Network: w.scenario.Network, OnStep: w.checker.Observe, StepsMax: stepsMax,
	})
	if err != nil {
		return nil, err
	}
	for id := range types.NodeID(s.N) {
		genesis := types.EqualConfiguration(s.N)
		if s.Genesis != nil {
			genesis = s.Genesis(id)
		}
		if err := w.addReplica(id, genesis); err != nil {
			return nil, err
		}
	}
	return w, w.schedule()
}

func (w *world) addReplica(id types.NodeID, genesis types.Configuration) error {
	r, err := replica.New(replica.Config{
		Node: id, Genesis: genesis, Crypto: crypto.NewSimulated(w.scenario.Seed, id, w.scenario.N),
		App: &app.Chain{}, Params: w.scenario.Params,
		Results: mir.ModuleFunc(func(mir.Event, *mir.Out) {}), // The checker sees what comes here.
	})
	if err != nil {
		return err
	}
	w.replicas = append(w.replicas, r)
	if _, err = w.sim.AddNode(sim.NodeConfig{Names: r.Names, Modules: r.Modules, Net: r.IDs.Net, Timer: r.IDs.Timer}); err != nil {
		return err
	}
	w.sim.Inject(id, r.Boot()...)
	return nil
}

// schedule plans the faults and the load.
func (w *world) schedule() error {
	for _, p := range w.scenario.Partitions {
		if err := w.sim.AddPartition(p); err != nil {
			return err
		}
	}
	for _, c := range w.scenario.Crashes {
		w.sim.At(c.At, func() { w.sim.Crash(c.Node) })
	}
	for _, sub := range w.scenario.Txs {
		w.sim.At(sub.At, func() {
			for _, id := range sub.Nodes {
				w.sim.Inject(id, mir.Event{To: w.replicas[id].IDs.Mempool, Body: types.Submit{Tx: sub.Tx}})
			}
		})
	}
	return nil
}

func (w *world) run() error {
	if err := w.sim.Run(w.scenario.FaultsEnd); err != nil {
		return err
	}
	calm := sim.Network{Latency: sim.Uniform(time.Millisecond, 5*time.Millisecond), Filter: w.scenario.Network.Filter}
	if err := w.sim.SetNetwork(calm); err != nil {
		return err
	}
	done := func() bool { return w.checker.Missing() == 0 || w.sim.Now() > w.scenario.FaultsEnd+graceMax }
	err := w.sim.RunUntil(done, stepsMax)
	if err == nil && w.checker.Missing() > 0 {
		err = fmt.Errorf("%v passed since the last fault", graceMax)
	}
	if err != nil {
		return fmt.Errorf("%d deliveries are missing: %w", w.checker.Missing(), err)
	}
	return w.sim.Run(w.sim.Now() + afterwork)
}

func (w *world) result() Result {
	r := Result{Steps: w.sim.Steps(), Deliveries: w.checker.Checked(), TraceHash: w.sim.TraceHash()}
	for _, node := range w.replicas {
		stats := node.Stats()
		r.ViewChanges += stats.PBFT.ViewChanges
		r.Requeued += stats.Ordering.Requeued
		r.Epochs = max(r.Epochs, stats.Epoch)
	}
	return r
}
