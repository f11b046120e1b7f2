package crypto

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/hdevalence/ed25519consensus"

	"github.com/perfgate/perfgate/trantor/types"
)

// Ed25519 signs with Ed25519 (RFC 8032) from the standard library and verifies
// by the rule of ZIP-215: the cofactored equation, with any encoding of a point
// and only the canonical encoding of a scalar.
//
// RFC 8032 leaves open what becomes of signatures that only a dishonest signer
// makes, and the standard library's rule for them is one that no batch can
// follow. Replicas that verify the same signature alone and in a batch must
// agree on it, so that a certificate is valid for all or for none.
type Ed25519 struct {
	private ed25519.PrivateKey

	mu     sync.RWMutex
	public []ed25519.PublicKey // By replica; nil for an ID whose key is not known.
}

// NewEd25519 takes this replica's private key and the public keys of replicas
// 0..len(public)-1.
func NewEd25519(private ed25519.PrivateKey, public []ed25519.PublicKey) (*Ed25519, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("private key of %d bytes, want %d", len(private), ed25519.PrivateKeySize)
	}
	for i, key := range public {
		if len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("public key of replica %d has %d bytes, want %d", i, len(key), ed25519.PublicKeySize)
		}
	}
	return &Ed25519{private: private, public: slices.Clone(public)}, nil
}

// Sign implements Crypto.
func (e *Ed25519) Sign(domain Domain, msg []byte) []byte {
	return ed25519.Sign(e.private, appendSigned(nil, domain, msg))
}

// Verify implements Crypto.
func (e *Ed25519) Verify(signer types.NodeID, domain Domain, msg, sig []byte) error {
	key, err := e.key(signer)
	if err != nil {
		return err
	}
	if !verifySigned(key, appendSigned(nil, domain, msg), sig) {
		return fmt.Errorf("%w of replica %d for %s", ErrSignature, signer, domain)
	}
	return nil
}

// VerifyAll implements Crypto: one equation for all signatures, with random
// coefficients, so that an invalid one passes with probability 2^-128 at most.
// A single signature costs less alone.
func (e *Ed25519) VerifyAll(domain Domain, msg []byte, sigs []types.Signature) error {
	switch len(sigs) {
	case 0:
		return nil
	case 1:
		return e.Verify(sigs[0].Signer, domain, msg, sigs[0].Sig)
	}
	keys := make([]ed25519.PublicKey, len(sigs))
	for i, s := range sigs {
		key, err := e.key(s.Signer)
		if err != nil {
			return err
		}
		keys[i] = key
	}
	if !verifyAllSigned(keys, appendSigned(nil, domain, msg), sigs) {
		return fmt.Errorf("%w among %d for %s", ErrSignature, len(sigs), domain)
	}
	return nil
}

func verifySigned(key ed25519.PublicKey, signed, sig []byte) bool {
	return ed25519consensus.Verify(key, signed, sig)
}

// verifyAllSigned is the conjunction of verifySigned over keys and sigs.
func verifyAllSigned(keys []ed25519.PublicKey, signed []byte, sigs []types.Signature) bool {
	batch := ed25519consensus.NewPreallocatedBatchVerifier(len(sigs))
	for i, s := range sigs {
		batch.Add(keys[i], signed, s.Sig)
	}
	return batch.Verify()
}

// AddKey implements Crypto. An ID of types.MaxReplicas or more is refused, so
// that the table stays below 1,024 * (24 + 32) bytes.
func (e *Ed25519) AddKey(id types.NodeID, key []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var known ed25519.PublicKey
	if uint64(id) < uint64(len(e.public)) {
		known = e.public[id]
	}
	switch {
	case id >= types.MaxReplicas:
		return fmt.Errorf("%w: replica %d, limit %d", ErrKey, id, types.MaxReplicas)
	case known != nil && (len(key) == 0 || bytes.Equal(known, key)):
		return nil
	case known != nil:
		return fmt.Errorf("%w: replica %d has another", ErrKey, id)
	case len(key) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: that of replica %d has %d bytes, want %d", ErrKey, id, len(key), ed25519.PublicKeySize)
	}
	for uint64(len(e.public)) <= uint64(id) {
		e.public = append(e.public, nil)
	}
	e.public[id] = bytes.Clone(key)
	return nil
}

func (e *Ed25519) key(id types.NodeID) (ed25519.PublicKey, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if uint64(id) >= uint64(len(e.public)) || e.public[id] == nil {
		return nil, fmt.Errorf("%w: replica %d has no key", ErrSignature, id)
	}
	return e.public[id], nil
}

// DeriveEd25519 makes the identities of n replicas from a seed, the same ones
// every time. Whoever knows the seed knows every private key: it is for tests,
// simulation and clusters inside one process.
func DeriveEd25519(seed uint64, n int) []*Ed25519 {
	private := make([]ed25519.PrivateKey, n)
	public := make([]ed25519.PublicKey, n)
	for i := range n {
		b := binary.LittleEndian.AppendUint64([]byte("trantor/derived-key"), seed)
		keySeed := sha256.Sum256(binary.LittleEndian.AppendUint64(b, uint64(i)))
		private[i] = ed25519.NewKeyFromSeed(keySeed[:])
		public[i] = private[i].Public().(ed25519.PublicKey)
	}
	out := make([]*Ed25519, n)
	for i := range n {
		out[i] = &Ed25519{private: private[i], public: slices.Clone(public)}
	}
	return out
}
