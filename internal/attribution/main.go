package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

// Exit codes.
const (
	exitOK    = 0
	exitFault = 1 // something that was asked for failed
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage: go run ./internal/attribution COMMAND [flags]

  check    apply every injection and say which does not apply, parse or build
  run      measure injections that have not been measured yet
  reread   name the suspects again, by the rules of today, from bundles that run --keep has kept
  report   write the tables of docs/ATTRIBUTION.md from what was measured
`

// errUsage: the command line cannot be understood, and it has been said why.
var errUsage = errors.New("usage")

// command runs one command, in the checkout that the current folder is in.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"check":  runCheck,
		"run":    runRun,
		"reread": runReread,
		"report": runReport,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch err := commands[args[0]](ctx, args[1:], stdout, stderr); {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	default:
		fmt.Fprintf(stderr, "attribution: %v\n", err)
		return exitFault
	}
}

// parseFlags parses the flags of a command, which takes no other arguments.
func parseFlags(fs *flag.FlagSet, args []string, stderr io.Writer) error {
	fs.SetOutput(stderr)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "attribution: %s takes no arguments: %q\n", fs.Name(), fs.Arg(0))
		return errUsage
	}
	return nil
}

// only is a flag: the injections whose names match.
type only struct{ *regexp.Regexp }

func (o *only) String() string {
	if o.Regexp == nil {
		return ""
	}
	return o.Regexp.String()
}

func (o *only) Set(s string) (err error) {
	o.Regexp, err = regexp.Compile(s)
	return err
}

func (o *only) match(name string) bool { return o.Regexp == nil || o.MatchString(name) }
