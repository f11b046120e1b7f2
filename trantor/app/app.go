// Package app is what Trantor replicates: the Application interface, a
// key-value store that implements it, and a hash chain for tests and
// measurements.
//
// The package's one opinion is that an application is a deterministic state
// machine over payloads. It sees neither replicas nor batches nor time.
package app

import "github.com/perfgate/perfgate/trantor/types"

// Application is a deterministic state machine: the same transactions in the
// same order give the same results, the same Snapshot bytes and the same Hash
// on every replica. It is used by one goroutine at a time.
type Application interface {
	// Apply executes tx and returns its result. A payload that makes no sense
	// is an ordinary transaction with an error as its result: clients write
	// payloads, and no payload may make Apply panic.
	Apply(tx types.Tx) []byte
	// Snapshot is the whole state; equal states give equal bytes.
	Snapshot() []byte
	// Restore replaces the state by that of a snapshot. After an error the
	// state is as before.
	Restore(snapshot []byte) error
	// Hash is a digest of the state.
	Hash() types.Digest
}
