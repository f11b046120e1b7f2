package quorum

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/mir"
)

// memberships yields every n from 1 to 30 with equal weights and with several
// draws of random ones.
func memberships(t *testing.T) []Membership {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var out []Membership
	for n := 1; n <= 30; n++ {
		out = append(out, Equal(n))
		for range 20 {
			weights := make([]uint64, n)
			for i := range weights {
				weights[i] = 1 + rng.Uint64N(50)
			}
			m, err := New(weights)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, m)
		}
	}
	return out
}

func total(m Membership) uint64 {
	var sum uint64
	for _, id := range m.Nodes() {
		sum += m.Weight(id)
	}
	return sum
}

// least is the least weight that makes a quorum.
func least(m Membership) uint64 {
	q := uint64(0)
	for !m.IsQuorum(q) {
		q++
	}
	return q
}

func TestFaultyWeightIsTheLargestBelowAThird(t *testing.T) {
	for _, m := range memberships(t) {
		if f, w := m.FaultyMax(), total(m); 3*f >= w || 3*(f+1) < w {
			t.Errorf("n=%d, total %d: f = %d", m.N(), w, f)
		}
	}
}

// Two sets of weight a and b overlap in weight a+b-total at least.
func TestTwoQuorumsMeetInMoreThanF(t *testing.T) {
	for _, m := range memberships(t) {
		q := least(m)
		if overlap := int64(2*q) - int64(total(m)); overlap <= int64(m.FaultyMax()) {
			t.Errorf("n=%d, total %d, quorum %d: overlap %d, f %d", m.N(), total(m), q, overlap, m.FaultyMax())
		}
		if q > 1 && 2*(q-1) > total(m)+m.FaultyMax() {
			t.Errorf("n=%d, total %d: %d is not the least quorum", m.N(), total(m), q)
		}
	}
}

func TestCorrectReplicasAloneMakeAQuorum(t *testing.T) {
	for _, m := range memberships(t) {
		if correct := total(m) - m.FaultyMax(); !m.IsQuorum(correct) {
			t.Errorf("n=%d, total %d: correct weight %d is no quorum", m.N(), total(m), correct)
		}
	}
}

func TestQuorumOf3FPlus1Is2FPlus1(t *testing.T) {
	for f := range 10 {
		m := Equal(3*f + 1)
		if m.FaultyMax() != uint64(f) {
			t.Errorf("n=%d: f = %d, want %d", m.N(), m.FaultyMax(), f)
		}
		if got, want := least(m), uint64(2*f+1); got != want {
			t.Errorf("n=%d: quorum %d, want %d", m.N(), got, want)
		}
	}
}

func TestHasCorrectNeedsMoreThanF(t *testing.T) {
	for _, m := range memberships(t) {
		if m.HasCorrect(m.FaultyMax()) || !m.HasCorrect(m.FaultyMax()+1) {
			t.Errorf("n=%d: HasCorrect does not change between f and f+1", m.N())
		}
	}
}

func TestStrangersHaveNoWeight(t *testing.T) {
	m := Equal(4)
	for _, id := range []mir.NodeID{4, 5, 1<<32 - 1} {
		if m.Has(id) || m.Weight(id) != 0 {
			t.Errorf("replica %d of 4: member %v, weight %d", id, m.Has(id), m.Weight(id))
		}
	}
}

func TestReplicaOfWeightZeroIsNoMember(t *testing.T) {
	m, err := New([]uint64{2, 0, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	if m.Has(1) || m.N() != 3 || m.Slots() != 4 || !slices.Equal(m.Nodes(), []mir.NodeID{0, 2, 3}) {
		t.Errorf("members %v, %d of %d", m.Nodes(), m.N(), m.Slots())
	}
	if m.Member(1) != 2 || m.Member(3) != 0 {
		t.Errorf("members 1 and 3 of the order are %d and %d, want 2 and 0", m.Member(1), m.Member(3))
	}
	if at, ok := m.Place(3); at != 2 || !ok {
		t.Errorf("replica 3 has place %d (%v), want 2", at, ok)
	}
	if _, ok := m.Place(1); ok {
		t.Error("a stranger has a place")
	}
}

func TestNewRejectsImpossibleWeights(t *testing.T) {
	for _, weights := range [][]uint64{nil, {0, 0}, {1<<32 + 1}} {
		if _, err := New(weights); err == nil {
			t.Errorf("New(%v) succeeded", weights)
		}
	}
}

func TestMembershipKeepsItsOwnWeights(t *testing.T) {
	weights := []uint64{1, 2, 3}
	m, err := New(weights)
	if err != nil {
		t.Fatal(err)
	}
	weights[0] = 100
	if m.Weight(0) != 1 {
		t.Error("changing the caller's slice changed the membership")
	}
}
