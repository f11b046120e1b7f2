// Package micro measures the parts of mir and trantor one by one, each through
// the seam that the other modules use. It has benchmarks only, one file for
// each subsystem; package benchsuite lists them.
//
// What holds for all of them. The cost is CPU and memory: nothing waits, and
// every seed is fixed. What an operation needs is prepared before the loop; the
// little that must be new in each iteration (a number, a boxed event) is what a
// caller in production pays too. State is in a steady state when the loop
// begins: maps have their size, and windows move. Every benchmark checks what
// came out and fails if that is not what the operation is for.
//
// Protocol modules are driven with crypto.Simulated, so that their own cost is
// not hidden behind Ed25519, which has benchmarks of its own. Where n replicas
// are driven, an operation costs what it costs on all of them together.
package micro
