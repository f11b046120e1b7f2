package recording

import (
	"reflect"
	"strings"
	"testing"
)

const goodOutput = `goos: linux
goarch: amd64
pkg: example.org/m/pool
cpu: Some CPU @ 2 GHz
Unit messages/op better=lower assume=exact
some chatter: with a colon
BenchmarkSubmit/size-4-4         	     200	   0 ns/op	       12 B/op	       0 allocs/op	 7 messages/op	 4e+06 cpu-ns/run	 3 malloc-bytes/run	 1 mallocs/run	 1 parallel/run
--- BENCH: BenchmarkSubmit/size-4-4
    pool_test.go:12: took 5 ns/op or so
BenchmarkSubmit/size-8-4         	     100	   1.5e+06 ns/op	   2 MB/s
PASS
`

// Derived: 4e6 ns over 200 ops is 20 µs; 1 malloc over 200 ops 0.005; 3 bytes 0.015.
func TestOutputTotalsBecomeExactMetricsPerOp(t *testing.T) {
	got, err := ParseOutput(strings.NewReader(goodOutput), "out", 4)
	if err != nil {
		t.Fatal(err)
	}
	want := Output{
		GOOS: "linux", GOARCH: "amd64", Pkg: "example.org/m/pool", CPU: "Some CPU @ 2 GHz",
		Units: map[string]Unit{"messages/op": {Better: "lower", Assume: "exact"}},
		Results: []Result{
			{Key: Key{"example.org/m/pool", "BenchmarkSubmit/size-4", 4}, N: 200, Parallel: true, Line: 7,
				Values: []Value{{"B/op", 3. / 200}, {"allocs/op", 1. / 200}, {"cpu-sec/op", 4e6 / 200 / 1e9}, {"messages/op", 7}, {"sec/op", 0}}},
			{Key: Key{"example.org/m/pool", "BenchmarkSubmit/size-8", 4}, N: 100, Line: 10,
				Values: []Value{{"B/s", 2e6}, {"sec/op", 1.5e6 * 1e-9}}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestASubNameThatEndsInANumberIsNoSuffix(t *testing.T) {
	in := "pkg: p\nBenchmarkX/size-4 	 100	 7 ns/op\n"
	for _, tt := range []struct {
		procs int
		want  string
	}{{1, "BenchmarkX/size-4"}, {4, "BenchmarkX/size"}} {
		out, err := ParseOutput(strings.NewReader(in), "out", tt.procs)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.Results[0].Key; got.Name != tt.want || got.Procs != tt.procs {
			t.Errorf("GOMAXPROCS %d: %+v, want %s", tt.procs, got, tt.want)
		}
	}
	if _, err := ParseOutput(strings.NewReader(in), "out", 2); err == nil {
		t.Error("a name without the suffix of its GOMAXPROCS was accepted")
	}
}

func TestOutputTellsOfFailuresAndSkips(t *testing.T) {
	in := "BenchmarkA 	--- FAIL: BenchmarkA\n    a_test.go:3: no\n--- FAIL: BenchmarkB\n--- SKIP: BenchmarkC\nFAIL\n"
	out, err := ParseOutput(strings.NewReader(in), "out", 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"--- FAIL: BenchmarkA", "--- FAIL: BenchmarkB", "FAIL"}; !reflect.DeepEqual(out.Failures, want) {
		t.Errorf("failures %q, want %q", out.Failures, want)
	}
	if want := []string{"BenchmarkC"}; !reflect.DeepEqual(out.Skipped, want) {
		t.Errorf("skipped %q, want %q", out.Skipped, want)
	}
}

func TestGarbledOutputIsAnErrorWithItsLine(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"print into the line", "BenchmarkX 	hello\n     100	 12 ns/op\n", "out:2: a result without its name"},
		{"text for the count", "x\nBenchmarkX 	hello     100	 12 ns/op\n", "out:2: parsing iteration count"},
		{"print ahead of the name", "x\nlog: BenchmarkX 	     100	 12 ns/op\n", "out:2: a result without its name"},
		{"count cut off", "BenchmarkX 	\n", "out:1: missing iteration count"},
		{"unit cut off", "BenchmarkX 	 100	 12\n", "out:1: missing units"},
		{"ends in the middle", "BenchmarkX 	 100	 12 ns/op", "out:1: the output ends in the middle"},
		{"no iterations", "BenchmarkX 	 0	 12 ns/op\n", "out:1: 0 iterations"},
		{"not a number", "BenchmarkX 	 1	 NaN ns/op\n", "out:1: NaN sec/op is no finite number"},
		{"unit twice", "BenchmarkX 	 1	 2 ns/op 3 ns/op\n", "out:1: unit sec/op twice"},
		{"total twice", "BenchmarkX 	 1	 2 mallocs/run 3 mallocs/run\n", "out:1: unit mallocs/run twice"},
		{"negative total", "BenchmarkX 	 1	 -2 mallocs/run\n", "out:1: -2 mallocs/run"},
		{"two packages", "pkg: a\nBenchmarkX 	 1	 2 ns/op\npkg: b\nBenchmarkY 	 1	 2 ns/op\n", "out:4: package b after package a"},
		{"unit declared twice", "Unit x/op better=lower\nUnit x/op better=higher\n", "out:2: metadata better of unit x/op already set to lower"},
		{"unknown direction", "Unit x/op better=up\n", "out:1: unit x/op: unknown better=up"},
		{"unknown assumption", "Unit x/op assume=normal\n", "out:1: unit x/op: unknown assume=normal"},
		{"unit without value", "Unit x/op better\n", "out:1: expected key=value"},
		{"control characters", "BenchmarkX \x1b[31mred\n", `\x1b[31mred`},
		{"long line", "BenchmarkX " + strings.Repeat("y", 1000) + "\n", `yyy\u2026`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseOutput(strings.NewReader(tt.in), "out", 1)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
}

func TestSameUnitDeclaredTheSameWayTwiceIsFine(t *testing.T) {
	in := "Unit x/op better=lower\nUnit x/op better=lower\n"
	if _, err := ParseOutput(strings.NewReader(in), "out", 1); err != nil {
		t.Error(err)
	}
}

func FuzzParseOutput(f *testing.F) {
	f.Add([]byte(goodOutput), 4)
	f.Add([]byte("BenchmarkX 	--- FAIL: BenchmarkX\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, procs int) {
		out, err := ParseOutput(strings.NewReader(string(data)), "out", procs)
		if err != nil {
			return
		}
		for _, r := range out.Results {
			if r.N <= 0 {
				t.Fatalf("accepted %+v", r)
			}
			if err := checkValues(r.Values); err != nil {
				t.Fatalf("accepted %+v: %v", r, err)
			}
		}
	})
}
