// Package macro measures the whole stack: n replicas that order and execute
// the transactions of seeded clients. It has benchmarks only; package
// benchsuite lists them, package workload makes the load.
//
// An operation is one transaction, on all replicas together, unless a
// benchmark says otherwise. A run begins with 32 batches that are not measured
// and ends when every replica has delivered everything, inside the measured
// time. A run whose replicas disagree, miss or repeat a transaction fails; one
// in which a leader was deposed that was not meant to be fails as void.
package macro
