package crypto

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync/atomic"

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
	n    atomic.Uint64 // Replicas 0..n-1 are known.
	key  uint64
}

// NewSimulated makes the identity of one of n replicas that share key.
func NewSimulated(key uint64, self types.NodeID, n int) *Simulated {
	s := &Simulated{self: self, key: key}
	s.n.Store(uint64(n))
	return s
}

// Sign implements Crypto.
func (s *Simulated) Sign(domain Domain, msg []byte) []byte {
	return s.signature(s.self, domain, msg)
}

// Verify implements Crypto.
func (s *Simulated) Verify(signer types.NodeID, domain Domain, msg, sig []byte) error {
	if uint64(signer) >= s.n.Load() {
		return fmt.Errorf("%w: replica %d has no key", ErrSignature, signer)
	}
	if subtle.ConstantTimeCompare(s.signature(signer, domain, msg), sig) != 1 {
		return fmt.Errorf("%w of replica %d for %s", ErrSignature, signer, domain)
	}
	return nil
}

// VerifyAll implements Crypto.
func (s *Simulated) VerifyAll(domain Domain, msg []byte, sigs []types.Signature) error {
	for _, sig := range sigs {
		if err := s.Verify(sig.Signer, domain, msg, sig.Sig); err != nil {
			return err
		}
	}
	return nil
}

// AddKey implements Crypto. It makes id known, with all below it, and ignores
// the key.
func (s *Simulated) AddKey(id types.NodeID, _ []byte) error {
	if id >= types.MaxReplicas {
		return fmt.Errorf("%w: replica %d, limit %d", ErrKey, id, types.MaxReplicas)
	}
	for n := s.n.Load(); n <= uint64(id); n = s.n.Load() {
		s.n.CompareAndSwap(n, uint64(id)+1)
	}
	return nil
}

func (s *Simulated) signature(signer types.NodeID, domain Domain, msg []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, s.key)
	b = binary.LittleEndian.AppendUint32(b, uint32(signer))
	sum := sha256.Sum256(appendSigned(b, domain, msg))
	return sum[:]
}
