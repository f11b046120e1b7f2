// Package checkpoint makes the state at the end of an epoch final.
//
// Each replica signs a digest of its snapshot and sends the VOTE to all. Votes
// of a quorum for one digest are a stable checkpoint (Castro and Liskov, TOCS'02,
// section 4.4, with epochs in place of sequence numbers): the log up to that
// point is final, and a correct replica holds the state.
//
// Votes are sent once. A replica whose vote shows that it is behind the
// answering replica's stable checkpoint gets that checkpoint's certificate, so
// that votes which it dropped as too far ahead hold up nothing.
//
// The package's one opinion is that a replica whose own state differs from what
// a quorum signed must stop: with at most f faulty, its application is broken.
//
// What it does not do: it moves no snapshots between replicas (that is state
// transfer, for which [Checkpoint.Stable] keeps the latest), and it collects
// nothing of other modules; they get types.StableCheckpoint.
//
// Cost for each epoch and replica: one signature made, n verified. Memory: one
// vote of each replica for each of EpochsAheadMax epochs, and own snapshots
// from the stable one to the latest.
package checkpoint
