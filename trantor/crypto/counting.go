package crypto

import (
	"sync/atomic"

	"github.com/perfgate/perfgate/trantor/types"
)

// Counts is what a Counting did so far. Equal runs give equal counts, which
// makes them exact metrics.
type Counts struct {
	Signs    uint64 // signatures made
	Verifies uint64 // signatures verified, valid or not
	Bytes    uint64 // bytes signed or verified, without their domain
}

// Counting counts the use of another Crypto.
type Counting struct {
	inner                  Crypto
	signs, verifies, bytes atomic.Uint64
}

// NewCounting wraps inner.
func NewCounting(inner Crypto) *Counting { return &Counting{inner: inner} }

// Counts may be called at any time from any goroutine.
func (c *Counting) Counts() Counts {
	return Counts{Signs: c.signs.Load(), Verifies: c.verifies.Load(), Bytes: c.bytes.Load()}
}

// Sign implements Crypto.
func (c *Counting) Sign(domain Domain, msg []byte) []byte {
	c.signs.Add(1)
	c.bytes.Add(uint64(len(msg)))
	return c.inner.Sign(domain, msg)
}

// Verify implements Crypto.
func (c *Counting) Verify(signer types.NodeID, domain Domain, msg, sig []byte) error {
	c.verifies.Add(1)
	c.bytes.Add(uint64(len(msg)))
	return c.inner.Verify(signer, domain, msg, sig)
}

// VerifyAll implements Crypto. Each signature counts.
func (c *Counting) VerifyAll(domain Domain, msg []byte, sigs []types.Signature) error {
	c.verifies.Add(uint64(len(sigs)))
	c.bytes.Add(uint64(len(sigs) * len(msg)))
	return c.inner.VerifyAll(domain, msg, sigs)
}

// AddKey implements Crypto.
func (c *Counting) AddKey(id types.NodeID, key []byte) error { return c.inner.AddKey(id, key) }
