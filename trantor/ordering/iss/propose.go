package iss

import (
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// onCertReady queues an own certificate, unless the current members have changed
// since it was collected and it lacks weight among them.
func (l *Log) onCertReady(c types.Certificate, out *mir.Out) {
	if !l.hasWeight(c) {
		l.becomeStale(c, out)
		return
	}
	l.queue.add(c)
	l.handOver([]types.Certificate{c}, out)
}

// hasWeight tells whether the current members would accept a certificate whose
// signatures are valid.
func (l *Log) hasWeight(c types.Certificate) bool {
	m := l.current().members
	var weight uint64
	for _, s := range c.Sigs {
		if !m.Has(s.Signer) {
			return false // A signer who has left spoils the certificate for those who verify it.
		}
		weight += m.Weight(s.Signer)
	}
	return m.Has(c.Creator) && m.HasCorrect(weight)
}

func (l *Log) becomeStale(c types.Certificate, out *mir.Out) {
	l.stats.Stale++
	if c.Creator == l.cfg.Node {
		out.Emit(l.cfg.Availability, types.CertStale{Cert: c})
	}
}

// dropStale keeps nothing in the queue that no member of the epoch would accept.
func (l *Log) dropStale(out *mir.Out) {
	for _, c := range l.queue.sift(l.hasWeight) {
		l.becomeStale(c, out)
	}
}

// proposeOwn uses this replica's own slots: for certificates while there are
// any and not too many in flight, and below the highest proposed slot for
// nothing at all. Certificates that find no slot, and proposals that a deposed
// instance may never have sent, wait for the end of the epoch.
func (l *Log) proposeOwn(out *mir.Out) {
	cur := l.current()
	place, leads := cur.place(l.cfg.Node)
	if !leads || place >= len(cur.instances) {
		return
	}
	for !cur.deposed && cur.nextOwn < len(cur.slots) {
		switch s := cur.slots[cur.nextOwn]; {
		case s.decided || s.proposed:
			// The others deposed this leader and it does not know yet, or it
			// proposed before it restarted.
			cur.nextOwn += len(cur.leaders)
		case l.queue.waiting() && len(l.inFlight) < l.cfg.OwnInFlightMax:
			l.stats.Proposed++
			p := types.Proposal{Certs: l.queue.take(l.cfg.MaxCertsPerSlot)}
			l.inFlight[cur.start+types.SeqNr(cur.nextOwn)] = p
			l.propose(p, out)
		case cur.nextOwn < cur.needed:
			l.stats.Filled++
			l.propose(types.Proposal{Skip: true}, out)
		default:
			return
		}
	}
	if !cur.complete() && (l.queue.waiting() || cur.deposed && len(l.inFlight) > 0) {
		l.askToFinish(out)
	}
}

func (l *Log) propose(p types.Proposal, out *mir.Out) {
	cur := l.current()
	seq := cur.start + types.SeqNr(cur.nextOwn)
	out.EmitSub(l.cfg.Self, SubOf(cur.nr, l.cfg.Node), types.Propose{Seq: seq, Proposal: p})
	cur.nextOwn += len(cur.leaders)
}

// onWantEpoch asks for the end of the epoch if it is still the one that the
// mempool has had enough of.
func (l *Log) onWantEpoch(e types.WantEpoch, out *mir.Out) {
	if cur := l.current(); e.Epoch == cur.nr && !cur.complete() {
		l.askToFinish(out)
	}
}

// askToFinish asks everybody, this replica too, for the end of the epoch. The
// heartbeat asks again until it comes.
func (l *Log) askToFinish(out *mir.Out) {
	cur := l.current()
	if cur.asked || !cur.members.Has(l.cfg.Node) {
		return
	}
	cur.asked = true
	cur.needed = len(cur.slots)
	l.broadcast(FinishEpoch{Epoch: cur.nr}, out)
}

// handOver gives certificates to a leader where this replica is none: to the next
// one each time, so that a faulty one keeps them for a heartbeat only.
func (l *Log) handOver(certs []types.Certificate, out *mir.Out) {
	cur := l.current()
	if _, leads := cur.place(l.cfg.Node); leads || len(certs) == 0 || !cur.members.Has(l.cfg.Node) {
		return
	}
	to := cur.leaders[(uint64(l.cfg.Node)+uint64(cur.handed))%uint64(len(cur.leaders))]
	cur.handed++
	l.stats.Handed += uint64(len(certs))
	l.send([]types.NodeID{to}, HandOver{Epoch: cur.nr, Certs: certs}, out)
}

// onHandOver queues certificates of a peer that does not lead, as far as they are
// its own, valid, and not too many. What is dropped is handed to another leader. One
// certificate that is not valid is all of a peer that is verified in an epoch.
func (l *Log) onHandOver(from types.NodeID, m HandOver) {
	cur := l.current()
	_, leads := cur.place(l.cfg.Node)
	_, other := cur.place(from)
	if m.Epoch != cur.nr || !leads || other || !cur.members.Has(from) {
		l.stats.Collected++
		return
	}
	for _, c := range m.Certs {
		switch {
		case cur.exposed[from]:
			l.stats.BadCert++
		case l.queue.has(c):
		case l.queue.of[from] >= l.cfg.HandedMax:
			l.stats.HandedFull++
		case c.Creator != from || l.cfg.VerifyCert(cur.members, c) != nil:
			l.stats.BadCert++
			cur.exposed[from] = true
		default:
			l.stats.TakenOver++
			l.queue.add(c)
		}
	}
}

// handOverAgain gives the oldest own certificates to the next leader, and a handful
// at most. What this replica was handed while it led, leaders take from its creator
// only: in front of the own ones it would keep them from ever being handed over.
func (l *Log) handOverAgain(out *mir.Out) {
	l.handOver(l.queue.oldestOf(l.cfg.Node, l.cfg.MaxCertsPerSlot), out)
}

func (l *Log) broadcast(m mir.Message, out *mir.Out) { l.send(l.others(), m, out) }

func (l *Log) send(to []types.NodeID, m mir.Message, out *mir.Out) {
	if len(to) > 0 {
		out.Emit(l.cfg.Net, mir.Send{To: to, Dest: l.cfg.Self, Msg: m})
	}
}
