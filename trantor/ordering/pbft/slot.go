package pbft

import (
	"crypto/sha256"
	"fmt"

	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// slot is what an instance knows about one sequence number.
type slot struct {
	index    int // In the segment.
	seq      types.SeqNr
	needed   bool
	waited   bool // A tick has passed since it became needed.
	timed    bool // Its timer is set.
	reported bool // SlotProposed was emitted.

	decided bool
	value   types.Proposal // Valid if decided.
	digest  types.Digest   // Of value.

	// values holds what may still be decided, by digest: the first pre-prepare,
	// what new views proposed, and what peers say they decided.
	values   map[types.Digest]types.Proposal
	offered  bool // This replica, its leader, made a proposal in view 0.
	proposed bool // The pre-prepare of view 0 came, with this digest:
	proposal types.Digest

	rounds   []*round   // Ascending by view. Prepares of past views are dropped.
	claims   []vote     // What peers say they decided, by replica.
	prepared *certified // The highest certificate.

	accepted  bool // The current view has a proposal, with this digest:
	accept    types.Digest
	committed bool // The commit of the current view was sent.

	lastSigned *signedStatement // The latest prepare statement that was signed.
}

// certified is a prepared certificate with its proof.
type certified struct {
	Prepared
	Proof
}

// signedStatement remembers what was signed. Views only grow, so the latest
// is enough to never contradict any.
type signedStatement struct {
	view   types.View
	digest types.Digest
	sig    []byte
}

// round is the votes of one view, by replica.
type round struct {
	view     types.View
	prepares []vote // Nil once the view has passed.
	commits  []vote
}

type vote struct {
	cast   bool
	digest types.Digest
	sig    []byte // Of a prepare; nil in commits and claims.
}

func newSlot(index int, seq types.SeqNr, n int) *slot {
	s := &slot{index: index, seq: seq, values: map[types.Digest]types.Proposal{}, claims: make([]vote, n)}
	s.values[emptyDigest] = types.Proposal{}
	return s
}

// round finds or makes the votes of view v; n is the number of replicas.
func (s *slot) round(v types.View, n int) *round {
	at := len(s.rounds)
	for at > 0 && s.rounds[at-1].view > v {
		at--
	}
	if at > 0 && s.rounds[at-1].view == v {
		return s.rounds[at-1]
	}
	r := &round{view: v, prepares: make([]vote, n), commits: make([]vote, n)}
	s.rounds = append(s.rounds, nil)
	copy(s.rounds[at+1:], s.rounds[at:])
	s.rounds[at] = r
	return r
}

// becomeInView forgets what belonged to earlier views, except the latest
// commits: they may still decide, which contradicts nothing that this replica
// says in later views.
func (s *slot) becomeInView(v types.View) {
	s.accepted, s.committed = false, false
	kept := s.rounds[:0]
	for _, r := range s.rounds {
		if r.view < v {
			r.prepares = nil
		}
		if r.view >= v || !s.decided && v-r.view <= viewsBehindMax {
			kept = append(kept, r)
		}
	}
	clear(s.rounds[len(kept):])
	s.rounds = kept
}

// becomeDecided drops all that only served to decide.
func (s *slot) becomeDecided(d types.Digest, v types.View) {
	s.decided, s.digest, s.value = true, d, s.values[d]
	s.values = map[types.Digest]types.Proposal{emptyDigest: {}, d: s.value}
	s.claims = nil
	for len(s.rounds) > 0 && s.rounds[0].view < v {
		s.rounds = s.rounds[1:]
	}
}

// maySign panics where a prepare statement would contradict the latest one.
func (s *slot) maySign(v types.View, d types.Digest) {
	if last := s.lastSigned; last != nil && (v < last.view || v == last.view && d != last.digest) {
		panic(fmt.Sprintf("pbft: invariant broken: slot %d: asked to sign %s in view %d after %s in view %d",
			s.seq, d, v, last.digest, last.view))
	}
}

// signedIn tells whether this replica has signed a prepare statement for view v.
func (s *slot) signedIn(v types.View) bool { return s.lastSigned != nil && s.lastSigned.view == v }

// weight is that of the votes for d.
func weight(m quorum.Membership, votes []vote, d types.Digest) uint64 {
	var w uint64
	for id, v := range votes {
		if v.cast && v.digest == d {
			w += m.Weight(types.NodeID(id))
		}
	}
	return w
}

// castWeight is that of all votes.
func castWeight(m quorum.Membership, votes []vote) uint64 {
	var w uint64
	for id, v := range votes {
		if v.cast {
			w += m.Weight(types.NodeID(id))
		}
	}
	return w
}

var emptyDigest = digestOf(types.Proposal{})

func digestOf(p types.Proposal) types.Digest {
	return sha256.Sum256(types.AppendProposal(nil, p))
}
