package crypto

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/perfgate/perfgate/trantor/types"
)

// Ed25519 signs with Ed25519 (RFC 8032) from the standard library.
type Ed25519 struct {
	private ed25519.PrivateKey
	public  []ed25519.PublicKey
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
	return &Ed25519{private: private, public: public}, nil
}

// Sign implements Crypto.
func (e *Ed25519) Sign(domain Domain, msg []byte) []byte {
	return ed25519.Sign(e.private, appendSigned(nil, domain, msg))
}

// Verify implements Crypto.
func (e *Ed25519) Verify(signer types.NodeID, domain Domain, msg, sig []byte) error {
	if uint64(signer) >= uint64(len(e.public)) {
		return fmt.Errorf("%w: replica %d has no key", ErrSignature, signer)
	}
	if !ed25519.Verify(e.public[signer], appendSigned(nil, domain, msg), sig) {
		return fmt.Errorf("%w of replica %d for %s", ErrSignature, signer, domain)
	}
	return nil
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
		out[i] = &Ed25519{private: private[i], public: public}
	}
	return out
}
