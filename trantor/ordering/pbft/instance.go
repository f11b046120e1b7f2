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

// viewsAheadMax is how far above its own view an instance keeps votes. Timeouts
// double, so 8 views are 256 times the first timeout.
const viewsAheadMax = 8

// timeoutDoublingsMax ends the growth of the timeout, before it overflows.
const timeoutDoublingsMax = 16

// Config of an Instance.
//
// Memory for each slot: a vote and a commit of every replica for each view up
// to viewsAheadMax above the current one, and a value for each replica and view
// at most. For the segment: one view change of every replica.
type Config struct {
	Node    types.NodeID
	Members quorum.Membership
	Crypto  crypto.Crypto

	Log   mir.ModuleID // Gets the events of the instance, and its peers' messages, under Sub.
	Net   mir.ModuleID
	Timer mir.ModuleID

	// Validate tells whether a proposal may be ordered. It must be pure: all
	// correct replicas answer alike. It is not asked about the empty proposal.
	Validate func(types.Proposal) error

	Timeout time.Duration // Of view 0.
	Stats   *Stats        // Shared by all instances of a replica.
}

// Stats say what instances did, and why they dropped messages.
type Stats struct {
	ViewChanges uint64 // Views that were left.
	NewViews    uint64 // Views that were entered.

	Stranger     uint64 // From no member, or not from the one who may send it.
	Malformed    uint64 // About a slot or view that is not, or ill-ordered.
	BadSignature uint64 // A signature or certificate does not verify.
	Invalid      uint64 // A proposal that Validate refuses.
	Repeated     uint64 // The same again, or of a view that has passed.
	Equivocation uint64 // A second, different vote or proposal for one slot and view.
	TooFar       uint64 // Of a view more than viewsAheadMax ahead.
	Contradicted uint64 // A new view would change a decided value: more than f are faulty.
}

// timeout is the instance's timer. Only the latest that was set counts.
type timeout struct{ generation uint64 }

func (timeout) EventName() string { return "pbft.Timeout" }

// Instance agrees on one segment. It is a mir.Module, addressed by Sub.
type Instance struct {
	cfg     Config
	sub     mir.SubID
	segment types.Segment
	others  []types.NodeID
	slots   []*slot

	view    types.View
	active  bool // False between leaving for view and entering it.
	changes []*change

	waiting    int // Invariant: how many slots are needed and undecided.
	timerOn    bool
	generation uint64
}

// change is the latest valid view change of a replica.
type change struct {
	ViewChange
	digest types.Digest // Of the bytes that are signed.
}

// New makes an instance that waits for proposals of segment. Its peers' messages
// and its timer come to instance sub of module cfg.Log. It panics where the
// wiring is wrong.
func New(cfg Config, segment types.Segment, sub mir.SubID) *Instance {
	switch {
	case !cfg.Members.Has(cfg.Node) || !cfg.Members.Has(segment.Leader):
		panic(fmt.Sprintf("pbft: replica %d or leader %d is no member", cfg.Node, segment.Leader))
	case len(segment.Slots) == 0 || len(segment.Slots) > MaxSlots:
		panic(fmt.Sprintf("pbft: segment of %d slots, want 1 to %d", len(segment.Slots), MaxSlots))
	case cfg.Timeout <= 0 || cfg.Validate == nil || cfg.Stats == nil || cfg.Crypto == nil:
		panic("pbft: Timeout, Validate, Stats and Crypto must be set")
	}
	i := &Instance{
		cfg: cfg, sub: sub, segment: segment, active: true,
		changes: make([]*change, cfg.Members.N()),
	}
	i.others = slices.DeleteFunc(cfg.Members.Nodes(), func(id types.NodeID) bool { return id == cfg.Node })
	for _, seq := range segment.Slots {
		i.slots = append(i.slots, newSlot(seq, cfg.Members.N()))
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
	case timeout:
		i.onTimeout(e, out)
	case types.CloseSegment:
		i.stopTimer(out)
	default:
		panic(fmt.Sprintf("pbft: invariant broken: got %s", ev.Body.EventName()))
	}
}

func (i *Instance) onReceived(e mir.Received, out *mir.Out) {
	if !i.cfg.Members.Has(e.From) || e.From == i.cfg.Node {
		i.cfg.Stats.Stranger++
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
	case Decision:
		i.onDecision(e.From, m, out)
	default:
		i.cfg.Stats.Malformed++
	}
}

// leader is the replica that leads a view.
func (i *Instance) leader(v types.View) types.NodeID {
	n := uint64(i.cfg.Members.N())
	return types.NodeID((uint64(i.segment.Leader) + uint64(v)) % n)
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

func (i *Instance) broadcast(m mir.Message, out *mir.Out) {
	if len(i.others) > 0 {
		i.send(i.others, m, out)
	}
}

func (i *Instance) send(to []types.NodeID, m mir.Message, out *mir.Out) {
	out.Emit(i.cfg.Net, mir.Send{To: to, Dest: i.cfg.Log, Sub: i.sub, Msg: m})
}

// need marks a slot as one that the log waits for.
func (i *Instance) need(s *slot, out *mir.Out) {
	if s.needed || s.decided {
		return
	}
	s.needed = true
	i.waiting++
	if !i.timerOn {
		i.restartTimer(out)
	}
}

// restartTimer gives the view a whole timeout from now on if anything is waited
// for. A replica that has left its view gives the next one no time before a
// quorum has left too (CL02, section 4.5.2), so that one replica alone does not
// run through the views.
func (i *Instance) restartTimer(out *mir.Out) {
	if i.waiting == 0 || (!i.active && !i.quorumLeft()) {
		i.stopTimer(out)
		return
	}
	i.generation++
	i.timerOn = true
	out.Emit(i.cfg.Timer, mir.SetTimer{
		ID:    i.timerID(),
		After: i.cfg.Timeout << min(i.view, timeoutDoublingsMax),
		Fire:  mir.Event{To: i.cfg.Log, Sub: i.sub, Body: timeout{generation: i.generation}},
	})
}

func (i *Instance) stopTimer(out *mir.Out) {
	if i.timerOn {
		i.timerOn = false
		i.generation++
		out.Emit(i.cfg.Timer, mir.CancelTimer{ID: i.timerID()})
	}
}

func (i *Instance) timerID() mir.TimerID { return mir.TimerID{Owner: i.cfg.Log, Sub: i.sub} }

func (i *Instance) onTimeout(e timeout, out *mir.Out) {
	if !i.timerOn || e.generation != i.generation {
		return // It fired while it was being cancelled.
	}
	i.timerOn = false
	i.becomeLeaving(i.view+1, out)
}
