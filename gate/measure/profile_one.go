package measure

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

// ProfileConfig says what to profile of one version.
type ProfileConfig struct {
	Toolchain Toolchain
	// Dir is a folder in the module; Packages are patterns for go list there, and
	// Bench selects benchmarks as go test -bench does.
	Dir      string
	Packages []string
	Bench    string
	Kinds    []recording.ProfileKind
	// Only restricts it to these benchmarks; nil for all that match.
	Only []recording.Key
	// Time is about how long the profiles of one benchmark may take, and Reps how
	// many there are of each kind. TimeInAll, where it is not 0, is divided among the
	// benchmarks instead.
	Time, TimeInAll time.Duration
	Reps            int
	// AllCores gives a benchmark that has more than one goroutine at work all cores,
	// as in the wall channel: with one core nobody waits for a lock. Without, what
	// can be measured on one core is.
	AllCores bool
	// BenchmarksMax refuses more benchmarks than so many.
	BenchmarksMax int
	// Cores are the CPUs to use; numbers below 0 cannot be pinned to.
	Cores  []int
	CanPin bool
	// PlanLimit is the time limit of the first run of each benchmark function.
	PlanLimit time.Duration
	Report    func(Progress)
	// Scratch is an empty folder for binaries; the caller removes it.
	Scratch string
}

// Profiles takes profiles of the benchmarks of one version: the head side's, for
// what wants a name. A benchmark that crashes or hangs is a *LeavesError.
func Profiles(ctx context.Context, cfg ProfileConfig) ([]Profiled, error) {
	s := &session{
		Config: Config{Toolchain: cfg.Toolchain, HeadDir: cfg.Dir, Packages: cfg.Packages, Bench: cfg.Bench, Only: cfg.Only, Cores: cfg.Cores,
			CanPin: cfg.CanPin, PlanLimit: cfg.PlanLimit, Report: cfg.Report, Scratch: cfg.Scratch},
		rng: rand.New(rand.NewPCG(1, 1)), // one side has no order that a coin would have to choose
	}
	s.Units = map[string]recording.Unit{}
	var err error
	if s.bench, err = parsePattern(cfg.Bench); err != nil {
		return nil, err
	}
	if s.head, err = s.Toolchain.listPackages(ctx, recording.Head, cfg.Dir, cfg.Packages); err != nil {
		return nil, err
	}
	s.selectBenchmarks()
	if err := s.planLeaves(ctx, cfg); err != nil {
		return nil, err
	}
	if cfg.TimeInAll > 0 {
		cfg.Time = cfg.TimeInAll / time.Duration(len(s.plans))
	}
	for _, p := range s.plans {
		job := &profiling{ProfileWant: ProfileWant{Key: p.key, Channel: recording.CoRun, Kinds: cfg.Kinds}, plan: p, alone: true, failed: map[recording.ProfileKind]bool{}}
		if p.wall && (cfg.AllCores || !p.coRun) {
			job.Channel = recording.Wall
			job.Key.Procs = len(s.Cores)
		}
		job.cpuRun = max(cfg.Time/time.Duration(cfg.Reps*len(cfg.Kinds)), 100*time.Millisecond)
		job.most = 3 * job.cpuRun
		if err := s.probe(ctx, job, recording.Head); err != nil {
			return nil, err
		}
		for rep := 1; rep <= cfg.Reps; rep++ {
			s.report(Progress{Phase: "profiling", Detail: p.key.Name, Done: rep - 1, Planned: cfg.Reps})
			if err := s.profileOnce(ctx, job, rep, []recording.Side{recording.Head}); err != nil {
				return nil, err
			}
		}
		if len(job.failed) > 0 {
			return nil, &LeavesError{recording.Outcome{Key: p.key, Kind: recording.Crashed, Detail: strings.Join(s.Warnings, "\n")}}
		}
	}
	return s.Profiles, nil
}

// planLeaves builds what is wanted and learns what an operation costs.
func (s *session) planLeaves(ctx context.Context, cfg ProfileConfig) error {
	if len(s.head) == 0 {
		return fmt.Errorf("%w: no benchmark function matches %q in packages %s", ErrNoBenchmarks, cfg.Bench, strings.Join(cfg.Packages, " "))
	}
	overlay, err := s.prepare()
	if err != nil {
		return err
	}
	for i, path := range slices.Sorted(maps.Keys(s.head)) {
		p := s.head[path]
		s.report(Progress{Phase: "building", Detail: path, Done: i, Planned: len(s.head)})
		p.binary = filepath.Join(s.Scratch, fmt.Sprintf("profile-%d.test", i))
		if err := s.Toolchain.build(ctx, recording.Head, s.HeadDir, overlay, p.binary, path, BuildFlags); err != nil {
			return err
		}
		for _, name := range p.benchmarks {
			results, ok, err := s.discover(ctx, recording.Head, recording.Key{Pkg: path, Name: name, Procs: 1}, planTime.String())
			if err != nil {
				return err
			}
			if !ok {
				return &LeavesError{s.Outcomes[len(s.Outcomes)-1]}
			}
			for _, r := range results {
				s.plans = append(s.plans, s.newPlan(path, r))
			}
		}
	}
	if len(s.plans) > cfg.BenchmarksMax {
		return fmt.Errorf("%q matches %d benchmarks, such as %s and %s: choose at most %d", cfg.Bench, len(s.plans), s.plans[0].key, s.plans[1].key, cfg.BenchmarksMax)
	}
	if len(s.plans) == 0 {
		return fmt.Errorf("%w: no sub-benchmark matches %q", ErrNoBenchmarks, cfg.Bench)
	}
	return nil
}
