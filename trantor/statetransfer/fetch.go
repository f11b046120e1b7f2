package statetransfer

import (
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// patienceMax is for how many whole ticks a server is waited for at most: a list
// or a chunk may take as many RetryAfter to come here.
const patienceMax = 4

// order is whose turn it is among the servers. It outlives a transfer: where the
// checkpoints come faster than a silent server is found out, transfers that all
// began with the same servers would all end with them.
type order struct {
	turn     int
	failed   map[types.NodeID]bool // Have no turn until all have failed.
	patience int                   // How many whole ticks a server has to answer. Invariant: 1 to patienceMax.
}

// fetch is a snapshot on its way here.
type fetch struct {
	checkpoint types.StableCheckpoint
	servers    []types.NodeID // Those that signed, without this replica.

	listAsked *request // Nil where nobody is asked for the list.
	list      []types.Digest
	holder    types.NodeID // Who gave the list: it has the snapshot, and keeps it for this replica.
	data      []byte
	missing   int
	next      uint32   // Chunks from here on were never asked for.
	again     []uint32 // To be asked for again.
	requested map[uint32]request

	ticks, idle int // Since the beginning, and since the last progress.
}

// request is the list, or a chunk, that was asked for.
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
	f := &fetch{checkpoint: s, requested: map[uint32]request{}}
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

// nextServer is whose turn it is: those that failed have none until all have. All of
// them then have more time than before, which may have been too little.
func (t *StateTransfer) nextServer() types.NodeID {
	if !t.anyLeft() {
		t.patience = min(2*t.patience, patienceMax)
		clear(t.failed)
	}
	for {
		id := t.fetch.servers[t.turn%len(t.fetch.servers)]
		t.turn++
		if !t.failed[id] {
			return id
		}
	}
}

// anyLeft tells whether a server has not failed.
func (t *StateTransfer) anyLeft() bool {
	return slices.ContainsFunc(t.fetch.servers, func(id types.NodeID) bool { return !t.failed[id] })
}

// late tells whether a server had its time for an answer.
func (t *StateTransfer) late(r request) bool { return t.fetch.ticks-r.tick > t.patience }

func (t *StateTransfer) askList(out *mir.Out) {
	f := t.fetch
	f.listAsked = &request{from: t.nextServer(), tick: f.ticks}
	t.send(f.listAsked.from, GetList{Epoch: f.checkpoint.Epoch}, out)
}

func (t *StateTransfer) onList(from types.NodeID, m List, out *mir.Out) {
	f := t.fetch
	if f == nil || m.Epoch != f.checkpoint.Epoch || f.listAsked == nil || from != f.listAsked.from {
		t.stats.Unasked++
		return
	}
	f.listAsked = nil
	chunks := (m.Bytes + types.SnapshotChunkBytes - 1) / types.SnapshotChunkBytes
	if m.Bytes == 0 || m.Bytes > types.SnapshotBytesMax || chunks != uint64(len(m.Chunks)) ||
		types.ChunkListDigest(m.Bytes, m.Chunks) != f.checkpoint.Digest {
		t.stats.BadLists++
		t.failed[from] = true
		if t.anyLeft() { // Otherwise the next tick is early enough.
			t.askList(out)
		}
		return
	}
	f.idle, f.holder = 0, from
	f.list, f.data, f.missing = m.Chunks, make([]byte, m.Bytes), int(chunks)
	t.askChunks(out)
}

// askChunks keeps ChunksInFlightMax requests on their way. The servers have their
// turns, but the first chunk, which may be the only one, and those that others
// failed to give are asked of who gave the list: the others may be past the snapshot.
func (t *StateTransfer) askChunks(out *mir.Out) {
	f := t.fetch
	for len(f.requested) < t.cfg.ChunksInFlightMax {
		var index uint32
		sure := true
		switch {
		case len(f.again) > 0:
			index = f.again[0]
			f.again = f.again[1:]
		case int(f.next) < len(f.list):
			index = f.next
			sure = index == 0
			f.next++
		default:
			return
		}
		id := f.holder
		if !sure || t.failed[id] {
			id = t.nextServer()
		}
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
		t.failed[from] = true
		f.again = append(f.again, m.Index)
		if t.anyLeft() { // Otherwise the next tick is early enough.
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

// retry gives what got no answer in time to other servers, or begins with a later
// checkpoint where this one leads nowhere: nobody gave the list, or not even who
// gave that a chunk which another one had failed to give.
func (t *StateTransfer) retry(out *mir.Out) {
	f := t.fetch
	f.ticks++
	f.idle++
	listFailed := f.list == nil && (f.listAsked == nil || t.late(*f.listAsked))
	if listFailed && f.listAsked != nil {
		t.failed[f.listAsked.from] = true
	}
	for _, index := range slices.Sorted(maps.Keys(f.requested)) {
		if r := f.requested[index]; t.late(r) {
			t.failed[r.from] = true
			delete(f.requested, index)
			f.again = append(f.again, index)
		}
	}
	switch {
	case t.stable.Epoch > f.checkpoint.Epoch && (listFailed || f.idle >= 2*(t.patience+1)):
		t.stats.Overtaken++
		t.fetch = nil
		t.start(out)
	case listFailed:
		t.askList(out)
	case f.list != nil:
		t.askChunks(out)
	}
}
