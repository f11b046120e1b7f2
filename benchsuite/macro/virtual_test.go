package macro

import (
	"testing"
	"time"

	"github.com/perfgate/perfgate/benchsuite/workload"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/types"
)

// virtualRate is the load in virtual time, in which replicas need no time to
// compute: it only says how long a batch takes to fill.
const virtualRate = 100_000

// latency is 10 ms from anywhere to anywhere, and up to 2 ms more.
func latency() sim.Latency {
	return sim.Matrix(func(mir.NodeID, mir.NodeID) time.Duration { return 10 * time.Millisecond }, 2*time.Millisecond)
}

func newVirtual(b *testing.B, n int) *workload.Virtual {
	v, err := workload.NewVirtual(workload.VirtualConfig{
		N: n, Seed: seed, Params: workload.FixedParams(n), Latency: latency(), Rate: virtualRate,
	})
	check(b, err)
	submit(b, v, workload.WarmTxs)
	check(b, v.Drain())
	v.Reset()
	return v
}

func submit(b *testing.B, v *workload.Virtual, txs int) {
	for range txs {
		check(b, v.Submit())
	}
}

// BenchmarkVirtual orders transactions of 256 B, 100,000 a second, on n replicas
// in seeded virtual time with links of 10 to 12 ms. Its time is the CPU of the
// whole stack without signatures, which are simulated; its own metrics are
// exact. Every run is repeated with the same seed, outside the measured time,
// and must be the same event for event.
//
//perfgate:sizes gate full
//perfgate:sizes n=1 smoke gate full
//perfgate:sizes n=4 smoke gate full
//perfgate:sizes n=16 full
func BenchmarkVirtual(b *testing.B) {
	for _, n := range []int{1, 4, 7, 16} {
		b.Run(replicas(n), func(b *testing.B) {
			v := newVirtual(b, n)
			for b.Loop() {
				check(b, v.Submit())
			}
			finish(b, v.Drain)
			check(b, v.Check())
			m := v.Metrics()

			again := newVirtual(b, n)
			submit(b, again, b.N)
			check(b, again.Drain())
			if got := again.Metrics(); got != m {
				b.Fatalf("two runs with one seed differ: %+v and %+v", m, got)
			}
			reportVirtual(b, n, m)
		})
	}
}

func reportVirtual(b *testing.B, n int, m workload.Metrics) {
	b.ReportMetric(float64(workload.MinTxs(n)), "min-n")
	b.ReportMetric(m.MessagesPerTx, "msgs/tx")
	b.ReportMetric(m.WireBytesPerTx, "wire-bytes/tx")
	b.ReportMetric(m.EventsPerTx, "events/tx")
	b.ReportMetric(m.SignsPerBatch, "signs/batch")
	b.ReportMetric(m.VerifiesPerBatch, "verifies/batch")
	b.ReportMetric(m.P50.Seconds(), "sim-p50-latency-sec")
	b.ReportMetric(m.P99.Seconds(), "sim-p99-latency-sec")
}

// viewTimeout is how long replicas wait for a leader in BenchmarkCrash.
const viewTimeout = 500 * time.Millisecond

// BenchmarkCrash crashes one of n leaders under load, in seeded virtual time.
// sim-recovery-sec is the time from the crash until the others have delivered
// all that was submitted to them before and in the 100 ms after, what they had
// forwarded to the leader that crashed included. An operation
// is a whole run of 14,096 transactions.
//
//perfgate:sizes gate full
func BenchmarkCrash(b *testing.B) {
	b.Run(replicas(4), func(b *testing.B) {
		var recovery time.Duration
		for b.Loop() {
			took := crash(b, 4)
			if recovery != 0 && took != recovery {
				b.Fatalf("two runs with one seed differ: recovery in %v and %v", recovery, took)
			}
			recovery = took
		}
		b.ReportMetric(recovery.Seconds(), "sim-recovery-sec")
	})
}

// crash makes one run and returns the time to recover.
func crash(b *testing.B, n int) time.Duration {
	params := workload.FixedParams(n)
	params.ViewTimeout, params.RetryAfter = viewTimeout, viewTimeout
	cfg := workload.VirtualConfig{N: n, Seed: seed, Params: params, Latency: latency(), Rate: virtualRate}
	for id := 1; id < n; id++ {
		cfg.Origins = append(cfg.Origins, types.NodeID(id))
	}
	v, err := workload.NewVirtual(cfg)
	check(b, err)
	submit(b, v, workload.WarmTxs)
	v.Crash(0)
	crashed := v.Now()
	submit(b, v, virtualRate/10)
	check(b, v.Drain())
	took := v.Now() - crashed
	check(b, v.CheckDelivered())
	if took < viewTimeout {
		b.Fatalf("recovery in %v, before the others can have noticed", took)
	}
	return took
}
