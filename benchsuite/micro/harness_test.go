package micro

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// Module IDs of everything that is driven here. A module under test is self.
const (
	self mir.ModuleID = 1 + iota
	netModule
	timerModule
	orderingModule
	availabilityModule
	deliveryModule
	mempoolModule
	checkpointModule
	resultsModule
	storeModule
	transferModule
)

// payloadBytes is the suite's usual size of a transaction.
const payloadBytes = 256

// encodedTxBytes is what a transaction of the usual size takes in a batch.
const encodedTxBytes = types.TxHeaderBytes + payloadBytes

// transactions makes count transactions of clients 0 to clients-1 in turn, each
// client's numbered from 0, of the usual size.
func transactions(count, clients int) []types.Tx {
	payload := pattern(payloadBytes)
	txs := make([]types.Tx, count)
	for i := range txs {
		id := types.TxID{Client: types.ClientID(i % clients), No: types.TxNo(i / clients)}
		txs[i] = types.Tx{TxID: id, Payload: payload}
	}
	return txs
}

// renumber gives the transactions of an encoded batch, all of the usual size
// and of one client, the numbers from first on. It stands in for encoding a new
// batch, at a nanosecond or so for each transaction.
func renumber(batch []byte, first uint64) {
	for at := types.BatchHeaderBytes; at < len(batch); at += encodedTxBytes {
		binary.LittleEndian.PutUint64(batch[at+8:], first)
		first++
	}
}

// pattern is n bytes that are not all alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// digest is a digest that is different for each number.
func digest(no uint64) (d types.Digest) {
	binary.LittleEndian.PutUint64(d[:], no)
	return d
}

// simulated is the crypto of n replicas.
func simulated(n int) []crypto.Crypto {
	all := make([]crypto.Crypto, n)
	for i := range all {
		all[i] = crypto.NewSimulated(1, types.NodeID(i), n)
	}
	return all
}

// group drives one module on each of n replicas: messages arrive in the order
// in which they were sent, without being encoded, and a replica handles each
// input to completion. It allocates one event for each message sent and
// nothing else, once its queues have grown.
type group struct {
	nodes []mir.Module
	// sink gets what is for neither the network, the timer, the store nor self.
	sink func(node int, ev mir.Event)

	packets []packet
	head    int
	local   []mir.Event
	out     mir.Out
	timers  []mir.Event // By replica: what the timer that was set last will fire.
}

type packet struct {
	to int
	ev mir.Event
}

func newGroup(nodes []mir.Module, sink func(node int, ev mir.Event)) *group {
	return &group{nodes: nodes, sink: sink, timers: make([]mir.Event, len(nodes))}
}

// input gives an event to a replica and carries it to its end there.
func (g *group) input(node int, ev mir.Event) {
	g.local = append(g.local[:0], ev)
	for at := 0; at < len(g.local); at++ {
		g.nodes[node].Apply(g.local[at], &g.out)
		for _, emitted := range g.out.Events() {
			g.emitted(node, emitted)
		}
		g.out.Reset()
	}
}

func (g *group) emitted(node int, ev mir.Event) {
	switch body := ev.Body.(type) {
	case mir.Send:
		received := mir.Event{To: body.Dest, Sub: body.Sub, Body: mir.Received{From: types.NodeID(node), Msg: body.Msg}}
		for _, to := range body.To {
			g.packets = append(g.packets, packet{to: int(to), ev: received})
		}
	case mir.SetTimer:
		g.timers[node] = body.Fire
	case mir.CancelTimer:
		g.timers[node] = mir.Event{}
	case types.Persist: // Nothing is durable here.
		for _, then := range body.Then {
			g.emitted(node, then)
		}
	default:
		if ev.To == self {
			g.local = append(g.local, ev)
			return
		}
		g.sink(node, ev)
	}
}

// run delivers all that is in flight and all that follows.
func (g *group) run() {
	for g.head < len(g.packets) {
		p := g.packets[g.head]
		g.head++
		g.input(p.to, p.ev)
	}
	clear(g.packets)
	g.packets, g.head = g.packets[:0], 0
}

// fire lets a replica's timer go off.
func (g *group) fire(b *testing.B, node int) {
	ev := g.timers[node]
	if ev.Body == nil {
		b.Fatalf("replica %d has no timer set", node)
	}
	g.timers[node] = mir.Event{}
	g.input(node, ev)
}

// replicas is the name of a sub-benchmark for n replicas.
func replicas(n int) string { return fmt.Sprintf("n=%d", n) }

// want fails the benchmark where a count is not what the operations make it.
func want(b *testing.B, what string, got, want int) {
	b.Helper()
	if got != want {
		b.Fatalf("%d %s, want %d", got, what, want)
	}
}

// discard is where benchmarks of a single module put what it emits.
type discard struct {
	out mir.Out
}

// apply gives ev to m and tells how many events it emitted.
func (d *discard) apply(m mir.Module, ev mir.Event) int {
	d.out.Reset()
	m.Apply(ev, &d.out)
	return len(d.out.Events())
}

// last is the last event emitted.
func (d *discard) last() mir.Event {
	events := d.out.Events()
	return events[len(events)-1]
}
