package delivery

import (
	"bytes"
	"testing"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/types"
)

func ordered() Config {
	cfg := config()
	cfg.ClientOrder = true
	return cfg
}

func TestClientOrderHoldsBackWhatComesTooEarly(t *testing.T) {
	h := newHarness(t, ordered())
	a, b := batchOf(1, 2, 2, 0, 1, 1, 1, 4), batchOf(1, 0, 1, 2)
	h.feed(h.slot(cert(0, 0, a)), h.slot(cert(1, 0, b)))
	h.want("tx(2/0 at 0) progress(1/2,2/0,1/1,1/4|) used(0/0 in 0)", arrive(a))
	h.want("tx(1/0 at 1) tx(1/1 at 1) tx(1/2 at 1) progress(1/0|1/2) used(1/0 in 0)", arrive(b))
	if len(h.d.kept.txs) != 1 || h.d.kept.bytes != keptBytesMin || h.d.Stats().Txs != 4 {
		t.Errorf("%d transactions wait, %d bytes, %d are delivered", len(h.d.kept.txs), h.d.kept.bytes, h.d.Stats().Txs)
	}
}

// Without room a transaction is dropped: it can be ordered again later.
func TestWhatIsHeldBackIsBounded(t *testing.T) {
	h := newHarness(t, ordered())
	a, b := batchOf(1, 1, 1, 2, 1, 3, 1, 4, 1, 5, 1, 6), batchOf(1, 0, 1, 6)
	h.feed(h.slot(cert(0, 0, a)), h.slot(cert(1, 0, b)))
	h.want("progress(1/1,1/2,1/3,1/4,1/5|1/6) used(0/0 in 0)", arrive(a))
	h.want("tx(1/0 at 1) tx(1/1 at 1) tx(1/2 at 1) tx(1/3 at 1) tx(1/4 at 1) tx(1/5 at 1) tx(1/6 at 1) "+
		"progress(1/0,1/6|) used(1/0 in 0)", arrive(b))
	if got := h.d.Stats().KeptFullTxs; got != 1 {
		t.Errorf("%d transactions found no room, want 1", got)
	}
}

// Nor does it take a place among the clients.
func TestAClientWithNothingDeliveredHasNoPlace(t *testing.T) {
	cfg := ordered()
	cfg.ClientsMax, cfg.KeptBytesMax = 1, keptBytesMin-1
	h := newHarness(t, cfg)
	a := batchOf(1, 1, 2, 0, 3, 0)
	h.feed(h.slot(cert(0, 0, a)))
	h.want("tx(2/0 at 0) progress(2/0|1/1,3/0) used(0/0 in 0)", arrive(a))
	if s := h.d.Stats(); s.Clients != 1 || s.KeptFullTxs != 1 || s.StrangerTxs != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestSnapshotHasWhatIsHeldBack(t *testing.T) {
	old := newHarness(t, ordered())
	a, b := batchOf(1, 1), batchOf(1, 0)
	old.feed(old.slot(cert(0, 0, a)), arrive(a))
	s := old.end()
	cfg := ordered()
	cfg.App = &app.Chain{}
	fresh := newHarness(t, cfg)
	if _, err := fresh.d.Restore(0, s.Data); err != nil {
		t.Fatal(err)
	}
	fresh.next = old.next
	for _, h := range []*harness{old, fresh} {
		h.feed(h.slot(cert(1, 0, b)))
		h.want("tx(1/0 at 1) tx(1/1 at 1) progress(1/0|) used(1/0 in 1)", arrive(b))
	}
	if x, y := old.end().Data, fresh.end().Data; !bytes.Equal(x, y) {
		t.Error("states differ")
	}
}

// Votes of members have no order among them.
func TestVotesAreNotHeldBack(t *testing.T) {
	p := newPolls(t, func(c *Config) { c.ClientOrder = true })
	p.txs = 5
	p.wantVote(0, 1, fifth, types.ReconfigResult{Status: types.ReconfigCounted})
}
