package pbft

import (
	"fmt"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// How far from its own view an instance keeps votes. Timeouts double, so 8 views
// are 256 times the first timeout.
const (
	viewsAheadMax  = 8
	viewsBehindMax = 8 // Commits only, and only while the slot is undecided.
)

// Config of an Instance.
//
// Memory for each slot, with n replicas of which f are faulty: votes and commits
// of every replica for at most viewsBehindMax + 1 + viewsAheadMax = 17 views, of
// about 160 bytes a pair, so 2.7 KB * n. Values by digest: the first proposal
// of the leader, the one that a quorum prepared (no two values can be prepared,
// since later views propose it again or nothing), the empty one, and one claimed
// by each replica that says it decided, so n+3 while undecided, of which f+1 at
// most are not what the correct replicas have; once decided, one. A value has
// CertsMax certificates of at most 48 + 72n bytes: 64 * 336 bytes, 21 KiB, at
// n = 4. For the segment: the view change of every replica, with a value and a
// quorum of signatures for each slot at most.
type Config struct {
	Node    types.NodeID
	Members quorum.Membership // Of the segment's epoch. Node is one of them.
	Crypto  crypto.Crypto

	Log   mir.ModuleID // Gets the events of the instance, and its peers' messages, under Sub.
	Net   mir.ModuleID
	Timer mir.ModuleID
	Store mir.ModuleID // Gets types.Persist.

	// Validate tells whether a proposal may be ordered. It must be pure: all
	// correct replicas answer alike. It is not asked about skipped slots.
	Validate func(types.Proposal) error
	CertsMax int // Certificates in a proposal, at most.

	Timeout     time.Duration // Of a slot in view 0.
	ResendAfter time.Duration // Then what did not decide a slot is sent again.
	Stats       *Stats        // Shared by all instances of a replica.
}

// Stats say what instances did, and why they dropped messages.
type Stats struct {
	ViewChanges uint64 // Views that were left.
	NewViews    uint64 // Views that were entered.
	Resent      uint64 // Slots whose messages were sent again.
	Answered    uint64 // Decisions sent to those who asked.

	Stranger     uint64 // From no member, or not from the one who may send it.
	Malformed    uint64 // About a slot or view that is not, or ill-ordered.
	BadSignature uint64 // A signature or certificate does not verify.
	Invalid      uint64 // A proposal that Validate refuses, or that no leader may make.
	Repeated     uint64 // The same again, or of a view that has passed.
	Equivocation uint64 // A second, different vote or proposal for one slot and view.
	TooFar       uint64 // Of a view more than viewsAheadMax ahead.
	TooOften     uint64 // A second question of one replica within ResendAfter.
	Refused      uint64 // From one that has shown something invalid before.
	Contradicted uint64 // A new view would change a decided value: more than f are faulty.
}

// Instance agrees on one segment. It is a mir.Module, addressed by Sub.
type Instance struct {
	cfg     Config
	sub     mir.SubID
	segment types.Segment
	all     []types.NodeID // The members.
	others  []types.NodeID // The members but this one.
	slots   []*slot

	view    types.View
	active  bool         // False between leaving for view and entering it.
	led     *NewView     // The latest one that this replica made.
	changes []*change    // By replica.
	voted   []types.View // By replica: the highest view that a vote of it named. It has left all below.
	exposed []bool       // By replica: it sent what no correct replica does.

	waiting   int    // Invariant: how many slots are needed and undecided.
	leavingOn bool   // The timer for entering view is set.
	tickOn    bool   // The timer for sending again is set.
	answered  []bool // By replica: it asked and was answered since the last tick.
}

// change is the latest valid view change of a replica.
type change struct {
	ViewChange
	digest types.Digest // Of the bytes that are signed.
}

// New makes an instance that waits for proposals of segment. Its peers' messages
// and its timers come to instance sub of module cfg.Log. It panics where the
// wiring is wrong.
func New(cfg Config, segment types.Segment, sub mir.SubID) *Instance {
	switch {
	case !cfg.Members.Has(cfg.Node) || !cfg.Members.Has(segment.Leader):
		panic(fmt.Sprintf("pbft: replica %d or leader %d is no member", cfg.Node, segment.Leader))
	case len(segment.Slots) == 0 || len(segment.Slots) > MaxSlots:
		panic(fmt.Sprintf("pbft: segment of %d slots, want 1 to %d", len(segment.Slots), MaxSlots))
	case cfg.Timeout <= 0 || cfg.ResendAfter <= 0 || cfg.CertsMax < 1:
		panic("pbft: Timeout, ResendAfter and CertsMax must be positive")
	case cfg.Validate == nil || cfg.Stats == nil || cfg.Crypto == nil:
		panic("pbft: Validate, Stats and Crypto must be set")
	}
	i := &Instance{
		cfg: cfg, sub: sub, segment: segment, active: true, all: cfg.Members.Nodes(),
		changes: make([]*change, cfg.Members.Slots()), voted: make([]types.View, cfg.Members.Slots()),
		exposed: make([]bool, cfg.Members.Slots()), answered: make([]bool, cfg.Members.Slots()),
	}
	i.others = slices.DeleteFunc(cfg.Members.Nodes(), func(id types.NodeID) bool { return id == cfg.Node })
	for at, seq := range segment.Slots {
		i.slots = append(i.slots, newSlot(at, seq, cfg.Members.Slots()))
	}
	return i
}

// Apply implements mir.Module.
func (i *Instance) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case mir.Received:
		i.onReceived(e, out)
	case types.Propose:
		i.onPropose(e, out)
	case types.SlotNeeded:
		i.need(i.mustSlot(e.Seq), out)
	case types.SlotsMissed:
		i.ask(i.lowestWaiting(false), out)
	case timeout:
		i.onTimeout(e, out)
	case tick:
		i.onTick(out)
	case types.Boot:
		i.onBoot(out)
	case types.CloseSegment:
		i.stopTimers(out)
	default:
		panic(fmt.Sprintf("pbft: invariant broken: got %s", ev.Body.EventName()))
	}
}

// onReceived takes what peers send, and this replica's own copy of what it sent
// to all: its own votes count when they come back, which is when they are
// durable.
func (i *Instance) onReceived(e mir.Received, out *mir.Out) {
	if !i.cfg.Members.Has(e.From) {
		i.cfg.Stats.Stranger++
		return
	}
	if i.exposed[e.From] && isSigned(e.Msg) {
		i.cfg.Stats.Refused++
		return
	}
	switch m := e.Msg.(type) {
	case PrePrepare:
		i.onPrePrepare(e.From, m, out)
	case Prepare:
		i.onPrepare(e.From, m, out)
	case Commit:
		i.onCommit(e.From, m, out)
	case ViewChange:
		i.onViewChange(e.From, m, out)
	case NewView:
		i.onNewView(e.From, m, out)
	case Ask:
		i.onAsk(e.From, m, out)
	case Decision:
		i.onDecision(e.From, m, out)
	default:
		i.cfg.Stats.Malformed++
	}
}

// isSigned tells whether it takes the verification of signatures to believe a
// message.
func isSigned(m mir.Message) bool {
	switch m.(type) {
	case PrePrepare, Prepare, ViewChange, NewView:
		return true
	}
	return false
}

// expose marks a replica of which something came that does not verify. The channel
// says that it sent it, and whatever a correct replica sends verifies everywhere,
// so it is faulty: one verification is all that it gets here.
func (i *Instance) expose(id types.NodeID) { i.exposed[id] = true }

// leader is the replica that leads a view.
func (i *Instance) leader(v types.View) types.NodeID {
	place, _ := i.cfg.Members.Place(i.segment.Leader) // New saw to it that it is a member.
	return i.cfg.Members.Member(uint64(place) + uint64(v))
}

// slot is nil, and that is counted, where seq is none of the segment.
func (i *Instance) slot(seq types.SeqNr) *slot {
	at, found := slices.BinarySearch(i.segment.Slots, seq)
	if !found {
		i.cfg.Stats.Malformed++
		return nil
	}
	return i.slots[at]
}

// mustSlot is for sequence numbers that this replica's own log names.
func (i *Instance) mustSlot(seq types.SeqNr) *slot {
	at, found := slices.BinarySearch(i.segment.Slots, seq)
	if !found {
		panic(fmt.Sprintf("pbft: invariant broken: slot %d is not of segment %d/%d", seq, i.segment.Epoch, i.segment.Leader))
	}
	return i.slots[at]
}

// persist makes a record durable and then sends m, which says what the record
// says, to all members, this one too.
func (i *Instance) persist(record types.Record, m mir.Message, out *mir.Out) {
	out.Emit(i.cfg.Store, types.Persist{
		Puts: []types.Record{record},
		Then: []mir.Event{{To: i.cfg.Net, Body: mir.Send{To: i.all, Dest: i.cfg.Log, Sub: i.sub, Msg: m}}},
	})
}

// send is for what this replica has said before, or what binds it to nothing.
func (i *Instance) send(to []types.NodeID, m mir.Message, out *mir.Out) {
	if len(to) > 0 {
		out.Emit(i.cfg.Net, mir.Send{To: to, Dest: i.cfg.Log, Sub: i.sub, Msg: m})
	}
}

// need marks a slot as one that the log waits for.
func (i *Instance) need(s *slot, out *mir.Out) {
	if s.needed || s.decided {
		return
	}
	s.needed = true
	i.waiting++
	i.startTick(out)
	if i.active {
		i.startSlotTimer(s, out)
	} else {
		i.startLeavingTimer(out)
	}
}
