package pbft

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// onPropose starts a slot at the segment's leader (CL02, section 4.3).
func (i *Instance) onPropose(e types.Propose, out *mir.Out) {
	s := i.mustSlot(e.Seq)
	if i.segment.Leader != i.cfg.Node || s.offered {
		panic(fmt.Sprintf("pbft: invariant broken: replica %d proposes slot %d of leader %d twice or out of place",
			i.cfg.Node, e.Seq, i.segment.Leader))
	}
	if i.view > 0 || s.decided {
		return // The log learns, or has learnt, what became of the slot.
	}
	s.offered = true
	signed := i.sign(s, 0, digestOf(e.Proposal))
	record := signedRecord(i.segment, s.seq, signed, &e.Proposal)
	i.persist(record, PrePrepare{Seq: e.Seq, Proposal: e.Proposal, Sig: signed.sig}, out)
}

// onPrePrepare takes the first valid proposal of the segment's leader for each
// slot. After view 0 it is still worth knowing: late commits may decide it.
func (i *Instance) onPrePrepare(from types.NodeID, m PrePrepare, out *mir.Out) {
	if from != i.segment.Leader {
		i.cfg.Stats.Stranger++
		return
	}
	s := i.slot(m.Seq)
	if s == nil {
		return
	}
	digest := digestOf(m.Proposal)
	if s.proposed {
		i.countAgain(digest == s.proposal)
		return
	}
	if from != i.cfg.Node && !i.verifyProposal(from, m, digest) {
		i.expose(from)
		return
	}
	i.becomeProposed(s, digest, m.Proposal, m.Sig, out)
}

// verifyProposal checks what a leader sends. The empty proposal is not its to
// make: it skips a slot in so many words.
func (i *Instance) verifyProposal(from types.NodeID, m PrePrepare, digest types.Digest) bool {
	if digest == emptyDigest || !i.fits(m.Proposal) {
		i.cfg.Stats.Invalid++
		return false
	}
	if i.cfg.Crypto.Verify(from, DomainPrepare, prepareStatement(i.segment, 0, m.Seq, digest), m.Sig) != nil {
		i.cfg.Stats.BadSignature++
		return false
	}
	if !m.Proposal.Skip && i.cfg.Validate(m.Proposal) != nil {
		i.cfg.Stats.Invalid++
		return false
	}
	return true
}

// fits tells whether a value that nobody vouches for yet is of a size that may
// be kept.
func (i *Instance) fits(p types.Proposal) bool {
	if len(p.Certs) > i.cfg.CertsMax || p.Skip && len(p.Certs) > 0 {
		return false
	}
	for _, c := range p.Certs {
		if len(c.Sigs) > i.cfg.Members.N() {
			return false
		}
	}
	return true
}

// becomeProposed takes the proposal of view 0 and its leader's vote.
func (i *Instance) becomeProposed(s *slot, digest types.Digest, p types.Proposal, sig []byte, out *mir.Out) {
	s.proposed, s.proposal = true, digest
	i.report(s, out)
	i.need(s, out)
	i.addValue(s, digest, p, out)
	if i.view > 0 || s.decided && s.digest != digest {
		return
	}
	if v := &s.round(0, i.cfg.Members.Slots()).prepares[i.segment.Leader]; !v.cast {
		*v = vote{cast: true, digest: digest, sig: sig}
	}
	i.accept(s, digest, out)
}

// accept makes digest the slot's proposal in the current view and votes for it,
// unless that was done before a restart.
func (i *Instance) accept(s *slot, digest types.Digest, out *mir.Out) {
	if s.signedIn(i.view) && s.lastSigned.digest != digest {
		i.cfg.Stats.Equivocation++ // The leader proposed otherwise before this replica restarted.
		return
	}
	s.accepted, s.accept = true, digest
	if !s.signedIn(i.view) {
		signed := i.sign(s, i.view, digest)
		record := signedRecord(i.segment, s.seq, signed, nil)
		i.persist(record, Prepare{View: i.view, Seq: s.seq, Digest: digest, Sig: signed.sig}, out)
	}
	i.checkPrepared(s, out)
}

func (i *Instance) sign(s *slot, v types.View, d types.Digest) *signedStatement {
	s.maySign(v, d)
	sig := i.cfg.Crypto.Sign(DomainPrepare, prepareStatement(i.segment, v, s.seq, d))
	s.lastSigned = &signedStatement{view: v, digest: d, sig: sig}
	return s.lastSigned
}

func (i *Instance) onPrepare(from types.NodeID, m Prepare, out *mir.Out) {
	s := i.slot(m.Seq)
	if s == nil {
		return
	}
	i.noteView(from, m.View, out)
	if !i.inReach(m.View, i.view) {
		return
	}
	v := &s.round(m.View, i.cfg.Members.Slots()).prepares[from]
	if v.cast {
		i.countAgain(v.digest == m.Digest)
		return
	}
	if from != i.cfg.Node &&
		i.cfg.Crypto.Verify(from, DomainPrepare, prepareStatement(i.segment, m.View, m.Seq, m.Digest), m.Sig) != nil {
		i.cfg.Stats.BadSignature++
		i.expose(from)
		return
	}
	*v = vote{cast: true, digest: m.Digest, sig: m.Sig}
	i.checkReported(s, out)
	if m.View == i.view {
		i.checkPrepared(s, out)
	}
}

// inReach tells whether votes of view v are kept, from the lowest view on.
func (i *Instance) inReach(v, lowest types.View) bool {
	switch {
	case v < lowest:
		i.cfg.Stats.Repeated++
		return false
	case v > i.view && v-i.view > viewsAheadMax:
		i.cfg.Stats.TooFar++
		return false
	}
	return true
}

// checkReported learns from prepares of weight more than f in view 0 that a
// correct replica saw a proposal, even if its leader did not send it here.
func (i *Instance) checkReported(s *slot, out *mir.Out) {
	if i.view == 0 && !s.reported &&
		i.cfg.Members.HasCorrect(castWeight(i.cfg.Members, s.round(0, i.cfg.Members.Slots()).prepares)) {
		i.report(s, out)
	}
}

func (i *Instance) report(s *slot, out *mir.Out) {
	if !s.reported {
		s.reported = true
		out.Emit(i.cfg.Log, types.SlotProposed{Seq: s.seq})
	}
}

// checkPrepared commits once a quorum prepared the current view's proposal.
func (i *Instance) checkPrepared(s *slot, out *mir.Out) {
	if !i.active || !s.accepted || s.committed {
		return
	}
	// Commits of a later view may have decided otherwise before this replica
	// could follow. The certificate of this view would serve nobody.
	if s.decided && s.accept != s.digest {
		return
	}
	// A restarted replica knows what it voted for before it knows the value.
	value, known := s.values[s.accept]
	if !known {
		return
	}
	r := s.round(i.view, i.cfg.Members.Slots())
	if !i.cfg.Members.IsQuorum(weight(i.cfg.Members, r.prepares, s.accept)) {
		return
	}
	s.committed = true
	s.prepared = &certified{
		Prepared{Seq: s.seq, View: i.view, Digest: s.accept},
		Proof{Proposal: value, Sigs: signatures(r.prepares, s.accept)},
	}
	i.persist(preparedRecord(i.segment, *s.prepared), Commit{View: i.view, Seq: s.seq, Digest: s.accept}, out)
}

// signatures are those of the votes for d, sorted by signer.
func signatures(votes []vote, d types.Digest) []types.Signature {
	var sigs []types.Signature
	for id, v := range votes {
		if v.cast && v.digest == d {
			sigs = append(sigs, types.Signature{Signer: types.NodeID(id), Sig: v.sig})
		}
	}
	return sigs
}

// onCommit counts commits of a few views before the current one and a few
// beyond: a quorum of one view decides no matter which view this replica is in.
func (i *Instance) onCommit(from types.NodeID, m Commit, out *mir.Out) {
	s := i.slot(m.Seq)
	if s == nil {
		return
	}
	i.noteView(from, m.View, out)
	lowest := i.view
	if !s.decided {
		lowest -= min(i.view, viewsBehindMax)
	}
	if !i.inReach(m.View, lowest) {
		return
	}
	r := s.round(m.View, i.cfg.Members.Slots())
	if v := &r.commits[from]; v.cast {
		i.countAgain(v.digest == m.Digest)
		return
	}
	r.commits[from] = vote{cast: true, digest: m.Digest}
	i.checkCommitted(s, r, m.Digest, out)
}

func (i *Instance) checkCommitted(s *slot, r *round, d types.Digest, out *mir.Out) {
	if s.decided {
		return
	}
	if _, known := s.values[d]; known && i.cfg.Members.IsQuorum(weight(i.cfg.Members, r.commits, d)) {
		i.becomeDecided(s, d, out)
	}
}

// addValue makes a value known, which commits may have been waiting for.
func (i *Instance) addValue(s *slot, d types.Digest, p types.Proposal, out *mir.Out) {
	if _, known := s.values[d]; known || s.decided {
		return
	}
	s.values[d] = p
	for _, r := range s.rounds {
		i.checkCommitted(s, r, d, out)
		if s.decided {
			return
		}
	}
	if s.accepted && s.accept == d {
		i.checkPrepared(s, out)
	}
}

// becomeDecided fixes the slot's value and tells the log.
func (i *Instance) becomeDecided(s *slot, d types.Digest, out *mir.Out) {
	if s.needed {
		i.waiting--
	}
	s.becomeDecided(d, i.view)
	out.Emit(i.cfg.Log, types.SlotDecided{Seq: s.seq, Proposal: s.value})
	i.stopSlotTimer(s, out)
	if i.waiting == 0 {
		i.stopLeavingTimer(out)
	}
}

// countAgain counts a second vote or proposal where one was taken already.
func (i *Instance) countAgain(same bool) {
	if same {
		i.cfg.Stats.Repeated++
	} else {
		i.cfg.Stats.Equivocation++
	}
}
