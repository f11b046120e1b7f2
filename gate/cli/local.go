package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/verdict"
)

// measureFlags are the flags that local and check share.
type measureFlags struct {
	command  string
	base     string
	head     string
	suite    string
	bench    string
	packages patterns
	out      string
	format   string
	all      bool
	seed     uint64
	timeout  time.Duration
	budget   time.Duration
	shard    shardFlag
	baseline string
	against  bool
	// baseReason says why base is the base; empty where somebody gave it.
	baseReason string
	// config is the path of the policy, slash-separated and relative to the
	// module; empty for the one at its root.
	config string
	// profile says which benchmarks are profiled afterwards; empty for none.
	profile profileWhen
	// pullRequest: nobody has accepted the change yet, so waivers are requests, and
	// what the change is judged by is looked at for edits.
	pullRequest bool
}

// patterns is a flag that may be given several times.
type patterns []string

func (p *patterns) String() string     { return strings.Join(*p, " ") }
func (p *patterns) Set(s string) error { *p = append(*p, s); return nil }

func (f *measureFlags) define(fs *flag.FlagSet) {
	f.defineMeasuring(fs)
	fs.StringVar(&f.base, "base", "", "compare with this `REF`; by default the merge base with origin/HEAD, main or master")
	fs.StringVar(&f.out, "out", "", "write the bundle to the new folder `DIR` instead of the git directory")
	fs.StringVar(&f.format, "format", "text", "report as `FORMAT`: text, json or markdown")
	fs.BoolVar(&f.all, "all", false, "show every row, not only those that matter")
}

// defineMeasuring are the flags that say what is measured and how, wherever the
// result goes.
func (f *measureFlags) defineMeasuring(fs *flag.FlagSet) {
	fs.StringVar(&f.suite, "suite", "", "run this `SUITE` of perfgate.yml: smoke (the default there), gate or full")
	fs.StringVar(&f.bench, "bench", ".", "run only benchmarks that match `REGEX`, as in go test -bench")
	fs.Var(&f.packages, "pkg", "measure the benchmarks of packages that match `PATTERN` instead of a suite; may be repeated")
	fs.DurationVar(&f.budget, "budget", 0, "stop measuring after `DURATION`, builds included; what is undecided then is inconclusive (default: the suite's, or 5m)")
	fs.DurationVar(&f.timeout, "timeout", time.Minute, "a benchmark function that has not ended its first short run after `DURATION` counts as hung")
	f.profile = profileAuto
	fs.Var(&f.profile, "profile", "`WHEN` to take profiles after the measuring, at most two minutes more: auto (of what was found slower), never or always")
	fs.Var(&f.shard, "shard", "measure only part `INDEX/COUNT` of the benchmark functions, such as 2/4; `perfgate merge` joins the parts")
	fs.StringVar(&f.baseline, "baseline", "", "the stored baselines are in `PLACE`: a folder, branch:NAME, or a URL such as s3://BUCKET/PREFIX (default: what the base side's perfgate.yml says)")
	fs.BoolVar(&f.against, "against-baseline", false, "fail where an exact metric is worse than the stored baseline's and no run of the base side clears this change of it")
	fs.Uint64Var(&f.seed, "seed", 0, "draw every coin from `SEED`; 0 takes a fresh one")
}

func runLocal(ctx context.Context, env *Env, args []string) int {
	f := measureFlags{command: "local"}
	fs := flag.NewFlagSet("local", flag.ContinueOnError)
	f.define(fs)
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	if err := f.validate(fs); err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	return env.measure(ctx, f)
}

// validate checks what package flag cannot.
func (f *measureFlags) validate(fs *flag.FlagSet) error {
	var err error
	fs.Visit(func(given *flag.Flag) {
		if given.Name == "budget" && f.budget <= 0 || given.Name == "timeout" && f.timeout <= 0 {
			err = fmt.Errorf("--%s %s: give a positive duration, such as 10m", given.Name, given.Value)
		}
	})
	return err
}

// benchFilter is the -bench pattern where it leaves anything out.
func (f *measureFlags) benchFilter() string {
	if f.bench == "." {
		return ""
	}
	return f.bench
}

func runCheck(ctx context.Context, env *Env, args []string) int {
	f := measureFlags{command: "check"}
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	f.define(fs)
	fs.StringVar(&f.head, "head", "", "measure this `REF` (required)")
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	if err := f.validate(fs); err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	if f.base == "" || f.head == "" {
		return env.fail(verdict.ExitUsage, errors.New("check compares two commits: give both --base REF and --head REF"))
	}
	return env.measure(ctx, f)
}

// measure runs local or check and maps what can go wrong to exit codes.
func (e *Env) measure(ctx context.Context, f measureFlags) int {
	_, v, err := e.measureAndShow(ctx, f)
	if err != nil {
		return e.fail(failureCode(ctx, err))
	}
	return v.Exit
}

// measureAndShow measures, decides, and writes the report.
func (e *Env) measureAndShow(ctx context.Context, f measureFlags) (recording.Bundle, verdict.Verdict, error) {
	r := &run{env: e, flags: f, progress: newProgress(e)}
	defer r.cleanUp()
	bundle, v, err := r.do(ctx)
	r.progress.done()
	if err == nil {
		err = e.showReport(bundle, v, r.out, f.format, f.all)
	}
	return bundle, v, err
}

// failureCode maps what made a run impossible to an exit code and what to say.
func failureCode(ctx context.Context, err error) (int, error) {
	var build *measure.BuildError
	switch {
	case ctx.Err() != nil:
		return verdict.ExitInterrupted, context.Canceled
	case errors.Is(err, repo.ErrSubmodule), errors.Is(err, errNotWritable), errors.Is(err, measure.ErrNoRoom), errors.Is(err, errShallow):
		return verdict.ExitNotMeasured, err
	case errors.As(err, &build) && build.Side == recording.Head:
		return verdict.ExitUsage, fmt.Errorf("%w\nfix the head side and run again; the base side was not blamed", err)
	}
	return verdict.ExitUsage, err
}

// errNotWritable: the bundle cannot be stored.
var errNotWritable = errors.New("the bundle cannot be written")

// claimOut makes sure, before anything is measured, that the bundle can be
// stored, and says where.
func claimOut(flags measureFlags, private, dir, base, head string) (string, error) {
	if flags.out == "" {
		for n := 1; ; n++ {
			out := filepath.Join(private, fmt.Sprintf("%s-%s-%d", base[:7], head[:7], n))
			if _, err := os.Lstat(out); errors.Is(err, os.ErrNotExist) {
				return out, probe(private)
			}
		}
	}
	out := flags.out
	if !filepath.IsAbs(out) {
		out = filepath.Join(dir, out)
	}
	if _, err := os.Lstat(out); err == nil {
		return "", fmt.Errorf("--out %s exists already: give a new folder", flags.out)
	}
	return out, probe(filepath.Dir(out))
}

// probe writes a little into dir, and removes it again.
func probe(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("%w: %w; give another place with --out", errNotWritable, err)
	}
	f, err := os.CreateTemp(dir, ".perfgate-probe-")
	if err == nil {
		_, err = f.Write(make([]byte, 64<<10))
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		os.Remove(f.Name())
	}
	if err != nil {
		return fmt.Errorf("%w: %w; free some space, or give another place with --out", errNotWritable, err)
	}
	return nil
}
