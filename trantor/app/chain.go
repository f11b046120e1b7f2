package app

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/perfgate/perfgate/trantor/types"
)

// Chain keeps nothing but a hash chain over all transactions, so that its Hash
// tells whether two replicas delivered the same sequence. Results are empty.
type Chain struct {
	head types.Digest
}

// Apply implements Application.
func (c *Chain) Apply(tx types.Tx) []byte {
	h := sha256.New()
	h.Write(c.head[:])
	var id [16]byte
	binary.LittleEndian.PutUint64(id[:8], uint64(tx.Client))
	binary.LittleEndian.PutUint64(id[8:], uint64(tx.No))
	h.Write(id[:])
	h.Write(tx.Payload)
	h.Sum(c.head[:0])
	return nil
}

// Snapshot implements Application.
func (c *Chain) Snapshot() []byte { return append([]byte(nil), c.head[:]...) }

// Restore implements Application.
func (c *Chain) Restore(snapshot []byte) error {
	if len(snapshot) != len(c.head) {
		return fmt.Errorf("chain snapshot of %d bytes, want %d", len(snapshot), len(c.head))
	}
	copy(c.head[:], snapshot)
	return nil
}

// Hash implements Application.
func (c *Chain) Hash() types.Digest { return c.head }
