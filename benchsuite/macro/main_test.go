package macro

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/perfgate/perfgate/benchsuite/workload"
)

// unitLines declare the units that the benchmarks of this package report, in
// the benchmark format.
const unitLines = `Unit tx/s better=higher
Unit p50-latency-sec better=lower
Unit p99-latency-sec better=lower
Unit msgs/tx assume=exact better=lower
Unit wire-bytes/tx assume=exact better=lower
Unit events/tx assume=exact better=lower
Unit signs/batch assume=exact better=lower
Unit verifies/batch assume=exact better=lower
Unit sim-p50-latency-sec assume=exact better=lower
Unit sim-p99-latency-sec assume=exact better=lower
Unit sim-recovery-sec assume=exact better=lower
`

// TestMain declares the units once, where benchmarks run.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		fmt.Print(unitLines)
	}
	os.Exit(m.Run())
}

// seed of all runs.
const seed = 1

// check fails the benchmark; a void run in the form that says so.
func check(b *testing.B, err error) {
	b.Helper()
	var void workload.VoidError
	switch {
	case errors.As(err, &void):
		b.Fatalf("perfgate: void run: %s", void.Reason)
	case err != nil:
		b.Fatal(err)
	}
}

// finish runs the rest of the work inside the measured time, after b.Loop has
// stopped it.
func finish(b *testing.B, drain func() error) {
	b.StartTimer()
	err := drain()
	b.StopTimer()
	check(b, err)
}

// replicas is the name of a sub-benchmark for n replicas.
func replicas(n int) string { return fmt.Sprintf("n=%d", n) }
