package availability

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// restart is a module that goes on from what another one made durable.
func (r *rig) restart(from *types.Restored) *rig {
	r.t.Helper()
	next := &rig{t: r.t, cfg: r.cfg, a: New(r.cfg), records: maps.Clone(r.records)}
	if err := next.a.Recover(next.sorted(), from); err != nil {
		r.t.Fatal(err)
	}
	return next
}

func (r *rig) sorted() (records []types.Record) {
	for _, key := range slices.Sorted(maps.Keys(r.records)) {
		records = append(records, types.Record{Key: []byte(key), Value: r.records[key]})
	}
	return records
}

// windows are those of n replicas, with the first used numbers of some.
func windows(cfg Config, n int, used map[int]uint64) (all []*types.Window) {
	for id := range n {
		w := types.NewWindow(cfg.WindowSize)
		for no := range used[id] {
			w.Add(no)
		}
		all = append(all, w)
	}
	return all
}

func TestNothingIsSentBeforeItIsDurable(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.slow = true
	r.want("set", own("x"))
	r.want("set set", sent(3, 0, "y"), sent(3, 0, "y"), acked(1, ownID(0, 0, "x")), acked(2, ownID(0, 0, "x")), tick{}, tick{})
	r.wantLate("batch(0 x)>[1 2 3] cert(0 by [0 1 2]) ack(0)>[3]")
}

// A batch is written once, however often its creator sends it.
func TestARepeatedBatchIsNotPersistedAgain(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.slow = true
	r.want("", sent(3, 0, "y"), sent(3, 0, "y"), sent(3, 0, "y"))
	r.wantLate("ack(0)>[3]")
	r.want("ack(0)>[3]", sent(3, 0, "y"))
	if r.persists != 1 {
		t.Errorf("%d writes, want 1", r.persists)
	}
	r = r.restart(nil)
	r.feed(r.begun(0))
	r.want("ack(0)>[3]", sent(3, 0, "y"))
	if r.persists != 0 {
		t.Errorf("%d writes after a restart, want none", r.persists)
	}
}

// What the log says about a number while its batch is being written does not make
// another batch one that is on this disk.
func TestOnlyTheBatchThatWasWrittenIsAcknowledged(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.slow = true
	r.feed(sent(3, 0, "y"), need(idOf(3, 0, "x"), 1, 2))
	r.want("data(x)", from(1, answer(idOf(3, 0, "x"), "x")))
	r.feed(used(idOf(3, 0, "x"), 0))
	r.wantLate("")
}

// Of a creator two batches of 40 bytes may be on their way to the disk, whether
// they are delivered in the meantime or not.
func TestCreatorsHaveTheirSharesOfWhatWaitsForTheDisk(t *testing.T) {
	const text = "sixteen bytes!!!"
	cfg := config(0, 4)
	cfg.StoringBytesMax = 4 * (2*40 + 10)
	r := newRig(t, cfg)
	r.slow = true
	r.want("", sent(1, 0, text), used(idOf(1, 0, text), 0), sent(1, 1, text))
	r.want("", sent(1, 2, text), sent(1, 3, text))
	if got := r.a.Stats().StoringFull; got != 2 || r.persists != 2 {
		t.Errorf("%d batches refused and %d written, want 2 each", got, r.persists)
	}
	r.want("", sent(2, 0, text))
	r.wantLate("ack(0)>[1] ack(1)>[1] ack(0)>[2]")
	r.want("", sent(1, 2, text), sent(1, 3, text), sent(1, 4, text))
	r.wantLate("ack(2)>[1] ack(3)>[1]")
	if got := r.a.creators[1].storing; got != 0 {
		t.Errorf("%d bytes are counted that are durable", got)
	}
}

func TestOneBatchOfEachCreatorMayAlwaysBeStored(t *testing.T) {
	cfg := config(0, 4)
	cfg.StoringBytesMax = 0
	r := newRig(t, cfg)
	r.slow = true
	r.want("", sent(1, 0, "x"), sent(1, 1, "y"), sent(2, 0, "z"))
	r.wantLate("ack(0)>[1] ack(0)>[2]")
}

func TestABatchThatIsVoidedIsDurableFirst(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.slow = true
	r.feed(own("x"))
	r.want("back(x)", r.begun(2))
	r.wantLate("batch(0 x)>[1 2 3] void(0)>[1 2 3]")
	r.want("voidcert(0 by [0 2])", acked(2, voidID(0, 0)))
}

func TestAReplicaStandsByWhatItAcknowledgedBeforeARestart(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(sent(3, 0, "x"))
	again := r.restart(nil)
	again.feed(r.begun(0))
	again.want("", sent(3, 0, "y"))
	again.want("ack(0)>[3]", sent(3, 0, "x"))
	again.want("data(x)", need(idOf(3, 0, "x"), 1, 2))
	if got := again.a.Stats().Equivocations; got != 1 {
		t.Errorf("%d equivocations counted, want 1", got)
	}
}

func TestOwnBatchesAreCollectedForAfterARestart(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(own("x"), own("y"), acked(1, ownID(0, 0, "x")), acked(1, ownID(0, 1, "y")), used(ownID(0, 0, "x"), 0), own("z"))
	state := &types.Restored{Epoch: 0, Creators: windows(r.cfg, 4, map[int]uint64{0: 1})}
	again := r.restart(state)
	again.want("batch(1 y)>[1 2 3] batch(2 z)>[1 2 3] set", types.Boot{})
	again.want("response(0/0 x)>[2]", from(2, Request{ID: ownID(0, 0, "x")})) // It may be asked for still.
	again.want("cert(1 by [0 2])", acked(2, ownID(0, 1, "y")))
	again.feed(r.begun(1))
	again.want("batch(3 new)>[1 2 3]", types.NewBatch{Data: dataOf(0, "new"), Epoch: 1})
	again.feed(types.StableCheckpoint{Epoch: 1})
	again.want("", from(2, Request{ID: ownID(0, 0, "x")}))
}

func TestOwnNumbersAreNeverUsedTwice(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(own("x"), own("y"), used(ownID(0, 0, "x"), 0), used(ownID(0, 1, "y"), 0), types.StableCheckpoint{Epoch: 1})
	if len(r.records) != 0 {
		t.Fatalf("%d records are left", len(r.records))
	}
	again := r.restart(&types.Restored{Epoch: 1, Creators: windows(r.cfg, 4, map[int]uint64{0: 2})})
	again.feed(types.Boot{}, r.begun(2))
	again.want("batch(2 z)>[1 2 3] set", types.NewBatch{Data: dataOf(0, "z"), Epoch: 2})
}

func TestBootSendsNoMoreThanATick(t *testing.T) {
	r := newRig(t, wide(0, 4))
	for range 40 {
		r.feed(own("x"))
	}
	again := r.restart(nil)
	if got := strings.Count(again.feed(types.Boot{}), "batch("); got != ResendMax {
		t.Errorf("%d batches are sent, want %d", got, ResendMax)
	}
}

func TestASingleReplicaCertifiesItsBatchesAgain(t *testing.T) {
	r := newRig(t, config(0, 1))
	r.feed(own("x"), own("y"))
	r.restart(nil).want("cert(0 by [0]) cert(1 by [0])", types.Boot{})
}

// Where the empty batch was certified in a run before, it may be what the log
// says, and the clients' transactions are nowhere.
func TestAVoidOfAnEarlierRunGivesTheTransactionsBack(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(own("x"), r.begun(2))
	again := r.restart(nil)
	again.feed(types.Boot{})
	again.want("back(x)", used(voidID(0, 0), 3))
}

func TestMalformedRecordsAreErrors(t *testing.T) {
	good := recordOf(idOf(3, 0, "x"), 7, dataOf(3, "x"))
	if id, b, err := readRecord(good); err != nil || id != idOf(3, 0, "x") || b.epoch != 7 || !bytes.Equal(b.data, good.Value) {
		t.Fatalf("got %+v, %+v, %v", id, b, err)
	}
	for name, records := range map[string][]types.Record{
		"short key":     {{Key: good.Key[:20], Value: good.Value}},
		"long key":      {{Key: append(bytes.Clone(good.Key), 0), Value: good.Value}},
		"another byte":  {{Key: append([]byte{'x'}, good.Key[1:]...), Value: good.Value}},
		"no batch":      {{Key: good.Key}},
		"large batch":   {{Key: good.Key, Value: make([]byte, types.MaxBatchBytes+1)}},
		"far replica":   {recordOf(BatchID{Creator: types.MaxReplicas}, 0, good.Value)},
		"second batch":  {good, recordOf(idOf(3, 0, "x"), 8, good.Value)},
		"second record": {good, good},
	} {
		if New(config(0, 4)).Recover(records, nil) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRestoredReplacesWhatTheSkippedLogUsed(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(own("x"), own("y"), own("z"), sent(3, 0, "a"), sent(3, 1, "b"),
		need(idOf(1, 0, "c"), 2, 3), need(idOf(1, 1, "d"), 2, 3), from(1, Batch{No: 3, Epoch: 1, Data: dataIn(1, 1, 4, "early")}))
	state := types.Restored{Epoch: 4, Creators: windows(r.cfg, 4, map[int]uint64{0: 2, 1: 1, 3: 1})}
	// Whatever of x and y is not delivered goes back; z is too old by now.
	r.want("back(x) back(y) back(z) void(2)>[1 2 3]", state)
	r.want("", acked(1, ownID(0, 0, "x")), sent(3, 0, "a"))
	r.want("data(b)", need(idOf(3, 1, "b"), 1, 2))
	if len(r.a.fetches) != 1 || len(r.a.collecting) != 1 || r.a.epoch != 5 || len(r.records) != 2 {
		t.Errorf("%d fetches, %d collections, epoch %d, %d records; want 1, 1, 5 and 2",
			len(r.a.fetches), len(r.a.collecting), r.a.epoch, len(r.records))
	}
	// Nothing of epochs that were never executed here leaks.
	r.feed(used(voidID(0, 2), 5), used(idOf(3, 1, "b"), 5), used(idOf(1, 1, "d"), 5), types.StableCheckpoint{Epoch: 6})
	if r.a.Held() != 0 || len(r.records) != 0 || len(r.a.used) != 0 || len(r.a.fetches) != 0 {
		t.Errorf("%d numbers, %d records, %d used and %d fetches are left", r.a.Held(), len(r.records), len(r.a.used), len(r.a.fetches))
	}
}

func TestACheckpointWithoutItsLogCollectsNothingAndLeaksNothing(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(sent(3, 0, "a"), types.StableCheckpoint{Epoch: 9})
	r.want("data(a)", need(idOf(3, 0, "a"), 1, 2))
	r.feed(types.Restored{Epoch: 9, Creators: windows(r.cfg, 4, map[int]uint64{3: 1})})
	if r.a.Held() != 0 || len(r.records) != 0 {
		t.Errorf("%d numbers and %d records are left", r.a.Held(), len(r.records))
	}
}

// Windows are cloned: what delivery changes afterwards is its own.
func TestRestoredIsNotShared(t *testing.T) {
	r := newRig(t, config(0, 4))
	state := types.Restored{Epoch: 0, Creators: windows(r.cfg, 4, nil)}
	r.feed(state, mir.Body(r.begun(1)))
	state.Creators[3].Add(0)
	r.want("ack(0)>[3]", from(3, Batch{Epoch: 1, Data: dataIn(1, 3, 4, "x")}))
}

// Where delivery alone had fallen behind, the snapshot is of an epoch before the
// one that ordering is in. Going back to it would judge certificates by members
// that ordering does not have any more: each would call the same ones good and
// stale, without end.
func TestRestoredDoesNotGoBackBehindOrdering(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(r.begun(1), r.begun(2))
	r.feed(types.Restored{Epoch: 0, Creators: windows(r.cfg, 4, nil)})
	if r.a.epoch != 2 {
		t.Errorf("epoch %d after a snapshot of epoch 0 in epoch 2", r.a.epoch)
	}
}
