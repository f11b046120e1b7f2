package mempool

import (
	"bytes"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// The module's timers: for the batch being filled, for messages being filled, and
// for what was forwarded.
const (
	timerBatch = iota
	timerForward
	timerTick
)

// batchTimeout fires BatchTimeout after the first transaction of a batch, the
// others as their timers say.
type (
	batchTimeout   struct{ batch uint64 }
	forwardTimeout struct{}
	tick           struct{}
)

func (batchTimeout) EventName() string   { return "mempool.BatchTimeout" }
func (forwardTimeout) EventName() string { return "mempool.ForwardTimeout" }
func (tick) EventName() string           { return "mempool.Tick" }

func (m *Mempool) setTimer(n uint64, after time.Duration, fire mir.Body, out *mir.Out) {
	out.Emit(m.cfg.Timer, mir.SetTimer{
		ID:    mir.TimerID{Owner: m.cfg.Self, N: n},
		After: after,
		Fire:  mir.Event{To: m.cfg.Self, Body: fire},
	})
}

// setTick sets the timer while something is away.
func (m *Mempool) setTick(out *mir.Out) {
	if m.here > 0 && !m.ticking {
		m.ticking = true
		m.setTimer(timerTick, m.cfg.RetryAfter, tick{}, out)
	}
}

// route sends a transaction where its bucket's leader is.
func (m *Mempool) route(e *entry, out *mir.Out) {
	if len(m.leaders) == 0 {
		e.state = waiting
		m.list(e)
		return
	}
	if owner := m.owner(e); owner == m.cfg.Node {
		m.fill(e, out)
	} else {
		m.list(e)
		m.dispatch(owner, e, out)
	}
}

// owner is whose batch a transaction belongs into now: without buckets, that of
// the replica which has it.
func (m *Mempool) owner(e *entry) types.NodeID {
	if m.cfg.Buckets == 0 {
		return m.cfg.Node
	}
	return types.BucketOwner(types.BucketOf(e.tx.Client, m.cfg.Buckets), m.epoch, m.leaders)
}

// list puts a transaction into away, which is in the order in which that happens.
func (m *Mempool) list(e *entry) {
	if !e.listed {
		e.listed = true
		m.here++
		m.away = append(m.away, e)
	}
}

// dispatch puts a transaction into the message to a leader.
func (m *Mempool) dispatch(to types.NodeID, e *entry, out *mir.Out) {
	l := &m.leaving[to]
	if !l.fits(e, m.cfg.BatchBytesMax) {
		m.flush(to, out)
	}
	e.state, e.to = leaving, to
	l.put(e)
	if !m.waitingForward {
		m.waitingForward = true
		m.setTimer(timerForward, m.cfg.BatchTimeout, forwardTimeout{}, out)
	}
	if len(l.entries) >= max(1, m.cfg.BatchTxsMax/len(m.leaders)) {
		m.flush(to, out)
	}
}

// flush sends the message to a leader.
func (m *Mempool) flush(to types.NodeID, out *mir.Out) {
	if len(m.leaving[to].entries) == 0 {
		return
	}
	data := m.take(&m.leaving[to], sent, func(e *entry) {
		e.epoch, e.ticks = m.epoch, 0
		m.sent[to]++
		m.stats.Forwarded++
	})
	if data != nil {
		out.Emit(m.cfg.Net, mir.Send{To: []types.NodeID{to}, Dest: m.cfg.Self, Msg: Forward{Data: data}})
	}
}

func (m *Mempool) flushAll(out *mir.Out) {
	for _, id := range m.leaders {
		m.flush(id, out)
	}
}

// onReceived takes transactions that a peer forwarded. Nobody is told which were
// refused: the peer forwards again what is not delivered.
func (m *Mempool) onReceived(r mir.Received, out *mir.Out) {
	msg, ok := r.Msg.(Forward)
	if !ok || r.From == m.cfg.Node || !m.members.Has(r.From) && !m.schedule.Last().Members.Has(r.From) {
		m.stats.Misaddressed++
		return
	}
	txs, err := types.DecodeBatch(msg.Data)
	if err != nil {
		m.stats.Malformed++
		return
	}
	for _, tx := range txs {
		if m.admitForwarded(r.From, tx) {
			// A payload that stays keeps nothing else of the message alive.
			tx.Payload = bytes.Clone(tx.Payload)
			e := &entry{tx: tx, bytes: types.EncodedTxBytes(tx), from: r.From}
			m.add(e)
			m.route(e, out)
		}
	}
	m.settle(out)
}

// admitForwarded is admit for what a peer forwarded. Its clients are no newcomers
// here: a peer cannot keep this replica's own clients out by inventing some.
func (m *Mempool) admitForwarded(from types.NodeID, tx types.Tx) bool {
	bytes := types.EncodedTxBytes(tx)
	used, inReach := m.place(tx.TxID)
	switch {
	case m.pending[tx.TxID] != nil || used || !inReach || len(tx.Payload) > m.cfg.PayloadBytesMax:
		m.stats.Refused++
	case m.peerBytes[from]+bytes > m.cfg.ForwardedBytesMax || m.pendingBytes+bytes > m.cfg.PendingBytesMax:
		m.stats.ShareFull++
	case tx.Client == types.ConfigClient && m.doubted[from]:
		m.stats.Refused++
	case !m.valid(tx):
		m.stats.Refused++
		m.doubted[from] = true
	default:
		return true
	}
	return false
}

// setEpoch makes an epoch the current one.
func (m *Mempool) setEpoch(e types.Epoch) {
	m.epoch = e
	if c, ok := m.schedule.At(e); ok {
		m.members = c.Members
	}
	m.schedule.Forget(e)
	m.grow(max(m.members.Slots(), m.schedule.Last().Members.Slots()))
}

// grow makes room for replicas below n.
func (m *Mempool) grow(n int) {
	for len(m.leaving) < n {
		m.leaving = append(m.leaving, load{})
		m.sent = append(m.sent, 0)
		m.peerBytes = append(m.peerBytes, 0)
		m.doubted = append(m.doubted, false)
	}
}

// onEpochBegun closes the batch of the epoch before, which is still good, and
// sorts everything else again. What was forwarded and is not delivered, with a
// whole epoch in between, goes to whom its bucket belongs now.
func (m *Mempool) onEpochBegun(e types.EpochBegun, out *mir.Out) {
	if m.cfg.Buckets > 0 {
		m.closeBatch(out)
	}
	for i := range m.leaving {
		for _, left := range m.leaving[i].entries {
			if left.state == leaving {
				left.state = waiting
			}
		}
		clear(m.leaving[i].entries)
		m.leaving[i] = load{entries: m.leaving[i].entries[:0]}
	}
	m.leaders, m.wanted = slices.Clone(e.Leaders), false
	m.setEpoch(e.Epoch)
	for _, id := range e.Leaders {
		m.grow(int(id) + 1)
	}
	m.scan(m.dueInEpoch, out)
	m.settle(out)
}

// dueInEpoch tells whether a transaction is to be routed again in an epoch that
// begins.
func (m *Mempool) dueInEpoch(e *entry) bool {
	if e.state == sent && (m.epoch >= e.epoch+2 || e.again && m.epoch > e.epoch) {
		e.again = false
		return true
	}
	return e.state == waiting
}

// onTick sends again what was forwarded and did not come back within a whole
// tick. Since its leader may be at fault, the epoch shall end.
func (m *Mempool) onTick(out *mir.Out) {
	m.ticking = false
	late := false
	m.scan(func(e *entry) bool {
		if e.state != sent {
			return e.state == waiting
		}
		e.ticks++
		if e.ticks < 2 {
			return false
		}
		late, e.again = true, true
		return true
	}, out)
	m.flushAll(out)
	if late && !m.wanted {
		m.wanted = true
		out.Emit(m.cfg.Ordering, types.WantEpoch{Epoch: m.epoch})
	}
}

// scan goes through what is away, oldest first, leaves out what is gone, and
// routes again what is due, as far as each leader's share goes.
func (m *Mempool) scan(due func(*entry) bool, out *mir.Out) {
	old := m.away
	m.away, m.here = m.away[:0], 0
	share := make([]int, len(m.leaving))
	for _, e := range old {
		e.listed = false
		switch {
		case e.state == gone || e.state == filling || e.state == inBatch:
		case !due(e) || !m.withinShare(e, share):
			m.list(e)
		default:
			m.routeAgain(e, out)
		}
	}
	clear(old[len(m.away):])
}

// withinShare charges a transaction to its leader's share of this scan.
func (m *Mempool) withinShare(e *entry, share []int) bool {
	if len(m.leaders) == 0 {
		return false
	}
	owner := m.owner(e)
	share[owner] += e.bytes
	return owner == m.cfg.Node || share[owner] <= ReforwardMax*m.cfg.BatchBytesMax
}

func (m *Mempool) routeAgain(e *entry, out *mir.Out) {
	if e.state == sent {
		m.sent[e.to]--
		m.stats.Reforwarded++
	}
	m.route(e, out)
}
