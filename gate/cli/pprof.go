package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/pprof/driver"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

const pprofHelp = `Opens a recorded profile with pprof. The operand is a bundle, from which --bench,
--kind and --side choose (the difference of both sides by default, base
negative), or a profile file. All other flags are pprof's own:

  perfgate pprof BUNDLE                        the largest differences
  perfgate pprof -http=localhost:0 BUNDLE      the web interface
  perfgate pprof -list=Submit --side head BUNDLE

Profiles come from ` + "`perfgate local`" + ` (of what was found slower) and ` + "`perfgate profile`" + `.`

// pprofFlags are the flags that are not pprof's.
type pprofFlags struct {
	bench, kind, side string
}

func runPprof(_ context.Context, env *Env, args []string) int {
	f := pprofFlags{kind: "cpu", side: "diff"}
	fs := flag.NewFlagSet("pprof", flag.ContinueOnError)
	fs.StringVar(&f.bench, "bench", "", "the benchmark whose name contains `TEXT`; needed where a bundle has profiles of several")
	fs.StringVar(&f.kind, "kind", "cpu", "the `KIND` of profile: cpu, alloc, mutex, block or goroutine")
	fs.StringVar(&f.side, "side", "diff", "the `SIDE` of a bundle: base, head or diff")
	fs.Usage = env.usageOf(fs, "pprof [--bench TEXT] [--kind KIND] [--side SIDE] [pprof flags] BUNDLE|FILE", pprofHelp)
	ours, theirs := splitFlags(fs, args)
	if slices.ContainsFunc(theirs, func(a string) bool { return a == "-h" || a == "--help" || a == "-help" }) {
		ours, theirs = []string{"-h"}, nil
	}
	if code, ok := env.parse(fs, ours, 0); !ok {
		return code
	}
	if err := env.pprof(f, theirs); err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("pprof: %w", err))
	}
	return verdict.ExitPass
}

// splitFlags parts the flags that fs defines from those of pprof.
func splitFlags(fs *flag.FlagSet, args []string) (ours, theirs []string) {
	for i := 0; i < len(args); i++ {
		name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !strings.HasPrefix(args[i], "-") || fs.Lookup(name) == nil {
			theirs = append(theirs, args[i])
			continue
		}
		ours = append(ours, args[i])
		if !hasValue && i+1 < len(args) {
			i++
			ours = append(ours, args[i])
		}
	}
	return ours, theirs
}

// pprof hands a profile to the driver, in a file of its own.
func (e *Env) pprof(f pprofFlags, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[len(args)-1], "-") {
		return errors.New("give a bundle or a profile as the last operand")
	}
	operand, args := args[len(args)-1], args[:len(args)-1]
	path := e.path(operand)
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%s: no such bundle or profile", operand)
	}
	if info.IsDir() || filepath.Ext(path) == ".tar" {
		data, err := e.pprofOf(f, path)
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "perfgate-pprof-")
		if err != nil {
			return fmt.Errorf("making a folder for the profile: %w", err)
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, f.kind+"-"+f.side+".pb.gz")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return fmt.Errorf("writing the profile: %w", err)
		}
	}
	if len(args) == 0 {
		args = []string{"-top"}
	}
	// Profiles carry their names, and the binaries are gone.
	flags := &driverFlags{FlagSet: flag.NewFlagSet("pprof", flag.ContinueOnError), args: slices.Concat([]string{"-symbolize=none"}, args, []string{path})}
	flags.SetOutput(e.Stderr)
	if err := driver.PProf(&driver.Options{Flagset: flags}); err != nil {
		return err
	}
	return flags.failed
}

// pprofOf is a profile of a bundle, its replicates added up.
func (e *Env) pprofOf(f pprofFlags, path string) ([]byte, error) {
	b, err := recording.Read(path)
	if err != nil {
		return nil, err
	}
	var keys []recording.Key
	for _, p := range b.Manifest.Profiles {
		if string(p.Kind) == f.kind && strings.Contains(p.Key.String(), f.bench) && !slices.Contains(keys, p.Key) {
			keys = append(keys, p.Key)
		}
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("--kind %s --bench %q: %d benchmarks match, want one; the bundle has %s", f.kind, f.bench, len(keys), profilesIn(&b))
	}
	sides := map[string][]recording.Side{"base": {recording.Base}, "head": {recording.Head}, "diff": {recording.Base, recording.Head}}[f.side]
	if sides == nil {
		return nil, fmt.Errorf("--side %q: base, head and diff are known", f.side)
	}
	runs := map[recording.Side][]profdiff.Run{}
	for _, side := range sides {
		if runs[side], err = profdiff.Runs(&b, side, keys[0], recording.ProfileKind(f.kind)); err != nil {
			return nil, err
		}
	}
	merged, err := profdiff.Profile(runs[recording.Base], runs[recording.Head])
	if err != nil {
		return nil, err
	}
	return recording.EncodeProfile(merged)
}

// driverFlags gives the driver its arguments, as package flag gives them to a
// command.
type driverFlags struct {
	*flag.FlagSet
	args   []string
	failed error
	usage  []string
}

func (d *driverFlags) StringList(name, def, usage string) *[]*string {
	return &[]*string{d.String(name, def, usage)}
}

func (d *driverFlags) ExtraUsage() string        { return strings.Join(d.usage, "\n") }
func (d *driverFlags) AddExtraUsage(more string) { d.usage = append(d.usage, more) }

func (d *driverFlags) Parse(usage func()) []string {
	d.Usage = func() {}
	if d.failed = d.FlagSet.Parse(d.args); d.failed != nil {
		usage()
	}
	return d.Args()
}
