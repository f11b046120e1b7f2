package iss

import (
	"cmp"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// peer is what is kept of one replica.
type peer struct {
	early      []early // For epochs that have not begun here, in order of arrival.
	earlyBytes int     // Of early.
	ordered    types.SeqNr
}

// early is a message for an epoch that has not begun.
type early struct {
	epoch types.Epoch
	sub   mir.SubID
	msg   mir.Received
	bytes int
}

// peer is a replica's, known so far or not.
func (l *Log) peer(id types.NodeID) *peer {
	for uint64(len(l.peers)) <= uint64(id) {
		l.peers = append(l.peers, peer{})
	}
	return &l.peers[id]
}

// others are the current members, and those of the latest epoch that is known,
// who may be about to join, without this replica.
func (l *Log) others() []types.NodeID {
	all := append(l.current().members.Nodes(), l.schedule.Last().Members.Nodes()...)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(id types.NodeID) bool { return id == l.cfg.Node })
}

// onReceived routes a message by its epoch: now, later, or never. This replica's
// own copies of what its instances sent to all come here too.
func (l *Log) onReceived(sub mir.SubID, m mir.Received, out *mir.Out) {
	nr, ok := epochOf(sub, m)
	status, isStatus := m.Msg.(Status)
	switch {
	case !l.isMember(m.From, nr):
		l.stats.Stranger++
	case !ok:
		l.stats.Malformed++
	case isStatus:
		l.onStatus(m.From, status)
		if nr < l.first && l.cfg.Checkpoint != 0 {
			out.Emit(l.cfg.Checkpoint, types.PeerBehind{Peer: m.From})
		}
		l.advance(out)
	case nr < l.first:
		l.stats.Collected++
	case nr <= l.current().nr:
		l.deliver(nr, sub, m, out)
	case m.From == l.cfg.Node:
		l.stats.Collected++ // Of before a snapshot.
	default:
		l.keepEarly(nr, sub, m)
	}
}

// isMember tells whether a replica is a member of the epoch that it speaks about,
// or of one near it.
func (l *Log) isMember(id types.NodeID, nr types.Epoch) bool {
	if config, known := l.schedule.At(nr); known && config.Members.Has(id) {
		return true
	}
	return l.current().members.Has(id) || l.schedule.Last().Members.Has(id)
}

// epochOf tells which epoch a message is about.
func epochOf(sub mir.SubID, m mir.Received) (types.Epoch, bool) {
	if sub != 0 {
		nr, _, ok := splitSub(sub)
		return nr, ok
	}
	switch e := m.Msg.(type) {
	case FinishEpoch:
		return e.Epoch, true
	case Status:
		return e.Epoch, true
	case HandOver:
		return e.Epoch, true
	}
	return 0, false
}

// deliver hands a message to where it belongs in an epoch that has begun.
func (l *Log) deliver(nr types.Epoch, sub mir.SubID, m mir.Received, out *mir.Out) {
	if sub != 0 {
		if _, leader, _ := splitSub(sub); !slices.Contains(l.epoch(nr).leaders, leader) {
			l.stats.Malformed++
			return
		}
		l.toInstance(mir.Event{To: l.cfg.Self, Sub: sub, Body: m}, out)
		return
	}
	cur := l.current()
	switch e := m.Msg.(type) {
	case FinishEpoch:
		if nr == cur.nr {
			cur.needed = len(cur.slots)
		}
	case HandOver:
		l.onHandOver(m.From, e)
	}
	l.advance(out)
}

// onStatus notes how far a peer has come. Slots that it has ordered are needed
// here too; a faulty peer gains no more by that than by FINISH-EPOCH.
func (l *Log) onStatus(from types.NodeID, m Status) {
	p := l.peer(from)
	p.ordered = max(p.ordered, m.Ordered)
	if cur := l.current(); m.Ordered > cur.start {
		cur.needed = max(cur.needed, int(min(m.Ordered, cur.end())-cur.start))
	}
}

// orderedByOthers is what peers of weight more than f, so a correct one among
// them, say that they have ordered.
func (l *Log) orderedByOthers() types.SeqNr {
	members := l.current().members
	all := make([]types.NodeID, 0, len(l.peers))
	for id := range l.peers {
		if members.Has(types.NodeID(id)) {
			all = append(all, types.NodeID(id))
		}
	}
	slices.SortStableFunc(all, func(a, b types.NodeID) int { return cmp.Compare(l.peers[b].ordered, l.peers[a].ordered) })
	var weight uint64
	for _, id := range all {
		if weight += members.Weight(id); members.HasCorrect(weight) {
			return l.peers[id].ordered
		}
	}
	return 0
}

// keepEarly keeps a message for an epoch that has not begun here, within bounds.
// Certificates will be handed over again anyway.
func (l *Log) keepEarly(nr types.Epoch, sub mir.SubID, m mir.Received) {
	if _, again := m.Msg.(HandOver); again {
		return
	}
	p, bytes := l.peer(m.From), bytesOf(m.Msg)
	switch {
	case nr-l.current().nr > types.Epoch(l.cfg.EpochsAheadMax):
		l.stats.TooFar++
	case len(p.early) >= l.cfg.BufferedMax || p.earlyBytes+bytes > l.cfg.BufferedBytesMax:
		l.stats.BufferFull++
	default:
		p.early = append(p.early, early{epoch: nr, sub: sub, msg: m, bytes: bytes})
		p.earlyBytes += bytes
	}
}

// bytesOf is what a message weighs: its bytes on the wire.
func bytesOf(m mir.Message) int {
	if w, ok := m.(types.WireMessage); ok {
		return len(w.AppendWire(nil))
	}
	return 0
}

// replayEarly delivers what came early for the current epoch.
func (l *Log) replayEarly(out *mir.Out) {
	cur := l.current()
	for id := range l.peers {
		p := &l.peers[id]
		kept := p.early[:0]
		for _, m := range p.early {
			if m.epoch > cur.nr {
				kept = append(kept, m)
				continue
			}
			p.earlyBytes -= m.bytes
			switch {
			case m.epoch < cur.nr:
			case m.sub == 0:
				cur.needed = len(cur.slots) // Only FINISH-EPOCH is kept.
			default:
				l.toInstance(mir.Event{To: l.cfg.Self, Sub: m.sub, Body: m.msg}, out)
			}
		}
		clear(p.early[len(kept):])
		p.early = kept
	}
}

// onHeartbeat says how far this replica is, says again what it wants, and where
// it is behind what others had ordered one heartbeat ago, has its instances ask.
func (l *Log) onHeartbeat(out *mir.Out) {
	l.setHeartbeat(out)
	cur := l.current()
	if !cur.members.Has(l.cfg.Node) {
		return
	}
	ordered := cur.start + types.SeqNr(cur.ordered)
	l.broadcast(Status{Epoch: cur.nr, Ordered: ordered}, out)
	if cur.asked && !cur.complete() {
		l.broadcast(FinishEpoch{Epoch: cur.nr}, out)
	}
	l.handOverAgain(out)
	if l.behind > ordered {
		l.tellNeeded(out)
		l.tellMissed(l.behind, out)
	}
	l.behind = l.orderedByOthers()
}

func (l *Log) setHeartbeat(out *mir.Out) {
	out.Emit(l.cfg.Timer, mir.SetTimer{
		ID: mir.TimerID{Owner: l.cfg.Self}, After: l.cfg.HeartbeatAfter,
		Fire: mir.Event{To: l.cfg.Self, Body: heartbeat{}},
	})
}
