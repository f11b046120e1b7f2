package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/recording"
)

// readBaseline takes over the iterations at which the stored baseline counted
// exactly: totals can only be compared at the same number.
func (r *run) readBaseline(ctx context.Context) error {
	if strings.Contains(r.cfg.Baseline, "://") {
		r.warn("baseline %s: only folders can be read", r.cfg.Baseline)
		r.cfg.Baseline = ""
	}
	if r.manifest.Suite == "" || r.cfg.Baseline == "" {
		return nil
	}
	stored, _, err := baseline.Find(r.baselineRoot(), r.manifest.Suite, r.manifest.Machine.ClassID)
	if err != nil {
		return brokenBaseline(err)
	}
	if stored == nil {
		return nil
	}
	if !r.repo.IsAncestor(ctx, stored.Manifest.Commit, r.manifest.Base.Commit) {
		r.warn("the stored baseline was measured at %.7s, which is no ancestor of the base side that this clone knows; `git fetch --unshallow` brings a shallow clone's history",
			stored.Manifest.Commit)
	}
	r.measure.ExactN = map[recording.Key]int{}
	for _, p := range stored.Plan {
		key := p.Key
		key.Procs = 1 // exact runs use one core whatever the timed ones use
		r.measure.ExactN[key] = p.ExactN
	}
	return nil
}

// baselineRoot is read from the base side, like all policy.
func (r *run) baselineRoot() string {
	return filepath.Join(r.baseDir, filepath.FromSlash(r.cfg.Baseline))
}

func brokenBaseline(err error) error {
	return fmt.Errorf("stored baseline: %w; restore it from git, or remove its folder and record it anew with `perfgate baseline record`", err)
}

// compareBaseline looks the head side's exact metrics up in the stored
// baseline.
func (r *run) compareBaseline(bundle *recording.Bundle) error {
	if bundle.Manifest.Suite == "" {
		return nil
	}
	ref, err := baseline.Reference(r.baselineRoot(), r.cfg.Baseline, *bundle)
	if err != nil {
		return brokenBaseline(err)
	}
	bundle.Manifest.Baseline = ref
	return nil
}
