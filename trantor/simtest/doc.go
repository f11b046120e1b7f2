// Package simtest runs whole Trantor systems under package sim, with faults
// drawn from a seed, and checks after every step what must never be broken.
//
// A [Scenario] says everything about a run: replicas, their votes, settings,
// network, disks, partitions, crashes, Byzantine replicas and transactions.
// [Draw] makes one of a seed, [Run] runs it, and a [Checker] watches. Its
// invariants, each a type of its own:
//
//   - agreement: no two correct replicas decide or order differently at one
//     position of the log, and none leaves a gap;
//   - decisions: what is decided was committed by a quorum in one view, or is what
//     others of weight more than f decided;
//   - execution: one sequence, no transaction in it twice, and only what was
//     submitted, payload and all;
//   - votes: a correct replica never contradicts what it signed or acknowledged,
//     restarts included;
//   - holders: of each batch in an accepted proposal some correct replica has it,
//     or its number is used up;
//   - finality: a stable checkpoint carries the state that correct replicas
//     computed and the signatures of a true quorum of that epoch's members;
//   - restoring: a snapshot that is installed is such a state;
//   - bounds: what replicas hold stays within their settings;
//   - liveness: once partitions have healed and the network is timely, all that
//     a correct replica accepted and all that clients insist on is delivered at
//     every correct replica, whatever Byzantine ones go on doing.
//
// And no correct replica finds another one faulty, in a run that has no Byzantine
// ones.
//
// The one opinion it holds: a failure names one command that replays it,
//
//	go test ./trantor/simtest -run TestSweep -seed=N
//
// A Byzantine replica is an honest twin whose messages its behaviours change,
// withhold and add to (the act_ files, one for each family). It signs whatever it
// likes as itself, and cannot sign for others.
//
// What it does not do: it knows no real time, disks do not rot, and a Byzantine
// replica does not invent transactions, since a replica vouches for its clients.
package simtest
