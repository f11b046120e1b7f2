package delivery

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	self mir.ModuleID = iota + 1
	mempool
	availability
	checkpoint
	transfer
	results
)

func config() Config {
	return Config{
		Self: self, Mempool: mempool, Availability: availability, Checkpoint: checkpoint, Results: results,
		Transfer: transfer, App: &app.Chain{}, Crypto: crypto.NewSimulated(1, 0, 5),
		Genesis: types.EqualConfiguration(4), ConfigDelay: 3, MembersMax: 5, KeptBytesMax: 100, ClientWindow: 8, BatchWindow: 4, ClientsMax: 3,
		SlotsFetchingMax: 2, SlotsQueuedMax: 6,
	}
}

// harness feeds a Delivery and describes what it emits.
type harness struct {
	t    *testing.T
	d    *Delivery
	next types.SeqNr
}

func newHarness(t *testing.T, cfg Config) *harness { return &harness{t: t, d: New(cfg)} }

func (h *harness) feed(bodies ...mir.Body) string {
	h.t.Helper()
	var lines []string
	for _, body := range h.run(bodies...) {
		lines = append(lines, describe(h.t, body))
	}
	return strings.Join(lines, " ")
}

// run applies events in order, and what the module addresses to itself after
// them, as a node does.
func (h *harness) run(bodies ...mir.Body) (emitted []mir.Body) {
	var out mir.Out
	for queue := bodies; len(queue) > 0; queue = queue[1:] {
		out.Reset()
		h.d.Apply(mir.Event{To: self, Body: queue[0]}, &out)
		for _, ev := range out.Events() {
			if ev.To == self {
				queue = append(queue, ev.Body)
			} else {
				emitted = append(emitted, ev.Body)
			}
		}
	}
	return emitted
}

func (h *harness) want(want string, bodies ...mir.Body) {
	h.t.Helper()
	if got := h.feed(bodies...); got != want {
		h.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// slot is the next position, of the epoch in which the module is.
func (h *harness) slot(certs ...types.Certificate) types.Ordered {
	h.next++
	return types.Ordered{Seq: h.next - 1, Epoch: h.d.epoch, Proposal: types.Proposal{Certs: certs}}
}

// end ends the epoch, of which everything must have been executed, and gives the
// snapshot.
func (h *harness) end() types.Snapshot {
	h.t.Helper()
	return h.snapshotAmong(types.EpochEnd{Epoch: h.d.epoch, Policy: []byte("policy")})
}

func (h *harness) snapshotAmong(bodies ...mir.Body) types.Snapshot {
	h.t.Helper()
	for _, body := range h.run(bodies...) {
		if s, ok := body.(types.Snapshot); ok {
			return s
		}
	}
	h.t.Fatal("no snapshot")
	return types.Snapshot{}
}

func describe(t *testing.T, body mir.Body) string {
	t.Helper()
	switch e := body.(type) {
	case types.NeedBatch:
		return fmt.Sprintf("need(%d/%d)", e.Cert.Creator, e.Cert.No)
	case types.BatchUsed:
		return fmt.Sprintf("used(%d/%d in %d)", e.Creator, e.No, e.Epoch)
	case types.Delivered:
		return fmt.Sprintf("tx(%d/%d at %d)", e.Tx.Client, e.Tx.No, e.Seq)
	case types.Progress:
		return fmt.Sprintf("progress(%s|%s)", list(e.IDs), list(e.Dropped))
	case types.Snapshot:
		return fmt.Sprintf("snapshot(%d)", e.Epoch)
	}
	t.Fatalf("unexpected %s", body.EventName())
	return ""
}

func list(ids []types.TxID) string {
	var out []string
	for _, id := range ids {
		out = append(out, fmt.Sprintf("%d/%d", id.Client, id.No))
	}
	return strings.Join(out, ",")
}

// batchOf encodes transactions given as pairs of client and number.
func batchOf(pairs ...uint64) []byte {
	var txs []types.Tx
	for pair := range slices.Chunk(pairs, 2) {
		txs = append(txs, types.Tx{TxID: types.TxID{Client: types.ClientID(pair[0]), No: types.TxNo(pair[1])}})
	}
	return types.EncodeBatch(txs)
}

func cert(creator types.NodeID, no types.BatchNo, data []byte) types.Certificate {
	return types.Certificate{Creator: creator, No: no, Batch: types.HashBatch(data)}
}

func arrive(data []byte) types.BatchData {
	return types.BatchData{Batch: types.HashBatch(data), Data: data}
}

func TestDeliveryFollowsTheLogWhateverArrivesFirst(t *testing.T) {
	h := newHarness(t, config())
	a, b, c := batchOf(1, 0, 2, 0), batchOf(1, 1), batchOf(2, 1)
	h.want("need(0/0) need(1/0)", h.slot(cert(0, 0, a), cert(1, 0, b)))
	h.want("need(2/0)", h.slot(cert(2, 0, c)))
	h.want("", arrive(c), arrive(b))
	h.want("tx(1/0 at 0) tx(2/0 at 0) progress(1/0,2/0|) used(0/0 in 0) "+
		"tx(1/1 at 0) progress(1/1|) used(1/0 in 0) "+
		"tx(2/1 at 1) progress(2/1|) used(2/0 in 0)", arrive(a))
	h.want("", arrive(a)) // late
}

func TestOneEventDeliversOneBatchAtMost(t *testing.T) {
	cfg := config()
	h := newHarness(t, cfg)
	var bodies []mir.Body
	for no := range types.BatchNo(3) {
		data := batchOf(1, uint64(no))
		bodies = append(bodies, h.slot(cert(0, no, data), cert(1, no, data)))
	}
	h.feed(bodies...)
	var out mir.Out
	h.d.Apply(mir.Event{To: self, Body: arrive(batchOf(1, 1))}, &out)
	h.d.Apply(mir.Event{To: self, Body: arrive(batchOf(1, 0))}, &out)
	h.d.Apply(mir.Event{To: self, Body: types.EpochEnd{}}, &out)
	delivered := 0
	for _, ev := range out.Events() {
		if _, ok := ev.Body.(types.BatchUsed); ok {
			delivered++
		}
	}
	if last := out.Events()[len(out.Events())-1]; delivered != 1 || last.Body != (proceed{}) {
		t.Errorf("%d batches delivered and %s emitted last, want 1 and %s", delivered, last.Body.EventName(), proceed{}.EventName())
	}
	h.want("progress(|1/0) used(1/0 in 0) need(0/2) need(1/2) "+
		"tx(1/1 at 1) progress(1/1|) used(0/1 in 0) progress(|1/1) used(1/1 in 0)", proceed{})
}

func TestEmptyProposalsPass(t *testing.T) {
	h := newHarness(t, config())
	a := batchOf(1, 0)
	h.want("", h.slot(), h.slot())
	h.want("need(0/0)", h.slot(cert(0, 0, a)), h.slot(), h.slot())
	h.want("tx(1/0 at 2) progress(1/0|) used(0/0 in 0)", arrive(a))
	if len(h.d.queue) != 0 {
		t.Errorf("%d positions still wait", len(h.d.queue))
	}
}

func TestBatchesAreAskedForAFewPositionsAhead(t *testing.T) {
	h := newHarness(t, config())
	a, b, c := batchOf(1, 0), batchOf(1, 1), batchOf(1, 2)
	h.want("need(0/0) need(0/1)", h.slot(cert(0, 0, a)), h.slot(cert(0, 1, b)), h.slot(cert(0, 2, c)))
	h.want("", arrive(b))
	h.want("tx(1/0 at 0) progress(1/0|) used(0/0 in 0) need(0/2) tx(1/1 at 1) progress(1/1|) used(0/1 in 0)", arrive(a))
}

func TestTransactionsAreDeliveredOnce(t *testing.T) {
	h := newHarness(t, config())
	a, b := batchOf(1, 0, 1, 2, 1, 0), batchOf(1, 2, 1, 0, 1, 1)
	h.feed(h.slot(cert(0, 0, a), cert(1, 0, b)), arrive(b))
	h.want("tx(1/0 at 0) tx(1/2 at 0) progress(1/0,1/2|1/0) used(0/0 in 0) "+
		"tx(1/1 at 0) progress(1/1|1/2,1/0) used(1/0 in 0)", arrive(a))
	if got := h.d.Stats(); got.Txs != 3 || got.DuplicateTxs != 3 {
		t.Errorf("stats %+v, want 3 delivered and 3 duplicates", got)
	}
}

func TestTransactionsOutOfTheWindowAreDropped(t *testing.T) {
	h := newHarness(t, config())
	a := batchOf(1, 8, 1, 7, 1, 0, 1, 8)
	h.feed(h.slot(cert(0, 0, a)))
	h.want("tx(1/7 at 0) tx(1/0 at 0) tx(1/8 at 0) progress(1/7,1/0,1/8|1/8) used(0/0 in 0)", arrive(a))
	b := batchOf(1, 1<<63, 1, 9)
	h.feed(h.slot(cert(0, 1, b)))
	h.want("progress(|1/9223372036854775808,1/9) used(0/1 in 0)", arrive(b))
	if got := h.d.Stats().OutOfWindowTxs; got != 3 {
		t.Errorf("%d counted as out of window, want 3", got)
	}
}

func TestClientsAreBounded(t *testing.T) {
	h := newHarness(t, config())
	a := batchOf(1, 0, 2, 0, 7, 9, 3, 0, 4, 0, 1, 1)
	h.feed(h.slot(cert(0, 0, a)))
	h.want("tx(1/0 at 0) tx(2/0 at 0) tx(3/0 at 0) tx(1/1 at 0) progress(1/0,2/0,3/0,1/1|7/9,4/0) used(0/0 in 0)", arrive(a))
	if got := h.d.Stats().StrangerTxs; got != 1 {
		t.Errorf("%d transactions of strangers, want 1", got)
	}
}

func TestCertificatesThatCameByAreSkippedWithoutTheirBatch(t *testing.T) {
	h := newHarness(t, config())
	a, other := batchOf(1, 0), batchOf(1, 1)
	h.want("need(0/0)", h.slot(cert(0, 0, a)), h.slot(cert(0, 0, a), cert(0, 0, other)))
	h.want("tx(1/0 at 0) progress(1/0|) used(0/0 in 0)", arrive(a))
	h.want("", h.slot(cert(0, 0, a)), h.slot(cert(0, 5, a)), h.slot(cert(4, 0, a)))
	h.want("need(0/4)", h.slot(cert(0, 4, other)))
	if got := h.d.Stats().SkippedCerts; got != 5 {
		t.Errorf("%d certificates skipped, want 5", got)
	}
}

func TestOneBatchOfTwoCreatorsServesBoth(t *testing.T) {
	h := newHarness(t, config())
	a := batchOf(1, 0)
	h.want("need(0/0) need(1/0)", h.slot(cert(0, 0, a), cert(1, 0, a)))
	h.want("tx(1/0 at 0) progress(1/0|) used(0/0 in 0) progress(|1/0) used(1/0 in 0)", arrive(a))
}

func TestMalformedBatchIsDroppedAsAWhole(t *testing.T) {
	h := newHarness(t, config())
	good := batchOf(1, 0, 1, 1)
	bad := good[:len(good)-1]
	h.feed(h.slot(cert(3, 0, bad)))
	h.want("used(3/0 in 0)", arrive(bad))
	if got := h.d.Stats(); got.MalformedBatches != 1 || got.Txs != 0 {
		t.Errorf("stats %+v, want one malformed batch and no transaction", got)
	}
}

func TestSnapshotCoversItsEpochAndNothingLater(t *testing.T) {
	a, b, c := batchOf(1, 0), batchOf(2, 5), batchOf(3, 0)
	slow := newHarness(t, config())
	slow.want("need(0/0) need(0/1)", slow.slot(cert(0, 0, a)), slow.slot(cert(0, 1, b)),
		types.EpochEnd{Epoch: 0})
	slow.want("", slow.slot(cert(1, 0, c)))
	fast := newHarness(t, config())
	fast.feed(fast.slot(cert(0, 0, a)), arrive(a), fast.slot(cert(0, 1, b)), arrive(b))
	slowData := slow.snapshotAmong(arrive(b), arrive(a), arrive(c)).Data
	if fastData := fast.snapshotAmong(types.EpochEnd{Epoch: 0}).Data; !bytes.Equal(slowData, fastData) {
		t.Errorf("snapshots differ:\n%x\n%x", slowData, fastData)
	}
}

func TestSnapshotWaitsForEverythingBefore(t *testing.T) {
	h := newHarness(t, config())
	a := batchOf(1, 0)
	h.want("need(0/0)", h.slot(cert(0, 0, a)), types.EpochEnd{})
	h.want("tx(1/0 at 0) progress(1/0|) used(0/0 in 0) snapshot(0)", arrive(a))
}

func TestRestoreContinuesWhereTheSnapshotWasTaken(t *testing.T) {
	a, b := batchOf(1, 0, 1, 3, 2, 0), batchOf(1, 3, 1, 1, 2, 0, 2, 8)
	old := newHarness(t, config())
	old.feed(old.slot(cert(0, 0, a), cert(0, 2, a)), arrive(a))
	snapshot := old.end()

	fresh := newHarness(t, config())
	missing := batchOf(3, 0)
	fresh.feed(fresh.slot(cert(3, 0, missing)))
	if _, err := fresh.d.Restore(snapshot.Epoch, snapshot.Data); err != nil {
		t.Fatal(err)
	}
	fresh.next = old.next
	for _, h := range []*harness{old, fresh} {
		h.want("need(0/1)", h.slot(cert(0, 0, a), cert(0, 2, b), cert(0, 1, b)))
		h.want("tx(1/1 at 1) tx(2/8 at 1) progress(1/1,2/8|1/3,2/0) used(0/1 in 1)", arrive(b))
	}
	if old.d.cfg.App.Hash() != fresh.d.cfg.App.Hash() {
		t.Error("application states differ")
	}
}

func TestRestoreRejectsAndKeepsTheState(t *testing.T) {
	h := newHarness(t, config())
	a := batchOf(1, 0, 2, 0)
	h.feed(h.slot(cert(0, 0, a)), arrive(a))
	good := h.end().Data
	cfg := config()
	cfg.App, cfg.ConfigDelay = &app.Chain{}, 4
	moreCreators := slices.Clone(good)
	moreCreators[clientsAt-4-4*12-4] = 5
	later := newHarness(t, config())
	later.end()
	cases := map[string][]byte{
		"empty":                  nil,
		"truncated":              good[:len(good)-1],
		"left over":              append(slices.Clone(good), 0),
		"more creators than are": moreCreators,
		"another ConfigDelay":    newHarness(t, cfg).end().Data,
		"another epoch":          later.end().Data,
		"no application state":   types.AppendBytes(slices.Clone(good[:len(good)-36]), nil),
		"clients out of order":   swapClients(good),
		"more clients than fit":  withClients(good, 4),
		"clients beyond memory":  withClients(good, 1<<31),
		"fewer clients than are": withClients(good, 1),
	}
	for name, b := range cases {
		if _, err := h.d.Restore(0, b); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	if after := h.d.snapshot(0, &logState{next: h.d.next, bytes: h.d.logState([]byte("policy")).bytes}); !bytes.Equal(after, good) {
		t.Error("a failed restore changed the state")
	}
}

// The snapshot of four empty-bitset replicas: a header with one run of four
// members without keys and addresses, the policy, the creators, no voters, then
// the client count, then 8 + 12 bytes for each client.
const clientsAt = 8 + 8 + 4 + (4 + 4 + 4*20) + (4 + 6) + (4 + 4*12) + 4

func withClients(snapshot []byte, n uint32) []byte {
	b := slices.Clone(snapshot)
	b[clientsAt], b[clientsAt+1], b[clientsAt+2], b[clientsAt+3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
	return b
}

func swapClients(snapshot []byte) []byte {
	b := slices.Clone(snapshot)
	b[clientsAt+4], b[clientsAt+4+20] = 2, 1
	return b
}

func TestQueueIsBoundedAndAGapIsNeverDeliveredOver(t *testing.T) {
	h := newHarness(t, config())
	a := batchOf(1, 0)
	h.feed(h.slot(cert(0, 0, a)))
	for range 20 {
		h.feed(h.slot(), types.EpochEnd{Epoch: h.d.epoch})
	}
	if len(h.d.queue) != 6 || !h.d.Behind() || h.d.Stats().SlotsMissed != 35 {
		t.Errorf("%d items queued, behind %v, %d missed; want 6, true, 35", len(h.d.queue), h.d.Behind(), h.d.Stats().SlotsMissed)
	}
	h.want("tx(1/0 at 0) progress(1/0|) used(0/0 in 0) snapshot(0) snapshot(1)", arrive(a))
	h.want("", h.slot(cert(0, 1, a)))
}

func TestMessagesOfPeersAreCounted(t *testing.T) {
	h := newHarness(t, config())
	h.want("", mir.Received{From: 1, Msg: types.Flush{}})
	if got := h.d.Stats().Misaddressed; got != 1 {
		t.Errorf("%d messages counted, want 1", got)
	}
}

func TestAGapInTheLogPanics(t *testing.T) {
	h := newHarness(t, config())
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	h.feed(types.Ordered{Seq: 1})
}

func TestResultsCarryWhatTheApplicationAnswers(t *testing.T) {
	cfg := config()
	cfg.App = app.NewKV()
	h := newHarness(t, cfg)
	put := app.Command{Op: app.Put, Key: []byte("k"), Value: []byte("v")}.Encode()
	get := app.Command{Op: app.Get, Key: []byte("k")}.Encode()
	data := types.EncodeBatch([]types.Tx{{Payload: put}, {TxID: types.TxID{No: 1}, Payload: get}})
	var got []string
	for _, body := range h.run(h.slot(cert(0, 0, data)), arrive(data)) {
		if e, ok := body.(types.Delivered); ok {
			got = append(got, fmt.Sprintf("%q", e.Result))
		}
	}
	if want := []string{`"\x00"`, `"\x00v"`}; !slices.Equal(got, want) {
		t.Errorf("results %v, want %v", got, want)
	}
}

func TestValidateNamesTheBadSetting(t *testing.T) {
	for setting, spoil := range map[string]func(*Config){
		"App":              func(c *Config) { c.App = nil },
		"Crypto":           func(c *Config) { c.Crypto = nil },
		"Genesis":          func(c *Config) { c.Genesis = types.Configuration{} },
		"ConfigDelay":      func(c *Config) { c.ConfigDelay = 0 },
		"MembersMax":       func(c *Config) { c.MembersMax = 3 },
		"KeptBytesMax":     func(c *Config) { c.KeptBytesMax = -1 },
		"ClientWindow":     func(c *Config) { c.ClientWindow = 0 },
		"BatchWindow":      func(c *Config) { c.BatchWindow = types.MaxWindow + 1 },
		"ClientsMax":       func(c *Config) { c.ClientsMax = 0 },
		"SlotsFetchingMax": func(c *Config) { c.SlotsFetchingMax = 0 },
		"SlotsQueuedMax":   func(c *Config) { c.SlotsQueuedMax = 1 },
	} {
		cfg := config()
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("bad %s: error %v", setting, err)
		}
	}
}

func FuzzRestore(f *testing.F) {
	d := New(config())
	f.Add(d.snapshotForTest(0))
	d.clients[3] = types.NewWindow(8)
	d.clients[3].Add(5)
	d.voters[2] = &voter{last: 9, open: []types.Member{{Node: 4, Weight: 1}}}
	d.kept.add(types.Tx{TxID: types.TxID{Client: 3, No: 5}, Payload: []byte("early")})
	f.Add(d.snapshotForTest(0))
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg := config()
		cfg.App = &app.Chain{}
		d := New(cfg)
		restored, err := d.Restore(0, b)
		if err != nil {
			return
		}
		s, _, _ := d.readSnapshot(b)
		d.creators = s.creators // Without those that the next epoch brings.
		if got := d.snapshot(0, &logState{next: d.next, bytes: d.logState(restored.Policy).bytes}); !bytes.Equal(got, b) {
			t.Errorf("%x restores to another state, %x", b, got)
		}
	})
}

// snapshotForTest ends the epoch at once.
func (d *Delivery) snapshotForTest(e types.Epoch) []byte {
	config := d.schedule.Last()
	config.Epoch = e + types.Epoch(d.cfg.ConfigDelay)
	d.schedule.Add(config)
	d.schedule.Forget(e + 1)
	return d.snapshot(e, d.logState(nil))
}
