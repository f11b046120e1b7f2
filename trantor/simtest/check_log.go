package simtest

import (
	"fmt"
	"slices"

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
	ground *ground
	polls  map[poll][]*ballot // Of slots that are not decided there.
}

// poll is a position about which a replica hears votes.
type poll struct {
	node types.NodeID
	seq  types.SeqNr
}

// ballot is who committed a value in a view, or claims that it is decided.
type ballot struct {
	view   types.View
	claim  bool
	digest types.Digest
	voters []types.NodeID
}

func newDecisions(g *ground) *decisions {
	return &decisions{ground: g, polls: map[poll][]*ballot{}}
}

func (d *decisions) name() string { return "decision by a quorum" }

// restarted keeps what came before the crash: it says what others did, which a
// restart does not undo.
func (d *decisions) restarted(types.NodeID) {}

func (d *decisions) observe(s sim.Step) error {
	switch e := s.Event.Body.(type) {
	case mir.Received:
		d.onMessage(s.Node, e.From, e.Msg)
	case mir.Send:
		d.onMessage(s.Node, s.Node, e.Msg)
	case types.SlotDecided:
		return d.onDecided(poll{s.Node, e.Seq}, digestOf(e.Proposal))
	}
	return nil
}

func (d *decisions) onMessage(node, from types.NodeID, m mir.Message) {
	switch m := m.(type) {
	case pbft.Commit:
		d.vote(poll{node, m.Seq}, ballot{view: m.View, digest: m.Digest}, from)
	case pbft.Decision:
		if from != node {
			d.vote(poll{node, m.Seq}, ballot{claim: true, digest: digestOf(m.Proposal)}, from)
		}
	}
}

func (d *decisions) vote(at poll, b ballot, from types.NodeID) {
	for _, have := range d.polls[at] {
		if have.view == b.view && have.claim == b.claim && have.digest == b.digest {
			if !slices.Contains(have.voters, from) {
				have.voters = append(have.voters, from)
			}
			return
		}
	}
	b.voters = append(b.voters, from)
	d.polls[at] = append(d.polls[at], &b)
}

// onDecided ends a poll. A replica that restarts has to hear the votes again.
func (d *decisions) onDecided(at poll, digest types.Digest) error {
	members := d.ground.membersOf(d.ground.epochOf(at.seq))
	if members.N() == 1 {
		return nil // It need not say so to itself.
	}
	for _, b := range d.polls[at] {
		var weight uint64
		for _, id := range b.voters {
			weight += members.Weight(id)
		}
		if b.digest == digest && (members.IsQuorum(weight) || b.claim && members.HasCorrect(weight)) {
			delete(d.polls, at)
			return nil
		}
	}
	return fmt.Errorf("replica %d decides %s at %d, and no quorum committed it in one view", at.node, digest, at.seq)
}
