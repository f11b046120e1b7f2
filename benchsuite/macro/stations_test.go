package macro

import (
	"testing"

	"github.com/perfgate/perfgate/benchsuite/workload"
)

// BenchmarkStations is the closed loop of four replicas with profiler labels by
// module, which reports what each module does: NAME:busy-sec/op is its time at
// work for a transaction, on all replicas together, NAME:visits/op the events that
// it applies, NAME:queue those that wait for it, and NAME:servers the replicas
// that have one. The loop is the goroutine in which a replica runs its modules,
// one after the other. Time at work includes that in which the system has given
// the core to somebody else.
//
//perfgate:sizes full
func BenchmarkStations(b *testing.B) {
	b.Run(replicas(4), func(b *testing.B) { stations(b, 4) })
}

func stations(b *testing.B, n int) {
	c, err := workload.NewClosed(n, seed, workload.Place{})
	check(b, err)
	watch := workload.NewWatch(c.Real)
	for range workload.WarmTxs {
		check(b, c.Submit())
	}
	check(b, c.Drain())
	check(b, watch.Begin())
	before := c.Submitted()
	for i := 0; b.Loop(); i++ {
		check(b, c.Submit())
		if i%workload.BatchTxs == 0 {
			check(b, watch.Look())
		}
	}
	finish(b, c.Drain)
	txs := float64(c.Submitted() - before)
	found, err := watch.Stations()
	check(b, err)
	check(b, c.Check())
	check(b, c.Stop())
	b.ReportMetric(txs/b.Elapsed().Seconds(), "tx/s")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(workload.MinTxs(n)), "min-n")
	for name, s := range found {
		b.ReportMetric(s.Busy.Seconds()/txs, name+":busy-sec/op")
		b.ReportMetric(float64(s.Visits)/txs, name+":visits/op")
		b.ReportMetric(s.Waiting, name+":queue")
		b.ReportMetric(float64(n), name+":servers")
	}
}

// The modules' times are parts of the loop's.
func TestStationsAddUpToTheLoop(t *testing.T) {
	c, err := workload.NewClosed(1, seed, workload.Place{})
	if err != nil {
		t.Fatal(err)
	}
	watch := workload.NewWatch(c.Real)
	if err := watch.Begin(); err != nil {
		t.Fatal(err)
	}
	for range workload.BatchTxs {
		if err := c.Submit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Drain(); err != nil {
		t.Fatal(err)
	}
	if err := watch.Look(); err != nil {
		t.Fatal(err)
	}
	found, err := watch.Stations()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	visits := uint64(0)
	for name, s := range found {
		if name != "loop" {
			visits += s.Visits
		}
	}
	if visits != found["loop"].Visits || found["mempool"].Visits < workload.BatchTxs || found["loop"].Busy <= 0 {
		t.Errorf("the loop: %+v, the modules together %d visits, the mempool %+v", found["loop"], visits, found["mempool"])
	}
}
