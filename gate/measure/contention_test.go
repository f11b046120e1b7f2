package measure

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

// waitingModule says itself how long it waited for a lock.
var waitingModule = map[string]string{
	"go.mod": "module example.org/waiting\n\ngo 1.24\n",
	"x_test.go": `package waiting

import (
	"sync"
	"testing"
	"time"
)

func BenchmarkLock(b *testing.B) {
	waited := time.Duration(0)
	for range b.N {
		var mu sync.Mutex
		held := make(chan bool)
		go func() {
			mu.Lock()
			close(held)
			time.Sleep(20 * time.Millisecond)
			mu.Unlock()
		}()
		<-held
		began := time.Now()
		mu.Lock()
		waited += time.Since(began)
		mu.Unlock()
	}
	b.ReportMetric(float64(waited.Nanoseconds())/float64(b.N), "waited-ns/op")
}

func BenchmarkNobodyWaits(b *testing.B) {
	var mu sync.Mutex
	for range b.N {
		mu.Lock()
		mu.Unlock()
	}
}
`,
}

// runOnce runs the only benchmark that j selects, and reads what it reports.
func runOnce(t *testing.T, j job) recording.Result {
	t.Helper()
	p, err := start(t.Context(), j, false)
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.wait(t.Context())
	if err != nil || f.err != nil {
		t.Fatal(err, f.err, f.stdout, f.stderr)
	}
	out, err := recording.ParseOutput(strings.NewReader(f.stdout), j.pattern, j.procs)
	if err != nil || len(out.Results) != 1 {
		t.Fatal(err, f.stdout)
	}
	return out.Results[0]
}

func has(r recording.Result, unit string) bool {
	return slices.ContainsFunc(r.Values, func(v recording.Value) bool { return v.Unit == unit })
}

func TestContentionIsToldByRunsThatAreAskedForIt(t *testing.T) {
	binary := buildModule(t, waitingModule)
	run := func(name string, contended bool) recording.Result {
		return runOnce(t, job{binary: binary, dir: filepath.Dir(binary), pattern: "^" + name + "$", benchtime: "5x",
			procs: 2, timeout: time.Minute, contended: contended})
	}

	r := run("BenchmarkLock", true)
	// What the benchmark saw of its waiting includes the time until it ran again.
	waited := valueOf(r.Values, "waited-ns/op") / 1e9
	for _, unit := range []string{recording.MutexWait, recording.Block} {
		if got := valueOf(r.Values, unit); got < waited/2 {
			t.Errorf("%s is %v, and the benchmark waited %v", unit, got, waited)
		}
	}
	// Blocked on the channel too, and never longer than two goroutines can be.
	if got, most := valueOf(r.Values, recording.Block), 2*valueOf(r.Values, "sec/op"); got > most {
		t.Errorf("blocked for %v of %v", got, most)
	}
	if r := run("BenchmarkNobodyWaits", true); !has(r, recording.MutexWait) || valueOf(r.Values, recording.MutexWait) != 0 {
		t.Errorf("nobody waits, and it reports %v", r.Values)
	}
	if r := run("BenchmarkLock", false); has(r, recording.MutexWait) || has(r, recording.Block) {
		t.Errorf("a run that was not asked reports %v", r.Values)
	}
}
