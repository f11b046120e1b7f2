package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/machine"
	"github.com/perfgate/perfgate/gate/verdict"
)

// noisyPair is the pair deviation from which a core is called noisy: beyond it
// runs are lengthened, and small changes take many pairs.
const noisyPair = .04

// runDoctor says how fit this machine is for measuring, and what would help.
func runDoctor(ctx context.Context, env *Env, args []string) int {
	fs := flag.NewFlagSet("doctor", flag.ContinueOnError)
	probe := fs.Duration("probe", 4*time.Second, "measure the noise of the cores for `DURATION` in all; 0 only looks")
	fs.Usage = env.usageOf(fs, "doctor [flags]", "Looks for what makes measurements on this machine noisy, measures the noise, and says what would help.")
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	if *probe < 0 || *probe > time.Hour {
		return env.fail(verdict.ExitUsage, fmt.Errorf("doctor: --probe %v: give 0, or a duration of at most 1h", *probe))
	}
	fmt.Fprintln(env.Stdout, machine.Platform())
	for _, f := range machine.Examine() {
		mark := "ok  "
		if !f.OK {
			mark = "note"
		}
		fmt.Fprintf(env.Stdout, "%s  %-20s %s\n", mark, f.Name, f.What)
		if f.Fix != "" {
			fmt.Fprintf(env.Stdout, "      %-20s -> %s\n", "", f.Fix)
		}
	}
	if *probe == 0 {
		return verdict.ExitPass
	}
	watch := machine.NewWatch()
	noise, err := machine.Probe(ctx, *probe)
	if errors.Is(err, context.Canceled) {
		return env.fail(verdict.ExitInterrupted, err)
	}
	if err != nil {
		return env.fail(verdict.ExitNotMeasured, fmt.Errorf("doctor: measuring the noise: %w", err))
	}
	for _, n := range noise {
		env.showNoise(n)
	}
	if w := watch.Weather().String(); w != "" {
		fmt.Fprintln(env.Stdout, w)
	}
	return verdict.ExitPass
}

func (e *Env) showNoise(n machine.Noise) {
	core := fmt.Sprintf("core %d", n.Core)
	if n.Core < 0 {
		core = "unpinned"
	}
	pair := compare.Deviation(n.Ratios)
	mark := "ok  "
	if pair > noisyPair {
		mark = "note"
	}
	fmt.Fprintf(e.Stdout, "%s  %-20s single slices of 2 ms vary by %.1f %%, neighbours by %.1f %% (%d slices)\n", mark, core, 100*compare.Deviation(n.Logs), 100*pair, len(n.Logs))
	if pair > noisyPair {
		fmt.Fprintf(e.Stdout, "      %-20s -> a slowdown of 5 %% takes many pairs here; something else uses this core\n", "")
	}
}
