package simtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/store/simdisk"
	"github.com/perfgate/perfgate/trantor/types"
)

// host is where a replica lives: a replica dies in a crash, its host and its
// disk do not.
type host struct {
	id      types.NodeID
	replica *replica.Replica
	disk    *simdisk.Disk // Nil where nothing is durable.
	coin    *rand.Rand    // Says how much of what was not durable survives a crash.
	down    bool
	gone    bool // Down for good.

	past     replica.Stats // Of earlier lives, summed up as far as Result needs it.
	restarts int
}

func (w *world) addHost(id types.NodeID) error {
	h := &host{id: id, coin: rand.New(rand.NewPCG(w.scenario.Seed, uint64(id)))}
	if w.scenario.Durable {
		h.disk = simdisk.New(w.diskOptions(id))
	}
	w.hosts = append(w.hosts, h)
	cfg, err := w.newLife(h)
	if err != nil {
		return err
	}
	if _, err := w.sim.AddNode(cfg); err != nil {
		return err
	}
	w.sim.Inject(id, h.replica.Boot()...)
	return nil
}

// diskOptions place the crashes at durable writes.
func (w *world) diskOptions(id types.NodeID) simdisk.Options {
	at := func(n uint64, afterThen bool) {
		for _, c := range w.scenario.Crashes {
			if c.Node == id && c.Write == n && c.AfterThen == afterThen {
				w.crash(c)
			}
		}
	}
	return simdisk.Options{
		Latency:   w.scenario.Disk,
		OnDurable: func(n uint64) { at(n, false) },
		OnThen:    func(n uint64) { at(n, true) },
	}
}

// newLife makes the replica of a host from what its disk holds.
func (w *world) newLife(h *host) (sim.NodeConfig, error) {
	s := w.scenario
	cfg := replica.Config{
		Node: h.id, Genesis: s.Genesis, App: &app.Chain{}, Params: s.Params, Durable: h.disk != nil,
		Crypto:  crypto.NewSimulated(s.Seed, h.id, s.N()),
		Results: mir.ModuleFunc(func(mir.Event, *mir.Out) {}), // The checker sees what comes here.
	}
	if s.Seams.Genesis != nil {
		cfg.Genesis = s.Seams.Genesis(h.id)
	}
	if s.Seams.Crypto != nil {
		cfg.Crypto = s.Seams.Crypto(h.id, cfg.Crypto)
	}
	if s.App != nil {
		cfg.App = s.App(h.id)
	}
	if h.disk != nil {
		cfg.Records = h.disk.Records()
	}
	r, err := replica.New(cfg)
	if err != nil {
		return sim.NodeConfig{}, err
	}
	h.replica = r
	modules := r.Modules
	if h.disk != nil {
		modules = append(modules, mir.Registration{ID: r.IDs.Store, Module: h.disk.Module(r.IDs.Store, r.IDs.Timer)})
	}
	if s.Seams.Wrap != nil {
		for i, m := range modules {
			modules[i].Module = s.Seams.Wrap(h.id, r.IDs, m)
		}
	}
	return sim.NodeConfig{Names: r.Names, Modules: modules, Net: r.IDs.Net, Timer: r.IDs.Timer}, nil
}

// crash ends the life of a replica, and plans the next.
func (w *world) crash(c Crash) {
	h := w.hosts[c.Node]
	if h.down {
		h.gone = h.gone || c.Down == Forever
		return
	}
	w.sim.Crash(h.id)
	h.down = true
	if h.disk != nil {
		h.disk.Crash(h.coin)
	}
	if c.Down == Forever {
		h.gone = true
		return
	}
	w.sim.At(w.sim.Now()+c.Down, func() {
		if h.gone {
			return
		}
		if err := w.restart(h); err != nil {
			w.fault = err
		}
	})
}

// ambush is a crash that waits for a situation.
type ambush struct {
	Crash
	sprung bool // The situation is there.
	left   int  // Steps from then on.
}

// ambushes makes those crashes happen whose situation has come, be it after the end
// of the other faults, where most replicas catch up.
func (w *world) ambushes(node types.NodeID) {
	w.waiting = slices.DeleteFunc(w.waiting, func(a *ambush) bool {
		h := w.hosts[a.Node]
		if a.Node != node || h.down || w.sim.Now() < a.At {
			return false
		}
		if !a.sprung && h.in(a.While) {
			a.sprung, a.left = true, a.Steps+1
		}
		if a.sprung {
			a.left--
		}
		if !a.sprung || a.left > 0 {
			return false
		}
		w.sprung[a.While]++
		w.crash(a.Crash)
		return true
	})
}

// in tells whether the replica is in a situation.
func (h *host) in(s Situation) bool {
	behind, fetching := h.replica.CatchingUp()
	switch s {
	case Behind:
		return behind
	case Fetching:
		return fetching
	}
	panic(fmt.Sprintf("simtest: no situation %q", s))
}

// restart begins the next life of a replica.
func (w *world) restart(h *host) error {
	h.past = h.pastAnd(h.replica.Stats())
	cfg, err := w.newLife(h)
	if err != nil {
		return fmt.Errorf("replica %d does not come back: %w", h.id, err)
	}
	if err := w.sim.Restart(h.id, cfg); err != nil {
		return err
	}
	h.down = false
	h.restarts++
	w.checker.Restarted(h.id)
	w.sim.Inject(h.id, h.replica.Boot()...)
	return nil
}
