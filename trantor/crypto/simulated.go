package crypto

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/perfgate/perfgate/trantor/types"
)

// Simulated stands in for signatures in simulation, where Ed25519 would be
// most of the running time. A signature is a SHA-256 over a key that all
// replicas share, the signer, the domain and the message.
//
// It is not secure: whoever can verify can also sign for anybody. A simulated
// Byzantine replica therefore keeps to signing through its own Simulated.
type Simulated struct {
	self types.NodeID
	n    int
	key  uint64
}

// NewSimulated makes the identity of one of n replicas that share key.
func NewSimulated(key uint64, self types.NodeID, n int) *Simulated {
	return &Simulated{self: self, n: n, key: key}
}

// Sign implements Crypto.
func (s *Simulated) Sign(domain Domain, msg []byte) []byte {
	return s.signature(s.self, domain, msg)
}

// Verify implements Crypto.
func (s *Simulated) Verify(signer types.NodeID, domain Domain, msg, sig []byte) error {
	if uint64(signer) >= uint64(s.n) {
		return fmt.Errorf("%w: replica %d has no key", ErrSignature, signer)
	}
	if subtle.ConstantTimeCompare(s.signature(signer, domain, msg), sig) != 1 {
		return fmt.Errorf("%w of replica %d for %s", ErrSignature, signer, domain)
	}
	return nil
}

func (s *Simulated) signature(signer types.NodeID, domain Domain, msg []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, s.key)
	b = binary.LittleEndian.AppendUint32(b, uint32(signer))
	sum := sha256.Sum256(appendSigned(b, domain, msg))
	return sum[:]
}
