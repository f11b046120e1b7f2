package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// runFlags are what one call is asked to do.
type runFlags struct {
	data, perfgate, rev, keep string
	only                      only
	budget, checkBudget       time.Duration
	repeat                    int
	again                     bool
	lane                      lane
}

func (f *runFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.data, "data", "", "append one line for each run to a file in the folder `DIR` (required)")
	flags.Var(&f.only, "only", "only the injections whose name matches `REGEX`")
	flags.DurationVar(&f.budget, "budget", 0, "begin no run that is not likely to end within `DURATION`; 0 is no limit")
	flags.DurationVar(&f.checkBudget, "check-budget", 90*time.Second, "give each check `DURATION`, builds included; profiles come after it")
	flags.IntVar(&f.repeat, "repeat", 1, "go on until every injection has `N` runs")
	flags.BoolVar(&f.again, "again", false, "runs that ended in an error do not count")
	flags.Var(&f.lane, "lane", "only every N-th injection, beginning with the I-th, of `I/N`: N calls, each held to a core of its own, share the work")
	flags.StringVar(&f.perfgate, "perfgate", "", "measure with the program at `PATH` (default: built from this repository)")
	flags.StringVar(&f.rev, "rev", "", "of this repository take the commit `REV` (default: HEAD)")
	flags.StringVar(&f.keep, "keep", "", "keep the bundles below the folder `DIR`")
}

func (f *runFlags) validate() error {
	switch {
	case f.data == "":
		return errors.New("run: --data: name the folder of the runs, such as docs/evidence/attribution")
	case f.repeat < 1:
		return fmt.Errorf("run: --repeat %d: give 1 or more", f.repeat)
	case f.budget < 0 || f.checkBudget <= 0:
		return errors.New("run: --budget and --check-budget: give a positive duration, such as 90s")
	}
	return nil
}

// lane is a flag: the part I of N.
type lane struct{ i, n int }

func (l *lane) String() string {
	if l.n == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", l.i, l.n)
}

func (l *lane) Set(s string) error {
	var rest string
	if n, _ := fmt.Sscanf(s+" .", "%d/%d %s", &l.i, &l.n, &rest); n != 3 || rest != "." || l.i < 1 || l.i > l.n {
		return errors.New("write I/N with I from 1 to N, such as 1/2")
	}
	return nil
}

// has tells whether the lane takes the index-th injection, from 0.
func (l *lane) has(index int) bool { return l.n == 0 || index%l.n == l.i-1 }

// file is where a lane writes: no two lanes write to one file.
func (l *lane) file() string {
	if l.n == 0 {
		return "runs.jsonl"
	}
	return fmt.Sprintf("runs-%d-of-%d.jsonl", l.i, l.n)
}

// task is one injection with the set that it is of.
type task struct {
	set *Set
	in  *Injection
}

// campaign carries a call out.
type campaign struct {
	flags  runFlags
	root   string // of this repository
	base   string // the commit that injections of this repository change
	commit string // what perfgate was built from; empty where it was given
	stdout io.Writer
	// executed is what the base sides' benchmarks were seen to execute.
	executed executed
	// measure runs one injection in the folder work. What it gives is not complete.
	measure func(ctx context.Context, work string, t task, l *Line) error
}

// runRun measures what has not been measured yet.
func runRun(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c := campaign{stdout: stdout, executed: executed{}}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	c.flags.define(flags)
	if err := parseFlags(flags, args, stderr); err != nil {
		return err
	}
	if err := c.flags.validate(); err != nil {
		return err
	}
	sets, err := loadSets(embedded)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "attribution-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := c.prepare(ctx, work); err != nil {
		return err
	}
	return c.run(ctx, work, c.tasks(sets))
}

// prepare finds the repository and the program that measures.
func (c *campaign) prepare(ctx context.Context, work string) (err error) {
	if c.root, err = moduleRoot(ctx); err != nil {
		return err
	}
	// Commands run in other folders.
	for _, path := range []*string{&c.flags.data, &c.flags.perfgate, &c.flags.keep} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if c.flags.data == c.root {
		return errors.New("run: --data: the root of the repository is no folder for runs alone: name one such as docs/evidence/attribution")
	}
	// The injections, and perfgate where none is given, are those of the working tree.
	if (c.flags.rev == "" || c.flags.perfgate == "") && dirty(ctx, c.root, c.flags.data) {
		return errors.New("run: the working tree differs from HEAD, so that nobody could measure the same again: commit what you have, or name a commit with --rev and a program with --perfgate")
	}
	out, err := runIn(ctx, c.root, nil, "git", "rev-parse", "--verify", cmp.Or(c.flags.rev, "HEAD")+"^{commit}")
	if err != nil {
		return err
	}
	c.base = strings.TrimSpace(out)
	c.measure = c.check
	if c.flags.perfgate != "" {
		return nil
	}
	if out, err = runIn(ctx, c.root, nil, "git", "rev-parse", "HEAD"); err != nil {
		return err
	}
	c.commit, c.flags.perfgate = strings.TrimSpace(out), filepath.Join(work, "perfgate")
	_, err = runIn(ctx, c.root, nil, "go", "build", "-o", c.flags.perfgate, "./cmd/perfgate")
	return err
}

// dirty: the tree has changes, other than what this program writes into the folder
// of the runs. Where git does not say, nobody knows.
func dirty(ctx context.Context, root, data string) bool {
	args := []string{"status", "--porcelain", "--untracked-files=all", "--", "."}
	if rel, err := filepath.Rel(root, data); err == nil && filepath.IsLocal(rel) {
		for _, name := range []string{"*.jsonl", reportFile} {
			args = append(args, ":(exclude,glob)"+filepath.ToSlash(rel)+"/"+name)
		}
	}
	out, err := runIn(ctx, root, nil, "git", args...)
	return err != nil || strings.TrimSpace(out) != ""
}

// tasks are the injections of this call, in the order of the files. A lane's share
// depends on the set and on --only, and not on what was measured already.
func (c *campaign) tasks(sets []*Set) []task {
	var tasks []task
	index := 0
	for _, s := range sets {
		for i := range s.Injections {
			if in := &s.Injections[i]; c.flags.only.match(in.Name) {
				if c.flags.lane.has(index) {
					tasks = append(tasks, task{s, in})
				}
				index++
			}
		}
	}
	return tasks
}

// run measures tasks until all have their runs, or the time is up.
func (c *campaign) run(ctx context.Context, work string, tasks []task) error {
	lines, err := readLines(c.flags.data)
	if err != nil {
		return err
	}
	runs, all := map[string]int{}, map[string]int{} // by definition; all draw other coins
	for _, l := range lines {
		all[l.Hash]++
		if l.Error == "" || !c.flags.again {
			runs[l.Hash]++
		}
	}
	started := time.Now()
	// Until there is a first run: what a check may take, with two minutes of profiles.
	longest := c.flags.checkBudget + 2*time.Minute
	measured := time.Duration(0)
	for repetition := 1; repetition <= c.flags.repeat; repetition++ {
		for _, t := range tasks {
			hash := t.in.Hash(t.set)
			if runs[hash] >= repetition {
				continue
			}
			if c.flags.budget > 0 && time.Since(started)+longest > c.flags.budget {
				fmt.Fprintln(c.stdout, "the budget is used up; run the same again to go on")
				return nil
			}
			began := time.Now()
			if err := c.one(ctx, work, t, seedOf(hash, all[hash]+1)); err != nil {
				return err
			}
			runs[hash]++
			all[hash]++
			measured = max(measured, time.Since(began))
			longest = measured
		}
	}
	fmt.Fprintf(c.stdout, "%d injections have %d runs each\n", len(tasks), c.flags.repeat)
	return nil
}

// one measures an injection and stores the line. A run that fails is a line too; an
// error is an interrupt, or what would keep every further run from being stored.
func (c *campaign) one(ctx context.Context, work string, t task, seed uint64) error {
	began := time.Now()
	l := Line{Schema: lineSchema, Name: t.in.Name, Kind: t.in.Kind, Hash: t.in.Hash(t.set), Seed: seed, Base: c.base, Commit: c.commit,
		Time: began.UTC().Format(time.RFC3339), CPUs: runtime.NumCPU(), BudgetSeconds: c.flags.checkBudget.Seconds(), Decoys: []string{}}
	if t.set.Module != "" {
		l.Base = t.set.Module + "@" + t.set.Version
	}
	dir, err := os.MkdirTemp(work, "run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(c.stdout, "%s\n", l.Name)
	err = c.measure(ctx, dir, t, &l)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: the run of %s is lost", l.Name)
	}
	if errors.Is(err, errKeep) {
		return err
	}
	if err != nil {
		// The folders of this machine tell nobody anything.
		l.Error = strings.NewReplacer(dir, "RUN", c.root, "ROOT").Replace(head(err.Error(), errorRunes))
		l.Tests, l.Profiled, l.DecoysOnStacks, l.GuiltyOnStacks = nil, nil, 0, 0
	}
	l.WallSeconds = rounded(time.Since(began).Seconds())
	fmt.Fprintf(c.stdout, "  %s\n", l.summary())
	return appendLine(filepath.Join(c.flags.data, c.flags.lane.file()), l)
}

// errorRunes bounds what a line keeps of an error.
const errorRunes = 1000

// summary is a line's outcome for somebody who watches.
func (l *Line) summary() string {
	if l.Error != "" {
		first, _, _ := strings.Cut(l.Error, "\n")
		return "not measured: " + first
	}
	t := l.answer()
	if t == nil {
		return "nothing is slower"
	}
	if len(t.Suspects) == 0 {
		return fmt.Sprintf("%s %s %s, no suspect: %s", t.Bench, t.Unit, percent(t.Slowdown), t.Note)
	}
	return fmt.Sprintf("%s %s %s: %s", t.Bench, t.Unit, percent(t.Slowdown), t.Suspects[0].name())
}

// check prepares both sides, lets perfgate compare them, and reads the bundle.
func (c *campaign) check(ctx context.Context, work string, t task, l *Line) error {
	p, err := preparePair(ctx, c.root, c.base, work, t.set, t.in, l.Seed, c.executed)
	if err != nil {
		return err
	}
	l.Decoys = p.decoys
	bundle := filepath.Join(work, "bundle")
	args := []string{"check", "--base", p.base, "--head", p.head, "--bench", t.in.Bench, "--budget", c.flags.checkBudget.String(),
		"--profile", "always", "--seed", fmt.Sprint(l.Seed), "--out", bundle}
	for _, pkg := range t.in.Packages {
		args = append(args, "--pkg", pkg)
	}
	if err := c.perfgate(ctx, p, args); err != nil {
		return err
	}
	b, err := recording.Read(bundle)
	if err != nil {
		return err
	}
	if err := c.keepBundle(bundle, t.in.Name, l.Seed); err != nil {
		return err
	}
	return l.read(&b, t.in)
}

// perfgate runs the program. That something is slower, or not measurable, is no
// error here: the bundle says it.
func (c *campaign) perfgate(ctx context.Context, p pair, args []string) error {
	cmd := exec.CommandContext(ctx, c.flags.perfgate, args...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	// It removes its worktrees and ends its benchmarks by itself.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		switch exit.ExitCode() {
		case verdict.ExitRegression, verdict.ExitNotMeasured:
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("perfgate check: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// errKeep: the bundles cannot be kept, which is no fault of an injection.
var errKeep = errors.New("keeping the bundle")

// keepBundle copies a bundle to where bundles are kept, in place of what an
// interrupted run has left there.
func (c *campaign) keepBundle(bundle, name string, seed uint64) error {
	if c.flags.keep == "" {
		return nil
	}
	to := bundleOf(c.flags.keep, name, seed)
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("%w: %w", errKeep, err)
	}
	if err := os.CopyFS(to, os.DirFS(bundle)); err != nil {
		return fmt.Errorf("%w: %w", errKeep, err)
	}
	return nil
}

// bundleOf is where the bundle of a run is kept.
func bundleOf(keep, name string, seed uint64) string {
	return filepath.Join(keep, filepath.FromSlash(name), fmt.Sprint(seed))
}
