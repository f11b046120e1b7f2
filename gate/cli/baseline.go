package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/verdict"
)

const defaultBaselines = "baselines"

const baselineSynopsis = "baseline record|show|verify [flags]"

// runBaseline has three commands of its own.
func runBaseline(ctx context.Context, env *Env, args []string) int {
	commands := map[string]func(context.Context, *Env, []string) int{
		"record": runBaselineRecord, "show": runBaselineShow, "verify": runBaselineVerify,
	}
	if len(args) > 0 {
		if run, ok := commands[args[0]]; ok {
			return run(ctx, env, args[1:])
		}
		if args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
			fmt.Fprintf(env.Stderr, "usage: perfgate %s\n", baselineSynopsis)
			return verdict.ExitPass
		}
		return env.fail(verdict.ExitUsage, fmt.Errorf("baseline: unknown command %q; usage: perfgate %s", args[0], baselineSynopsis))
	}
	return env.fail(verdict.ExitUsage, fmt.Errorf("baseline: no command; usage: perfgate %s", baselineSynopsis))
}

// runBaselineRecord stores the head side of a bundle.
func runBaselineRecord(ctx context.Context, env *Env, args []string) int {
	fs := flag.NewFlagSet("baseline record", flag.ContinueOnError)
	from := fs.String("from", "", "record the head side of this `BUNDLE`; by default of the newest one of this repository")
	dir := fs.String("dir", defaultBaselines, "store below `DIR`")
	runURL := fs.String("run-url", "", "note that it was measured at `URL`")
	fs.Usage = env.usageOf(fs, "baseline record [flags]", "Stores the head side of a bundle as the baseline of its suite and machine class.")
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	path := env.path(*from)
	if *from == "" {
		var err error
		if path, err = newestBundle(ctx, env.Dir); err != nil {
			return env.fail(verdict.ExitUsage, fmt.Errorf("baseline record: %w", err))
		}
	}
	src, err := readSource(path)
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("baseline record: %w", err))
	}
	src.RunURL = *runURL
	stored, err := baseline.Record(env.path(*dir), src)
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("baseline record from %s: %w", env.relative(path), err))
	}
	fmt.Fprintf(env.Stdout, "recorded %s from %s\n", env.relative(stored), env.relative(path))
	return verdict.ExitPass
}

// readSource reads a bundle and what its session says of each timed test.
func readSource(path string) (baseline.Source, error) {
	b, err := recording.Read(path)
	if err != nil {
		return baseline.Source{}, err
	}
	hash, err := recording.Hash(path)
	if err != nil {
		return baseline.Source{}, err
	}
	changes, err := compare.Changes(b)
	if err != nil {
		return baseline.Source{}, err
	}
	src := baseline.Source{Bundle: b, Hash: hash}
	for _, c := range changes {
		if c.Timed == nil || c.Timed.Pairs == 0 {
			continue
		}
		// Log ratios are oriented so that positive is worse; the ledger keeps
		// head/base whatever the direction.
		delta, lo, hi := c.Timed.Delta, c.Timed.Lo, c.Timed.Hi
		if c.Better == "higher" {
			delta, lo, hi = -delta, -hi, -lo
		}
		src.Ratios = append(src.Ratios, baseline.Ratio{
			Key: c.Test.Key, Unit: c.Test.Unit, Channel: c.Test.Channel, Pairs: c.Timed.Pairs,
			Ratio: math.Exp(delta), Lo: math.Exp(lo), Hi: math.Exp(hi), Deviation: c.Timed.Deviation,
		})
	}
	return src, nil
}

// newestBundle is the bundle that was written last into the place where runs
// leave theirs.
func newestBundle(ctx context.Context, dir string) (string, error) {
	r, err := repo.Open(ctx, dir)
	if err != nil {
		return "", err
	}
	manifests, err := filepath.Glob(filepath.Join(escapeGlob(r.Private), "*", "manifest.json"))
	if err != nil {
		return "", err
	}
	newest, newestInfo := "", fs.FileInfo(nil)
	for _, path := range manifests {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if newestInfo == nil || info.ModTime().After(newestInfo.ModTime()) {
			newest, newestInfo = filepath.Dir(path), info
		}
	}
	if newest == "" {
		return "", errors.New("this repository has no bundle yet: run `perfgate local` first, or name one with --from BUNDLE")
	}
	return newest, nil
}

// escapeGlob keeps a folder's name from being read as a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// runBaselineShow lists the baselines.
func runBaselineShow(_ context.Context, env *Env, args []string) int {
	return env.eachBaseline("show", "Lists the stored baselines.", args, func(shown string, b *baseline.Baseline) {
		m := b.Manifest
		metrics := 0
		for _, s := range b.Exact {
			metrics += len(s.Values)
		}
		fmt.Fprintf(env.Stdout, "%s\n  commit     %s, recording %d\n  measured   by %s with %s\n  holds      %d benchmarks, %d exact metrics, %d samples, %d ratios\n",
			shown, m.Commit, m.Record, m.Tool, m.Toolchain, len(b.Plan), metrics, len(b.Samples), len(b.Ledger))
	})
}

// runBaselineVerify checks every hash and chain.
func runBaselineVerify(_ context.Context, env *Env, args []string) int {
	return env.eachBaseline("verify", "Checks the stored baselines: hashes, chain, schema.", args, func(shown string, b *baseline.Baseline) {
		fmt.Fprintf(env.Stdout, "%s: sound, recording %d of %s\n", shown, b.Manifest.Record, b.Manifest.Commit)
	})
}

// eachBaseline reads every baseline below --dir. None at all is an error: who
// asks for them believes that there are some.
func (e *Env) eachBaseline(name, what string, args []string, show func(string, *baseline.Baseline)) int {
	flags := flag.NewFlagSet("baseline "+name, flag.ContinueOnError)
	dir := flags.String("dir", defaultBaselines, "read below `DIR`")
	flags.Usage = e.usageOf(flags, "baseline "+name+" [flags]", what)
	if code, ok := e.parse(flags, args, 0); !ok {
		return code
	}
	root := e.path(*dir)
	folders, err := filepath.Glob(filepath.Join(escapeGlob(root), "*", "*"))
	if err == nil && len(folders) == 0 {
		err = fmt.Errorf("%s holds no baseline; record one with `perfgate baseline record`, or name the folder with --dir", *dir)
	}
	if err != nil {
		return e.fail(verdict.ExitUsage, fmt.Errorf("baseline %s: %w", name, err))
	}
	code := verdict.ExitPass
	for _, folder := range folders {
		b, err := baseline.Load(folder)
		if err != nil {
			code = e.fail(verdict.ExitUsage, fmt.Errorf("baseline %s: %w; restore it from git", name, err))
			continue
		}
		show(e.relative(folder), b)
	}
	return code
}
