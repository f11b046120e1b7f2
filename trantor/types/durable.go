package types

import "github.com/perfgate/perfgate/mir"

// What a module says must be durable before it shows. A replica that restarts
// hands every module the records that it wrote (each package's Recover), so a
// module writes down whatever it must not contradict later: what it signed, what
// it acknowledged, what a quorum relies on it to keep.

// Record is one key of a replica's durable state. The first byte of a key names
// the module that owns it: one of the Records constants.
type Record struct{ Key, Value []byte }

// The first bytes of keys, by owner.
const (
	RecordsAvailability  byte = 'a'
	RecordsCheckpoint    byte = 'c'
	RecordsOrdering      byte = 'o'
	RecordsStateTransfer byte = 's'
)

// KeyRange is the keys from From up to but not including To.
type KeyRange struct{ From, To []byte }

// Persist: any module -> store. Deletes and then Puts are made durable, all of
// them or none, and then, not before, the store emits Then in order. What one
// replica persists becomes durable in the order in which it is sent, and Then of
// an earlier Persist comes before Then of a later one. Where durability is off,
// Then follows at once. The sender does not change the slices any more.
//
// A message that must not leave before it is durable is a mir.Send in Then. Own
// votes count from then on too: a module that names its own node among the
// receivers gets its copy at the right moment.
type Persist struct {
	Deletes []KeyRange
	Puts    []Record
	Then    []mir.Event
}

// Boot is the first event that a module of a replica gets, after Recover: the
// moment to set timers and to send again what was under way.
type Boot struct{}

func (Persist) EventName() string { return "store.Persist" }
func (Boot) EventName() string    { return "replica.Boot" }
