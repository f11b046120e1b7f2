package crypto

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/perfgate/perfgate/trantor/types"
)

// Caching remembers which signatures another Crypto found valid, so that one
// that comes again costs a hash: a vote that was verified when it came and comes
// back in a certificate. The oldest entry is forgotten first.
//
// Only successes are remembered, under a SHA-256 digest of everything that
// verification depends on; keys of replicas never change. A signature that was
// never verified passes only if it collides with one that was.
type Caching struct {
	inner Crypto

	mu    sync.Mutex
	known map[cacheKey]struct{}
	ring  []cacheKey // Invariant: its first len(known) entries are the keys of known.
	next  int        // Where in ring the next entry goes.
	hits  uint64
}

// cacheKey identifies a signer, a domain, a message and a signature.
type cacheKey types.Digest

// NewCaching wraps inner and remembers up to entriesMax signatures, at about
// 32 + 32 + 8 bytes each: 64 Ki entries are under 8 MiB.
func NewCaching(inner Crypto, entriesMax int) *Caching {
	if entriesMax < 1 {
		panic(fmt.Sprintf("crypto: cache of %d entries, want at least 1", entriesMax))
	}
	return &Caching{inner: inner, known: make(map[cacheKey]struct{}), ring: make([]cacheKey, entriesMax)}
}

// Hits is how many verifications were answered from memory.
func (c *Caching) Hits() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits
}

// Sign implements Crypto.
func (c *Caching) Sign(domain Domain, msg []byte) []byte { return c.inner.Sign(domain, msg) }

// AddKey implements Crypto.
func (c *Caching) AddKey(id types.NodeID, key []byte) error { return c.inner.AddKey(id, key) }

// Verify implements Crypto.
func (c *Caching) Verify(signer types.NodeID, domain Domain, msg, sig []byte) error {
	key := cacheKeyOf(types.Signature{Signer: signer, Sig: sig}, domain, msg)
	if c.has(key) {
		return nil
	}
	if err := c.inner.Verify(signer, domain, msg, sig); err != nil {
		return err
	}
	c.add(key)
	return nil
}

// VerifyAll implements Crypto. It verifies together those that are not known.
func (c *Caching) VerifyAll(domain Domain, msg []byte, sigs []types.Signature) error {
	var unknown []types.Signature
	var keys []cacheKey
	for _, s := range sigs {
		if key := cacheKeyOf(s, domain, msg); !c.has(key) {
			unknown, keys = append(unknown, s), append(keys, key)
		}
	}
	if err := c.inner.VerifyAll(domain, msg, unknown); err != nil {
		return err
	}
	for _, key := range keys {
		c.add(key)
	}
	return nil
}

func (c *Caching) has(key cacheKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, found := c.known[key]
	if found {
		c.hits++
	}
	return found
}

func (c *Caching) add(key cacheKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, found := c.known[key]; found {
		return
	}
	if len(c.known) == len(c.ring) {
		delete(c.known, c.ring[c.next])
	}
	c.known[key] = struct{}{}
	c.ring[c.next] = key
	c.next = (c.next + 1) % len(c.ring)
}

// cacheKeyOf digests an encoding that is unique: the signature's length comes
// before it, and appendSigned does the same for the domain.
func cacheKeyOf(s types.Signature, domain Domain, msg []byte) cacheKey {
	b := binary.LittleEndian.AppendUint32(nil, uint32(s.Signer))
	b = types.AppendBytes(b, s.Sig)
	return sha256.Sum256(appendSigned(b, domain, msg))
}
