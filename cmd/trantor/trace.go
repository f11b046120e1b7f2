package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/eventlog"
)

// trace is the command over recordings.
func trace(args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: trace wants record, list, filter or chrome", errUsage)
	}
	switch args[0] {
	case "record":
		return traceRecord(args[1:], stdout)
	case "list":
		return traceList(args[1:], stdout, stderr)
	case "filter":
		return traceFilter(args[1:], stdout, stderr)
	case "chrome":
		return traceChrome(args[1:], stdout, stderr)
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	}
	return fmt.Errorf("%w: trace %q", errUsage, args[0])
}

func traceList(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("trace list", " FILE", stdout)
	filter := filterFlags(flags)
	return withRecording(flags, args, stderr, func(r *eventlog.Reader) error {
		out := bufio.NewWriter(stdout)
		err := eventlog.Each(r, *filter, func(rec eventlog.Record) error {
			_, err := fmt.Fprintln(out, r.Header().Line(rec))
			return err
		})
		return errors.Join(err, out.Flush())
	})
}

func traceFilter(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("trace filter", " FILE", stdout)
	filter := filterFlags(flags)
	to := flags.String("o", "", "the recording to write (required)")
	return withRecording(flags, args, stderr, func(r *eventlog.Reader) error {
		return withOutput(*to, func(out io.Writer) error {
			w, err := eventlog.NewWriter(out, eventlog.Header{Modules: r.Header().Modules, Partial: true})
			if err != nil {
				return err
			}
			// What could be read is kept also where the recording is torn.
			return errors.Join(eventlog.Each(r, *filter, w.Write), w.Flush())
		})
	})
}

func traceChrome(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("trace chrome", " FILE", stdout)
	filter := filterFlags(flags)
	to := flags.String("o", "", "the JSON file to write; stdout if empty")
	return withRecording(flags, args, stderr, func(r *eventlog.Reader) error {
		if *to == "" {
			return eventlog.WriteChrome(stdout, r, *filter)
		}
		return withOutput(*to, func(out io.Writer) error { return eventlog.WriteChrome(out, r, *filter) })
	})
}

// filterFlags defines the flags that choose events.
func filterFlags(flags *flag.FlagSet) *eventlog.Filter {
	f := &eventlog.Filter{}
	flags.StringVar(&f.Module, "module", "", "events to this `module`; a name may end in a star")
	flags.StringVar(&f.Event, "event", "", "events, and messages that they carry, of this `name`; a name may end in a star")
	flags.DurationVar(&f.From, "from", 0, "events not before this time, such as 1.5ms")
	flags.DurationVar(&f.Until, "until", 0, "events before this time; 0 for all")
	flags.BoolVar(&f.Inputs, "inputs", false, "events that came from outside only")
	flags.Func("node", "events of these `nodes`, such as 0,2", func(list string) error {
		for node := range strings.SplitSeq(list, ",") {
			id, err := strconv.ParseUint(node, 10, 32)
			if err != nil {
				return errors.New("want node numbers with commas between them")
			}
			f.Nodes = append(f.Nodes, mir.NodeID(id))
		}
		return nil
	})
	return f
}

// withRecording opens the recording that the only operand names. Dropped events
// are told, since what is shown then has gaps.
func withRecording(flags *flag.FlagSet, args []string, stderr io.Writer, do func(*eventlog.Reader) error) error {
	operands, err := parse(flags, args, 1)
	if err != nil {
		return err
	}
	to := flags.Lookup("o")
	if flags.Name() == "trace filter" && to.Value.String() == "" {
		return fmt.Errorf("%s: no -o FILE given", flags.Name())
	}
	if to != nil && sameFile(operands[0], to.Value.String()) {
		return fmt.Errorf("%s: -o is the recording that is read", flags.Name())
	}
	file, err := os.Open(operands[0])
	if err != nil {
		return fmt.Errorf("%s: %w", flags.Name(), err)
	}
	defer file.Close()
	r, err := eventlog.NewReader(file)
	if err == nil {
		err = do(r)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", flags.Name(), operands[0], err)
	}
	if r.Dropped() > 0 {
		fmt.Fprintf(stderr, "trantor: %s: the recorder dropped %d events\n", operands[0], r.Dropped())
	}
	return nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// withOutput creates a file and reports also what closing it says.
func withOutput(path string, do func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(do(file), file.Close())
}
