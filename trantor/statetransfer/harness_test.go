package statetransfer

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

const (
	selfModule mir.ModuleID = 1 + iota
	netModule
	timerModule
	deliveryModule
	checkpointModule
)

const (
	configDelay = 3
	fetcher     = types.NodeID(3)
)

// world is the modules of replicas 0 to 2, which hold snapshots, and of replica
// 3, which is behind. Messages arrive in order and at once, ticks come when
// nothing is on its way.
type world struct {
	t        *testing.T
	modules  []*StateTransfer
	timers   []map[uint64]mir.Event
	packets  []packet
	slow     []packet // Answers on their way, where they take delay ticks.
	delay    int
	ticks    int
	spoil    func(p packet) mir.Message // What arrives instead; nil for nothing.
	executed types.Executed             // Of the fetcher.
	behind   []types.NodeID             // Peers that a server reported.
	trace    bytes.Buffer
	installs []types.InstallSnapshot
}

type packet struct {
	from, to types.NodeID
	msg      mir.Message
	due      int // Of a slow one.
}

func newWorld(t *testing.T) *world {
	w := &world{t: t}
	for id := range types.NodeID(4) {
		w.modules = append(w.modules, New(config(id)))
		w.timers = append(w.timers, map[uint64]mir.Event{})
	}
	return w
}

func config(id types.NodeID) Config {
	return Config{
		Node: id, Self: selfModule, Net: netModule, Timer: timerModule, Delivery: deliveryModule, Checkpoint: checkpointModule,
		ConfigDelay: configDelay, CatchUpAfter: 2 * time.Second, RetryAfter: time.Second, ChunksInFlightMax: 4, ServeChunksMax: 64,
	}
}

// snapshot is the state of an epoch, of a number of bytes.
func snapshot(e types.Epoch, size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i/types.SnapshotChunkBytes) + byte(i) + byte(e)
	}
	return data
}

func stable(e types.Epoch, data []byte) types.StableCheckpoint {
	s := types.StableCheckpoint{Epoch: e, Digest: types.SnapshotDigest(data)}
	for id := range types.NodeID(3) {
		s.Sigs = append(s.Sigs, types.Signature{Signer: id})
	}
	return s
}

// checkpoint makes an epoch stable, and its snapshot held by the three servers.
func (w *world) checkpoint(e types.Epoch, data []byte) {
	for id := range types.NodeID(4) {
		w.input(id, stable(e, data))
		if id != fetcher {
			w.input(id, types.HeldSnapshot{Checkpoint: stable(e, data), Data: data})
			w.input(id, types.EpochConfig{Epoch: e + configDelay})
		}
	}
}

func (w *world) input(id types.NodeID, body mir.Body) {
	var out mir.Out
	w.modules[id].Apply(mir.Event{To: selfModule, Body: body}, &out)
	for _, ev := range out.Events() {
		switch e := ev.Body.(type) {
		case mir.Send:
			w.send(id, e)
		case mir.SetTimer:
			w.timers[id][e.ID.N] = e.Fire
		case mir.CancelTimer:
			delete(w.timers[id], e.ID.N)
		case types.AskExecuted:
			w.input(id, w.executed)
		case types.PeerBehind:
			w.behind = append(w.behind, e.Peer)
		case types.InstallSnapshot:
			if ev.To == deliveryModule {
				fmt.Fprintf(&w.trace, "install epoch %d\n", e.Checkpoint.Epoch)
				w.installs = append(w.installs, e)
				w.input(id, types.Restored{Epoch: e.Checkpoint.Epoch})
			}
		}
	}
}

func (w *world) send(from types.NodeID, e mir.Send) {
	for _, to := range e.To {
		p := packet{from: from, to: to, msg: e.Msg, due: w.ticks + w.delay}
		if from != fetcher && w.delay > 0 {
			w.slow = append(w.slow, p)
		} else {
			w.packets = append(w.packets, p)
		}
	}
}

// deliver carries all messages, and those that follow.
func (w *world) deliver() {
	for len(w.packets) > 0 {
		w.deliverOne()
	}
}

func (w *world) deliverOne() {
	p := w.packets[0]
	w.packets = w.packets[1:]
	if w.spoil != nil {
		p.msg = w.spoil(p)
	}
	if p.msg == nil {
		fmt.Fprintf(&w.trace, "%d -> %d: lost\n", p.from, p.to)
		return
	}
	fmt.Fprintf(&w.trace, "%d -> %d: %s\n", p.from, p.to, describe(p.msg))
	w.input(p.to, mir.Received{From: p.from, Msg: p.msg})
}

// fire lets a timer go off, if it is set.
func (w *world) fire(id types.NodeID, timer uint64) {
	if ev, ok := w.timers[id][timer]; ok {
		delete(w.timers[id], timer)
		fmt.Fprintf(&w.trace, "%d: %s\n", id, ev.Body.EventName())
		w.input(id, ev.Body)
	}
}

// tick fires every replica's tick. Then arrives what is due.
func (w *world) tick() {
	w.ticks++
	for id := range types.NodeID(4) {
		w.fire(id, tickTimer)
	}
	for len(w.slow) > 0 && w.slow[0].due <= w.ticks {
		w.packets = append(w.packets, w.slow[0])
		w.slow = w.slow[1:]
	}
}

// catchUp lets the fetcher see that it makes no progress.
func (w *world) catchUp() {
	w.fire(fetcher, watchTimer)
	w.deliver()
}

// run ticks until something is installed.
func (w *world) run(ticksMax int) {
	w.t.Helper()
	w.deliver()
	for range ticksMax {
		if len(w.installs) > 0 {
			return
		}
		w.tick()
		w.deliver()
	}
	if len(w.installs) == 0 {
		w.t.Fatalf("nothing was installed in %d ticks: %+v", ticksMax, w.modules[fetcher].Stats())
	}
}

func (w *world) wantInstalled(e types.Epoch, data []byte) {
	w.t.Helper()
	if len(w.installs) != 1 || w.installs[0].Checkpoint.Epoch != e || !bytes.Equal(w.installs[0].Data, data) {
		w.t.Errorf("%d snapshots installed, want that of epoch %d", len(w.installs), e)
	}
}

func describe(m mir.Message) string {
	switch m := m.(type) {
	case GetList:
		return fmt.Sprintf("GET-LIST %d", m.Epoch)
	case List:
		return fmt.Sprintf("LIST %d of %d chunks, %d bytes", m.Epoch, len(m.Chunks), m.Bytes)
	case GetChunk:
		return fmt.Sprintf("GET-CHUNK %d/%d", m.Epoch, m.Index)
	case Chunk:
		return fmt.Sprintf("CHUNK %d/%d, %d bytes", m.Epoch, m.Index, len(m.Data))
	}
	return m.EventName()
}
