package availability

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	self mir.ModuleID = iota + 1
	net
	timer
	ordering
	delivery
)

func config(node types.NodeID, n int) Config {
	return Config{
		Self: self, Net: net, Timer: timer, Ordering: ordering, Delivery: delivery,
		Node: node, Members: quorum.Equal(n), Crypto: crypto.NewSimulated(1, node, n),
		BatchBytesMax: 16, WindowSize: 4, KeepEpochs: 1, RetryAfter: time.Second,
	}
}

func feed(a *Availability, bodies ...mir.Body) []mir.Event {
	var out mir.Out
	for _, body := range bodies {
		a.Apply(mir.Event{To: self, Body: body}, &out)
	}
	return out.Events()
}

// transcript feeds events and describes what comes out.
func transcript(t *testing.T, a *Availability, bodies ...mir.Body) string {
	t.Helper()
	var lines []string
	for _, ev := range feed(a, bodies...) {
		lines = append(lines, describe(t, ev))
	}
	return strings.Join(lines, " ")
}

func describe(t *testing.T, ev mir.Event) string {
	t.Helper()
	switch e := ev.Body.(type) {
	case mir.Send:
		return fmt.Sprintf("%s>%v", describeMessage(t, e.Msg), e.To)
	case mir.SetTimer:
		return fmt.Sprintf("set%d", e.ID.N)
	case mir.CancelTimer:
		return fmt.Sprintf("cancel%d", e.ID.N)
	case types.CertReady:
		var signers []types.NodeID
		for _, s := range e.Cert.Sigs {
			signers = append(signers, s.Signer)
		}
		return fmt.Sprintf("cert(%d by %v)", e.Cert.No, signers)
	case types.BatchData:
		if types.HashBatch(e.Data) != e.Batch {
			t.Errorf("data %q is not of digest %s", e.Data, e.Batch)
		}
		return fmt.Sprintf("data(%s)", e.Data)
	}
	t.Fatalf("unexpected %s", ev.Body.EventName())
	return ""
}

func describeMessage(t *testing.T, msg mir.Message) string {
	t.Helper()
	switch m := msg.(type) {
	case Batch:
		return fmt.Sprintf("batch(%d %s)", m.No, m.Data)
	case Ack:
		return fmt.Sprintf("ack(%d)", m.No)
	case Request:
		return fmt.Sprintf("request(%d/%d)", m.ID.Creator, m.ID.No)
	case Response:
		return fmt.Sprintf("response(%d/%d %s)", m.ID.Creator, m.ID.No, m.Data)
	}
	t.Fatalf("unexpected %s", msg.EventName())
	return ""
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func from(node types.NodeID, msg mir.Message) mir.Received {
	return mir.Received{From: node, Msg: msg}
}

func own(data string) types.NewBatch { return types.NewBatch{Data: []byte(data)} }

func batch(no types.BatchNo, data string) Batch { return Batch{No: no, Data: []byte(data)} }

func batchID(creator types.NodeID, no types.BatchNo, data string) BatchID {
	return BatchID{Creator: creator, No: no, Digest: types.HashBatch([]byte(data))}
}

// ack is node's acknowledgement among n replicas.
func ack(node types.NodeID, n int, id BatchID) Ack {
	return Ack{No: id.No, Batch: id.Digest, Sig: crypto.NewSimulated(1, node, n).Sign(AckDomain, signedAck(id))}
}

func cert(id BatchID, n int, signers ...types.NodeID) types.Certificate {
	c := types.Certificate{Creator: id.Creator, No: id.No, Batch: id.Digest}
	for _, s := range signers {
		c.Sigs = append(c.Sigs, types.Signature{Signer: s, Sig: ack(s, n, id).Sig})
	}
	return c
}

func used(id BatchID, epoch types.Epoch) types.BatchUsed {
	return types.BatchUsed{Batch: id.Digest, Epoch: epoch, Creator: id.Creator, No: id.No}
}

func TestCertificateHasSignaturesOfMoreThanF(t *testing.T) {
	a := New(config(2, 7)) // f = 2: three signatures, one's own included
	id := batchID(2, 0, "x")
	want(t, transcript(t, a, own("x")), "batch(0 x)>[0 1 3 4 5 6] set0")
	want(t, transcript(t, a, from(5, ack(5, 7, id)), from(5, ack(5, 7, id))), "")
	events := feed(a, from(0, ack(0, 7, id)), from(1, ack(1, 7, id)))
	if len(events) != 2 {
		t.Fatalf("got %v, want a certificate, a cancelled timer and nothing for the last", events)
	}
	want(t, describe(t, events[0])+" "+describe(t, events[1]), "cert(0 by [0 2 5]) cancel0")
	c := events[0].Body.(types.CertReady).Cert
	if err := VerifyCert(quorum.Equal(7), crypto.NewSimulated(1, 6, 7), c); err != nil {
		t.Error(err)
	}
}

func TestASingleReplicaCertifiesAlone(t *testing.T) {
	want(t, transcript(t, New(config(0, 1)), own("x")), "cert(0 by [0])")
}

func TestBadAcksDoNotCount(t *testing.T) {
	a := New(config(0, 4))
	id := batchID(0, 0, "x")
	other := ack(1, 4, batchID(0, 0, "y"))
	ofAnotherCreator := ack(1, 4, batchID(1, 0, "x"))
	ofAnotherSigner := ack(2, 4, id)
	feed(a, own("x"))
	want(t, transcript(t, a, from(1, other), from(1, ofAnotherCreator), from(1, ofAnotherSigner), from(9, ack(1, 4, id))), "")
	if got := a.Stats().BadAcks; got != 3 {
		t.Errorf("%d bad acknowledgements counted, want 3", got)
	}
	want(t, transcript(t, a, from(1, ack(1, 4, id))), "cert(0 by [0 1]) cancel0")
}

func TestUncertifiedBatchIsSentAgainToTheSilent(t *testing.T) {
	a := New(config(0, 7))
	feed(a, own("x"), from(3, ack(3, 7, batchID(0, 0, "x"))))
	want(t, transcript(t, a, retransmit{no: 0}), "batch(0 x)>[1 2 4 5 6] set0")
	feed(a, from(4, ack(4, 7, batchID(0, 0, "x"))))
	want(t, transcript(t, a, retransmit{no: 0}), "")
}

func TestOwnBatchesBeyondTheWindowWait(t *testing.T) {
	a := New(config(0, 1))
	for i := range 4 {
		feed(a, own(fmt.Sprint(i)))
	}
	want(t, transcript(t, a, own("4"), own("5")), "")
	want(t, transcript(t, a, used(batchID(0, 1, "1"), 0)), "")
	want(t, transcript(t, a, used(batchID(0, 0, "0"), 0)), "cert(4 by [0]) cert(5 by [0])")
}

func TestReceiverAcknowledgesOneBatchForANumber(t *testing.T) {
	a := New(config(0, 4))
	want(t, transcript(t, a, from(3, batch(1, "x"))), "ack(1)>[3]")
	want(t, transcript(t, a, from(3, batch(1, "x"))), "ack(1)>[3]")
	want(t, transcript(t, a, from(3, batch(1, "y"))), "")
	want(t, transcript(t, a, from(2, batch(1, "y"))), "ack(1)>[2]")
	if got := a.Stats().Equivocations; got != 1 {
		t.Errorf("%d equivocations counted, want 1", got)
	}
}

func TestReceiverRefusesBeyondItsLimits(t *testing.T) {
	a := New(config(0, 4))
	feed(a, from(1, batch(0, "first")), used(batchID(1, 0, "first"), 0))
	want(t, transcript(t, a, from(1, batch(5, "x"))), "") // the window is 1 to 4
	want(t, transcript(t, a, from(1, batch(0, "first"))), "")
	want(t, transcript(t, a, from(1, batch(1, ""))), "")
	want(t, transcript(t, a, from(1, batch(1, "seventeen bytes!!"))), "")
	want(t, transcript(t, a, from(4, batch(0, "stranger"))), "")
	want(t, transcript(t, a, from(1, batch(4, "sixteen bytes!!!"))), "ack(4)>[1]")
	if got, want := a.Stats(), (Stats{BadSize: 2, OutsideWindow: 2, Misaddressed: 1}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestAFloodingCreatorFillsItsWindowOnly(t *testing.T) {
	a := New(config(0, 4))
	for no := range types.BatchNo(1000) {
		feed(a, from(1, batch(no, "x")), from(1, batch(no, "y")))
	}
	if len(a.store) != 4 {
		t.Errorf("%d batches are held, want 4", len(a.store))
	}
	want(t, transcript(t, a, from(2, batch(0, "x"))), "ack(0)>[2]")
}

func TestNeededBatchIsAnsweredAtOnceWhenHeld(t *testing.T) {
	a := New(config(0, 4))
	feed(a, from(3, batch(0, "x")))
	want(t, transcript(t, a, types.NeedBatch{Cert: cert(batchID(3, 0, "x"), 4, 1, 2)}), "data(x)")
}

func TestMissingBatchIsFetchedFromOneSignerAfterTheOther(t *testing.T) {
	a := New(config(0, 7))
	id := batchID(3, 0, "x")
	need := types.NeedBatch{Cert: cert(id, 7, 0, 2, 5)}
	want(t, transcript(t, a, need, need), "request(3/0)>[2] set1")
	want(t, transcript(t, a, retryFetch{id: id}), "request(3/0)>[5] set1")
	want(t, transcript(t, a, retryFetch{id: id}), "request(3/0)>[2] set1")
	want(t, transcript(t, a, from(5, Response{ID: id, Data: []byte("x")})), "cancel1 data(x)")
	want(t, transcript(t, a, retryFetch{id: id}, from(2, Response{ID: id, Data: []byte("x")})), "")
	want(t, transcript(t, a, from(6, Request{ID: id})), "response(3/0 x)>[6]")
}

func TestMissingBatchMayStillComeFromItsCreator(t *testing.T) {
	a := New(config(0, 4))
	feed(a, types.NeedBatch{Cert: cert(batchID(3, 0, "x"), 4, 1, 2)})
	want(t, transcript(t, a, from(3, batch(0, "x"))), "ack(0)>[3] cancel1 data(x)")
}

func TestBadResponsesAreIgnored(t *testing.T) {
	a := New(config(0, 4))
	id := batchID(3, 0, "x")
	feed(a, types.NeedBatch{Cert: cert(id, 4, 1, 2)})
	want(t, transcript(t, a,
		from(2, Response{ID: id, Data: []byte("x")}), // not asked yet
		from(1, Response{ID: id, Data: []byte("y")}),
		from(1, Response{ID: batchID(3, 1, "x"), Data: []byte("x")})), "")
	if got := a.Stats().BadResponses; got != 2 {
		t.Errorf("%d bad responses counted, want 2", got)
	}
	want(t, transcript(t, a, from(1, Response{ID: id, Data: []byte("x")})), "cancel1 data(x)")
}

func TestBatchOutlivesItsCheckpointByKeepEpochs(t *testing.T) {
	a := New(config(0, 4))
	first, second := batchID(1, 0, "x"), batchID(1, 1, "y")
	feed(a, from(1, batch(0, "x")), from(1, batch(1, "y")), from(1, batch(2, "z")), used(first, 0), used(second, 1))
	want(t, transcript(t, a, types.StableCheckpoint{Epoch: 0}, from(2, Request{ID: first})), "response(1/0 x)>[2]")
	want(t, transcript(t, a, types.StableCheckpoint{Epoch: 1}, from(2, Request{ID: first})), "")
	want(t, transcript(t, a, from(2, Request{ID: second})), "response(1/1 y)>[2]")
	feed(a, types.StableCheckpoint{Epoch: 100})
	want(t, transcript(t, a, from(2, Request{ID: batchID(1, 2, "z")})), "response(1/2 z)>[2]") // not ordered
	if got := a.Stats().NotHeld; got != 1 || len(a.store) != 1 {
		t.Errorf("%d requests not answered and %d batches held, want 1 and 1", got, len(a.store))
	}
}

func TestTheOtherBatchOfAUsedNumberIsFreedAtOnce(t *testing.T) {
	a := New(config(0, 4))
	feed(a, from(3, batch(0, "y")), types.NeedBatch{Cert: cert(batchID(3, 0, "x"), 4, 1, 2)})
	feed(a, from(1, Response{ID: batchID(3, 0, "x"), Data: []byte("x")}), used(batchID(3, 0, "x"), 0))
	want(t, transcript(t, a, from(1, Request{ID: batchID(3, 0, "y")})), "")
	want(t, transcript(t, a, from(1, Request{ID: batchID(3, 0, "x")})), "response(3/0 x)>[1]")
}

func TestNothingIsFetchedOnceItIsUsed(t *testing.T) {
	a := New(config(0, 4))
	id := batchID(3, 0, "x")
	feed(a, types.NeedBatch{Cert: cert(id, 4, 1, 2)})
	want(t, transcript(t, a, used(id, 0), retryFetch{id: id}), "cancel1")
}

func TestVerifyCertRejects(t *testing.T) {
	m, c := quorum.Equal(4), crypto.NewSimulated(1, 0, 4)
	id := batchID(1, 5, "x")
	if err := VerifyCert(m, c, cert(id, 4, 2, 3)); err != nil {
		t.Fatal(err)
	}
	change := func(f func(*types.Certificate)) types.Certificate {
		out := cert(id, 4, 2, 3)
		f(&out)
		return out
	}
	for name, bad := range map[string]types.Certificate{
		"one signature":   cert(id, 4, 2),
		"another number":  change(func(c *types.Certificate) { c.No++ }),
		"another creator": change(func(c *types.Certificate) { c.Creator = 2 }),
		"another digest":  change(func(c *types.Certificate) { c.Batch[0]++ }),
		"a stranger's":    cert(BatchID{Creator: 4, No: 5, Digest: id.Digest}, 4, 2, 3),
	} {
		if VerifyCert(m, c, bad) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestMessagesOfOtherModulesAreCounted(t *testing.T) {
	a := New(config(0, 4))
	want(t, transcript(t, a, from(1, mir.Received{})), "")
	if got := a.Stats().Misaddressed; got != 1 {
		t.Errorf("%d messages counted, want 1", got)
	}
}

func TestValidateNamesTheBadSetting(t *testing.T) {
	for setting, spoil := range map[string]func(*Config){
		"member":        func(c *Config) { c.Node = 4 },
		"BatchBytesMax": func(c *Config) { c.BatchBytesMax = 0 },
		"WindowSize":    func(c *Config) { c.WindowSize = types.MaxWindow + 1 },
		"KeepEpochs":    func(c *Config) { c.KeepEpochs = -1 },
		"RetryAfter":    func(c *Config) { c.RetryAfter = 0 },
	} {
		cfg := config(0, 4)
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("bad %s: error %v", setting, err)
		}
	}
}

func messages() []types.WireMessage {
	id := batchID(3, 7, "x")
	return []types.WireMessage{
		batch(7, "data"), ack(1, 4, id), Request{ID: id}, Response{ID: id, Data: []byte("x")},
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
	for _, m := range messages() {
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
		a := New(config(0, 4))
		feed(a, own("x"), types.NeedBatch{Cert: cert(batchID(3, 7, "x"), 4, 1, 2)}, from(1, m))
	})
}
