package measure

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

// leavesLimit is the time limit of one benchmark function that runs each of its
// sub-benchmarks for one iteration: the longest of a suite, a soak, ends within.
const leavesLimit = 30 * time.Minute

// LeavesConfig says whose leaves are wanted.
type LeavesConfig struct {
	Toolchain Toolchain
	// Dir is a folder in the module; Packages are patterns for go list there.
	Dir      string
	Packages []string
	// Only restricts the run to these benchmarks; nil wants all that there are.
	Only []recording.Key
	// Report is called for each package and function; nil is allowed.
	Report func(Progress)
	// Scratch is an empty folder for binaries; the caller removes it.
	Scratch string
}

// A LeavesError is a benchmark function whose leaves could not be had.
type LeavesError struct{ Outcome recording.Outcome }

func (e *LeavesError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.Outcome.Key, e.Outcome.Kind, e.Outcome.Detail)
}

// BenchmarkPackages gives the folder of each package below patterns that has
// benchmark functions, by import path.
func BenchmarkPackages(ctx context.Context, t Toolchain, dir string, patterns []string) (map[string]string, error) {
	pkgs, err := t.listPackages(ctx, recording.Head, dir, patterns)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for path, p := range pkgs {
		out[path] = p.dir
	}
	return out, nil
}

// Leaves runs each benchmark function for one iteration, in a process of its
// own, and returns the benchmarks that it ran (the function itself, or its
// sub-benchmarks) with the units that each reports. The values mean nothing: one
// iteration tells the names and no more.
//
// What does not compile is a *BuildError; a benchmark that crashes, hangs or
// prints garbage is a *LeavesError.
func Leaves(ctx context.Context, cfg LeavesConfig) (map[recording.Key]map[string]recording.Unit, error) {
	s := &session{Config: Config{Toolchain: cfg.Toolchain, HeadDir: cfg.Dir, Packages: cfg.Packages, Only: cfg.Only, Report: cfg.Report, Scratch: cfg.Scratch}}
	var err error
	if s.bench, err = parsePattern("."); err != nil {
		return nil, err
	}
	if s.head, err = s.Toolchain.listPackages(ctx, recording.Head, cfg.Dir, cfg.Packages); err != nil {
		return nil, err
	}
	s.selectBenchmarks()
	if len(s.head) == 0 {
		return nil, fmt.Errorf("%w in packages %s", ErrNoBenchmarks, strings.Join(cfg.Packages, " "))
	}
	if err := s.buildLeaves(ctx); err != nil {
		return nil, err
	}
	leaves := map[recording.Key]map[string]recording.Unit{}
	for _, path := range slices.Sorted(maps.Keys(s.head)) {
		p := s.head[path]
		for i, name := range p.benchmarks {
			s.report(Progress{Phase: "running", Detail: path + "." + name, Done: i, Planned: len(p.benchmarks)})
			if err := s.runLeaves(ctx, recording.Key{Pkg: path, Name: name, Procs: 1}, leaves); err != nil {
				return nil, err
			}
		}
	}
	return leaves, nil
}

// buildLeaves builds with the overlay too, so that the units are those of a
// measurement.
func (s *session) buildLeaves(ctx context.Context) error {
	overlay, err := s.prepare()
	if err != nil {
		return err
	}
	for i, path := range slices.Sorted(maps.Keys(s.head)) {
		s.report(Progress{Phase: "building", Detail: path, Done: i, Planned: len(s.head)})
		s.head[path].binary = filepath.Join(s.Scratch, fmt.Sprintf("leaves-%d.test", i))
		if err := s.Toolchain.build(ctx, recording.Head, s.HeadDir, overlay, s.head[path].binary, path, BuildFlags); err != nil {
			return err
		}
	}
	return nil
}

// runLeaves runs one benchmark function and adds what it ran to leaves.
func (s *session) runLeaves(ctx context.Context, key recording.Key, leaves map[recording.Key]map[string]recording.Unit) error {
	f, err := s.runAlone(ctx, role{side: recording.Head}, key.Pkg, job{
		pattern: s.functionPattern(key), benchtime: "1x", procs: 1, timeout: leavesLimit})
	if err != nil {
		return err
	}
	out, failure := s.parse(recording.Head, key, f, 1)
	if failure != nil {
		return &LeavesError{*failure}
	}
	for _, r := range out.Results {
		if s.Only != nil && !slices.Contains(s.Only, r.Key) {
			continue
		}
		if leaves[r.Key] != nil {
			return &LeavesError{recording.Outcome{Key: r.Key, Side: recording.Head, Kind: recording.Garbage, Detail: "it gave two results in one run"}}
		}
		units := map[string]recording.Unit{}
		for _, v := range r.Values {
			units[v.Unit] = out.Units[v.Unit]
		}
		leaves[r.Key] = units
	}
	return nil
}
