// Package quorum is quorum arithmetic over weighted votes.
//
// With total weight W the system tolerates faulty replicas of weight f, the
// largest integer with 3f < W (n = 3f+1 when all weights are 1). A quorum is
// the least weight q with 2q - W > f: two quorums then meet in more than f,
// so in at least one correct replica. For W = 3f+1 this is 2f+1.
package quorum

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
)

// Membership is the replicas of one epoch and their weights.
type Membership struct {
	weights []uint64
	total   uint64
}

// New takes a weight for each of the replicas 0..len(weights)-1.
func New(weights []uint64) (Membership, error) {
	m := Membership{weights: append([]uint64(nil), weights...)}
	for i, w := range weights {
		if w == 0 || w > 1<<32 {
			return Membership{}, fmt.Errorf("weight of replica %d is %d, want 1 to 2^32", i, w)
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

// N is the number of replicas.
func (m Membership) N() int { return len(m.weights) }

// Nodes lists the replicas in order.
func (m Membership) Nodes() []mir.NodeID {
	out := make([]mir.NodeID, len(m.weights))
	for i := range out {
		out[i] = mir.NodeID(i)
	}
	return out
}

// Has tells whether id is a member.
func (m Membership) Has(id mir.NodeID) bool { return int(id) < len(m.weights) }

// Weight is the weight of a replica; zero for a stranger.
func (m Membership) Weight(id mir.NodeID) uint64 {
	if !m.Has(id) {
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
