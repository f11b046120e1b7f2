package availability

import (
	"bytes"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// onBatch stores a peer's batch and acknowledges it.
func (a *Availability) onBatch(from types.NodeID, m Batch, out *mir.Out) {
	c := a.creators[from]
	if len(m.Data) > a.cfg.BatchBytesMax {
		a.stats.BadSize++
		return
	}
	if c.used.Has(uint64(m.No)) || !c.used.InReach(uint64(m.No)) {
		a.stats.OutsideWindow++
		return
	}
	e := c.batches[m.No]
	switch {
	case len(m.Data) == 0:
		a.onVoid(from, m.No, out)
	case e != nil && e.held.data != nil:
		a.onRepeated(from, m, e, out)
	case a.mayHold(from, m):
		a.hold(from, m, out)
	}
}

// onVoid acknowledges the empty batch. There is nothing to hold, and so nothing
// to make durable.
func (a *Availability) onVoid(from types.NodeID, no types.BatchNo, out *mir.Out) {
	e := a.creators[from].entry(no)
	if e.void == nil {
		e.void = a.cfg.Crypto.Sign(AckDomain, signedAck(BatchID{Creator: from, No: no, Digest: types.VoidDigest}))
	}
	a.send([]types.NodeID{from}, Ack{No: no, Batch: types.VoidDigest, Sig: e.void}, out)
}

// onRepeated answers a batch that is held already, once it is durable: until then
// the answer is on its way.
func (a *Availability) onRepeated(from types.NodeID, m Batch, e *entry, out *mir.Out) {
	switch {
	case !bytes.Equal(m.Data, e.held.data):
		a.stats.Equivocations++
	case e.held.durable:
		a.acknowledge(from, m.No, &e.held, out)
	}
}

// mayHold tells whether a new batch is within the creator's bounds and buckets.
// One of an epoch that is about to begin is put aside.
func (a *Availability) mayHold(from types.NodeID, m Batch) bool {
	c := a.creators[from]
	leaders, known := a.leaders[m.Epoch]
	switch {
	case c.bytes+len(m.Data) > a.cfg.HeldBytesMax:
		a.stats.HeldFull++
	case c.storing > 0 && c.storing+len(m.Data) > a.storingShare():
		a.stats.StoringFull++
	case a.cfg.Buckets == 0:
		return a.acceptable(from, m, nil)
	case !known && (m.Epoch == a.epoch || m.Epoch == a.epoch+1):
		a.putAside(c, m)
	case !known || a.tooOld(m.Epoch):
		a.stats.WrongEpoch++
	default:
		return a.acceptable(from, m, leaders)
	}
	return false
}

// putAside keeps a batch until its epoch begins here. Its creator will send it
// again if there is no room.
func (a *Availability) putAside(c *creator, m Batch) {
	if len(c.early) >= EarlyMax {
		a.stats.EarlyFull++
		return
	}
	c.early = append(c.early, m)
}

// acceptable tells whether all transactions of a batch are their creator's to
// order, in the epoch in which it was made, and those of types.ConfigClient votes.
// Both are answers that all correct replicas come to, so that a correct creator's
// batch is refused by those only that are yet to learn of a configuration, and its
// creator sends it again.
func (a *Availability) acceptable(from types.NodeID, m Batch, leaders []types.NodeID) bool {
	txs, err := types.DecodeBatch(m.Data)
	if err != nil {
		a.stats.Malformed++
		return false
	}
	for _, tx := range txs {
		if a.cfg.Buckets > 0 && types.BucketOwner(types.BucketOf(tx.Client, a.cfg.Buckets), m.Epoch, leaders) != from {
			a.stats.ForeignBuckets++
			return false
		}
		if tx.Client == types.ConfigClient && (a.creators[from].doubted || !a.isVote(tx.Payload)) {
			a.stats.BadVotes++
			a.creators[from].doubted = true
			return false
		}
	}
	return true
}

func (a *Availability) isVote(payload []byte) bool {
	return a.cfg.CheckVote != nil && a.cfg.CheckVote(payload, a.schedule.Last().Members.Slots()) == nil
}

// storingShare is how many bytes of one creator may be on their way to the disk,
// beside a first batch of any size.
func (a *Availability) storingShare() int { return a.cfg.StoringBytesMax / len(a.creators) }

// stored is what the store answers when a peer's batch is durable.
type stored struct {
	id    BatchID
	bytes int
}

func (stored) EventName() string { return "availability.Stored" }

// hold stores a batch and makes it durable.
func (a *Availability) hold(from types.NodeID, m Batch, out *mir.Out) {
	id := BatchID{Creator: from, No: m.No, Digest: types.HashBatch(m.Data)}
	c := a.creators[from]
	c.hold(m.No, heldBatch{digest: id.Digest, data: m.Data, epoch: m.Epoch})
	c.storing += len(m.Data)
	out.Emit(a.cfg.Store, types.Persist{
		Puts: []types.Record{recordOf(id, m.Epoch, m.Data)},
		Then: []mir.Event{{To: a.cfg.Self, Body: stored{id: id, bytes: len(m.Data)}}},
	})
	a.arrived(id, m.Data, out)
}

// onStored acknowledges a batch that is durable, unless it was dropped meanwhile:
// then its number is used up.
func (a *Availability) onStored(e stored, out *mir.Out) {
	c := a.creators[e.id.Creator]
	c.storing -= e.bytes
	if b := c.batches[e.id.No]; b != nil && b.held.digest == e.id.Digest {
		b.held.durable = true
		a.acknowledge(e.id.Creator, e.id.No, &b.held, out)
	}
}

func (a *Availability) acknowledge(to types.NodeID, no types.BatchNo, b *heldBatch, out *mir.Out) {
	if b.ack == nil {
		b.ack = a.cfg.Crypto.Sign(AckDomain, signedAck(BatchID{Creator: to, No: no, Digest: b.digest}))
	}
	a.send([]types.NodeID{to}, Ack{No: no, Batch: b.digest, Sig: b.ack}, out)
}

// takeEarly looks again at the batches that were put aside.
func (a *Availability) takeEarly(out *mir.Out) {
	for id, c := range a.creators {
		early := c.early
		c.early = nil
		for _, m := range early {
			a.onBatch(types.NodeID(id), m, out)
		}
	}
}
