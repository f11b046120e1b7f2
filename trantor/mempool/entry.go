package mempool

import (
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// entry is a transaction that was accepted and that the log has not passed.
type entry struct {
	tx        types.Tx // without payload while it is in a closed batch, which has it
	bytes     int
	submitted bool         // by a client; otherwise it is counted for the peer from
	from      types.NodeID // the peer that forwarded it
	state     state

	listed bool         // it is in away
	to     types.NodeID // the leader that it was, or is to be, forwarded to
	epoch  types.Epoch  // in which that was
	ticks  int          // since then
	again  bool         // it was forwarded again because of time: the next epoch is due
}

// state is where a transaction is.
type state uint8

const (
	waiting state = iota // for an epoch to begin, or for room in its leader's share
	filling              // in the batch being filled
	inBatch              // in a closed batch
	leaving              // in a message being filled
	sent                 // forwarded
	gone                 // passed by the log
)

// load is a batch, or a message, that is being filled.
type load struct {
	entries []*entry
	bytes   int    // Invariant: what entries encode to, or more, if some are gone.
	closed  uint64 // how many were closed before
}

// add counts a new entry.
func (m *Mempool) add(e *entry) {
	m.pending[e.tx.TxID] = e
	m.pendingBytes += e.bytes
	if e.submitted {
		m.meet(e.tx.Client)
	} else {
		m.peerBytes[e.from] += e.bytes
	}
}

// forget frees what a pending transaction holds. Where it is being filled in, or
// away, it is left out later.
func (m *Mempool) forget(id types.TxID) {
	e := m.pending[id]
	if e == nil {
		return
	}
	delete(m.pending, id)
	m.pendingBytes -= e.bytes
	if e.submitted {
		m.part(id.Client)
	} else {
		m.peerBytes[e.from] -= e.bytes
	}
	switch e.state {
	case inBatch:
		m.batched--
	case sent:
		m.sent[e.to]--
	}
	if e.listed {
		m.here--
	}
	e.state, e.tx.Payload = gone, nil
	if len(m.away) > 1024 && m.here < len(m.away)/2 {
		m.scan(func(*entry) bool { return false }, nil)
	}
}

// put adds an entry to a load. It tells whether the load was empty before.
func (l *load) put(e *entry) bool {
	l.entries = append(l.entries, e)
	l.bytes += e.bytes
	return len(l.entries) == 1
}

// fits tells whether there is room for an entry.
func (l *load) fits(e *entry, bytesMax int) bool {
	return types.BatchHeaderBytes+l.bytes+e.bytes <= bytesMax
}

// take empties a load into an encoded batch, nil if all of it is gone, and gives
// its transactions a state.
func (m *Mempool) take(l *load, s state, each func(*entry)) []byte {
	txs := m.scratch[:0]
	for _, e := range l.entries {
		if e.state != gone {
			txs = append(txs, e.tx)
			e.state = s
			each(e)
		}
	}
	clear(l.entries)
	*l = load{entries: l.entries[:0], closed: l.closed + 1}
	var data []byte
	if len(txs) > 0 {
		data = types.EncodeBatch(txs)
	}
	clear(txs)
	m.scratch = txs
	return data
}

// fill puts a transaction into the batch being filled, after closing that batch
// where it does not fit any more.
func (m *Mempool) fill(e *entry, out *mir.Out) {
	if !m.filling.fits(e, m.cfg.BatchBytesMax) {
		m.closeBatch(out)
	}
	e.state = filling
	if m.filling.put(e) {
		m.setTimer(timerBatch, m.cfg.BatchTimeout, batchTimeout{batch: m.filling.closed}, out)
	}
	if len(m.filling.entries) == m.cfg.BatchTxsMax {
		m.closeBatch(out)
	}
}

func (m *Mempool) closeBatch(out *mir.Out) {
	if len(m.filling.entries) == 0 {
		return
	}
	out.Emit(m.cfg.Timer, mir.CancelTimer{ID: mir.TimerID{Owner: m.cfg.Self, N: timerBatch}})
	data := m.take(&m.filling, inBatch, func(e *entry) {
		e.tx.Payload = nil
		m.batched++
	})
	if data != nil {
		out.Emit(m.cfg.Availability, types.NewBatch{Data: data, Epoch: m.epoch})
	}
}

// settle closes what need not wait for more because nothing is on its way.
func (m *Mempool) settle(out *mir.Out) {
	if !m.cfg.CloseWhenIdle {
		return
	}
	if m.batched == 0 {
		m.closeBatch(out)
	}
	for _, id := range m.leaders {
		if m.sent[id] == 0 {
			m.flush(id, out)
		}
	}
}

// settleAt is settle for the load that a new entry is in.
func (m *Mempool) settleAt(e *entry, out *mir.Out) {
	switch {
	case !m.cfg.CloseWhenIdle:
	case e.state == filling && m.batched == 0:
		m.closeBatch(out)
	case e.state == leaving && m.sent[e.to] == 0:
		m.flush(e.to, out)
	}
}
