// Package cli is the command line: one file per command, and the only place
// where the parts of the gate are wired together.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/term"

	"github.com/perfgate/perfgate/gate/verdict"
)

// Env is what a command gets from its surroundings.
type Env struct {
	Stdout, Stderr io.Writer
	Dir            string // working folder
	Getenv         func(string) string
	verdictShown   bool // a report ended with the verdict line already
	Width          int  // of the terminal on standard output; 0 where it is none
	Color          bool // colours are wanted on standard output
	machineOutput  bool // standard output holds one document for programs, so nothing else goes there
	Terminal       bool // standard error is a terminal: progress may be drawn
}

// command is one entry of the command table.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, env *Env, args []string) int
	// verdict: the command ends with a verdict line on standard output, whatever
	// happens, because `go run` hides the exit code.
	verdict bool
}

var commands = []command{
	{"local", "measure the working tree against its base and give a verdict", runLocal, true},
	{"check", "the same between two commits, for CI", runCheck, true},
	{"compare", "compare two benchmark files or bundles", runCompare, true},
	{"replay", "decide a recorded bundle again", runReplay, true},
	{"merge", "join the bundles of shards and give a verdict on all", runMerge, true},
	{"baseline", "record, show, verify, anchor or prune stored baselines", runBaseline, false},
	{"trend", "how benchmarks went over the stored sessions, and where they changed", runTrend, false},
	{"suite", "write or verify the manifest of a benchmark suite", runSuite, false},
	{"profile", "show where a benchmark spends its time, or what it allocates", runProfile, false},
	{"pprof", "open a recorded profile with pprof", runPprof, false},
	{"bisect", "find the commit that made a benchmark slower", runBisect, false},
	{"init", "write workflows that check every pull request on GitHub", runInit, false},
	{"ci", "the parts of a check on GitHub: measure, gate, comment, record", runCI, false},
	{"calibrate", "measure this gate's own error rates on this machine", runCalibrate, false},
	{"bottlenecks", "rank what limits the throughput, with proposals", runBottlenecks, false},
	{"doctor", "say how fit this machine is for measuring", runDoctor, false},
	{"version", "print the version", runVersion, false},
}

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, env *Env, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(env.Stdout)
		return verdict.ExitPass
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		return env.conclude(c, c.run(ctx, env, args[1:]))
	}
	fmt.Fprintf(env.Stderr, "perfgate: unknown command %q; `perfgate help` lists them\n", args[0])
	return verdict.ExitUsage
}

// conclude ends a command with the verdict line, where it has to have one and a
// report has not shown it.
func (e *Env) conclude(c command, code int) int {
	if c.verdict && code != verdict.ExitPass && !e.verdictShown {
		out := e.Stdout
		if e.machineOutput {
			out = e.Stderr
		}
		fmt.Fprintf(out, "verdict: %s (exit %d)\n", exitWords(code), code)
	}
	return code
}

func usage(w io.Writer) {
	fmt.Fprint(w, "perfgate tells whether a change made a Go program slower, and how sure that is.\n\nusage: perfgate COMMAND [flags]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-11s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nEvery command explains its flags with -h. Exit codes: 0 pass, 1 regression, 2 bad input, 3 not measured, 130 interrupted.\n")
}

// exitWords names an exit code where no report could.
func exitWords(code int) string {
	switch code {
	case verdict.ExitUsage:
		return "none, the command could not be carried out"
	case verdict.ExitNotMeasured:
		return "not measured"
	case verdict.ExitInterrupted:
		return "none, interrupted"
	}
	return "none"
}

// fail prints an error and returns code, or the interrupt's code where that is
// the cause.
func (e *Env) fail(code int, err error) int {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(e.Stderr, "perfgate: interrupted")
		return verdict.ExitInterrupted
	}
	fmt.Fprintf(e.Stderr, "perfgate: %v\n", err)
	return code
}

// parse reads the flags of a command; ok is false when the command is over,
// with the exit code to return.
func (e *Env) parse(fs *flag.FlagSet, args []string, operands int) (code int, ok bool) {
	// A mistake is told in one line; the flags are listed on request.
	usage := fs.Usage
	fs.Usage = func() {}
	fs.SetOutput(io.Discard)
	err := parseMixed(fs, args)
	fs.Usage = usage
	fs.SetOutput(e.Stderr)
	if format := fs.Lookup("format"); format != nil {
		e.machineOutput = format.Value.String() != "text"
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		if usage == nil {
			fmt.Fprintf(e.Stderr, "usage: perfgate %s [flags]\n\n", fs.Name())
			fs.PrintDefaults()
		} else {
			usage()
		}
		return verdict.ExitPass, false
	case err != nil:
		fmt.Fprintf(e.Stderr, "perfgate: %s: %v; `perfgate %s -h` lists the flags\n", fs.Name(), err, fs.Name())
		return verdict.ExitUsage, false
	case operands >= 0 && fs.NArg() != operands:
		if fs.NArg() > operands {
			fmt.Fprintf(e.Stderr, "perfgate: %s: unexpected operand %q; `perfgate %s -h` lists the flags\n", fs.Name(), fs.Arg(operands), fs.Name())
		} else {
			fmt.Fprintf(e.Stderr, "perfgate: %s: %d operands given, %d wanted\n", fs.Name(), fs.NArg(), operands)
		}
		return verdict.ExitUsage, false
	}
	return 0, true
}

// parseMixed takes flags before, between and after operands, which package flag
// does not; "--" ends them.
func parseMixed(fs *flag.FlagSet, args []string) error {
	operands := []string{"--"}
	for {
		if err := fs.Parse(args); err != nil {
			return err
		}
		rest := fs.Args()
		if ended := len(args) > len(rest) && args[len(args)-len(rest)-1] == "--"; ended || len(rest) == 0 {
			return fs.Parse(append(operands, rest...))
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
}

func runVersion(_ context.Context, env *Env, _ []string) int {
	fmt.Fprintln(env.Stdout, toolVersion())
	return verdict.ExitPass
}

// linked is the version that the linker was told: the action is built from a
// folder without version control, which the go command knows no version of.
var linked string

// toolVersion is "perfgate VERSION", from what the go command recorded.
func toolVersion() string {
	if linked != "" {
		return "perfgate " + linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Path != "github.com/perfgate/perfgate" {
		return "perfgate (devel)"
	}
	return "perfgate " + info.Main.Version
}

// System is the real environment.
func System() *Env {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	env := &Env{
		Stdout: os.Stdout, Stderr: os.Stderr, Dir: dir, Getenv: os.Getenv,
		Terminal: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("CI") == "" && os.Getenv("TERM") != "dumb",
	}
	if stdout := int(os.Stdout.Fd()); term.IsTerminal(stdout) {
		env.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("CI") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(stdout); err == nil {
			env.Width = width
		}
	}
	return env
}
