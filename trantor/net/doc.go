// Package net carries messages between replicas that are processes of their own:
// a mir.Active module that serves mir.Send and injects mir.Received, as
// mir.InprocPort does inside one process.
//
// The one opinion it holds: a peer is a public key, and whatever a peer does
// costs that peer's link alone. It may stop reading, send garbage, flood, come
// back a hundred times a second; the links of the others stay as they were.
//
// # Links
//
// There is one connection for each ordered pair of replicas, made by the one that
// sends, with one gRPC stream of frames on it; nothing but its acceptance comes
// back. A frame is the destination module (2 bytes), the instance (8) and the
// message as the Codec writes it, which is encoded once for a broadcast and not
// copied on its way into TLS. A sender whose connection ends tries again for ever,
// after a time that doubles and is jittered (Limits.BackoffMin, BackoffMax). A
// peer's new connection replaces its old one.
//
// Delivery is as good as a connection: in order within a lane, each message at
// most once, and what was on its way when a connection ended, or did not fit, is
// lost and counted. Protocols send again what matters.
//
// # Who may connect
//
// Mutual TLS 1.3 and nothing else. Each replica signs its certificate itself; the
// certificate names the system and the replica, and the other side compares its
// key with the one that the configuration has for that replica
// (types.Member.Key). There are no authorities, names, tickets or revocation
// lists: SetPeers decides. A stranger, a wrong key or system, a time outside the
// certificate's, or a peer that is being punished is refused and counted.
//
// # What bounds what
//
//   - To a peer: an outbox in bytes (mir.OutboxBounds). Above PauseBytes it holds
//     the node's clients; at MaxBytes, or at PauseBytes while the peer is not
//     connected, the newest message is dropped. A hold ends when the connection
//     does, and after Limits.HoldMax: then the peer was too slow to wait for and
//     holds nobody again before its outbox is drained to ResumeBytes. What remains
//     to a faulty peer is to read just fast enough: it can slow clients down to
//     (PauseBytes - ResumeBytes) / HoldMax.
//   - From a peer: the size of a message; messages and bytes a second; its share
//     of the node's input (Limits.UndeliveredMessages, UndeliveredBytes); what it
//     has sent and nobody reads yet (an HTTP/2 window of 8 MiB). All but the first
//     are met by reading more slowly, which the peer feels and nobody else.
//     Malformed frames end the connection after Limits.BadFramesMax, messages that
//     are too large at once, and either has the peer refused for a while.
//   - From strangers: connections in the handshake, in number and in time.
//
// The vote lane: messages of at most 4 KiB overtake larger ones in the outbox, 64
// at most before a larger one has its turn. They do not overtake the one that is
// being written: a vote waits for at most one message, 8 MiB at most of a batch,
// which takes 7 ms at 10 Gbit/s and 70 ms at 1 Gbit/s. Writes of several frames at
// once, and streams of their own for votes, are left for a profile to ask for.
//
// # Who waits for whom
//
//   - A node's loop waits for nobody: Apply puts into an outbox, or drops.
//   - A sender waits for its peer's receiver, through TCP and HTTP/2 windows.
//   - A receiver waits for its peer's share, for room in its own node's input,
//     and for the clock of a token bucket. The first two are freed by its own
//     node's loop, which applies events; the share is given back by an event in
//     the same queue (net.Applied), behind the messages that it counts. Before
//     it reads anything it waits for the receiver of the peer's connection before.
//   - Clients wait for outboxes that hold them, that is for senders, and at most
//     Limits.HoldMax.
//
// So clients wait for senders, senders for receivers, and receivers for loops,
// which wait for nobody: there is no cycle, and two nodes with full outboxes
// towards each other both keep draining. Stop waits for no peer: it closes the
// sockets, and whoever waits sees that.
//
// # Costs
//
// A sketch for the reference machine (AES-GCM 5.7 GB/s, loopback TCP 3 GB/s,
// memory 10 GB/s, a goroutine hand-over 0.2 to 2 µs). A byte is read by the
// sender's TLS, copied into and out of the kernel, opened, put together from 16
// KiB pieces and copied once more by the codec: 0.18 + 2 * 0.17 + 0.18 + 2 * 0.1
// = 0.9 ns for both sides at least. Measured it is 2.4 ns (a broadcast of 64 KiB
// to 15 peers takes 1.25 ms on both cores): buffers are cleared and copied inside
// gRPC too. A batch of 512 KiB to 3 peers costs 3.8 ms of one core. A message costs
// beside its bytes a system call on each side (1 to 2 µs) and some eight
// hand-overs between the loop, the sender, gRPC's writer, its reader, the receiver
// and the loop: 13 µs one way, and about 25 allocations. BenchmarkNetRoundTrip and
// BenchmarkNetBroadcast in benchsuite/micro measure it.
//
// What it does not do: it does not say who is a member, keeps no message beyond
// its process, and has no part in what messages mean.
package net
