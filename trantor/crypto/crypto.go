// Package crypto signs and verifies for the protocol modules.
//
// Only what must convince a third party is signed: acknowledgements that go
// into availability certificates, votes that go into prepared certificates,
// and checkpoints. Everything else is authenticated by the channel it came on.
//
// The package's one opinion is that a signature is always over a domain and a
// message, so that a signature made for one purpose can never be shown for
// another; with [Bound] also over the system that it was made in. It does not manage keys beyond keeping a replica's own in a file and
// holding the public ones of its peers.
package crypto

import (
	"errors"

	"github.com/perfgate/perfgate/trantor/types"
)

// Domain says what a signature is for: "trantor/availability/ack". Every use
// has one of its own, of at most 255 bytes.
type Domain string

// Crypto is the signing identity of one replica together with the public keys
// of all. An implementation is safe for use by several goroutines.
type Crypto interface {
	// Sign signs msg for domain with this replica's key.
	Sign(domain Domain, msg []byte) []byte
	// Verify returns nil if sig is signer's signature on msg for domain, and an
	// error wrapping ErrSignature if it is not or the signer has no known key.
	Verify(signer types.NodeID, domain Domain, msg, sig []byte) error
	// VerifyAll returns nil if Verify would for each of sigs, which are all on
	// msg for domain, and an error wrapping ErrSignature otherwise. It may be
	// faster than one call of Verify for each, and it need not tell which failed.
	VerifyAll(domain Domain, msg []byte, sigs []types.Signature) error
	// AddKey makes the public key of a replica known. A replica keeps its key for
	// ever, so another key than the known one is an error wrapping ErrKey, and
	// the same one again changes nothing. An empty key stands for one that is
	// known already, as where all keys are derived from a seed.
	AddKey(id types.NodeID, key []byte) error
}

// ErrSignature is what a failed verification wraps.
var ErrSignature = errors.New("invalid signature")

// ErrKey is what a refused AddKey wraps.
var ErrKey = errors.New("key refused")

// appendSigned appends the bytes that are signed: the length of the domain, the
// domain, the message. The length makes the encoding unique.
func appendSigned(dst []byte, domain Domain, msg []byte) []byte {
	if len(domain) > 255 {
		panic("crypto: invariant broken: domain of more than 255 bytes: " + string(domain))
	}
	dst = append(dst, byte(len(domain)))
	dst = append(dst, domain...)
	return append(dst, msg...)
}
