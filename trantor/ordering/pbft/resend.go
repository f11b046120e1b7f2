package pbft

import (
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// resendSlotsMax is how many slots of a segment a tick, a question or an answer
// is about at most: the lowest ones. A tick then sends, to each peer, one
// question, one view change or new view, and 2 * 64 votes or proposals, however
// long the peer was away.
const resendSlotsMax = 64

// onTick sends again what did not decide the slots that have been needed for a
// whole tick, and asks for them. It also lets peers ask again.
func (i *Instance) onTick(out *mir.Out) {
	i.tickOn = false
	clear(i.answered)
	if i.waiting == 0 {
		return
	}
	if slots := i.lowestWaiting(true); len(slots) > 0 {
		i.cfg.Stats.Resent += uint64(len(slots))
		i.resend(i.others, slots, out)
		i.ask(slots, out)
	}
	for _, s := range i.slots {
		s.waited = s.needed && !s.decided
	}
	i.startTick(out)
}

// lowestWaiting is the lowest slots that are needed and undecided, if so asked
// those only that have been for a whole tick.
func (i *Instance) lowestWaiting(waited bool) []*slot {
	var slots []*slot
	for _, s := range i.slots {
		if s.needed && !s.decided && (s.waited || !waited) && len(slots) < resendSlotsMax {
			slots = append(slots, s)
		}
	}
	return slots
}

// ask asks everybody for the decisions of these slots.
func (i *Instance) ask(slots []*slot, out *mir.Out) {
	if len(slots) == 0 {
		return
	}
	m := Ask{Slots: make([]types.SeqNr, len(slots))}
	for at, s := range slots {
		m.Slots[at] = s.seq
	}
	i.send(i.others, m, out)
}

// onAsk answers a replica that misses slots, once for each tick: with the value
// of what is decided here, and with this replica's own messages about what its
// own tick does not send, since fewer than f+1 may have decided, and the others
// then need the votes of those who did.
func (i *Instance) onAsk(from types.NodeID, m Ask, out *mir.Out) {
	if from == i.cfg.Node || !slices.IsSorted(m.Slots) {
		i.cfg.Stats.Malformed++
		return
	}
	if i.answered[from] {
		i.cfg.Stats.TooOften++
		return
	}
	var quiet []*slot
	for _, seq := range slices.Compact(slices.Clone(m.Slots)) {
		s := i.slot(seq)
		if s == nil || s.needed && !s.decided {
			continue
		}
		quiet = append(quiet, s)
		if s.decided {
			i.cfg.Stats.Answered++
			i.send([]types.NodeID{from}, Decision{Seq: seq, Proposal: s.value}, out)
		}
	}
	if len(quiet) > 0 {
		i.answered[from] = true
		i.resend([]types.NodeID{from}, quiet, out)
		i.startTick(out)
	}
}

// onDecision counts what peers say they decided: equal claims of weight more
// than f include a correct one.
func (i *Instance) onDecision(from types.NodeID, m Decision, out *mir.Out) {
	s := i.slot(m.Seq)
	if s == nil {
		return
	}
	if s.decided || s.claims[from].cast {
		i.cfg.Stats.Repeated++
		return
	}
	if !i.fits(m.Proposal) {
		i.cfg.Stats.Invalid++
		return
	}
	d := digestOf(m.Proposal)
	s.claims[from] = vote{cast: true, digest: d}
	i.addValue(s, d, m.Proposal, out)
	if !s.decided && i.cfg.Members.HasCorrect(weight(i.cfg.Members, s.claims, d)) {
		i.becomeDecided(s, d, out)
	}
}

// resend sends this replica's latest messages of the current view again, as far
// as they are about these slots. Only what is durable: what came back.
func (i *Instance) resend(to []types.NodeID, slots []*slot, out *mir.Out) {
	switch {
	case !i.active:
		if own := i.changes[i.cfg.Node]; own != nil && own.View == i.view {
			i.send(to, own.ViewChange, out)
		}
		return
	case i.led != nil && i.led.View == i.view:
		i.send(to, *i.led, out)
	}
	for _, s := range slots {
		i.resendVotes(to, s, out)
	}
}

func (i *Instance) resendVotes(to []types.NodeID, s *slot, out *mir.Out) {
	r := s.round(i.view, i.cfg.Members.Slots())
	if own := r.prepares[i.cfg.Node]; own.cast {
		value, known := s.values[own.digest]
		if i.view == 0 && i.segment.Leader == i.cfg.Node && known {
			i.send(to, PrePrepare{Seq: s.seq, Proposal: value, Sig: own.sig}, out)
		} else {
			i.send(to, Prepare{View: i.view, Seq: s.seq, Digest: own.digest, Sig: own.sig}, out)
		}
	}
	if own := r.commits[i.cfg.Node]; own.cast {
		i.send(to, Commit{View: i.view, Seq: s.seq, Digest: own.digest}, out)
	}
}
