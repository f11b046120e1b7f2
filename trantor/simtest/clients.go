package simtest

import (
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/types"
)

// clients give transactions to replicas and take an answer for one when replicas
// of weight more than f gave it.
type clients struct {
	world    *world
	open     map[types.TxID]*request
	answered uint64
	retries  uint64
}

// request is a transaction that waits for its answer.
type request struct {
	answers map[types.NodeID]string // The first of each replica.
	done    func(result []byte)     // May be nil.
}

func newClients(w *world) *clients {
	return &clients{world: w, open: map[types.TxID]*request{}}
}

// submit is ask for a client that never gives up: if it tries again, it insists.
func (c *clients) submit(sub Submission, done func(result []byte)) {
	if sub.RetryEvery > 0 {
		c.world.checker.Require(sub.Tx)
	}
	c.ask(sub, done)
}

// ask gives a transaction to its replicas, again and again if it says so, and
// calls done, which may be nil, with the answer. The client may give up.
func (c *clients) ask(sub Submission, done func(result []byte)) {
	c.open[sub.Tx.TxID] = &request{answers: map[types.NodeID]string{}, done: done}
	c.give(sub)
}

func (c *clients) give(sub Submission) {
	for _, id := range sub.Nodes {
		h := c.world.hosts[id]
		c.world.sim.Inject(id, mir.Event{To: h.replica.IDs.Mempool, Body: types.Submit{Tx: sub.Tx}})
	}
	if sub.RetryEvery == 0 {
		return
	}
	c.world.sim.At(c.world.sim.Now()+sub.RetryEvery, func() {
		if c.open[sub.Tx.TxID] == nil {
			return
		}
		c.retries++
		next := sub
		next.Nodes = nil
		for _, id := range sub.Nodes {
			next.Nodes = append(next.Nodes, (id+1)%types.NodeID(c.world.scenario.N()))
		}
		c.give(next)
	})
}

// believes tells whether the weight of those that gave an answer includes a
// correct replica, among the first members or the last.
func (c *clients) believes(r *request, answer string) bool {
	var first, last uint64
	for id, result := range r.answers {
		if result == answer {
			first += c.world.members.Weight(id)
			last += c.world.final.Weight(id)
		}
	}
	return c.world.members.HasCorrect(first) || c.world.final.HasCorrect(last)
}

// waiting is how many transactions of a client have no answer.
func (c *clients) waiting(client types.ClientID) (n int) {
	for id := range c.open {
		if id.Client == client {
			n++
		}
	}
	return n
}

// giveUp forgets a transaction: its client does not wait any longer.
func (c *clients) giveUp(id types.TxID) { delete(c.open, id) }

// observe counts answers. Those of a Byzantine replica count too: that is what
// the weight is for.
func (c *clients) observe(s sim.Step) {
	e, ok := s.Event.Body.(types.Delivered)
	if !ok {
		return
	}
	r := c.open[e.Tx.TxID]
	if r == nil {
		return
	}
	if _, again := r.answers[s.Node]; !again {
		r.answers[s.Node] = string(e.Result)
	}
	if !c.believes(r, string(e.Result)) {
		return
	}
	delete(c.open, e.Tx.TxID)
	c.answered++
	if r.done != nil {
		r.done(e.Result)
	}
}
