package types

// Events between the log (iss) and the agreement instances of its segments.

// Segment is the part of an epoch that one leader proposes for.
type Segment struct {
	Epoch  Epoch
	Leader NodeID
	Slots  []SeqNr // Ascending, without repetition, never empty.
}

// Propose: log -> instance, at the segment's leader only, once for each slot.
// The instance ignores it once its leader is deposed.
type Propose struct {
	Seq      SeqNr
	Proposal Proposal
}

// SlotNeeded: log -> instance. The log cannot end without this slot, so a
// leader that keeps silent about it is to be deposed in time.
type SlotNeeded struct{ Seq SeqNr }

// CloseSegment: log -> instance. No event will follow.
type CloseSegment struct{}

// SlotProposed: instance -> log. Somebody correct saw a proposal for this slot.
type SlotProposed struct{ Seq SeqNr }

// SlotDecided: instance -> log, once for each slot.
type SlotDecided struct {
	Seq      SeqNr
	Proposal Proposal
}

// LeaderDeposed: instance -> log. This replica left the view in which the
// segment's leader proposes, and will ignore Propose.
type LeaderDeposed struct {
	Epoch  Epoch
	Leader NodeID
}

func (Propose) EventName() string       { return "ordering.Propose" }
func (SlotNeeded) EventName() string    { return "ordering.SlotNeeded" }
func (CloseSegment) EventName() string  { return "ordering.CloseSegment" }
func (SlotProposed) EventName() string  { return "ordering.SlotProposed" }
func (SlotDecided) EventName() string   { return "ordering.SlotDecided" }
func (LeaderDeposed) EventName() string { return "ordering.LeaderDeposed" }
