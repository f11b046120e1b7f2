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
	i.sendChange(out)
	i.startLeavingTimer(out)
}

// sendChange tells everybody which certificates this replica has. All of them
// are durable before the view is, in which it gets no others before it enters:
// however often it restarts on the way, it says the same.
func (i *Instance) sendChange(out *mir.Out) {
	m := ViewChange{View: i.view}
	for _, s := range i.slots {
		if s.prepared != nil {
			m.Prepared = append(m.Prepared, *s.prepared)
		}
	}
	statement, _ := changeStatement(i.segment, m)
	m.Sig = i.cfg.Crypto.Sign(DomainViewChange, statement)
	i.persist(viewRecord(i.segment, i.view), m, out)
}

// becomeInView moves to view v, which is not active yet.
func (i *Instance) becomeInView(v types.View, out *mir.Out) {
	if v <= i.view {
		panic(fmt.Sprintf("pbft: invariant broken: from view %d to %d", i.view, v))
	}
	if i.view == 0 {
		out.Emit(i.cfg.Log, types.LeaderDeposed{Epoch: i.segment.Epoch, Leader: i.segment.Leader})
	}
	i.stopViewTimers(out)
	i.view, i.active = v, false
	for _, s := range i.slots {
		s.becomeInView(v)
	}
}

// onViewChange keeps the highest valid view change of each replica, and follows
// where the weight of those ahead says that a correct one leads.
func (i *Instance) onViewChange(from types.NodeID, m ViewChange, out *mir.Out) {
	if have := i.changes[from]; have != nil && m.View <= have.View {
		i.cfg.Stats.Repeated++
		return
	}
	_, digest := changeStatement(i.segment, m)
	if from != i.cfg.Node && !i.verifyChange(from, m) {
		return
	}
	i.changes[from] = &change{ViewChange: m, digest: digest}
	for {
		v, ok := i.viewToJoin()
		if !ok {
			break
		}
		i.becomeLeaving(v, out)
	}
	i.startLeavingTimer(out) // This may have been the quorum that the timer waits for.
	i.checkNewView(out)
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

// noteView remembers the highest view in which a replica votes.
func (i *Instance) noteView(from types.NodeID, v types.View, out *mir.Out) {
	if v > i.voted[from] {
		i.voted[from] = v
		i.startLeavingTimer(out)
	}
}

// quorumLeft tells whether a quorum has left for the current view or beyond.
//
// A peer's vote in a view shows that as well as its view change does, and where a
// new view reached the peer, but not this replica, and its leader crashed, nothing
// else may ever come.
func (i *Instance) quorumLeft() bool {
	var w uint64
	for id, c := range i.changes {
		if c != nil && c.View >= i.view || i.voted[id] >= i.view {
			w += i.cfg.Members.Weight(types.NodeID(id))
		}
	}
	return i.cfg.Members.IsQuorum(w)
}

// checkNewView starts the view that this replica leads once a quorum is there.
// It makes one new view at most, even across restarts.
func (i *Instance) checkNewView(out *mir.Out) {
	if i.active || i.leader(i.view) != i.cfg.Node || i.led != nil && i.led.View == i.view {
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
		i.led = &m
		i.persist(newViewRecord(i.segment, m), m, out)
	}
}

// onNewView enters a view. What its new view said is durable before any vote in
// it, so that a replica that restarts goes on in the middle of the view.
func (i *Instance) onNewView(from types.NodeID, m NewView, out *mir.Out) {
	switch {
	case from != i.leader(m.View):
		i.cfg.Stats.Stranger++
		return
	case m.View < i.view || (m.View == i.view && i.active):
		i.cfg.Stats.Repeated++
		return
	}
	if from != i.cfg.Node {
		if !i.verifyNewView(m) {
			return
		}
		out.Emit(i.cfg.Store, types.Persist{Puts: []types.Record{newViewRecord(i.segment, m)}})
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
			if !i.verifyChange(c.Signer, c.ViewChange) {
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
func (i *Instance) verifyChange(signer types.NodeID, m ViewChange) bool {
	if !i.wellFormed(m) {
		i.cfg.Stats.Malformed++
		return false
	}
	statement, _ := changeStatement(i.segment, m)
	if i.cfg.Crypto.Verify(signer, DomainViewChange, statement, m.Sig) != nil {
		i.cfg.Stats.BadSignature++
		return false
	}
	for _, p := range m.Prepared {
		msg := prepareStatement(i.segment, p.View, p.Seq, digestOf(p.Proposal))
		if crypto.VerifyCert(i.cfg.Members, i.cfg.Crypto, DomainPrepare, msg, p.Sigs, i.cfg.Members.IsQuorum) != nil {
			i.cfg.Stats.BadSignature++
			return false
		}
	}
	return true
}

// wellFormed: a view to change to, slots of this segment in ascending order,
// and certificates of earlier views.
func (i *Instance) wellFormed(m ViewChange) bool {
	if m.View == 0 {
		return false
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
// certificates imply (CL02, section 4.4; ISS, section 4.2), and gives its leader
// the view's time for each of them.
func (i *Instance) becomeActive(changes []SignedChange, out *mir.Out) {
	i.stopLeavingTimer(out)
	i.active = true
	i.cfg.Stats.NewViews++
	chosen := highestPrepared(changes)
	for _, s := range i.slots {
		if s.needed && !s.decided {
			i.startSlotTimer(s, out)
		}
		i.need(s, out)
		p := chosen[s.seq]
		if len(p.Certs) > 0 {
			i.report(s, out)
		}
		d := digestOf(p)
		if s.decided && d != s.digest {
			i.cfg.Stats.Contradicted++
			continue
		}
		i.addValue(s, d, p, out)
		i.accept(s, d, out)
	}
}

// highestPrepared picks the value of the certificate of the highest view for each
// slot, and the empty one where there is none. Two of one view agree, as quorums
// meet in a correct replica.
func highestPrepared(changes []SignedChange) map[types.SeqNr]types.Proposal {
	chosen, views := map[types.SeqNr]types.Proposal{}, map[types.SeqNr]types.View{}
	for _, c := range changes {
		for _, p := range c.Prepared {
			if best, found := views[p.Seq]; !found || p.View > best {
				chosen[p.Seq], views[p.Seq] = p.Proposal, p.View
			}
		}
	}
	return chosen
}
