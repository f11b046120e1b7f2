package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/report"
	"github.com/perfgate/perfgate/gate/verdict"
)

const compareHelp = `Compares two benchmark files as benchstat does, with a correction over the
whole table beside each p-value. OLD and NEW are each one of

  FILE         output of go test -bench
  BUNDLE       a recorded bundle: its head side; BUNDLE:base for the other
  baseline     the stored baseline of the other operand's suite and machine class

The exit code is 1 where a corrected p-value of a worsening reaches .01, 3 where
a benchmark of OLD is missing from NEW, else 0. Times and allocations of two
bundles, or of a bundle and a baseline, were measured in two sessions: they are
shown and do not count, and only units declared exact do. Of two files nobody
knows where they come from: they are taken to belong together.`

// runCompare compares two files, bundles, or a bundle with the stored baseline.
func runCompare(ctx context.Context, env *Env, args []string) int {
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	format := fs.String("format", "text", "report as `FORMAT`: text, json or markdown")
	place := fs.String("baseline", "", baselineFlagHelp)
	fs.Usage = env.usageOf(fs, "compare [flags] OLD NEW", compareHelp)
	if code, ok := env.parse(fs, args, 2); !ok {
		return code
	}
	if err := checkFormat(*format); err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	sides, err := env.compareOperands(ctx, fs.Args(), *place)
	if err != nil {
		return env.fail(storeCode(err), fmt.Errorf("compare: %w", err))
	}
	table, err := compare.Files(bytes.NewReader(sides[0].text), bytes.NewReader(sides[1].text), [2]string{sides[0].name, sides[1].name})
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("compare %s %s: %w", sides[0].name, sides[1].name, err))
	}
	c := report.Comparison{Table: table, Timed: sides[0].session == sides[1].session}
	if !c.Timed {
		c.Notes = []string{"the two sides were measured in different sessions: times are shown, but only units declared exact count"}
	}
	c.Verdict = verdict.DecideTable(table, c.Timed)
	if err := env.showComparison(c, *format); err != nil {
		return env.fail(verdict.ExitUsage, err)
	}
	return c.Verdict.Exit
}

func (e *Env) showComparison(c report.Comparison, format string) error {
	var err error
	switch format {
	case "json":
		err = report.ComparisonJSON(e.Stdout, c)
	case "markdown":
		err = report.ComparisonMarkdown(e.Stdout, c)
	default:
		err = report.ComparisonText(e.Stdout, c)
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if format != "text" {
		fmt.Fprintln(e.Stderr, "perfgate: "+c.LastLine())
	}
	e.verdictShown = true
	return nil
}

// operand is one side of a comparison, as benchmark format.
type operand struct {
	name string
	text []byte
	// session identifies the run that it comes from: a bundle's hash, or empty
	// for a plain file, whose origin nobody knows and the user answers for.
	session string
	// manifest is the bundle's; nil for a file.
	manifest *recording.Manifest
}

func (e *Env) compareOperands(ctx context.Context, args []string, baselines string) ([2]operand, error) {
	var sides [2]operand
	for i, arg := range args {
		if arg == "baseline" {
			continue
		}
		var err error
		if sides[i], err = e.readOperand(arg); err != nil {
			return sides, err
		}
	}
	for i, arg := range args {
		if arg != "baseline" {
			continue
		}
		other := sides[1-i].manifest
		if other == nil {
			return sides, errors.New("baseline: the other operand has to be a bundle, which says the suite and the machine class")
		}
		var err error
		if sides[i], err = e.baselineOperand(ctx, baselines, other); err != nil {
			return sides, err
		}
	}
	return sides, nil
}

// readOperand reads a bundle, with or without a side, or a benchmark file.
func (e *Env) readOperand(arg string) (operand, error) {
	path, side := arg, recording.Head
	if rest, found := cutSide(arg); found != "" && !exists(e.path(arg)) {
		path, side = rest, found
	}
	full := e.path(path)
	info, err := os.Stat(full)
	if err != nil {
		return operand{}, fmt.Errorf("%s: no such file, bundle or side of one; `baseline` names the stored baseline", arg)
	}
	if info.IsDir() || filepath.Ext(full) == ".tar" {
		return readBundleSide(arg, full, side)
	}
	if path != arg {
		return operand{}, fmt.Errorf("%s: %s is a file, and only a bundle has sides", arg, path)
	}
	text, err := os.ReadFile(full)
	if err != nil {
		return operand{}, fmt.Errorf("%s: %w", arg, err)
	}
	if !bytes.Contains(text, []byte("Benchmark")) {
		return operand{}, fmt.Errorf("%s: no benchmark results in it; write some with `go test -bench=. -count=10 >FILE`", arg)
	}
	return operand{name: arg, text: text}, nil
}

func cutSide(arg string) (path string, side recording.Side) {
	for _, side := range []recording.Side{recording.Base, recording.Head} {
		if path, ok := strings.CutSuffix(arg, ":"+string(side)); ok {
			return path, side
		}
	}
	return arg, ""
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func readBundleSide(name, path string, side recording.Side) (operand, error) {
	b, err := recording.Read(path)
	if err != nil {
		return operand{}, fmt.Errorf("%s: %w", name, err)
	}
	hash, err := recording.Hash(path)
	if err != nil {
		return operand{}, fmt.Errorf("%s: %w", name, err)
	}
	m := &b.Manifest
	var samples []recording.Sample
	for _, s := range b.Samples {
		if s.Side == side {
			samples = append(samples, s)
		}
	}
	return operand{name: name, text: benchmarkText(m.Units, m.Machine, m.Family, samples), session: hash, manifest: m}, nil
}

// baselineOperand is the stored baseline that belongs to a bundle.
func (e *Env) baselineOperand(ctx context.Context, place string, other *recording.Manifest) (operand, error) {
	if other.Suite == "" {
		return operand{}, errors.New("baseline: the bundle has no suite, and baselines are kept by suite; measure with `perfgate local --suite NAME`")
	}
	store, shown, err := e.openBaselines(ctx, place)
	if err != nil {
		return operand{}, err
	}
	defer store.Close()
	b, _, err := baseline.Find(ctx, store, other.Suite, other.Machine.ClassID)
	if err != nil {
		return operand{}, err
	}
	if b == nil {
		return operand{}, fmt.Errorf("baseline: %s holds none of suite %s; record one with `perfgate baseline record`, or name the place with --baseline", shown, other.Suite)
	}
	return operand{
		name: shown + "/" + other.Suite + "/" + b.Manifest.Machine.ClassID, session: "baseline " + b.Manifest.Bundle,
		text: benchmarkText(b.Manifest.Units, b.Manifest.Machine, other.Family, b.Samples),
	}, nil
}

// benchmarkText writes samples as go test would have: without the keys that
// place a run in its session (pair, order, round), which would put every run
// into a table of its own. Each metric comes from the channel that decides it.
func benchmarkText(units map[string]recording.Unit, machine recording.Machine, family []recording.Test, samples []recording.Sample) []byte {
	var buf bytes.Buffer
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		if better := units[unit].Better; better != "" {
			fmt.Fprintf(&buf, "Unit %s better=%s\n", unit, better)
		}
		if assume := units[unit].Assume; assume != "" {
			fmt.Fprintf(&buf, "Unit %s assume=%s\n", unit, assume)
		}
	}
	for _, key := range []string{"goos", "goarch", "cpu"} {
		if value := strings.Join(strings.Fields(machine.Class[key]), " "); value != "" {
			fmt.Fprintf(&buf, "%s: %s\n", key, value)
		}
	}
	tests := map[recording.Test]bool{}
	for _, t := range family {
		tests[t] = true
	}
	pkg := ""
	for _, s := range samples {
		values := decidedValues(s, tests)
		if values == "" {
			continue
		}
		if s.Key.Pkg != pkg {
			pkg = s.Key.Pkg
			fmt.Fprintf(&buf, "pkg: %s\n", pkg)
		}
		name := s.Key.Name
		if s.Key.Procs != 1 {
			name += fmt.Sprintf("-%d", s.Key.Procs)
		}
		fmt.Fprintf(&buf, "%s %d%s\n", name, s.N, values)
	}
	return buf.Bytes()
}

// decidedValues are the metrics of a sample that its channel decides.
func decidedValues(s recording.Sample, tests map[recording.Test]bool) string {
	var b strings.Builder
	for _, v := range s.Values {
		if tests[recording.Test{Key: s.Key, Unit: v.Unit, Channel: s.Channel}] {
			fmt.Fprintf(&b, " %v %s", v.Value, v.Unit)
		}
	}
	return b.String()
}
