package mempool

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	self mir.ModuleID = iota + 1
	availability
	timer
	results
	net
	ordering
)

func config() Config {
	return Config{
		Self: self, Net: net, Timer: timer, Availability: availability, Ordering: ordering, Results: results,
		Members: quorum.Equal(4), ConfigDelay: 3,
		BatchTxsMax: 3, BatchBytesMax: 200, BatchTimeout: time.Second,
		PayloadBytesMax: 100, PendingBytesMax: 1000, ForwardedBytesMax: 250, WindowSize: 8, ClientsMax: 2,
		Buckets: buckets, RetryAfter: time.Minute,
	}
}

const buckets = 8

// alone is a mempool that all buckets belong to.
func alone(cfg Config) *Mempool {
	m := New(cfg)
	m.Apply(mir.Event{To: self, Body: types.EpochBegun{Leaders: []types.NodeID{cfg.Node}}}, &mir.Out{})
	return m
}

func id(client, no uint64) types.TxID {
	return types.TxID{Client: types.ClientID(client), No: types.TxNo(no)}
}

func submit(client, no uint64, payloadBytes int) types.Submit {
	return types.Submit{Tx: types.Tx{TxID: id(client, no), Payload: make([]byte, payloadBytes)}}
}

func delivered(ids ...types.TxID) types.Progress { return types.Progress{IDs: ids} }
func dropped(ids ...types.TxID) types.Progress   { return types.Progress{Dropped: ids} }

// feed applies events and describes what comes out, batches by their content.
func feed(t *testing.T, m *Mempool, bodies ...mir.Body) string {
	t.Helper()
	var out mir.Out
	for _, body := range bodies {
		m.Apply(mir.Event{To: self, Body: body}, &out)
	}
	var lines []string
	for _, ev := range out.Events() {
		lines = append(lines, describe(t, ev))
	}
	return strings.Join(lines, " ")
}

func describe(t *testing.T, ev mir.Event) string {
	t.Helper()
	switch e := ev.Body.(type) {
	case types.SubmitResult:
		if e.Err != nil {
			return fmt.Sprintf("refuse(%d/%d)", e.ID.Client, e.ID.No)
		}
		return fmt.Sprintf("accept(%d/%d)", e.ID.Client, e.ID.No)
	case types.NewBatch:
		return "batch(" + listed(t, e.Data) + ")"
	case mir.SetTimer:
		return []string{"set", "setforward", "settick"}[e.ID.N]
	case mir.CancelTimer:
		return "cancel"
	case mir.Send:
		return fmt.Sprintf("forward(%s)>%v", listed(t, e.Msg.(Forward).Data), e.To)
	case types.WantEpoch:
		return fmt.Sprintf("want(%d)", e.Epoch)
	}
	t.Fatalf("unexpected %s", ev.Body.EventName())
	return ""
}

// listed names the transactions of a batch.
func listed(t *testing.T, data []byte) string {
	t.Helper()
	txs, err := types.DecodeBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, tx := range txs {
		ids = append(ids, fmt.Sprintf("%d/%d", tx.Client, tx.No))
	}
	return strings.Join(ids, ",")
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// lastError feeds one Submit and returns the error of its result.
func lastError(t *testing.T, m *Mempool, s types.Submit) error {
	t.Helper()
	var out mir.Out
	m.Apply(mir.Event{To: self, Body: s}, &out)
	for _, ev := range out.Events() {
		if r, ok := ev.Body.(types.SubmitResult); ok {
			return r.Err
		}
	}
	t.Fatal("a submission without a result")
	return nil
}

func TestBatchClosesOnCount(t *testing.T) {
	m := alone(config())
	want(t, feed(t, m, submit(1, 0, 1), submit(1, 1, 1)), "accept(1/0) set accept(1/1)")
	want(t, feed(t, m, submit(2, 0, 1)), "accept(2/0) cancel batch(1/0,1/1,2/0)")
}

func TestBatchClosesBeforeItExceedsItsBytes(t *testing.T) {
	// 4 + (20+80) + (20+76) is 200, the limit exactly; one more byte is too much.
	m := alone(config())
	want(t, feed(t, m, submit(1, 0, 80), submit(1, 1, 76)), "accept(1/0) set accept(1/1)")
	want(t, feed(t, m, types.Flush{}), "cancel batch(1/0,1/1)")
	want(t, feed(t, m, submit(1, 2, 80), submit(1, 3, 77)), "accept(1/2) set accept(1/3) cancel batch(1/2) set")
}

func TestBatchClosesOnItsOwnTimeoutOnly(t *testing.T) {
	m := alone(config())
	var out mir.Out
	m.Apply(mir.Event{To: self, Body: submit(1, 0, 1)}, &out)
	set, ok := out.Events()[1].Body.(mir.SetTimer)
	if !ok || set.After != time.Second || set.ID.Owner != self {
		t.Fatalf("got %+v, want a timer of one second", out.Events())
	}
	want(t, feed(t, m, types.Flush{}, submit(1, 1, 1)), "cancel batch(1/0) accept(1/1) set")
	want(t, feed(t, m, set.Fire.Body), "") // of the first batch, which is closed
	want(t, feed(t, m, batchTimeout{batch: 1}), "cancel batch(1/1)")
}

func TestFlushOfNothingSendsNothing(t *testing.T) {
	want(t, feed(t, alone(config()), types.Flush{}), "")
}

func TestIdleReplicaClosesAtOnce(t *testing.T) {
	cfg := config()
	cfg.CloseWhenIdle = true
	m := alone(cfg)
	want(t, feed(t, m, submit(1, 0, 1)), "accept(1/0) set cancel batch(1/0)")
	want(t, feed(t, m, submit(1, 1, 1), submit(1, 2, 1)), "accept(1/1) set accept(1/2)")
	want(t, feed(t, m, delivered(id(1, 0))), "cancel batch(1/1,1/2)")
	want(t, feed(t, m, submit(1, 3, 1), delivered(id(1, 1))), "accept(1/3) set")
	want(t, feed(t, m, dropped(id(1, 2))), "cancel batch(1/3)")
}

func TestDeliveryElsewhereDoesNotConfuseIdleness(t *testing.T) {
	cfg := config()
	cfg.CloseWhenIdle = true
	m := alone(cfg)
	feed(t, m, submit(1, 0, 1), submit(1, 1, 1), submit(1, 2, 1))
	// 1/1 waits in the batch being filled, is dropped out of somebody else's
	// batch, which takes it out of this one, submitted again here, and delivered.
	want(t, feed(t, m, dropped(id(1, 1)), submit(1, 1, 1)), "accept(1/1) cancel batch(1/2,1/1)")
	want(t, feed(t, m, delivered(id(1, 0), id(1, 1))), "")
	want(t, feed(t, m, submit(1, 3, 1)), "accept(1/3) set")
	want(t, feed(t, m, delivered(id(1, 2))), "cancel batch(1/3)")
}

func TestDuplicatesAreRefused(t *testing.T) {
	m := alone(config())
	feed(t, m, submit(1, 0, 1))
	if err := lastError(t, m, submit(1, 0, 1)); !errors.Is(err, ErrDuplicate) {
		t.Errorf("pending: %v", err)
	}
	feed(t, m, delivered(id(1, 0), id(1, 2)))
	for _, no := range []uint64{0, 2} {
		if err := lastError(t, m, submit(1, no, 1)); !errors.Is(err, ErrDuplicate) {
			t.Errorf("delivered %d: %v", no, err)
		}
	}
	if err := lastError(t, m, submit(1, 1, 1)); err != nil {
		t.Errorf("a number between delivered ones: %v", err)
	}
}

func TestWindowMovesWithTheLowestUndeliveredNumber(t *testing.T) {
	m := alone(config())
	if err := lastError(t, m, submit(1, 7, 1)); err != nil {
		t.Errorf("the last number of the window: %v", err)
	}
	if err := lastError(t, m, submit(1, 8, 1)); !errors.Is(err, ErrWindowFull) {
		t.Errorf("the first number beyond it: %v", err)
	}
	feed(t, m, delivered(id(1, 1)))
	if err := lastError(t, m, submit(1, 8, 1)); !errors.Is(err, ErrWindowFull) {
		t.Errorf("while number 0 is missing: %v", err)
	}
	feed(t, m, delivered(id(1, 0)))
	if err := lastError(t, m, submit(1, 9, 1)); err != nil {
		t.Errorf("after 0 and 1 are delivered: %v", err)
	}
}

func TestLimitsAreTypedErrors(t *testing.T) {
	cfg := config()
	cfg.PendingBytesMax = 200
	m := alone(cfg)
	if err := lastError(t, m, submit(1, 0, 101)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("payload of 101 bytes: %v", err)
	}
	feed(t, m, submit(1, 0, 100))
	if err := lastError(t, m, submit(1, 1, 61)); !errors.Is(err, ErrFull) {
		t.Errorf("120 + 81 bytes of 200: %v", err)
	}
	if err := lastError(t, m, submit(2, 0, 60)); err != nil {
		t.Errorf("120 + 80 bytes of 200: %v", err)
	}
	if err := lastError(t, m, submit(3, 0, 0)); !errors.Is(err, ErrTooManyClients) {
		t.Errorf("third client of two: %v", err)
	}
}

func TestPassedTransactionsFreeTheirBytes(t *testing.T) {
	for name, progress := range map[string]types.Progress{
		"delivered": delivered(id(1, 0)), "dropped": dropped(id(1, 0)),
	} {
		cfg := config()
		cfg.PendingBytesMax = 200
		m := alone(cfg)
		feed(t, m, submit(1, 0, 100), types.Flush{})
		if err := lastError(t, m, submit(1, 1, 100)); !errors.Is(err, ErrFull) {
			t.Fatalf("%s: %v", name, err)
		}
		feed(t, m, progress, progress)
		if err := lastError(t, m, submit(1, 1, 100)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := lastError(t, m, submit(1, 2, 100)); !errors.Is(err, ErrFull) {
			t.Errorf("%s twice freed the bytes twice: %v", name, err)
		}
	}
}

func TestRefusalLeavesNoTrace(t *testing.T) {
	m := alone(config())
	for client := range uint64(10) {
		feed(t, m, submit(client, 8, 1), submit(client, 0, 101))
	}
	if len(m.clients) != 0 || len(m.pending) != 0 || m.pendingBytes != 0 {
		t.Errorf("%d clients and %d transactions are kept", len(m.clients), len(m.pending))
	}
}

func TestResultsAreOptional(t *testing.T) {
	cfg := config()
	cfg.Results = 0
	want(t, feed(t, alone(cfg), submit(1, 0, 1), submit(1, 0, 1)), "set")
}

func TestMessagesOfPeersAreCounted(t *testing.T) {
	m := alone(config())
	want(t, feed(t, m, mir.Received{From: 1, Msg: submit(1, 0, 1)}), "")
	if got := m.Misaddressed(); got != 1 {
		t.Errorf("%d messages counted, want 1", got)
	}
}

func TestValidateNamesTheBadSetting(t *testing.T) {
	if err := config().Validate(); err != nil {
		t.Fatal(err)
	}
	for setting, spoil := range map[string]func(*Config){
		"BatchTxsMax":     func(c *Config) { c.BatchTxsMax = 0 },
		"BatchBytesMax":   func(c *Config) { c.BatchBytesMax = types.MaxBatchBytes + 1 },
		"PayloadBytesMax": func(c *Config) { c.PayloadBytesMax = 200 - 23 },
		"PendingBytesMax": func(c *Config) { c.PendingBytesMax = 199 },
		"BatchTimeout":    func(c *Config) { c.BatchTimeout = 0 },
		"WindowSize":      func(c *Config) { c.WindowSize = 0 },
		"ClientsMax":      func(c *Config) { c.ClientsMax = 0 },

		"Members":           func(c *Config) { c.Members = quorum.Membership{} },
		"ConfigDelay":       func(c *Config) { c.ConfigDelay = 0 },
		"ForwardedBytesMax": func(c *Config) { c.ForwardedBytesMax = 119 },
		"Buckets":           func(c *Config) { c.Buckets = -1 },
		"RetryAfter":        func(c *Config) { c.RetryAfter = 0 },
	} {
		cfg := config()
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("bad %s: error %v", setting, err)
		}
	}
}

// Whatever clients do, every accepted transaction is in exactly one batch.
func TestNothingAcceptedIsLost(t *testing.T) {
	cfg := config()
	cfg.ClientsMax, cfg.PendingBytesMax = 10, 2000
	m := alone(cfg)
	var accepted, batched []string
	for i := range 500 {
		body := submit(uint64(i%7), uint64(i/9), i%100)
		for _, word := range strings.Fields(feed(t, m, body)) {
			name, args, _ := strings.Cut(strings.TrimSuffix(word, ")"), "(")
			switch name {
			case "accept":
				accepted = append(accepted, args)
			case "batch":
				for _, tx := range strings.Split(args, ",") {
					batched = append(batched, tx)
					var p types.TxID
					fmt.Sscanf(tx, "%d/%d", &p.Client, &p.No)
					feed(t, m, delivered(p))
				}
			}
		}
	}
	batched = append(batched, strings.Split(strings.TrimSuffix(strings.TrimPrefix(feed(t, m, types.Flush{}), "cancel batch("), ")"), ",")...)
	if len(accepted) < 100 || !slices.Equal(accepted, batched) {
		t.Errorf("%d accepted, %d batched, equal %v", len(accepted), len(batched), slices.Equal(accepted, batched))
	}
}

// Without buckets a replica keeps what its clients submitted, and an epoch that
// begins closes no batch.
func TestWithoutBucketsNothingIsForwarded(t *testing.T) {
	cfg := config()
	cfg.Buckets = 0
	m := New(cfg)
	all := types.EpochBegun{Leaders: []types.NodeID{0, 1, 2, 3}}
	want(t, feed(t, m, all, submit(1, 0, 1), submit(2, 0, 1)), "accept(1/0) set accept(2/0)")
	all.Epoch = 1
	want(t, feed(t, m, all, submit(1, 1, 1)), "accept(1/1) cancel batch(1/0,2/0,1/1)")
}
