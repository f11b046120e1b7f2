package measure

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

const allocatingBenchmark = `package work

import "testing"

var sink []byte

//go:noinline
func grow() { sink = make([]byte, 64) }

//go:noinline
func spin() (x int) {
	for i := range 20000 {
		x ^= i * x << 1
	}
	return x
}

func BenchmarkWork(b *testing.B) {
	x := 0
	for b.Loop() {
		grow()
		x += spin()
	}
	if x == 1 {
		b.Fatal(x)
	}
}
`

// profilesOf takes two profiles of each kind of a benchmark file.
func profilesOf(t *testing.T, source string, length time.Duration, kinds ...recording.ProfileKind) []Profiled {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.org/work\n\ngo 1.24\n", "work_test.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool, err := FindToolchain(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	profiles, err := Profiles(t.Context(), ProfileConfig{
		Toolchain: tool, Dir: dir, Packages: []string{"."}, Bench: ".", Time: length, Reps: 2, BenchmarksMax: 1,
		Kinds: kinds, Cores: []int{-1}, PlanLimit: time.Minute, Scratch: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return profiles
}

func TestProfilesShowWhereTimeAndMemoryGo(t *testing.T) {
	profiles := profilesOf(t, allocatingBenchmark, time.Second, recording.CPUProfile, recording.AllocProfile)
	if len(profiles) != 4 {
		t.Fatalf("%d profiles, want 2 of each kind", len(profiles))
	}
	for _, p := range profiles {
		parsed, err := recording.DecodeProfile(p.Data)
		if err != nil {
			t.Fatal(err)
		}
		function, least := "spin", int64(1)
		if p.Kind == recording.AllocProfile {
			// Every allocation is recorded.
			function, least = "grow", int64(p.N)
		}
		count := int64(0)
		for _, s := range parsed.Sample {
			if strings.HasSuffix(s.Location[0].Line[0].Function.Name, "."+function) {
				count += s.Value[0]
			}
		}
		if count < least || p.Kind == recording.AllocProfile && count > least {
			t.Errorf("%s profile of %d operations has %d in %s", p.Kind, p.N, count, function)
		}
		if p.Kind == recording.CPUProfile && parsed.Period != int64(time.Second/profileHz) {
			t.Errorf("a sample every %d ns, want %d a second", parsed.Period, profileHz)
		}
	}
}

// 5 % needs 23,780 samples: at 250 a second in 8 replicates 11.9 s each, of which the
// share of time allows some.
func TestCPURunsAreAsLongAsTheirSamplesNeed(t *testing.T) {
	s := &session{}
	for _, c := range []struct {
		samples float64
		share   time.Duration
		want    time.Duration
	}{
		{23780, 5 * time.Second, 5 * time.Second},
		{2000, 5 * time.Second, time.Second},
		{23780, time.Minute, cpuRunMax},
		{0, 5 * time.Second, cpuRunMin},
	} {
		if got := s.cpuRunOf(&profiling{ProfileWant: ProfileWant{Samples: c.samples}}, c.share); got != c.want {
			t.Errorf("%v samples within %v: runs of %v, want %v", c.samples, c.share, got, c.want)
		}
	}
}

// Preparing an operation takes 9 µs and doing it 1 µs: in 5 s with all that there are
// 500,000, though a run of 2 s alone would be 2,000,000.
func TestPreparationCountsAgainstTheTimeOfARun(t *testing.T) {
	job := &profiling{plan: &plan{cpuOp: 1e-6, minN: 1}, cpuRun: 2 * time.Second, most: 5 * time.Second, allOp: 1e-5}
	if n := job.n(recording.CPUProfile); n != 500_000 {
		t.Errorf("%d operations, want 500,000", n)
	}
	job.allOp = 0
	if n := job.n(recording.CPUProfile); n != 2_000_000 {
		t.Errorf("%d operations where preparation is unknown, want 2,000,000", n)
	}
}

const preparingBenchmark = `package work

import "testing"

//go:noinline
func spin(n int) (x int) {
	for i := range n {
		x ^= i * x << 1
	}
	return x
}

//go:noinline
func prepare(n int) int { return spin(n) }

//go:noinline
func work(n int) int { return spin(n) }

func BenchmarkWork(b *testing.B) {
	x := prepare(20_000_000)
	b.ResetTimer()
	for range b.N {
		x += work(20000)
	}
	b.StopTimer()
	x += prepare(20_000_000)
	if x == 1 {
		b.Fatal(x)
	}
}
`

func TestAProfileIsOfTheTimedPartOnly(t *testing.T) {
	profiles := profilesOf(t, preparingBenchmark, 2*time.Second, recording.CPUProfile)
	count := map[string]int64{}
	for _, p := range profiles {
		parsed, err := recording.DecodeProfile(p.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range parsed.Sample {
			for _, l := range s.Location {
				for _, line := range l.Line {
					count[line.Function.Name[strings.LastIndexByte(line.Function.Name, '.')+1:]] += s.Value[0]
				}
			}
		}
	}
	if count["work"] < 10 || count["prepare"] > count["work"]/10 {
		t.Errorf("%d samples in the timed part, %d in what comes before and after", count["work"], count["prepare"])
	}
}

const pausingBenchmark = `package work

import "testing"

//go:noinline
func spin(n int) (x int) {
	for i := range n {
		x ^= i * x << 1
	}
	return x
}

var sink []byte

//go:noinline
func work(n int) int { sink = make([]byte, 64); return spin(n) }

//go:noinline
func drain(n int) int { sink = make([]byte, 64); return spin(n) }

func BenchmarkWork(b *testing.B) {
	x := 0
	for b.Loop() {
		x += work(20000)
	}
	b.StartTimer()
	for range b.N / 4 {
		x += drain(20000)
	}
	b.StopTimer()
	if x == 1 {
		b.Fatal(x)
	}
}
`

const frugalBenchmark = `package work

import "testing"

func BenchmarkWork(b *testing.B) {
	x := 0
	for b.Loop() {
		for i := range 20000 {
			x ^= i * x << 1
		}
	}
	if x == 1 {
		b.Fatal(x)
	}
}
`

// What the profiler allocates itself would be most of what a benchmark allocates
// that allocates little.
func TestAProfileHasNothingOfTheProfilers(t *testing.T) {
	for _, p := range profilesOf(t, frugalBenchmark, 100*time.Millisecond, recording.AllocProfile) {
		parsed, err := recording.DecodeProfile(p.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range parsed.Sample {
			for _, l := range s.Location {
				for _, line := range l.Line {
					if strings.Contains(line.Function.Name, "perfgate") || strings.HasPrefix(line.Function.Name, "runtime/pprof.") {
						t.Fatalf("%d allocations in %s", s.Value[0], line.Function.Name)
					}
				}
			}
		}
	}
}

// A benchmark whose timer stops and starts once more, to wait for what is still on
// its way, has the part before in its profile too.
func TestAProfileHasAllTimedParts(t *testing.T) {
	for _, p := range profilesOf(t, pausingBenchmark, 2*time.Second, recording.CPUProfile, recording.AllocProfile) {
		parsed, err := recording.DecodeProfile(p.Data)
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int64{}
		for _, s := range parsed.Sample {
			for _, l := range s.Location {
				for _, line := range l.Line {
					count[line.Function.Name[strings.LastIndexByte(line.Function.Name, '.')+1:]] += s.Value[0]
				}
			}
		}
		if count["drain"] == 0 || count["work"] < 2*count["drain"] {
			t.Errorf("%s profile: %d samples in the loop and %d behind it, want about four times as many", p.Kind, count["work"], count["drain"])
		}
	}
}

const waitingGoroutines = `package work

import (
	"context"
	"runtime/trace"
	"testing"
	"time"
)

//go:noinline
func park(done chan bool) { <-done }

func region(name string) {
	trace.WithRegion(context.Background(), name, func() { time.Sleep(time.Millisecond) })
}

func BenchmarkWork(b *testing.B) {
	b.StopTimer()
	done := make(chan bool)
	defer close(done)
	for range 7 {
		go park(done)
	}
	region("preparing")
	b.StartTimer()
	for b.Loop() {
		region("timed")
	}
}
`

// eachStops has its timer off in every iteration, where a goroutine exists.
const eachStops = `package work

import "testing"

//go:noinline
func park(done chan bool) { <-done }

func BenchmarkWork(b *testing.B) {
	x := 0
	for range b.N {
		b.StopTimer()
		done := make(chan bool)
		go park(done)
		for i := range 100000 {
			x ^= i * x << 1
		}
		close(done)
		b.StartTimer()
		for i := range 100000 {
			x ^= i * x << 1
		}
	}
	if x == 1 {
		b.Fatal(x)
	}
}
`

// seen counts the goroutines in a function, in all looks together.
func seen(t *testing.T, p Profiled, function string) (n int64) {
	t.Helper()
	parsed, err := recording.DecodeProfile(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range parsed.Sample {
		for _, l := range s.Location {
			for _, line := range l.Line {
				if strings.Contains(line.Function.Name, "perfgateProfiler") {
					t.Errorf("the one who looks is seen too, in %s", line.Function.Name)
				}
				if strings.HasSuffix(line.Function.Name, "."+function) {
					n += s.Value[0]
				}
			}
		}
	}
	return n
}

func TestGoroutinesAreCountedWhereTheyAre(t *testing.T) {
	profiles := profilesOf(t, waitingGoroutines, 300*time.Millisecond, recording.GoroutineProfile)
	if len(profiles) != 2 {
		t.Fatalf("%d profiles, want 2", len(profiles))
	}
	for _, p := range profiles {
		// One of the seven may not have come to its function at the first look.
		looks, parked, bench := int64(p.N), seen(t, p, "park"), seen(t, p, "BenchmarkWork")
		if looks < 2 || parked > 7*looks || parked < 7*(looks-1) || bench != looks {
			t.Errorf("%d looks: %d parked and %d in the benchmark, want 7 and 1 at each", looks, parked, bench)
		}
	}
}

func TestGoroutinesAreLookedAtWhileTheTimerRuns(t *testing.T) {
	for _, p := range profilesOf(t, eachStops, 300*time.Millisecond, recording.GoroutineProfile) {
		// The benchmark may have ended since the last look was due.
		if looks, bench := int64(p.N), seen(t, p, "BenchmarkWork"); bench < looks-1 || bench > looks || looks < 2 {
			t.Errorf("%d looks: %d in the benchmark", looks, bench)
		}
	}
	// Over before the first look is due: it is taken when the timer stops.
	short := strings.ReplaceAll(eachStops, "b.N", "1")
	for _, p := range profilesOf(t, short, 20*time.Millisecond, recording.GoroutineProfile) {
		if looks, bench := int64(p.N), seen(t, p, "BenchmarkWork"); looks != 1 || bench != 1 {
			t.Errorf("%d looks: %d in the benchmark, want one", looks, bench)
		}
	}
}

func TestAnExecutionTraceIsOfTheTimedPart(t *testing.T) {
	profiles := profilesOf(t, waitingGoroutines, 300*time.Millisecond, recording.ExecutionTrace)
	for _, p := range profiles {
		text := string(p.Data)
		if !strings.HasPrefix(text, "go 1.") || !strings.Contains(text, "timed") || strings.Contains(text, "preparing") {
			t.Errorf("%d bytes that begin with %.16q: timed part %t, preparation %t", len(text), text, strings.Contains(text, "timed"), strings.Contains(text, "preparing"))
		}
	}
	if len(profiles) != 2 {
		t.Errorf("%d traces, want 2", len(profiles))
	}
}
