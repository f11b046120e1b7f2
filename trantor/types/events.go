package types

// Events between the modules of one replica, in the order in which a
// transaction meets them.

// Submit hands a transaction to the mempool.
type Submit struct{ Tx Tx }

// SubmitResult tells the results module what became of a Submit: Err is nil, or
// one of the mempool's typed errors.
type SubmitResult struct {
	ID  TxID
	Err error
}

// Flush asks the mempool to close the batch being filled now.
type Flush struct{}

// NewBatch: mempool -> availability. Data is the encoded batch (EncodeBatch) of
// transactions whose buckets are this replica's in Epoch.
type NewBatch struct {
	Data  []byte
	Epoch Epoch
}

// BatchVoided: availability -> mempool. A batch of this replica found no
// certificate while that was possible, so its transactions must go another way.
type BatchVoided struct{ Data []byte }

// CertReady: availability -> ordering. A batch of this replica is certified.
type CertReady struct{ Cert Certificate }

// CertStale: ordering -> availability. A certificate has too little weight under
// the members of the current epoch, so it cannot be proposed: its creator, if
// this replica is, shall collect again. It comes after the EpochBegun of that
// epoch.
type CertStale struct{ Cert Certificate }

// Ordered: ordering -> delivery. Sent in order of Seq without gaps.
type Ordered struct {
	Seq      SeqNr
	Epoch    Epoch
	Proposal Proposal
}

// EpochEnd: ordering -> delivery, after the last Ordered of the epoch. Policy is
// what ordering must remember of the log so far to choose the leaders of later
// epochs; it is part of the state after the epoch.
type EpochEnd struct {
	Epoch  Epoch
	Policy []byte
}

// NeedBatch: delivery -> availability. Answered with BatchData, now or once it
// was fetched from a signer.
type NeedBatch struct{ Cert Certificate }

// BatchData: availability -> delivery. Data hashes to Batch.
type BatchData struct {
	Batch Digest
	Data  []byte
}

// BatchUsed: delivery -> availability. The batch was delivered at Epoch, and may be collected
// once that epoch's checkpoint is stable and old enough. Any other batch of that creator with
// the same number will never be asked for.
type BatchUsed struct {
	Batch   Digest
	Epoch   Epoch
	Creator NodeID
	No      BatchNo
}

// Delivered: delivery -> results, one per delivered transaction, in order.
type Delivered struct {
	Seq    SeqNr
	Tx     Tx
	Result []byte
}

// Progress: delivery -> mempool. The transactions IDs are delivered; those in
// Dropped came by in the log and were not (a duplicate, or outside its client's
// window), so that whoever submitted them can forget them.
type Progress struct {
	IDs     []TxID
	Dropped []TxID
}

// Snapshot: delivery -> checkpoint. The state after the last transaction of Epoch.
type Snapshot struct {
	Epoch Epoch
	Data  []byte
}

// StableCheckpoint: checkpoint -> ordering, availability, state transfer, results.
// Signatures of a quorum of the epoch's members agree on the state at the end of
// Epoch: Digest is SnapshotDigest of the snapshot.
type StableCheckpoint struct {
	Epoch  Epoch
	Digest Digest
	Sigs   []Signature
}

// InstallSnapshot: state transfer -> delivery and checkpoint. The snapshot is that
// of a stable checkpoint ahead of this replica, verified against it.
type InstallSnapshot struct {
	Checkpoint StableCheckpoint
	Data       []byte
}

// Restored: delivery -> ordering, availability, mempool, checkpoint, results. The
// replica's state is now that after Epoch, without the log that led there: all
// epochs up to it are over. A module also gets one in Recover, after a restart
// from a snapshot. Receivers clone what they keep and change.
type Restored struct {
	Epoch    Epoch
	Next     SeqNr         // The first position of the next epoch.
	Policy   []byte        // As in EpochEnd.
	Configs  []EpochConfig // Of Epoch+1 and the following epochs, as far as the state determines them.
	Creators []*Window     // The batch numbers that came by, by replica.
	Clients  map[ClientID]*Window
}

func (Submit) EventName() string           { return "client.Submit" }
func (SubmitResult) EventName() string     { return "mempool.SubmitResult" }
func (Flush) EventName() string            { return "client.Flush" }
func (NewBatch) EventName() string         { return "mempool.NewBatch" }
func (BatchVoided) EventName() string      { return "availability.BatchVoided" }
func (CertReady) EventName() string        { return "availability.CertReady" }
func (CertStale) EventName() string        { return "ordering.CertStale" }
func (Ordered) EventName() string          { return "ordering.Ordered" }
func (EpochEnd) EventName() string         { return "ordering.EpochEnd" }
func (NeedBatch) EventName() string        { return "delivery.NeedBatch" }
func (BatchData) EventName() string        { return "availability.BatchData" }
func (BatchUsed) EventName() string        { return "delivery.BatchUsed" }
func (Delivered) EventName() string        { return "delivery.Delivered" }
func (Progress) EventName() string         { return "delivery.Progress" }
func (Snapshot) EventName() string         { return "delivery.Snapshot" }
func (InstallSnapshot) EventName() string  { return "statetransfer.InstallSnapshot" }
func (Restored) EventName() string         { return "delivery.Restored" }
func (StableCheckpoint) EventName() string { return "checkpoint.Stable" }
