// Command perfgate tells whether a change made a Go program slower, where, and
// how sure that is. See the README.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/perfgate/perfgate/gate/cli"
)

func main() { os.Exit(run()) }

func run() int {
	// Whatever ends the run, it has to clean up first: also where the reader of
	// its output went away (perfgate local | head), or the terminal did.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	return cli.Main(ctx, cli.System(), os.Args[1:])
}
