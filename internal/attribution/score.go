package main

import (
	"cmp"
	"slices"

	"github.com/perfgate/perfgate/gate/calibrate"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// cpuUnit is the metric of the test whose suspects are the answer, where it
// regressed.
const cpuUnit = "cpu-sec/op"

// A Result is what came of one injection.
type Result struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	What string `json:"what"`
	// Guilty, Outside and Slower are the right answer.
	Guilty  []string `json:"guilty,omitempty"`
	Outside bool     `json:"outside"`
	Slower  bool     `json:"slower"`
	// Runs of this definition, and Errors of those that gave no verdict. An injection
	// counts once, by its earliest run with a verdict: Measured tells that there is one.
	Runs     int    `json:"runs"`
	Errors   int    `json:"errors"`
	Measured bool   `json:"measured"`
	Error    string `json:"error,omitempty"` // where none has a verdict
	// Confirmed: something was found slower. Answer is the test whose suspects count,
	// and otherwise, where nothing was confirmed, that of CPU time.
	Confirmed bool  `json:"confirmed"`
	Answer    *Test `json:"answer,omitempty"`
	// Place is where the right answer is among the suspects, from 1; 0 for nowhere.
	Place int `json:"place"`
	// Blamed: a part of the change is the first suspect, although the cause is outside
	// or nothing is slower.
	Blamed bool `json:"blamed"`
	// Again are the further runs with a verdict, and Same those of them in which as much
	// was confirmed, the same suspect came first, the right answer is at the same place,
	// and the change is blamed in error as often.
	Again int `json:"again"`
	Same  int `json:"same"`

	line *Line
}

// score finds what came of an injection. The lines are in the order of their time.
func score(t task, lines []Line) Result {
	r := Result{Name: t.in.Name, Kind: t.in.Kind, What: t.in.What, Guilty: t.in.Guilty, Outside: t.in.Outside, Slower: t.in.Slower}
	hash := t.in.Hash(t.set)
	for i := range lines {
		l := &lines[i]
		if l.Hash != hash || l.Name != t.in.Name {
			continue
		}
		r.Runs++
		switch {
		case l.Error != "":
			r.Errors++
			r.Error = cmp.Or(r.Error, l.Error)
		case !r.Measured:
			r.Measured, r.line = true, l
			r.judge(t.in)
		default:
			other := Result{line: l}
			other.judge(t.in)
			r.Again++
			r.Same += count(r.same(&other))
		}
	}
	if r.Measured {
		r.Error = ""
	}
	return r
}

// judge compares a line with the right answer.
func (r *Result) judge(in *Injection) {
	if answer := r.line.answer(); answer != nil {
		r.Confirmed, r.Answer = true, answer
		r.Place = place(in, answer)
	} else {
		r.Answer = r.line.timed()
	}
	switch {
	case in.Outside:
		r.Blamed = r.Confirmed && blames(r.Answer)
	case !in.Slower:
		// Whichever test it is: nothing is slower.
		r.Blamed = slices.ContainsFunc(r.line.Tests, func(t Test) bool { return t.Decision == verdict.Regressed && blames(&t) })
	}
}

// same tells whether two runs have the same outcome.
func (r *Result) same(other *Result) bool {
	return r.Confirmed == other.Confirmed && r.Place == other.Place && r.Blamed == other.Blamed && r.named() == other.named()
}

// named is the first suspect of what was confirmed; empty for none.
func (r *Result) named() string {
	if !r.Confirmed || len(r.Answer.Suspects) == 0 {
		return ""
	}
	return r.Answer.Suspects[0].name()
}

// guess is the chance of somebody who blames one of the touched functions on the
// stacks without looking further. A guilty declaration that is no function is on no
// stack, but can be named: one is there always.
func (r *Result) guess() float64 {
	guilty := float64(max(1, r.line.GuiltyOnStacks))
	return guilty / (guilty + float64(r.line.DecoysOnStacks))
}

// answer is the test whose suspects are the answer: of CPU time where that
// regressed, else another timed one, else the first exact one, in the report's
// order. It is nil where nothing regressed.
func (l *Line) answer() *Test {
	rank := func(t *Test) int {
		switch {
		case t.Unit == cpuUnit && t.Channel != recording.Exact:
			return 0
		case t.Channel != recording.Exact:
			return 1
		}
		return 2
	}
	var best *Test
	for i := range l.Tests {
		t := &l.Tests[i]
		if t.Decision == verdict.Regressed && (best == nil || rank(t) < rank(best)) {
			best = t
		}
	}
	return best
}

// timed is the first test of CPU time, or else of time.
func (l *Line) timed() *Test {
	for _, is := range []func(t Test) bool{
		func(t Test) bool { return t.Unit == cpuUnit },
		func(t Test) bool { return t.Channel != recording.Exact },
	} {
		if at := slices.IndexFunc(l.Tests, is); at >= 0 {
			return &l.Tests[at]
		}
	}
	return nil
}

// place is where the right answer is among a test's suspects, from 1; 0 for nowhere.
func place(in *Injection, t *Test) int {
	if t == nil || !in.Slower {
		return 0
	}
	return 1 + slices.IndexFunc(t.Suspects, func(s Suspect) bool {
		if in.Outside {
			return s.Outside
		}
		return !s.Outside && slices.Contains(in.Guilty, s.Function)
	})
}

// blames: the first suspect is a part of the change.
func blames(t *Test) bool { return len(t.Suspects) > 0 && !t.Suspects[0].Outside }

// A Report is what all runs say. It is a pure function of the set and the lines.
type Report struct {
	Machines []Place `json:"machines"`
	From     string  `json:"from"`
	To       string  `json:"to"`
	// Tools are the versions that measured.
	Tools []string `json:"tools"`
	// Rules are the commits whose rules have named the suspects of runs that were
	// measured by another one, and Reread how many these are.
	Rules  []string `json:"rules,omitempty"`
	Reread int      `json:"reread"`
	// Injections of the set, those with a run, those of which no run has a verdict,
	// and lines of definitions that the set no longer has, changed or removed.
	Injections int `json:"injections"`
	Tried      int `json:"tried"`
	Unmeasured int `json:"unmeasured"`
	Stale      int `json:"stale"`

	Summary
	// Functions of pairs without an injection that were flagged, of those tested: in
	// profiles of CPU time, and of allocations. Shown are those that a reader would
	// have been told of.
	Flagged      calibrate.Rate `json:"flagged"`
	Shown        calibrate.Rate `json:"shown"`
	FlaggedAlloc calibrate.Rate `json:"flagged-alloc"`
	// Profile seconds of the runs in which something was confirmed as slower.
	Profiled      int     `json:"profiled"`
	ProfileMedian float64 `json:"profile-median"`
	ProfileMax    float64 `json:"profile-max"`
	// Repeats are further runs, and those with the same outcome.
	Repeats calibrate.Rate `json:"repeats"`

	Kinds   []KindReport `json:"kinds"`
	Results []Result     `json:"results"`
}

// Place is a machine class.
type Place struct {
	Class   string            `json:"class"`
	Machine map[string]string `json:"machine"`
	Runs    int               `json:"runs"`
}

// Summary is the rates over some injections.
type Summary struct {
	// Found: of what is slower and was measured, confirmed.
	Found calibrate.Rate `json:"found"`
	// Top1 and Top3, of what was confirmed and has its cause in the change; All1 and
	// All3 of what was measured.
	Top1 calibrate.Rate `json:"top-1"`
	Top3 calibrate.Rate `json:"top-3"`
	All1 calibrate.Rate `json:"top-1-of-all"`
	All3 calibrate.Rate `json:"top-3-of-all"`
	// Guess is the top-1 that guessing among the touched functions on the stacks would
	// have, in the mean over what Top1 counts.
	Guess float64 `json:"top-1-of-a-guess"`
	// Outside, of what was confirmed and has its cause elsewhere: said so, and
	// FalseOutside where a part of the change is blamed.
	Outside      calibrate.Rate `json:"outside"`
	FalseOutside calibrate.Rate `json:"false-outside"`
	// Of what is not slower: called slower, and a part of the change blamed for it.
	Called       calibrate.Rate `json:"called-slower"`
	FalseNothing calibrate.Rate `json:"false-nothing"`
}

// KindReport is one kind.
type KindReport struct {
	Kind       Kind `json:"kind"`
	Injections int  `json:"injections"`
	Measured   int  `json:"measured"`
	Summary
}

// summarise counts results. Those without a verdict are in no rate.
func summarise(results []Result) Summary {
	var slower, found, inside, insideMeasured, top1, top3, outside, saidOutside, blamedOutside, nothing, called, blamed int
	guess := 0.
	for _, r := range results {
		if !r.Measured {
			continue
		}
		switch {
		case !r.Slower:
			nothing++
			called += count(r.Confirmed)
			blamed += count(r.Blamed)
			continue
		case !r.Outside:
			insideMeasured++
		}
		slower++
		found += count(r.Confirmed)
		switch {
		case !r.Confirmed:
		case r.Outside:
			outside++
			saidOutside += count(r.Place == 1)
			blamedOutside += count(r.Blamed)
		default:
			inside++
			guess += r.guess()
			top1 += count(r.Place == 1)
			top3 += count(r.Place >= 1 && r.Place <= 3)
		}
	}
	rate := calibrate.NewRate
	return Summary{Found: rate(found, slower), Top1: rate(top1, inside), Top3: rate(top3, inside), All1: rate(top1, insideMeasured), All3: rate(top3, insideMeasured), Guess: rounded(guess / float64(max(1, inside))),
		Outside: rate(saidOutside, outside), FalseOutside: rate(blamedOutside, outside), Called: rate(called, nothing), FalseNothing: rate(blamed, nothing)}
}

// analyse makes the report. Without a run it is empty, however many injections
// there are to try.
func analyse(sets []*Set, lines []Line) *Report {
	r := &Report{}
	if len(lines) == 0 {
		return r
	}
	// Files are in the order of their names, which says nothing about what was first.
	lines = slices.SortedStableFunc(slices.Values(lines), func(a, b Line) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Seed, b.Seed)) })
	current := map[string]bool{}
	for _, s := range sets {
		for i := range s.Injections {
			t := task{s, &s.Injections[i]}
			current[t.in.Name+" "+t.in.Hash(s)] = true
			r.Results = append(r.Results, score(t, lines))
		}
	}
	var valid []Line
	for _, l := range lines {
		if current[l.Name+" "+l.Hash] {
			valid = append(valid, l)
		} else {
			r.Stale++
		}
	}
	r.origin(valid)
	again, same := 0, 0
	for _, x := range r.Results {
		r.Injections++
		r.Tried += count(x.Runs > 0)
		r.Unmeasured += count(x.Runs > 0 && !x.Measured)
		again, same = again+x.Again, same+x.Same
	}
	r.Repeats = calibrate.NewRate(same, again)
	r.Summary = summarise(r.Results)
	for _, kind := range Kinds {
		of := slices.DeleteFunc(slices.Clone(r.Results), func(x Result) bool { return x.Kind != kind })
		if len(of) == 0 {
			continue
		}
		k := KindReport{Kind: kind, Injections: len(of), Summary: summarise(of)}
		for _, x := range of {
			k.Measured += count(x.Measured)
		}
		r.Kinds = append(r.Kinds, k)
	}
	r.functions()
	r.cost(valid)
	return r
}

// origin says where and when the lines were measured.
func (r *Report) origin(lines []Line) {
	for _, l := range lines {
		if r.From == "" || l.Time < r.From {
			r.From = l.Time
		}
		r.To = max(r.To, l.Time)
		if l.Error != "" {
			continue
		}
		if !slices.Contains(r.Tools, l.Tool) {
			r.Tools = append(r.Tools, l.Tool)
		}
		if l.Rules != "" {
			r.Reread++
			if !slices.Contains(r.Rules, l.Rules) {
				r.Rules = append(r.Rules, l.Rules)
			}
		}
		at := slices.IndexFunc(r.Machines, func(p Place) bool { return p.Class == l.Class })
		if at < 0 {
			r.Machines = append(r.Machines, Place{Class: l.Class, Machine: l.Machine})
			at = len(r.Machines) - 1
		}
		r.Machines[at].Runs++
	}
	slices.Sort(r.Tools)
	slices.Sort(r.Rules)
	slices.SortFunc(r.Machines, func(a, b Place) int { return cmp.Compare(a.Class, b.Class) })
}

// functions counts those that were flagged where nothing differs.
func (r *Report) functions() {
	var cpu, alloc Profile
	for _, x := range r.Results {
		if x.Kind != AA || !x.Measured {
			continue
		}
		for _, p := range x.line.Profiled {
			switch p.Kind {
			case recording.CPUProfile:
				cpu.Tested, cpu.Flagged, cpu.Shown = cpu.Tested+p.Tested, cpu.Flagged+p.Flagged, cpu.Shown+p.Shown
			case recording.AllocProfile:
				alloc.Tested, alloc.Flagged = alloc.Tested+p.Tested, alloc.Flagged+p.Flagged
			}
		}
	}
	r.Flagged, r.Shown = calibrate.NewRate(cpu.Flagged, cpu.Tested), calibrate.NewRate(cpu.Shown, cpu.Tested)
	r.FlaggedAlloc = calibrate.NewRate(alloc.Flagged, alloc.Tested)
}

// cost is what profiles took where a check fails: of every run, not only of the
// first one.
func (r *Report) cost(lines []Line) {
	var seconds []float64
	for i := range lines {
		if lines[i].answer() != nil {
			seconds = append(seconds, lines[i].ProfileSeconds)
		}
	}
	r.Profiled = len(seconds)
	if len(seconds) > 0 {
		slices.Sort(seconds)
		r.ProfileMedian, r.ProfileMax = rounded((seconds[(len(seconds)-1)/2]+seconds[len(seconds)/2])/2), seconds[len(seconds)-1]
	}
}
