package availability

import (
	"github.com/perfgate/perfgate/trantor/types"
)

// creator is what is known of one replica's batches.
type creator struct {
	used    *types.Window // numbers that are delivered
	batches map[types.BatchNo]*entry
	bytes   int // Invariant: of the batches held that are not used.
	storing int // Invariant: of the batches that the store has and that are not durable yet, used or not.
	early   []Batch
	// doubted: of its batches, one had a transaction that is no vote as far as this
	// replica knows. It looks at no other one of types.ConfigClient before it knows
	// of a later configuration: each would cost the verification of a signature.
	doubted bool
}

// entry is what is stored for a number of a creator.
type entry struct {
	// held is the one batch of the number that this replica acknowledged; its
	// data is nil if there is none.
	held heldBatch
	// fetched is another one, which is certified. Correct creators have none.
	fetched heldBatch
	// void is the acknowledgement of the empty batch, once it was given.
	void []byte
	// used: the number is delivered. What is left is the batch that was.
	used bool
}

type heldBatch struct {
	digest types.Digest
	data   []byte
	epoch  types.Epoch // in which it was made, for one that is held
	ack    []byte      // the signature, kept so that a repeated batch costs no second one
	// durable: it may be acknowledged. Own batches have that in their collection.
	durable bool
}

// usedBatch is a number that was delivered at epoch.
type usedBatch struct {
	creator types.NodeID
	no      types.BatchNo
	epoch   types.Epoch
}

func newCreator(windowSize int) *creator {
	return &creator{used: types.NewWindow(windowSize), batches: map[types.BatchNo]*entry{}}
}

// entry finds or makes the entry of a number.
func (c *creator) entry(no types.BatchNo) *entry {
	e := c.batches[no]
	if e == nil {
		e = &entry{}
		c.batches[no] = e
	}
	return e
}

// hold puts a batch in its place.
func (c *creator) hold(no types.BatchNo, b heldBatch) *entry {
	e := c.entry(no)
	e.held = b
	c.bytes += len(b.data)
	return e
}

// use takes a number and keeps the batch with that digest only, if it is here.
// It tells whether something is left.
func (c *creator) use(no types.BatchNo, digest types.Digest) bool {
	e := c.batches[no]
	if e == nil {
		return false
	}
	c.bytes -= len(e.held.data)
	if e.held.digest != digest || e.held.data == nil {
		e.held = e.fetched
	}
	e.fetched, e.void, e.used = heldBatch{}, nil, true
	if e.held.digest != digest || e.held.data == nil {
		delete(c.batches, no)
		return false
	}
	return true
}

// drop forgets what is stored for a number that is not used.
func (c *creator) drop(no types.BatchNo) {
	if e := c.batches[no]; e != nil {
		c.bytes -= len(e.held.data)
		delete(c.batches, no)
	}
}

// data is that of a batch, or nil.
func (e *entry) data(d types.Digest) []byte {
	switch {
	case e == nil:
		return nil
	case e.held.digest == d:
		return e.held.data
	case e.fetched.digest == d:
		return e.fetched.data
	}
	return nil
}

// taken is one more than the greatest number of a window that is taken.
func taken(w *types.Window, size int) types.BatchNo {
	for no := w.Low() + uint64(size); no > w.Low(); no-- {
		if w.Has(no - 1) {
			return types.BatchNo(no)
		}
	}
	return types.BatchNo(w.Low())
}

// find is the data of a batch, or nil.
func (a *Availability) find(id BatchID) []byte {
	if int64(id.Creator) >= int64(len(a.creators)) {
		return nil
	}
	return a.creators[id.Creator].batches[id.No].data(id.Digest)
}
