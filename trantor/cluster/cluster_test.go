package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// observed collects what each replica delivered.
type observed struct {
	mu  sync.Mutex
	txs map[types.NodeID][]types.TxID
}

func (o *observed) record(id types.NodeID, d types.Delivered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.txs[id] = append(o.txs[id], d.Tx.TxID)
}

func (o *observed) of(id types.NodeID) []types.TxID {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.txs[id])
}

// start runs a cluster until the test ends.
func start(t *testing.T, cfg cluster.Config) (*cluster.Cluster, *observed, context.Context) {
	t.Helper()
	o := &observed{txs: map[types.NodeID][]types.TxID{}}
	if cfg.OnDelivered == nil {
		cfg.OnDelivered = o.record
	}
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	// The deadline only ends a test that hangs.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() {
		cancel()
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	c.Start()
	return c, o, ctx
}

func tx(client, no int) types.Tx {
	return types.Tx{
		TxID:    types.TxID{Client: types.ClientID(client), No: types.TxNo(no)},
		Payload: fmt.Append(nil, "transaction ", no, " of client ", client),
	}
}

// load submits perClient transactions of each client, at one replica after the
// other of those named, and returns how many there are.
func load(ctx context.Context, t *testing.T, c *cluster.Cluster, clients, perClient int, at ...types.NodeID) uint64 {
	t.Helper()
	var txs [][]types.Tx
	for range at {
		txs = append(txs, nil)
	}
	for no := range perClient {
		for client := range clients {
			i := (no + client) % len(at)
			txs[i] = append(txs[i], tx(client, no))
		}
	}
	var wait sync.WaitGroup
	for i, id := range at {
		wait.Go(func() {
			if err := c.SubmitAsync(ctx, id, txs[i]...); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	return uint64(clients * perClient)
}

func waitAll(ctx context.Context, t *testing.T, c *cluster.Cluster, n uint64, at ...types.NodeID) {
	t.Helper()
	for _, id := range at {
		if err := c.WaitDelivered(ctx, id, n); err != nil {
			t.Fatal(err)
		}
	}
}

// same checks that replicas delivered one sequence to one state.
func same(ctx context.Context, t *testing.T, c *cluster.Cluster, o *observed, at ...types.NodeID) {
	t.Helper()
	var first cluster.State
	for i, id := range at {
		s, err := c.State(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = s
		}
		if s.Delivered != first.Delivered || s.AppHash != first.AppHash {
			t.Errorf("replica %d is in state %s after %d transactions, replica %d in %s after %d",
				id, s.AppHash, s.Delivered, at[0], first.AppHash, first.Delivered)
		}
		if !slices.Equal(o.of(id), o.of(at[0])) {
			t.Errorf("replicas %d and %d delivered different sequences", id, at[0])
		}
	}
}

func replicas(n int) (ids []types.NodeID) {
	for i := range n {
		ids = append(ids, types.NodeID(i))
	}
	return ids
}

func TestReplicasDeliverOneSequenceToOneState(t *testing.T) {
	for _, n := range []int{1, 4, 7} {
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			c, o, ctx := start(t, cluster.Config{Weights: cluster.Equal(n)})
			total := load(ctx, t, c, 20, 150, replicas(n)...)
			waitAll(ctx, t, c, total, replicas(n)...)
			same(ctx, t, c, o, replicas(n)...)
			if got := len(o.of(0)); got != int(total) {
				t.Errorf("%d delivered, %d submitted", got, total)
			}
		})
	}
}

func TestWeightedReplicasDeliverOneSequence(t *testing.T) {
	c, o, ctx := start(t, cluster.Config{Weights: []uint64{3, 1, 2, 1, 5}})
	total := load(ctx, t, c, 5, 100, replicas(5)...)
	waitAll(ctx, t, c, total, replicas(5)...)
	same(ctx, t, c, o, replicas(5)...)
}

func TestTransactionSubmittedToTwoReplicasIsDeliveredOnce(t *testing.T) {
	c, o, ctx := start(t, cluster.Config{Weights: cluster.Equal(4)})
	for no := range 200 {
		var wait sync.WaitGroup
		for _, id := range []types.NodeID{1, 3} {
			wait.Go(func() {
				if err := c.Submit(ctx, id, tx(1, no)); err != nil && !errors.Is(err, mempool.ErrDuplicate) {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
	// The last one is ordered after every duplicate that replica 1 and 3 sent
	// before it, or the duplicate comes later and is dropped then.
	waitAll(ctx, t, c, 200, replicas(4)...)
	for _, id := range replicas(4) {
		seen := map[types.TxID]bool{}
		for _, have := range o.of(id) {
			if seen[have] {
				t.Errorf("replica %d delivered %v twice", id, have)
			}
			seen[have] = true
		}
		if len(seen) != 200 {
			t.Errorf("replica %d delivered %d different transactions of 200", id, len(seen))
		}
	}
}

func TestSubmitReturnsTheMempoolsTypedError(t *testing.T) {
	params := replica.DefaultParams(4)
	params.ClientWindow, params.PayloadBytesMax, params.ClientsMax = 8, 100, 2
	c, _, ctx := start(t, cluster.Config{Weights: cluster.Equal(4), Params: &params})
	if err := c.Submit(ctx, 0, tx(1, 0)); err != nil {
		t.Fatal(err)
	}
	large := tx(1, 1)
	large.Payload = make([]byte, 101)
	if err := c.Submit(ctx, 0, large); !errors.Is(err, mempool.ErrTooLarge) {
		t.Errorf("a payload of 101 bytes: %v", err)
	}
	waitAll(ctx, t, c, 1, 0, 2)
	for _, id := range []types.NodeID{0, 2} {
		if err := c.Submit(ctx, id, tx(1, 0)); !errors.Is(err, mempool.ErrDuplicate) {
			t.Errorf("a delivered transaction again, at replica %d: %v", id, err)
		}
		if err := c.Submit(ctx, id, tx(1, 9)); !errors.Is(err, mempool.ErrWindowFull) {
			t.Errorf("a number 8 ahead, at replica %d: %v", id, err)
		}
	}
	if err := c.Submit(ctx, 0, tx(2, 0)); err != nil {
		t.Error(err)
	}
	if err := c.Submit(ctx, 0, tx(3, 0)); !errors.Is(err, mempool.ErrTooManyClients) {
		t.Errorf("a third client of two: %v", err)
	}
	if err := c.Submit(ctx, 4, tx(1, 1)); err == nil {
		t.Error("replica 4 of 4 answers")
	}
}

func TestSubmitAsyncReportsEveryResult(t *testing.T) {
	results := make(chan types.SubmitResult, 10)
	c, _, ctx := start(t, cluster.Config{
		Weights:  cluster.Equal(1),
		OnResult: func(_ types.NodeID, r types.SubmitResult) { results <- r },
	})
	if err := c.SubmitAsync(ctx, 0, tx(1, 0), tx(1, 0), tx(1, 1)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, mempool.ErrDuplicate, nil} {
		if got := <-results; !errors.Is(got.Err, want) {
			t.Errorf("result %d: %v, want %v", i, got.Err, want)
		}
	}
}

func TestThreeOfFourGoOnWithoutTheKilled(t *testing.T) {
	for killed := range types.NodeID(4) {
		t.Run(fmt.Sprintf("killed=%d", killed), func(t *testing.T) {
			t.Parallel() // They wait for timeouts most of the time.
			params := replica.DefaultParams(4)
			params.EpochLength, params.SlotsQueuedMax = 16, 1024
			params.ViewTimeout = 200 * time.Millisecond
			c, o, ctx := start(t, cluster.Config{Weights: cluster.Equal(4), Params: &params})
			load(ctx, t, c, 4, 20, replicas(4)...)
			waitAll(ctx, t, c, 80, replicas(4)...)
			if err := c.Kill(killed); err != nil {
				t.Fatal(err)
			}
			alive := slices.DeleteFunc(replicas(4), func(id types.NodeID) bool { return id == killed })
			for no := 20; no < 40; no++ {
				for client := range 4 {
					if err := c.Submit(ctx, alive[client%3], tx(client, no)); err != nil {
						t.Fatal(err)
					}
				}
			}
			waitAll(ctx, t, c, 160, alive...)
			same(ctx, t, c, o, alive...)
			if err := c.Submit(ctx, killed, tx(0, 40)); !errors.Is(err, mir.ErrStopped) {
				t.Errorf("the killed replica answers %v", err)
			}
			if s, err := c.State(ctx, killed); err != nil || s.Delivered != 80 {
				t.Errorf("the killed replica's last state has %d deliveries, want 80 (error %v)", s.Delivered, err)
			}
		})
	}
}

func TestKeyValueResultsReachTheObserver(t *testing.T) {
	var mu sync.Mutex
	results := map[types.NodeID][]string{}
	c, _, ctx := start(t, cluster.Config{
		Weights: cluster.Equal(4),
		NewApp:  func(types.NodeID) app.Application { return app.NewKV() },
		OnDelivered: func(id types.NodeID, d types.Delivered) {
			mu.Lock()
			defer mu.Unlock()
			results[id] = append(results[id], string(d.Result))
		},
	})
	for no, command := range []app.Command{
		{Op: app.Put, Key: []byte("k"), Value: []byte("a")},
		{Op: app.CAS, Key: []byte("k"), Value: []byte("b"), Old: []byte("a")},
		{Op: app.Get, Key: []byte("k")},
	} {
		id := types.TxID{Client: 1, No: types.TxNo(no)}
		if err := c.Submit(ctx, types.NodeID(no), types.Tx{TxID: id, Payload: command.Encode()}); err != nil {
			t.Fatal(err)
		}
		waitAll(ctx, t, c, uint64(no+1), replicas(4)...)
	}
	mu.Lock()
	defer mu.Unlock()
	for id, got := range results {
		if want := []string{"\x00", "\x00", "\x00b"}; !slices.Equal(got, want) {
			t.Errorf("replica %d: results %q, want %q", id, got, want)
		}
	}
}

func TestCountersCountTheWork(t *testing.T) {
	c, _, ctx := start(t, cluster.Config{Weights: cluster.Equal(4)})
	total := load(ctx, t, c, 4, 50, replicas(4)...)
	waitAll(ctx, t, c, total, replicas(4)...)
	for _, id := range replicas(4) {
		got, err := c.Counters(id)
		if err != nil {
			t.Fatal(err)
		}
		if got.Delivered != total || got.Net.MessagesSent == 0 || got.Net.WireBytesSent == 0 ||
			got.Crypto.Signs == 0 || got.Crypto.Verifies == 0 || len(got.Modules) != 10 {
			t.Errorf("replica %d: counters %+v", id, got)
		}
	}
}

func TestStopLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	c, err := cluster.New(cluster.Config{Weights: cluster.Equal(4)})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	load(context.Background(), t, c, 4, 50, replicas(4)...)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Submit(context.Background(), 0, tx(9, 0)); !errors.Is(err, mir.ErrStopped) {
		t.Errorf("a stopped cluster answers %v", err)
	}
	// A goroutine that has closed its last channel may take a moment to go.
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}

func TestNewRejectsBadConfigurations(t *testing.T) {
	params := replica.DefaultParams(4)
	params.BatchTxsMax = 0
	for name, cfg := range map[string]cluster.Config{
		"no replica":   {},
		"weight zero":  {Weights: []uint64{1, 0}},
		"bad settings": {Weights: cluster.Equal(4), Params: &params},
	} {
		if _, err := cluster.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
