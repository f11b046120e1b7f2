package simtest

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/types"
)

// logAgreement: no two correct replicas decide or order differently at one
// position, and each orders without gaps.
type logAgreement struct {
	ground  *ground
	decided map[types.SeqNr]types.Digest
	next    []types.SeqNr // By replica.
	lost    []bool        // By replica: it begins again somewhere.
}

func newLog(g *ground, n int) *logAgreement {
	return &logAgreement{
		ground: g, decided: map[types.SeqNr]types.Digest{}, next: make([]types.SeqNr, n), lost: make([]bool, n),
	}
}

func (l *logAgreement) name() string { return "agreement" }

func (l *logAgreement) restarted(id types.NodeID) { l.lost[id] = true }

func (l *logAgreement) observe(s sim.Step) error {
	switch e := s.Event.Body.(type) {
	case types.SlotDecided:
		return agree(l.decided, e.Seq, digestOf(e.Proposal), s.Node)
	case types.Ordered:
		return l.onOrdered(s.Node, e)
	}
	return nil
}

func (l *logAgreement) onOrdered(node types.NodeID, e types.Ordered) error {
	if e.Epoch != l.ground.epochOf(e.Seq) {
		return fmt.Errorf("replica %d orders %d in epoch %d", node, e.Seq, e.Epoch)
	}
	if l.lost[node] {
		if e.Seq%types.SeqNr(l.ground.params.EpochLength) != 0 {
			return fmt.Errorf("replica %d goes on at %d, in the middle of an epoch", node, e.Seq)
		}
		l.next[node], l.lost[node] = e.Seq, false
	}
	if e.Seq != l.next[node] {
		return fmt.Errorf("replica %d orders %d, next is %d: a gap", node, e.Seq, l.next[node])
	}
	l.next[node]++
	return agree(l.decided, e.Seq, digestOf(e.Proposal), node)
}

// decisions: a correct replica decides what a quorum committed in one view, as
// far as it can know, or what others of weight more than f say they decided.
type decisions struct {
	ground  *ground
	commits map[ballot]*voters
	claims  map[ballot]*voters // View zero.
}

// ballot is a value that a replica may decide.
type ballot struct {
	node   types.NodeID
	sub    mir.SubID // Names epoch and segment.
	seq    types.SeqNr
	view   types.View
	digest types.Digest
}

// voters is who voted in a ballot.
type voters struct{ ids map[types.NodeID]bool }

func newDecisions(g *ground) *decisions {
	return &decisions{ground: g, commits: map[ballot]*voters{}, claims: map[ballot]*voters{}}
}

func (d *decisions) name() string { return "decision by a quorum" }

// restarted keeps what came before the crash: it says what others did, which a
// restart does not undo.
func (d *decisions) restarted(types.NodeID) {}

func (d *decisions) observe(s sim.Step) error {
	switch e := s.Event.Body.(type) {
	case mir.Received:
		d.onMessage(s.Node, e.From, s.Event.Sub, e.Msg)
	case mir.Send:
		d.onMessage(s.Node, s.Node, e.Sub, e.Msg)
	case types.SlotDecided:
		return d.onDecided(s.Node, e)
	}
	return nil
}

func (d *decisions) onMessage(node, from types.NodeID, sub mir.SubID, m mir.Message) {
	switch m := m.(type) {
	case pbft.Commit:
		vote(d.commits, ballot{node, sub, m.Seq, m.View, m.Digest}, from)
	case pbft.Decision:
		if from != node {
			vote(d.claims, ballot{node, sub, m.Seq, 0, digestOf(m.Proposal)}, from)
		}
	}
}

func vote(all map[ballot]*voters, b ballot, from types.NodeID) {
	v := all[b]
	if v == nil {
		v = &voters{ids: map[types.NodeID]bool{}}
		all[b] = v
	}
	v.ids[from] = true
}

// onDecided looks through all ballots: decisions are rare beside other steps.
func (d *decisions) onDecided(node types.NodeID, e types.SlotDecided) error {
	members, digest := d.ground.membersOf(d.ground.epochOf(e.Seq)), digestOf(e.Proposal)
	if members.N() == 1 {
		return nil // It need not say so to itself.
	}
	about := func(b ballot) bool { return b.node == node && b.seq == e.Seq && b.digest == digest }
	for b, v := range d.commits {
		if about(b) && members.IsQuorum(d.weight(e.Seq, v)) {
			return nil
		}
	}
	for b, v := range d.claims {
		if about(b) && members.HasCorrect(d.weight(e.Seq, v)) {
			return nil
		}
	}
	return fmt.Errorf("replica %d decides %s at %d, and no quorum committed it in one view", node, digest, e.Seq)
}

func (d *decisions) weight(seq types.SeqNr, v *voters) uint64 {
	members := d.ground.membersOf(d.ground.epochOf(seq))
	var w uint64
	for id := range v.ids {
		w += members.Weight(id)
	}
	return w
}
