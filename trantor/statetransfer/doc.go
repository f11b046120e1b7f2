// Package statetransfer brings a replica that fell behind to a later checkpoint.
//
// A replica is behind when a stable checkpoint is ahead of what it has executed.
// Mostly it is about to catch up by itself. If it executes nothing for
// CatchUpAfter, or its delivery says that positions were missed, it fetches the
// checkpoint's snapshot from the replicas that signed it: first the list of chunk
// digests, which the checkpoint's digest covers, then the chunks, each of which
// the list covers. What is complete goes to checkpoint, which keeps it, and to
// delivery, which takes over the state (types.InstallSnapshot).
//
// The package's one opinion is that nothing a server says has to be believed:
// every answer is verified by itself, so a server that lies or keeps silent
// costs a request and its turn. It gets no other turn until all servers have
// failed in the same way, or this replica has caught up. Turns and failures outlive
// a transfer: each begins where the one before left off. Where all have failed they
// are waited for twice as long, up to patienceMax ticks, since it may have been the
// network that was slow.
//
// Servers have the latest snapshot that this replica holds, the one before, and
// those that some peer is fetching right now, so that a transfer is not overtaken
// by every checkpoint: peers pin what they ask for, one snapshot each, and at
// most servedMax are kept. Who asks for one that is gone hears of the latest
// checkpoint (types.PeerBehind). What is pinned is so at one server, the one that
// gave the list: it gives the first chunk, too, and those that others failed to
// give, being past that snapshot. A transfer for which it has nothing either goes on
// with the latest stable checkpoint, if that is another by then.
//
// What it does not do: it persists nothing (a transfer begins again after a
// restart), and it fetches no batches and no part of the log.
//
// Memory: the snapshot being fetched, and servedMax others, which are those that
// checkpoint and delivery made. On the wire at most ChunksInFlightMax chunks of
// 256 KiB are on their way here, and ServeChunksMax for each peer leave in a
// RetryAfter: 16 MiB with 64.
package statetransfer
