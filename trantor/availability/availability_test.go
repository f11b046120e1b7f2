package availability

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

func TestABatchOnItsWayToItsCertificate(t *testing.T) {
	r := newRig(t, config(2, 7)) // f = 2: three signatures, one's own included
	id := ownID(2, 0, "x")
	r.feed(own("x"), acked(5, id), acked(5, id), acked(0, id), acked(1, id), tick{})
	golden.Check(t, t.Name(), `Replica 2 of seven makes a batch, sends it to the others and counts its own signature with
those of 5, whose second one is nothing new, and 0: more than f = 2. That of 1 comes after
the certificate. The tick finds nothing to do and is not set again.`, r.trace.Bytes())
	if len(r.a.collecting) != 0 || len(r.a.order) != 0 {
		t.Errorf("%d batches are still collected for", len(r.a.collecting))
	}
}

func TestCertificatesOfOwnBatchesVerify(t *testing.T) {
	r := newRig(t, config(2, 7))
	id := ownID(2, 0, "x")
	r.feed(own("x"), acked(5, id))
	events := r.run(mir.Event{To: self, Body: acked(0, id)})
	if err := VerifyCert(quorum.Equal(7), crypto.NewSimulated(1, 6, 16), events[0].Body.(types.CertReady).Cert); err != nil {
		t.Error(err)
	}
}

func TestCertificatesCountWeightsNotReplicas(t *testing.T) {
	members, err := quorum.New([]uint64{1, 1, 1, 4}) // f = 2
	if err != nil {
		t.Fatal(err)
	}
	light, heavy := config(0, 4), config(3, 4)
	light.Members, heavy.Members = members, members
	r := newRig(t, light)
	r.feed(own("x"))
	r.want("", acked(1, ownID(0, 0, "x")))
	r.want("cert(0 by [0 1 3])", acked(3, ownID(0, 0, "x")))
	newRig(t, heavy).want("batch(0 x)>[0 1 2] cert(0 by [3]) set", own("x"))
	c, id := crypto.NewSimulated(1, 0, 16), idOf(1, 0, "x")
	if VerifyCert(members, c, cert(id, 0, 1)) == nil {
		t.Error("weight 2 of 7 was accepted")
	}
	for _, signers := range [][]types.NodeID{{3}, {0, 1, 2}} {
		if err := VerifyCert(members, c, cert(id, signers...)); err != nil {
			t.Error(err)
		}
	}
}

func TestASingleReplicaCertifiesAlone(t *testing.T) {
	newRig(t, config(0, 1)).want("cert(0 by [0]) set", own("x"))
}

func TestBadAcksDoNotCount(t *testing.T) {
	r := newRig(t, config(0, 4))
	id := ownID(0, 0, "x")
	r.feed(own("x"))
	r.want("",
		acked(1, ownID(0, 0, "y")),
		acked(1, BatchID{Creator: 1, No: 0, Digest: id.Digest}), // of another creator
		from(1, ack(2, id)),
		acked(9, id))
	if got := r.a.Stats(); got.BadAcks != 3 || got.Misaddressed != 1 {
		t.Errorf("stats %+v, want 3 bad acknowledgements and one stranger", got)
	}
	r.want("cert(0 by [0 2])", acked(2, id))
}

// No correct replica gives a bad signature: one is all that is verified in an epoch.
func TestOneBadAckIsAllThatAReplicaGetsVerified(t *testing.T) {
	cfg := config(0, 4)
	counting := crypto.NewCounting(cfg.Crypto)
	cfg.Crypto = counting
	r := newRig(t, cfg)
	id := ownID(0, 0, "x")
	r.feed(own("x"))
	for range 10 {
		r.want("", from(1, ack(2, id)))
	}
	r.want("", acked(1, id))
	if got := counting.Counts().Verifies; got != 1 || r.a.Stats().BadAcks != 11 {
		t.Errorf("%d signatures verified, stats %+v", got, r.a.Stats())
	}
	r.want("", r.begun(1))
	r.want("cert(0 by [0 1])", acked(1, id))
}

func TestCertificatesKeepTheOrderOfBatches(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(own("a"), own("b"), own("c"))
	r.want("", acked(1, ownID(0, 1, "b")), acked(2, ownID(0, 2, "c")))
	r.want("cert(0 by [0 3]) cert(1 by [0 1]) cert(2 by [0 2])", acked(3, ownID(0, 0, "a")))
}

func TestOwnBatchesBeyondTheWindowWait(t *testing.T) {
	r := newRig(t, config(0, 1))
	for i := range 4 {
		r.feed(own(fmt.Sprint(i)))
	}
	r.want("", own("4"), own("5"))
	r.want("", used(ownID(0, 1, "1"), 0))
	r.want("cert(4 by [0]) cert(5 by [0])", used(ownID(0, 0, "0"), 0))
}

func TestReceiverAcknowledgesOneBatchForANumber(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.want("ack(1)>[3]", sent(3, 1, "x"))
	r.want("ack(1)>[3]", sent(3, 1, "x"))
	r.want("", sent(3, 1, "y"))
	r.want("ack(1)>[2]", sent(2, 1, "y"))
	if got := r.a.Stats().Equivocations; got != 1 {
		t.Errorf("%d equivocations counted, want 1", got)
	}
}

func TestReceiverRefusesBeyondItsLimits(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(sent(1, 0, "first"), used(idOf(1, 0, "first"), 0))
	r.want("", sent(1, 5, "x")) // the window is 1 to 4
	r.want("", sent(1, 0, "first"))
	r.want("", sent(1, 1, "seventeen bytes!!"))
	r.want("", from(4, Batch{Data: dataOf(0, "stranger")}))
	r.want("", from(1, Batch{No: 1, Data: []byte("no transactions")}))
	r.want("ack(4)>[1]", sent(1, 4, "sixteen bytes!!!"))
	want := Stats{BadSize: 1, OutsideWindow: 2, Misaddressed: 1, Malformed: 1}
	if got := r.a.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestAFloodingCreatorFillsItsWindowOnly(t *testing.T) {
	r := newRig(t, config(0, 4))
	for no := range types.BatchNo(5) {
		r.feed(sent(1, no, "sixteen bytes!!!"), sent(1, no, "other"))
	}
	r.feed(sent(2, 0, "x"))
	golden.Check(t, t.Name(), `Replica 1 sends batches of 40 bytes, the most that is allowed, and another one for each
number, which is refused. Three fit into HeldBytesMax, 130, and nothing after them. Number 4
is outside the window of 4. The batches of replica 2 are not affected.`, r.trace.Bytes())
	for no := range types.BatchNo(1000) {
		r.feed(sent(1, no, "x"), from(1, Batch{No: no, Epoch: 1, Data: dataOf(1, "x")}), from(1, Batch{No: no}))
	}
	c := r.a.creators[1]
	if len(c.batches) != 4 || c.bytes > 130 || len(c.early) > EarlyMax {
		t.Errorf("%d batches of %d bytes are held and %d put aside", len(c.batches), c.bytes, len(c.early))
	}
}

func TestBatchesOfTheNextEpochWaitForItInSmallNumbers(t *testing.T) {
	cfg := config(0, 4)
	cfg.WindowSize, cfg.HeldBytesMax = 100, 100*40
	r := newRig(t, cfg)
	for no := range types.BatchNo(EarlyMax + 1) {
		r.want("", from(1, Batch{No: no, Epoch: 1, Data: dataIn(1, 1, 4, "x")}))
	}
	r.want("", from(1, Batch{No: 50, Epoch: 2, Data: dataIn(2, 1, 4, "x")}))
	if got := r.a.Stats(); got.EarlyFull != 1 || got.WrongEpoch != 1 {
		t.Errorf("stats %+v, want one batch too many and one of a wrong epoch", got)
	}
	if got := strings.Count(r.feed(r.begun(1)), "ack"); got != EarlyMax {
		t.Errorf("%d acknowledgements once the epoch has begun, want %d", got, EarlyMax)
	}
}

func TestForeignBucketsAreRefused(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.want("", from(1, Batch{No: 0, Data: dataOf(2, "x")}))
	r.want("", from(1, Batch{No: 0, Data: dataIn(1, 1, 4, "x")}))
	r.feed(r.begun(1))
	r.want("ack(0)>[1]", from(1, Batch{No: 0, Epoch: 1, Data: dataIn(1, 1, 4, "x")}))
	r.want("ack(1)>[1]", from(1, Batch{No: 1, Epoch: 0, Data: dataOf(1, "in the grace")}))
	r.feed(r.begun(2))
	r.want("", from(1, Batch{No: 2, Epoch: 0, Data: dataOf(1, "too old")}))
	if got := r.a.Stats(); got.ForeignBuckets != 2 || got.WrongEpoch != 1 {
		t.Errorf("stats %+v, want 2 of foreign buckets and one too old", got)
	}
}

func TestABatchWithoutACertificateIsVoided(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(own("x"), own("y"), r.begun(1), acked(1, ownID(0, 1, "y")))
	r.feed(r.begun(2), acked(1, ownID(0, 0, "x")), acked(2, voidID(0, 0)))
	r.feed(sent(3, 0, "z"), from(3, Batch{}), from(3, Batch{}), used(voidID(3, 0), 2), used(voidID(0, 0), 2))
	golden.Check(t, t.Name(), `Batches x and y are made in epoch 0; BucketGrace is 1. In epoch 2 nobody acknowledges x any
more: its transactions go back to the mempool and the empty batch of its number is sent
instead, while y only waited for its turn. An acknowledgement of x that was on its way
changes nothing, one of the empty batch completes its certificate. Replica 3 does the same
to its batch 0: it is acknowledged here although z is held, z being of epoch 0 and refused.
Once the empty batches are used nothing is left of the numbers.`, r.trace.Bytes())
	if got := r.a.Stats(); got.Voided != 1 || got.WrongEpoch != 1 || r.a.Held() != 1 || len(r.records) != 2 {
		t.Errorf("stats %+v, %d numbers and %d records held, want batch 1, and the record of number 0", got, r.a.Held(), len(r.records))
	}
	r.feed(types.StableCheckpoint{Epoch: 9})
	if len(r.records) != 1 {
		t.Errorf("%d records once the state is on disk, want that of batch 1", len(r.records))
	}
}

// Peers that came up in epoch 1 know nobody who led epoch 0, and no epoch ends
// where nothing is ordered.
func TestABatchOfAnEarlierEpochThatNobodyWantsIsVoided(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(own("x"))
	resend := func(until uint64) {
		for r.a.Stats().Resent < until && r.a.Stats().Voided == 0 {
			r.feed(tick{})
		}
	}
	resend(2 * ResentMax)
	r.feed(r.begun(1))
	resend(3*ResentMax - 1)
	if got := r.a.Stats(); got.Voided != 0 {
		t.Fatalf("stats %+v: a batch is voided too early", got)
	}
	resend(4 * ResentMax)
	if got := r.a.Stats(); got.Voided != 1 || got.Resent != 3*ResentMax {
		t.Errorf("stats %+v, want the batch voided when it was sent again %d times in vain", got, ResentMax)
	}
	r.want("voidcert(0 by [0 2])", acked(2, voidID(0, 0)))
}

func TestAVoidBatchIsAcknowledgedBesideTheOneThatIsHeld(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.want("ack(0)>[3]", sent(3, 0, "x"))
	r.want("ack(0)>[3]", from(3, Batch{}))
	r.want("ack(0)>[3]", sent(3, 0, "x")) // Its certificate may yet be the first in the log.
	r.want("data(x)", need(idOf(3, 0, "x"), 1, 2))
	r.feed(used(voidID(3, 0), 0))
	r.want("", from(1, Request{ID: idOf(3, 0, "x")}))
	// A restart that comes back to before this delivery must still know that the
	// number is taken.
	if len(r.records) != 1 {
		t.Errorf("%d records before the state is on disk, want 1", len(r.records))
	}
	r.feed(types.StableCheckpoint{Epoch: 9})
	if len(r.records) != 0 {
		t.Error("the record of a batch that will never be asked for is kept")
	}
}

func TestBatchesThatWaitedTooLongForTheWindowGoBack(t *testing.T) {
	r := newRig(t, config(0, 1))
	for i := range 5 {
		r.feed(own(fmt.Sprint(i)))
	}
	r.want("", r.begun(2))
	r.want("back(4)", used(ownID(0, 0, "0"), 0))
	r.want("cert(4 by [0])", types.NewBatch{Data: dataOf(0, "5"), Epoch: 2})
}

func TestUsedBatchOutlivesItsCheckpointByKeepEpochs(t *testing.T) {
	r := newRig(t, config(0, 4))
	first, second := idOf(1, 0, "x"), idOf(1, 1, "y")
	r.feed(sent(1, 0, "x"), sent(1, 1, "y"), sent(1, 2, "z"), used(first, 0), used(second, 1))
	r.want("response(1/0 x)>[2] set", types.StableCheckpoint{Epoch: 0}, from(2, Request{ID: first}))
	r.want("", types.StableCheckpoint{Epoch: 1}, from(2, Request{ID: first}))
	r.want("response(1/1 y)>[2]", from(2, Request{ID: second}))
	r.feed(types.StableCheckpoint{Epoch: 100})
	r.want("response(1/2 z)>[2]", from(2, Request{ID: idOf(1, 2, "z")})) // not ordered
	if got := r.a.Stats().NotHeld; got != 1 || r.a.Held() != 1 || len(r.records) != 1 {
		t.Errorf("%d requests not answered, %d batches and %d records held, want 1 each", got, r.a.Held(), len(r.records))
	}
}

func TestTheOtherBatchOfAUsedNumberIsFreedAtOnce(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.feed(sent(3, 0, "y"), need(idOf(3, 0, "x"), 1, 2))
	r.feed(from(1, answer(idOf(3, 0, "x"), "x")), used(idOf(3, 0, "x"), 0))
	r.want("", from(1, Request{ID: idOf(3, 0, "y")}))
	r.want("response(3/0 x)>[1]", from(1, Request{ID: idOf(3, 0, "x")}))
	if c := r.a.creators[3]; c.bytes != 0 {
		t.Errorf("%d bytes are counted as held, want none", c.bytes)
	}
}

func TestVerifyCertRejects(t *testing.T) {
	m, c := quorum.Equal(4), crypto.NewSimulated(1, 0, 16)
	id := idOf(1, 5, "x")
	if err := VerifyCert(m, c, cert(id, 2, 3)); err != nil {
		t.Fatal(err)
	}
	change := func(f func(*types.Certificate)) types.Certificate {
		out := cert(id, 2, 3)
		f(&out)
		return out
	}
	for name, bad := range map[string]types.Certificate{
		"one signature":   cert(id, 2),
		"another number":  change(func(c *types.Certificate) { c.No++ }),
		"another creator": change(func(c *types.Certificate) { c.Creator = 2 }),
		"another digest":  change(func(c *types.Certificate) { c.Batch[0]++ }),
		"a stranger's":    cert(BatchID{Creator: 4, No: 5, Digest: id.Digest}, 2, 3),
	} {
		if VerifyCert(m, c, bad) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestMessagesOfOtherModulesAreCounted(t *testing.T) {
	r := newRig(t, config(0, 4))
	r.want("", from(1, types.Flush{}), from(0, Request{}))
	if got := r.a.Stats().Misaddressed; got != 2 {
		t.Errorf("%d messages counted, want 2", got)
	}
}

func TestValidateNamesTheBadSetting(t *testing.T) {
	for setting, spoil := range map[string]func(*Config){
		"Members":         func(c *Config) { c.Members = quorum.Membership{} },
		"ConfigDelay":     func(c *Config) { c.ConfigDelay = 0 },
		"BatchBytesMax":   func(c *Config) { c.BatchBytesMax = 0 },
		"WindowSize":      func(c *Config) { c.WindowSize = types.MaxWindow + 1 },
		"HeldBytesMax":    func(c *Config) { c.HeldBytesMax = c.BatchBytesMax - 1 },
		"StoringBytesMax": func(c *Config) { c.StoringBytesMax = -1 },
		"Buckets":         func(c *Config) { c.Buckets = -1 },
		"BucketGrace":     func(c *Config) { c.BucketGrace = -1 },
		"KeepEpochs":      func(c *Config) { c.KeepEpochs = -1 },
		"RetryAfter":      func(c *Config) { c.RetryAfter = 0 },
	} {
		cfg := config(0, 4)
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("bad %s: error %v", setting, err)
		}
	}
}

func messages() []types.WireMessage {
	id := idOf(3, 7, "x")
	return []types.WireMessage{
		Batch{No: 7, Epoch: 3, Data: []byte("data")}, ack(1, id), Request{ID: id}, Response{ID: id, Data: []byte("x")},
	}
}

func TestMessagesKeepTheirContent(t *testing.T) {
	codec := &types.Codec{}
	RegisterMessages(codec)
	for _, m := range messages() {
		b, err := codec.Encode(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		back, err := codec.Decode(b)
		if err != nil || !reflect.DeepEqual(back, mir.Message(m)) {
			t.Errorf("%s: got %v (error %v), want %v", m.EventName(), back, err, m)
		}
	}
}

// FuzzDecode: whatever decodes encodes to the same bytes, and no module panics on it.
func FuzzDecode(f *testing.F) {
	codec := &types.Codec{}
	RegisterMessages(codec)
	for _, m := range append(messages(), Batch{No: 1}, Batch{Data: dataOf(1, "x")}, Batch{Epoch: 1, Data: dataOf(1, "x")}) {
		b, err := codec.Encode(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := codec.Decode(b)
		if err != nil {
			return
		}
		if back, err := codec.Encode(nil, m); err != nil || !bytes.Equal(back, b) {
			t.Errorf("%x decodes and encodes to %x (error %v)", b, back, err)
		}
		r := newRig(t, config(0, 4))
		r.feed(own("x"), need(idOf(3, 7, "x"), 1, 2), from(1, m), r.begun(1), from(1, m), tick{}, tick{})
	})
}

// Without buckets any creator's batch of any epoch is acknowledged, and none is
// voided for its age.
func TestWithoutBucketsABatchIsOfNoEpoch(t *testing.T) {
	cfg := config(0, 4)
	cfg.Buckets = 0
	r := newRig(t, cfg)
	r.feed(own("x"))
	for e := types.Epoch(1); e <= 3; e++ {
		r.feed(r.begun(e))
	}
	r.want("ack(0)>[1]", from(1, Batch{No: 0, Epoch: 0, Data: dataOf(2, "anybody's")}))
	if got := r.a.Stats(); got.Voided != 0 || got.WrongEpoch != 0 || got.ForeignBuckets != 0 {
		t.Errorf("stats %+v", got)
	}
}
