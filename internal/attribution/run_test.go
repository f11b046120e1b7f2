package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// newCampaign has four injections, of which "bad" cannot be measured, and notes what
// it is asked to measure.
func newCampaign(t *testing.T, data string, asked *[]string) (*campaign, []*Set) {
	t.Helper()
	s := &Set{file: "s", Module: "example.org/m", Version: "v1.0.0"}
	for _, what := range []string{"a", "b", "bad", "c"} {
		s.Injections = append(s.Injections, Injection{Name: "s/" + what, Kind: CPU, Slower: true, Guilty: []string{"m.F"}})
	}
	c := &campaign{stdout: io.Discard, root: "/somewhere", flags: runFlags{data: data, repeat: 1, checkBudget: time.Second}}
	c.measure = func(_ context.Context, work string, task task, l *Line) error {
		*asked = append(*asked, strings.TrimPrefix(task.in.Name, "s/"))
		l.Tests = []Test{cpu("m.F")}
		if task.in.Name == "s/bad" {
			return fmt.Errorf("%s/repository does not build, nor does /somewhere", work)
		}
		return nil
	}
	return c, []*Set{s}
}

func TestARunGoesOnWhereTheDataEnds(t *testing.T) {
	data := t.TempDir()
	for _, step := range []struct {
		change func(f *runFlags)
		want   string
	}{
		{func(f *runFlags) { _ = f.only.Set("/[ab]$") }, "a b"},
		{func(f *runFlags) {}, "bad c"},
		{func(f *runFlags) {}, ""}, // an error is a run too
		{func(f *runFlags) { f.again = true }, "bad"},
		{func(f *runFlags) { f.repeat = 2 }, "a b c"}, // bad has its two
		{func(f *runFlags) { f.repeat = 2 }, ""},
	} {
		var asked []string
		c, sets := newCampaign(t, data, &asked)
		step.change(&c.flags)
		if err := c.run(context.Background(), t.TempDir(), c.tasks(sets)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(asked, " "); got != step.want {
			t.Errorf("measured %q, want %q", got, step.want)
		}
	}
	lines, err := readLines(data)
	if err != nil {
		t.Fatal(err)
	}
	seeds := map[uint64]bool{}
	for _, l := range lines {
		seeds[l.Seed] = true
		if bad := l.Name == "s/bad"; bad != (l.Error != "") || bad != (len(l.Tests) == 0) {
			t.Errorf("%+v", l)
		}
		if strings.Contains(l.Error, "/somewhere") || strings.Contains(l.Error, os.TempDir()) {
			t.Errorf("a line names a folder of this machine: %s", l.Error)
		}
		if l.Base != "example.org/m@v1.0.0" || l.BudgetSeconds != 1 {
			t.Errorf("%+v", l)
		}
	}
	if len(lines) != 8 || len(seeds) != 8 {
		t.Errorf("%d lines with %d seeds", len(lines), len(seeds))
	}
}

// Whatever was measured already, no two lanes take one injection, and all is taken.
func TestLanesShareTheWork(t *testing.T) {
	data := t.TempDir()
	var all []string
	for i := 1; i <= 3; i++ {
		c, sets := newCampaign(t, data, &all)
		if err := c.flags.lane.Set(fmt.Sprintf("%d/3", i)); err != nil {
			t.Fatal(err)
		}
		if err := c.run(context.Background(), t.TempDir(), c.tasks(sets)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(all, " "); got != "a c b bad" {
		t.Errorf("measured %q", got)
	}
	files, _ := filepath.Glob(filepath.Join(data, "*"))
	if len(files) != 3 || filepath.Base(files[0]) != "runs-1-of-3.jsonl" {
		t.Errorf("written are %q", files)
	}
	for _, wrong := range []string{"0/2", "3/2", "1", "1/2/3", "1/2x", "x/2", "-1/2", ""} {
		if err := new(lane).Set(wrong); err == nil {
			t.Errorf("lane %q is taken", wrong)
		}
	}
}

func TestNothingBeginsThatIsNotLikelyToEnd(t *testing.T) {
	var asked []string
	c, sets := newCampaign(t, t.TempDir(), &asked)
	// A check may take a second, and profiles two minutes.
	c.flags.budget = 2 * time.Minute
	if err := c.run(context.Background(), t.TempDir(), c.tasks(sets)); err != nil || len(asked) > 0 {
		t.Errorf("measured %q, %v", asked, err)
	}
	c.flags.budget = time.Hour
	if err := c.run(context.Background(), t.TempDir(), c.tasks(sets)); err != nil || len(asked) != 4 {
		t.Errorf("measured %q, %v", asked, err)
	}
}

func TestAnInterruptedRunLeavesNoLine(t *testing.T) {
	data := t.TempDir()
	var asked []string
	c, sets := newCampaign(t, data, &asked)
	ctx, cancel := context.WithCancel(context.Background())
	c.measure = func(context.Context, string, task, *Line) error { cancel(); return errors.New("killed") }
	if err := c.run(ctx, t.TempDir(), c.tasks(sets)); err == nil {
		t.Error("an interrupt is no error")
	}
	if lines, err := readLines(data); err != nil || len(lines) != 0 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

func TestALineIsReadAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "runs.jsonl")
	_, lines := handmade()
	for _, l := range lines[:2] {
		if err := appendLine(file, l); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for want, text := range map[string]string{
		"runs.jsonl:1: schema 2":       strings.Replace(string(whole), `"schema":1`, `"schema":2`, 1),
		"runs.jsonl:1: not as":         strings.Replace(string(whole), `"schema":1`, `"schema": 1`, 1),
		"runs.jsonl:1: json: unknown":  strings.Replace(string(whole), `"schema":1`, `"size":1,"schema":1`, 1),
		"runs.jsonl:3: the line is em": string(whole) + "\n",
	} {
		put(text)
		if _, err := readLines(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	// What an interrupt has left is no run, and the next run takes its place.
	put(string(whole[:len(whole)-9]))
	if got, err := readLines(dir); err != nil || len(got) != 1 {
		t.Errorf("%d lines, %v", len(got), err)
	}
	if err := appendLine(file, lines[1]); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(file); string(now) != string(whole) {
		t.Errorf("written is\n%s", now)
	}
}

// recorded is a bundle of this repository in which the gate found a slowdown, with
// profiles of the first benchmark that is slower by CPU time: of ten functions, of
// which the one named culprit, a quarter of everything, costs as much more as the
// gate has measured, and nothing else differs.
func recorded(t *testing.T) (b recording.Bundle, bench string) {
	t.Helper()
	b, err := recording.Read(filepath.Join(root, "docs", "evidence", "first", "slower"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := verdict.Decide(b)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(v.Rows, func(r verdict.Row) bool { return r.Decision == verdict.Regressed && r.Change.Test.Unit == cpuUnit })
	if at < 0 {
		t.Fatal("the recorded bundle has no slowdown of CPU time")
	}
	key := v.Rows[at].Change.Test.Key
	slowdown := math.Expm1(logSlowdown(v.Rows[at]))
	pkg := b.Manifest.Module + "/p"
	for rep := range 8 {
		for side, name := range []recording.Side{recording.Base, recording.Head} {
			p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
			for i := range 10 {
				n := int64(900 + 10*((rep+3*i)%7))
				f := &profile.Function{ID: uint64(i + 1), Name: fmt.Sprintf("%s.F%d", pkg, i), Filename: pkg + "/p.go"}
				if i == 0 {
					f.Name, n = pkg+".culprit", 3*n
					n += int64(float64(side) * 4 * slowdown * float64(n))
				}
				loc := &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f, Line: 1}}}
				p.Function, p.Location = append(p.Function, f), append(p.Location, loc)
				p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{loc}, Value: []int64{n, 1e7 * n}})
			}
			data, err := recording.EncodeProfile(p)
			if err != nil {
				t.Fatal(err)
			}
			b.AddProfile(recording.Profile{Side: name, Key: key, Kind: recording.CPUProfile, Rep: rep + 1, N: 1000}, data)
			// What waits on the wall clock also has these, with one value for each stack.
			p.SampleType = p.SampleType[:1]
			for _, s := range p.Sample {
				s.Value = s.Value[:1]
			}
			if data, err = recording.EncodeProfile(p); err != nil {
				t.Fatal(err)
			}
			b.AddProfile(recording.Profile{Side: name, Key: key, Kind: recording.GoroutineProfile, Rep: rep + 1, N: 10}, data)
		}
	}
	b.Manifest.ProfileSeconds = 12.5
	decl := func(name, hash string, line int) recording.Decl {
		return recording.Decl{Name: name, Kind: "func", Start: line, End: line + 3, Hash: hash}
	}
	b.Diff = &recording.Diff{Files: []recording.FileDiff{{Path: "p/p.go", Source: pkg + "/p.go", OldSource: pkg + "/p.go", Pkg: pkg,
		Hunks: []recording.Hunk{{BaseStart: 2, BaseLines: 1, HeadStart: 2, HeadLines: 1}, {BaseStart: 12, BaseLines: 1, HeadStart: 12, HeadLines: 1}},
		Base:  []recording.Decl{decl("culprit", "a", 1), decl("F1", "c", 11)}, Head: []recording.Decl{decl("culprit", "b", 1), decl("F1", "d", 11)}}}}
	return b, key.Short(b.Manifest.Module)
}

// TestAProgramThatMeasuresIsReadByItsBundle goes the whole way with a program in
// perfgate's place that leaves a recorded bundle and exits as perfgate would.
func TestAProgramThatMeasuresIsReadByItsBundle(t *testing.T) {
	repository, commit := newModule(t)
	b, bench := recorded(t)
	dir := t.TempDir()
	if err := recording.Write(filepath.Join(dir, "recorded"), b); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\n" +
		"echo \"$@\" >" + dir + "/arguments\n" +
		"[ -e " + dir + "/broken ] && { echo 'no such benchmark' >&2; exit 2; }\n" +
		"while [ $# -gt 1 ]; do [ \"$1\" = --out ] && out=$2; shift; done\n" +
		"cp -r " + dir + "/recorded \"$out\"\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "perfgate"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &Set{file: "m", Injections: []Injection{{Name: "m/slow", Kind: CPU, What: "It is slow.", Packages: []string{"."}, Bench: "^BenchmarkSlow$", Slower: true,
		Guilty: []string{"p.culprit"}, Edits: []Edit{{"m.go", "total := 0\n", "total := 0\n\t_ = make([]int, n)\n"}}}}}
	data := filepath.Join(dir, "data")
	c := &campaign{stdout: io.Discard, root: repository, base: commit, executed: seen("^BenchmarkSlow$"), flags: runFlags{data: data, repeat: 1, checkBudget: 90 * time.Second,
		perfgate: filepath.Join(dir, "perfgate"), keep: filepath.Join(dir, "kept")}}
	c.measure = c.check
	if err := c.run(context.Background(), t.TempDir(), c.tasks([]*Set{s})); err != nil {
		t.Fatal(err)
	}
	lines, err := readLines(data)
	if err != nil || len(lines) != 1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	l := lines[0]
	if l.Error != "" || l.Tool != b.Manifest.Tool || l.Class != b.Manifest.Machine.ClassID || l.ProfileSeconds != 12.5 || len(l.Decoys) != 4 || l.Base != commit {
		t.Errorf("%+v", l)
	}
	a := l.answer()
	if a == nil || a.Bench != bench || a.Unit != cpuUnit || a.Slowdown <= 0 || len(a.Suspects) == 0 || a.Suspects[0].Function != "p.culprit" || a.Suspects[0].File != "p/p.go" {
		t.Fatalf("the answer is %+v", a)
	}
	// All ten functions had counts enough, and one of them differs.
	if want := []Profile{{Bench: bench, Kind: recording.CPUProfile, Tested: 10, Flagged: 1, Shown: 1}}; !slices.Equal(l.Profiled, want) {
		t.Errorf("profiled %+v, want %+v", l.Profiled, want)
	}
	if l.GuiltyOnStacks != 1 || l.DecoysOnStacks != 0 {
		t.Errorf("on stacks are %d guilty and %d decoys", l.GuiltyOnStacks, l.DecoysOnStacks)
	}
	if x := score(task{s, &s.Injections[0]}, lines); x.Place != 1 || !x.Confirmed {
		t.Errorf("%+v", x)
	}
	arguments, err := os.ReadFile(filepath.Join(dir, "arguments"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"check --base " + commit + " --head ", " --bench ^BenchmarkSlow$ --budget 1m30s --profile always --seed ", " --pkg ."} {
		if !strings.Contains(string(arguments), want) {
			t.Errorf("no %q in %s", want, arguments)
		}
	}
	if _, err := recording.Read(filepath.Join(dir, "kept", "m", "slow", fmt.Sprint(l.Seed))); err != nil {
		t.Error(err)
	}

	// A program that cannot measure is a line with what it said.
	write(t, dir, map[string]string{"broken": "yes"})
	c.flags.repeat = 2
	if err := c.run(context.Background(), t.TempDir(), c.tasks([]*Set{s})); err != nil {
		t.Fatal(err)
	}
	if lines, err = readLines(data); err != nil || len(lines) != 2 || !strings.Contains(lines[1].Error, "no such benchmark") {
		t.Errorf("%d lines, %v: %+v", len(lines), err, lines)
	}
}

// A suite that is not measurable as a whole is as good a miss as a found slowdown is
// a hit; without any answer there is neither.
func TestARunIsMeasuredWhereAnyTestIs(t *testing.T) {
	b, err := recording.Read(filepath.Join(root, "docs", "evidence", "first", "neutral"))
	if err != nil {
		t.Fatal(err)
	}
	b.Manifest.Outcomes = append(b.Manifest.Outcomes, recording.Outcome{Key: b.Manifest.Family[0].Key, Kind: recording.TooFew, Detail: "no time"})
	if v, err := verdict.Decide(b); err != nil || v.Headline != verdict.SuiteNotMeasured {
		t.Fatalf("headline %s, %v", v.Headline, err)
	}
	var l Line
	if err := l.read(&b, &Injection{}); err != nil || len(l.Tests) == 0 || l.answer() != nil {
		t.Errorf("%v: %+v", err, l)
	}
	b.Samples = nil
	if err := new(Line).read(&b, &Injection{}); err == nil || !strings.Contains(err.Error(), "no time") {
		t.Errorf("without a sample: %v", err)
	}
}

// The rows that a miss is counted by: what was looked at without an answer is one.
func TestWhatHasNoAnswer(t *testing.T) {
	timed, unpaired, exact := compare.Change{Timed: &compare.Timed{Pairs: 9}}, compare.Change{Timed: &compare.Timed{}}, compare.Change{Exact: &compare.ExactResult{Runs: 2}}
	for _, c := range []struct {
		row  verdict.Row
		want bool
	}{
		{verdict.Row{Decision: verdict.Pass, Change: exact}, true},
		{verdict.Row{Decision: verdict.Identical}, true},
		{verdict.Row{Decision: verdict.Inconclusive, Change: timed}, true},
		{verdict.Row{Decision: verdict.Inconclusive, Change: unpaired}, false},
		{verdict.Row{Decision: verdict.Inconclusive, Change: exact}, false},
		{verdict.Row{Decision: verdict.Ungated, Change: timed}, false},
	} {
		if got := decided(c.row); got != c.want {
			t.Errorf("%s, %+v: decided %v", c.row.Decision, c.row.Change, got)
		}
	}
}

func TestAWorkingTreeThatIsNoCommitIsRefused(t *testing.T) {
	repository, commit := newModule(t)
	data := filepath.Join(repository, "runs")
	write(t, repository, map[string]string{"runs/runs.jsonl": "", "runs/report.json": ""})
	ctx := context.Background()
	if dirty(ctx, repository, data) {
		t.Error("runs that were added make the tree dirty")
	}
	if !dirty(ctx, repository, filepath.Join(repository, "inner")) {
		t.Error("what is elsewhere does not make the tree dirty")
	}
	write(t, repository, map[string]string{"runs/more.go": "package runs\n"})
	if !dirty(ctx, repository, data) {
		t.Error("a program among the runs does not make the tree dirty")
	}
	if err := os.Remove(filepath.Join(data, "more.go")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(repository)
	c := &campaign{flags: runFlags{data: data, perfgate: "perfgate"}}
	if err := c.prepare(ctx, t.TempDir()); err != nil || c.base != commit {
		t.Errorf("base %s, %v", c.base, err)
	}
	write(t, repository, map[string]string{"m.go": "package m\n"})
	if err := c.prepare(ctx, t.TempDir()); err == nil || !strings.Contains(err.Error(), "--rev") {
		t.Errorf("an edited tree is taken: %v", err)
	}
	c.flags.rev = "HEAD"
	if err := c.prepare(ctx, t.TempDir()); err != nil || c.base != commit || c.commit != "" {
		t.Errorf("base %s, built from %q, %v", c.base, c.commit, err)
	}
	// What is built here is built of the tree, whatever commit is changed.
	c.flags.perfgate = ""
	if err := c.prepare(ctx, t.TempDir()); err == nil || !strings.Contains(err.Error(), "--perfgate") {
		t.Errorf("perfgate is built of an edited tree: %v", err)
	}
	c.flags.data = repository
	if err := c.prepare(ctx, t.TempDir()); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("runs are kept at the root: %v", err)
	}
}

// What an interrupted run has left of a bundle is no reason to lose the next one; a
// folder that cannot be written to is one to stop.
func TestABundleTakesThePlaceOfWhatWasLeft(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"bundle/manifest.json": "new", "kept/s/a/7/manifest.json": "half", "file": ""})
	c := &campaign{flags: runFlags{keep: filepath.Join(dir, "kept")}}
	if err := c.keepBundle(filepath.Join(dir, "bundle"), "s/a", 7); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "kept", "s", "a", "7", "manifest.json")); err != nil || string(text) != "new" {
		t.Errorf("kept is %q, %v", text, err)
	}

	var asked []string
	c, sets := newCampaign(t, filepath.Join(dir, "data"), &asked)
	c.flags.keep = filepath.Join(dir, "file")
	c.measure = func(_ context.Context, _ string, t task, l *Line) error {
		asked = append(asked, t.in.Name)
		return c.keepBundle(filepath.Join(dir, "bundle"), t.in.Name, l.Seed)
	}
	err := c.run(context.Background(), t.TempDir(), c.tasks(sets))
	if !errors.Is(err, errKeep) || len(asked) != 1 {
		t.Errorf("after %q: %v", asked, err)
	}
	if lines, err := readLines(filepath.Join(dir, "data")); err != nil || len(lines) != 0 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

// What was nothing before is any number slower; a line holds one.
func TestASlowdownIsANumber(t *testing.T) {
	b, _ := recorded(t)
	v, err := verdict.Decide(b)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(v.Rows, func(r verdict.Row) bool { return r.Change.Exact != nil })
	if at < 0 {
		t.Fatal("the recorded bundle has no exact test")
	}
	r := v.Rows[at]
	r.Change.Exact.Base, r.Change.Exact.Head = 0, 3
	if got := logSlowdown(r); got != math.Log(1000) {
		t.Errorf("from nothing to something is %v", got)
	}
	r.Change.Exact.Base = 2
	if got := math.Expm1(logSlowdown(r)); math.Abs(got-.5) > 1e-12 {
		t.Errorf("from 2 to 3 is %v", got)
	}
}
