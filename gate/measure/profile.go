package measure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

// Profiles are taken in a pass of their own, when everything has been measured
// and decided: a profiler slows the program down and changes what it allocates.
const (
	// ProfileReps is the number of replicates on each side; their scatter is what
	// tells a difference from chance.
	ProfileReps = 8
	// goroutineReps is the same for goroutines, which nobody is blamed by.
	goroutineReps = 3
	// profileHz is the rate of the CPU profiler: the tick of most kernels, beyond
	// which more are asked for and not delivered.
	profileHz = 250
	// A CPU run lasts between these, so that a benchmark has at least 500 samples
	// on each side where the time allows it.
	cpuRunMin = 250 * time.Millisecond
	cpuRunMax = 10 * time.Second
	// cpuShare is what the CPU profiles of a benchmark may take of its time.
	cpuShare = 0.7
	// grace is what a run that has begun may take beyond the end.
	grace = 10 * time.Second
	// otherRun is about how long a run for the other kinds takes, without what
	// the profiler adds: recording every allocation makes some programs ten times
	// slower.
	otherRun = 50 * time.Millisecond
	// traceRun is the longest execution trace: a busy program writes some 10 MB in
	// it.
	traceRun = time.Second
	// startTime is about what starting a process and its set-up take, and
	// leastTime what a benchmark needs for all replicates of all kinds: where even
	// that does not fit, it is not begun.
	startTime = 50 * time.Millisecond
	leastTime = ProfileReps * (cpuRunMin + otherRun + 2*startTime)
)

// ProfileWant asks for the profiles of one benchmark.
type ProfileWant struct {
	Key     recording.Key
	Channel recording.Channel // how it was measured: with one core, or with all
	Kinds   []recording.ProfileKind
	// Samples is the number of CPU samples on each side with which the profile
	// can show what was measured; 0 where nobody knows.
	Samples float64
}

// Profiled is one profile, compacted.
type Profiled struct {
	recording.Profile
	Data []byte
	// Values is what the benchmark reported of the same run, which the profiler has
	// slowed down: how it used its cores and its queues meanwhile, not its speed.
	Values []recording.Value
}

// profiling is one benchmark whose profiles are taken.
type profiling struct {
	ProfileWant
	plan   *plan
	cpuRun time.Duration // in the timed part
	most   time.Duration // that a run may take with all that it prepares
	allOp  float64       // seconds per operation with that; 0 where nobody has looked
	end    time.Time     // of all profiling; zero for none
	took   time.Duration // by the longest replicate so far
	alone  bool          // one version, by hand: its runs tell how long they waited for a CPU too
	failed map[recording.ProfileKind]bool
}

// profileAll takes the profiles that are wanted, base and head interleaved, the
// replicates of all benchmarks in turn, so that each has some when the time ends.
//
// Everything has been measured by now: what goes wrong here, an interrupt apart,
// is a warning.
func (s *session) profileAll(ctx context.Context) error {
	if s.Profile == nil {
		return nil
	}
	started := time.Now()
	err := s.profileWanted(ctx, started.Add(s.ProfileTime))
	s.ProfileSeconds = time.Since(started).Seconds()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.Warnings = append(s.Warnings, fmt.Sprintf("profiling ended early: %v", err))
	}
	return nil
}

func (s *session) profileWanted(ctx context.Context, end time.Time) error {
	wants, err := s.Profile(s.Result)
	if err != nil {
		return err
	}
	jobs := s.admit(wants, s.ProfileTime)
	sides := []recording.Side{recording.Base, recording.Head}
	defer func() {
		for _, job := range jobs {
			s.dropUneven(job, sides)
		}
	}()
	for _, job := range jobs {
		job.end = end
		if err := s.probe(ctx, job, recording.Base); err != nil {
			return err
		}
	}
	for rep := 1; rep <= ProfileReps; rep++ {
		for _, job := range jobs {
			begun := time.Now()
			if begun.Add(max(job.repTime(), job.took)).After(end) {
				continue
			}
			s.report(Progress{Phase: "profiling", Detail: job.Key.Name, Done: rep - 1, Planned: ProfileReps})
			if err := s.profileOnce(ctx, job, rep, sides); err != nil {
				return err
			}
			job.took = max(job.took, time.Since(begun))
		}
	}
	return nil
}

// admit chooses how long the runs are, and leaves out benchmarks for which there
// is no time.
func (s *session) admit(wants []ProfileWant, total time.Duration) []*profiling {
	var jobs []*profiling
	for _, w := range wants {
		p := s.planOf(w.Key)
		switch {
		case p == nil || p.gone:
		case time.Duration(len(jobs)+1)*leastTime > total:
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s is not profiled: the time for profiles goes to those before it", w.Key))
		default:
			jobs = append(jobs, &profiling{ProfileWant: w, plan: p, failed: map[recording.ProfileKind]bool{}})
		}
	}
	for _, job := range jobs {
		share := cpuShare * float64(total) / float64(len(jobs)) / ProfileReps
		if !s.atOnce(job) {
			share /= 2
		}
		job.most = time.Duration(share)
		job.cpuRun = s.cpuRunOf(job, job.most)
	}
	return jobs
}

// probe learns what a run costs besides its timed part: some benchmarks prepare
// each operation beforehand, and that can take longer.
func (s *session) probe(ctx context.Context, job *profiling, side recording.Side) error {
	n := iterations(otherRun, job.perOp(), job.plan.minN)
	j := s.leafJob(job.plan, n, job.procs())
	j.timeout = job.within(j.timeout)
	started := time.Now()
	f, err := s.runAlone(ctx, role{side: side}, job.plan.path, j)
	if err != nil {
		return err
	}
	if f.err == nil {
		job.allOp = max(0, time.Since(started)-startTime).Seconds() / float64(n)
	}
	return nil
}

// perOp is what an operation takes in the timed part, as it was planned.
func (p *profiling) perOp() float64 {
	if p.Channel == recording.Wall {
		return p.plan.wallOp
	}
	return p.plan.cpuOp
}

func (p *profiling) procs() int {
	if p.Channel == recording.Wall {
		return p.Key.Procs
	}
	return 1
}

// within is a time limit that keeps the end.
func (p *profiling) within(limit time.Duration) time.Duration {
	if p.end.IsZero() {
		return limit
	}
	return min(limit, max(time.Until(p.end), 0)+grace)
}

// repTime is about how long a replicate of all kinds takes.
func (p *profiling) repTime() time.Duration {
	total := 0.0
	for _, kind := range p.Kinds {
		total += float64(p.n(kind)) * max(p.allOp, p.perOp())
	}
	return time.Duration(total * float64(time.Second))
}

// cpuRunOf is how long a CPU run of a benchmark is: as long as the samples take
// that are needed, and no longer than its share.
func (s *session) cpuRunOf(job *profiling, share time.Duration) time.Duration {
	want := time.Duration(job.Samples / profileHz / ProfileReps * float64(time.Second))
	return max(cpuRunMin, min(want, share, cpuRunMax))
}

func (s *session) planOf(key recording.Key) *plan {
	for _, p := range s.plans {
		if p.key.Pkg == key.Pkg && p.key.Name == key.Name {
			return p
		}
	}
	return nil
}

// atOnce: both sides run at the same time, each on a core of its own.
func (s *session) atOnce(job *profiling) bool {
	return job.Channel != recording.Wall && s.CanPin && len(s.Cores) >= 2
}

// profileOnce takes one replicate of every kind.
func (s *session) profileOnce(ctx context.Context, job *profiling, rep int, sides []recording.Side) error {
	for _, kind := range job.Kinds {
		if job.failed[kind] || kind == recording.GoroutineProfile && rep > goroutineReps {
			continue
		}
		order := slices.Clone(sides)
		if len(order) == 2 && s.rng.IntN(2) == 1 {
			slices.Reverse(order)
		}
		var running []*profileRun
		for i, side := range order {
			run, err := s.startProfile(ctx, job, kind, rep, side, i)
			if err != nil {
				for _, r := range running {
					killGroup(r.cmd)
					_, _ = r.wait(ctx)
				}
				return err
			}
			running = append(running, run)
			if s.atOnce(job) && i+1 < len(order) {
				continue
			}
			for _, r := range running {
				if err := s.endProfile(ctx, job, r); err != nil {
					return err
				}
			}
			running = nil
		}
	}
	return nil
}

// profileRun is a process under a profiler.
type profileRun struct {
	*proc
	recording.Profile
	path  string
	looks int // at goroutines
}

// startProfile starts the run of one side; place says which it is of those that
// run at once.
func (s *session) startProfile(ctx context.Context, job *profiling, kind recording.ProfileKind, rep int, side recording.Side, place int) (*profileRun, error) {
	run := &profileRun{
		Profile: recording.Profile{Side: side, Key: job.Key, Kind: kind, Rep: rep, N: job.n(kind)},
		path:    filepath.Join(s.Scratch, fmt.Sprintf("profile-%s-%s-%d", side, kind, rep), "p"),
	}
	if err := os.Mkdir(filepath.Dir(run.path), 0o755); err != nil {
		return nil, fmt.Errorf("making a folder for a profile: %w", err)
	}
	j := s.leafJob(job.plan, run.N, job.procs())
	j.cores = nil
	if s.atOnce(job) {
		// Each replicate exchanges the cores, since they need not be equally fast.
		j.cores = s.pinned(s.Cores[(place+rep)%len(s.Cores)])
	}
	j.timeout = job.within(max(j.timeout, time.Minute))
	j.planning = job.alone && kind == recording.CPUProfile
	j.env = profileEnv(kind, run.path, run.N)
	var err error
	run.proc, err = start(ctx, s.complete(role{side: side}, job.plan.path, j), false)
	return run, err
}

// n is the number of operations of a run; the same on both sides and in all
// replicates.
func (p *profiling) n(kind recording.ProfileKind) int {
	length, most := otherRun, p.most/2
	switch {
	case kind == recording.CPUProfile:
		length, most = p.cpuRun, p.most
	case kind == recording.ExecutionTrace:
		length = min(p.cpuRun, traceRun) // it is as long as the run
	case kind == recording.GoroutineProfile && p.alone:
		length, most = p.cpuRun, p.most // one version alone has the time that was asked for
	case kind != recording.AllocProfile:
		length = wallRun
	}
	n := iterations(length, p.perOp(), p.plan.minN)
	if p.allOp > 0 {
		n = min(n, iterations(most, p.allOp, p.plan.minN))
	}
	return n
}

// profileEnv asks the overlay for a profile.
func profileEnv(kind recording.ProfileKind, path string, n int) []string {
	what := string(kind)
	if kind == recording.CPUProfile {
		what += "/" + strconv.Itoa(profileHz)
	}
	env := []string{"PERFGATE_PROFILE=" + what + ":" + path}
	if n == 1 {
		env = append(env, "PERFGATE_PROFILE_ONE=1")
	}
	return env
}

// endProfile waits for a run and keeps its profile. The verdict stands already, so
// that a run which fails now is a warning and the end of this benchmark's
// profiles.
func (s *session) endProfile(ctx context.Context, job *profiling, run *profileRun) error {
	f, err := run.wait(ctx)
	s.CPU += f.cpu
	defer run.remove()
	if err != nil || job.failed[run.Kind] {
		return err
	}
	if _, void := voided(f); void && job.plan.voids < voidsMax {
		job.plan.voids++ // the replicate is lost on one side, and dropped on the other
		return nil
	}
	data, err := run.read()
	if run.Kind == recording.GoroutineProfile {
		run.N = run.looks
	}
	if f.err != nil || err != nil {
		job.failed[run.Kind] = true
		s.Warnings = append(s.Warnings, fmt.Sprintf("%s has no %s profile: the %s side's run under the profiler failed", job.Key, run.Kind, run.Side))
		return nil
	}
	s.Profiles = append(s.Profiles, Profiled{Profile: run.Profile, Data: data, Values: s.reported(job, run, f)})
	return nil
}

// read gives the profile of the timed part, compacted.
func (r *profileRun) read() ([]byte, error) {
	switch r.Kind {
	case recording.ExecutionTrace:
		return os.ReadFile(r.path)
	case recording.GoroutineProfile:
		return r.readLooks()
	case recording.CPUProfile:
		raw, err := os.ReadFile(r.path)
		if err != nil {
			return nil, err
		}
		rest, err := os.ReadFile(r.path + ".2")
		if errors.Is(err, fs.ErrNotExist) {
			return recording.CompactProfile(raw, nil)
		}
		if err != nil {
			return nil, err
		}
		return recording.CompactProfile(raw, nil, rest)
	}
	before, err := os.ReadFile(r.path + ".before")
	if err != nil {
		return nil, err
	}
	after, err := os.ReadFile(r.path + ".after")
	if err != nil {
		return nil, err
	}
	return recording.CompactProfile(after, before)
}

// readLooks adds up what was seen of goroutines.
func (r *profileRun) readLooks() ([]byte, error) {
	var looks [][]byte
	for {
		look, err := os.ReadFile(r.path + "." + strconv.Itoa(len(looks)+1))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		looks = append(looks, look)
	}
	if r.looks = len(looks); r.looks == 0 {
		return nil, errors.New("nobody has looked at the goroutines")
	}
	return recording.CompactProfile(looks[0], nil, looks[1:]...)
}

func (r *profileRun) remove() { os.RemoveAll(filepath.Dir(r.path)) }

// reported are the metrics of a run; none where its output cannot be read, since
// the profile is worth something without them.
func (s *session) reported(job *profiling, run *profileRun, f finished) []recording.Value {
	out, failure := s.parse(run.Side, job.Key, f, job.procs())
	if failure != nil || len(out.Results) != 1 {
		return nil
	}
	return out.Results[0].Values
}

// dropUneven removes replicates that one side lacks.
func (s *session) dropUneven(job *profiling, sides []recording.Side) {
	type place struct {
		kind recording.ProfileKind
		rep  int
	}
	have := map[place]int{}
	for _, p := range s.Profiles {
		if p.Key == job.Key {
			have[place{p.Kind, p.Rep}]++
		}
	}
	s.Profiles = slices.DeleteFunc(s.Profiles, func(p Profiled) bool {
		return p.Key == job.Key && have[place{p.Kind, p.Rep}] < len(sides)
	})
}
