// Package quorum is quorum arithmetic over weighted votes.
//
// With total weight W the system tolerates faulty replicas of weight f, the
// largest integer with 3f < W (n = 3f+1 when all weights are 1). A quorum is
// the least weight q with 2q - W > f: two quorums then meet in more than f,
// so in at least one correct replica. For W = 3f+1 this is 2f+1.
package quorum

import (
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
)

// Membership is the replicas of one epoch and their weights. The zero Membership
// has no members.
type Membership struct {
	weights []uint64
	members []mir.NodeID // Ascending: those with a weight.
	total   uint64
}

// New takes a weight for each of the replicas 0..len(weights)-1. One of weight
// zero is no member: it has left, or has not joined yet.
func New(weights []uint64) (Membership, error) {
	m := Membership{weights: append([]uint64(nil), weights...)}
	for i, w := range weights {
		if w > 1<<32 {
			return Membership{}, fmt.Errorf("weight of replica %d is %d, limit 2^32", i, w)
		}
		if w > 0 {
			m.members = append(m.members, mir.NodeID(i))
		}
		m.total += w
	}
	if m.total == 0 {
		return Membership{}, fmt.Errorf("a membership needs at least one replica")
	}
	return m, nil
}

// Equal is n replicas of weight 1. It panics where n < 1.
func Equal(n int) Membership {
	weights := make([]uint64, n)
	for i := range weights {
		weights[i] = 1
	}
	m, err := New(weights)
	if err != nil {
		panic(err)
	}
	return m
}

// N is the number of members.
func (m Membership) N() int { return len(m.members) }

// Slots is one more than the greatest ID of a replica that is, was or will be a
// member, as far as this membership knows: the size of an array by replica.
func (m Membership) Slots() int { return len(m.weights) }

// Nodes lists the members in order. The list is the caller's.
func (m Membership) Nodes() []mir.NodeID { return append([]mir.NodeID(nil), m.members...) }

// Member is the member at a place of that order, counted from 0 and around: it
// is what leaders rotate over.
func (m Membership) Member(at uint64) mir.NodeID { return m.members[at%uint64(len(m.members))] }

// Place is a member's place in that order. It reports false for a stranger.
func (m Membership) Place(id mir.NodeID) (int, bool) { return slices.BinarySearch(m.members, id) }

// Has tells whether id is a member.
func (m Membership) Has(id mir.NodeID) bool { return m.Weight(id) > 0 }

// Weight is the weight of a replica; zero for a stranger.
func (m Membership) Weight(id mir.NodeID) uint64 {
	if uint64(id) >= uint64(len(m.weights)) {
		return 0
	}
	return m.weights[id]
}

// FaultyMax is f, the greatest faulty weight tolerated.
func (m Membership) FaultyMax() uint64 { return (m.total - 1) / 3 }

// IsQuorum tells whether weight makes a quorum: 2*weight - total > f.
func (m Membership) IsQuorum(weight uint64) bool { return 2*weight > m.total+m.FaultyMax() }

// HasCorrect tells whether weight includes at least one correct replica.
func (m Membership) HasCorrect(weight uint64) bool { return weight > m.FaultyMax() }
