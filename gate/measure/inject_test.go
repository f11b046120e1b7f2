package measure

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

// countingModule has the two kinds of loops. Each operation allocates once, so
// that the cost of a run is known without a clock, and "did" is what the
// benchmark itself counted.
var countingModule = map[string]string{
	"go.mod": "module example.org/counting\n\ngo 1.24\n",
	"counting_test.go": `package counting

import "testing"

var sink *[64]byte

func BenchmarkLoop(b *testing.B) {
	did := 0
	for b.Loop() {
		sink = new([64]byte)
		did++
	}
	if did != b.N {
		b.Fatalf("%d operations, but b.N is %d", did, b.N)
	}
	b.ReportMetric(float64(did), "did")
}

func BenchmarkN(b *testing.B) {
	did := 0
	for i := 0; i < b.N; i++ {
		sink = new([64]byte)
		did++
	}
	b.ReportMetric(float64(did), "did")
}
`,
}

// buildModule writes a module and builds the test binary of its root.
func buildModule(t *testing.T, files map[string]string) (binary string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool, err := FindToolchain(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := WriteOverlay(tool.Root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "x.test")
	if err := tool.build(t.Context(), recording.Head, dir, overlay, binary, ".", BuildFlags); err != nil {
		t.Fatal(err)
	}
	return binary
}

func TestAnInjectedSlowdownHasExactlyTheSizeAskedFor(t *testing.T) {
	binary := buildModule(t, countingModule)
	for _, c := range []struct {
		n, extra, did int
	}{
		{1000, 0, 1000},
		{1000, 100, 1010},
		{1000, 33, 1030},
		{1000, 10, 1100},
		{1999, 20, 2099}, // 99.95 extra operations, to the nearest
		{40, 100, 40},    // too few to take one
		{1, 10, 1},
	} {
		for _, name := range []string{"BenchmarkLoop", "BenchmarkN"} {
			p, err := start(t.Context(), job{binary: binary, dir: filepath.Dir(binary), pattern: "^" + name + "$", benchtime: itoa(c.n) + "x",
				procs: 1, timeout: time.Minute, extra: c.extra}, false)
			if err != nil {
				t.Fatal(err)
			}
			f, err := p.wait(t.Context())
			if err != nil || f.err != nil {
				t.Fatal(err, f.err, f.stdout, f.stderr)
			}
			out, err := recording.ParseOutput(strings.NewReader(f.stdout), name, 1)
			if err != nil || len(out.Results) != 1 {
				t.Fatal(err, f.stdout)
			}
			r := out.Results[0]
			if r.N != c.n || valueOf(r.Values, "did") != float64(c.did) {
				t.Errorf("%s %dx, one in %d more: reports %d operations and did %v, want %d and %d", name, c.n, c.extra, r.N, valueOf(r.Values, "did"), c.n, c.did)
			}
			// Set-up within the timed part may allocate a few times more.
			if allocs := valueOf(r.Values, "allocs/op") * float64(c.n); math.Abs(allocs-float64(c.did)) > 6 {
				t.Errorf("%s %dx, one in %d more: %v allocations, want those of %d operations", name, c.n, c.extra, allocs, c.did)
			}
		}
	}
}

func TestOnlyTheHeadSideIsMadeSlower(t *testing.T) {
	slowed := func(key recording.Key) bool { return key.Name == "BenchmarkA" }
	s := &session{Config: Config{ExtraEvery: 20, Slowed: slowed, Cores: []int{0}}, rng: rand.New(rand.NewPCG(1, 1)),
		base: map[string]*pkg{"p": {}}, head: map[string]*pkg{"p": {}}}
	job := func(name string) job { return s.leafJob(&plan{key: recording.Key{Pkg: "p", Name: name}}, 100, 1) }
	if got := s.complete(role{side: recording.Head}, "p", job("BenchmarkB")).extra; got != 0 {
		t.Errorf("a benchmark that is not to be slower does one operation in %d more", got)
	}
	for name, c := range map[string]struct {
		role role
		want int
	}{
		"base":         {role{side: recording.Base}, 0},
		"head":         {role{side: recording.Head}, 20},
		"head's stand": {role{side: recording.Head, of: recording.Base}, 0}, // the canary
		"relinked":     {role{side: recording.Head, binary: "other"}, 20},
	} {
		if got := s.complete(c.role, "p", job("BenchmarkA")).extra; got != c.want {
			t.Errorf("%s: one operation in %d more, want %d", name, got, c.want)
		}
	}
}
