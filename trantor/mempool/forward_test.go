package mempool

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// begun begins an epoch that four replicas lead.
func begun(e types.Epoch) types.EpochBegun {
	return types.EpochBegun{Epoch: e, Leaders: quorum.Equal(4).Nodes()}
}

// owned are the first clients whose bucket is a leader's in epoch 0.
func owned(owner types.NodeID, n int) (clients []uint64) {
	for client := uint64(0); len(clients) < n; client++ {
		if types.BucketOwner(types.BucketOf(types.ClientID(client), buckets), 0, begun(0).Leaders) == owner {
			clients = append(clients, client)
		}
	}
	return clients
}

// four is replica 0 of four, with room for many clients.
func four() Config {
	cfg := config()
	cfg.ClientsMax = 100
	cfg.BatchTxsMax = 8 // A message is full with two.
	return cfg
}

func started(t *testing.T, cfg Config) *Mempool {
	m := New(cfg)
	feed(t, m, begun(0))
	return m
}

// forward is a message as a peer sends it.
func forward(from types.NodeID, submits ...types.Submit) mir.Received {
	var txs []types.Tx
	for _, s := range submits {
		txs = append(txs, s.Tx)
	}
	return mir.Received{From: from, Msg: Forward{Data: types.EncodeBatch(txs)}}
}

func TestForwardAndRotate(t *testing.T) {
	cfg := four()
	m := New(cfg)
	own, next := owned(0, 1)[0], owned(1, 1)[0]
	var trace strings.Builder
	step := func(what string, bodies ...mir.Body) {
		fmt.Fprintf(&trace, "> %s\n", what)
		for _, word := range strings.Fields(feed(t, m, bodies...)) {
			fmt.Fprintln(&trace, word)
		}
	}
	step("submit before any epoch", submit(own, 0, 1), submit(next, 0, 1))
	step("epoch 0 begins", begun(0))
	step("submit", submit(next, 1, 1), submit(own, 1, 1), submit(next, 2, 1))
	step("messages time out", forwardTimeout{})
	step("submit", submit(next, 3, 1), submit(own, 2, 1))
	step("epoch 1 begins", begun(1))
	step("messages time out", forwardTimeout{})
	step("some are delivered", delivered(id(next, 1)))
	step("epoch 2 begins", begun(2))
	step("epoch 3 begins", begun(3))
	step("batch times out", batchTimeout{batch: 1})
	step("all is delivered", delivered(id(next, 0), id(next, 2), id(next, 3), id(own, 0), id(own, 1), id(own, 2)))
	step("tick", tick{})
	golden.Check(t, t.Name(), fmt.Sprintf(`Replica 0 leads the bucket of client %d in epoch 0 and that of client %d in epoch 3, replica 1
the latter in epoch 0. Nothing goes out before the first epoch begins. In each epoch a bucket
moves to the next leader: client %d's transactions go to 1, those of the message that epoch 1
interrupts to 2, and what is not delivered when a whole epoch has passed is sent again in
epoch 2, to 3. In epoch 3 what is left of epoch 1 is for replica 0 itself. The batch being
filled when epoch 1 begins is closed.`, own, next, next), []byte(trace.String()))
	if len(m.pending) != 0 || m.pendingBytes != 0 || m.here != 0 {
		t.Errorf("%d pending of %d bytes, %d away, want none", len(m.pending), m.pendingBytes, m.here)
	}
}

func TestAMessageClosesOnCountAndBytes(t *testing.T) {
	m := started(t, four())
	next := owned(1, 1)[0]
	name := func(no int) string { return fmt.Sprintf("%d/%d", next, no) }
	want(t, feed(t, m, submit(next, 0, 1)), "accept("+name(0)+") setforward settick")
	want(t, feed(t, m, submit(next, 1, 1)), "accept("+name(1)+") forward("+name(0)+","+name(1)+")>[1]")
	// 4 + (20+100) + (20+57) is more than 200.
	want(t, feed(t, m, submit(next, 2, 100), submit(next, 3, 57)), "accept("+name(2)+") accept("+name(3)+") forward("+name(2)+")>[1]")
	want(t, feed(t, m, types.Flush{}), "forward("+name(3)+")>[1]")
}

func TestAMessageGoesAtOnceWhereNothingIsOnItsWayToThatLeader(t *testing.T) {
	cfg := four()
	cfg.CloseWhenIdle = true
	m := started(t, cfg)
	one, two := owned(1, 1)[0], owned(2, 1)[0]
	want(t, feed(t, m, submit(one, 0, 1)), fmt.Sprintf("accept(%d/0) setforward forward(%d/0)>[1] settick", one, one))
	want(t, feed(t, m, submit(one, 1, 1)), fmt.Sprintf("accept(%d/1)", one))
	want(t, feed(t, m, submit(two, 0, 1)), fmt.Sprintf("accept(%d/0) forward(%d/0)>[2]", two, two))
	want(t, feed(t, m, delivered(id(one, 0))), fmt.Sprintf("forward(%d/1)>[1]", one))
}

func TestForwardedTransactionsAreBatchedWithoutAResult(t *testing.T) {
	cfg := four()
	cfg.CloseWhenIdle = true
	m := started(t, cfg)
	own := owned(0, 2)
	want(t, feed(t, m, forward(2, submit(own[0], 0, 1), submit(own[1], 0, 1), submit(own[0], 1, 1), submit(own[0], 0, 1))),
		fmt.Sprintf("set cancel batch(%d/0,%d/0,%d/1)", own[0], own[1], own[0]))
	if got := m.Stats(); got.Refused != 1 || m.peerBytes[2] != 63 {
		t.Errorf("stats %+v and %d bytes of replica 2, want one duplicate and 63", got, m.peerBytes[2])
	}
	feed(t, m, delivered(id(own[0], 0), id(own[1], 0), id(own[0], 1)))
	if m.peerBytes[2] != 0 || len(m.clients) != 2 {
		t.Errorf("%d bytes of replica 2 and %d clients, want none and 2", m.peerBytes[2], len(m.clients))
	}
}

func TestATransactionThatArrivesAfterItsBucketMovedIsForwardedOn(t *testing.T) {
	cfg := four()
	cfg.CloseWhenIdle = true
	m := started(t, cfg)
	one := owned(1, 1)[0]
	want(t, feed(t, m, forward(2, submit(one, 0, 1))), fmt.Sprintf("setforward forward(%d/0)>[1] settick", one))
	want(t, feed(t, m, forward(3, submit(one, 0, 1))), "") // Here already: there are no circles.
}

func TestAFloodingPeerFillsItsShareOnly(t *testing.T) {
	m := started(t, four()) // ForwardedBytesMax is 250 of 1000.
	own := owned(0, 50)
	for _, client := range own {
		feed(t, m, forward(1, submit(client, 0, 40)))
	}
	if got := m.Stats().ShareFull; m.peerBytes[1] != 240 || got != 46 || len(m.clients) != 0 {
		t.Errorf("%d bytes of replica 1, %d refused, %d clients known; want 240, 46 and 0", m.peerBytes[1], got, len(m.clients))
	}
	want(t, feed(t, m, forward(2, submit(own[49], 0, 40)), submit(own[48], 0, 40)), fmt.Sprintf("accept(%d/0)", own[48]))
	for _, msg := range []mir.Received{
		{From: 1, Msg: Forward{Data: []byte("no batch")}}, {From: 4, Msg: forward(1, submit(1, 1, 1)).Msg},
		{From: 0, Msg: forward(1, submit(1, 1, 1)).Msg}, {From: 1, Msg: types.Flush{}}, forward(1, submit(1, 8, 1)),
	} {
		want(t, feed(t, m, msg), "")
	}
	if got := m.Stats(); got.Malformed != 1 || got.Misaddressed != 3 || got.Refused != 1 {
		t.Errorf("stats %+v, want one malformed, three misaddressed and one out of its window", got)
	}
}

func TestAClientMaySubmitWhatAPeerForwarded(t *testing.T) {
	m := started(t, four())
	own := owned(0, 1)[0]
	feed(t, m, forward(1, submit(own, 0, 40)))
	want(t, feed(t, m, submit(own, 0, 40), submit(own, 0, 40)), fmt.Sprintf("accept(%d/0) refuse(%d/0)", own, own))
	if m.peerBytes[1] != 0 || m.pendingBytes != 60 {
		t.Errorf("%d bytes of replica 1 and %d in all, want 0 and 60", m.peerBytes[1], m.pendingBytes)
	}
}

func TestWhatStaysAwayIsSentAgainAndTheEpochShallEnd(t *testing.T) {
	m := started(t, four())
	one := owned(1, 1)[0]
	feed(t, m, submit(one, 0, 1), submit(one, 1, 1))
	want(t, feed(t, m, tick{}), "settick") // It may have been sent a moment ago.
	again := fmt.Sprintf("forward(%d/0,%d/1)", one, one)
	want(t, feed(t, m, tick{}), again+">[1] want(0) settick")
	want(t, feed(t, m, tick{}, tick{}), "settick "+again+">[1] settick") // Asked once in an epoch.
	want(t, feed(t, m, begun(1)), again+">[2]")                          // No whole epoch has to pass now.
	want(t, feed(t, m, begun(2)), "")
	if got := m.Stats(); got.Forwarded != 8 || got.Reforwarded != 6 {
		t.Errorf("stats %+v, want 8 forwarded, 6 of them again", got)
	}
}

func TestOneLeaderGetsNoMoreThanReforwardMaxAgain(t *testing.T) {
	cfg := four()
	cfg.PendingBytesMax, cfg.WindowSize = 1<<20, 1000
	m := started(t, cfg)
	one := owned(1, 1)[0]
	for no := range uint64(100) {
		feed(t, m, submit(one, no, 80))
	}
	feed(t, m, tick{})
	// 4 * 200 bytes are 8 transactions of 100, oldest first.
	out := feed(t, m, tick{})
	if got := strings.Count(out, "forward("); got != 8 || !strings.Contains(out, fmt.Sprintf("forward(%d/0)", one)) {
		t.Errorf("%d messages, want 8 from the first on: %s", got, out)
	}
	if len(m.away) != 100 || m.here != 100 {
		t.Errorf("%d are away, want 100", m.here)
	}
}

func TestTransactionsOfAVoidedBatchGoAnotherWay(t *testing.T) {
	m := started(t, four())
	own := owned(0, 1)[0]
	s := []types.Submit{submit(own, 0, 5), submit(own, 1, 5), submit(own, 2, 5)}
	feed(t, m, s[0], s[1], s[2], types.Flush{}, delivered(id(own, 1)), begun(1))
	data := types.EncodeBatch([]types.Tx{s[0].Tx, s[1].Tx, s[2].Tx})
	want(t, feed(t, m, types.BatchVoided{Data: data}, types.BatchVoided{Data: data}),
		fmt.Sprintf("setforward forward(%d/0,%d/2)>[1] settick", own, own))
	if m.batched != 0 || m.Stats().PutBack != 2 {
		t.Errorf("%d in batches and %d put back, want 0 and 2", m.batched, m.Stats().PutBack)
	}
	fresh := started(t, four()) // After a restart.
	want(t, feed(t, fresh, types.BatchVoided{Data: data}, types.Flush{}), fmt.Sprintf("set cancel batch(%d/0,%d/1,%d/2)", own, own, own))
}

func TestRestoredForgetsWhatIsDelivered(t *testing.T) {
	m := started(t, four())
	own, one := owned(0, 1)[0], owned(1, 1)[0]
	feed(t, m, submit(own, 0, 1), submit(own, 1, 1), submit(one, 0, 1))
	w := types.NewWindow(8)
	w.Add(0)
	state := types.Restored{Epoch: 3, Clients: map[types.ClientID]*types.Window{types.ClientID(own): w, types.ClientID(one): w}}
	want(t, feed(t, m, state, types.Flush{}), fmt.Sprintf("cancel batch(%d/1)", own))
	if len(m.pending) != 1 || m.here != 0 {
		t.Errorf("%d pending and %d away, want 1 and 0", len(m.pending), m.here)
	}
	w.Add(5) // Delivery goes on with its own copy.
	want(t, feed(t, m, submit(own, 0, 1), submit(own, 5, 1)), fmt.Sprintf("refuse(%d/0) accept(%d/5) set", own, own))
	after := New(four())
	if err := after.Recover(nil, &state); err != nil {
		t.Fatal(err)
	}
	want(t, feed(t, after, submit(own, 0, 1)), fmt.Sprintf("refuse(%d/0)", own))
	if after.Recover([]types.Record{{}}, nil) == nil {
		t.Error("a record of nobody was accepted")
	}
}

// The order of one client is the order in which it submitted, in what is
// batched, in what is forwarded, and at whom it is forwarded to.
func TestTheOrderOfAClientIsKept(t *testing.T) {
	origin, leader := four(), four()
	leader.Node, leader.ForwardedBytesMax = 1, 1000
	from, to := started(t, origin), started(t, leader)
	one, own := owned(1, 1)[0], owned(0, 1)[0]
	var got, batched []string
	pass := func(bodies ...mir.Body) {
		var out, then mir.Out
		for _, body := range bodies {
			from.Apply(mir.Event{To: self, Body: body}, &out)
		}
		for _, ev := range out.Events() {
			if send, ok := ev.Body.(mir.Send); ok {
				to.Apply(mir.Event{To: self, Body: mir.Received{From: 0, Msg: send.Msg}}, &then)
			}
			if b, ok := ev.Body.(types.NewBatch); ok {
				batched = append(batched, strings.Split(listed(t, b.Data), ",")...)
			}
		}
		to.Apply(mir.Event{To: self, Body: types.Flush{}}, &then)
		for _, ev := range then.Events() {
			if b, ok := ev.Body.(types.NewBatch); ok {
				got = append(got, strings.Split(listed(t, b.Data), ",")...)
			}
		}
	}
	const txs = 8
	for no := range uint64(txs) {
		pass(submit(one, no, int(no*13%100)), submit(own, no, 1))
	}
	pass(types.Flush{})
	for no := range txs {
		if len(got) != txs || got[no] != fmt.Sprintf("%d/%d", one, no) || batched[no] != fmt.Sprintf("%d/%d", own, no) {
			t.Fatalf("forwarded %v, batched %v", got, batched)
		}
	}
}

func TestMembersThatJoinMayForward(t *testing.T) {
	m := started(t, four())
	own := owned(0, 1)[0]
	feed(t, m, types.EpochConfig{Epoch: 3, Members: quorum.Equal(6)})
	feed(t, m, forward(5, submit(own, 0, 1)), begun(3))
	if m.Stats().Misaddressed != 0 || m.peerBytes[5] == 0 {
		t.Errorf("stats %+v, %d bytes of replica 5", m.Stats(), m.peerBytes[5])
	}
}

func TestForwardKeepsItsContent(t *testing.T) {
	codec := &types.Codec{}
	RegisterMessages(codec)
	msg := Forward{Data: types.EncodeBatch([]types.Tx{submit(1, 2, 3).Tx})}
	b, err := codec.Encode(nil, msg)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := codec.Decode(b); err != nil || !reflect.DeepEqual(back, mir.Message(msg)) {
		t.Errorf("got %v (error %v), want %v", back, err, msg)
	}
}

// FuzzForward: whatever decodes encodes to the same bytes, and no module panics on it.
func FuzzForward(f *testing.F) {
	codec := &types.Codec{}
	RegisterMessages(codec)
	for _, data := range [][]byte{nil, []byte("no batch"), types.EncodeBatch([]types.Tx{submit(1, 2, 3).Tx, submit(3, 0, 0).Tx})} {
		b, err := codec.Encode(nil, Forward{Data: data})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		msg, err := codec.Decode(b)
		if err != nil {
			return
		}
		if back, err := codec.Encode(nil, msg); err != nil || !bytes.Equal(back, b) {
			t.Errorf("%x decodes and encodes to %x (error %v)", b, back, err)
		}
		m := New(four())
		feed(t, m, mir.Received{From: 1, Msg: msg}, begun(0), mir.Received{From: 2, Msg: msg}, begun(1), types.Flush{})
	})
}
