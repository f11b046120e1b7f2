// Package iss makes one log of the segments of many leaders: ISS
// (Stathakopoulou, Pavlovic, Vukolić, EuroSys'22).
//
// The log is divided into epochs of equal length. Slot s of an epoch that
// starts at sequence number b belongs to the segment of replica (s - b) mod n,
// so all replicas lead at the same time. Each segment is agreed on by an
// instance of its own, which the wiring injects: this package knows no
// agreement protocol, only the events of types/ordering.go.
//
// When something is proposed. A replica puts its certificates into its own next
// slot as soon as there is one and fewer than OwnInFlightMax of its proposals
// are undecided. Since the log has no gaps, everybody's slots below the highest
// proposed one are needed: their leaders propose the empty proposal for them at
// once, and every replica tells its instances to depose a leader that does not.
// Without certificates nothing is proposed and nothing is sent.
//
// How an epoch ends. The next epoch begins when all slots of this one are
// decided here. A leader may run out of slots while the others are idle, or
// lose its segment in a view change; holding certificates, it then asks with
// FINISH-EPOCH, and everybody needs all slots of the epoch. A faulty replica
// gains nothing by asking: proposing in its own last slot does the same.
//
// Certificates that a slot was to carry and that lost it to the empty proposal
// go to the front of the queue again.
//
// Epochs may begin EpochsAheadMax ahead of the checkpoint, no further. The
// instances of a finished epoch go on answering until the checkpoint KeepEpochs
// after it is stable. One such epoch is enough for a replica from which a faulty
// leader hides a proposal: while it asks for the value (pbft's DECISION), it
// leads nothing in the next epoch, which therefore does not end before the
// others have waited for it as long as it waits itself before it asks. With
// none, a checkpoint by the faulty replica and the others would come first, and
// with both of them missing no quorum would be left.
//
// What it does not do: it does not look into certificates, it fetches nothing
// for a replica that is many epochs behind (that is state transfer), and all
// epochs have the same leaders.
//
// Cost beside the instances: a constant number of events for each slot.
package iss
