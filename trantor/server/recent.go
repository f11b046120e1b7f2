package server

import (
	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/types"
)

// recent keeps the answers to the latest deliveries, for clients that ask after
// the fact: those that lost their connection, and those that watch a transaction
// which another replica was faster to order. It is bounded by entries and bytes,
// and the oldest go first.
type recent struct {
	entriesMax, bytesMax int

	byID  map[types.TxID]wire.Answer
	order []types.TxID // A ring: the oldest is at first.
	first int
	bytes int
}

func newRecent(entriesMax, bytesMax int) *recent {
	return &recent{
		entriesMax: entriesMax, bytesMax: bytesMax,
		byID: map[types.TxID]wire.Answer{}, order: make([]types.TxID, entriesMax),
	}
}

// add takes an answer. The first one to a transaction stays.
func (r *recent) add(a wire.Answer) {
	if _, ok := r.byID[a.ID]; ok {
		return
	}
	for len(r.byID) > 0 && (len(r.byID) == r.entriesMax || r.bytes+a.Bytes() > r.bytesMax) {
		oldest := r.order[r.first]
		r.bytes -= r.byID[oldest].Bytes()
		delete(r.byID, oldest)
		r.first = (r.first + 1) % r.entriesMax
	}
	r.order[(r.first+len(r.byID))%r.entriesMax] = a.ID
	r.byID[a.ID] = a
	r.bytes += a.Bytes()
}

func (r *recent) get(id types.TxID) (wire.Answer, bool) {
	a, ok := r.byID[id]
	return a, ok
}
