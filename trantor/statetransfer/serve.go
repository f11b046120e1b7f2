package statetransfer

import (
	"maps"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// servedMax is how many snapshots are kept for peers: the latest, the one before,
// and others only while they are being fetched.
const servedMax = 4

// pinTicks is for how many ticks a request keeps its snapshot. Who gave the list is
// asked for chunks that others did not give: until then the list may be on its way
// for patienceMax+1 ticks, another server be waited for as long, and the request
// be on its way for no longer than the list was.
const pinTicks = 3 * (patienceMax + 1)

// served is a snapshot that peers may fetch.
type served struct {
	checkpoint types.StableCheckpoint
	data       []byte
	list       []types.Digest // Made when it is first asked for.
}

// pin is what a peer asked for last.
type pin struct {
	epoch types.Epoch
	ticks int // Since then.
}

// server is the serving side.
type server struct {
	held  []*served // Ascending by epoch.
	pins  map[types.NodeID]pin
	spent map[types.NodeID]int // Chunks since the last tick.
}

func newServer() server {
	return server{pins: map[types.NodeID]pin{}, spent: map[types.NodeID]int{}}
}

func (s *server) find(e types.Epoch) *served {
	for _, h := range s.held {
		if h.checkpoint.Epoch == e {
			return h
		}
	}
	return nil
}

// add takes the snapshot of a later checkpoint.
func (s *server) add(e types.HeldSnapshot) {
	if n := len(s.held); n > 0 && s.held[n-1].checkpoint.Epoch >= e.Checkpoint.Epoch {
		return
	}
	s.held = append(s.held, &served{checkpoint: e.Checkpoint, data: e.Data})
	s.forget()
}

// forget drops all but the latest two that nobody fetches, and the oldest where
// there are too many.
func (s *server) forget() {
	keep := max(0, len(s.held)-2)
	pinned := map[types.Epoch]bool{}
	for _, id := range slices.Sorted(maps.Keys(s.pins)) {
		pinned[s.pins[id].epoch] = true
	}
	kept := s.held[:0:0]
	for i, h := range s.held {
		if i >= keep || pinned[h.checkpoint.Epoch] && len(s.held)-i <= servedMax {
			kept = append(kept, h)
		}
	}
	s.held = kept
}

// refill begins a tick. It tells whether there is anything left to forget.
func (s *server) refill() bool {
	clear(s.spent)
	for _, id := range slices.Sorted(maps.Keys(s.pins)) {
		p := s.pins[id]
		if p.ticks++; p.ticks >= pinTicks {
			delete(s.pins, id)
		} else {
			s.pins[id] = p
		}
	}
	s.forget()
	return len(s.pins) > 0
}

// take finds what a peer asks for, pins it, and counts its cost in chunks.
func (t *StateTransfer) take(from types.NodeID, e types.Epoch, cost func(*served) int, out *mir.Out) *served {
	h := t.server.find(e)
	if h == nil {
		t.stats.NotHeld++
		if n := len(t.held); n > 0 && e < t.held[n-1].checkpoint.Epoch {
			out.Emit(t.cfg.Checkpoint, types.PeerBehind{Peer: from})
		}
		return nil
	}
	if t.spent[from]+cost(h) > t.cfg.ServeChunksMax {
		t.stats.OverBudget++
		return nil
	}
	t.spent[from] += cost(h)
	t.pins[from] = pin{epoch: e}
	t.arm(out)
	return h
}

// listCost is what a list of that many chunks counts for.
func listCost(chunks int) int { return 1 + chunks*len(types.Digest{})/types.SnapshotChunkBytes }

func (t *StateTransfer) onGetList(from types.NodeID, m GetList, out *mir.Out) {
	h := t.take(from, m.Epoch, func(h *served) int { return listCost(len(h.data) / types.SnapshotChunkBytes) }, out)
	if h == nil {
		return
	}
	if h.list == nil {
		h.list = types.ChunkDigests(h.data)
	}
	t.send(from, List{Epoch: m.Epoch, Bytes: uint64(len(h.data)), Chunks: h.list}, out)
}

func (t *StateTransfer) onGetChunk(from types.NodeID, m GetChunk, out *mir.Out) {
	h := t.take(from, m.Epoch, func(*served) int { return 1 }, out)
	if h == nil {
		return
	}
	at := uint64(m.Index) * types.SnapshotChunkBytes
	if at >= uint64(len(h.data)) {
		t.stats.Malformed++
		return
	}
	t.stats.Served++
	end := min(uint64(len(h.data)), at+types.SnapshotChunkBytes)
	t.send(from, Chunk{Epoch: m.Epoch, Index: m.Index, Data: h.data[at:end:end]}, out)
}
