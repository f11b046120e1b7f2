package server

import (
	"sync"
	"sync/atomic"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// configsKept is how many epochs' members are spoken with at once: those that
// are known ahead, and those whose replicas may still ask for something.
const configsKept = 16

// results is the replica's results module: it tells clients, and says to the
// network who the peers are.
type results struct {
	server    *Server
	delivered atomic.Uint64 // Since genesis.
	stable    atomic.Pointer[types.StableCheckpoint]
	configs   []types.EpochConfig // Ascending; used on the node's goroutine.

	mu      sync.Mutex
	members types.Configuration // Of the latest epoch that is known.
}

// Apply implements mir.Module.
func (r *results) Apply(ev mir.Event, _ *mir.Out) {
	switch e := ev.Body.(type) {
	case types.Delivered:
		r.delivered.Add(1)
		r.server.desk.onDelivered(e)
	case types.SubmitResult:
		r.server.desk.onResult(e)
	case types.StableCheckpoint:
		r.stable.Store(&e)
	case types.EpochConfig:
		r.onConfigs(e)
	case types.Restored:
		r.delivered.Store(delivered(&e))
		r.server.desk.onRestored(e)
		r.onConfigs(e.Configs...)
	}
}

// delivered is how many transactions led to a state.
func delivered(state *types.Restored) (count uint64) {
	for _, window := range state.Clients {
		count += window.Count()
	}
	return count
}

// recovered takes over the state from which the replica goes on.
func (r *results) recovered(state *types.Restored) {
	if state == nil {
		return
	}
	r.delivered.Store(delivered(state))
	r.server.desk.onRestored(*state)
	r.onConfigs(state.Configs...)
}

// onConfigs makes the network speak with the members of all epochs that matter.
func (r *results) onConfigs(configs ...types.EpochConfig) {
	for _, c := range configs {
		if n := len(r.configs); n == 0 || r.configs[n-1].Epoch < c.Epoch {
			r.configs = append(r.configs, c)
		}
	}
	if len(r.configs) == 0 {
		return
	}
	r.configs = r.configs[max(0, len(r.configs)-configsKept):]
	var peers []types.Member
	for _, c := range r.configs {
		peers = append(peers, c.Config.Members...)
	}
	// The first epochs are those of genesis, of which no event tells.
	if r.configs[0].Epoch < configsKept {
		peers = append(r.server.cfg.Genesis().Members, peers...)
	}
	if err := r.server.transport.SetPeers(peers); err != nil {
		r.server.opts.Logf("%v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = r.configs[len(r.configs)-1].Config
}
