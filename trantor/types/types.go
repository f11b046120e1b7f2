// Package types holds what every Trantor module speaks: identities, the
// transaction, the batch, the availability certificate, the proposal, the
// events that cross from one module to another, and the wire primitives.
//
// Protocol modules are siblings: none imports another. What they exchange is
// therefore defined here, and what only one of them sends to its own peers
// (votes, acknowledgements) is defined in that module.
package types

import (
	"encoding/hex"

	"github.com/perfgate/perfgate/mir"
)

// NodeID identifies a replica.
type NodeID = mir.NodeID

// ClientID identifies a client; TxNo numbers its transactions from 0.
type (
	ClientID uint64
	TxNo     uint64
)

// SeqNr is a position in the totally ordered log, from 0, without gaps.
// Epoch and View are different types so that they cannot be confused with it.
type (
	SeqNr uint64
	Epoch uint64
	View  uint32
)

// Digest is a SHA-256 digest.
type Digest [32]byte

// String is the first 8 hexadecimal digits, for logs and traces.
func (d Digest) String() string { return hex.EncodeToString(d[:4]) }

// TxID is a transaction's identity: the protocol delivers each at most once.
type TxID struct {
	Client ClientID
	No     TxNo
}

// Tx is one transaction.
type Tx struct {
	TxID
	Payload []byte
}

// Signature is a signature and who made it.
type Signature struct {
	Signer NodeID
	Sig    []byte
}

// BatchNo numbers the batches of one creator from 0. It bounds a certificate's
// life: a number that is already in the log is skipped there without looking
// at the batch, so a batch that was collected cannot be asked for again by
// ordering its old certificate once more.
type BatchNo uint64

// Certificate of availability: signatures of weight more than f over the
// creator, the number and the digest of a batch, so that at least one correct
// replica holds it.
// Invariant: Sigs is sorted by Signer without repetition.
type Certificate struct {
	Creator NodeID
	No      BatchNo
	Batch   Digest
	Sigs    []Signature
}

// Proposal is what one log position holds: certificates, or nothing at all. With
// Skip the slot's leader itself left it empty. The zero Proposal comes from a
// view change only, so that the log tells leaders that did their part from
// leaders that were deposed.
// Invariant: with Skip there are no certificates.
type Proposal struct {
	Certs []Certificate
	Skip  bool
}
