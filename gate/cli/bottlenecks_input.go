package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/bottleneck"
	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/machine"
	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/suite"
)

// rankedMax bounds the benchmarks of one call.
const rankedMax = 200

// takeProfiles profiles the working tree.
func (r *bottlenecksRun) takeProfiles(ctx context.Context) error {
	tool, err := measure.FindToolchain(ctx, r.env.Dir)
	if err != nil {
		return err
	}
	root, err := measure.ModuleRoot(ctx, r.env.Dir)
	if err != nil {
		return err
	}
	if r.scope.Module, err = tool.ModulePath(ctx, root); err != nil {
		return err
	}
	cfg := measure.ProfileConfig{
		Toolchain: tool, Dir: root, Kinds: bottleneck.Kinds, TimeInAll: r.flags.budget, Reps: r.flags.reps, AllCores: true,
		BenchmarksMax: rankedMax, Cores: machine.Cores(), CanPin: machine.CanPin(), PlanLimit: r.flags.timeout,
	}
	if err := r.chooseBenchmarks(root, &cfg); err != nil {
		return err
	}
	removeStaleScratch()
	if cfg.Scratch, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", scratchPrefix, os.Getpid())); err != nil {
		return fmt.Errorf("%w: %w", measure.ErrNoRoom, err)
	}
	defer os.RemoveAll(cfg.Scratch)
	r.describe(tool.Version, machine.Describe(tool.Version))
	r.origin.Commit = revisionOf(ctx, root)
	progress := newProgress(r.env)
	cfg.Report = progress.show
	watch := machine.NewWatch()
	profiles, err := measure.Profiles(ctx, cfg)
	progress.done()
	if err != nil {
		return err
	}
	if weather := watch.Weather().String(); weather != "" {
		r.origin.Notes = append(r.origin.Notes, weather)
	}
	return r.sort(profiles)
}

// describe names the machine and the tool.
func (r *bottlenecksRun) describe(toolchain string, m recording.Machine) {
	r.origin.Tool, r.origin.Module, r.origin.Toolchain = toolVersion(), r.scope.Module, toolchain
	r.origin.Machine = fmt.Sprintf("%s x %s, %s/%s", m.Class["cores"], m.Class["cpu"], m.Class["goos"], m.Class["goarch"])
	r.origin.Notes = slices.Clone(m.Notes)
}

// revisionOf names the commit of the working tree; empty where there is no
// repository to ask.
func revisionOf(ctx context.Context, root string) string {
	source, err := repo.Open(ctx, root)
	if err != nil {
		return ""
	}
	commit, err := source.Resolve(ctx, "HEAD")
	if err != nil {
		return ""
	}
	built, err1 := source.WorkTree(ctx)
	committed, err2 := source.TreeOf(ctx, commit)
	if err1 != nil || err2 != nil || built != committed {
		return commit[:7] + " with changes"
	}
	return commit[:7]
}

// sort groups profiles by benchmark, in the order in which they were taken.
func (r *bottlenecksRun) sort(profiles []measure.Profiled) error {
	at := map[recording.Key]int{}
	for _, p := range profiles {
		parsed, err := recording.DecodeProfile(p.Data)
		if err != nil {
			return err
		}
		if _, ok := at[p.Key]; !ok {
			at[p.Key] = len(r.measured)
			r.measured = append(r.measured, bottleneck.Measured{Key: p.Key})
		}
		m := &r.measured[at[p.Key]]
		m.Profiles = append(m.Profiles, bottleneck.Profile{Kind: p.Kind, N: p.N, Profile: parsed, Reported: p.Values})
	}
	return nil
}

// chooseBenchmarks decides what is profiled: --pkg, --suite, the smoke suite, or
// every benchmark of the module.
func (r *bottlenecksRun) chooseBenchmarks(root string, cfg *measure.ProfileConfig) error {
	cfg.Bench = r.flags.bench
	cfg.Packages = r.flags.packages
	policy, err := readPolicy(root)
	if err != nil {
		return err
	}
	r.addLoad(policy)
	if len(cfg.Packages) > 0 {
		cfg.Dir = r.env.Dir // patterns are relative to where they were typed
		return nil
	}
	name, chosen, err := chosenSuite(policy, r.flags.suite)
	if err != nil {
		return fmt.Errorf("bottlenecks: %w", err)
	}
	cfg.Packages = chosen.Packages
	if cfg.Bench == "." {
		cfg.Bench = cmp.Or(chosen.Bench, ".")
	}
	if chosen.Manifest == "" {
		return nil
	}
	manifest, err := suite.Load(filepath.Join(root, filepath.FromSlash(chosen.Manifest)))
	if err != nil {
		return fmt.Errorf("bottlenecks: suite %s: %w", name, err)
	}
	if cfg.Only = manifest.Keys(name); len(cfg.Only) == 0 {
		return fmt.Errorf("bottlenecks: %s lists no benchmark of size %q", chosen.Manifest, name)
	}
	return nil
}

// readPolicy reads the module's perfgate.yml; without one it is the default.
func readPolicy(root string) (*config.Config, error) {
	data, err := os.ReadFile(filepath.Join(root, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	return config.Parse(data, configFile)
}

// chosenSuite is the suite of that name, the only one, the smoke suite, or
// everything.
func chosenSuite(policy *config.Config, name string) (string, config.Suite, error) {
	names := slices.Sorted(maps.Keys(policy.Suites))
	switch {
	case name == "" && len(names) == 0:
		return "", config.Suite{Packages: []string{"./..."}}, nil
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		name = defaultSuite
	}
	chosen, ok := policy.Suites[name]
	if !ok {
		return "", config.Suite{}, fmt.Errorf("no suite %q in %s; it has: %s", name, configFile, strings.Join(names, ", "))
	}
	return name, chosen, nil
}

// addLoad takes the packages beside a suite's manifest for what makes the load: it
// is the suite's own folder.
func (r *bottlenecksRun) addLoad(policy *config.Config) {
	for _, name := range slices.Sorted(maps.Keys(policy.Suites)) {
		dir := path.Dir(policy.Suites[name].Manifest)
		if dir == "." || dir == "" {
			continue
		}
		if pkg := r.scope.Module + "/" + dir; !slices.Contains(r.scope.Load, pkg) {
			r.scope.Load = append(r.scope.Load, pkg)
		}
	}
}

// readBundle takes the profiles of a bundle.
func (r *bottlenecksRun) readBundle(context.Context) error {
	name, side := r.flags.bundle, recording.Head
	if rest, ok := strings.CutSuffix(name, ":base"); ok {
		name, side = rest, recording.Base
	}
	b, err := recording.Read(r.env.path(name))
	if err != nil {
		return fmt.Errorf("bottlenecks: %w", err)
	}
	r.scope.Module = b.Manifest.Module
	// A bundle does not say what makes the load. The policy here may, if there is one
	// that can be read; --load says it anywhere.
	if policy, err := readPolicy(r.env.Dir); err == nil {
		r.addLoad(policy)
	}
	r.describe(b.Manifest.Toolchain, b.Manifest.Machine)
	revision := b.Manifest.Head
	if side == recording.Base {
		revision = b.Manifest.Base
	}
	r.origin.Commit = revision.Commit[:min(7, len(revision.Commit))]
	if revision.Dirty {
		r.origin.Commit += " with changes"
	}
	for _, p := range b.Manifest.Profiles {
		known := slices.ContainsFunc(r.measured, func(m bottleneck.Measured) bool { return m.Key == p.Key })
		if known || p.Side != side || p.Kind != recording.CPUProfile || !matchesBench(r.flags.bench, p.Key.Name) {
			continue
		}
		m, err := ofBundle(&b, side, p.Key)
		if err != nil {
			return fmt.Errorf("bottlenecks: %w", err)
		}
		r.measured = append(r.measured, m)
	}
	if len(r.measured) == 0 {
		return fmt.Errorf("bottlenecks: %s has no CPU profile of a benchmark that matches %q; it has %s", r.flags.bundle, r.flags.bench, profilesIn(&b))
	}
	return nil
}

// matchesBench matches a name as go test -bench does: each element by itself.
// validate has compiled the elements.
func matchesBench(pattern, name string) bool {
	elements := strings.Split(name, "/")
	for i, p := range strings.Split(pattern, "/") {
		if i >= len(elements) || !regexp.MustCompile(p).MatchString(elements[i]) {
			return false
		}
	}
	return true
}

// ofBundle is one benchmark of a bundle. Its profiles were taken of other runs than
// its measurements: each replicate is given the medians of an equal part of the runs
// by the wall clock, or on one core where there are none, so that intervals show
// how the runs scatter.
func ofBundle(b *recording.Bundle, side recording.Side, key recording.Key) (bottleneck.Measured, error) {
	m := bottleneck.Measured{Key: key}
	for _, kind := range bottleneck.Kinds {
		runs, err := profdiff.Runs(b, side, key, kind)
		if err != nil {
			return m, err
		}
		reported := parts(b, side, key, len(runs))
		for i, run := range runs {
			p := bottleneck.Profile{Kind: kind, N: run.N, Profile: run.Profile}
			if reported != nil {
				p.Reported = reported[i]
			}
			m.Profiles = append(m.Profiles, p)
		}
	}
	return m, nil
}

// parts deals the runs of one benchmark out to n parts in turn, and gives the
// median of each unit in each. Where there are fewer runs, some parts are given
// twice; nil where there is none.
func parts(b *recording.Bundle, side recording.Side, key recording.Key, n int) [][]recording.Value {
	for _, channel := range []recording.Channel{recording.Wall, recording.CoRun} {
		runs := slices.DeleteFunc(slices.Clone(b.Samples), func(s recording.Sample) bool {
			return s.Side != side || s.Channel != channel || s.Key != key
		})
		if n == 0 || len(runs) == 0 {
			continue
		}
		different := min(n, len(runs))
		out := make([][]recording.Value, n)
		for part := range out {
			byUnit := map[string][]float64{}
			for i := part % different; i < len(runs); i += different {
				for _, v := range runs[i].Values {
					byUnit[v.Unit] = append(byUnit[v.Unit], v.Value)
				}
			}
			for _, unit := range slices.Sorted(maps.Keys(byUnit)) {
				out[part] = append(out[part], recording.Value{Unit: unit, Value: compare.Median(byUnit[unit])})
			}
		}
		return out
	}
	return nil
}
