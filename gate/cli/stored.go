package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/trend"
)

// stored is the baseline that a run compares itself with.
type stored struct {
	shown     string // the store, as its user wrote it
	found     *baseline.Baseline
	sameClass bool
	// why there is none to compare with, where found is nil
	why         string
	unreachable bool
}

// readBaseline reads the stored baseline and takes over the iterations at which
// it counted exactly: totals can only be compared at the same number. A store
// that cannot be reached is a warning: what both sides do is measured all the
// same.
func (r *run) readBaseline(ctx context.Context) error {
	place, dir := r.flags.baseline, r.env.Dir
	if place == "" {
		place, dir = r.cfg.Baseline, r.baseDir // policy is the base side's
	}
	r.stored = stored{shown: place, why: "perfgate.yml names no place of baselines"}
	if r.manifest.Suite == "" || place == "" {
		return nil
	}
	err := r.findBaseline(ctx, place, dir)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, baseline.ErrUnreachable):
		r.stored.why, r.stored.unreachable = err.Error(), true
		r.warn("could not compare with the stored baseline: %v", err)
		return nil
	case err != nil:
		return fmt.Errorf("stored baseline: %w; restore it, or remove it and record it anew with `perfgate baseline record`", err)
	}
	if r.stored.found == nil {
		r.stored.why = fmt.Sprintf("%s holds none of suite %s; `perfgate baseline record` makes one from this run", strings.TrimSuffix(place, "/"), r.manifest.Suite)
		return nil
	}
	r.useBaseline(ctx, r.stored.found)
	return nil
}

// baselineTimeout is what a run waits for its store: a part of the smoke
// suite's three minutes that the measuring can do without.
const baselineTimeout = 20 * time.Second

func (r *run) findBaseline(ctx context.Context, place, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, baselineTimeout)
	defer cancel()
	store, err := r.env.openPlace(ctx, place, dir)
	if err != nil {
		return err
	}
	defer store.Close()
	r.stored.found, r.stored.sameClass, err = baseline.Find(ctx, store, r.manifest.Suite, r.manifest.Machine.ClassID)
	return err
}

func (r *run) useBaseline(ctx context.Context, b *baseline.Baseline) {
	// A checkout of two commits does not reach back to most baselines; whoever
	// recorded them there has asked GitHub.
	if at := b.Manifest.Commit; !r.repo.IsAncestor(ctx, at, r.manifest.Base.Commit) && !r.repo.EndsBefore(ctx, at) {
		r.warn("the stored baseline was measured at %.7s, which is no ancestor of the base side", at)
	}
	r.measure.ExactN = map[recording.Key]int{}
	for _, p := range b.Plan {
		key := p.Key
		key.Procs = 1 // exact runs use one core whatever the timed ones use
		r.measure.ExactN[key] = p.ExactN
	}
}

// compareBaseline looks the head side's exact metrics up in the stored
// baseline.
func (r *run) compareBaseline(bundle *recording.Bundle) {
	switch {
	case bundle.Manifest.Suite == "":
	case r.stored.found == nil:
		bundle.Manifest.Baseline = &recording.BaselineRef{Why: r.stored.why, Unreachable: r.stored.unreachable}
	default:
		ref := r.stored.found.Reference(r.stored.shown, r.stored.sameClass, *bundle)
		if r.stored.sameClass { // another class has a ledger of its own
			ref.Anchor = anchorDrift(r.stored.found, bundle.Manifest.Family)
		}
		bundle.Manifest.Baseline = ref
	}
}

// anchorDrift is what the ledger says of the tests of this session.
func anchorDrift(b *baseline.Baseline, family []recording.Test) *recording.AnchorDrift {
	if b.Manifest.Anchor == nil {
		return nil
	}
	out := &recording.AnchorDrift{Ref: b.Manifest.Anchor.Ref, Commit: b.Manifest.Anchor.Commit}
	for _, c := range trend.Drifts(b) {
		if !slices.ContainsFunc(family, func(t recording.Test) bool { return t.Key == c.Key && t.Unit == c.Unit }) {
			continue
		}
		if c.Drift == nil {
			out.Broken++
			continue
		}
		out.Rows = append(out.Rows, recording.Drift{Key: c.Key, Unit: c.Unit, Links: c.Drift.Links,
			Ratio: math.Exp(c.Drift.Delta), Lo: math.Exp(c.Drift.Lo), Hi: math.Exp(c.Drift.Hi)})
	}
	return out
}

// defaultBaselines is the place where neither --baseline nor perfgate.yml names
// one.
const defaultBaselines = "baselines"

const baselineFlagHelp = "the stored baselines are in `PLACE`: a folder, branch:NAME, or a URL such as s3://BUCKET/PREFIX (default: what perfgate.yml says)"

// openBaselines opens the store that a command works on: the flag's, or that of
// the perfgate.yml in the working folder. Shown is its name for people.
func (e *Env) openBaselines(ctx context.Context, place string) (store baseline.Store, shown string, err error) {
	if place == "" {
		if place, err = e.configuredBaselines(); err != nil {
			return nil, "", err
		}
	}
	store, err = e.openPlace(ctx, place, e.Dir)
	return store, strings.TrimSuffix(place, "/"), err
}

func (e *Env) configuredBaselines() (string, error) {
	data, err := os.ReadFile(e.path(configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return defaultBaselines, nil
	}
	if err != nil {
		return "", err
	}
	cfg, err := config.Parse(data, configFile)
	if err != nil {
		return "", err
	}
	if cfg.Baseline == "" {
		return defaultBaselines, nil
	}
	return cfg.Baseline, nil
}
