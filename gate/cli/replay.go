package cli

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// runReplay decides a recorded bundle again. The verdict is a pure function of
// the bundle, so the report is the one that the run printed, byte for byte, and
// the exit code is the run's.
func runReplay(_ context.Context, env *Env, args []string) int {
	fs := flag.NewFlagSet("replay", flag.ContinueOnError)
	format := fs.String("format", "text", "report as `FORMAT`: text, json or markdown")
	all := fs.Bool("all", false, "show every row, not only those that matter")
	fs.Usage = env.usageOf(fs, "replay [flags] BUNDLE", "Decides a recorded bundle again: the same verdict and exit code as the run gave.")
	if code, ok := env.parse(fs, args, 1); !ok {
		return code
	}
	if err := checkFormat(*format); err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	path := env.path(fs.Arg(0))
	b, err := recording.Read(path)
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("replay %s: %w", fs.Arg(0), err))
	}
	v, err := verdict.Decide(b)
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("replay %s: the bundle contradicts itself: %w", fs.Arg(0), err))
	}
	if err := env.showReport(b, v, path, *format, *all); err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	return v.Exit
}

// path makes an operand independent of the process's own working folder.
func (e *Env) path(operand string) string {
	if filepath.IsAbs(operand) {
		return filepath.Clean(operand)
	}
	return filepath.Join(e.Dir, operand)
}

// usageOf explains a command and its flags on standard error.
func (e *Env) usageOf(fs *flag.FlagSet, synopsis, what string) func() {
	return func() {
		fmt.Fprintf(e.Stderr, "usage: perfgate %s\n\n%s\n\n", synopsis, what)
		fs.PrintDefaults()
	}
}
