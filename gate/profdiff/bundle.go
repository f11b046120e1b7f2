package profdiff

import (
	"fmt"

	"github.com/perfgate/perfgate/gate/recording"
)

// Runs reads the profiles of one benchmark and kind on one side of a bundle.
func Runs(b *recording.Bundle, side recording.Side, key recording.Key, kind recording.ProfileKind) ([]Run, error) {
	var runs []Run
	for _, p := range b.ProfilesOf(side, key, kind) {
		parsed, err := recording.DecodeProfile(b.Profiles[p.File])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.File, err)
		}
		runs = append(runs, Run{parsed, p.N})
	}
	return runs, nil
}

// FromBundle joins the profiles of one benchmark. It is ErrEmpty where the bundle
// has none of them.
func FromBundle(b *recording.Bundle, key recording.Key, kind recording.ProfileKind, metric Metric, renames map[string]string) (*Data, error) {
	base, err := Runs(b, recording.Base, key, kind)
	if err != nil {
		return nil, err
	}
	head, err := Runs(b, recording.Head, key, kind)
	if err != nil {
		return nil, err
	}
	return Join(kind, metric, base, head, renames)
}
