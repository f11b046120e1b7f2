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

const baselineSynopsis = "baseline record|show|verify|anchor|prune [flags]"

// runBaseline has commands of its own.
func runBaseline(ctx context.Context, env *Env, args []string) int {
	commands := map[string]func(context.Context, *Env, []string) int{
		"record": runBaselineRecord, "show": runBaselineShow, "verify": runBaselineVerify,
		"anchor": runBaselineAnchor, "prune": runBaselinePrune,
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
	place := fs.String("baseline", "", baselineFlagHelp)
	runURL := fs.String("run-url", "", "note that it was measured at `URL`")
	fs.Usage = env.usageOf(fs, "baseline record [flags] [BUNDLE]", "Stores the head side of a bundle (by default the newest one of this repository) as the\nbaseline of its suite and machine class, and appends what the session says of each\nbenchmark to the ledger.")
	if code, ok := env.parse(fs, args, -1); !ok {
		return code
	}
	if fs.NArg() > 1 {
		return env.fail(verdict.ExitUsage, fmt.Errorf("baseline record: unexpected operand %q; one bundle is recorded at a time", fs.Arg(1)))
	}
	path := env.path(fs.Arg(0))
	if fs.NArg() == 0 {
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
	store, shown, err := env.openBaselines(ctx, *place)
	if err != nil {
		return env.fail(storeCode(err), fmt.Errorf("baseline record: %w", err))
	}
	defer store.Close()
	b, err := baseline.Record(ctx, store, src)
	if err != nil {
		return env.fail(storeCode(err), fmt.Errorf("baseline record from %s: %w", env.relative(path), err))
	}
	fmt.Fprintf(env.Stdout, "recorded %s/%s/%s from %s\n", shown, b.Manifest.Suite, b.Manifest.Machine.ClassID, env.relative(path))
	return verdict.ExitPass
}

// storeCode is the exit code where a store of baselines did not do what it was
// asked: one that cannot be reached says nothing about what it holds.
func storeCode(err error) int {
	if errors.Is(err, baseline.ErrUnreachable) {
		return verdict.ExitNotMeasured
	}
	return verdict.ExitUsage
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
		return "", errors.New("this repository has no bundle yet: run `perfgate local` first, or name one: `perfgate baseline record BUNDLE`")
	}
	return newest, nil
}

// escapeGlob keeps a folder's name from being read as a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
