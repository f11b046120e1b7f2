package simtest

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/types"
)

// votes: a correct replica never contradicts what it signed, restarts included:
// one prepare for each slot and view, one checkpoint vote for an epoch, one
// acknowledgement and one batch for a number (and the void one), and
// nothing in a view that it has left.
type votes struct {
	ground   *ground
	prepares map[statement]types.Digest
	states   map[stateVote]types.Digest
	acks     map[numbered]types.Digest
	batches  map[numbered]types.Digest
	left     map[segmentOf]types.View
}

// statement is what a replica may sign one digest for.
type statement struct {
	node types.NodeID
	sub  mir.SubID // Names epoch and segment.
	seq  types.SeqNr
	view types.View
}

type stateVote struct {
	node  types.NodeID
	epoch types.Epoch
}

// numbered is a batch number, and who speaks about it.
type numbered struct {
	node, creator types.NodeID
	no            types.BatchNo
}

type segmentOf struct {
	node types.NodeID
	sub  mir.SubID
}

func newVotes(g *ground) *votes {
	return &votes{
		ground: g, prepares: map[statement]types.Digest{}, states: map[stateVote]types.Digest{},
		acks: map[numbered]types.Digest{}, batches: map[numbered]types.Digest{}, left: map[segmentOf]types.View{},
	}
}

func (v *votes) name() string { return "no contradiction" }

// restarted forgets nothing: that is the point.
func (v *votes) restarted(types.NodeID) {}

func (v *votes) observe(s sim.Step) error {
	e, ok := s.Event.Body.(mir.Send)
	if !ok {
		return nil
	}
	switch m := e.Msg.(type) {
	case pbft.PrePrepare:
		return v.onPrepare(statement{s.Node, e.Sub, m.Seq, 0}, digestOf(m.Proposal))
	case pbft.Prepare:
		return v.onPrepare(statement{s.Node, e.Sub, m.Seq, m.View}, m.Digest)
	case pbft.Commit:
		return v.inView(segmentOf{s.Node, e.Sub}, m.View, "commits")
	case pbft.ViewChange:
		at := segmentOf{s.Node, e.Sub}
		v.left[at] = max(v.left[at], m.View)
	case checkpoint.Vote:
		return agree(v.states, stateVote{s.Node, m.Epoch}, m.Digest, s.Node)
	case availability.Ack:
		return v.onAck(s.Node, e.To, m)
	case availability.Batch:
		return once(v.batches, numbered{s.Node, s.Node, m.No}, types.HashBatch(m.Data))
	}
	return nil
}

func (v *votes) onPrepare(s statement, d types.Digest) error {
	if err := v.inView(segmentOf{s.node, s.sub}, s.view, "prepares"); err != nil {
		return err
	}
	return agree(v.prepares, s, d, s.node)
}

func (v *votes) inView(at segmentOf, view types.View, does string) error {
	if view < v.left[at] {
		return fmt.Errorf("replica %d %s in view %d of segment %x and has left for %d", at.node, does, view, at.sub, v.left[at])
	}
	return nil
}

func (v *votes) onAck(node types.NodeID, to []types.NodeID, m availability.Ack) error {
	for _, creator := range to {
		if err := once(v.acks, numbered{node, creator, m.No}, m.Batch); err != nil {
			return err
		}
	}
	return nil
}

var voidDigest = types.HashBatch(nil)

// once is agree, except that the void batch may come beside another.
func once(seen map[numbered]types.Digest, at numbered, d types.Digest) error {
	if d == voidDigest {
		return nil
	}
	return agree(seen, at, d, at.node)
}
