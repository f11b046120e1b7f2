package availability

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// A record is one batch that this replica acknowledged, or made. The key is the
// module's byte, creator, number and the epoch in which it was made; the value is
// the batch as it is, so that nothing is copied.
const recordKeyBytes = 1 + 4 + 8 + 8

func recordOf(id BatchID, made types.Epoch, data []byte) types.Record {
	return types.Record{Key: binary.BigEndian.AppendUint64(numberKey(id.Creator, id.No), uint64(made)), Value: data}
}

// recordRange is the record of a number, whatever its epoch.
func recordRange(creator types.NodeID, no types.BatchNo) types.KeyRange {
	return types.KeyRange{From: numberKey(creator, no), To: numberKey(creator, no+1)}
}

func numberKey(creator types.NodeID, no types.BatchNo) []byte {
	key := append(make([]byte, 0, recordKeyBytes), types.RecordsAvailability)
	key = binary.BigEndian.AppendUint32(key, uint32(creator))
	return binary.BigEndian.AppendUint64(key, uint64(no))
}

// readRecord is the reverse of recordOf.
func readRecord(r types.Record) (BatchID, heldBatch, error) {
	if len(r.Key) != recordKeyBytes || r.Key[0] != types.RecordsAvailability {
		return BatchID{}, heldBatch{}, fmt.Errorf("availability: record %x: not a key of %d bytes", r.Key, recordKeyBytes)
	}
	if len(r.Value) == 0 || len(r.Value) > types.MaxBatchBytes {
		return BatchID{}, heldBatch{}, fmt.Errorf("availability: record %x: %d bytes, want 1 to %d", r.Key, len(r.Value), types.MaxBatchBytes)
	}
	id := BatchID{
		Creator: types.NodeID(binary.BigEndian.Uint32(r.Key[1:])),
		No:      types.BatchNo(binary.BigEndian.Uint64(r.Key[5:])),
		Digest:  types.HashBatch(r.Value),
	}
	if id.Creator >= types.MaxReplicas {
		return BatchID{}, heldBatch{}, fmt.Errorf("availability: record %x: replica %d, limit %d", r.Key, id.Creator, types.MaxReplicas)
	}
	return id, heldBatch{digest: id.Digest, data: r.Value, epoch: types.Epoch(binary.BigEndian.Uint64(r.Key[13:])), durable: true}, nil
}

// Recover takes the batches of an earlier run, before the first event. Those that
// are delivered in the state from are kept as if they had been in its last epoch.
// Own ones that are not are collected for again after types.Boot: whether they
// were certified is not known.
func (a *Availability) Recover(records []types.Record, from *types.Restored) error {
	epoch := types.Epoch(0)
	if from != nil {
		epoch = from.Epoch
		if len(from.Configs) > 0 {
			a.schedule = types.ScheduleOf(from.Configs)
		}
		a.grow(len(from.Creators))
		for id, window := range from.Creators {
			a.creators[id].used = window.Clone()
		}
		a.setEpoch(from.Epoch + 1)
	}
	for _, r := range records {
		id, b, err := readRecord(r)
		if err != nil {
			return err
		}
		a.grow(int(id.Creator) + 1)
		c := a.creators[id.Creator]
		if c.batches[id.No] != nil {
			return fmt.Errorf("availability: record %x: a second batch of replica %d with number %d", r.Key, id.Creator, id.No)
		}
		c.hold(id.No, b)
		if c.used.Has(uint64(id.No)) {
			c.use(id.No, id.Digest)
			a.used = append(a.used, usedBatch{creator: id.Creator, no: id.No, epoch: epoch})
		}
	}
	a.recoverOwn()
	return nil
}

// recoverOwn goes on with own batches above everything that was ever sent.
func (a *Availability) recoverOwn() {
	own := a.creators[a.cfg.Node]
	a.next = taken(own.used, a.cfg.WindowSize)
	for _, no := range slices.Sorted(maps.Keys(own.batches)) {
		a.next = max(a.next, no+1)
		if b := own.batches[no]; !b.used {
			a.addCollection(&collection{
				id:   BatchID{Creator: a.cfg.Node, No: no, Digest: b.held.digest},
				data: b.held.data, epoch: b.held.epoch, sigs: crypto.NewSigSet(a.members), durable: true, seen: true,
			})
		}
	}
}

// onBoot goes on with recovered own batches, as many at a time as at a tick.
func (a *Availability) onBoot(out *mir.Out) {
	for _, no := range a.order {
		a.signOwn(a.collecting[no])
	}
	a.resend(out)
	a.reportReady(out)
}
