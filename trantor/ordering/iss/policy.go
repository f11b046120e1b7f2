package iss

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// Policy says who leads. All replicas follow the same: it is a pure function of
// the log. A leader is suspected in an epoch if the log has an empty proposal in
// one of its slots, which only a view change puts there.
type Policy string

const (
	// RoundRobin lets every member lead in every epoch.
	RoundRobin Policy = "round-robin"
	// Blacklist keeps those from leading that were suspected last, as many as
	// weigh f at most (ISS, section 3.4). One leads again when others have
	// pushed it off the list.
	Blacklist Policy = "blacklist"
	// Backoff keeps a suspected leader from leading for one epoch, then for two,
	// and so on up to backoffMax, and halves that for each epoch in which it
	// leads without suspicion. No more than weigh f are kept out at a time.
	Backoff Policy = "backoff"
)

// backoffMax is for how many epochs Backoff keeps a leader out at most.
const backoffMax = 64

// Validate reports a policy that is not.
func (p Policy) Validate() error {
	switch p {
	case RoundRobin, Blacklist, Backoff:
		return nil
	}
	return fmt.Errorf("iss: policy %q, want %q, %q or %q", p, RoundRobin, Blacklist, Backoff)
}

// standing is what the log says about one replica.
type standing struct {
	node      types.NodeID
	suspected types.Epoch // The last epoch in which it was suspected, plus one; zero for never.
	penalty   uint32      // Under Backoff: how many epochs the last suspicion cost.
	until     types.Epoch // Under Backoff: it does not lead before this epoch.
}

// record is the standings of all that were ever suspected, ascending by replica.
type record []standing

// after is the record at the end of an epoch that had these leaders, of whom
// some were suspected.
func (p Policy) after(r record, e types.Epoch, leaders, suspects []types.NodeID) record {
	if p == RoundRobin {
		return nil
	}
	next := slices.Clone(r)
	for _, leader := range leaders {
		at, found := slices.BinarySearchFunc(next, leader, func(s standing, id types.NodeID) int { return cmp.Compare(s.node, id) })
		switch {
		case slices.Contains(suspects, leader):
			if !found {
				next = slices.Insert(next, at, standing{node: leader})
			}
			s := &next[at]
			s.suspected = e + 1
			if p == Backoff {
				s.penalty = max(1, min(2*s.penalty, backoffMax))
				s.until = e + 1 + types.Epoch(s.penalty)
			}
		case found && p == Backoff:
			next[at].penalty /= 2
		}
	}
	return next
}

// leaders are those of an epoch, ascending: the members without those that are
// kept out, and where they are more than an epoch has slots, as many of them in
// turns.
func (p Policy) leaders(r record, e types.Epoch, m quorum.Membership, slots int) []types.NodeID {
	kept := p.keptOut(r, e, m)
	leaders := slices.DeleteFunc(m.Nodes(), func(id types.NodeID) bool { return slices.Contains(kept, id) })
	if len(leaders) <= slots {
		return leaders
	}
	var some []types.NodeID
	for i := range slots {
		some = append(some, leaders[(uint64(e)*uint64(slots)+uint64(i))%uint64(len(leaders))])
	}
	slices.Sort(some)
	return some
}

// keptOut is whom a policy keeps from leading in an epoch: the latest suspects
// first, while they weigh f together at most.
func (p Policy) keptOut(r record, e types.Epoch, m quorum.Membership) []types.NodeID {
	suspects := slices.DeleteFunc(slices.Clone(r), func(s standing) bool {
		return s.suspected == 0 || p == Backoff && e >= s.until
	})
	slices.SortStableFunc(suspects, func(a, b standing) int { return cmp.Compare(b.suspected, a.suspected) })
	var kept []types.NodeID
	var weight uint64
	for _, s := range suspects {
		if w := m.Weight(s.node); w > 0 && weight+w <= m.FaultyMax() {
			weight += w
			kept = append(kept, s.node)
		}
	}
	return kept
}

// LeadersMin is how few may lead an epoch that has slots for all: the members
// without the lightest ones, of whom as many are kept out as weigh f together.
func (p Policy) LeadersMin(m quorum.Membership) int {
	if p == RoundRobin {
		return m.N()
	}
	var weights []uint64
	for _, id := range m.Nodes() {
		weights = append(weights, m.Weight(id))
	}
	slices.Sort(weights)
	kept, weight := 0, uint64(0)
	for weight+weights[kept] <= m.FaultyMax() {
		weight += weights[kept]
		kept++
	}
	return m.N() - kept
}

// standingBytes is the size of an encoded standing.
const standingBytes = 4 + 8 + 4 + 8

// appendRecord appends a record; readRecord is its reverse. Equal records have
// equal encodings. The empty record is no bytes at all.
func appendRecord(dst []byte, r record) []byte {
	for _, s := range r {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(s.node))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.suspected))
		dst = binary.LittleEndian.AppendUint32(dst, s.penalty)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.until))
	}
	return dst
}

func readRecord(b []byte) (record, error) {
	if len(b)%standingBytes != 0 || len(b)/standingBytes > types.MaxReplicas {
		return nil, fmt.Errorf("iss: a policy's record of %d bytes", len(b))
	}
	var out record
	r := types.NewReader(b)
	for range len(b) / standingBytes {
		s := standing{
			node: types.NodeID(r.U32()), suspected: types.Epoch(r.U64()),
			penalty: r.U32(), until: types.Epoch(r.U64()),
		}
		if s.suspected == 0 || s.penalty > backoffMax || len(out) > 0 && s.node <= out[len(out)-1].node {
			return nil, fmt.Errorf("iss: a policy's record says %+v", s)
		}
		out = append(out, s)
	}
	return out, r.Close()
}
