package measure

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfgate/perfgate/gate/recording"
)

// busyModule computes in two goroutines at once, and as long again while the
// timer is stopped.
var busyModule = map[string]string{
	"go.mod": "module example.org/busy\n\ngo 1.24\n",
	"x_test.go": `package busy

import (
	"sync"
	"testing"
)

var sinks [2]int

func spin(k int) {
	x := k
	for i := range 20_000_000 {
		x ^= i * x
	}
	sinks[k] = x
}

func both() {
	var wg sync.WaitGroup
	for k := range 2 {
		wg.Go(func() { spin(k) })
	}
	wg.Wait()
}

func BenchmarkBusy(b *testing.B) {
	for range b.N {
		both()
		b.StopTimer()
		both()
		b.StartTimer()
	}
}
`,
}

// The task clock stands in for instructions, which few virtual machines show: it
// is counted in the same way, and the process's CPU time says what to expect.
func TestACounterSeesAllThreadsWhileTheTimerRuns(t *testing.T) {
	taskClock := fmt.Sprintf("%d,%d", unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_TASK_CLOCK)
	binary := buildModule(t, busyModule)
	run := func(event string) recording.Result {
		return runOnce(t, job{binary: binary, dir: filepath.Dir(binary), pattern: "^BenchmarkBusy$", benchtime: "3x",
			procs: 2, timeout: time.Minute, count: event})
	}
	if r := run(""); has(r, recording.Instructions) {
		t.Errorf("a run that was not asked reports %v", r.Values)
	}
	for _, refused := range []string{"0", "x,1", "1,x", "99,99"} {
		if r := run(refused); has(r, recording.Instructions) {
			t.Errorf("event %q: a counter that cannot be had reports %v", refused, r.Values)
		}
	}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Size: unix.PERF_ATTR_SIZE_VER0, Bits: unix.PerfBitExcludeKernel}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		t.Skipf("the kernel does not let this process count its own time: %v", err)
	}
	unix.Close(fd)
	r := run(taskClock)
	if counted, cpu := valueOf(r.Values, recording.Instructions), 1e9*valueOf(r.Values, "cpu-sec/op"); counted < .7*cpu || counted > 1.3*cpu {
		t.Errorf("counted %v per operation, and the CPU time of all threads is %v ns", counted, cpu)
	}
	if plain, counting := valueOf(run("").Values, "allocs/op"), valueOf(r.Values, "allocs/op"); counting > plain+2 {
		t.Errorf("%v allocations per operation while counting, and %v without", counting, plain)
	}
}

func TestInstructionsAreATestOfTheCoRunWhereTheyAreCounted(t *testing.T) {
	key := recording.Key{Pkg: "p", Name: "BenchmarkX", Procs: 1}
	for _, c := range []struct {
		event, unit string
		want        bool
	}{{"0,1", recording.Instructions, true}, {"0,1", "other/op", false}, {"", "other/op", false}} {
		s := &session{Config: Config{CountEvent: c.event, Cores: []int{0}}}
		s.exact = map[recording.Key]*exactRuns{key: {}}
		// What the planning run could not count, no pair reports.
		s.registerPlan(s.newPlan("p", recording.Result{Key: key, N: 1, Values: []recording.Value{{Unit: "cpu-sec/op", Value: 1e-6}, {Unit: "sec/op", Value: 1e-6}, {Unit: c.unit, Value: 1}}}))
		got := false
		for _, test := range s.Family {
			got = got || test == recording.Test{Key: key, Unit: recording.Instructions, Channel: recording.CoRun}
		}
		if got != c.want {
			t.Errorf("event %q, unit %s: family %v", c.event, c.unit, s.Family)
		}
	}
}
