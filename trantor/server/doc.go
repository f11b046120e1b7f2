// Package server is one replica as a process: it reads a configuration file,
// opens the store, recovers, and wires the replica's modules with the network,
// the clock and the disk into a node. It serves clients (package client/wire)
// and an administrator (liveness, readiness, metrics, profiles).
//
// The package's one opinion is that everything a stranger can make it hold has a
// bound in the configuration (Limits), and that the administrator's interface
// listens where only this machine reaches it, unless told otherwise.
//
// A server ends in order: it turns clients away, answers those that wait, stops
// the node, which flushes and closes the store last, and then the listeners.
// It ends at once when the process is killed; then, where it has a data
// directory, it goes on after a restart where it was.
//
// It knows no protocol: what replicas agree on, and how, is below package
// replica.
package server
