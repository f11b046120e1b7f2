package macro

import (
	"fmt"
	"testing"

	"github.com/perfgate/perfgate/benchsuite/workload"
	"github.com/perfgate/perfgate/trantor/cluster"
)

// BenchmarkClosedLoop saturates n replicas in one process, with Ed25519 and in
// real time, by a fixed number of transactions of 256 B in flight. The last
// batch is filled up with transactions that are no operations; tx/s counts
// them.
//
//perfgate:sizes gate full
//perfgate:sizes n=1 smoke gate full
//perfgate:sizes n=4 smoke gate full
//perfgate:sizes n=7 full
func BenchmarkClosedLoop(b *testing.B) {
	for _, n := range []int{1, 4, 7} {
		b.Run(replicas(n), func(b *testing.B) { closedLoop(b, n, workload.Place{}) })
	}
}

// BenchmarkTransport is the closed loop of four replicas of one process that speak
// to each other over mutual TLS at the loopback interface.
//
//perfgate:sizes gate full
func BenchmarkTransport(b *testing.B) {
	b.Run("transport=tls/"+replicas(4), func(b *testing.B) {
		closedLoop(b, 4, workload.Place{Transport: cluster.Loopback})
	})
}

// BenchmarkDurable is the closed loop of four replicas, each of which makes what it
// signs and acknowledges durable first, in a store of its own on one disk.
//
//perfgate:sizes gate full
func BenchmarkDurable(b *testing.B) {
	b.Run("sync=on/"+replicas(4), func(b *testing.B) {
		closedLoop(b, 4, workload.Place{Dir: b.TempDir()})
	})
}

// closedLoop saturates n replicas and reports tx/s.
func closedLoop(b *testing.B, n int, place workload.Place) {
	c, err := workload.NewClosed(n, seed, place)
	check(b, err)
	for range workload.WarmTxs {
		check(b, c.Submit())
	}
	check(b, c.Drain())
	before := c.Submitted()
	for b.Loop() {
		check(b, c.Submit())
	}
	finish(b, c.Drain)
	txs := c.Submitted() - before
	check(b, c.Check())
	check(b, c.Stop())
	b.ReportMetric(float64(txs)/b.Elapsed().Seconds(), "tx/s")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(workload.MinTxs(n)), "min-n")
}

// openRate is about half of what BenchmarkClosedLoop/n=4 reaches on the
// reference machine (84,000 to 114,000 tx/s in six runs, 20 µs of CPU for each
// transaction): 2 cores of a virtual machine, which clients share with the
// replicas. It is a constant, so that latencies of two versions are compared
// under the same load.
const openRate = 50_000

// openTxsMin make a run that is long enough for a 99th percentile.
const openTxsMin = 10_000

// BenchmarkOpenLoop hands transactions of 256 B to n replicas in one process at
// a constant rate, a load of about 50 % of saturation, and measures their
// latency from the time when they were due. A run lasts as long as its
// operations take at that rate.
//
//perfgate:sizes smoke gate full
func BenchmarkOpenLoop(b *testing.B) {
	b.Run(fmt.Sprintf("%s/load=50", replicas(4)), func(b *testing.B) {
		o, err := workload.NewOpen(4, seed, openRate)
		check(b, err)
		o.Begin()
		for range workload.WarmTxs {
			check(b, o.Submit())
		}
		check(b, o.Drain())
		o.Begin()
		for b.Loop() {
			check(b, o.Submit())
		}
		finish(b, o.Drain)
		latencies := o.Latencies()
		check(b, o.Check())
		check(b, o.Stop())
		if latencies.Count() != uint64(b.N) {
			b.Fatalf("%d latencies of %d transactions", latencies.Count(), b.N)
		}
		b.ReportMetric(latencies.Quantile(0.50).Seconds(), "p50-latency-sec")
		b.ReportMetric(latencies.Quantile(0.99).Seconds(), "p99-latency-sec")
		b.ReportMetric(openTxsMin, "min-n")
		b.ReportMetric(1, "wall-only")
		b.ReportMetric(0, "ns/op") // the schedule's
	})
}
