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

func TestProfilesShowWhereTimeAndMemoryGo(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.org/work\n\ngo 1.24\n", "work_test.go": allocatingBenchmark} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool, err := FindToolchain(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	profiles, err := Profiles(t.Context(), ProfileConfig{
		Toolchain: tool, Dir: dir, Packages: []string{"."}, Bench: ".", Time: time.Second, Reps: 2, BenchmarksMax: 1,
		Kinds: []recording.ProfileKind{recording.CPUProfile, recording.AllocProfile}, Cores: []int{-1}, PlanLimit: time.Minute, Scratch: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
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
			// Every allocation is recorded, and package testing runs one iteration
			// before the rest.
			function, least = "grow", int64(p.N)
		}
		count := int64(0)
		for _, s := range parsed.Sample {
			if strings.HasSuffix(s.Location[0].Line[0].Function.Name, "."+function) {
				count += s.Value[0]
			}
		}
		if count < least || p.Kind == recording.AllocProfile && count > least+1 {
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
