package simtest

import (
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/ordering/iss"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/types"
)

// flooder fills whatever others keep for later: validly signed messages of far
// epochs, views and batch numbers, to all modules and instances, a bounded number
// of them in a second.
type flooder struct{}

const (
	floodPeriod = 20 * time.Millisecond
	farAway     = 1 << 20
)

func (flooder) begin(v *villain) {
	v.every(floodPeriod, func() { v.flood() })
}

func (flooder) fate(*villain, sim.Packet) (sim.Fate, bool) { return sim.Fate{}, false }

// far is a number that may be near or anywhere.
func (v *villain) far(near uint64) uint64 {
	switch v.rng.IntN(3) {
	case 0:
		return near + v.rng.Uint64N(8)
	case 1:
		return near + v.rng.Uint64N(farAway)
	default:
		return v.rng.Uint64()
	}
}

func (v *villain) flood() {
	to, ids := v.somebody(), v.ids()
	epoch := v.far(uint64(v.twin().replica.Stats().Epoch))
	sub := mir.SubID(epoch+1)<<16 | mir.SubID(v.rng.IntN(v.world.scenario.N()))
	seq := types.SeqNr(epoch)*types.SeqNr(v.world.scenario.Params.EpochLength) + types.SeqNr(v.rng.IntN(16))
	view, d := types.View(v.far(0)), v.randomDigest()
	switch v.rng.IntN(10) {
	case 0:
		v.send(ids.Availability, 0, availability.Batch{No: types.BatchNo(v.far(0)), Data: d[:]}, to)
	case 1:
		v.send(ids.Availability, 0, availability.Ack{No: types.BatchNo(v.far(0)), Batch: d, Sig: d[:]}, to)
	case 2:
		id := availability.BatchID{Creator: v.somebody(), No: types.BatchNo(v.far(0)), Digest: d}
		v.send(ids.Availability, 0, availability.Request{ID: id}, to)
	case 3:
		id := availability.BatchID{Creator: v.somebody(), No: types.BatchNo(v.far(0)), Digest: d}
		v.send(ids.Availability, 0, availability.Response{ID: id, Data: d[:]}, to)
	case 4:
		m := pbft.Prepare{View: view, Seq: seq, Digest: d}
		m.Sig = v.sign(pbft.DomainPrepare, prepareStatement(sub, view, seq, d))
		v.send(ids.Ordering, sub, m, to)
	case 5:
		v.send(ids.Ordering, sub, pbft.Commit{View: view, Seq: seq, Digest: d}, to)
	case 6:
		v.send(ids.Ordering, sub, v.signChange(sub, pbft.ViewChange{View: view}), to)
	case 7:
		v.send(ids.Ordering, sub, v.prePrepare(sub, seq, types.Proposal{}), to)
	case 8:
		v.send(ids.Ordering, 0, iss.FinishEpoch{Epoch: types.Epoch(epoch)}, to)
	case 9:
		m := checkpoint.Vote{Epoch: types.Epoch(epoch), Digest: d}
		m.Sig = v.sign(checkpoint.DomainVote, checkpoint.Statement(m.Epoch, d))
		v.send(ids.Checkpoint, 0, m, to)
	}
}
