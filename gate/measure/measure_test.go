package measure

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

func goroot(t *testing.T) string {
	t.Helper()
	tool, err := FindToolchain(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	return tool.Root
}

func TestOverlayFitsTheToolchainThatRunsTheTests(t *testing.T) {
	dir := t.TempDir()
	path, err := WriteOverlay(goroot(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	patched, err := os.ReadFile(filepath.Join(dir, "benchmark.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range overlayEdits {
		if got := strings.Count(string(patched), e.insert); got < e.count {
			t.Errorf("the edit after %q was made %d times, want %d", e.anchor, got, e.count)
		}
	}
}

func TestOverlayRefusesAPackageTestingThatItDoesNotKnow(t *testing.T) {
	strange := t.TempDir()
	dir := filepath.Join(strange, "src", "testing")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(filepath.Join(goroot(t), "src", "testing", "benchmark.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range overlayEdits {
		for what, changed := range map[string]string{
			"missing": strings.Replace(string(src), e.anchor, "", 1),
			"twice":   strings.Replace(string(src), e.anchor, e.anchor+e.anchor, 1),
		} {
			if err := os.WriteFile(filepath.Join(dir, "benchmark.go"), []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			out := t.TempDir()
			if _, err := WriteOverlay(strange, out); err == nil {
				t.Errorf("line %q %s: no error", strings.TrimSpace(e.anchor), what)
			}
			if left, _ := os.ReadDir(out); len(left) > 0 {
				t.Errorf("line %q %s: a half overlay was written", strings.TrimSpace(e.anchor), what)
			}
		}
	}
}

func TestPatternSelectsLikePackageTesting(t *testing.T) {
	for _, c := range []struct {
		pattern, function string
		within            string
		all               bool
	}{
		{".", "BenchmarkY", "^BenchmarkY$", true},
		{"Y/n=4", "BenchmarkY", "^BenchmarkY$/n=4", false},
		{"Y|Z/x", "BenchmarkY", "^BenchmarkY$", true},
		{"Y|Z/x", "BenchmarkZ", "^BenchmarkZ$/x", false},
		{"Y/x|Y/y", "BenchmarkY", "^BenchmarkY$/x|^BenchmarkY$/y", false},
		{"(Y|Z)/x", "BenchmarkZ", "^BenchmarkZ$/x", false},
		{"[Y/|]Z/x", "BenchmarkYZ", "^BenchmarkYZ$/x", false},
		{`Y\/Z`, "BenchmarkY", "", false},
	} {
		p, err := parsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if text, all := p.within(c.function); text != c.within || all != c.all {
			t.Errorf("%q within %s: %q, %v; want %q, %v", c.pattern, c.function, text, all, c.within, c.all)
		}
		if got := p.matches(c.function); got != (c.within != "") {
			t.Errorf("%q matches %s: %v", c.pattern, c.function, got)
		}
	}
	p, err := parsePattern("Y/n=4$|Z")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"BenchmarkY/n=4": true, "BenchmarkY/n=16": false, "BenchmarkY/n=4/x": true, "BenchmarkZ/n=16": true, "BenchmarkC": false,
	} {
		if got := p.matches(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := leafPattern("A/b.c"); got != `^A$/^b\.c$` {
		t.Errorf("the pattern of one benchmark is %q", got)
	}
	if _, err := parsePattern("A|(B"); err == nil {
		t.Error("an unfinished group is taken")
	}
}

func TestBenchmarkNamesFollowTheGoCommand(t *testing.T) {
	for name, want := range map[string]bool{
		"Benchmark": true, "BenchmarkX": true, "Benchmark_x": true, "Benchmark1": true,
		"Benchmarkx": false, "TestX": false, "XBenchmark": false,
	} {
		if got := isBenchmarkName(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestChannelFollowsFromWhatABenchmarkCosts(t *testing.T) {
	const us, ms = 1e-6, 1e-3
	for name, c := range map[string]struct {
		plan        plan
		coRun, wall bool
	}{
		"computes":                      {plan{cpuOp: 10 * us, wallOp: 10 * us}, true, false},
		"computes on a busy machine":    {plan{cpuOp: 10 * us, wallOp: 40 * us, delayOp: 29 * us}, true, false},
		"waits":                         {plan{cpuOp: 1 * us, wallOp: 1 * ms}, false, true},
		"long op":                       {plan{cpuOp: 300 * ms, wallOp: 300 * ms}, false, true},
		"parallel":                      {plan{cpuOp: 10 * us, wallOp: 10 * us, parallel: true, timed: true}, true, true},
		"parallel, and hides its time":  {plan{cpuOp: 10 * us, wallOp: 10 * us, parallel: true}, true, false},
		"reports its own figure":        {plan{cpuOp: 10 * us, wallOp: 10 * us, declared: []string{"tx/s"}}, true, true},
		"waits and reports its own":     {plan{cpuOp: 1 * us, wallOp: 1 * ms, declared: []string{"p50-latency-sec"}}, false, true},
		"follows a schedule":            {plan{cpuOp: 10 * us, wallOp: 10 * us, wallOnly: true}, false, true},
		"computes and is exact besides": {plan{cpuOp: 10 * us, wallOp: 10 * us, exact: []string{"msgs/tx"}}, true, false},
	} {
		p := c.plan
		p.choose(2)
		if p.coRun != c.coRun || p.wall != c.wall {
			t.Errorf("%s: co-run %v, wall %v; want %v, %v", name, p.coRun, p.wall, c.coRun, c.wall)
		}
		if p.coRun && p.coRunWhy == "" || p.wall && p.wallWhy == "" {
			t.Errorf("%s: no reason is recorded", name)
		}
	}
}

// A slower operation must not pass because the benchmark counts something else.
func TestTheTimeIsJudgedWhereTheCoRunDoesNotSeeIt(t *testing.T) {
	for name, c := range map[string]struct {
		plan plan
		want []string
	}{
		"waits":                            {plan{wall: true, timed: true}, []string{"sec/op"}},
		"waits and reports a figure":       {plan{wall: true, timed: true, declared: []string{"hits/op"}}, []string{"hits/op", "sec/op"}},
		"waits, and hides its time":        {plan{wall: true, declared: []string{"tx/s"}}, []string{"tx/s"}},
		"long, and reports nothing at all": {plan{wall: true}, []string{"cpu-sec/op"}},
		"computes and reports a figure":    {plan{coRun: true, wall: true, timed: true, declared: []string{"hits/op"}}, []string{"hits/op"}},
		"parallel":                         {plan{coRun: true, wall: true, timed: true, parallel: true}, []string{"sec/op"}},
	} {
		if got := c.plan.wallUnits(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestIterationsFillTheSliceAndHonourMinN(t *testing.T) {
	for _, c := range []struct {
		perOp float64
		minN  int
		want  int
	}{
		{1e-3, 1, 20},
		{1e-3, 100, 100},
		{0.15, 1, 1},
		{0, 1, nMax},
		{1e-12, 1, nMax},
	} {
		if got := iterations(20*time.Millisecond, c.perOp, c.minN); got != c.want {
			t.Errorf("%v s per op, at least %d: %d, want %d", c.perOp, c.minN, got, c.want)
		}
	}
}

func TestLongRunsDoNotHoldUpTheOthers(t *testing.T) {
	for _, c := range []struct {
		slice float64 // seconds of CPU
		want  int
	}{{0.001, roundPairsMax}, {0.02, 4}, {0.04, 2}, {0.1, 1}, {1, 1}} {
		p := plan{cpuOp: c.slice, n: 1}
		if got := p.pairsPerRound(recording.CoRun); got != c.want {
			t.Errorf("%v s: %d pairs a round, want %d", c.slice, got, c.want)
		}
	}
}

func TestBuildingLeavesTimeForMeasuring(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		deadline time.Time
		least    time.Duration
		want     time.Time
	}{
		"enough is left":              {now.Add(time.Hour), time.Minute, now.Add(time.Hour)},
		"too little is left":          {now.Add(time.Second), time.Minute, now.Add(time.Minute)},
		"the budget is used up":       {now.Add(-time.Hour), time.Minute, now.Add(time.Minute)},
		"a given budget is no longer": {now.Add(-time.Hour), 0, now},
		"no limit stays none":         {time.Time{}, time.Minute, time.Time{}},
	} {
		s := &session{Config: Config{Deadline: c.deadline, MeasureAtLeast: c.least}}
		s.builtBy(now)
		if !s.Deadline.Equal(c.want) {
			t.Errorf("%s: until %v, want %v", name, s.Deadline, c.want)
		}
	}
}

func TestTrimOutputIsSafeToShow(t *testing.T) {
	got := trimOutput("/w/side/a.go:1: bad\x1b[31m\nnext\xff", "/w/side")
	if want := "a.go:1: bad\uFFFD[31m\nnext\uFFFD"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := trimOutput(strings.Repeat("x\n", 100), ""); strings.Count(got, "\n") != 20 || !strings.HasSuffix(got, "(80 more lines)") {
		t.Errorf("100 lines become %q", got)
	}
	if got := trimOutput(strings.Repeat("x", 10_000), ""); len(got) > 2100 {
		t.Errorf("%d bytes are kept", len(got))
	}
}

func TestEnvironmentIsAnAllowList(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "secret")
	t.Setenv("GOGC", "off")
	t.Setenv("HOME", "/home/x")
	env := environment(3)
	if !slices.Contains(env, "GOMAXPROCS=3") || !slices.Contains(env, "HOME=/home/x") {
		t.Errorf("environment %q", env)
	}
	for _, e := range env {
		if strings.HasPrefix(e, "GITHUB_") || strings.HasPrefix(e, "GOGC") {
			t.Errorf("a benchmark sees %s", e)
		}
	}
}
