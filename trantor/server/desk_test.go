package server

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/types"
)

// newTestDesk is a desk whose node has stopped.
func newTestDesk(t *testing.T) (*desk, *session) {
	t.Helper()
	d := newDesk(DefaultLimits(), 1, 16, func(context.Context, ...mir.Event) error { return mir.ErrStopped })
	s, err := d.open(func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	return d, s
}

func testTx(no int) types.Tx { return types.Tx{TxID: types.TxID{Client: 1, No: types.TxNo(no)}} }

func TestWhatTheNodeDoesNotTakeLeavesNothingBehind(t *testing.T) {
	d, s := newTestDesk(t)
	txs, err := d.take(t.Context(), s, wire.Request{Submit: []types.Tx{testTx(0), testTx(1)}})
	if err != nil || len(d.asked) != 2 {
		t.Fatalf("submitters of %v (%v)", d.asked, err)
	}
	if err := d.submit(t.Context(), s, txs); !errors.Is(err, mir.ErrStopped) {
		t.Errorf("submitting to a node that has stopped: %v", err)
	}
	d.close(s)
	if len(d.asked) != 0 || len(d.waiting) != 0 || len(d.sessions) != 0 {
		t.Errorf("left behind: %v, %v, %v", d.asked, d.waiting, d.sessions)
	}
	d.onResult(types.SubmitResult{ID: testTx(0).TxID}) // It was taken all the same.
}

// TestTransactionsCountWithTheirBytes: the node's input is bounded in bytes too.
func TestTransactionsCountWithTheirBytes(t *testing.T) {
	var got mir.Event
	d := newDesk(DefaultLimits(), 1, 16, func(_ context.Context, events ...mir.Event) error {
		got = events[0]
		return nil
	})
	tx := testTx(0)
	tx.Payload = make([]byte, 1000)
	if err := d.submit(t.Context(), nil, []types.Tx{tx}); err != nil {
		t.Fatal(err)
	}
	want := mir.Event{To: 1, Body: types.Submit{Tx: tx}}.Sized(types.EncodedTxBytes(tx))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestWhatWasDeliveredLongAgoIsToldToWhoeverAsks: a replica that has restarted, or
// has forgotten the result, says so, also to whoever only watches and would wait
// for ever.
func TestWhatWasDeliveredLongAgoIsToldToWhoeverAsks(t *testing.T) {
	d, s := newTestDesk(t)
	w := types.NewWindow(16)
	w.Add(0)
	d.onRestored(types.Restored{Clients: map[types.ClientID]*types.Window{1: w}})
	w.Add(1) // The windows of whoever restored are their own.
	_, err := d.take(t.Context(), s, wire.Request{Submit: []types.Tx{testTx(0)}, Watch: []types.TxID{testTx(0).TxID, testTx(1).TxID}})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.answers) != 2 || s.answers[0].Code != wire.Forgotten || s.answers[1].Code != wire.Forgotten {
		t.Errorf("answers %+v, want that transaction 0 is forgotten, twice", s.answers)
	}
	d.onDelivered(types.Delivered{Tx: testTx(1)})
	d.recent = newRecent(1, 1)
	if a, ok := d.answerOf(testTx(1).TxID); !ok || a.Code != wire.Forgotten {
		t.Errorf("after the delivery: %+v, %v", a, ok)
	}
}
