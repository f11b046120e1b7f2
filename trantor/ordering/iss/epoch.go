package iss

import (
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/quorum"
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
// so it says whether this one names an epoch.
func splitSub(sub mir.SubID) (e types.Epoch, leader types.NodeID, ok bool) {
	if sub>>segmentBits == 0 {
		return 0, 0, false
	}
	return types.Epoch(sub>>segmentBits) - 1, types.NodeID(sub & (1<<segmentBits - 1)), true
}

// epoch is a stretch of the log. Slots are counted from its start; slot i is of
// leaders[i mod len(leaders)].
type epoch struct {
	nr        types.Epoch
	start     types.SeqNr
	members   quorum.Membership
	leaders   []types.NodeID // Ascending.
	instances []Instance     // By leader; none where this replica is no member.

	slots   []slot
	ordered int // Invariant: exactly the first ordered slots went to delivery.
	needed  int // Everybody waits for the slots below.
	told    int // Invariant: the instances know about the needed slots below told.

	nextOwn int  // This replica's next slot that it did not propose for; len(slots) where it does not lead.
	deposed bool // This replica's own instance ignores proposals.
	asked   bool // FINISH-EPOCH was sent.
	handed  int  // How many times certificates were handed to a leader.
	// exposed are those who handed over a certificate that no correct replica would.
	exposed map[types.NodeID]bool
}

type slot struct {
	decided  bool
	proposed bool           // This replica proposed for it before a restart.
	value    types.Proposal // Dropped once it is ordered.
	empty    bool           // A view change left it empty.
}

// newEpoch makes an epoch whose configuration is known. Instances go on from what
// they wrote down before a restart, and tells which did.
func (l *Log) newEpoch(nr types.Epoch) (*epoch, []Instance, error) {
	config, known := l.schedule.At(nr)
	if !known {
		return nil, nil, fmt.Errorf("iss: epoch %d begins without its configuration", nr)
	}
	e := &epoch{
		nr:      nr,
		start:   types.SeqNr(nr) * types.SeqNr(l.cfg.EpochLength),
		members: config.Members,
		leaders: l.cfg.Policy.leaders(l.record, nr, config.Members, l.cfg.EpochLength),
		slots:   make([]slot, l.cfg.EpochLength),
		nextOwn: l.cfg.EpochLength,
		exposed: map[types.NodeID]bool{},
	}
	if place, leads := e.place(l.cfg.Node); leads {
		e.nextOwn = place
	}
	if !e.members.Has(l.cfg.Node) {
		return e, nil, nil
	}
	recovered, err := l.makeInstances(e)
	return e, recovered, err
}

func (l *Log) makeInstances(e *epoch) (recovered []Instance, err error) {
	records := l.recovered[e.nr]
	delete(l.recovered, e.nr)
	for place, leader := range e.leaders {
		segment := types.Segment{Epoch: e.nr, Leader: leader}
		for at := place; at < len(e.slots); at += len(e.leaders) {
			segment.Slots = append(segment.Slots, e.start+types.SeqNr(at))
		}
		instance := l.cfg.NewInstance(segment, e.members, l.patience, SubOf(e.nr, leader))
		e.instances = append(e.instances, instance)
		if len(records[leader]) == 0 {
			continue
		}
		proposed, err := instance.Recover(records[leader])
		if err != nil {
			return nil, fmt.Errorf("iss: epoch %d: %w", e.nr, err)
		}
		for _, seq := range proposed {
			e.slots[e.index(seq)].proposed = true
		}
		delete(records, leader)
		recovered = append(recovered, instance)
	}
	if len(records) > 0 {
		return nil, fmt.Errorf("iss: records of replicas that do not lead in epoch %d", e.nr)
	}
	return recovered, nil
}

// place is a replica's place among the leaders.
func (e *epoch) place(id types.NodeID) (int, bool) { return slices.BinarySearch(e.leaders, id) }

func (e *epoch) leaderOf(at int) types.NodeID { return e.leaders[at%len(e.leaders)] }

func (e *epoch) complete() bool { return e.ordered == len(e.slots) }

// end is the first sequence number after the epoch.
func (e *epoch) end() types.SeqNr { return e.start + types.SeqNr(len(e.slots)) }

// index is the slot's place in the epoch.
func (e *epoch) index(seq types.SeqNr) int { return int(seq - e.start) }

func (e *epoch) decide(seq types.SeqNr, p types.Proposal) {
	if seq < e.start || seq >= e.end() || e.slots[e.index(seq)].decided {
		panic(fmt.Sprintf("iss: invariant broken: slot %d decided again or out of epoch %d", seq, e.nr))
	}
	s := &e.slots[e.index(seq)]
	s.decided, s.value = true, p
	s.empty = len(p.Certs) == 0 && !p.Skip
}

// suspects are the leaders whose slots a view change emptied. The epoch is
// complete.
func (e *epoch) suspects() []types.NodeID {
	var out []types.NodeID
	for place, leader := range e.leaders {
		for at := place; at < len(e.slots); at += len(e.leaders) {
			if e.slots[at].empty {
				out = append(out, leader)
				break
			}
		}
	}
	return out
}
