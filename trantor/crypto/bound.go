package crypto

import (
	"crypto/sha256"

	"github.com/perfgate/perfgate/trantor/types"
)

// Bound makes every signature of another Crypto one of a single system.
//
// Two systems may share keys, and a system may be begun anew with those that it
// had. An acknowledgement, a vote or a checkpoint of the one must be worth nothing
// in the other, so what is signed begins with a digest of the system's name.
//
// It is the name alone, and not the genesis too: a replica that joins late may
// begin with a recent configuration, and members sign votes with nothing but a
// key and the name at hand. Whoever begins a system anew gives it a new name.
type Bound struct {
	inner  Crypto
	system types.Digest
}

// NewBound binds inner to the system of that name, which no two systems with a
// key in common may share.
func NewBound(inner Crypto, system string) *Bound {
	return &Bound{inner: inner, system: sha256.Sum256([]byte("trantor/system/" + system))}
}

// Sign implements Crypto.
func (b *Bound) Sign(domain Domain, msg []byte) []byte { return b.inner.Sign(domain, b.signed(msg)) }

// Verify implements Crypto.
func (b *Bound) Verify(signer types.NodeID, domain Domain, msg, sig []byte) error {
	return b.inner.Verify(signer, domain, b.signed(msg), sig)
}

// VerifyAll implements Crypto.
func (b *Bound) VerifyAll(domain Domain, msg []byte, sigs []types.Signature) error {
	return b.inner.VerifyAll(domain, b.signed(msg), sigs)
}

// AddKey implements Crypto.
func (b *Bound) AddKey(id types.NodeID, key []byte) error { return b.inner.AddKey(id, key) }

func (b *Bound) signed(msg []byte) []byte {
	return append(append(make([]byte, 0, len(b.system)+len(msg)), b.system[:]...), msg...)
}
