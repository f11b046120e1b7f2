package simtest

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/types"
)

// entry is one place of the executed sequence.
type entry struct {
	seq types.SeqNr
	id  types.TxID
}

// execution: all correct replicas deliver one sequence, in it no transaction
// twice, only what was submitted, payload and all, and that of each client by
// number where this is asked for.
type execution struct {
	ground   *ground
	liveness *liveness
	log      *logAgreement

	sequence []entry
	place    map[types.TxID]int            // In sequence.
	ends     map[types.Epoch]int           // How long the sequence is at the end of an epoch.
	next     map[types.ClientID]types.TxNo // Where per-client order is asked for.
	at       []int                         // By replica: how much of the sequence it has delivered.
	lost     []bool                        // By replica: it begins again somewhere.

	checked uint64 // Deliveries that were compared.
}

func newExecution(g *ground, l *liveness, log *logAgreement, n int) *execution {
	x := &execution{
		ground: g, liveness: l, log: log, place: map[types.TxID]int{}, ends: map[types.Epoch]int{}, next: map[types.ClientID]types.TxNo{},
		at: make([]int, n), lost: make([]bool, n),
	}
	l.executed = x
	return x
}

func (x *execution) name() string { return "execution" }

func (x *execution) restarted(id types.NodeID) { x.lost[id] = true }

func (x *execution) observe(s sim.Step) error {
	switch e := s.Event.Body.(type) {
	case types.Ordered:
		return x.onOrdered(s.Node, e)
	case types.Delivered:
		return x.onDelivered(s.Node, e)
	case types.Snapshot:
		return x.onSnapshot(s.Node, e)
	}
	return nil
}

// onOrdered finds out where a replica goes on after a restart.
func (x *execution) onOrdered(node types.NodeID, e types.Ordered) error {
	if !x.lost[node] {
		return nil
	}
	x.lost[node] = false
	if e.Epoch == 0 {
		return x.jump(node, 0)
	}
	return x.jumpToEnd(node, e.Epoch-1)
}

// jumpToEnd puts a replica at the end of an epoch.
func (x *execution) jumpToEnd(node types.NodeID, e types.Epoch) error {
	at, ok := x.ends[e]
	if !ok {
		return fmt.Errorf("replica %d goes on after epoch %d, which no correct replica has ended", node, e)
	}
	return x.jump(node, at)
}

func (x *execution) jump(node types.NodeID, at int) error {
	x.at[node] = at
	x.liveness.recount()
	return nil
}

// has tells whether a replica has delivered a transaction.
func (x *execution) has(node types.NodeID, id types.TxID) bool {
	at, ok := x.place[id]
	return ok && at < x.at[node]
}

func (x *execution) onDelivered(node types.NodeID, e types.Delivered) error {
	x.checked++
	got := entry{seq: e.Seq, id: e.Tx.TxID}
	if x.at[node] == len(x.sequence) {
		if err := x.extend(node, got); err != nil {
			return err
		}
	}
	if want := x.sequence[x.at[node]]; got != want {
		return fmt.Errorf("delivery %d of replica %d is %+v, another's is %+v", x.at[node], node, got, want)
	}
	if payload := types.Digest(sha256.Sum256(e.Tx.Payload)); payload != x.ground.submitted[e.Tx.TxID] {
		return fmt.Errorf("validity: replica %d delivers %v with payload %s, submitted was %s",
			node, e.Tx.TxID, payload, x.ground.submitted[e.Tx.TxID])
	}
	x.at[node]++
	x.liveness.delivered(node, e.Tx.TxID)
	return nil
}

// extend lets the replica that is first say what comes next.
func (x *execution) extend(node types.NodeID, got entry) error {
	if _, ok := x.ground.submitted[got.id]; !ok {
		return fmt.Errorf("validity: replica %d delivers %v, which nobody submitted", node, got.id)
	}
	if _, again := x.place[got.id]; again {
		return fmt.Errorf("no duplicate delivery: replica %d delivers %v again", node, got.id)
	}
	ordered := x.ground.params.ClientOrder && got.id.Client != types.ConfigClient
	if want := x.next[got.id.Client]; ordered && got.id.No != want {
		return fmt.Errorf("client order: replica %d delivers %v, next of the client is %d", node, got.id, want)
	}
	x.next[got.id.Client] = got.id.No + 1
	x.place[got.id] = len(x.sequence)
	x.sequence = append(x.sequence, got)
	return nil
}

// onSnapshot notes how much was delivered in an epoch: it is the same for all.
func (x *execution) onSnapshot(node types.NodeID, e types.Snapshot) error {
	if have, ok := x.ends[e.Epoch]; ok && have != x.at[node] {
		return fmt.Errorf("replica %d ends epoch %d after %d deliveries, another after %d", node, e.Epoch, x.at[node], have)
	}
	x.ends[e.Epoch] = x.at[node]
	return nil
}

// liveness: what a steady replica accepted, and what a client keeps asking for,
// is delivered by all live replicas in the end.
type liveness struct {
	ground   *ground
	executed *execution
	required map[types.TxID]bool
	missing  int // Invariant: pairs of a live replica and a required transaction that it did not deliver.
}

func newLiveness(g *ground) *liveness {
	return &liveness{ground: g, required: map[types.TxID]bool{}}
}

func (l *liveness) name() string { return "liveness" }

func (l *liveness) restarted(types.NodeID) {}

func (l *liveness) observe(s sim.Step) error {
	e, ok := s.Event.Body.(types.SubmitResult)
	if ok && e.Err == nil && slices.Contains(l.ground.steady, s.Node) {
		l.require(e.ID)
	}
	return nil
}

func (l *liveness) require(id types.TxID) {
	if l.required[id] {
		return
	}
	l.required[id] = true
	l.missing += l.owed(id)
}

// owed is how many live replicas did not deliver a transaction.
func (l *liveness) owed(id types.TxID) (n int) {
	for _, node := range l.ground.live {
		if !l.executed.has(node, id) {
			n++
		}
	}
	return n
}

func (l *liveness) delivered(node types.NodeID, id types.TxID) {
	if l.required[id] && slices.Contains(l.ground.live, node) {
		l.missing--
	}
}

// recount is for a replica that jumped.
func (l *liveness) recount() {
	l.missing = 0
	for id := range l.required {
		l.missing += l.owed(id)
	}
}
