package simtest

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// Checker watches every step of a simulation and keeps what has been seen, of
// the correct replicas together and of each. Its Observe is a sim.Config.OnStep.
type Checker struct {
	members quorum.Membership
	crypto  crypto.Crypto
	faulty  []types.NodeID // Nothing is expected of these.
	live    []types.NodeID // Correct, and never crash: these must deliver.

	submitted map[types.TxID]types.Digest // Of the payload.
	required  map[types.TxID]bool         // Accepted by a live replica.
	missing   int                         // Invariant: pairs of a live replica and a required transaction it did not deliver.

	decided     map[types.SeqNr]types.Digest
	sequence    []delivery
	inSequence  map[types.TxID]bool
	snapshots   map[types.Epoch]types.Digest
	checkpoints map[types.Epoch]types.Digest
	signed      map[statement]types.Digest
	nodes       []progress

	checked uint64 // Deliveries that were compared.
}

// progress is how far a replica has come.
type progress struct {
	ordered   types.SeqNr // The next position.
	delivered int         // How much of the sequence.
	have      map[types.TxID]bool
}

// delivery is one entry of the executed sequence.
type delivery struct {
	seq types.SeqNr
	id  types.TxID
}

// statement is what a replica may sign one digest for.
type statement struct {
	node types.NodeID
	sub  mir.SubID // Names epoch and segment.
	seq  types.SeqNr
	view types.View
}

// NewChecker expects nothing of faulty replicas, and delivery of all but them
// and those that crash.
func NewChecker(members quorum.Membership, c crypto.Crypto, faulty, crashing []types.NodeID) *Checker {
	out := &Checker{
		members: members, crypto: c, faulty: faulty,
		submitted: map[types.TxID]types.Digest{}, required: map[types.TxID]bool{},
		decided: map[types.SeqNr]types.Digest{}, inSequence: map[types.TxID]bool{},
		snapshots: map[types.Epoch]types.Digest{}, checkpoints: map[types.Epoch]types.Digest{},
		signed: map[statement]types.Digest{},
		nodes:  make([]progress, members.N()),
	}
	for _, id := range members.Nodes() {
		out.nodes[id].have = map[types.TxID]bool{}
		if !slices.Contains(faulty, id) && !slices.Contains(crashing, id) {
			out.live = append(out.live, id)
		}
	}
	return out
}

// Missing is how many deliveries the live replicas still owe: zero means that
// everything accepted by one of them is delivered by all of them.
func (c *Checker) Missing() int { return c.missing }

// Checked is the number of deliveries that were compared.
func (c *Checker) Checked() uint64 { return c.checked }

// Observe returns an error that names the broken invariant.
func (c *Checker) Observe(s sim.Step) error {
	if e, ok := s.Event.Body.(types.Submit); ok {
		c.submitted[e.Tx.TxID] = sha256.Sum256(e.Tx.Payload)
		return nil
	}
	if slices.Contains(c.faulty, s.Node) {
		return nil
	}
	switch e := s.Event.Body.(type) {
	case types.SubmitResult:
		c.onSubmitResult(s.Node, e)
	case mir.Send:
		return c.onSend(s.Node, e)
	case types.SlotDecided:
		return c.onValue(s.Node, e.Seq, e.Proposal)
	case types.Ordered:
		return c.onOrdered(s.Node, e)
	case types.Delivered:
		return c.onDelivered(s.Node, e)
	case types.Snapshot:
		return agree(c.snapshots, e.Epoch, types.SnapshotDigest(e.Data), "snapshot agreement", s.Node)
	case types.StableCheckpoint:
		return c.onStable(s.Node, e)
	}
	return nil
}

// agree lets the first to come say what the others must say too.
func agree[K comparable](seen map[K]types.Digest, key K, d types.Digest, rule string, node types.NodeID) error {
	if have, ok := seen[key]; ok && have != d {
		return fmt.Errorf("%s broken: replica %d has %s at %v, another has %s", rule, node, d, key, have)
	}
	seen[key] = d
	return nil
}

func (c *Checker) onSubmitResult(node types.NodeID, e types.SubmitResult) {
	if e.Err != nil || c.required[e.ID] || !slices.Contains(c.live, node) {
		return
	}
	c.required[e.ID] = true
	for _, id := range c.live {
		if !c.nodes[id].have[e.ID] {
			c.missing++
		}
	}
}

func (c *Checker) onSend(node types.NodeID, e mir.Send) error {
	switch m := e.Msg.(type) {
	case pbft.PrePrepare:
		return c.onSigned(statement{node, e.Sub, m.Seq, 0}, digestOf(m.Proposal))
	case pbft.Prepare:
		return c.onSigned(statement{node, e.Sub, m.Seq, m.View}, m.Digest)
	}
	return nil
}

func (c *Checker) onSigned(s statement, d types.Digest) error {
	return agree(c.signed, s, d, "one prepare for each slot and view", s.node)
}

func (c *Checker) onValue(node types.NodeID, seq types.SeqNr, p types.Proposal) error {
	return agree(c.decided, seq, digestOf(p), "agreement", node)
}

func (c *Checker) onOrdered(node types.NodeID, e types.Ordered) error {
	n := &c.nodes[node]
	if e.Seq != n.ordered {
		return fmt.Errorf("no gaps broken: replica %d orders %d, next is %d", node, e.Seq, n.ordered)
	}
	n.ordered++
	return c.onValue(node, e.Seq, e.Proposal)
}

func (c *Checker) onDelivered(node types.NodeID, e types.Delivered) error {
	c.checked++
	n, got := &c.nodes[node], delivery{seq: e.Seq, id: e.Tx.TxID}
	if n.delivered == len(c.sequence) {
		if err := c.extend(node, e); err != nil {
			return err
		}
	}
	if want := c.sequence[n.delivered]; got != want {
		return fmt.Errorf("agreement broken: delivery %d of replica %d is %+v, another's is %+v", n.delivered, node, got, want)
	}
	if payload := types.Digest(sha256.Sum256(e.Tx.Payload)); payload != c.submitted[e.Tx.TxID] {
		return fmt.Errorf("validity broken: replica %d delivers %v with payload %s, submitted was %s",
			node, e.Tx.TxID, payload, c.submitted[e.Tx.TxID])
	}
	n.delivered++
	n.have[e.Tx.TxID] = true
	if c.required[e.Tx.TxID] && slices.Contains(c.live, node) {
		c.missing--
	}
	return nil
}

// extend lets the replica that is first say what comes next.
func (c *Checker) extend(node types.NodeID, e types.Delivered) error {
	if _, ok := c.submitted[e.Tx.TxID]; !ok {
		return fmt.Errorf("validity broken: replica %d delivers %v, which nobody submitted", node, e.Tx.TxID)
	}
	if c.inSequence[e.Tx.TxID] {
		return fmt.Errorf("no duplicate delivery broken: replica %d delivers %v again", node, e.Tx.TxID)
	}
	c.inSequence[e.Tx.TxID] = true
	c.sequence = append(c.sequence, delivery{seq: e.Seq, id: e.Tx.TxID})
	return nil
}

func (c *Checker) onStable(node types.NodeID, e types.StableCheckpoint) error {
	statement := checkpoint.Statement(e.Epoch, e.Digest)
	if err := crypto.VerifyCert(c.members, c.crypto, checkpoint.DomainVote, statement, e.Sigs, c.members.IsQuorum); err != nil {
		return fmt.Errorf("checkpoint integrity broken: replica %d, epoch %d: %w", node, e.Epoch, err)
	}
	return agree(c.checkpoints, e.Epoch, e.Digest, "checkpoint integrity", node)
}

func digestOf(p types.Proposal) types.Digest {
	return sha256.Sum256(types.AppendProposal(nil, p))
}
