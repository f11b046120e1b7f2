package simtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/types"
)

// equivocator tells replicas with even numbers one thing and those with odd ones
// another, and signs both: as a leader two proposals, and always two votes. To
// the odd ones it also denies its new views, and hides what it has prepared.
type equivocator struct {
	earlier types.Proposal // The last one with certificates, to be proposed again.
}

func (*equivocator) begin(*villain) {}

func (q *equivocator) fate(v *villain, p sim.Packet) (sim.Fate, bool) {
	odd := p.To%2 == 1
	switch m := p.Msg.(type) {
	case pbft.PrePrepare:
		return q.propose(v, p.Sub, m, odd)
	case pbft.Prepare:
		v.assertStatement(p.Sub, m.View, m.Seq, m.Digest, m.Sig)
		other := pbft.Prepare{View: m.View, Seq: m.Seq, Digest: otherDigest(m.Digest)}
		other.Sig = v.sign(pbft.DomainPrepare, prepareStatement(p.Sub, m.View, m.Seq, other.Digest))
		return sim.Fate{Replace: other}, odd
	case pbft.Commit:
		return sim.Fate{Replace: pbft.Commit{View: m.View, Seq: m.Seq, Digest: otherDigest(m.Digest)}}, odd
	case pbft.ViewChange:
		return sim.Fate{Replace: v.forgetful(p.Sub, m)}, odd && len(m.Prepared) > 0
	case pbft.NewView:
		return sim.Fate{Drop: true}, odd
	}
	return sim.Fate{}, false
}

// propose makes the odd replicas a validly signed proposal of nothing instead of
// something, and of something that was proposed before instead of nothing.
func (q *equivocator) propose(v *villain, sub mir.SubID, m pbft.PrePrepare, odd bool) (sim.Fate, bool) {
	v.assertStatement(sub, 0, m.Seq, digestOf(m.Proposal), m.Sig)
	other := q.earlier
	if len(m.Proposal.Certs) > 0 {
		q.earlier, other = m.Proposal, types.Proposal{Skip: true}
	}
	return sim.Fate{Replace: v.prePrepare(sub, m.Seq, other)}, odd
}

// prePrepare is a proposal that the villain signs.
func (v *villain) prePrepare(sub mir.SubID, seq types.SeqNr, p types.Proposal) pbft.PrePrepare {
	sig := v.sign(pbft.DomainPrepare, prepareStatement(sub, 0, seq, digestOf(p)))
	return pbft.PrePrepare{Seq: seq, Proposal: p, Sig: sig}
}

// forgetful is a view change without what was prepared.
func (v *villain) forgetful(sub mir.SubID, m pbft.ViewChange) pbft.ViewChange {
	m.Prepared, m.Proofs = nil, nil
	return v.signChange(sub, m)
}

// signChange signs a view change as PBFT does: the segment, and the digest of all
// but the signature.
func (v *villain) signChange(sub mir.SubID, m pbft.ViewChange) pbft.ViewChange {
	m.Sig = nil
	b := m.AppendWire(nil)
	digest := sha256.Sum256(b[:len(b)-4]) // Without the length of the signature.
	m.Sig = v.sign(pbft.DomainViewChange, append(segmentBytes(sub), digest[:]...))
	return m
}

// assertStatement sees to it that a villain signs what correct replicas verify:
// if the statement changed, its forgeries would all fall at the first check.
func (v *villain) assertStatement(sub mir.SubID, view types.View, seq types.SeqNr, d types.Digest, sig []byte) {
	if !bytes.Equal(sig, v.sign(pbft.DomainPrepare, prepareStatement(sub, view, seq, d))) {
		panic(fmt.Sprintf("simtest: invariant broken: PBFT signs something else than villains do in segment %x", sub))
	}
}

// otherDigest is another value for the same thing: nothing instead of something.
func otherDigest(d types.Digest) types.Digest {
	if empty := digestOf(types.Proposal{}); d != empty {
		return empty
	}
	d[0] ^= 1
	return d
}
