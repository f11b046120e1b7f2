package replica

import (
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// The configuration's client is open to everybody, and the table of clients is
// full.
func TestJunkAndInventedClientsDoNotKeepVotesOut(t *testing.T) {
	const clients = 5 // As many as load has.
	l := newLasting(t, 8, types.EqualConfiguration(4), func(p *Params) { p.ClientsMax = clients })
	l.load(50, 500*time.Millisecond)
	l.settle(upTo[int](4)...)
	for node, life := range l.lives {
		if got := life.replica.Stats().Delivery.Txs; got < 50 {
			t.Fatalf("replica %d delivered %d: the table of clients may have room", node, got)
		}
		for no := range types.TxNo(8) {
			junk := types.Tx{TxID: types.TxID{Client: types.ConfigClient, No: no}, Payload: []byte("junk")}
			l.sim.Inject(types.NodeID(node), mir.Event{To: life.replica.IDs.Mempool, Body: types.Submit{Tx: junk}})
		}
	}
	l.run(time.Second)
	l.vote(types.Member{Node: 3, Weight: 2}, 0, 1, 2)
	l.loadUntil("the votes count", func() bool { return l.lives[0].weight(3) == 2 })
	l.settle(upTo[int](4)...)
}
