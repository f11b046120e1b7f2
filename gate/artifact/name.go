package artifact

import (
	"fmt"

	"github.com/perfgate/perfgate/gate/recording"
)

// Name says which part of a run an artifact is. Its attempt is in the name
// because the artifacts of all attempts of a run stand in one list.
type Name struct {
	Attempt, Index, Count int
}

// String is the artifact's name: "perfgate-ATTEMPT-INDEX-of-COUNT".
func (n Name) String() string {
	return fmt.Sprintf("perfgate-%d-%d-of-%d", n.Attempt, n.Index, n.Count)
}

// Shard is the part as outcome.json and --shard write it.
func (n Name) Shard() string { return fmt.Sprintf("%d/%d", n.Index, n.Count) }

// Prefix begins the name of every artifact that is meant for this package.
const Prefix = "perfgate-"

// ParseName reads an artifact's name; ok is false for those of others.
func ParseName(s string) (n Name, ok bool) {
	n, ours := parseName(s)
	return n, ours && n.possible()
}

// parseName tells whether a name is written as ours are, whatever its numbers.
func parseName(s string) (n Name, ours bool) {
	if len(s) > NameBytesMax {
		return Name{}, false
	}
	_, err := fmt.Sscanf(s, Prefix+"%d-%d-of-%d", &n.Attempt, &n.Index, &n.Count)
	// Written again it must be the same: no signs, leading zeros or rest.
	return n, err == nil && n.String() == s
}

// possible: a run can have such a shard.
func (n Name) possible() bool {
	return n.Attempt >= 1 && n.Attempt <= AttemptMax && n.Count >= 1 && n.Count <= recording.ShardsMax && n.Index >= 1 && n.Index <= n.Count
}
