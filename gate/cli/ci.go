package cli

import (
	"context"
	"fmt"

	"github.com/perfgate/perfgate/gate/verdict"
)

// ciCommands are what the workflows of a pull request run, in the order in which
// they run them.
var ciCommands = []command{
	{"measure", "measure one shard of what the event is about", runCIMeasure, true},
	{"gate", "decide on all shards, and write the job summary", runCIGate, true},
	{"comment", "tell the pull request what a run has measured", runCIComment, true},
	{"record", "store what was measured of a push as its baseline", runCIRecord, false},
}

// runCI has commands of its own.
func runCI(ctx context.Context, env *Env, args []string) int {
	if len(args) == 0 {
		return env.fail(verdict.ExitUsage, fmt.Errorf("ci: no command; `perfgate ci -h` lists them"))
	}
	if args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		fmt.Fprint(env.Stderr, "usage: perfgate ci COMMAND [flags]\n\nThe parts of a check on GitHub, each for one job of a workflow (docs/GITHUB.md).\n\n")
		for _, c := range ciCommands {
			fmt.Fprintf(env.Stderr, "  %-10s %s\n", c.name, c.summary)
		}
		return verdict.ExitPass
	}
	for _, c := range ciCommands {
		if c.name == args[0] {
			return env.conclude(c, c.run(ctx, env, args[1:]))
		}
	}
	return env.fail(verdict.ExitUsage, fmt.Errorf("ci: unknown command %q; `perfgate ci -h` lists them", args[0]))
}
