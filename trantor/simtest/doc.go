// Package simtest runs whole Trantor systems under package sim, with faults
// drawn from a seed, and checks after every step what must never be broken.
//
// A [Scenario] says everything about a run: replicas, settings, network,
// partitions, crashes, Byzantine replicas and transactions. [Draw] makes one of
// a seed, [Run] runs it, and a [Checker] watches. The invariants (the list of
// the design, as far as one process life can show them):
//
//   - agreement: no two correct replicas decide, order, execute or snapshot
//     differently at one position of the log;
//   - no gaps in the log, and no transaction delivered twice;
//   - validity: what is delivered was submitted, payload and all;
//   - a stable checkpoint is signed by a true quorum, and one epoch has one;
//   - no correct replica signs two prepares for one slot and view;
//   - liveness: once partitions have healed and the network is timely, all that
//     a correct replica accepted is delivered at every correct replica.
//
// The one opinion it holds: a failure names one command that replays it,
//
//	go test ./trantor/simtest -run TestSweep -seed=N
//
// What it does not do: messages are held and repeated but never lost, and
// crashed replicas stay down, since ordering sends nothing twice and nothing is
// durable yet. A Byzantine replica equivocates as a leader and withholds votes;
// it does not forge.
package simtest
