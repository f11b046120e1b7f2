package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfgate/perfgate/gate/measure"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/suite"
	"github.com/perfgate/perfgate/gate/verdict"
)

const suiteUsage = `usage: perfgate suite write|verify [flags]

  write   run every benchmark of a suite once and write its manifest
  verify  tell how the manifest differs from the suite; exit 3 where it does

The manifest lists the benchmarks that a suite must have, with their sizes,
units and definition hashes. Check it in.
`

// defaultManifest is the manifest of the suite that stands in its own folder.
const defaultManifest = "benchsuite/manifest.json"

// suiteFlags are the flags of the suite command.
type suiteFlags struct {
	manifest string
	packages patterns
	quick    bool
	size     string
}

func runSuite(ctx context.Context, env *Env, args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "write", "verify":
			return env.suite(ctx, args[0], args[1:])
		case "-h", "--help", "help":
			fmt.Fprint(env.Stdout, suiteUsage)
			return verdict.ExitPass
		}
		fmt.Fprintf(env.Stderr, "perfgate: suite: unknown operation %q\n", args[0])
	}
	fmt.Fprint(env.Stderr, suiteUsage)
	return verdict.ExitUsage
}

func (e *Env) suite(ctx context.Context, operation string, args []string) int {
	var f suiteFlags
	set := flag.NewFlagSet("suite "+operation, flag.ContinueOnError)
	set.StringVar(&f.manifest, "manifest", defaultManifest, "the manifest is `FILE`, and its folder the suite's root")
	set.Var(&f.packages, "pkg", "the suite's benchmarks are those of packages that match `PATTERN`; by default all below the manifest's folder; may be repeated")
	if operation == "verify" {
		set.BoolVar(&f.quick, "quick", false, "run nothing: compare functions, definitions and sizes, but not sub-benchmarks and units")
		set.StringVar(&f.size, "size", "", "run the benchmarks of `SIZE` only, and compare all others as --quick does")
	}
	if code, ok := e.parse(set, args, 0); !ok {
		return code
	}
	if f.quick && f.size != "" {
		return e.fail(verdict.ExitUsage, errors.New("--quick and --size exclude each other: --quick runs nothing"))
	}
	if len(f.packages) == 0 {
		f.packages = patterns{packagesBelow(filepath.Dir(f.manifest))}
	}
	s := &suiteRun{env: e, flags: f}
	var code int
	var err error
	if err = s.open(ctx); err == nil {
		if operation == "write" {
			code, err = s.write(ctx)
		} else {
			code, err = s.verify(ctx)
		}
	}
	var failed *measure.LeavesError
	switch {
	case err == nil:
		return code
	case ctx.Err() != nil:
		return e.fail(verdict.ExitInterrupted, context.Canceled)
	case errors.As(err, &failed):
		return e.fail(verdict.ExitNotMeasured, err)
	}
	return e.fail(verdict.ExitUsage, err)
}

// packagesBelow is the pattern of all packages below a folder.
func packagesBelow(dir string) string {
	if filepath.IsAbs(dir) {
		return filepath.Join(dir, "...")
	}
	return "./" + filepath.ToSlash(filepath.Join(dir, "..."))
}

// suiteRun is one run of the suite command.
type suiteRun struct {
	env       *Env
	flags     suiteFlags
	path      string // of the manifest
	tool      measure.Toolchain
	functions []suite.Function
}

// open reads the suite's source.
func (s *suiteRun) open(ctx context.Context) error {
	s.path = s.flags.manifest
	if !filepath.IsAbs(s.path) {
		s.path = filepath.Join(s.env.Dir, s.path)
	}
	root := filepath.Dir(s.path)
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return fmt.Errorf("--manifest %s: its folder does not exist: give the manifest's place with --manifest", s.flags.manifest)
	}
	module, err := measure.ModuleRoot(ctx, s.env.Dir)
	if err != nil {
		return err
	}
	if s.tool, err = measure.FindToolchain(ctx, s.env.Dir); err != nil {
		return err
	}
	packages, err := measure.BenchmarkPackages(ctx, s.tool, s.env.Dir, s.flags.packages)
	if err != nil {
		return err
	}
	if len(packages) == 0 {
		return fmt.Errorf("%w in packages %s", measure.ErrNoBenchmarks, strings.Join(s.flags.packages, " "))
	}
	s.functions, err = suite.Functions(suite.Source{ModuleDir: module, Root: root, Packages: packages})
	return err
}

// leaves runs the suite, or only some of its benchmarks.
func (s *suiteRun) leaves(ctx context.Context, only []recording.Key) (suite.Leaves, error) {
	scratch, err := os.MkdirTemp("", "perfgate-suite-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the test binaries: %w", err)
	}
	defer os.RemoveAll(scratch)
	progress := newProgress(s.env)
	defer progress.done()
	return measure.Leaves(ctx, measure.LeavesConfig{
		Toolchain: s.tool, Dir: s.env.Dir, Packages: s.flags.packages, Only: only, Report: progress.show, Scratch: scratch})
}

// current is what the manifest should be.
func (s *suiteRun) current(ctx context.Context) (*suite.Manifest, error) {
	leaves, err := s.leaves(ctx, nil)
	if err != nil {
		return nil, err
	}
	return suite.New(s.functions, leaves)
}

func (s *suiteRun) write(ctx context.Context) (int, error) {
	current, err := s.current(ctx)
	if err != nil {
		return 0, err
	}
	before, err := suite.Load(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		before = &suite.Manifest{}
	case err != nil:
		fmt.Fprintf(s.env.Stderr, "perfgate: what was there is replaced: %v\n", err)
		before = &suite.Manifest{}
	}
	if err := current.Write(s.path); err != nil {
		return 0, err
	}
	s.print(suite.Diff(before, current))
	fmt.Fprintf(s.env.Stdout, "%s: %s\n", s.flags.manifest, describeSuite(current))
	return verdict.ExitPass, nil
}

func (s *suiteRun) verify(ctx context.Context) (int, error) {
	recorded, err := suite.Load(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w; `%s` writes it", err, s.writeCommand())
	}
	if err != nil {
		return 0, err
	}
	differences, err := s.differences(ctx, recorded)
	if err != nil {
		return 0, err
	}
	if len(differences) == 0 {
		fmt.Fprintf(s.env.Stdout, "%s is current: %s\n", s.flags.manifest, describeSuite(recorded))
		return verdict.ExitPass, nil
	}
	s.print(differences)
	fmt.Fprintf(s.env.Stdout, "%s is stale: run `%s` and commit it\n", s.flags.manifest, s.writeCommand())
	return verdict.ExitNotMeasured, nil
}

// differences compares the recorded manifest with the suite, as thoroughly as
// the flags ask for.
func (s *suiteRun) differences(ctx context.Context, recorded *suite.Manifest) ([]string, error) {
	if s.flags.quick {
		return recorded.Check(s.functions), nil
	}
	if s.flags.size == "" {
		current, err := s.current(ctx)
		if err != nil {
			return nil, err
		}
		return suite.Diff(recorded, current), nil
	}
	only := recorded.Keys(s.flags.size)
	if len(only) == 0 {
		return nil, fmt.Errorf("--size %s: the manifest has %s", s.flags.size, strings.Join(recorded.Sizes(), ", "))
	}
	leaves, err := s.leaves(ctx, only)
	if err != nil {
		return nil, err
	}
	return append(recorded.Check(s.functions), recorded.CheckRun(s.flags.size, leaves)...), nil
}

func (s *suiteRun) print(lines []string) {
	for _, l := range lines {
		fmt.Fprintln(s.env.Stdout, l)
	}
}

// writeCommand is the command that writes this manifest.
func (s *suiteRun) writeCommand() string {
	out := "perfgate suite write"
	if s.flags.manifest != defaultManifest {
		out += " --manifest " + s.flags.manifest
	}
	if below := packagesBelow(filepath.Dir(s.flags.manifest)); len(s.flags.packages) != 1 || s.flags.packages[0] != below {
		for _, p := range s.flags.packages {
			out += " --pkg " + p
		}
	}
	return out
}

// describeSuite counts the benchmarks of each size.
func describeSuite(m *suite.Manifest) string {
	out := []string{fmt.Sprintf("%d benchmarks", len(m.Benchmarks))}
	for _, size := range m.Sizes() {
		out = append(out, fmt.Sprintf("%s %d", size, len(m.Keys(size))))
	}
	return strings.Join(out, ", ")
}
