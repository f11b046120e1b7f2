package types

import "encoding/binary"

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

// SlotsMissed: log -> instance. Peers have decided slots that this replica needs
// and has not: the instance asks them now rather than when its timer says so.
type SlotsMissed struct{}

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

// Records of ordering begin with RecordsOrdering, the epoch and the segment's
// leader, big-endian, so that those of an epoch, and in it those of a segment,
// are a range. What follows is the instance's business.
const segmentKeyBytes = 1 + 8 + 4

// SegmentKey is how the keys of a segment's records begin.
func SegmentKey(e Epoch, leader NodeID) []byte {
	return binary.BigEndian.AppendUint32(EpochKey(e), uint32(leader))
}

// EpochKey is how the keys of an epoch's records of ordering begin.
func EpochKey(e Epoch) []byte {
	return binary.BigEndian.AppendUint64([]byte{RecordsOrdering}, uint64(e))
}

// SplitSegmentKey is the reverse of SegmentKey and gives what follows it. It
// reports false for a key that is none of ordering's.
func SplitSegmentKey(key []byte) (e Epoch, leader NodeID, rest []byte, ok bool) {
	if len(key) < segmentKeyBytes || key[0] != RecordsOrdering {
		return 0, 0, nil, false
	}
	return Epoch(binary.BigEndian.Uint64(key[1:])), NodeID(binary.BigEndian.Uint32(key[9:])), key[segmentKeyBytes:], true
}

func (Propose) EventName() string       { return "ordering.Propose" }
func (SlotNeeded) EventName() string    { return "ordering.SlotNeeded" }
func (SlotsMissed) EventName() string   { return "ordering.SlotsMissed" }
func (CloseSegment) EventName() string  { return "ordering.CloseSegment" }
func (SlotProposed) EventName() string  { return "ordering.SlotProposed" }
func (SlotDecided) EventName() string   { return "ordering.SlotDecided" }
func (LeaderDeposed) EventName() string { return "ordering.LeaderDeposed" }
