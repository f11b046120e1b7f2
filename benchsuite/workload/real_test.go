package workload

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perfgate/perfgate/trantor/mempool"
)

func TestClosedLoopDeliversEverythingOnce(t *testing.T) {
	for _, n := range []int{1, 4} {
		c, err := NewClosed(n, 1, Place{})
		if err != nil {
			t.Fatal(err)
		}
		// More than may be in flight, and no whole number of batches.
		txs := batchesInFlight*n*BatchTxs + 3*BatchTxs/2
		for range txs {
			if err := c.Submit(); err != nil {
				t.Fatal(err)
			}
			if c.submitted-c.deliveredByAll() > c.inFlightMax {
				t.Fatalf("n=%d: more than %d transactions are in flight", n, c.inFlightMax)
			}
		}
		if err := c.Drain(); err != nil {
			t.Fatal(err)
		}
		if want := uint64(txs + BatchTxs/2); c.Submitted() != want {
			t.Errorf("n=%d: %d transactions, want %d with a full last batch", n, c.Submitted(), want)
		}
		if err := c.Check(); err != nil {
			t.Error(err)
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// The latency of transactions that wait for their client counts.
func TestOpenLoopCountsFromTheSchedule(t *testing.T) {
	const late, txs = 30 * time.Millisecond, 100
	o, err := NewOpen(4, 1, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	o.Begin()
	time.Sleep(late) // The client stalls.
	for range txs {
		if err := o.Submit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Drain(); err != nil {
		t.Fatal(err)
	}
	latencies := o.Latencies()
	if latencies.Count() != txs {
		t.Errorf("%d latencies of %d transactions", latencies.Count(), txs)
	}
	// The last was due 0.1 ms after the first.
	if least := latencies.Quantile(0); least < late-time.Millisecond {
		t.Errorf("a latency of %v after the client was %v late", least, late)
	}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	if err := o.Stop(); err != nil {
		t.Error(err)
	}
}

// Replica 0 forwards to replica 3 too, which is gone, and nobody else can propose
// for its slots.
func TestRealRunWithAViewChangeIsVoid(t *testing.T) {
	params := FixedParams(4)
	params.ViewTimeout, params.RetryAfter = 10*time.Millisecond, 100*time.Millisecond
	r, err := newReal(4, 1, params, Place{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cluster.Kill(3); err != nil {
		t.Fatal(err)
	}
	for range 2 * BatchTxs {
		if err := r.take(0); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stalledAfter)
	defer cancel()
	if err := r.cluster.WaitDelivered(ctx, 0, 2*BatchTxs); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); !errors.As(err, new(VoidError)) {
		t.Errorf("the check says %v, want a VoidError", err)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}

func TestRealRunTellsOfARefusal(t *testing.T) {
	params := FixedParams(1)
	params.ClientsMax = Clients - 1
	r, err := newReal(1, 1, params, Place{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range BatchTxs {
		if err := r.take(0); err != nil {
			t.Fatal(err)
		}
	}
	// The state is read behind all that was submitted.
	if err := r.Check(); err == nil {
		t.Error("a run that lost transactions passed")
	}
	if err := r.because(nil); !errors.Is(err, mempool.ErrTooManyClients) {
		t.Errorf("the cause is %v, want %v", err, mempool.ErrTooManyClients)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
