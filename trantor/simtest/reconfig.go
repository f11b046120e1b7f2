package simtest

import (
	"time"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/delivery"
	"github.com/perfgate/perfgate/trantor/types"
)

// voteRetry is how long the replicas' operators wait before they ask again.
const voteRetry = 500 * time.Millisecond

// vote has a replica vote for the i-th change and, when that is answered, for
// those after it: votes of one voter that overtake each other are stale. Replicas
// that are no members vote in vain.
func (w *world) vote(id types.NodeID, i int) {
	if i == len(w.scenario.Changes) {
		return
	}
	n, change := w.scenario.N(), w.scenario.Changes[i]
	own := crypto.NewSimulated(w.scenario.Seed, id, n)
	r := delivery.SignReconfig(own, types.Reconfig{Voter: id, No: uint64(i) + 1, Change: change.Member})
	sub := Submission{
		Nodes: []types.NodeID{id}, RetryEvery: voteRetry,
		Tx: types.Tx{
			TxID:    types.TxID{Client: types.ConfigClient, No: types.TxNo(i*n + int(id))},
			Payload: r.Encode(),
		},
	}
	w.sim.At(change.At, func() {
		w.clients.submit(sub, func([]byte) { w.vote(id, i+1) })
	})
}

// The pump is a client that keeps epochs going: changes take effect some epochs
// after they were made, and an idle system has none.
const (
	pumpClient = types.ClientID(1 << 20)
	pumpEvery  = 20 * time.Millisecond
	pumpMost   = 4 // Unanswered; fewer than any client window is long.
)

// pump submits while the last change is not in effect. It may seem to be before
// the first is, where they cancel each other.
func (w *world) pump() {
	no := types.TxNo(0)
	var stroke func()
	stroke = func() {
		if !w.changed() && w.clients.waiting(pumpClient) < pumpMost {
			node := types.NodeID(int(no) % w.scenario.N())
			tx := types.Tx{TxID: types.TxID{Client: pumpClient, No: no}, Payload: []byte("pump")}
			w.clients.submit(Submission{Nodes: []types.NodeID{node}, Tx: tx, RetryEvery: voteRetry}, nil)
			no++
		}
		w.sim.At(w.sim.Now()+pumpEvery, stroke)
	}
	stroke()
}

// changed tells whether the members are what all changes together lead to, in the
// epoch that every live replica is in.
func (w *world) changed() bool {
	if len(w.scenario.Changes) == 0 {
		return true
	}
	final := w.scenario.Final()
	for _, id := range w.checker.ground.live {
		epoch := w.hosts[id].replica.Stats().Epoch
		config, ok := w.checker.configs.known[epoch]
		if !ok || len(config.Members) != len(final.Members) {
			return false
		}
		for i, m := range final.Members {
			if !m.Equal(config.Members[i]) {
				return false
			}
		}
	}
	return true
}
