package replica

import (
	"bytes"
	"fmt"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// recoverer is a module that goes on after a restart. Records are its own, in
// ascending order of the keys; from is the state of the latest stable checkpoint
// that is durable, nil at genesis.
type recoverer interface {
	Recover(records []types.Record, from *types.Restored) error
}

// recover gives every module its records, and the state from which the replica
// goes on.
func (r *Replica) recover(records []types.Record) error {
	if len(records) == 0 {
		return nil
	}
	own, err := split(records)
	if err != nil {
		return err
	}
	if err := r.checkpoint.Recover(own[types.RecordsCheckpoint], nil); err != nil {
		return err
	}
	var from *types.Restored
	if held, snapshot, ok := r.checkpoint.Held(); ok {
		if from, err = r.delivery.Restore(held.Epoch, snapshot); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		name    string
		records byte // zero for a module that writes none
		module  mir.Module
	}{
		{"mempool", 0, r.mempool},
		{"availability", types.RecordsAvailability, r.availability},
		{"ordering", types.RecordsOrdering, r.ordering},
		{"state transfer", types.RecordsStateTransfer, r.transfer},
	} {
		module, ok := m.module.(recoverer)
		if !ok {
			continue
		}
		if err := module.Recover(own[m.records], from); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	r.restored = from
	return nil
}

// Restored is the state of the checkpoint from which the replica went on after a
// restart, nil where it began at genesis. It must not be changed.
func (r *Replica) Restored() *types.Restored { return r.restored }

// split sorts records by the module that wrote them.
func split(records []types.Record) (map[byte][]types.Record, error) {
	own := map[byte][]types.Record{}
	for i, rec := range records {
		if i > 0 && bytes.Compare(records[i-1].Key, rec.Key) >= 0 {
			return nil, fmt.Errorf("record %x after %x", rec.Key, records[i-1].Key)
		}
		if len(rec.Key) == 0 {
			return nil, fmt.Errorf("a record without a key")
		}
		switch owner := rec.Key[0]; owner {
		case types.RecordsAvailability, types.RecordsCheckpoint, types.RecordsOrdering, types.RecordsStateTransfer:
			own[owner] = append(own[owner], rec)
		default:
			return nil, fmt.Errorf("record %x belongs to no module", rec.Key)
		}
	}
	return own, nil
}
