package workload

import (
	"errors"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/types"
)

func newTestVirtual(t *testing.T, change func(*VirtualConfig)) *Virtual {
	cfg := VirtualConfig{
		N: 4, Seed: 1, Params: FixedParams(4), Rate: 100_000,
		Latency: sim.Uniform(5*time.Millisecond, 10*time.Millisecond),
	}
	if change != nil {
		change(&cfg)
	}
	v, err := NewVirtual(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func submitVirtual(t *testing.T, v *Virtual, txs int) {
	for range txs {
		if err := v.Submit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Drain(); err != nil {
		t.Fatal(err)
	}
}

func TestVirtualRunFollowsFromItsSeed(t *testing.T) {
	run := func(seed uint64) Metrics {
		v := newTestVirtual(t, func(cfg *VirtualConfig) { cfg.Seed = seed })
		submitVirtual(t, v, 300)
		v.Reset()
		submitVirtual(t, v, 700) // No whole number of batches.
		if err := v.Check(); err != nil {
			t.Fatal(err)
		}
		return v.Metrics()
	}
	first := run(1)
	if again := run(1); again != first {
		t.Errorf("one seed gives %+v and %+v", first, again)
	}
	if other := run(2); other.TraceHash == first.TraceHash {
		t.Error("two seeds give the same run")
	}
}

// oneBatch runs the transactions of one batch, all in one bucket, which is replica
// 0's, over links of exactly 10 ms.
func oneBatch(t *testing.T, origin types.NodeID) Metrics {
	v := newTestVirtual(t, func(cfg *VirtualConfig) {
		cfg.Latency = sim.Fixed(10 * time.Millisecond)
		cfg.Rate = 1_000_000_000
		cfg.Origins = []types.NodeID{origin}
		cfg.Params.Buckets = 1
	})
	v.Reset()
	submitVirtual(t, v, BatchTxs)
	return v.Metrics()
}

// wantDelays checks that transactions that were due within a batch's time of each
// other took that many delays.
func wantDelays(t *testing.T, m Metrics, delays int) {
	t.Helper()
	least := time.Duration(delays) * 10 * time.Millisecond
	for what, latency := range map[string]time.Duration{"median": m.P50, "99th percentile": m.P99} {
		if latency < least || latency > least*1002/1000 {
			t.Errorf("the %s of the latency is %v, want %d delays of 10 ms", what, latency, delays)
		}
	}
}

// A batch is delivered after it was sent and acknowledged, proposed, prepared and
// committed: five delays. Signatures for it: 4 acknowledgements, 4 prepares.
func TestVirtualMetricsAreWhatTheProtocolCosts(t *testing.T) {
	m := oneBatch(t, 0)
	wantDelays(t, m, 5)
	if m.SignsPerBatch != 8 {
		t.Errorf("%v signatures for a batch, want 8", m.SignsPerBatch)
	}
	// To 3 others each: a batch with 3 acknowledgements, a pre-prepare, 3 times
	// 3 prepares and 4 times 3 commits.
	if want := float64(3+3+3+9+12) / BatchTxs; m.MessagesPerTx != want {
		t.Errorf("%v messages for a transaction, want %v", m.MessagesPerTx, want)
	}
}

// Whoever is not the leader of a bucket hands its transactions over in four
// messages, a batch divided by the number of leaders in each.
func TestForwardingCostsOneDelayAndFewMessages(t *testing.T) {
	m := oneBatch(t, 1)
	wantDelays(t, m, 6)
	if want := float64(4+3+3+3+9+12) / BatchTxs; m.MessagesPerTx != want {
		t.Errorf("%v messages for a transaction, want %v", m.MessagesPerTx, want)
	}
}

func TestVirtualRunWithAViewChangeIsVoid(t *testing.T) {
	v := newTestVirtual(t, func(cfg *VirtualConfig) {
		cfg.Params.ViewTimeout = 100 * time.Millisecond
		cfg.Origins = []types.NodeID{1, 2, 3}
	})
	submitVirtual(t, v, 500)
	if err := v.Check(); err != nil {
		t.Fatalf("before the crash: %v", err)
	}
	v.Crash(0)
	submitVirtual(t, v, 500)
	if err := v.CheckDelivered(); err != nil {
		t.Errorf("the live replicas did not go on: %v", err)
	}
	if err := v.Check(); !errors.As(err, new(VoidError)) {
		t.Errorf("after a view change the check says %v, want a VoidError", err)
	}
}

func TestVirtualRunTellsOfARefusal(t *testing.T) {
	v := newTestVirtual(t, func(cfg *VirtualConfig) { cfg.Params.ClientsMax = 1 })
	for range 10 {
		if err := v.Submit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Drain(); err == nil {
		t.Error("a run that lost transactions was drained")
	}
	if err := v.Check(); !errors.Is(err, mempool.ErrTooManyClients) {
		t.Errorf("the check says %v, want %v", err, mempool.ErrTooManyClients)
	}
}
