package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

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
	places      map[string]suite.Place
	stored      stored // the baseline to compare with
	out         string
}

// cleanUp undoes, in reverse, what the run has put into the world. It runs
// after an interrupt too.
func (r *run) cleanUp() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

// do measures and decides. Only what makes the run impossible is an error.
func (r *run) do(ctx context.Context) (recording.Bundle, verdict.Verdict, error) {
	r.started = time.Now()
	none := func(err error) (recording.Bundle, verdict.Verdict, error) {
		return recording.Bundle{}, verdict.Verdict{}, err
	}
	steps := []func(context.Context) error{r.open, r.resolve, r.checkOut, r.chooseToolchain, r.configure, r.prepare, r.readBaseline}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return none(err)
		}
	}
	watch := machine.NewWatch()
	result, err := measure.Run(ctx, r.measure)
	if err != nil {
		return none(err)
	}
	if weather := watch.Weather().String(); weather != "" {
		r.manifest.Machine.Notes = append(r.manifest.Machine.Notes, weather)
	}
	if err := r.checkUnchanged(ctx, &result); err != nil {
		return none(err)
	}
	return r.conclude(ctx, result)
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
		m.Base.Ref, m.BaseReason = r.flags.base, cmp.Or(r.flags.baseReason, "--base")
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
		Cores:            machine.Cores(), CanPin: machine.CanPin(), CountEvent: machine.InstructionsEvent(), Seed: r.manifest.Seed, PlanLimit: r.flags.timeout,
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
	if r.flags.budget == 0 {
		// The first run on a machine compiles everything, and would have no time left
		// for what it is there for. Whoever gives a time gets no more than that.
		r.measure.MeasureAtLeast = budget / 2
	}
	r.manifest.BudgetSeconds = budget.Seconds()
	r.profiles()
	if err := r.readSuite(); err != nil {
		return err
	}
	if shard := r.manifest.Shard; shard != nil {
		// A single part is the whole suite: there are no tests of others to count.
		if shard.Count > 1 {
			shard.FamilyMin = familyMin(r.measure.Only)
		}
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

// redefined looks for benchmarks whose own code the change has touched.
func (r *run) redefined(base, head map[string]string) (map[string]string, error) {
	if len(base) == 0 || len(head) == 0 {
		return nil, nil
	}
	source := func(dir string, packages map[string]string) suite.Source {
		src := suite.Source{ModuleDir: dir, Packages: packages}
		if r.suite.Manifest != "" {
			src.Root = filepath.Join(dir, filepath.FromSlash(path.Dir(r.suite.Manifest)))
		}
		return src
	}
	onBase, err := suite.Definitions(source(r.baseDir, base))
	if err != nil {
		return nil, fmt.Errorf("base side: reading the benchmarks: %w", err)
	}
	onHead, err := suite.Definitions(source(r.headDir, head))
	if err == nil {
		r.places, err = suite.Places(source(r.headDir, head))
	}
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

// bundle is what was measured, with what is known of the run.
func (r *run) bundle(result measure.Result) recording.Bundle {
	m := &r.manifest
	m.Units, m.Benchmarks, m.Family, m.Outcomes = result.Units, result.Benchmarks, result.Family, result.Outcomes
	for i, b := range m.Benchmarks {
		function, _, _ := strings.Cut(b.Key.Name, "/")
		m.Benchmarks[i].BenchHash = r.definitions[b.Key.Pkg+"."+function]
		if at, ok := r.places[b.Key.Pkg+"."+function]; ok {
			m.Benchmarks[i].File, m.Benchmarks[i].Line = path.Join(filepath.ToSlash(r.repo.Module), at.File), at.Line
		}
	}
	b := recording.Bundle{Manifest: *m, Samples: result.Samples, Canary: result.Canary}
	b.Manifest.Warnings = slices.Concat(m.Warnings, result.Warnings)
	b.Manifest.OutOfTime = result.OutOfTime
	b.Manifest.WallSeconds = round(time.Since(r.started).Seconds())
	b.Manifest.CPUSeconds = round(result.CPU.Seconds())
	return b
}

// conclude stores the bundle and decides on it.
func (r *run) conclude(ctx context.Context, result measure.Result) (recording.Bundle, verdict.Verdict, error) {
	bundle := r.bundle(result)
	r.attach(ctx, &bundle, result)
	r.compareBaseline(&bundle)
	writeErr := recording.Write(r.out, bundle)
	if writeErr == nil {
		// What is reported is what a replay will read.
		stored, err := recording.Read(r.out)
		if err != nil {
			return bundle, verdict.Verdict{}, fmt.Errorf("reading the bundle back: %w", err)
		}
		bundle = stored
	}
	v, err := verdict.Decide(bundle)
	if err != nil {
		return bundle, v, fmt.Errorf("deciding: %w", err)
	}
	if writeErr != nil {
		fmt.Fprintf(r.env.Stderr, "perfgate: %v: %v; the report below is not stored: free some space, or give another place with --out\n", errNotWritable, writeErr)
		if v.Exit == verdict.ExitPass {
			v.Exit, v.Headline = verdict.ExitNotMeasured, verdict.SuiteNotMeasured
		}
	}
	return bundle, v, nil
}

func round(seconds float64) float64 { return float64(int(seconds*10+0.5)) / 10 }
