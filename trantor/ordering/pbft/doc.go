// Package pbft agrees on the slots of one segment of the log: PBFT (Castro and
// Liskov, OSDI'99; TOCS'02, cited below as CL02) in the form that ISS
// (Stathakopoulou, Pavlovic, Vukolić, EuroSys'22) gives to it.
//
// A segment is the slots of one epoch that one leader proposes for. An
// [Instance] decides all of them in parallel. The leader of view v is replica
// (segment leader + v) mod n.
//
// How a slot is decided. In view 0 the segment's leader sends PRE-PREPARE with
// a signed proposal. A replica that finds it valid sends a signed PREPARE. A
// quorum of equal prepares, the leader's pre-prepare being one of them, is a
// prepared certificate; whoever holds one sends COMMIT. A quorum of commits of
// one view for a known value decides. Prepares are signed, since prepared
// certificates are shown to third parties. Commits never are: the channel
// authenticates them.
//
// How a leader is deposed. While a slot that is needed stays undecided for a
// timeout, which doubles with each view, a replica leaves for the next view
// with a signed VIEW-CHANGE that carries its highest prepared certificate, with
// the value, of every slot. A quorum of them is the new leader's NEW-VIEW. It
// names no values: every receiver works out the same ones from the quorum it
// carries. A slot takes the value of the highest prepared certificate, and
// every other slot of the segment becomes empty (ISS, section 4.2), so that
// nothing new is ever proposed after view 0. A replica that decided goes on
// taking part in later views, and answers those that miss slots.
//
// Differences from CL02, and why:
//   - No watermarks and no null requests: a segment has an end, its slots are
//     the window, and the checkpoint that collects it is another module's.
//   - PRE-PREPARE exists in view 0 only; NEW-VIEW implies the others.
//   - A signature of the pre-prepare counts as its leader's prepare, under the
//     same statement. One replica therefore signs one statement for a slot and
//     view, whatever its role is, which is asserted.
//   - DECISION is new. A replica that left its view alone would wait for ever
//     for a view change that the others do not need. Its VIEW-CHANGE names the
//     slots it misses; whoever decided them answers with the value, and equal
//     answers of weight more than f decide. This closes the gap: the correct
//     replicas weigh more than 2f, so either those that miss a slot weigh more
//     than f, and their view changes take everybody along (CL02, section
//     4.5.2), or those that have it weigh more than f, and their answers do.
//
// What it does not do: it sends nothing again (the transport is reliable
// between correct replicas), and it fetches no batches.
//
// Cost for each slot and replica: n signatures verified, one made; one round of
// n proposals and two of n^2 votes over the whole system. Memory: see [Config].
package pbft
