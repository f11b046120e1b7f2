package culprit

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// cost is a stack, from the root to the leaf, with the samples that a replicate
// has there on each side.
type cost struct {
	stack      string
	base, head float64
}

const reps = 8

// data draws profiles of these costs: counts that scatter like the square root of
// their mean, and a little more.
func data(t *testing.T, seed uint64, costs []cost, renames map[string]string) *profdiff.Data {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	draw := func(mean float64) int64 {
		n := mean*(1+.02*rng.NormFloat64()) + .7*rng.NormFloat64()*mean/(1+mean/10)
		return max(0, int64(n+.5))
	}
	var runs [2][]profdiff.Run
	for side := range 2 {
		for range reps {
			p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
			for _, c := range costs {
				mean := c.base
				if side == 1 {
					mean = c.head
				}
				addSample(p, c.stack, draw(mean))
			}
			runs[side] = append(runs[side], profdiff.Run{Profile: p, N: 1000})
		}
	}
	d, err := profdiff.Join(recording.CPUProfile, profdiff.Time, runs[0], runs[1], renames)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func addSample(p *profile.Profile, stack string, n int64) {
	s := &profile.Sample{Value: []int64{n, 4_000_000 * n}}
	for name := range strings.FieldsSeq(stack) {
		f := &profile.Function{Name: name, Filename: strings.TrimSuffix(name, name[strings.LastIndex(name, ".")+1:]) + "go"}
		s.Location = append([]*profile.Location{{Line: []profile.Line{{Function: f}}}}, s.Location...)
	}
	if n > 0 {
		p.Sample = append(p.Sample, s)
	}
}

// touched is a diff of functions of example.org/m; "+F" is new, "-F" gone,
// "const X:m.User" a constant with a user, and "a=b" a function a renamed to b.
func touched(words ...string) *recording.Diff {
	f := recording.FileDiff{Path: "m.go", Source: "m/m.go", OldSource: "m/m.go", Pkg: "m"}
	for i, w := range words {
		line := 10*i + 1
		old := recording.Decl{Kind: "func", Name: w, Start: line, End: line + 8, Hash: w + " before"}
		now := recording.Decl{Kind: "func", Name: w, Start: line, End: line + 8, Hash: w + " now"}
		switch from, to, renamed := strings.Cut(w, "="); {
		case renamed:
			old.Name, now.Name, old.Hash, now.Hash = from, to, "same", "same"
		case w[0] == '+':
			now.Name = w[1:]
			old.Name = ""
		case w[0] == '-':
			old.Name = w[1:]
			now.Name = ""
		case strings.HasPrefix(w, "const "):
			name, user, _ := strings.Cut(strings.TrimPrefix(w, "const "), ":")
			now.Kind, now.Name, now.Users = "const", name, []string{user}
			old.Kind, old.Name = "const", name
		}
		if old.Name != "" {
			f.Base = append(f.Base, old)
		}
		if now.Name != "" {
			f.Head = append(f.Head, now)
			f.Hunks = append(f.Hunks, recording.Hunk{BaseStart: line, BaseLines: 1, HeadStart: line, HeadLines: 1})
		}
	}
	return &recording.Diff{Files: []recording.FileDiff{f}}
}

// find looks for the cause of a slowdown that the gate has measured exactly.
func find(t *testing.T, costs []cost, d *recording.Diff) Finding {
	t.Helper()
	base, head := 0.0, 0.0
	for _, c := range costs {
		base, head = base+c.base, head+c.head
	}
	return Find(Input{Data: data(t, 1, costs, Renames(d)), Diff: d, Measured: head / base})
}

// first asserts who is suspected most, "outside" for nobody.
func first(t *testing.T, f Finding, want string, least float64) Suspect {
	t.Helper()
	if len(f.Suspects) == 0 {
		t.Fatalf("no suspect: %s", f.Note)
	}
	s := f.Suspects[0]
	if s.Outside && want == "outside" || s.Function == want {
		if s.Confidence < least {
			t.Errorf("confidence %.2f, want at least %.2f: %+v", s.Confidence, least, s)
		}
		return s
	}
	t.Fatalf("suspects %+v, want %s", f.Suspects, want)
	return s
}

func TestATouchedFunctionThatGrewIsSuspected(t *testing.T) {
	f := find(t, []cost{
		{"m.Bench m.Run m.Slow", 100, 220}, {"m.Bench m.Run m.Other", 300, 300}, {"m.Bench m.Run", 100, 100},
	}, touched("Slow", "Other"))
	s := first(t, f, "m.Slow", .85)
	if s.File != "m.go" || s.Line != 1 || len(s.Hunks) != 1 || s.Share < .9 || !strings.Contains(s.Why, "it changed") {
		t.Errorf("suspect %+v", s)
	}
	if len(f.Suspects) != 1 {
		t.Errorf("others are suspected too: %+v", f.Suspects[1:])
	}
}

func TestGrowthInACalleeIsItsTouchedCallers(t *testing.T) {
	f := find(t, []cost{
		{"m.Bench m.Run m.Slow sort.Slice", 100, 250}, {"m.Bench m.Run m.Slow", 50, 50}, {"m.Bench m.Run", 400, 400},
	}, touched("Run", "Slow"))
	first(t, f, "m.Slow", .6)
}

func TestANewFunctionIsSuspected(t *testing.T) {
	f := find(t, []cost{{"m.Bench m.Run m.Check fmt.Sprintf", 0, 150}, {"m.Bench m.Run", 500, 500}}, touched("+Check", "Run"))
	if s := first(t, f, "m.Check", .85); !strings.Contains(s.Why, "it is new") {
		t.Errorf("why: %s", s.Why)
	}
}

func TestGrowthThatNobodyTouchedIsOutsideTheDiff(t *testing.T) {
	d := touched("Elsewhere", "Run")
	d.Files = append(d.Files, recording.FileDiff{Path: "testdata/big.json"})
	d.Files[0].Head = d.Files[0].Head[:1]
	f := find(t, []cost{{"m.Bench dep.Parse", 100, 300}, {"m.Bench m.Other", 400, 400}}, d)
	s := first(t, f, "outside", .6)
	for _, want := range []string{"dep.Parse", "testdata/big.json", "nothing that the change touches (1 function)"} {
		if !strings.Contains(s.Why, want) {
			t.Errorf("why lacks %q: %s", want, s.Why)
		}
	}
}

func TestAModuleWithAnotherVersionIsNamed(t *testing.T) {
	d := touched("Run")
	d.Modules = []recording.ModuleChange{{Path: "dep", Base: "v1.0.0", Head: "v1.1.0"}}
	f := find(t, []cost{{"m.Bench m.Run dep.Parse", 100, 300}, {"m.Bench m.Run", 400, 400}}, d)
	s := first(t, f, "module dep", .7)
	if !s.Outside || !strings.Contains(s.Why, "v1.0.0 -> v1.1.0") {
		t.Errorf("suspect %+v", s)
	}
}

// A callee costs twice as much below the touched function, and below others.
func TestACallerOfWhatIsSlowerEverywhereIsNotBlamed(t *testing.T) {
	f := find(t, []cost{
		{"m.Bench m.Run m.Touched dep.Parse", 100, 200}, {"m.Bench m.Run m.Other dep.Parse", 100, 200}, {"m.Bench m.Run", 400, 400},
	}, touched("Touched"))
	if s := first(t, f, "outside", .4); !strings.Contains(s.Why, "below callers too") {
		t.Errorf("why: %s", s.Why)
	}
}

// Keys are checked twice: the check itself, touched in the same change, costs no
// more where values are checked.
func TestACallerThatCallsMoreOftenIsSuspectedAndNotWhatItCalls(t *testing.T) {
	often := []cost{
		{"m.Bench m.Object m.Check", 300, 600}, {"m.Bench m.Object m.Value m.Check", 300, 300}, {"m.Bench m.Object", 400, 400},
	}
	f := find(t, often, touched("Object", "Check"))
	if s := first(t, f, "m.Object", .5); !strings.Contains(s.Why, "m.Check costs more below it") || strings.Contains(s.Why, "chance") {
		t.Errorf("why: %s", s.Why)
	}
	// By way of another touched function.
	f = find(t, []cost{
		{"m.Bench m.Object m.Any m.Check", 300, 600}, {"m.Bench m.Array m.Any m.Check", 300, 300}, {"m.Bench m.Object m.Check", 300, 300},
		{"m.Bench m.Object", 400, 400},
	}, touched("Object", "Any", "Check"))
	first(t, f, "m.Object", .4)
	// It is slower wherever it is called.
	f = find(t, []cost{
		{"m.Bench m.Object m.Check", 300, 600}, {"m.Bench m.Object m.Value m.Check", 300, 600}, {"m.Bench m.Object", 400, 400},
	}, touched("Object", "Check"))
	first(t, f, "m.Check", .6)
	// Others call it too seldom to tell.
	f = find(t, []cost{
		{"m.Bench m.Object m.Check", 300, 600}, {"m.Bench m.Object m.Value m.Check", 2, 2}, {"m.Bench m.Object", 400, 400},
	}, touched("Object", "Check"))
	first(t, f, "m.Check", .5)
	if len(f.Suspects) != 2 || f.Suspects[1].Function != "m.Object" || !strings.Contains(f.Suspects[1].Why, "either may be why") {
		t.Errorf("suspects %+v", f.Suspects)
	}
}

// Half of Old moved to a new function; what is slower is Slow.
func TestCostThatMovedIsNoRegression(t *testing.T) {
	f := find(t, []cost{
		{"m.Bench m.Run m.Old", 300, 150}, {"m.Bench m.Run m.Old m.Part", 0, 150}, {"m.Bench m.Run m.Slow", 100, 200}, {"m.Bench m.Run", 200, 200},
	}, touched("Old", "+Part", "Slow"))
	first(t, f, "m.Slow", .7)
	for _, s := range f.Suspects {
		if s.Function == "m.Part" && s.Confidence > .1 {
			t.Errorf("the part that only moved is suspected: %+v", s)
		}
	}
}

func TestWhatMovedIsToldWhereItMatters(t *testing.T) {
	for moved, told := range map[float64]bool{300: false, 30000: true} {
		f := find(t, []cost{{"m.Bench m.Run m.Old", moved, 0}, {"m.Bench m.Run m.New", 0, 100000}}, touched("-Old", "+New"))
		if s := first(t, f, "m.New", .5); strings.Contains(s.Why, "moved here from m.Old") != told {
			t.Errorf("of 100,000 samples %.0f moved: %s", moved, s.Why)
		}
	}
}

func TestAPureRenameIsNotSuspected(t *testing.T) {
	f := find(t, []cost{
		{"m.Bench m.Run m.before", 300, 0}, {"m.Bench m.Run m.after", 0, 300}, {"m.Bench m.Run m.Slow", 100, 200},
	}, touched("before=after", "Slow"))
	s := first(t, f, "m.Slow", .8)
	if s.Share < .9 || len(f.Suspects) != 1 {
		t.Errorf("suspects %+v", f.Suspects)
	}
}

// The constant decides how often flush runs; no touched function is on a stack.
func TestAChangedConstantIsSuspectedByWhoMentionsIt(t *testing.T) {
	f := find(t, []cost{{"m.Bench m.Run m.flush syscall.Write", 50, 200}, {"m.Bench m.Run", 400, 400}}, touched("const batchSize:m.flush"))
	s := f.Suspects[0]
	if s.Function != "m.batchSize" && !(len(f.Suspects) > 1 && f.Suspects[1].Function == "m.batchSize") {
		t.Errorf("suspects %+v", f.Suspects)
	}
	for _, s := range f.Suspects {
		if s.Function == "m.batchSize" && s.Confidence > .5 {
			t.Errorf("a hint has confidence %.2f", s.Confidence)
		}
	}
}

// The whole program mentions the constant, and there is nothing else to suspect.
func TestAConstantThatEverythingMentionsIsSuspectedWithCaution(t *testing.T) {
	f := find(t, []cost{{"m.Bench m.Run sha.Sum", 300, 900}, {"m.Bench m.Run", 100, 100}}, touched("const batchSize:m.Run"))
	first(t, f, "m.batchSize", .35)
	if f.Suspects[0].Confidence > .45 || len(f.Suspects) != 2 || !f.Suspects[1].Outside {
		t.Errorf("suspects %+v", f.Suspects)
	}
}

func TestTheCollectorsWorkIsThatOfWhoAllocates(t *testing.T) {
	costs := []cost{{"runtime.gcBgMarkWorker runtime.scanobject", 50, 200}, {"m.Bench m.Run m.Alloc", 100, 110}, {"m.Bench m.Run m.Quiet", 300, 300}}
	alloc := data(t, 2, []cost{{"m.Bench m.Run m.Alloc", 100, 400}, {"m.Bench m.Run m.Quiet", 100, 100}}, nil)
	alloc.Metric = profdiff.Bytes
	d := touched("Alloc", "Quiet")
	f := Find(Input{Data: data(t, 1, costs, nil), Alloc: alloc, Diff: d, Measured: 610.0 / 450})
	if s := first(t, f, "m.Alloc", .6); !strings.Contains(s.Why, "allocates") {
		t.Errorf("why: %s", s.Why)
	}
}

func TestTooFewSamplesAreAdmitted(t *testing.T) {
	costs := []cost{{"m.Bench m.Run", 10, 10}, {"m.Bench m.Run m.Slow", 2, 2}}
	f := Find(Input{Data: data(t, 1, costs, nil), Diff: touched("Slow"), Measured: 1.05})
	if !strings.Contains(f.Note, "too few samples to tell") {
		t.Errorf("note %q, suspects %+v", f.Note, f.Suspects)
	}
	for _, s := range f.Suspects {
		if s.Confidence > .35 {
			t.Errorf("and yet %+v", s)
		}
	}
}

func TestConfidencesAddUpToOneAtMost(t *testing.T) {
	f := find(t, []cost{{"m.Bench m.A", 100, 200}, {"m.Bench m.B", 100, 200}, {"m.Bench x.C", 100, 200}}, touched("A", "B"))
	total := 0.0
	for _, s := range f.Suspects {
		total += s.Confidence
	}
	if total > 1.0001 || len(f.Suspects) != 3 {
		t.Errorf("confidences add up to %v: %+v", total, f.Suspects)
	}
}

// A benchmark that reads more does more of everything, in touched functions too.
func TestDataThatGrewIsSuspectedWhereAllGrewAlike(t *testing.T) {
	costs := []cost{{"m.Bench m.Parse", 600, 900}, {"m.Bench m.Other", 200, 300}}
	grown := func(costs []cost, file string) Finding {
		d := touched("Parse")
		d.Files = append(d.Files, recording.FileDiff{Path: file})
		base, head := 0.0, 0.0
		for _, c := range costs {
			base, head = base+c.base, head+c.head
		}
		return Find(Input{Data: data(t, 1, costs, nil), Diff: d, Measured: head / base, Pkg: "example.org/x/m"})
	}
	f := grown(costs, "m/testdata/big.json")
	if first(t, f, "outside", .3); len(f.Suspects) != 2 || !strings.Contains(f.Suspects[1].Why, "big.json changed, which the benchmark may read") {
		t.Errorf("suspects %+v", f.Suspects)
	}
	first(t, grown(costs, "x/testdata/big.json"), "outside", .3)
	first(t, grown(costs, "testdata/big.json"), "outside", .3)
	// Data of another package, and growth in one place.
	first(t, grown(costs, "other/testdata/big.json"), "m.Parse", .5)
	first(t, grown([]cost{{"m.Bench m.Parse", 200, 600}, {"m.Bench m.Other", 600, 600}}, "m/testdata/big.json"), "m.Parse", .7)
}
