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
// How a leader is deposed. Every slot that is needed has a timeout of its own,
// from when it became so, which doubles with each view. When it passes without a
// decision, a replica leaves for the next view with a signed VIEW-CHANGE that
// names its highest prepared certificate of every slot, and shows it, with the
// value, beside what is signed. A quorum of them is the new leader's NEW-VIEW: what
// was signed of each, and once for each slot the certificate and the value that
// every receiver works out from it. A slot takes the value of the highest prepared
// certificate, and
// every other slot of the segment becomes empty (ISS, section 4.2), so that
// nothing new is ever proposed after view 0. The empty proposal comes from there
// only: a leader that leaves a slot empty itself skips it in so many words. A
// replica that decided goes on taking part in later views.
//
// What is lost is sent again. While slots that are needed have been undecided
// for a whole ResendAfter, and after each further one, a replica sends its own
// latest messages of the current view about them again (pre-prepare or prepare,
// and commit; or its view change; and its new view where it leads), and ASKs for
// them. Whoever has decided an asked slot answers with DECISION and with its own
// latest messages, which the others need where fewer than f+1 decided; equal
// DECISIONs of weight more than f decide. A tick, a question and an answer are
// about resendSlotsMax = 64 slots at most, the lowest, and a peer is answered
// once for each tick: however long an outage was, an instance sends a peer at
// most 2*64+2 messages for each tick and 3*64+1 in answer to it.
//
// What is durable. Before a prepare or pre-prepare leaves, its statement is (with
// the leader's own proposal); before a commit, its prepared certificate; before
// a view change, the view; before the first vote in a view, and before the new
// view leaves its leader, the NEW-VIEW. A replica's own messages come back to it
// then, and count then. Recover goes on in the middle of the view from these
// records: it signs nothing that it has signed, and its view change says what it
// said, as all certificates are durable before the view is. Decisions are not
// written down: commits that are sent again make them again.
//
// What does not verify. Channels are authenticated, and what a correct replica signs
// or shows verifies everywhere, so whoever sends something that does not is faulty. A
// faulty replica gets one verification for nothing out of an instance, of a prepare,
// a proposal, a view change or a new view. Of what it sends after that only what
// needs none counts.
//
// Differences from CL02, and why:
//   - No watermarks and no null requests: a segment has an end, its slots are
//     the window, and the checkpoint that collects it is another module's.
//   - PRE-PREPARE exists in view 0 only; NEW-VIEW implies the others.
//   - What a view change signs names certificates by view and digest, and a
//     NEW-VIEW proves only those that it chooses. Its size is then that of one
//     proposal and one certificate for each slot, and not of a quorum of them.
//   - A signature of the pre-prepare counts as its leader's prepare, under the
//     same statement. One replica therefore signs one statement for a slot and
//     view, whatever its role is, which is asserted.
//   - ASK and DECISION are new. A replica that left its view alone would wait for
//     ever for a view change that the others do not need. The answers close the
//     gap: the correct replicas weigh more than 2f, so either those that miss a
//     slot weigh more than f, and their view changes take everybody along (CL02,
//     section 4.5.2), or those that have it weigh more than f, and their answers
//     do.
//
// What it does not do: it fetches no batches, and it has no answer once it is
// closed (that is state transfer).
//
// The largest message is a NEW-VIEW ([NewViewBytesMax]). With n members, s slots
// in the segment and c certificates in a proposal, it takes
// s * ((c+1) * (48 + 72n)) bytes for values and proofs, and n * (80 + 44s) for view
// changes. A faulty leader gets everybody's signature into all of them: with
// n = 4, s = 43 and c = 64 that is 1 MiB, with n = 32, s = 47 and c = 64 it is
// 7 MiB, and with n = 128, s = 48 and c = 56 it is 25 MiB. Whoever wires an instance
// sees to it that it is below types.MaxMessageBytes.
//
// Cost for each slot and replica: n signatures verified, one made; two records;
// one round of n proposals and two of n^2 votes over the whole system. Memory:
// see [Config].
package pbft
