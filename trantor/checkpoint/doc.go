// Package checkpoint makes the state at the end of an epoch final, and keeps it.
//
// Each member of an epoch writes down its snapshot, signs its digest and sends
// the VOTE to all members, itself included. Votes of a quorum for one digest are
// a stable checkpoint (Castro and Liskov, TOCS'02, section 4.4, with epochs in
// place of sequence numbers): the log up to that point is final, and a correct
// replica holds the state on disk. The certificate is durable before anybody
// hears of it.
//
// Messages get lost. A replica sends its votes again every ResendAfter until
// their epoch is stable here, at most EpochsAheadMax of them. Whoever votes for
// an epoch that is over, repeats a vote, or is said to be behind by ordering or
// state transfer (types.PeerBehind), gets the latest CERTIFICATE instead, at most
// once in ResendAfter.
//
// A replica that is no member, and one that came back, ASKs. So does one that
// for a whole tick has not executed what others of weight more than f have, and one that
// gets a certificate which it cannot verify: the members may have changed since
// it last heard of them. It then gets the PROOF of the first change that it does
// not know: a checkpoint with the beginning of its snapshot, where the members
// of later epochs are listed. Proofs lead from change to change. A certificate of
// an epoch with unknown members is verified by the latest members that are known;
// this takes for granted that replicas which left stay as correct as they were.
//
// The package's one opinion is that a replica whose own state differs from what
// a quorum signed must stop: with at most f faulty, its application is broken.
//
// What it does not do: it moves no snapshots between replicas (state transfer
// does, to which it hands those it holds), and it collects nothing of other
// modules; they get types.StableCheckpoint. Availability gets it when the state is
// on disk here too: a restart goes back to the latest such state, and must find
// what it acknowledged since. So that this follows a replica that executes more
// slowly than the others, up to passedMax stable checkpoints wait for their state.
//
// Cost for each epoch and replica: one signature made, n-1 verified, a snapshot
// written. Memory: one vote of each replica for each of EpochsAheadMax epochs,
// own snapshots from the last stable one that is held to the latest, the
// certificates of passedMax stable checkpoints, and proofsMax proofs, each a list of at most 512 KiB and a chunk.
package checkpoint
