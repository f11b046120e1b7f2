package profdiff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/perfgate/perfgate/gate/recording"
)

func TestSymbolsAreNamedAsTheSourceNamesThem(t *testing.T) {
	for symbol, want := range map[string][2]string{
		"runtime.mallocgc":                                     {"runtime", "mallocgc"},
		"github.com/a/b.(*T).M":                                {"github.com/a/b", "(*T).M"},
		"github.com/a/b.(*T).M.func1.2":                        {"github.com/a/b", "(*T).M"},
		"github.com/a/b.T.M-fm":                                {"github.com/a/b", "T.M"},
		"github.com/a/b.F.gowrap1":                             {"github.com/a/b", "F"},
		"github.com/a/b.F.deferwrap2":                          {"github.com/a/b", "F"},
		"github.com/a/b.F-range1":                              {"github.com/a/b", "F"},
		"github.com/a/b.F.func2-range1":                        {"github.com/a/b", "F"},
		"github.com/a/b.glob..func3":                           {"github.com/a/b", "init"},
		"github.com/a/b.init.0":                                {"github.com/a/b", "init"},
		"slices.SortFunc[go.shape.[]int,go.shape.int]":         {"slices", "SortFunc[...]"},
		"github.com/a/b.(*L[go.shape.string]).Push":            {"github.com/a/b", "(*L[...]).Push"},
		"github.com/a/b.Map[github.com/c/d.T].func1":           {"github.com/a/b", "Map[...]"},
		"gopkg.in/yaml%2ev3.Unmarshal":                         {"gopkg.in/yaml.v3", "Unmarshal"},
		"vendor/golang.org/x/net/http2/hpack.(*Encoder).Write": {"golang.org/x/net/http2/hpack", "(*Encoder).Write"},
		"github.com/a/b_test.BenchmarkX":                       {"github.com/a/b_test", "BenchmarkX"},
		"memeqbody":                                            {"", "memeqbody"},
	} {
		if pkg, name := Name(symbol); pkg != want[0] || name != want[1] {
			t.Errorf("%s is %q, %q, want %q", symbol, pkg, name, want)
		}
	}
	if file, version := SourceFile("example.org/dep@v1.2.0/in/x.go"); file != "example.org/dep/in/x.go" || version != "v1.2.0" {
		t.Errorf("file %q, version %q", file, version)
	}
}

// The critical values are those of the usual tables of Student's t.
func TestStudentsTailAgreesWithTheTables(t *testing.T) {
	for _, c := range []struct{ t, v, want float64 }{
		{2.145, 14, .05}, {-2.977, 14, .01}, {4.140, 14, .001}, {12.706, 1, .05}, {1.960, 1e6, .05}, {0, 14, 1},
	} {
		if got := studentTail(c.t, c.v); math.Abs(got-c.want) > .005*c.want {
			t.Errorf("t = %v with %v degrees: p = %v, want %v", c.t, c.v, got, c.want)
		}
	}
}

// 29 (2+s)/s²: for 10 % 29 x 2.1 / .01 = 6090, for a doubling 29 x 3 = 87.
func TestTheCountsThatASlowdownNeeds(t *testing.T) {
	for s, want := range map[float64]float64{.1: 6090, 1: 87, .05: 23780} {
		if got := Needed(s); math.Abs(got-want) > 1e-6*want {
			t.Errorf("%v needs %v, want %v", s, got, want)
		}
		if got := Detectable(want, 1); math.Abs(got-s) > 1e-9 {
			t.Errorf("%v counts suffice for %v, want %v", want, got, s)
		}
	}
	if Detectable(0, 1) != math.Inf(1) {
		t.Error("no counts suffice for something")
	}
}

// world makes up profiles: functions with a mean count in each replicate, whose
// replicates share a random speed and scatter on their own besides.
type world struct {
	rng     *rand.Rand
	reps    int
	scatter float64 // standard deviation of a function's logarithm between replicates
	speed   float64 // of the whole replicate's
}

// poisson draws a count; above 50 the normal distribution is near enough.
func (w *world) poisson(mean float64) float64 {
	if mean > 50 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*w.rng.NormFloat64()))
	}
	limit, product, n := math.Exp(-mean), w.rng.Float64(), 0.0
	for product > limit {
		product *= w.rng.Float64()
		n++
	}
	return n
}

// data draws both sides. means are by function, in counts of one replicate; slower
// multiplies those of the head side.
func (w *world) data(means []float64, slower map[int]float64) *Data {
	d := &Data{Kind: recording.CPUProfile, Metric: Time}
	for f := range means {
		d.Frames = append(d.Frames, Frame{Pkg: "p", Name: fmt.Sprintf("f%d", f)})
		d.Stacks = append(d.Stacks, Stack{Frames: []int{f}, Tally: newTally([2]int{w.reps, w.reps})})
	}
	for side := range 2 {
		for rep := range w.reps {
			d.N[side] = append(d.N[side], 1000)
			speed := math.Exp(w.speed * w.rng.NormFloat64())
			for f, mean := range means {
				if m, ok := slower[f]; ok && side == Head {
					mean *= m
				}
				count := w.poisson(mean * speed * math.Exp(w.scatter*w.rng.NormFloat64()))
				d.Stacks[f].Count[side][rep], d.Stacks[f].Value[side][rep] = count, 4e6*count
			}
		}
	}
	return d
}

// manyFunctions is the shape of a real profile: a few large functions and many
// small ones.
func manyFunctions(n int) []float64 {
	var means []float64
	for i := range n {
		means = append(means, 60/math.Pow(float64(i+1), .8))
	}
	return means
}

func TestUnchangedProgramsHaveNoFunctionsFlagged(t *testing.T) {
	for _, w := range []world{{scatter: .1, speed: .05}, {scatter: .2, speed: .1}, {}} {
		w.rng, w.reps = rand.New(rand.NewPCG(1, 2)), 8
		flagged, tested := 0, 0
		for _, size := range []float64{1, 10} {
			for range 100 {
				means := manyFunctions(60)
				for i := range means {
					means[i] *= size
				}
				for _, f := range Diff(w.data(means, nil), Options{}).Functions {
					if f.Flat.Tested {
						tested++
					}
					if f.Flat.Significant {
						flagged++
					}
				}
			}
		}
		if tested < 200*30 || float64(flagged) > .001*float64(tested) {
			t.Errorf("scatter %v, speed %v: %d of %d unchanged functions are flagged", w.scatter, w.speed, flagged, tested)
		}
	}
}

// A function that doubles needs 87 counts on each side, and has them.
func TestASlowdownOfTheStatedSizeIsFound(t *testing.T) {
	w := world{rng: rand.New(rand.NewPCG(3, 4)), reps: 8}
	found := 0
	const trials = 200
	for range trials {
		means := manyFunctions(55)
		means[4] = Needed(1) / 8
		r := Diff(w.data(means, map[int]float64{4: 2}), Options{})
		for _, f := range r.Functions {
			if f.Name == "f4" && f.Flat.Shown && f.Flat.Ratio > 1 {
				found++
			}
		}
	}
	if found < trials*90/100 {
		t.Errorf("found in %d of %d profiles, want at least 90 %%", found, trials)
	}
}

func TestExchangingTheSidesTurnsEverySignAround(t *testing.T) {
	w := world{rng: rand.New(rand.NewPCG(5, 6)), reps: 8, scatter: .05}
	d := w.data(manyFunctions(30), map[int]float64{0: 3, 2: .25})
	swapped := &Data{Kind: d.Kind, Metric: d.Metric, Frames: d.Frames, N: [2][]int{d.N[Head], d.N[Base]}}
	for _, s := range d.Stacks {
		swapped.Stacks = append(swapped.Stacks, Stack{Frames: s.Frames, Tally: Tally{
			Count: [2][]float64{s.Count[Head], s.Count[Base]}, Value: [2][]float64{s.Value[Head], s.Value[Base]}}})
	}
	there, back := Diff(d, Options{Measured: 1.1}), Diff(swapped, Options{Measured: 1 / 1.1})
	byName := map[string]Function{}
	for _, f := range back.Functions {
		byName[f.Name] = f
	}
	for _, f := range there.Functions {
		o := byName[f.Name]
		if math.Abs(f.Flat.Ratio*o.Flat.Ratio-1) > 1e-9 || math.Abs(f.Flat.P-o.Flat.P) > 1e-9 || f.Flat.Significant != o.Flat.Significant {
			t.Errorf("%s is %+v, and %+v with the sides exchanged", f.Name, f.Flat, o.Flat)
		}
	}
	if n := len(there.Shown()); n < 2 {
		t.Errorf("%d functions shown, want the two that changed", n)
	}
}

// One function is the whole program and takes 20 % longer. A median of ratios would
// call that the machine's doing.
func TestAProgramThatIsOneFunctionIsNotItsOwnReference(t *testing.T) {
	w := world{rng: rand.New(rand.NewPCG(7, 8)), reps: 8}
	r := Diff(w.data([]float64{2000, 20, 20}, map[int]float64{0: 1.2}), Options{})
	if r.Factor != 1 || r.Functions[0].Name != "f0" || !r.Functions[0].Flat.Shown {
		t.Errorf("factor %v, first function %+v", r.Factor, r.Functions[0])
	}
}

// All functions of the head side ran 8 % slower, because the machine did; the gate
// has measured 0 %, or the median shows it.
func TestTheMachinesSpeedIsTakenOut(t *testing.T) {
	w := world{rng: rand.New(rand.NewPCG(9, 10)), reps: 8}
	means, slower := manyFunctions(40), map[int]float64{}
	for i := range means {
		means[i], slower[i] = 20*means[i], 1.08
	}
	d := w.data(means, slower)
	for _, o := range []Options{{}, {Measured: 1}} {
		r := Diff(d, o)
		if math.Abs(r.Factor-1.08) > .03 || len(r.Shown()) > 0 {
			t.Errorf("%+v: factor %.3f, %d functions shown", o, r.Factor, len(r.Shown()))
		}
	}
}

func TestAProfileThatIsTooSmallSaysSo(t *testing.T) {
	w := world{rng: rand.New(rand.NewPCG(11, 12)), reps: 8}
	// 5 % needs 23,780 counts if they are in one function; there are about 900.
	r := Diff(w.data(manyFunctions(6), nil), Options{Measured: 1.05})
	if !r.TooFew || math.Abs(r.Needed-23780) > 1 {
		t.Errorf("too few: %v, needed %v", r.TooFew, r.Needed)
	}
}

// pprofOf makes a profile of one stack main.outer -> main.inner.func1, n ticks.
func pprofOf(n int64) *profile.Profile {
	outer := &profile.Function{ID: 1, Name: "example.org/m.outer", Filename: "example.org/m/m.go", StartLine: 3}
	inner := &profile.Function{ID: 2, Name: "example.org/m.inner.func1", Filename: "example.org/m@v1.0.0/m.go", StartLine: 9}
	l := []*profile.Location{{ID: 1, Line: []profile.Line{{Function: inner, Line: 10}, {Function: outer, Line: 4}}}}
	return &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 4e6,
		Function: []*profile.Function{outer, inner}, Location: l,
		Sample: []*profile.Sample{{Location: l, Value: []int64{n, n * 4e6}}},
	}
}

func TestInlinedCallsAndRenamedFunctionsAreCompared(t *testing.T) {
	base := []Run{{pprofOf(10), 100}, {pprofOf(10), 100}}
	head := []Run{{pprofOf(20), 100}, {pprofOf(20), 100}}
	d, err := Join(recording.CPUProfile, Time, base, head, map[string]string{"example.org/m.outer": "example.org/m.main"})
	if err != nil {
		t.Fatal(err)
	}
	r := Diff(d, Options{})
	var names []string
	for _, f := range r.Functions {
		names = append(names, f.Func())
	}
	// The head side has outer, the base side's outer is called main there.
	if got := strings.Join(names, " "); got != "example.org/m.inner example.org/m.outer example.org/m.main" {
		t.Errorf("functions %s", got)
	}
	// 20 ticks x 4 ms in 200 operations, then 40.
	inner := r.Functions[0]
	if inner.Flat.Base != 4e5 || inner.Flat.Head != 8e5 || inner.Flat.Ratio != 2 || inner.File != "example.org/m/m.go" || inner.Version != "v1.0.0" {
		t.Errorf("inner is %+v", inner)
	}
}

func TestADifferenceIsExportedForOtherTools(t *testing.T) {
	base, head := []Run{{pprofOf(10), 100}}, []Run{{pprofOf(30), 200}}
	p, err := Profile(base, head)
	if err != nil {
		t.Fatal(err)
	}
	// 10 ticks of 100 operations are 20 of 200.
	if len(p.Sample) != 1 || p.Sample[0].Value[0] != 10 {
		t.Errorf("difference %v, want 30 - 2 x 10", p.Sample)
	}
	d, err := Join(recording.CPUProfile, Time, base, head, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(d.Folded()), "example.org/m.outer;example.org/m.inner 80000000 120000000\n"; got != want {
		t.Errorf("folded %q, want %q", got, want)
	}
	data, err := d.Speedscope("x")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Profiles []struct {
			Name    string
			Samples [][]int
			Weights []float64
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Profiles) != 2 || file.Profiles[1].Weights[0] != 6e5 || !bytes.Contains(data, []byte("file-format-schema")) {
		t.Errorf("speedscope %s", data)
	}
	if root := d.Tree(1); root.Head != 6e5 || root.Children[0].Children[0].Frame.Name != "inner" {
		t.Errorf("tree %+v", root)
	}
}
