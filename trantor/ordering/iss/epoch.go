package iss

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// segmentBits of a SubID name the segment's leader; the rest is the epoch, from
// 1 so that no instance has SubID 0.
const segmentBits = 16

// SubOf addresses the instance of a leader's segment.
func SubOf(e types.Epoch, leader types.NodeID) mir.SubID {
	return mir.SubID(e+1)<<segmentBits | mir.SubID(leader)
}

// splitSub is the reverse of SubOf. Peers choose the SubIDs of their messages,
// so it says whether this one names an instance.
func splitSub(sub mir.SubID) (e types.Epoch, segment int, ok bool) {
	if sub>>segmentBits == 0 {
		return 0, 0, false
	}
	return types.Epoch(sub>>segmentBits) - 1, int(sub & (1<<segmentBits - 1)), true
}

// epoch is a stretch of the log. Slots are counted from its start.
type epoch struct {
	nr        types.Epoch
	start     types.SeqNr
	instances []Instance // By leader.

	slots   []slot
	ordered int // Invariant: exactly the first ordered slots went to delivery.
	needed  int // Everybody waits for the slots below.
	told    int // Invariant: the instances know about the needed slots below told.

	nextOwn int  // This replica's next slot that it did not propose for.
	deposed bool // This replica's own instance ignores proposals.
	asked   bool // FINISH-EPOCH was sent.
}

type slot struct {
	decided bool
	value   types.Proposal // Dropped once it is ordered.
}

func (l *Log) newEpoch(nr types.Epoch) *epoch {
	n := l.cfg.Members.N()
	e := &epoch{
		nr:      nr,
		start:   types.SeqNr(nr) * types.SeqNr(l.cfg.EpochLength),
		slots:   make([]slot, l.cfg.EpochLength),
		nextOwn: int(l.cfg.Node),
	}
	for _, leader := range l.cfg.Members.Nodes() {
		segment := types.Segment{Epoch: nr, Leader: leader}
		for at := int(leader); at < l.cfg.EpochLength; at += n {
			segment.Slots = append(segment.Slots, e.start+types.SeqNr(at))
		}
		e.instances = append(e.instances, l.cfg.NewInstance(segment, SubOf(nr, leader)))
	}
	return e
}

func (e *epoch) complete() bool { return e.ordered == len(e.slots) }

// index is the slot's place in the epoch.
func (e *epoch) index(seq types.SeqNr) int { return int(seq - e.start) }

func (e *epoch) decide(seq types.SeqNr, p types.Proposal) {
	if seq < e.start || seq-e.start >= types.SeqNr(len(e.slots)) || e.slots[e.index(seq)].decided {
		panic(fmt.Sprintf("iss: invariant broken: slot %d decided again or out of epoch %d", seq, e.nr))
	}
	e.slots[e.index(seq)] = slot{decided: true, value: p}
}
