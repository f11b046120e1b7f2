// Package workload puts load on Trantor and checks what comes out: seeded
// clients, closed and open loop, in real and in virtual time.
//
// Its one opinion is that a run counts only if its result was checked. Every
// replica must deliver every transaction exactly once and end with the same
// state, and no protocol timeout may have fired that the run did not ask for: a
// run that breaks the second rule is void ([VoidError]), because it measured
// something else.
//
// Transactions are numbered. Everything about number i follows from i and the
// seed: client, number of the client, payload, replica, and in an open loop the
// time at which it is due. Nothing is therefore stored for a transaction, and a
// run may be of any length.
//
// The package's own cost for each transaction and replica is a few tens of
// nanoseconds: an index, a tally and, where latency is measured, a clock and a
// bucket. It allocates nothing for them. It decides nothing about benchmarks.
package workload
