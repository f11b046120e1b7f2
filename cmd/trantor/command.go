package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// Exit codes.
const (
	exitOK          = 0
	exitWrong       = 1 // load: an answer was wrong or lost.
	exitFailed      = 2 // The command could not be carried out.
	exitUnavailable = 3 // A replica cannot be reached, or ended.
)

const usage = `usage: trantor COMMAND

  init --dir FOLDER      write the keys and configurations of a new system
  keygen --out FILE      make a key
  node --config FILE     run one replica
  cluster                run n replicas on this machine
  status --config FILE   show what a replica says of itself
  load --members FILE    load a system and check its answers
  join --from FILE       write the key and configuration of one more replica
  reconfigure --config FILE
                         vote for a change of the members

  trace record -o FILE   record a small simulated cluster
  trace list FILE        show a recording, one event a line
  trace filter -o FILE FILE
                         keep some of a recording's events
  trace chrome FILE      write a trace for ui.perfetto.dev or chrome://tracing

trantor COMMAND -h shows the flags of each.
`

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// run carries out a command and returns the exit code. Results go to stdout,
// everything else to stderr.
func run(args []string, stdout, stderr io.Writer) int {
	err := dispatch(args, stdout, stderr)
	var exit exitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "trantor: %v\n%s", err, usage)
		return exitFailed
	}
	fmt.Fprintf(stderr, "trantor: %v\n", err)
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitFailed
}

var errUsage = errors.New("no such command")

func dispatch(args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "init":
		return initSystem(args[1:], stdout)
	case "keygen":
		return keygen(args[1:], stdout)
	case "node":
		return node(args[1:], stdout, stderr)
	case "cluster":
		return clusterCommand(args[1:], stdout, stderr)
	case "status":
		return status(args[1:], stdout)
	case "load":
		return load(args[1:], stdout)
	case "join":
		return join(args[1:], stdout)
	case "reconfigure":
		return reconfigure(args[1:], stdout)
	case "trace":
		return trace(args[1:], stdout, stderr)
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	}
	return fmt.Errorf("%w: %q", errUsage, args[0])
}

// newFlags makes the flags of a command. Its errors are returned and not
// printed; -h prints the flags.
func newFlags(command, operands string, stdout io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {
		flags.SetOutput(stdout)
		fmt.Fprintf(stdout, "usage: trantor %s [flags]%s\n", command, operands)
		flags.PrintDefaults()
		flags.SetOutput(io.Discard)
	}
	return flags
}

// parse takes flags before and after want operands, which it returns.
func parse(flags *flag.FlagSet, args []string, want int) ([]string, error) {
	var operands []string
	for {
		if err := flags.Parse(args); err != nil {
			if !errors.Is(err, flag.ErrHelp) {
				err = fmt.Errorf("%s: %w", flags.Name(), err)
			}
			return nil, err
		}
		if flags.NArg() == 0 {
			break
		}
		operands, args = append(operands, flags.Arg(0)), flags.Args()[1:]
	}
	if len(operands) != want {
		return nil, fmt.Errorf("%s: %d operands given, %d wanted", flags.Name(), len(operands), want)
	}
	return operands, nil
}
