package cli

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/perfgate/perfgate/gate/culprit"
	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/verdict"
)

// profileWhen says which benchmarks of a run are profiled: a flag.
type profileWhen string

// When profiles are taken.
const (
	profileAuto   profileWhen = "auto"   // of what was found slower
	profileNever  profileWhen = "never"  // of nothing
	profileAlways profileWhen = "always" // of what was found slower, then of all else that was compared
)

func (p *profileWhen) String() string { return string(*p) }

func (p *profileWhen) Set(s string) error {
	switch w := profileWhen(s); w {
	case profileAuto, profileNever, profileAlways:
		*p = w
		return nil
	}
	return fmt.Errorf("auto, never and always are known")
}

const (
	// profileTime is what profiles may add to a run that fails.
	profileTime = 2 * time.Minute
	// spare is how many more samples are aimed at than the slowdown as measured
	// needs: an operation was planned to take as long as beside its partner on one
	// core, and is faster alone.
	spare = 2
)

// profiles sets up the capture of profiles behind the measuring.
func (r *run) profiles() {
	if r.flags.profile == profileNever || r.flags.profile == "" {
		return
	}
	r.measure.ProfileTime = profileTime
	r.measure.Profile = func(result measure.Result) ([]measure.ProfileWant, error) {
		v, err := verdict.Decide(r.bundle(result))
		if err != nil {
			return nil, fmt.Errorf("deciding what to profile: %w", err)
		}
		return wanted(v, r.flags.profile == profileAlways), nil
	}
}

// wanted lists the benchmarks to profile, those that became slower first and the
// slowest of them first.
func wanted(v verdict.Verdict, all bool) []measure.ProfileWant {
	rows := slices.DeleteFunc(slices.Clone(v.Rows), func(row verdict.Row) bool {
		c := row.Change
		return row.Decision != verdict.Regressed && (!all || c.Timed == nil && c.Exact == nil)
	})
	slices.SortStableFunc(rows, func(a, b verdict.Row) int {
		if a, b := a.Decision == verdict.Regressed, b.Decision == verdict.Regressed; a != b {
			if a {
				return -1
			}
			return 1
		}
		switch a, b := slowdown(a), slowdown(b); {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	var wants []measure.ProfileWant
	for _, row := range rows {
		t := row.Change.Test
		at := slices.IndexFunc(wants, func(w measure.ProfileWant) bool { return w.Key == t.Key })
		if at < 0 {
			wants = append(wants, measure.ProfileWant{Key: t.Key, Channel: t.Channel})
			at = len(wants) - 1
		}
		w := &wants[at]
		for _, kind := range culprit.Kinds(t) {
			if !slices.Contains(w.Kinds, kind) {
				w.Kinds = append(w.Kinds, kind)
			}
		}
		if s := math.Exp(capped(slowdown(row))) - 1; s > 0 {
			w.Samples = max(w.Samples, spare*profdiff.Needed(s))
		}
	}
	return wants
}

// slowdown is the logarithm of by how much a row is worse.
func slowdown(row verdict.Row) float64 {
	switch c := row.Change; {
	case c.Timed != nil:
		return c.Timed.Delta
	case c.Exact != nil && c.Exact.Base > 0 && c.Exact.Head > 0:
		return math.Log(c.Exact.Head / c.Exact.Base)
	case c.Exact != nil && c.Exact.Head > c.Exact.Base:
		return math.Inf(1)
	}
	return 0
}

// capped keeps what was nothing on the base side within numbers.
func capped(slowdown float64) float64 { return min(slowdown, math.Log(1000)) }

// attach adds to a bundle the profiles that were taken, and what the change did to
// the source: a suspect is looked for in both.
func (r *run) attach(ctx context.Context, b *recording.Bundle, result measure.Result) {
	b.Manifest.ProfileSeconds = round(result.ProfileSeconds)
	for _, p := range result.Profiles {
		b.AddProfile(p.Profile, p.Data)
	}
	if len(result.Profiles) == 0 {
		return
	}
	sides := repo.DiffSides{BaseCommit: r.manifest.Base.Commit, BaseTop: r.baseTop, HeadTop: r.repo.Top}
	if r.headTop != "" {
		sides.HeadCommit, sides.HeadTop = r.manifest.Head.Commit, r.headTop
	}
	diff, err := r.repo.Diff(ctx, sides)
	if err != nil {
		b.Manifest.Warnings = append(b.Manifest.Warnings, fmt.Sprintf("no suspects: the change could not be read: %v", err))
		return
	}
	b.Diff = diff
}

// explainedMax bounds the slowdowns whose causes are looked for: a bundle that
// somebody else has made may claim any number.
const explainedMax = 50

// findings look for the cause of each slowdown in a bundle. They are a function
// of the bundle, as the verdict is. Profiles that cannot be read are no reason to
// withhold a verdict, which does not come from them.
func findings(b *recording.Bundle, v verdict.Verdict) map[recording.Test]culprit.Finding {
	found := map[recording.Test]culprit.Finding{}
	for _, row := range v.Rows {
		t := row.Change.Test
		if row.Decision != verdict.Regressed && row.Decision != verdict.Waived || len(found) == explainedMax {
			continue
		}
		f, ok, err := culprit.Of(b, t, capped(slowdown(row)))
		switch {
		case err != nil:
			found[t] = culprit.Finding{Note: fmt.Sprintf("the profiles cannot be read: %v", err)}
		case ok:
			found[t] = f
		}
	}
	return found
}
