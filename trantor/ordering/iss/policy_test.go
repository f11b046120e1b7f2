package iss

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// Random histories of suspicions among members of random weights: the rules that
// hold whatever the log says.
func TestPoliciesKeepOutAtMostTheFaultyWeight(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		weights := make([]uint64, 1+rng.IntN(12))
		for i := range weights {
			weights[i] = uint64(rng.IntN(4))
		}
		weights[0]++
		members, err := quorum.New(weights)
		if err != nil {
			t.Fatal(err)
		}
		slots := 1 + rng.IntN(14)
		for _, p := range []Policy{RoundRobin, Blacklist, Backoff} {
			var r record
			for e := range types.Epoch(30) {
				kept := p.keptOut(r, e, members)
				leaders := p.leaders(r, e, members, slots)
				checkLeaders(t, members, kept, leaders, slots)
				var suspects []types.NodeID
				for _, id := range leaders {
					if rng.IntN(3) == 0 {
						suspects = append(suspects, id)
					}
				}
				before := slices.Clone(r)
				next := p.after(r, e, leaders, suspects)
				if !reflect.DeepEqual(before, r) {
					t.Fatalf("seed %d, %s: a record was changed in place", seed, p)
				}
				again, err := readRecord(appendRecord(nil, next))
				if err != nil || !reflect.DeepEqual(again, next) {
					t.Fatalf("seed %d, %s: %+v became %+v, error %v", seed, p, next, again, err)
				}
				r = next
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func checkLeaders(t *testing.T, m quorum.Membership, kept, leaders []types.NodeID, slots int) {
	t.Helper()
	var out uint64
	for _, id := range kept {
		out += m.Weight(id)
	}
	if out > m.FaultyMax() {
		t.Errorf("weight %d is kept out, f is %d", out, m.FaultyMax())
	}
	if least := Blacklist.LeadersMin(m); m.N()-len(kept) < least {
		t.Errorf("%d of %d members are kept out, and %d lead at least", len(kept), m.N(), least)
	}
	if want := min(m.N()-len(kept), slots); len(leaders) != want || want < 1 {
		t.Errorf("%d leaders of %d members, %d kept out, %d slots", len(leaders), m.N(), len(kept), slots)
	}
	for at, id := range leaders {
		if !m.Has(id) || slices.Contains(kept, id) || at > 0 && id <= leaders[at-1] {
			t.Errorf("leaders %v, kept out %v", leaders, kept)
		}
	}
}

// history tells who leads after epochs with these suspects, from epoch 0 on.
func history(p Policy, n int, suspects ...[]types.NodeID) (leaders [][]types.NodeID) {
	var r record
	members := quorum.Equal(n)
	for e, suspected := range suspects {
		now := p.leaders(r, types.Epoch(e), members, n)
		r = p.after(r, types.Epoch(e), now, suspected)
		leaders = append(leaders, p.leaders(r, types.Epoch(e)+1, members, n))
	}
	return leaders
}

func TestRoundRobinLetsEverybodyLead(t *testing.T) {
	got := history(RoundRobin, 4, []types.NodeID{2}, []types.NodeID{2, 3})
	if want := [][]types.NodeID{{0, 1, 2, 3}, {0, 1, 2, 3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("leaders %v, want %v", got, want)
	}
}

// ISS, section 3.4.
func TestBlacklistHoldsTheLatestSuspects(t *testing.T) {
	got := history(Blacklist, 4, []types.NodeID{2}, nil, []types.NodeID{3}, []types.NodeID{0, 1})
	want := [][]types.NodeID{
		{0, 1, 3}, {0, 1, 3}, // Nobody pushes 2 off the list.
		{0, 1, 2}, // 3 does.
		{1, 2, 3}, // 0 and 1 are as late; the first is on it.
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("leaders %v, want %v", got, want)
	}
}

func TestBackoffDoublesAndForgives(t *testing.T) {
	var r record
	members, out := quorum.Equal(4), []int{}
	for e := range types.Epoch(22) {
		leaders := Backoff.leaders(r, e, members, 4)
		var suspects []types.NodeID
		if slices.Contains(leaders, 2) && e < 14 {
			suspects = []types.NodeID{2}
		}
		if !slices.Contains(leaders, 2) {
			out = append(out, int(e))
		}
		r = Backoff.after(r, e, leaders, suspects)
	}
	// Suspected in 0, 2, 5, 10: kept out for 1, 2, 4, 8 epochs.
	if want := []int{1, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18}; !slices.Equal(out, want) {
		t.Errorf("replica 2 is kept out in %v, want %v", out, want)
	}
	if got := r[0].penalty; got != 1 { // 8, halved in epochs 19, 20 and 21.
		t.Errorf("the penalty is %d, want 1", got)
	}
}

func TestMoreMembersThanSlotsLeadInTurns(t *testing.T) {
	seen := map[types.NodeID]int{}
	for e := range types.Epoch(5) {
		for _, id := range RoundRobin.leaders(nil, e, quorum.Equal(5), 3) {
			seen[id]++
		}
	}
	for id := range types.NodeID(5) {
		if seen[id] != 3 {
			t.Errorf("replica %d led %d of 5 epochs with 3 slots, want 3", id, seen[id])
		}
	}
}

func TestForgedRecordsAreRefused(t *testing.T) {
	good := appendRecord(nil, record{{node: 1, suspected: 3}, {node: 2, suspected: 1}})
	for name, b := range map[string][]byte{
		"cut":      good[:len(good)-1],
		"disorder": append(slices.Clone(good), good[:standingBytes]...),
		"never":    appendRecord(nil, record{{node: 1}}),
		"penalty":  appendRecord(nil, record{{node: 1, suspected: 1, penalty: backoffMax + 1}}),
	} {
		if r, err := readRecord(b); err == nil {
			t.Errorf("%s: became %+v", name, r)
		}
	}
}

func FuzzPolicyRecord(f *testing.F) {
	f.Add(appendRecord(nil, record{{node: 1, suspected: 3}, {node: 2, suspected: 1, penalty: 4, until: 9}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRecord(b)
		if err == nil && !slices.Equal(appendRecord(nil, r), b) {
			t.Fatalf("%x became %+v", b, r)
		}
	})
}

func TestHowFewMayLead(t *testing.T) {
	for _, c := range []struct {
		weights               []uint64
		roundRobin, blacklist int
	}{
		{[]uint64{1}, 1, 1}, {[]uint64{1, 1, 1}, 3, 3}, {[]uint64{1, 1, 1, 1}, 4, 3},
		{[]uint64{1, 0, 1, 1, 1, 1, 1, 1}, 7, 5}, {[]uint64{9, 2, 1, 9, 1}, 5, 2},
	} {
		m, err := quorum.New(c.weights)
		if err != nil {
			t.Fatal(err)
		}
		if got := RoundRobin.LeadersMin(m); got != c.roundRobin {
			t.Errorf("%v: %d lead under round-robin, want %d", c.weights, got, c.roundRobin)
		}
		for _, p := range []Policy{Blacklist, Backoff} {
			if got := p.LeadersMin(m); got != c.blacklist {
				t.Errorf("%v: %d lead under %s, want %d", c.weights, got, p, c.blacklist)
			}
		}
	}
}
