package delivery

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// keptBytesMin is what a transaction that is kept back counts for beside its
// payload.
const keptBytesMin = 8 + 8 + 4

// keptBack are transactions that came by in the log and wait until those of
// their client with lower numbers are delivered (Config.ClientOrder). Their
// numbers are taken, so the lowest free number of a client is the one that all
// of its others wait for.
type keptBack struct {
	txs   map[types.TxID][]byte // The payload.
	bytes int                   // Invariant: the sum over txs, at most KeptBytesMax.
}

func newKeptBack() keptBack { return keptBack{txs: map[types.TxID][]byte{}} }

func (k *keptBack) add(tx types.Tx) {
	k.txs[tx.TxID] = bytes.Clone(tx.Payload) // Not the whole batch.
	k.bytes += keptBytesMin + len(tx.Payload)
}

func (k *keptBack) take(id types.TxID) (types.Tx, bool) {
	payload, ok := k.txs[id]
	if ok {
		delete(k.txs, id)
		k.bytes -= keptBytesMin + len(payload)
	}
	return types.Tx{TxID: id, Payload: payload}, ok
}

// early tells whether a transaction must wait for others of its client. Votes
// of different members have nothing to wait for.
func (d *Delivery) early(id types.TxID, window *types.Window) bool {
	return d.cfg.ClientOrder && id.Client != types.ConfigClient && uint64(id.No) > window.Low()
}

// accept takes the number of an admitted transaction, and delivers it with all
// that waited for it, unless it must wait itself.
func (d *Delivery) accept(seq types.SeqNr, tx types.Tx, window *types.Window, out *mir.Out) {
	wait := d.early(tx.TxID, window)
	window.Add(uint64(tx.No))
	if wait {
		d.kept.add(tx)
		return
	}
	d.deliver(seq, tx, out)
	if len(d.kept.txs) == 0 {
		return
	}
	for no := tx.No + 1; uint64(no) < window.Low(); no++ {
		if next, ok := d.kept.take(types.TxID{Client: tx.Client, No: no}); ok {
			d.deliver(seq, next, out)
		}
	}
}

// appendKept appends, for each transaction that is kept back in ascending order,
// client, number and payload.
func (d *Delivery) appendKept(b []byte) []byte {
	ids := slices.SortedFunc(maps.Keys(d.kept.txs), compareTxIDs)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ids)))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint64(b, uint64(id.Client))
		b = binary.LittleEndian.AppendUint64(b, uint64(id.No))
		b = types.AppendBytes(b, d.kept.txs[id])
	}
	return b
}

func compareTxIDs(a, b types.TxID) int {
	return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.No, b.No))
}

func (d *Delivery) readKept(r *types.Reader) keptBack {
	kept := newKeptBack()
	var last types.TxID
	for i := range r.Count(d.cfg.KeptBytesMax/keptBytesMin, keptBytesMin) {
		tx := types.Tx{TxID: types.TxID{Client: types.ClientID(r.U64()), No: types.TxNo(r.U64())}}
		tx.Payload = r.Bytes(d.cfg.KeptBytesMax)
		if i > 0 && compareTxIDs(tx.TxID, last) <= 0 {
			r.Fail(fmt.Errorf("transaction %v after %v", tx.TxID, last))
		}
		if r.Err() != nil {
			return kept
		}
		kept.add(tx)
		last = tx.TxID
	}
	if kept.bytes > d.cfg.KeptBytesMax {
		r.Fail(fmt.Errorf("%d bytes of transactions are kept back, limit %d", kept.bytes, d.cfg.KeptBytesMax))
	}
	return kept
}
