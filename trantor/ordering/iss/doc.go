// Package iss makes one log of the segments of many leaders: ISS
// (Stathakopoulou, Pavlovic, Vukolić, EuroSys'22).
//
// The log is divided into epochs of equal length. Slot i of an epoch belongs to
// the segment of leaders[i mod len(leaders)]: they all lead at the same time.
// Each segment is agreed on by an instance of its own, which the wiring injects:
// this package knows no agreement protocol, only the events of types/ordering.go.
//
// Who takes part. The members of an epoch are those of its configuration, which
// delivery says ConfigDelay epochs before; an epoch waits for it. Its leaders
// follow from the log by a [Policy]. A member that does not lead hands its
// certificates to one that does, to the next one at each heartbeat. A replica
// that is no member has no instances and says nothing: it learns of the log by
// state transfer, and takes part from the epoch after the snapshot if it is a
// member of that.
//
// When something is proposed. A leader puts certificates into its own next slot
// as soon as there is one and fewer than OwnInFlightMax of its proposals are
// undecided. Since the log has no gaps, everybody's slots below the highest
// proposed one are needed: their leaders skip them at once, and every replica
// tells its instances to depose a leader that does not. Without certificates
// nothing is proposed.
//
// How an epoch ends. The next epoch begins when all slots of this one are
// decided here. A leader may run out of slots while the others are idle, or
// lose its segment in a view change, or transactions may wait for another leader
// (types.WantEpoch); it then asks with FINISH-EPOCH, and everybody needs all
// slots of the epoch. A faulty replica gains nothing by asking: proposing in its
// own last slot does the same.
//
// The heartbeat. Every HeartbeatAfter a member sends STATUS, the slots that it
// has ordered, to all: the only thing that an idle system sends. Slots that any
// peer has ordered are needed here. Where peers of weight more than f are ahead,
// the instances ask them at once: at a heartbeat if the gap is a heartbeat old,
// and at the beginning of an epoch that those peers have ended, so that a replica
// that is behind follows by a few round trips for each epoch, and never by more
// questions than one for each segment and heartbeat. FINISH-EPOCH and what is
// handed over is sent again then too, MaxCertsPerSlot certificates at most.
//
// Certificates that a slot was to carry and that lost it to the empty proposal
// go to the front of the queue again. The queue holds each certificate once, and
// none that lacks weight among the members of the current epoch: availability
// learns of it (types.CertStale) and collects again.
//
// Epochs may begin EpochsAheadMax ahead of the checkpoint, no further. The
// instances of a finished epoch go on answering until the checkpoint KeepEpochs
// after it is stable; then they are closed and their records deleted. A peer that
// needs more shows it by its STATUS: it is the checkpoint's (types.PeerBehind) and
// state transfer's to help.
//
// After a restart ([Log.Recover]) and after a snapshot (types.Restored) the log
// goes on in the epoch after it. What instances wrote down waits for their epoch
// to begin again, and what was in flight is queued again.
//
// Timeouts of an epoch's instances are doubled for every epoch in which leaders
// of weight more than f were deposed, so a correct one, up to 2^10 times, and
// halved for every epoch without: whatever the network's delay is, some epoch
// has more patience.
//
// Memory: EpochLength slots and one instance for each leader in at most
// KeepEpochs + EpochsAheadMax + 1 epochs; of each peer BufferedMax messages of
// BufferedBytesMax in all for later epochs, and HandedMax certificates; and the
// own certificates, which the mempool bounds.
//
// What it does not do: it does not look into batches, and fetches none.
//
// Cost beside the instances: a constant number of events for each slot.
package iss
