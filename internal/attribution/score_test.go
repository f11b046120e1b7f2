package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/calibrate"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// suspects makes suspects of names; "" is what is outside, and "module M" a module.
func suspects(names ...string) []Suspect {
	var list []Suspect
	for _, name := range names {
		list = append(list, Suspect{Function: name, Outside: name == "" || strings.HasPrefix(name, "module "), Confidence: .5})
	}
	return list
}

// slower is a confirmed slowdown with its suspects.
func slower(unit string, channel recording.Channel, names ...string) Test {
	return Test{Bench: "B", Unit: unit, Channel: channel, Decision: verdict.Regressed, Slowdown: .25, Suspects: suspects(names...)}
}

var passed = Test{Bench: "B", Unit: cpuUnit, Channel: recording.CoRun, Decision: verdict.Pass, Slowdown: .01}

func cpu(names ...string) Test { return slower(cpuUnit, recording.CoRun, names...) }

func TestTheAnswerIsThatOfTheTimedTest(t *testing.T) {
	exact, wall, timed := slower("B/op", recording.Exact, "exact"), slower("sec/op", recording.Wall, "wall"), cpu("timed")
	second := slower("allocs/op", recording.Exact, "second")
	other := cpu("other")
	for _, c := range []struct {
		tests []Test
		want  string
	}{
		{[]Test{exact, second, wall, timed}, "timed"},
		{[]Test{exact, wall, passed}, "wall"},
		{[]Test{passed, exact, second}, "exact"},
		{[]Test{timed, other}, "timed"},
		{[]Test{passed}, ""},
	} {
		got := ""
		if a := (&Line{Tests: c.tests}).answer(); a != nil {
			got = a.Suspects[0].Function
		}
		if got != c.want {
			t.Errorf("the answer is %q, want %q", got, c.want)
		}
	}
}

func TestThePlaceOfTheRightAnswer(t *testing.T) {
	inside := &Injection{Slower: true, Guilty: []string{"p.F", "p.G"}}
	outside := &Injection{Slower: true, Outside: true}
	same := &Injection{}
	for _, c := range []struct {
		in    *Injection
		names []string
		want  int
	}{
		{inside, []string{"p.F"}, 1},
		{inside, []string{"p.X", "p.G"}, 2},
		{inside, []string{"p.X", "", "p.F"}, 3},
		{inside, []string{"p.X", ""}, 0},
		{inside, nil, 0},
		{outside, []string{""}, 1},
		{outside, []string{"module m", ""}, 1},
		{outside, []string{"p.F", ""}, 2},
		{outside, []string{"p.F"}, 0},
		{same, []string{"p.F"}, 0},
	} {
		answer := cpu(c.names...)
		if got := place(c.in, &answer); got != c.want {
			t.Errorf("outside %v, %q: place %d, want %d", c.in.Outside, c.names, got, c.want)
		}
	}
	if place(inside, nil) != 0 {
		t.Error("no answer has a place")
	}
	// A module of the name of a guilty function is outside all the same.
	if answer := (&Test{Suspects: []Suspect{{Function: "p.F", Outside: true}}}); place(inside, answer) != 0 {
		t.Error("what is outside counts as guilty")
	}
}

// handmade is a set with its lines, whose rates can be counted by hand.
//
// Six are slower because of the change: one first, one third, one fourth, one
// without suspects, one not confirmed, one whose only run failed. Three have
// their cause outside: said so, blamed, not confirmed. Three are not slower: quiet,
// called slower with the change blamed, called slower with the cause seen outside.
// One has not been tried. Two are pairs without an edit.
func handmade() ([]*Set, []Line) {
	s := &Set{file: "h"}
	var lines []Line
	add := func(name string, kind Kind, slow, outside bool, tests ...Test) {
		in := Injection{Name: "h/" + name, Kind: kind, What: "It is " + name + ".", Packages: []string{"."}, Bench: name, Slower: slow, Outside: outside}
		if slow && !outside {
			in.Guilty = []string{"p.F"}
		}
		s.Injections = append(s.Injections, in)
		if tests == nil {
			return
		}
		lines = append(lines, Line{Schema: lineSchema, Name: in.Name, Kind: kind, Hash: in.Hash(s), Time: "2026-01-01T00:00:00Z", Tool: "perfgate v1", Class: "c1",
			Machine: map[string]string{"cpu": "A", "cores": "2", "go": "go1", "virtualization": "none"}, Tests: tests, ProfileSeconds: float64(10 * len(lines))})
	}
	add("first", CPU, true, false, cpu("p.F", "p.X"))
	add("third", Copy, true, false, cpu("p.X", "", "p.F"))
	add("fourth", Allocation, true, false, cpu("p.X", "p.Y", "p.Z", "p.F"))
	add("silent", CPU, true, false, cpu())
	add("unseen", CPU, true, false, passed)
	add("broken", CPU, true, false, passed)
	lines[5].Error, lines[5].Tests = "it does not build\nat all", nil
	add("said", Dependency, true, true, cpu("module m", "p.F"))
	add("blamed", Dependency, true, true, cpu("p.F", ""))
	add("missed", Dependency, true, true, passed)
	add("quiet", Rename, false, false, passed)
	add("accused", Moved, false, false, passed, slower("B/op", recording.Exact, "p.F"), cpu(""))
	add("excused", Moved, false, false, cpu(""))
	add("untried", CPU, true, false)
	add("aa-1", AA, false, false, passed)
	add("aa-2", AA, false, false, passed)
	n := len(lines)
	lines[n-2].Profiled = []Profile{{"B", recording.CPUProfile, 30, 2, 1}, {"B", recording.AllocProfile, 10, 3, 3}}
	lines[n-1].Profiled = []Profile{{"B", recording.CPUProfile, 70, 1, 0}, {"B", recording.BlockProfile, 9, 9, 9}}
	// Of the four inside that were confirmed a guess is right in 2 of 8 cases, in the
	// only one, in half of all, and, of a guilty constant, in the only one: in the mean
	// in 2.75 of 4.
	lines[0].GuiltyOnStacks, lines[0].DecoysOnStacks = 2, 6
	lines[1].GuiltyOnStacks = 1
	lines[2].GuiltyOnStacks, lines[2].DecoysOnStacks = 2, 2
	lines[4].GuiltyOnStacks, lines[4].DecoysOnStacks = 1, 99
	// Functions of what was changed are no A/A functions.
	lines[0].Profiled = []Profile{{"B", recording.CPUProfile, 40, 40, 40}}
	return []*Set{s}, lines
}

func TestTheReportCountsWhatTheRunsSay(t *testing.T) {
	r := analyse(handmade())
	rate := calibrate.NewRate
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"found", r.Found, rate(6, 8)}, // of 5 inside and 3 outside that have a verdict
		{"top-1", r.Top1, rate(1, 4)},
		{"top-3", r.Top3, rate(2, 4)},
		{"top-1 of all", r.All1, rate(1, 5)},
		{"top-3 of all", r.All3, rate(2, 5)},
		{"guess", r.Guess, .6875},
		{"outside said", r.Outside, rate(1, 2)},
		{"outside blamed", r.FalseOutside, rate(1, 2)},
		{"called slower", r.Called, rate(2, 5)},
		{"nothing, blamed", r.FalseNothing, rate(1, 5)},
		{"flagged", r.Flagged, rate(3, 100)},
		{"shown", r.Shown, rate(1, 100)},
		{"flagged allocations", r.FlaggedAlloc, rate(3, 10)},
		{"injections", r.Injections, 15},
		{"tried", r.Tried, 14},
		{"not measured", r.Unmeasured, 1},
		{"stale", r.Stale, 0},
		// Confirmed are the lines 0, 1, 2, 3, 6, 7, 10 and 11, at ten seconds each.
		{"profiled", r.Profiled, 8},
		{"median", r.ProfileMedian, 45.},
		{"most", r.ProfileMax, 110.},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	for _, k := range r.Kinds {
		switch k.Kind {
		case CPU:
			if k.Injections != 5 || k.Measured != 3 || k.Top1 != rate(1, 2) {
				t.Errorf("cpu: %+v", k)
			}
		case Moved:
			if k.Called != rate(2, 2) || k.FalseNothing != rate(1, 2) || k.Found.N != 0 {
				t.Errorf("moved: %+v", k)
			}
		}
	}
}

// An injection counts once, by the first run that has a verdict; the others say how
// stable that is, and what failed before or after changes nothing.
func TestAnInjectionCountsOnceByItsFirstVerdict(t *testing.T) {
	sets, all := handmade()
	first := all[0]
	with := func(change func(l *Line)) Line {
		l := first
		change(&l)
		return l
	}
	failed := with(func(l *Line) { l.Error, l.Tests = "no room", nil })
	second := with(func(l *Line) { l.Tests = []Test{cpu("p.X", "p.F")} })
	stale := with(func(l *Line) { l.Hash = "0123456789abcdef" })
	// The same confirmed, and the right answer nowhere in both: another is named.
	silent := all[3]
	named := silent
	named.Tests = []Test{cpu("p.X")}
	if x := analyse(sets, []Line{silent, named, silent}).Results[3]; x.Again != 2 || x.Same != 1 {
		t.Errorf("another suspect is the same outcome: %+v", x)
	}
	// Nothing is slower, nothing is named first in the answer, and yet one is blamed.
	excused := all[11]
	accused := excused
	accused.Tests = append([]Test{slower("B/op", recording.Exact, "p.F")}, excused.Tests...)
	if x := analyse(sets, []Line{excused, accused}).Results[11]; x.Again != 1 || x.Same != 0 || x.Blamed {
		t.Errorf("blame is the same outcome: %+v", x)
	}
	r := analyse(sets, []Line{stale, failed, first, second, first, failed})
	x := r.Results[0]
	if !x.Measured || x.Place != 1 || x.Runs != 5 || x.Errors != 2 || x.Again != 2 || x.Same != 1 || x.Error != "" {
		t.Errorf("%+v", x)
	}
	if r.Repeats != calibrate.NewRate(1, 2) || r.Stale != 1 || r.Top1 != calibrate.NewRate(1, 1) || r.Unmeasured != 0 {
		t.Errorf("repeats %+v, stale %d, top-1 %+v, unmeasured %d", r.Repeats, r.Stale, r.Top1, r.Unmeasured)
	}
}

// The name of a file says nothing about what was measured first.
func TestTheFirstRunIsTheEarliest(t *testing.T) {
	sets, all := handmade()
	dir := t.TempDir()
	for file, change := range map[string]func(l *Line){
		"a.jsonl": func(l *Line) { l.Time, l.Tests = "2026-01-03T00:00:00Z", []Test{cpu("p.X", "p.F")} },
		"b.jsonl": func(l *Line) { l.Time, l.Seed, l.Tests = "2026-01-02T00:00:00Z", 2, []Test{cpu("p.X", "p.Y", "p.F")} },
		"c.jsonl": func(l *Line) { l.Time, l.Seed = "2026-01-02T00:00:00Z", 1 },
	} {
		l := all[0]
		change(&l)
		if err := appendLine(filepath.Join(dir, file), l); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := readLines(dir)
	if err != nil {
		t.Fatal(err)
	}
	if x := analyse(sets, lines).Results[0]; x.Place != 1 || x.Again != 2 || x.Same != 0 {
		t.Errorf("%+v", x)
	}
}
