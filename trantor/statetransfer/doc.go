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
// failed in the same way.
//
// Servers have the latest snapshot that this replica holds, the one before, and
// those that some peer is fetching right now, so that a transfer is not overtaken
// by every checkpoint: peers pin what they ask for, one snapshot each, and at
// most servedMax are kept. Who asks for one that is gone hears of the latest
// checkpoint (types.PeerBehind). A transfer without progress for idleTicksMax
// goes on with the latest stable checkpoint, if that is another by then.
//
// What it does not do: it persists nothing (a transfer begins again after a
// restart), and it fetches no batches and no part of the log.
//
// Memory: the snapshot being fetched, and servedMax others, which are those that
// checkpoint and delivery made. On the wire at most ChunksInFlightMax chunks of
// 256 KiB are on their way here, and ServeChunksMax for each peer leave in a
// RetryAfter: 16 MiB with 64.
package statetransfer
