package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// shardFlag is the value of --shard: "INDEX/COUNT", from 1.
type shardFlag struct{ shard *recording.Shard }

func (f *shardFlag) String() string {
	if f.shard == nil {
		return ""
	}
	return fmt.Sprintf("%d/%d", f.shard.Index, f.shard.Count)
}

func (f *shardFlag) Set(s string) error {
	index, count, ok := strings.Cut(s, "/")
	i, errI := strconv.Atoi(index)
	n, errN := strconv.Atoi(count)
	if !ok || errI != nil || errN != nil || n < 1 || n > recording.ShardsMax || i < 1 || i > n {
		return fmt.Errorf("give INDEX/COUNT, such as 2/4, with an index from 1 to the count and a count of at most %d", recording.ShardsMax)
	}
	f.shard = &recording.Shard{Index: i, Count: n}
	return nil
}

// The tests that a shard counts in each timed channel for Holm's correction, all
// shards together. A benchmark of a suite's manifest has two or three timed
// units in a channel; without a manifest nobody knows how many there are, and too
// many cost little: the evidence needed grows with their logarithm.
const (
	testsPerBenchmark = 3
	unknownTests      = 300
)

// familyMin is how many tests the whole suite is taken to have in a channel.
func familyMin(listed []recording.Key) int {
	if len(listed) == 0 {
		return unknownTests
	}
	return testsPerBenchmark * len(listed)
}

// runMerge joins the bundles of shards and decides them as one run.
func runMerge(_ context.Context, env *Env, args []string) int {
	fs := flag.NewFlagSet("merge", flag.ContinueOnError)
	out := fs.String("out", "", "write the merged bundle to the new folder `DIR` (required)")
	format := fs.String("format", "text", "report as `FORMAT`: text, json or markdown")
	all := fs.Bool("all", false, "show every row, not only those that matter")
	fs.Usage = env.usageOf(fs, "merge --out DIR [flags] BUNDLE...",
		"Joins the bundles of all shards of one measurement and gives the verdict on the whole suite,\n"+
			"as one run over the same samples would.")
	if code, ok := env.parse(fs, args, -1); !ok {
		return code
	}
	err := checkFormat(*format)
	switch {
	case err != nil:
	case *out == "":
		err = errors.New("merge: give a new folder for the merged bundle with --out DIR")
	case fs.NArg() == 0:
		err = errors.New("merge: give the bundles of all shards as operands")
	}
	if err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	merged, err := env.mergeShards(fs.Args(), env.path(*out))
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("merge: %w", err))
	}
	v, err := verdict.Decide(merged)
	if err == nil {
		err = env.showReport(merged, v, env.path(*out), *format, *all)
	}
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("merge: %w", err))
	}
	return v.Exit
}

// mergeShards writes the merged bundle, and gives it as a replay will read it.
func (e *Env) mergeShards(paths []string, out string) (recording.Bundle, error) {
	var shards []recording.Bundle
	for _, path := range paths {
		b, err := recording.Read(e.path(path))
		if err != nil {
			return recording.Bundle{}, err
		}
		shards = append(shards, b)
	}
	merged, err := recording.Merge(shards)
	if err != nil {
		return recording.Bundle{}, fmt.Errorf("%w; give every shard of one run once", err)
	}
	if err := recording.Write(out, merged); err != nil {
		return recording.Bundle{}, err
	}
	return recording.Read(out)
}
