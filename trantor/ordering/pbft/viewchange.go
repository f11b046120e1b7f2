package pbft

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
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
			m.Prepared = append(m.Prepared, s.prepared.Prepared)
			m.Proofs = append(m.Proofs, s.prepared.Proof)
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
	if from != i.cfg.Node && !(i.verifyChange(from, m) && i.verifyProofs(m.Prepared, m.Proofs)) {
		i.expose(from)
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
			shown := SignedChange{Signer: types.NodeID(id), ViewChange: c.ViewChange}
			shown.Proofs = nil
			m.Changes = append(m.Changes, shown)
			w += i.cfg.Members.Weight(types.NodeID(id))
		}
	}
	if i.cfg.Members.IsQuorum(w) {
		m.Proofs = i.proofsOf(m.Changes)
		i.led = &m
		i.persist(newViewRecord(i.segment, m), m, out)
	}
}

// proofsOf are those of the highest certificates that these view changes name,
// each of which came with its proof.
func (i *Instance) proofsOf(changes []SignedChange) []Proof {
	highest, err := highestPrepared(changes)
	if err != nil {
		panic(fmt.Sprintf("pbft: invariant broken: segment %d/%d: of proven view changes, %v", i.segment.Epoch, i.segment.Leader, err))
	}
	proofs := make([]Proof, 0, len(highest))
	for _, p := range highest {
		for _, c := range changes {
			at, found := slices.BinarySearchFunc(c.Prepared, p.Seq, func(have Prepared, want types.SeqNr) int { return cmp.Compare(have.Seq, want) })
			if found && c.Prepared[at] == p {
				proofs = append(proofs, i.changes[c.Signer].Proofs[at])
				break
			}
		}
	}
	return proofs
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
			i.expose(from)
			return
		}
		out.Emit(i.cfg.Store, types.Persist{Puts: []types.Record{newViewRecord(i.segment, m)}})
	}
	if m.View > i.view {
		i.becomeInView(m.View, out)
	}
	i.becomeActive(m, out)
}

// verifyNewView checks the quorum of view changes, and the proofs. View changes
// that came directly were verified then.
//
// A certificate that a view change names and that has no proof here may be
// invented. It does no harm: for each slot the highest one is proven, and a lower
// one that was real would not have been chosen either. A leader that is correct
// shows only view changes whose certificates it has seen proven.
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
		if !i.isVerified(c) && !i.verifyChange(c.Signer, c.ViewChange) {
			return false
		}
	}
	highest, err := highestPrepared(m.Changes)
	if err != nil {
		i.cfg.Stats.Malformed++
		return false
	}
	return i.verifyProofs(highest, m.Proofs)
}

func (i *Instance) isVerified(c SignedChange) bool {
	have := i.changes[c.Signer]
	if have == nil || have.View != c.View {
		return false
	}
	_, digest := changeStatement(i.segment, c.ViewChange)
	return have.digest == digest && bytes.Equal(have.Sig, c.Sig)
}

// verifyChange checks form and signature, the cheap thing first.
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
	return true
}

// verifyProofs checks that there is a proof for each of these certificates, in
// their order, and nothing else.
func (i *Instance) verifyProofs(all []Prepared, proofs []Proof) bool {
	if len(proofs) != len(all) {
		i.cfg.Stats.Malformed++
		return false
	}
	for at, p := range all {
		msg := prepareStatement(i.segment, p.View, p.Seq, p.Digest)
		if digestOf(proofs[at].Proposal) != p.Digest ||
			crypto.VerifyCert(i.cfg.Members, i.cfg.Crypto, DomainPrepare, msg, proofs[at].Sigs, i.cfg.Members.IsQuorum) != nil {
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
func (i *Instance) becomeActive(m NewView, out *mir.Out) {
	proposals, err := m.chosen()
	if err != nil {
		panic(fmt.Sprintf("pbft: invariant broken: verified new view %d: %v", m.View, err))
	}
	i.stopLeavingTimer(out)
	i.active = true
	i.cfg.Stats.NewViews++
	for _, s := range i.slots {
		if s.needed && !s.decided {
			i.startSlotTimer(s, out)
		}
		i.need(s, out)
		p := proposals.of(s.seq)
		if len(p.Proposal.Certs) > 0 {
			i.report(s, out)
		}
		if s.decided && p.Digest != s.digest {
			i.cfg.Stats.Contradicted++
			continue
		}
		i.addValue(s, p.Digest, p.Proposal, out)
		i.accept(s, p.Digest, out)
	}
}

// proposals are what a new view proposes, by slot; nothing where it is not said.
type proposals map[types.SeqNr]proposal

type proposal struct {
	types.Proposal
	Digest types.Digest
}

func (all proposals) of(seq types.SeqNr) proposal {
	if p, ok := all[seq]; ok {
		return p
	}
	return proposal{Digest: emptyDigest}
}

// chosen is what a new view proposes for the slots that have a certificate. It
// reports where its proofs are not those of its view changes, as far as that can
// be seen without verifying a signature.
func (m NewView) chosen() (proposals, error) {
	highest, err := highestPrepared(m.Changes)
	if err != nil {
		return nil, err
	}
	if len(m.Proofs) != len(highest) {
		return nil, fmt.Errorf("%d proofs for %d slots", len(m.Proofs), len(highest))
	}
	all := make(proposals, len(highest))
	for at, p := range highest {
		value := m.Proofs[at].Proposal
		if digestOf(value) != p.Digest {
			return nil, fmt.Errorf("the proof for slot %d is of another proposal", p.Seq)
		}
		all[p.Seq] = proposal{value, p.Digest}
	}
	return all, nil
}

// highestPrepared picks the certificate of the highest view for each slot that
// has one, ascending by slot. Two of one view agree, as quorums meet in a correct
// replica, so it is an error where the view changes name two that do not.
func highestPrepared(changes []SignedChange) ([]Prepared, error) {
	best := map[types.SeqNr]Prepared{}
	for _, c := range changes {
		for _, p := range c.Prepared {
			if have, found := best[p.Seq]; !found || p.View > have.View {
				best[p.Seq] = p
			}
		}
	}
	for _, c := range changes {
		for _, p := range c.Prepared {
			if have := best[p.Seq]; p.View == have.View && p.Digest != have.Digest {
				return nil, fmt.Errorf("two certificates of view %d for slot %d", p.View, p.Seq)
			}
		}
	}
	return slices.SortedFunc(maps.Values(best), func(a, b Prepared) int { return cmp.Compare(a.Seq, b.Seq) }), nil
}
