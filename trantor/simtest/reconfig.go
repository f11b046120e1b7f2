package simtest

import (
	"maps"
	"slices"
	"time"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/delivery"
	"github.com/perfgate/perfgate/trantor/types"
)

// voteRetry is how long the replicas' operators wait before they ask again.
const voteRetry = 500 * time.Millisecond

// votePatience is how many retries long a vote is waited for.
const votePatience = 20

// vote has a replica vote for the i-th change and, once that is made, for those
// after it: votes of one voter that overtake each other are stale, and a change of
// a member voids the votes that were cast about it before.
func (w *world) vote(id types.NodeID, i int) {
	if i == len(w.scenario.Changes) {
		return
	}
	w.sim.At(w.scenario.Changes[i].At, func() { w.cast(id, i) })
}

// cast submits a vote with the next numbers of its voter and of their client, once
// the voter is a member: the vote of a stranger may be refused for ever, and its
// number would be missing before those of all others.
func (w *world) cast(id types.NodeID, i int) {
	if !w.isMember(id) {
		w.await(id, i, 1)
		return
	}
	own := crypto.NewSimulated(w.scenario.Seed, id, w.scenario.N())
	r := delivery.SignReconfig(own, types.Reconfig{Voter: id, No: uint64(w.votes) + 1, Change: w.scenario.Changes[i].Member})
	sub := Submission{
		Nodes: []types.NodeID{id}, RetryEvery: voteRetry,
		Tx: types.Tx{TxID: types.TxID{Client: types.ConfigClient, No: w.votes}, Payload: r.Encode()},
	}
	w.votes++
	w.clients.submit(sub, func([]byte) { w.await(id, i, votePatience) })
}

// await goes on to the next change once the i-th is made. If that takes more than
// so many retries the vote is cast again: it may have come before its time.
func (w *world) await(id types.NodeID, i, retries int) {
	w.sim.At(w.sim.Now()+voteRetry, func() {
		switch {
		case w.made(len(w.scenario.Changes) - 1):
		case w.made(i):
			w.vote(id, i+1)
		case retries == 0:
			w.cast(id, i)
		default:
			w.await(id, i, retries-1)
		}
	})
}

// made tells whether the i-th change was made. Changes are made in their order, so
// each is looked for from the epoch on that had the one before: it may undo that.
func (w *world) made(i int) bool {
	known, next := w.checker.configs.known, 0
	for _, epoch := range slices.Sorted(maps.Keys(known)) {
		for next <= i && has(known[epoch], w.scenario.Changes[next].Member) {
			next++
		}
	}
	return next > i
}

func has(config types.Configuration, m types.Member) bool {
	return int(m.Node) < len(config.Members) && config.Members[m.Node].Equal(m)
}

// isMember tells whether a replica is a member in the epoch of some live one.
func (w *world) isMember(id types.NodeID) bool {
	for _, live := range w.checker.ground.live {
		members, known := w.checker.ground.members[w.hosts[live].replica.Stats().Epoch]
		if !known {
			members = w.members
		}
		if members.Has(id) {
			return true
		}
	}
	return false
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
