package iss

import (
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// Instance agrees on one segment. It gets types.Propose, types.SlotNeeded,
// types.CloseSegment, and what comes to its SubID: its peers' messages and its
// own timers. It answers the log's module, SubID 0, with types.SlotProposed,
// types.SlotDecided and types.LeaderDeposed.
type Instance interface {
	mir.Module
}

// Config of a Log.
type Config struct {
	Node    types.NodeID
	Members quorum.Membership

	Self     mir.ModuleID // This module: instances and peers address it.
	Net      mir.ModuleID
	Delivery mir.ModuleID // Gets types.Ordered and types.EpochEnd.

	// NewInstance makes the agreement instance of a segment. The instance is
	// addressed by sub of Self, on all replicas alike.
	NewInstance func(segment types.Segment, sub mir.SubID) Instance

	EpochLength     int // Slots of an epoch, at least one for each replica.
	MaxCertsPerSlot int // Certificates in one proposal.
	OwnInFlightMax  int // Own proposals that hold certificates and are undecided.
	EpochsAheadMax  int // Epochs that may begin above the last stable checkpoint.
	KeepEpochs      int // Epochs for which instances outlive their epoch's checkpoint.
	// BufferedMax is how many messages of each peer are kept for epochs that
	// have not begun here. More are dropped.
	BufferedMax int
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case !c.Members.Has(c.Node):
		return fmt.Errorf("iss: replica %d is no member", c.Node)
	case c.NewInstance == nil:
		return fmt.Errorf("iss: NewInstance is nil")
	case c.EpochLength < c.Members.N():
		return fmt.Errorf("iss: EpochLength is %d, want at least one slot for each of %d replicas", c.EpochLength, c.Members.N())
	case c.MaxCertsPerSlot < 1 || c.MaxCertsPerSlot > types.MaxCertsPerSlot:
		return fmt.Errorf("iss: MaxCertsPerSlot is %d, want 1 to %d", c.MaxCertsPerSlot, types.MaxCertsPerSlot)
	case c.OwnInFlightMax < 1:
		return fmt.Errorf("iss: OwnInFlightMax is %d, want at least 1", c.OwnInFlightMax)
	case c.EpochsAheadMax < 1:
		return fmt.Errorf("iss: EpochsAheadMax is %d, want at least 1", c.EpochsAheadMax)
	case c.KeepEpochs < 0:
		return fmt.Errorf("iss: KeepEpochs is %d, want 0 or more", c.KeepEpochs)
	case c.BufferedMax < 0:
		return fmt.Errorf("iss: BufferedMax is %d, want 0 or more", c.BufferedMax)
	}
	return nil
}

// Stats say why the log dropped messages, and what became of proposals.
type Stats struct {
	Proposed uint64 // Own proposals with certificates.
	Filled   uint64 // Own slots filled with the empty proposal.
	Requeued uint64 // Own proposals that lost their slot to the empty one.

	Stranger   uint64 // From no member.
	Malformed  uint64 // For no segment, or of a type that peers do not send.
	Collected  uint64 // For an epoch whose instances are gone.
	BufferFull uint64 // For a later epoch, beyond BufferedMax.
}

// Log is the module.
type Log struct {
	cfg    Config
	stats  Stats
	others []types.NodeID

	epochs   []*epoch    // With live instances, consecutive, ascending. The last is the current one.
	first    types.Epoch // Number of epochs[0].
	stable   types.Epoch // Epochs below this one have a stable checkpoint.
	buffered [][]early   // By sender, in order of arrival.

	// queue holds certificates that are to be proposed, oldest first. It is
	// bounded by the batches that the mempool lets this replica have pending.
	queue    []types.Certificate
	inFlight map[types.SeqNr]types.Proposal // Own proposals with certificates, undecided.
}

// early is a message for an epoch that has not begun.
type early struct {
	epoch types.Epoch
	sub   mir.SubID
	msg   mir.Received
}

// New makes the log at its beginning, with epoch 0. It panics where cfg is not
// valid.
func New(cfg Config) *Log {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	l := &Log{
		cfg:      cfg,
		buffered: make([][]early, cfg.Members.N()),
		inFlight: map[types.SeqNr]types.Proposal{},
	}
	l.others = slices.DeleteFunc(cfg.Members.Nodes(), func(id types.NodeID) bool { return id == cfg.Node })
	l.epochs = []*epoch{l.newEpoch(0)}
	return l
}

// Stats may be read between events.
func (l *Log) Stats() Stats { return l.stats }

// Epoch is the current epoch.
func (l *Log) Epoch() types.Epoch { return l.current().nr }

func (l *Log) current() *epoch { return l.epochs[len(l.epochs)-1] }

// Apply implements mir.Module.
func (l *Log) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case mir.Received:
		l.onReceived(ev.Sub, e, out)
		return // It reached an instance, which answers with events of its own.
	case types.CertReady:
		l.queue = append(l.queue, e.Cert)
	case types.SlotProposed:
		l.onSlotProposed(e)
	case types.SlotDecided:
		l.onSlotDecided(e)
	case types.LeaderDeposed:
		l.onLeaderDeposed(e)
	case types.StableCheckpoint:
		l.stable = max(l.stable, e.Epoch+1)
	case types.Boot, types.EpochConfig, types.Restored, types.WantEpoch:
	default:
		l.toInstance(ev, out)
		return
	}
	l.advance(out)
}

// toInstance passes on what an instance, or the log itself, addressed to an
// instance of this replica. It may be gone by now.
func (l *Log) toInstance(ev mir.Event, out *mir.Out) {
	nr, segment, ok := splitSub(ev.Sub)
	if !ok || segment >= l.cfg.Members.N() {
		panic(fmt.Sprintf("iss: invariant broken: got %s for instance %d", ev.Body.EventName(), ev.Sub))
	}
	if e := l.epoch(nr); e != nil {
		e.instances[segment].Apply(ev, out)
	}
}

// epoch is nil if the epoch has not begun or is collected.
func (l *Log) epoch(nr types.Epoch) *epoch {
	if nr < l.first || nr-l.first >= types.Epoch(len(l.epochs)) {
		return nil
	}
	return l.epochs[nr-l.first]
}

// onReceived routes a peer's message by its epoch: now, later, or never.
func (l *Log) onReceived(sub mir.SubID, m mir.Received, out *mir.Out) {
	if !l.cfg.Members.Has(m.From) {
		l.stats.Stranger++
		return
	}
	nr, ok := l.epochOf(sub, m)
	switch {
	case !ok:
		l.stats.Malformed++
	case nr < l.first:
		l.stats.Collected++
	case nr <= l.current().nr:
		l.deliver(nr, sub, m, out)
	case len(l.buffered[m.From]) >= l.cfg.BufferedMax:
		l.stats.BufferFull++
	default:
		l.buffered[m.From] = append(l.buffered[m.From], early{epoch: nr, sub: sub, msg: m})
	}
}

// epochOf tells which epoch a peer's message is about.
func (l *Log) epochOf(sub mir.SubID, m mir.Received) (types.Epoch, bool) {
	if sub == 0 {
		finish, ok := m.Msg.(FinishEpoch)
		return finish.Epoch, ok
	}
	nr, segment, ok := splitSub(sub)
	return nr, ok && segment < l.cfg.Members.N()
}

// deliver hands a message to where it belongs in an epoch that has begun.
func (l *Log) deliver(nr types.Epoch, sub mir.SubID, m mir.Received, out *mir.Out) {
	if sub != 0 {
		l.toInstance(mir.Event{To: l.cfg.Self, Sub: sub, Body: m}, out)
		return
	}
	if nr == l.current().nr {
		l.current().needed = l.cfg.EpochLength
		l.advance(out)
	}
}

func (l *Log) onSlotProposed(e types.SlotProposed) {
	if cur := l.current(); e.Seq >= cur.start {
		cur.needed = max(cur.needed, cur.index(e.Seq)+1)
	}
}

// onSlotDecided puts a value into the log. An own proposal that lost its slot
// is queued again, before all that came later.
func (l *Log) onSlotDecided(e types.SlotDecided) {
	cur := l.current()
	cur.decide(e.Seq, e.Proposal)
	if len(e.Proposal.Certs) > 0 {
		cur.needed = max(cur.needed, cur.index(e.Seq)+1)
	}
	if own, ok := l.inFlight[e.Seq]; ok {
		delete(l.inFlight, e.Seq)
		if len(e.Proposal.Certs) == 0 {
			l.stats.Requeued++
			l.queue = append(slices.Clone(own.Certs), l.queue...)
		}
	}
}

func (l *Log) onLeaderDeposed(e types.LeaderDeposed) {
	if e.Leader == l.cfg.Node && e.Epoch == l.current().nr {
		l.current().deposed = true
	}
}

// advance does all that the state allows: emits the log, ends the epoch, begins
// the next, proposes, and collects.
func (l *Log) advance(out *mir.Out) {
	for {
		l.emitOrdered(out)
		cur := l.current()
		if !cur.complete() {
			break
		}
		if cur.nr+1 >= l.stable+types.Epoch(l.cfg.EpochsAheadMax) {
			break // The checkpoint must follow first.
		}
		l.becomeInEpoch(cur.nr+1, out)
	}
	l.proposeOwn(out)
	l.tellNeeded(out)
	l.collect(out)
}

// emitOrdered passes on what is decided without gaps.
func (l *Log) emitOrdered(out *mir.Out) {
	cur := l.current()
	for cur.ordered < len(cur.slots) && cur.slots[cur.ordered].decided {
		s := &cur.slots[cur.ordered]
		out.Emit(l.cfg.Delivery, types.Ordered{Seq: cur.start + types.SeqNr(cur.ordered), Epoch: cur.nr, Proposal: s.value})
		s.value = types.Proposal{}
		cur.ordered++
		if cur.complete() {
			out.Emit(l.cfg.Delivery, types.EpochEnd{Epoch: cur.nr})
		}
	}
}

// becomeInEpoch begins an epoch with the messages that came early for it.
func (l *Log) becomeInEpoch(nr types.Epoch, out *mir.Out) {
	if len(l.inFlight) > 0 {
		panic(fmt.Sprintf("iss: invariant broken: epoch %d begins with %d own slots in flight", nr, len(l.inFlight)))
	}
	cur := l.newEpoch(nr)
	l.epochs = append(l.epochs, cur)
	for from, all := range l.buffered {
		kept := all[:0]
		for _, m := range all {
			switch {
			case m.epoch > nr:
				kept = append(kept, m)
			case m.sub == 0:
				cur.needed = l.cfg.EpochLength
			default:
				l.toInstance(mir.Event{To: l.cfg.Self, Sub: m.sub, Body: m.msg}, out)
			}
		}
		clear(all[len(kept):])
		l.buffered[from] = kept
	}
}

// proposeOwn uses this replica's own slots: for certificates while there are
// any and not too many in flight, and below the highest proposed slot for
// nothing at all. Certificates that find no slot, and proposals that a deposed
// instance may never have sent, wait for the end of the epoch.
func (l *Log) proposeOwn(out *mir.Out) {
	cur := l.current()
	for !cur.deposed && cur.nextOwn < len(cur.slots) {
		switch {
		case cur.slots[cur.nextOwn].decided:
			// The others deposed this leader and it does not know yet.
			cur.nextOwn += l.cfg.Members.N()
		case len(l.queue) > 0 && len(l.inFlight) < l.cfg.OwnInFlightMax:
			l.stats.Proposed++
			l.propose(l.takeCerts(), out)
		case cur.nextOwn < cur.needed:
			l.stats.Filled++
			l.propose(types.Proposal{Skip: true}, out)
		default:
			return
		}
	}
	if !cur.complete() && (len(l.queue) > 0 || cur.deposed && len(l.inFlight) > 0) {
		l.askToFinish(out)
	}
}

// takeCerts makes a proposal of the oldest certificates, in flight from now on.
func (l *Log) takeCerts() types.Proposal {
	n := min(len(l.queue), l.cfg.MaxCertsPerSlot)
	p := types.Proposal{Certs: slices.Clone(l.queue[:n])}
	clear(l.queue[:n])
	l.queue = l.queue[n:]
	cur := l.current()
	l.inFlight[cur.start+types.SeqNr(cur.nextOwn)] = p
	return p
}

func (l *Log) propose(p types.Proposal, out *mir.Out) {
	cur := l.current()
	seq := cur.start + types.SeqNr(cur.nextOwn)
	out.EmitSub(l.cfg.Self, SubOf(cur.nr, l.cfg.Node), types.Propose{Seq: seq, Proposal: p})
	cur.nextOwn += l.cfg.Members.N()
}

// askToFinish asks everybody, this replica too, for the end of the epoch.
func (l *Log) askToFinish(out *mir.Out) {
	cur := l.current()
	if cur.asked {
		return
	}
	cur.asked = true
	cur.needed = len(cur.slots)
	if len(l.others) > 0 {
		out.Emit(l.cfg.Net, mir.Send{To: l.others, Dest: l.cfg.Self, Msg: FinishEpoch{Epoch: cur.nr}})
	}
}

// tellNeeded tells the instances, once for each slot, what the log waits for.
func (l *Log) tellNeeded(out *mir.Out) {
	cur := l.current()
	for ; cur.told < cur.needed; cur.told++ {
		if !cur.slots[cur.told].decided {
			leader := types.NodeID(cur.told % l.cfg.Members.N())
			out.EmitSub(l.cfg.Self, SubOf(cur.nr, leader), types.SlotNeeded{Seq: cur.start + types.SeqNr(cur.told)})
		}
	}
}

// collect closes the instances of epochs that are complete here and old enough.
// The current epoch stays, complete or not.
func (l *Log) collect(out *mir.Out) {
	for len(l.epochs) > 1 && l.first+types.Epoch(l.cfg.KeepEpochs) < l.stable {
		for _, instance := range l.epochs[0].instances {
			instance.Apply(mir.Event{To: l.cfg.Self, Body: types.CloseSegment{}}, out)
		}
		l.epochs[0] = nil
		l.epochs = l.epochs[1:]
		l.first++
	}
}
