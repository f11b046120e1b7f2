package simtest

import "testing"

// Seeds that found a bug, and which. They mean the same as long as Draw does; the
// module's own test that came with the fix says the rule for good.
func TestSeedsThatFoundBugs(t *testing.T) {
	for seed, bug := range map[uint64]string{
		37:   "checkpoint: a replica whose batches others had collected was told of no later checkpoint",
		183:  "pbft: replicas waited for ever for a leader that crashed after its new view reached one of them",
		223:  "pbft: the same, with a Byzantine replica",
		2683: "availability: a snapshot took it back behind ordering, and both told each other so for ever",
		4034: "iss: taken-over certificates stood before the own ones, and no leader took them",
		1000: "iss: the votes of an epoch were deleted before this replica had a later state on disk",
		2633: "statetransfer: every transfer began with the same servers and ended with a silent one, for ever",
		773:  "checkpoint: a replica that left and was to come back never asked where the others are",
	} {
		if _, err := Run(Draw(seed)); err != nil {
			t.Errorf("seed %d (%s): %v", seed, bug, err)
		}
	}
}
