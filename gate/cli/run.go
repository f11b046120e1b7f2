package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/machine"
	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/suite"
	"github.com/perfgate/perfgate/gate/verdict"
)

// defaultSuite is measured where perfgate.yml has a suite of that name and
// nothing else is asked for.
const defaultSuite = "smoke"

// configFile is the policy file at the module's root.
const configFile = "perfgate.yml"

// run is one run of local or check, step by step.
type run struct {
	env      *Env
	flags    measureFlags
	progress *progress
	cleanups []func()
	started  time.Time

	repo        *repo.Repo
	tool        measure.Toolchain
	baseDir     string // module folder of each side
	headDir     string
	baseTop     string // roots of the trees that were checked out for a side
	headTop     string
	cfg         *config.Config
	suite       config.Suite
	measure     measure.Config
	manifest    recording.Manifest
	definitions map[string]string // of the head side, by "PKG.BenchmarkX"
	out         string
	exit        int
}

// cleanUp undoes, in reverse, what the run has put into the world. It runs
// after an interrupt too.
func (r *run) cleanUp() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

func (r *run) do(ctx context.Context) error {
	r.started = time.Now()
	steps := []func(context.Context) error{r.open, r.resolve, r.checkOut, r.chooseToolchain, r.configure, r.prepare, r.readBaseline}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	watch := machine.NewWatch()
	result, err := measure.Run(ctx, r.measure)
	if err != nil {
		return err
	}
	if weather := watch.Weather().String(); weather != "" {
		r.manifest.Machine.Notes = append(r.manifest.Machine.Notes, weather)
	}
	if err := r.checkUnchanged(ctx, &result); err != nil {
		return err
	}
	return r.conclude(result)
}

// open finds the module, its repository and its toolchain.
func (r *run) open(ctx context.Context) error {
	if err := checkFormat(r.flags.format); err != nil {
		return err
	}
	root, err := measure.ModuleRoot(ctx, r.env.Dir)
	if err != nil {
		return err
	}
	if r.repo, err = repo.Open(ctx, root); err != nil {
		return err
	}
	// Without links, as git and the go command name folders.
	r.headDir = filepath.Join(r.repo.Top, r.repo.Module)
	r.manifest = recording.Manifest{
		Schema: recording.Schema, Tool: toolVersion(), Command: r.flags.command,
		BuildFlags: measure.BuildFlags, Seed: r.flags.seed, Bench: r.flags.benchFilter(), Shard: r.flags.shard.shard,
	}
	if r.manifest.Seed == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return fmt.Errorf("drawing a seed: %w", err)
		}
		r.manifest.Seed = binary.LittleEndian.Uint64(b[:]) >> 1
	}
	return nil
}

// chooseToolchain takes the toolchain that the head side's module selects, for
// both sides.
func (r *run) chooseToolchain(ctx context.Context) error {
	var err error
	if r.tool, err = measure.FindToolchain(ctx, r.headDir); err != nil {
		return fmt.Errorf("head side: %w", err)
	}
	r.manifest.Toolchain, r.manifest.Machine = r.tool.Version, machine.Describe(r.tool.Version)
	r.manifest.Module, err = r.tool.ModulePath(ctx, r.headDir)
	return err
}

// resolve names both sides.
func (r *run) resolve(ctx context.Context) error {
	m := &r.manifest
	var err error
	if r.flags.base != "" {
		m.Base.Ref, m.BaseReason = r.flags.base, "--base"
		m.Base.Commit, err = r.repo.Resolve(ctx, r.flags.base)
	} else {
		m.Base.Commit, m.BaseReason, err = r.repo.DefaultBase(ctx)
		m.Base.Ref = m.BaseReason
	}
	if err != nil {
		return err
	}
	if m.Base.Tree, err = r.repo.TreeOf(ctx, m.Base.Commit); err != nil {
		return err
	}
	if r.flags.command == "check" {
		m.Head.Ref = r.flags.head
		if m.Head.Commit, err = r.repo.Resolve(ctx, r.flags.head); err != nil {
			return err
		}
		m.Head.Tree, err = r.repo.TreeOf(ctx, m.Head.Commit)
		return err
	}
	return r.resolveWorkTree(ctx)
}

func (r *run) resolveWorkTree(ctx context.Context) error {
	m := &r.manifest
	if err := r.repo.CheckSubmodules(ctx); err != nil {
		return err
	}
	var err error
	m.Head.Ref = "working tree"
	if m.Head.Commit, err = r.repo.Resolve(ctx, "HEAD"); err != nil {
		return err
	}
	if m.Head.Tree, err = r.repo.WorkTree(ctx); err != nil {
		return err
	}
	committed, err := r.repo.TreeOf(ctx, m.Head.Commit)
	if err != nil {
		return err
	}
	m.Head.Dirty = committed != m.Head.Tree
	// Nothing to compare and nothing asked for: show the tool at work, on two
	// equal sides.
	m.AA = r.flags.base == "" && m.Base.Tree == m.Head.Tree
	return nil
}

// checkOut makes the folders of both sides.
func (r *run) checkOut(ctx context.Context) error {
	var err error
	m := &r.manifest
	if r.out, err = claimOut(r.flags, r.repo.Private, r.env.Dir, m.Base.Commit, m.Head.Commit); err != nil {
		return err
	}
	if r.baseTop, r.baseDir, err = r.addWorktree(ctx, m.Base.Commit); err != nil {
		return err
	}
	if r.flags.command == "check" {
		if r.headTop, r.headDir, err = r.addWorktree(ctx, m.Head.Commit); err != nil {
			return err
		}
	}
	return nil
}

// addWorktree checks commit out, and gives the tree's root and the module's
// folder in it.
func (r *run) addWorktree(ctx context.Context, commit string) (top, module string, err error) {
	module, remove, err := r.repo.AddWorktree(ctx, commit)
	if err != nil {
		return "", "", err
	}
	r.cleanups = append(r.cleanups, remove)
	return strings.TrimSuffix(module, string(filepath.Separator)+r.repo.Module), module, nil
}

// configure reads the base side's perfgate.yml: a change cannot bring its own
// policy.
func (r *run) configure(ctx context.Context) error {
	data, err := os.ReadFile(filepath.Join(r.baseDir, configFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.cfg = config.Default()
		if _, err := os.Stat(filepath.Join(r.headDir, configFile)); err == nil {
			r.warn("%s is new on the head side: it counts once it is on the base side", configFile)
		}
	case err != nil:
		return fmt.Errorf("reading the policy: %w", err)
	default:
		if r.cfg, err = config.Parse(data, configFile); err != nil {
			return fmt.Errorf("base side: %w", err)
		}
		if head, err := os.ReadFile(filepath.Join(r.headDir, configFile)); err != nil || string(head) != string(data) {
			r.warn("%s differs between the sides: the base side's counts", configFile)
		}
	}
	r.manifest.Policy = r.cfg.Policy
	if err := r.readWaivers(ctx); err != nil {
		return err
	}
	return r.chooseSuite()
}

// readWaivers reads what the head side's commits ask to be accepted. Whether
// that may be is the base side's policy.
func (r *run) readWaivers(ctx context.Context) error {
	trailers, err := r.repo.Trailers(ctx, r.manifest.Base.Commit, r.manifest.Head.Commit, config.WaiverTrailer)
	if err != nil {
		return err
	}
	for _, t := range trailers {
		w := config.ParseWaiver(t.Value, t.Commit, time.Now())
		switch {
		case w.Refused != "":
		case !r.cfg.Waivers.Allow:
			w.Refused = "the base side's policy allows no waivers"
		case len(r.cfg.Waivers.By) > 0:
			w.Refused = "it counts once " + strings.Join(r.cfg.Waivers.By, " or ") + " has approved the pull request"
		}
		r.manifest.Waivers = append(r.manifest.Waivers, w)
	}
	return nil
}

func (r *run) warn(format string, args ...any) {
	r.manifest.Warnings = append(r.manifest.Warnings, fmt.Sprintf(format, args...))
}

// chooseSuite decides what is measured: --pkg, --suite, the smoke suite, or
// every benchmark of the module.
func (r *run) chooseSuite() error {
	name := r.flags.suite
	if len(r.flags.packages) > 0 {
		if name != "" {
			return errors.New("--pkg and --suite exclude each other: a suite names its own packages")
		}
		for _, pattern := range r.flags.packages {
			r.suite.Packages = append(r.suite.Packages, r.fromModule(pattern))
		}
		return nil
	}
	if name == "" && len(r.cfg.Suites) == 0 {
		r.suite = config.Suite{Packages: []string{"./..."}}
		return nil
	}
	names := slices.Sorted(maps.Keys(r.cfg.Suites))
	switch {
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		name = defaultSuite
	}
	chosen, ok := r.cfg.Suites[name]
	switch {
	case len(names) == 0:
		return fmt.Errorf("--suite %q: the base side has no suites in %s; a file in the working tree counts once it is committed to the base", name, configFile)
	case !ok && r.flags.suite == "":
		return fmt.Errorf("the base side's %s has no suite %q, which is the default: choose one with --suite: %s", configFile, name, strings.Join(names, ", "))
	case !ok:
		return fmt.Errorf("--suite %q: the base side's %s has %s", name, configFile, strings.Join(names, ", "))
	}
	r.suite, r.manifest.Suite = chosen, name
	return nil
}

// fromModule turns a package pattern relative to the working folder into one
// relative to the module, which is where both sides are built.
func (r *run) fromModule(pattern string) string {
	if pattern != "." && pattern != ".." && !strings.HasPrefix(pattern, "./") && !strings.HasPrefix(pattern, "../") {
		return pattern
	}
	dir, err := filepath.EvalSymlinks(r.env.Dir)
	if err != nil {
		return pattern
	}
	rel, err := filepath.Rel(filepath.Join(r.repo.Top, r.repo.Module), dir)
	if err != nil {
		return pattern
	}
	return "./" + path.Join(filepath.ToSlash(rel), pattern)
}

// prepare fills in what the measuring needs.
func (r *run) prepare(context.Context) error {
	removeStaleScratch()
	scratch, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", scratchPrefix, os.Getpid()))
	if err != nil {
		return fmt.Errorf("%w: %w", measure.ErrNoRoom, err)
	}
	r.cleanups = append(r.cleanups, func() { os.RemoveAll(scratch) })
	bench := r.flags.bench
	if bench == "." && r.suite.Bench != "" {
		bench = r.suite.Bench
	}
	r.measure = measure.Config{
		Toolchain: r.tool, BaseDir: r.baseDir, HeadDir: r.headDir, BaseTop: r.baseTop, HeadTop: r.headTop,
		Packages: r.suite.Packages, Bench: bench, Inputs: r.cfg.Inputs,
		MeasureIdentical: r.manifest.AA,
		Cores:            machine.Cores(), CanPin: machine.CanPin(), Seed: r.manifest.Seed, PlanLimit: r.flags.timeout,
		Redefined: r.redefined,
		Report:    r.progress.show, Scratch: scratch,
		NewStopper: func(family []recording.Test, units map[string]recording.Unit) (measure.Stopper, error) {
			return stopper{verdict.NewTracker(family, units, r.manifest.Policy, r.manifest.Shard)}, nil
		},
	}
	budget := r.flags.budget
	if budget == 0 {
		budget = r.suite.Budget
	}
	if budget == 0 {
		budget = defaultBudget
	}
	r.measure.Deadline = r.started.Add(budget - min(closingTime, budget/10))
	r.manifest.BudgetSeconds = budget.Seconds()
	if err := r.readSuite(); err != nil {
		return err
	}
	if shard := r.manifest.Shard; shard != nil {
		shard.FamilyMin = familyMin(r.measure.Only)
		r.measure.Shard = shard
	}
	return nil
}

// scratchPrefix begins the name of every folder for test binaries; the process
// id follows.
const scratchPrefix = "perfgate-build-"

// removeStaleScratch removes what runs that were killed have left.
func removeStaleScratch() {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), scratchPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		pid, _, ours := strings.Cut(strings.TrimPrefix(filepath.Base(dir), scratchPrefix), "-")
		if n, err := strconv.Atoi(pid); ours && err == nil && n > 0 && !repo.Alive(n) {
			os.RemoveAll(dir)
		}
	}
}

// defaultBudget holds where neither --budget nor a suite gives one.
const defaultBudget = 5 * time.Minute

// closingTime is kept free at the end of the budget (a tenth of a short one) for
// writing the bundle and removing the worktree.
const closingTime = 5 * time.Second

// readSuite reads the suite's manifest from the base side.
func (r *run) readSuite() error {
	if r.suite.Manifest == "" {
		return nil
	}
	m, err := suite.Load(filepath.Join(r.baseDir, filepath.FromSlash(r.suite.Manifest)))
	if err != nil {
		return fmt.Errorf("base side: suite %s: %w", r.manifest.Suite, err)
	}
	if r.measure.Only = m.Keys(r.manifest.Suite); len(r.measure.Only) == 0 {
		return fmt.Errorf("base side: %s lists no benchmark of size %q", r.suite.Manifest, r.manifest.Suite)
	}
	return nil
}

// redefined looks for benchmarks whose own code the change has touched.
func (r *run) redefined(base, head map[string]string) (map[string]string, error) {
	if len(base) == 0 || len(head) == 0 {
		return nil, nil
	}
	definitions := func(dir string, packages map[string]string) (map[string]string, error) {
		src := suite.Source{ModuleDir: dir, Packages: packages}
		if r.suite.Manifest != "" {
			src.Root = filepath.Join(dir, filepath.FromSlash(path.Dir(r.suite.Manifest)))
		}
		return suite.Definitions(src)
	}
	onBase, err := definitions(r.baseDir, base)
	if err != nil {
		return nil, fmt.Errorf("base side: reading the benchmarks: %w", err)
	}
	onHead, err := definitions(r.headDir, head)
	if err != nil {
		return nil, fmt.Errorf("head side: reading the benchmarks: %w", err)
	}
	r.definitions = onHead
	return suite.Redefined(onBase, onHead), nil
}

// stopper drives the verdict's tracker from the measuring side.
type stopper struct{ *verdict.Tracker }

func (s stopper) Pair(base, head recording.Sample) error { return s.AddPair(base, head) }
func (s stopper) Look()                                  { s.Tracker.Look() }
func (s stopper) Undecided(key recording.Key, channel recording.Channel) bool {
	return s.Wants(key, channel)
}
func (s stopper) Regressed(key recording.Key, channel recording.Channel) bool {
	return s.FoundSlower(key, channel)
}

// checkUnchanged voids the run when the tree is not the one that was built.
func (r *run) checkUnchanged(ctx context.Context, result *measure.Result) error {
	if r.flags.command != "local" {
		return nil
	}
	tree, err := r.repo.WorkTree(ctx)
	if err != nil {
		return err
	}
	if tree != r.manifest.Head.Tree {
		result.Outcomes = append(result.Outcomes, recording.Outcome{Side: recording.Head, Kind: recording.Void,
			Detail: "the working tree changed while it was measured; run again and leave it alone"})
	}
	return nil
}

// conclude decides, stores the bundle and reports.
func (r *run) conclude(result measure.Result) error {
	m := &r.manifest
	m.Units, m.Benchmarks, m.Family, m.Outcomes = result.Units, result.Benchmarks, result.Family, result.Outcomes
	for i, b := range m.Benchmarks {
		function, _, _ := strings.Cut(b.Key.Name, "/")
		m.Benchmarks[i].BenchHash = r.definitions[b.Key.Pkg+"."+function]
	}
	m.Warnings = append(m.Warnings, result.Warnings...)
	m.OutOfTime = result.OutOfTime
	m.WallSeconds = round(time.Since(r.started).Seconds())
	m.CPUSeconds = round(result.CPU.Seconds())
	bundle := recording.Bundle{Manifest: *m, Samples: result.Samples, Canary: result.Canary}
	if err := r.compareBaseline(&bundle); err != nil {
		return err
	}
	writeErr := recording.Write(r.out, bundle)
	if writeErr == nil {
		// What is reported is what a replay will read.
		stored, err := recording.Read(r.out)
		if err != nil {
			return fmt.Errorf("reading the bundle back: %w", err)
		}
		bundle = stored
	}
	v, err := verdict.Decide(bundle)
	if err != nil {
		return fmt.Errorf("deciding: %w", err)
	}
	r.exit = v.Exit
	if writeErr != nil {
		fmt.Fprintf(r.env.Stderr, "perfgate: %v: %v; the report below is not stored: free some space, or give another place with --out\n", errNotWritable, writeErr)
		if r.exit == verdict.ExitPass {
			v.Exit, v.Headline, r.exit = verdict.ExitNotMeasured, verdict.SuiteNotMeasured, verdict.ExitNotMeasured
		}
	}
	r.progress.done()
	return r.env.showReport(bundle, v, r.out, r.flags.format, r.flags.all)
}

func round(seconds float64) float64 { return float64(int(seconds*10+0.5)) / 10 }

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
