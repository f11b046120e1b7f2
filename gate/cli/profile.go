package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/flame"
	"github.com/perfgate/perfgate/gate/machine"
	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/verdict"
)

const profileHelp = `Shows where a benchmark of the working tree spends its time, or what it
allocates: a table by package and by function, and a flame graph as one HTML
file. BENCH is a regular expression as for go test -bench.

With --bundle it shows the profiles that a run recorded, head against base, with
what is more than chance.`

// profileFlags are those of the profile command.
type profileFlags struct {
	bench    string
	packages patterns
	kind     string
	bundle   string
	out      string
	time     time.Duration
	timeout  time.Duration
	top      int
}

const (
	// profiledMax bounds the benchmarks of one call: each has its own tables.
	profiledMax = 10
	// profileReplicates of one version are enough to see which functions are large.
	profileReplicates = 3
)

func runProfile(ctx context.Context, env *Env, args []string) int {
	f := profileFlags{bench: "."}
	fs := flag.NewFlagSet("profile", flag.ContinueOnError)
	fs.Var(&f.packages, "pkg", "look for the benchmark in packages that match `PATTERN` (default ./...); may be repeated")
	fs.StringVar(&f.kind, "kind", "cpu", "what to show, `KIND`: cpu, alloc, mutex (who made others wait for a lock), block (who waited),\ngoroutine (how many there are at a time, and where), or trace (the runtime's own log, for go tool trace)")
	fs.StringVar(&f.bundle, "bundle", "", "show the profiles of `BUNDLE` instead of taking new ones")
	fs.StringVar(&f.out, "out", "", "write the files to the folder `DIR` (default: below the git directory)")
	fs.DurationVar(&f.time, "time", 5*time.Second, "run each benchmark for about `DURATION`")
	fs.DurationVar(&f.timeout, "timeout", time.Minute, "a benchmark function that has not ended its first short run after `DURATION` counts as hung")
	fs.IntVar(&f.top, "top", 15, "list `N` functions")
	fs.Usage = env.usageOf(fs, "profile [flags] [BENCH]", profileHelp)
	if code, ok := env.parse(fs, args, -1); !ok {
		return code
	}
	if fs.NArg() > 1 {
		return env.fail(verdict.ExitUsage, fmt.Errorf("profile: give one regular expression; %q is the second operand", fs.Arg(1)))
	}
	if fs.NArg() == 1 {
		f.bench = fs.Arg(0)
	}
	err := f.validate()
	if err == nil && f.bundle != "" {
		err = env.profileBundle(f)
	} else if err == nil {
		err = env.profileTree(ctx, f)
	}
	var failed *measure.LeavesError
	switch {
	case err == nil:
		return verdict.ExitPass
	case ctx.Err() != nil:
		return env.fail(verdict.ExitInterrupted, context.Canceled)
	case errors.As(err, &failed), errors.Is(err, errNotWritable), errors.Is(err, measure.ErrNoRoom):
		return env.fail(verdict.ExitNotMeasured, err)
	}
	return env.fail(verdict.ExitUsage, err)
}

func (f *profileFlags) validate() error {
	switch {
	case f.kind == string(recording.ExecutionTrace) && f.bundle != "":
		return errors.New("--kind trace: a bundle has no execution traces, which are too large; leave out --bundle to take one of the working tree")
	case f.kind != string(recording.ExecutionTrace) && !slices.Contains(recording.ProfileKinds, recording.ProfileKind(f.kind)):
		return fmt.Errorf("--kind %q: cpu, alloc, mutex, block, goroutine and trace are known", f.kind)
	case f.time <= 0 || f.timeout <= 0:
		return errors.New("--time and --timeout want a positive duration, such as 10s")
	case f.top < 1:
		return fmt.Errorf("--top %d: give at least 1", f.top)
	}
	if _, err := regexp.Compile(f.bench); err != nil {
		return fmt.Errorf("%q is no regular expression: %w", f.bench, err)
	}
	if len(f.packages) == 0 {
		f.packages = patterns{"./..."}
	}
	return nil
}

// metricOf is what is shown of a kind of profile.
func metricOf(kind recording.ProfileKind) profdiff.Metric {
	switch kind {
	case recording.AllocProfile:
		return profdiff.Bytes
	case recording.GoroutineProfile:
		return profdiff.Goroutines
	}
	return profdiff.Time
}

// profileTree takes profiles of the working tree and shows them.
func (e *Env) profileTree(ctx context.Context, f profileFlags) error {
	tool, err := measure.FindToolchain(ctx, e.Dir)
	if err != nil {
		return err
	}
	dir, err := e.profileFolder(ctx, f.out)
	if err != nil {
		return err
	}
	removeStaleScratch()
	scratch, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", scratchPrefix, os.Getpid()))
	if err != nil {
		return fmt.Errorf("%w: %w", measure.ErrNoRoom, err)
	}
	defer os.RemoveAll(scratch)
	reps := profileReplicates
	if f.kind == string(recording.ExecutionTrace) {
		reps = 1 // traces cannot be added up
	}
	progress := newProgress(e)
	profiles, err := measure.Profiles(ctx, measure.ProfileConfig{
		Toolchain: tool, Dir: e.Dir, Packages: f.packages, Bench: f.bench, Kinds: []recording.ProfileKind{recording.ProfileKind(f.kind)},
		Time: f.time, Reps: reps, BenchmarksMax: profiledMax, Cores: machine.Cores(), CanPin: machine.CanPin(),
		PlanLimit: f.timeout, Report: progress.show, Scratch: scratch,
	})
	progress.done()
	if err != nil {
		return err
	}
	if f.kind == string(recording.ExecutionTrace) {
		return e.writeTraces(profiles, dir)
	}
	runs := map[recording.Key][]profdiff.Run{}
	var keys []recording.Key
	for _, p := range profiles {
		parsed, err := recording.DecodeProfile(p.Data)
		if err != nil {
			return err
		}
		if runs[p.Key] == nil {
			keys = append(keys, p.Key)
		}
		runs[p.Key] = append(runs[p.Key], profdiff.Run{Profile: parsed, N: p.N})
	}
	for _, key := range keys {
		if err := e.showProfile(f, key, nil, runs[key], 0, dir); err != nil {
			return err
		}
	}
	return nil
}

// writeTraces writes execution traces, each with the command that shows it.
func (e *Env) writeTraces(traces []measure.Profiled, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("%w: %w", errNotWritable, err)
	}
	for _, t := range traces {
		path := filepath.Join(dir, fileName(t.Key)+".trace")
		if err := os.WriteFile(path, t.Data, 0o644); err != nil {
			return fmt.Errorf("%w: %w", errNotWritable, err)
		}
		fmt.Fprintf(e.Stdout, "execution trace of %s, %d operations, %d KiB\n\n  go tool trace %s\n\n", t.Key, t.N, len(t.Data)>>10, e.relative(path))
	}
	return nil
}

// profileBundle shows the profiles of a bundle.
func (e *Env) profileBundle(f profileFlags) error {
	b, err := recording.Read(e.path(f.bundle))
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	v, err := verdict.Decide(b)
	if err != nil {
		return fmt.Errorf("profile: %s contradicts itself: %w", f.bundle, err)
	}
	pattern := regexp.MustCompile(f.bench) // validate has compiled it
	kind := recording.ProfileKind(f.kind)
	var keys []recording.Key
	for _, p := range b.Manifest.Profiles {
		if p.Kind == kind && pattern.MatchString(p.Key.Name) && !slices.Contains(keys, p.Key) {
			keys = append(keys, p.Key)
		}
	}
	if len(keys) == 0 {
		return fmt.Errorf("profile: %s has no %s profile of a benchmark that matches %q; it has %s", f.bundle, kind, f.bench, profilesIn(&b))
	}
	dir, err := e.profileFolder(context.Background(), f.out)
	if err != nil {
		return err
	}
	for _, key := range keys {
		base, err := profdiff.Runs(&b, recording.Base, key, kind)
		if err != nil {
			return err
		}
		head, err := profdiff.Runs(&b, recording.Head, key, kind)
		if err != nil {
			return err
		}
		if err := e.showProfile(f, key, base, head, measuredRatio(v, key, kind), dir); err != nil {
			return err
		}
	}
	return nil
}

// measuredRatio is the ratio head/base of what a profile shows, where the run has
// measured that in pairs; else 0.
func measuredRatio(v verdict.Verdict, key recording.Key, kind recording.ProfileKind) float64 {
	for _, row := range v.Rows {
		t := row.Change.Test
		if t.Key == key && (t.Unit == "cpu-sec/op" && kind == recording.CPUProfile || t.Unit == "B/op" && kind == recording.AllocProfile) {
			return math.Exp(capped(slowdown(row)))
		}
	}
	return 0
}

// profilesIn lists what a bundle has.
func profilesIn(b *recording.Bundle) string {
	var all []string
	for _, p := range b.Manifest.Profiles {
		all = append(all, fmt.Sprintf("%s of %s", p.Kind, p.Key.Short(b.Manifest.Module)))
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return "none: `perfgate local --profile=always` records profiles of everything"
	}
	return strings.Join(all, ", ")
}

// profileFolder is where the files go.
func (e *Env) profileFolder(ctx context.Context, out string) (string, error) {
	if out != "" {
		return e.path(out), nil
	}
	root, err := measure.ModuleRoot(ctx, e.Dir)
	if err == nil {
		var r *repo.Repo
		if r, err = repo.Open(ctx, root); err == nil {
			return filepath.Join(r.Private, "profiles"), nil
		}
	}
	return "", fmt.Errorf("there is no git directory to write to (%w); give a folder with --out", err)
}

// showProfile prints the tables of one benchmark and writes its files.
func (e *Env) showProfile(f profileFlags, key recording.Key, base, head []profdiff.Run, ratio float64, dir string) error {
	kind := recording.ProfileKind(f.kind)
	d, err := profdiff.Join(kind, metricOf(kind), base, head, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	t := profileTables{env: e, data: d, top: f.top, result: profdiff.Diff(d, profdiff.Options{Measured: ratio})}
	title := fmt.Sprintf("%s profile of %s", kind, key)
	if err := t.print(title); err != nil {
		return err
	}
	files, err := e.writeProfiles(d, t.result.Factor, base, head, title, filepath.Join(dir, fileName(key)+"-"+f.kind))
	if err != nil {
		return fmt.Errorf("%w: %w", errNotWritable, err)
	}
	fmt.Fprintf(e.Stdout, "\nflame graph  %s\nother tools  %s.folded, %s.speedscope.json\npprof        perfgate pprof -http=localhost:0 %s\n\n",
		e.relative(files+".html"), e.relative(files), e.relative(files), e.relative(files+".pb.gz"))
	return nil
}

// fileName is a benchmark's name without what a file name cannot have.
func fileName(key recording.Key) string {
	return regexp.MustCompile(`[^A-Za-z0-9_=.]+`).ReplaceAllString(key.Short(filepath.Dir(key.Pkg)), "-")
}

// writeProfiles writes a profile in every form, and gives the files' common name.
func (e *Env) writeProfiles(d *profdiff.Data, factor float64, base, head []profdiff.Run, title, name string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return "", err
	}
	var page bytes.Buffer
	if err := flame.HTML(&page, d.Tree(factor), flame.Options{Title: title, Metric: d.Metric, Sides: len(base) > 0 && len(head) > 0}); err != nil {
		return "", err
	}
	speedscope, err := d.Speedscope(title)
	if err != nil {
		return "", err
	}
	merged, err := profdiff.Profile(base, head)
	if err != nil {
		return "", err
	}
	packed, err := recording.EncodeProfile(merged)
	if err != nil {
		return "", err
	}
	for _, file := range []struct {
		ending string
		data   []byte
	}{{".html", page.Bytes()}, {".folded", d.Folded()}, {".speedscope.json", speedscope}, {".pb.gz", packed}} {
		if err := os.WriteFile(name+file.ending, file.data, 0o644); err != nil {
			return "", err
		}
	}
	return name, nil
}
