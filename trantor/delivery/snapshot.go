package delivery

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/perfgate/perfgate/trantor/types"
)

// A snapshot is the state after a prefix of the log:
//
//	next position, number of replicas, a window of batch numbers for each,
//	number of clients, for each in ascending order its ID and its window,
//	the application's snapshot.
//
// Equal states give equal bytes, so that replicas can sign its digest.

// appendLogState appends what follows from the log without executing it.
func (d *Delivery) appendLogState(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.next))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(d.creators)))
	for _, window := range d.creators {
		dst = window.AppendWire(dst)
	}
	return dst
}

// appendExecutedState appends what follows from executing the log.
func (d *Delivery) appendExecutedState(dst []byte) []byte {
	ids := slices.Sorted(maps.Keys(d.clients))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(ids)))
	for _, id := range ids {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(id))
		dst = d.clients[id].AppendWire(dst)
	}
	return types.AppendBytes(dst, d.cfg.App.Snapshot())
}

// Restore replaces the state by that of a snapshot, forgets what is queued, and
// expects the position after the snapshot next. After an error the state is as
// before.
func (d *Delivery) Restore(snapshot []byte) error {
	r := types.NewReader(snapshot)
	next := types.SeqNr(r.U64())
	if n := r.Count(len(d.creators), types.WindowWireBytesMin); n != len(d.creators) {
		r.Fail(fmt.Errorf("%d replicas, want %d", n, len(d.creators)))
	}
	creators := make([]*types.Window, len(d.creators))
	for i := range creators {
		creators[i] = types.ReadWindow(r, d.cfg.BatchWindow)
	}
	clients := d.readClients(r)
	state := r.Bytes(len(snapshot))
	if err := r.Close(); err != nil {
		return fmt.Errorf("delivery snapshot: %w", err)
	}
	if err := d.cfg.App.Restore(state); err != nil {
		return fmt.Errorf("delivery snapshot: %w", err)
	}
	d.next, d.creators, d.clients = next, creators, clients
	d.queue, d.requested, d.behind = nil, 0, false
	clear(d.waiting)
	return nil
}

func (d *Delivery) readClients(r *types.Reader) map[types.ClientID]*types.Window {
	n := r.Count(d.cfg.ClientsMax, 8+types.WindowWireBytesMin)
	clients := make(map[types.ClientID]*types.Window, n)
	last := types.ClientID(0)
	for i := range n {
		id := types.ClientID(r.U64())
		if i > 0 && id <= last {
			r.Fail(fmt.Errorf("client %d after %d", id, last))
		}
		if r.Err() != nil {
			return clients
		}
		clients[id] = types.ReadWindow(r, d.cfg.ClientWindow)
		last = id
	}
	return clients
}
