package iss

import (
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// Instance agrees on one segment. It gets types.Propose, types.SlotNeeded,
// types.SlotsMissed, types.CloseSegment, and what comes to its SubID: its peers'
// messages, its own copies of what it sent to all, and its own timers. It
// answers the log's module, SubID 0, with types.SlotProposed, types.SlotDecided
// and types.LeaderDeposed.
type Instance interface {
	mir.Module
	// Recover gives a new instance the records of its segment that it wrote
	// before a restart; types.Boot follows. It returns the slots that this
	// replica had proposed for.
	Recover(records []types.Record) (proposed []types.SeqNr, err error)
}

// Config of a Log.
type Config struct {
	Node types.NodeID
	// Members are those of the first ConfigDelay epochs. Those of later ones come
	// as types.EpochConfig. A replica that is to join need not be one.
	Members     quorum.Membership
	ConfigDelay int

	Self         mir.ModuleID // This module: instances and peers address it.
	Net          mir.ModuleID
	Timer        mir.ModuleID
	Store        mir.ModuleID
	Mempool      mir.ModuleID // Gets types.EpochBegun.
	Availability mir.ModuleID // Gets types.EpochBegun and types.CertStale.
	Delivery     mir.ModuleID // Gets types.Ordered and types.EpochEnd.
	Checkpoint   mir.ModuleID // Gets types.PeerBehind; 0 for none.

	// NewInstance makes the agreement instance of a segment among the members of
	// its epoch, whose timeouts are doubled so many times. The instance is
	// addressed by sub of Self, on all replicas alike.
	NewInstance func(segment types.Segment, members quorum.Membership, doublings int, sub mir.SubID) Instance
	// CheckRecord reports a record that no instance can have written.
	CheckRecord func(types.Record) error
	// VerifyCert checks a certificate that a peer hands over.
	VerifyCert func(quorum.Membership, types.Certificate) error

	Policy          Policy
	EpochLength     int           // Slots of an epoch, at least one for each of Members.
	MaxCertsPerSlot int           // Certificates in one proposal, and in one HANDOVER.
	OwnInFlightMax  int           // Own proposals that hold certificates and are undecided.
	EpochsAheadMax  int           // Epochs that may begin above the last stable checkpoint.
	KeepEpochs      int           // Epochs for which instances outlive their epoch's checkpoint.
	HeartbeatAfter  time.Duration // Time from one STATUS to the next.
	// BufferedMax and BufferedBytesMax are how much of each peer is kept for
	// epochs that have not begun here. More is dropped, and sent again.
	BufferedMax      int
	BufferedBytesMax int
	HandedMax        int // Certificates of each peer that is no leader, waiting or in flight here.
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Members.N() == 0 || c.ConfigDelay < 1:
		return fmt.Errorf("iss: %d members for the first %d epochs, want one or more each", c.Members.N(), c.ConfigDelay)
	case c.NewInstance == nil || c.CheckRecord == nil || c.VerifyCert == nil:
		return fmt.Errorf("iss: NewInstance, CheckRecord or VerifyCert is nil")
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
	case c.HeartbeatAfter <= 0:
		return fmt.Errorf("iss: HeartbeatAfter is %v, want more than 0", c.HeartbeatAfter)
	case c.BufferedMax < 0 || c.BufferedBytesMax < 0 || c.HandedMax < 0:
		return fmt.Errorf("iss: BufferedMax is %d, BufferedBytesMax %d and HandedMax %d, want 0 or more",
			c.BufferedMax, c.BufferedBytesMax, c.HandedMax)
	}
	return c.Policy.Validate()
}

// Stats say why the log dropped messages, and what became of proposals.
type Stats struct {
	Proposed  uint64 // Own proposals with certificates.
	Filled    uint64 // Own slots skipped.
	Requeued  uint64 // Own proposals that lost their slot to the empty one.
	Stale     uint64 // Certificates that lack weight under new members.
	Handed    uint64 // Certificates handed to a leader, each time.
	TakenOver uint64 // Certificates of others queued here.
	Jumped    uint64 // Epochs begun by a snapshot rather than by the epoch before.

	Stranger   uint64 // From no member.
	Malformed  uint64 // For no segment, or of a type that peers do not send.
	Collected  uint64 // For an epoch whose instances are gone, or that this replica is no member of.
	TooFar     uint64 // For an epoch more than EpochsAheadMax ahead.
	BufferFull uint64 // For a later epoch, beyond BufferedMax or BufferedBytesMax.
	BadCert    uint64 // A certificate that is handed over and is none of the sender's, or not valid, and each one after it.
	HandedFull uint64 // A certificate handed over beyond HandedMax.
}

// patienceMax is how often timeouts are doubled at most.
const patienceMax = 10

// Log is the module.
type Log struct {
	cfg      Config
	stats    Stats
	schedule *types.Schedule

	epochs []*epoch    // With live instances, consecutive, ascending. The last is the current one.
	first  types.Epoch // Number of epochs[0].
	stable types.Epoch // Epochs below this one have a stable checkpoint.

	restart   types.Epoch // A restart would begin with this epoch.
	forgotten types.Epoch // Invariant: <= restart. The records of the epochs below are deleted.
	record    record      // What the policy remembers of the epochs before the current one.
	patience  int         // How often the timeouts of a new epoch are doubled.

	peers     []peer // By replica.
	behind    types.SeqNr
	recovered map[types.Epoch]map[types.NodeID][]types.Record // For instances that are not made yet.
	reboot    []Instance                                      // Recovered ones that have not booted.

	// queue is bounded by the batches that the mempool lets this replica have
	// pending, and by HandedMax for each peer.
	queue    *queue
	inFlight map[types.SeqNr]types.Proposal // Own proposals with certificates, undecided.
}

// heartbeat is the module's periodic timer.
type heartbeat struct{}

func (heartbeat) EventName() string { return "iss.Heartbeat" }

// New makes the log at its beginning, with epoch 0. It panics where cfg is not
// valid.
func New(cfg Config) *Log {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	var configs []types.EpochConfig
	for e := range types.Epoch(cfg.ConfigDelay) {
		configs = append(configs, types.EpochConfig{Epoch: e, Members: cfg.Members})
	}
	l := &Log{
		cfg:      cfg,
		schedule: types.ScheduleOf(configs),
		queue:    newQueue(),
		inFlight: map[types.SeqNr]types.Proposal{},
	}
	if err := l.start(0); err != nil {
		panic(err)
	}
	return l
}

// start makes an epoch the only one.
func (l *Log) start(nr types.Epoch) error {
	e, recovered, err := l.newEpoch(nr)
	if err != nil {
		return err
	}
	l.epochs, l.first, l.reboot = []*epoch{e}, nr, recovered
	return nil
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
		l.onCertReady(e.Cert, out)
	case types.SlotProposed:
		l.onSlotProposed(e)
	case types.SlotDecided:
		l.onSlotDecided(e)
	case types.LeaderDeposed:
		l.onLeaderDeposed(e)
	case types.StableCheckpoint:
		l.stable = max(l.stable, e.Epoch+1)
	case types.HeldSnapshot:
		l.restart = max(l.restart, e.Checkpoint.Epoch+1)
	case types.EpochConfig:
		l.schedule.Add(e)
	case types.WantEpoch:
		l.onWantEpoch(e, out)
	case types.Restored:
		l.onRestored(e, out)
	case types.Boot:
		l.onBoot(out)
	case heartbeat:
		l.onHeartbeat(out)
	default:
		l.toInstance(ev, out)
		return
	}
	l.advance(out)
}

// toInstance passes on what an instance, or the log itself, addressed to an
// instance of this replica. It may be gone by now.
func (l *Log) toInstance(ev mir.Event, out *mir.Out) {
	nr, leader, ok := splitSub(ev.Sub)
	if !ok {
		panic(fmt.Sprintf("iss: invariant broken: got %s for instance %d", ev.Body.EventName(), ev.Sub))
	}
	e := l.epoch(nr)
	if e == nil || len(e.instances) == 0 {
		return
	}
	if place, leads := e.place(leader); leads {
		e.instances[place].Apply(ev, out)
	}
}

// epoch is nil if the epoch has not begun or is collected.
func (l *Log) epoch(nr types.Epoch) *epoch {
	if nr < l.first || nr-l.first >= types.Epoch(len(l.epochs)) {
		return nil
	}
	return l.epochs[nr-l.first]
}

func (l *Log) onSlotProposed(e types.SlotProposed) {
	if cur := l.current(); e.Seq >= cur.start && e.Seq < cur.end() {
		cur.needed = max(cur.needed, cur.index(e.Seq)+1)
	}
}

// onSlotDecided puts a value into the log. An own proposal that lost its slot
// is queued again, before all that came later.
func (l *Log) onSlotDecided(e types.SlotDecided) {
	cur := l.current()
	if e.Seq < cur.start {
		return // Of an epoch that a snapshot ended before the instance could say so.
	}
	cur.decide(e.Seq, e.Proposal)
	if len(e.Proposal.Certs) > 0 {
		cur.needed = max(cur.needed, cur.index(e.Seq)+1)
	}
	for _, c := range e.Proposal.Certs {
		l.queue.forget(c)
	}
	if own, ok := l.inFlight[e.Seq]; ok {
		delete(l.inFlight, e.Seq)
		if l.queue.putBack(own.Certs) > 0 {
			l.stats.Requeued++
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
		if _, known := l.schedule.At(cur.nr + 1); !known {
			break // Delivery must follow first.
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
			l.endEpoch(cur)
			out.Emit(l.cfg.Delivery, types.EpochEnd{Epoch: cur.nr, Policy: appendRecord(nil, l.record)})
		}
	}
}

// endEpoch draws what follows from a complete epoch for the leaders of the next,
// and for their timeouts: where leaders of weight more than f were deposed, a
// correct one was, so they had too little time.
func (l *Log) endEpoch(e *epoch) {
	suspects := e.suspects()
	l.record = l.cfg.Policy.after(l.record, e.nr, e.leaders, suspects)
	var weight uint64
	for _, id := range suspects {
		weight += e.members.Weight(id)
	}
	switch {
	case e.members.HasCorrect(weight):
		l.patience = min(l.patience+1, patienceMax)
	case len(suspects) == 0:
		l.patience = max(l.patience-1, 0)
	}
}

// becomeInEpoch begins the next epoch with the messages that came early for it.
func (l *Log) becomeInEpoch(nr types.Epoch, out *mir.Out) {
	if len(l.inFlight) > 0 {
		panic(fmt.Sprintf("iss: invariant broken: epoch %d begins with %d own slots in flight", nr, len(l.inFlight)))
	}
	e, recovered, err := l.newEpoch(nr)
	if err != nil {
		panic(fmt.Sprintf("iss: invariant broken: %v", err))
	}
	l.epochs = append(l.epochs, e)
	l.reboot = recovered
	l.begin(out)
}

// begin tells everybody about the current epoch, which has just been made, and
// goes on where peers or records have come further.
func (l *Log) begin(out *mir.Out) {
	cur := l.current()
	begun := types.EpochBegun{Epoch: cur.nr, Leaders: cur.leaders}
	out.Emit(l.cfg.Mempool, begun)
	out.Emit(l.cfg.Availability, begun)
	l.dropStale(out)
	for _, instance := range l.reboot {
		instance.Apply(mir.Event{To: l.cfg.Self, Body: types.Boot{}}, out)
	}
	l.reboot = nil
	l.replayEarly(out)
	if l.orderedByOthers() >= cur.end() {
		cur.needed = len(cur.slots)
		l.tellNeeded(out)
		l.tellMissed(cur.end(), out)
	}
	l.handOverAgain(out)
}

// tellNeeded tells the instances, once for each slot, what the log waits for.
func (l *Log) tellNeeded(out *mir.Out) {
	cur := l.current()
	for ; cur.told < cur.needed && len(cur.instances) > 0; cur.told++ {
		if !cur.slots[cur.told].decided {
			sub := SubOf(cur.nr, cur.leaderOf(cur.told))
			out.EmitSub(l.cfg.Self, sub, types.SlotNeeded{Seq: cur.start + types.SeqNr(cur.told)})
		}
	}
}

// tellMissed tells the instances that peers have decided what is undecided here
// below a sequence number.
func (l *Log) tellMissed(below types.SeqNr, out *mir.Out) {
	cur := l.current()
	missed := make([]bool, len(cur.leaders))
	for at := cur.ordered; at < len(cur.slots) && cur.start+types.SeqNr(at) < below; at++ {
		missed[at%len(cur.leaders)] = missed[at%len(cur.leaders)] || !cur.slots[at].decided
	}
	for place, leader := range cur.leaders {
		if missed[place] && len(cur.instances) > 0 {
			out.EmitSub(l.cfg.Self, SubOf(cur.nr, leader), types.SlotsMissed{})
		}
	}
}

// collect closes the instances of epochs that are complete here and old enough,
// and forgets what they wrote down. The current epoch stays, complete or not.
func (l *Log) collect(out *mir.Out) {
	for len(l.epochs) > 1 && l.first+types.Epoch(l.cfg.KeepEpochs) < l.stable {
		l.close(l.epochs[0], out)
		l.epochs[0] = nil
		l.epochs = l.epochs[1:]
		l.first++
	}
	l.schedule.Forget(l.first)
	l.forget(out)
}

func (l *Log) close(e *epoch, out *mir.Out) {
	for _, instance := range e.instances {
		instance.Apply(mir.Event{To: l.cfg.Self, Body: types.CloseSegment{}}, out)
	}
}

// forget deletes the records of epochs whose instances are gone and which no
// restart would begin again: that a checkpoint is stable is not enough, since this
// replica may have the state of an earlier one only, and would then sign in those
// epochs without knowing what it has signed.
func (l *Log) forget(out *mir.Out) {
	until := min(l.first, l.restart)
	if until <= l.forgotten {
		return
	}
	out.Emit(l.cfg.Store, types.Persist{
		Deletes: []types.KeyRange{{From: types.EpochKey(l.forgotten), To: types.EpochKey(until)}},
	})
	l.forgotten = until
}
