package types

// Events by which a replica that fell behind comes to a later checkpoint, and
// helps others to.

// PeerBehind: ordering, state transfer -> checkpoint. The peer shows that it is
// in an epoch of which this replica keeps nothing any more; only the latest
// stable checkpoint can help it.
type PeerBehind struct{ Peer NodeID }

// HeldSnapshot: checkpoint -> state transfer, ordering. This replica has the
// snapshot of a stable checkpoint, the latest so far, on disk: after a restart it
// goes on from there.
type HeldSnapshot struct {
	Checkpoint StableCheckpoint
	Data       []byte
}

// AskExecuted: state transfer -> delivery, which answers with Executed.
type AskExecuted struct{}

// Executed: delivery -> state transfer. All epochs below Epoch are executed, and
// Progress rises with everything that is. Behind says that positions were missed,
// so that the log can not be executed any further.
type Executed struct {
	Epoch    Epoch
	Progress uint64
	Behind   bool
}

func (PeerBehind) EventName() string   { return "ordering.PeerBehind" }
func (HeldSnapshot) EventName() string { return "checkpoint.HeldSnapshot" }
func (AskExecuted) EventName() string  { return "statetransfer.AskExecuted" }
func (Executed) EventName() string     { return "delivery.Executed" }
