package statetransfer

import (
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// idleTicksMax is for how many ticks a transfer may bring nothing before it goes
// on with a later checkpoint.
const idleTicksMax = 3

// fetch is a snapshot on its way here.
type fetch struct {
	checkpoint types.StableCheckpoint
	servers    []types.NodeID // Those that signed, without this replica.
	turn       int            // Of the next server.
	failed     map[types.NodeID]bool

	listFrom  types.NodeID // Who was asked for the list last.
	list      []types.Digest
	data      []byte
	missing   int
	next      uint32   // Chunks from here on were never asked for.
	again     []uint32 // To be asked for again.
	requested map[uint32]request

	ticks, idle int // Since the beginning, and since the last progress.
}

// request is a chunk that was asked for.
type request struct {
	from types.NodeID
	tick int
}

// start fetches the latest stable checkpoint's snapshot, or takes the one that
// this replica holds: it may have made it before a restart.
func (t *StateTransfer) start(out *mir.Out) {
	s := *t.stable
	if h := t.server.find(s.Epoch); h != nil {
		t.install(s, h.data, out)
		return
	}
	f := &fetch{checkpoint: s, failed: map[types.NodeID]bool{}, requested: map[uint32]request{}, turn: int(t.cfg.Node)}
	for _, sig := range s.Sigs {
		if sig.Signer != t.cfg.Node {
			f.servers = append(f.servers, sig.Signer)
		}
	}
	if len(f.servers) == 0 {
		return // This replica alone is a quorum: nobody else has what it lost.
	}
	t.stats.Started++
	t.fetch = f
	t.askList(out)
	t.arm(out)
}

// server is whose turn it is: those that failed have none until all have.
func (f *fetch) server() types.NodeID {
	if len(f.failed) == len(f.servers) {
		clear(f.failed)
	}
	for {
		id := f.servers[f.turn%len(f.servers)]
		f.turn++
		if !f.failed[id] {
			return id
		}
	}
}

func (t *StateTransfer) askList(out *mir.Out) {
	t.fetch.listFrom = t.fetch.server()
	t.send(t.fetch.listFrom, GetList{Epoch: t.fetch.checkpoint.Epoch}, out)
}

func (t *StateTransfer) onList(from types.NodeID, m List, out *mir.Out) {
	f := t.fetch
	if f == nil || m.Epoch != f.checkpoint.Epoch || f.list != nil || from != f.listFrom {
		t.stats.Unasked++
		return
	}
	chunks := (m.Bytes + types.SnapshotChunkBytes - 1) / types.SnapshotChunkBytes
	if m.Bytes == 0 || m.Bytes > types.SnapshotBytesMax || chunks != uint64(len(m.Chunks)) ||
		types.ChunkListDigest(m.Bytes, m.Chunks) != f.checkpoint.Digest {
		t.stats.BadLists++
		f.failed[from] = true
		if len(f.failed) < len(f.servers) { // Otherwise the next tick is early enough.
			t.askList(out)
		}
		return
	}
	f.idle = 0
	f.list, f.data, f.missing = m.Chunks, make([]byte, m.Bytes), int(chunks)
	t.askChunks(out)
}

// askChunks keeps ChunksInFlightMax requests on their way.
func (t *StateTransfer) askChunks(out *mir.Out) {
	f := t.fetch
	for len(f.requested) < t.cfg.ChunksInFlightMax {
		var index uint32
		switch {
		case len(f.again) > 0:
			index = f.again[0]
			f.again = f.again[1:]
		case int(f.next) < len(f.list):
			index = f.next
			f.next++
		default:
			return
		}
		id := f.server()
		f.requested[index] = request{from: id, tick: f.ticks}
		t.send(id, GetChunk{Epoch: f.checkpoint.Epoch, Index: index}, out)
	}
}

func (t *StateTransfer) onChunk(from types.NodeID, m Chunk, out *mir.Out) {
	f := t.fetch
	if f == nil || m.Epoch != f.checkpoint.Epoch {
		t.stats.Unasked++
		return
	}
	if r, asked := f.requested[m.Index]; !asked || r.from != from {
		t.stats.Unasked++
		return
	}
	delete(f.requested, m.Index)
	at := int(m.Index) * types.SnapshotChunkBytes
	room := f.data[at:min(len(f.data), at+types.SnapshotChunkBytes)]
	if len(m.Data) != len(room) || types.Digest(sha256.Sum256(m.Data)) != f.list[m.Index] {
		t.stats.BadChunks++
		f.failed[from] = true
		f.again = append(f.again, m.Index)
		if len(f.failed) < len(f.servers) { // Otherwise the next tick is early enough.
			t.askChunks(out)
		}
		return
	}
	copy(room, m.Data)
	f.idle = 0
	f.missing--
	if f.missing > 0 {
		t.askChunks(out)
		return
	}
	t.fetch = nil
	t.install(f.checkpoint, f.data, out)
}

func (t *StateTransfer) install(s types.StableCheckpoint, data []byte, out *mir.Out) {
	t.stats.Installed++
	install := types.InstallSnapshot{Checkpoint: s, Data: data}
	out.Emit(t.cfg.Checkpoint, install)
	out.Emit(t.cfg.Delivery, install)
}

// retry gives what got no answer in a whole tick to other servers, or begins
// with a later checkpoint where this one leads nowhere.
func (t *StateTransfer) retry(out *mir.Out) {
	f := t.fetch
	if t.stable.Epoch > f.checkpoint.Epoch && (f.list == nil || f.idle >= idleTicksMax) {
		t.stats.Overtaken++
		t.fetch = nil
		t.start(out)
		return
	}
	if f.list == nil {
		f.failed[f.listFrom] = true
		t.askList(out)
	}
	for _, index := range slices.Sorted(maps.Keys(f.requested)) {
		if r := f.requested[index]; r.tick < f.ticks {
			f.failed[r.from] = true
			delete(f.requested, index)
			f.again = append(f.again, index)
		}
	}
	f.ticks++
	f.idle++
	if f.list != nil {
		t.askChunks(out)
	}
}
