package pbft

import (
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Recover gives a new instance the records that it wrote before a restart, before
// its first event, which is then types.Boot. It knows what it signed, holds its
// certificates, is in the view where it was, and leaving it or in the middle of
// it; what it had decided it decides again. It returns the slots that this
// replica proposed for as their leader.
func (i *Instance) Recover(records []types.Record) (proposed []types.SeqNr, err error) {
	all := make([]record, len(records))
	for at, rec := range records {
		if all[at], err = decodeRecord(rec); err != nil {
			return nil, err
		}
		if all[at].epoch != i.segment.Epoch || all[at].leader != i.segment.Leader {
			return nil, fmt.Errorf("pbft: record of segment %d/%d in %d/%d",
				all[at].epoch, all[at].leader, i.segment.Epoch, i.segment.Leader)
		}
	}
	i.recoverView(all)
	for _, rec := range all {
		if rec.kind == recordSigned || rec.kind == recordPrepared {
			if err := i.recoverSlot(rec); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range i.slots {
		if s.offered {
			proposed = append(proposed, s.seq)
		}
	}
	return proposed, nil
}

// recoverView goes to the highest view, and into it where its new view is known.
func (i *Instance) recoverView(all []record) {
	var entered *NewView
	for at := range all {
		switch rec := &all[at]; rec.kind {
		case recordView:
			i.view = max(i.view, rec.view)
		case recordNewView:
			i.view, entered = max(i.view, rec.newView.View), &rec.newView
		}
	}
	i.active = i.view == 0
	if entered == nil || entered.View != i.view {
		return
	}
	i.active = true
	if i.leader(i.view) == i.cfg.Node {
		i.led = entered
	}
	proposals, _ := entered.chosen() // decodeRecord has seen that there is no error.
	for _, s := range i.slots {
		p := proposals.of(s.seq)
		s.accepted, s.accept = true, p.Digest
		s.values[s.accept] = p.Proposal
	}
}

// recoverSlot takes what was signed or prepared. Votes of the current view are
// durable, so they count.
func (i *Instance) recoverSlot(rec record) error {
	at, found := slices.BinarySearch(i.segment.Slots, rec.seq)
	if !found {
		return fmt.Errorf("pbft: record of slot %d, which is not of segment %d/%d", rec.seq, i.segment.Epoch, i.segment.Leader)
	}
	if max(rec.signed.view, rec.prepared.View) > i.view {
		return fmt.Errorf("pbft: record of slot %d in view %d, but the view is %d", rec.seq, max(rec.signed.view, rec.prepared.View), i.view)
	}
	s := i.slots[at]
	if rec.kind == recordSigned {
		return i.recoverSigned(s, rec)
	}
	digest := rec.prepared.Digest
	s.prepared = &rec.prepared
	s.values[digest] = rec.prepared.Proposal
	if rec.prepared.View == i.view && i.active {
		s.committed = true
		s.round(i.view, i.cfg.Members.Slots()).commits[i.cfg.Node] = vote{cast: true, digest: digest}
	}
	return nil
}

func (i *Instance) recoverSigned(s *slot, rec record) error {
	signed := rec.signed
	s.lastSigned = &signed
	if rec.proposal != nil {
		if i.segment.Leader != i.cfg.Node {
			return fmt.Errorf("pbft: record of a proposal for slot %d, whose leader is %d", s.seq, i.segment.Leader)
		}
		s.offered, s.proposed, s.proposal = true, true, signed.digest
		s.values[signed.digest] = *rec.proposal
	}
	if signed.view != i.view || !i.active {
		return nil
	}
	if s.accepted && s.accept != signed.digest {
		return fmt.Errorf("pbft: record of %s signed for slot %d, but view %d has %s", signed.digest, s.seq, i.view, s.accept)
	}
	s.accepted, s.accept = true, signed.digest
	s.round(i.view, i.cfg.Members.Slots()).prepares[i.cfg.Node] = vote{cast: true, digest: signed.digest, sig: signed.sig}
	return nil
}

// onBoot goes on where Recover left off: it waits for what it voted on, signs
// what the view that it had entered still lacks, and says all of it again.
func (i *Instance) onBoot(out *mir.Out) {
	if i.view > 0 {
		out.Emit(i.cfg.Log, types.LeaderDeposed{Epoch: i.segment.Epoch, Leader: i.segment.Leader})
	}
	for _, s := range i.slots {
		if s.lastSigned != nil || i.view > 0 {
			i.need(s, out)
		}
		if s.lastSigned != nil && s.lastSigned.digest != emptyDigest {
			i.report(s, out)
		}
	}
	if !i.active {
		i.sendChange(out)
		return
	}
	for _, s := range i.slots {
		if s.accepted {
			i.accept(s, s.accept, out)
		}
	}
	if slots := i.lowestWaiting(false); len(slots) > 0 {
		i.resend(i.others, slots, out)
		i.ask(slots, out)
	}
}
