package pbft

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// becomeLeaving leaves for view v (CL02, section 4.4): from now on this replica
// prepares and commits nothing below v, which is what its view change tells.
func (i *Instance) becomeLeaving(v types.View, out *mir.Out) {
	i.becomeInView(v, out)
	i.cfg.Stats.ViewChanges++
	m := ViewChange{View: v}
	for _, s := range i.slots {
		if !s.decided {
			m.Undecided = append(m.Undecided, s.seq)
		}
		if s.prepared != nil {
			m.Prepared = append(m.Prepared, *s.prepared)
		}
	}
	statement, digest := changeStatement(i.segment, m)
	m.Sig = i.cfg.Crypto.Sign(DomainViewChange, statement)
	i.changes[i.cfg.Node] = &change{ViewChange: m, digest: digest}
	i.broadcast(m, out)
	i.restartTimer(out)
	i.checkNewView(out)
}

// becomeInView moves to view v, which is not active yet.
func (i *Instance) becomeInView(v types.View, out *mir.Out) {
	if v <= i.view {
		panic(fmt.Sprintf("pbft: invariant broken: from view %d to %d", i.view, v))
	}
	if i.view == 0 {
		out.Emit(i.cfg.Log, types.LeaderDeposed{Epoch: i.segment.Epoch, Leader: i.segment.Leader})
	}
	i.view, i.active = v, false
	for _, s := range i.slots {
		s.becomeInView(v)
	}
}

// onViewChange keeps the highest valid view change of each replica, answers it,
// and follows where the weight of those ahead says that a correct one leads.
func (i *Instance) onViewChange(from types.NodeID, m ViewChange, out *mir.Out) {
	if have := i.changes[from]; have != nil && m.View <= have.View {
		i.cfg.Stats.Repeated++
		return
	}
	digest, ok := i.verifyChange(from, m)
	if !ok {
		return
	}
	i.changes[from] = &change{ViewChange: m, digest: digest}
	i.answer(from, m, out)
	for {
		v, ok := i.viewToJoin()
		if !ok {
			break
		}
		i.becomeLeaving(v, out)
	}
	if !i.active && !i.timerOn {
		i.restartTimer(out) // This may have been the quorum that the timer waits for.
	}
	i.checkNewView(out)
}

// answer sends the decisions that a peer misses: now, or when they are made.
func (i *Instance) answer(to types.NodeID, m ViewChange, out *mir.Out) {
	for _, seq := range m.Undecided {
		s := i.mustSlot(seq) // verifyChange saw to it.
		s.missedBy[to] = !s.decided
		if s.decided {
			i.send([]types.NodeID{to}, Decision{Seq: seq, Proposal: s.value}, out)
		}
	}
}

// viewToJoin is the smallest view above the current one that replicas of weight
// more than f have left for, if they have (CL02, section 4.5.2).
func (i *Instance) viewToJoin() (types.View, bool) {
	var w uint64
	var smallest types.View
	for id, c := range i.changes {
		if c == nil || c.View <= i.view {
			continue
		}
		if w == 0 || c.View < smallest {
			smallest = c.View
		}
		w += i.cfg.Members.Weight(types.NodeID(id))
	}
	return smallest, i.cfg.Members.HasCorrect(w)
}

// quorumLeft tells whether a quorum has left for the current view or beyond.
func (i *Instance) quorumLeft() bool {
	var w uint64
	for id, c := range i.changes {
		if c != nil && c.View >= i.view {
			w += i.cfg.Members.Weight(types.NodeID(id))
		}
	}
	return i.cfg.Members.IsQuorum(w)
}

// checkNewView starts the view that this replica leads once a quorum is there.
func (i *Instance) checkNewView(out *mir.Out) {
	if i.active || i.leader(i.view) != i.cfg.Node {
		return
	}
	m := NewView{View: i.view}
	var w uint64
	for id, c := range i.changes {
		if c != nil && c.View == i.view {
			m.Changes = append(m.Changes, SignedChange{Signer: types.NodeID(id), ViewChange: c.ViewChange})
			w += i.cfg.Members.Weight(types.NodeID(id))
		}
	}
	if i.cfg.Members.IsQuorum(w) {
		i.broadcast(m, out)
		i.becomeActive(m.Changes, out)
	}
}

func (i *Instance) onNewView(from types.NodeID, m NewView, out *mir.Out) {
	switch {
	case from != i.leader(m.View):
		i.cfg.Stats.Stranger++
		return
	case m.View < i.view || (m.View == i.view && i.active):
		i.cfg.Stats.Repeated++
		return
	}
	if !i.verifyNewView(m) {
		return
	}
	if m.View > i.view {
		i.becomeInView(m.View, out)
	}
	i.becomeActive(m.Changes, out)
}

// verifyNewView checks the quorum of view changes. Those that came directly
// were verified then.
func (i *Instance) verifyNewView(m NewView) bool {
	var w uint64
	for at, c := range m.Changes {
		if !i.cfg.Members.Has(c.Signer) || c.View != m.View || (at > 0 && c.Signer <= m.Changes[at-1].Signer) {
			i.cfg.Stats.Malformed++
			return false
		}
		w += i.cfg.Members.Weight(c.Signer)
	}
	if !i.cfg.Members.IsQuorum(w) {
		i.cfg.Stats.Malformed++
		return false
	}
	for _, c := range m.Changes {
		if !i.isVerified(c) {
			if _, ok := i.verifyChange(c.Signer, c.ViewChange); !ok {
				return false
			}
		}
	}
	return true
}

func (i *Instance) isVerified(c SignedChange) bool {
	have := i.changes[c.Signer]
	if have == nil || have.View != c.View {
		return false
	}
	_, digest := changeStatement(i.segment, c.ViewChange)
	return have.digest == digest && bytes.Equal(have.Sig, c.Sig)
}

// verifyChange checks form, signature and certificates, the cheap things first.
func (i *Instance) verifyChange(signer types.NodeID, m ViewChange) (types.Digest, bool) {
	if !i.wellFormed(m) {
		i.cfg.Stats.Malformed++
		return types.Digest{}, false
	}
	statement, digest := changeStatement(i.segment, m)
	if i.cfg.Crypto.Verify(signer, DomainViewChange, statement, m.Sig) != nil {
		i.cfg.Stats.BadSignature++
		return types.Digest{}, false
	}
	for _, p := range m.Prepared {
		msg := prepareStatement(i.segment, p.View, p.Seq, digestOf(p.Proposal))
		if crypto.VerifyCert(i.cfg.Members, i.cfg.Crypto, DomainPrepare, msg, p.Sigs, i.cfg.Members.IsQuorum) != nil {
			i.cfg.Stats.BadSignature++
			return types.Digest{}, false
		}
	}
	return digest, true
}

// wellFormed: a view to change to, slots of this segment in ascending order,
// and certificates of earlier views.
func (i *Instance) wellFormed(m ViewChange) bool {
	if m.View == 0 {
		return false
	}
	for at, seq := range m.Undecided {
		if _, ours := slices.BinarySearch(i.segment.Slots, seq); !ours || (at > 0 && seq <= m.Undecided[at-1]) {
			return false
		}
	}
	for at, p := range m.Prepared {
		_, ours := slices.BinarySearch(i.segment.Slots, p.Seq)
		if !ours || p.View >= m.View || (at > 0 && p.Seq <= m.Prepared[at-1].Seq) {
			return false
		}
	}
	return true
}

// becomeActive enters the current view with the proposals that the quorum's
// certificates imply (CL02, section 4.4; ISS, section 4.2).
func (i *Instance) becomeActive(changes []SignedChange, out *mir.Out) {
	i.active = true
	i.cfg.Stats.NewViews++
	chosen := highestPrepared(changes)
	for _, s := range i.slots {
		i.need(s, out)
		var p types.Proposal
		if cert := chosen[s.seq]; cert != nil {
			p = cert.Proposal
			if len(p.Certs) > 0 {
				i.report(s, out)
			}
		}
		d := digestOf(p)
		if s.decided && d != s.digest {
			i.cfg.Stats.Contradicted++
			continue
		}
		i.addValue(s, d, p, out)
		i.accept(s, d, out)
	}
	i.restartTimer(out)
}

// highestPrepared picks the certificate of the highest view for each slot. Two
// of one view agree, as quorums meet in a correct replica.
func highestPrepared(changes []SignedChange) map[types.SeqNr]*Prepared {
	chosen := map[types.SeqNr]*Prepared{}
	for _, c := range changes {
		for at := range c.Prepared {
			p := &c.Prepared[at]
			if best := chosen[p.Seq]; best == nil || p.View > best.View {
				chosen[p.Seq] = p
			}
		}
	}
	return chosen
}
