// Package trantor and the packages below it are a Byzantine fault-tolerant
// total-order broadcast and state machine replication: n replicas deliver the
// same transactions in the same order to the same application, as long as
// faulty ones weigh at most f, less than a third of all votes. It is built on
// mir, and orders with ISS over PBFT.
//
// This package holds no code. It is the map.
//
// # One transaction, from submit to delivery
//
//  1. A client hands a transaction (client, number, payload) to one replica or
//     several: types.Submit to the mempool. The mempool refuses duplicates,
//     numbers too far ahead, and anything beyond its bounds with a typed error
//     (types.SubmitResult). Clients are in buckets, which rotate between the
//     leaders with the epochs (types.EpochBegun): what it accepts of its own
//     buckets joins the batch being filled, the rest goes to those whose it is.
//  2. The batch closes on count, bytes, time, or at once where the replica is
//     idle, as one contiguous buffer (types.NewBatch). Package availability
//     numbers it and sends it to every replica. Each stores it and answers with
//     a signature; signatures of weight more than f are a certificate
//     (types.CertReady): some correct replica holds the batch.
//  3. Package ordering/iss puts certificates, never batches, into the
//     replica's own slots of the current epoch, and an instance of
//     ordering/pbft for each leader's segment agrees on each slot. All members
//     lead at the same time, except those that a policy leaves out of an epoch.
//  4. Decided slots without a gap go to package delivery (types.Ordered). It
//     gets the batches behind the certificates from availability
//     (types.NeedBatch, types.BatchData), which fetches those that are missing
//     from a signer, and applies the transactions to the application in log
//     order. A number of a client that was delivered before is dropped here, so
//     a transaction may be ordered twice and is delivered once.
//  5. Whoever runs the replica sees types.Delivered; the mempool frees the
//     transaction (types.Progress), availability marks the batch
//     (types.BatchUsed).
//  6. After the last slot of an epoch (types.EpochEnd) delivery takes a
//     snapshot (types.Snapshot). Package checkpoint writes it down and signs its
//     digest; signatures of a quorum make it stable (types.StableCheckpoint):
//     instances and old batches are collected.
//
// Without faults that is five message delays: batch, acknowledgement, then
// PBFT's pre-prepare, prepare, commit.
//
// # Packages
//
//	types         what modules exchange, the wire primitives
//	quorum        quorum arithmetic over weighted votes
//	crypto        signatures by domain, certificates of signatures
//	mempool       transactions -> batches
//	availability  batches -> certificates, and back
//	ordering/iss  certificates -> one log, of epochs and segments
//	ordering/pbft agreement on the slots of one segment
//	delivery      log -> application
//	checkpoint    makes the state at the end of an epoch final, and keeps it
//	statetransfer a later state for a replica that fell behind
//	app           the application interface, a key-value store
//	replica       wires one replica: passive modules, no clock, no network
//	net           messages between replicas, over mutual TLS
//	store         what a replica must not forget, in a write-ahead log
//	server        a replica as a process; client talks to it
//	cluster       n replicas in one process, in real time
//	simtest       seeded simulations with faults, and their invariants
//
// Protocol modules do not import each other. They are pure transitions, so the
// same ones run in a node and, from a seed, in simulation (mir/sim).
//
// # When things go wrong
//
// Any message may get lost: whatever matters is sent again by the module that
// sent it, until it is answered or moot, and in bounded amounts. An idle system
// sends nothing but the heartbeat of ordering.
//
// A replica may crash and come back. Whatever it must not contradict, and
// whatever others rely on it to keep, is durable (types.Persist, to the store)
// before it shows: batches before their acknowledgement, votes of the ordering
// before they leave, the snapshot before its vote and the certificate of a
// checkpoint before anybody hears of it. It goes on from the latest stable
// snapshot that it holds and learns from its peers what was decided since.
//
// A replica may miss more than the others keep. Ordering tells checkpoint
// (types.PeerBehind), which shows the latest stable checkpoint to the replica,
// and if it then executes nothing for a while, package statetransfer fetches the
// snapshot in chunks, each verified by itself. Delivery takes over its state and
// tells all others (types.Restored).
//
// The members may change. Votes of members are ordered like transactions, of
// types.ConfigClient, and those of a quorum make a change. It takes effect a
// fixed number of epochs later (types.EpochConfig), so that every module knows
// the members of an epoch before it begins. A snapshot begins with the
// configurations of the coming epochs; these prove to a replica that slept
// through changes who may sign the checkpoints of today.
//
// # Glossary
//
//	batch        transactions of one replica in one buffer, with a number
//	certificate  of availability: acknowledgements of weight more than f
//	checkpoint   signatures of a quorum on the state at the end of an epoch
//	client       a source of transactions, which it numbers from 0
//	creator      the replica that made a batch
//	configuration the replicas of an epoch: weights, keys, addresses
//	delivered    applied to the application, once for each client and number
//	epoch        a stretch of the log of fixed length
//	f            the greatest weight of faulty replicas that is tolerated
//	leader       the replica that proposes for a segment, while not deposed
//	log          the sequence of slots that all correct replicas agree on
//	module       a state machine: events in, events out
//	ordered      in the log, delivered or not yet
//	proposal     what a slot holds: certificates, or nothing
//	quorum       votes of which any two sets share a correct replica
//	member       a replica with a weight in the epoch that is meant
//	replica      one of the n processes; "node" is what runs its modules
//	segment      the slots of an epoch that one leader proposes for
//	snapshot     the state at the end of an epoch, as bytes
//	slot         a position of the log, named by its sequence number
//	view         a segment's period under one leader; a view change deposes it
//	weight       a replica's votes
//	window       the numbers from the lowest free one on that may be taken
package trantor
