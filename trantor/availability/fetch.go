package availability

import (
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// fetch is a certified batch on its way here.
type fetch struct {
	id    BatchID
	order []types.NodeID // whom to ask, one after the other and around
	asked int            // requests sent so far
	seen  bool           // it was asked for before the last tick
}

// onNeedBatch hands delivery a batch, or begins to fetch it.
func (a *Availability) onNeedBatch(cert types.Certificate, out *mir.Out) {
	id := BatchID{Creator: cert.Creator, No: cert.No, Digest: cert.Batch}
	if data := a.find(id); data != nil {
		out.Emit(a.cfg.Delivery, types.BatchData{Batch: id.Digest, Data: data})
		return
	}
	if a.fetches[id] != nil {
		return
	}
	f := &fetch{id: id, order: a.askOrder(cert)}
	a.fetches[id] = f
	a.waiting = append(a.waiting, f)
	a.askWaiting(out)
}

// askOrder begins at another signer on each replica, and for each batch. The
// creator, which has sent its batch to everybody once, comes last. Where this
// replica was the only other signer and lost the batch, all others are asked:
// some may have fetched it from here.
func (a *Availability) askOrder(cert types.Certificate) []types.NodeID {
	var order []types.NodeID
	for _, s := range cert.Sigs {
		if s.Signer != a.cfg.Node && s.Signer != cert.Creator {
			order = append(order, s.Signer)
		}
	}
	if n := uint64(len(order)); n > 0 {
		first := (uint64(a.cfg.Node) + uint64(cert.No)) % n
		order = slices.Concat(order[first:], order[:first])
	}
	if cert.Creator != a.cfg.Node {
		order = append(order, cert.Creator)
	}
	if len(order) == 0 {
		order = slices.Clone(a.others)
	}
	return order
}

// askWaiting asks for further batches while there is room.
func (a *Availability) askWaiting(out *mir.Out) {
	n := 0
	for n < len(a.waiting) && len(a.asking) < FetchesMax {
		a.asking = append(a.asking, a.waiting[n])
		a.ask(a.waiting[n], out)
		n++
	}
	a.waiting = slices.Delete(a.waiting, 0, n)
}

// ask sends a request to the next in order, without end: one of them at least is
// correct and holds the batch.
func (a *Availability) ask(f *fetch, out *mir.Out) {
	if len(f.order) > 0 {
		a.send([]types.NodeID{f.order[f.asked%len(f.order)]}, Request{ID: f.id}, out)
		f.asked++
	}
}

// askAgain asks the next for what did not come within a tick.
func (a *Availability) askAgain(out *mir.Out) {
	for _, f := range a.asking {
		if f.seen {
			a.ask(f, out)
		}
		f.seen = true
	}
}

// onRequest answers from what is stored, as far as the peer's share goes.
func (a *Availability) onRequest(from types.NodeID, m Request, out *mir.Out) {
	data, p := a.find(m.ID), &a.peers[from]
	if data == nil {
		a.stats.NotHeld++
		return
	}
	if p.answered >= AnswerMax*a.cfg.BatchBytesMax {
		a.stats.Throttled++
		return
	}
	p.answered += max(len(data), answerBytesMin)
	a.spent = true
	a.send([]types.NodeID{from}, Response{ID: m.ID, Data: data}, out)
}

// onResponse takes a batch only from a replica that was asked for it, so that
// nobody can make this one hash at will.
func (a *Availability) onResponse(from types.NodeID, m Response, out *mir.Out) {
	f := a.fetches[m.ID]
	if f == nil {
		return // late: an earlier answer arrived
	}
	asked := f.order[:min(f.asked, len(f.order))]
	if !slices.Contains(asked, from) || types.HashBatch(m.Data) != m.ID.Digest {
		a.stats.BadResponses++
		return
	}
	a.creators[m.ID.Creator].entry(m.ID.No).fetched = heldBatch{digest: m.ID.Digest, data: m.Data}
	a.arrived(m.ID, m.Data, out)
}

// arrived hands delivery a batch that it waits for.
func (a *Availability) arrived(id BatchID, data []byte, out *mir.Out) {
	if a.fetches[id] == nil {
		return
	}
	a.endFetches(func(f *fetch) bool { return f.id == id }, out)
	out.Emit(a.cfg.Delivery, types.BatchData{Batch: id.Digest, Data: data})
}

// endFetches stops asking for what is moot.
func (a *Availability) endFetches(moot func(*fetch) bool, out *mir.Out) {
	end := func(f *fetch) bool {
		if !moot(f) {
			return false
		}
		delete(a.fetches, f.id)
		return true
	}
	a.asking = slices.DeleteFunc(a.asking, end)
	a.waiting = slices.DeleteFunc(a.waiting, end)
	a.askWaiting(out)
}
