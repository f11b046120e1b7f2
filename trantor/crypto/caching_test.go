package crypto

import (
	"errors"
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

func TestAForgedSignatureNeverPassesThroughTheCache(t *testing.T) {
	ids := DeriveEd25519(1, 2)
	c := NewCaching(ids[0], 64)
	msg := []byte("message")
	sig := ids[1].Sign("dom", msg)
	if err := c.Verify(1, "dom", msg, sig); err != nil {
		t.Fatal(err)
	}
	// Every single-bit neighbour of what is known, again and again.
	for range 2 {
		for bit := range 8 * len(sig) {
			forged := flip(sig, bit)
			if c.Verify(1, "dom", msg, forged) == nil {
				t.Errorf("passes with bit %d of the signature flipped", bit)
			}
			if c.VerifyAll("dom", msg, []types.Signature{{Signer: 1, Sig: sig}, {Signer: 1, Sig: forged}}) == nil {
				t.Errorf("passes in company with bit %d of the signature flipped", bit)
			}
		}
		for bit := range 8 * len(msg) {
			if c.Verify(1, "dom", flip(msg, bit), sig) == nil {
				t.Errorf("passes with bit %d of the message flipped", bit)
			}
		}
		for what, err := range map[string]error{
			"another signer":      c.Verify(0, "dom", msg, sig),
			"another domain":      c.Verify(1, "dox", msg, sig),
			"domain into message": c.Verify(1, "do", append([]byte("m"), msg...), sig),
			"a cut signature":     c.Verify(1, "dom", msg, sig[:63]),
		} {
			if !errors.Is(err, ErrSignature) {
				t.Errorf("%s: error %v, want ErrSignature", what, err)
			}
		}
	}
}

func TestTheCacheVerifiesEachSignatureOnceAndForgetsTheOldest(t *testing.T) {
	inner := NewCounting(NewSimulated(1, 0, 8))
	c := NewCaching(inner, 4)
	sigs := make([]types.Signature, 8)
	for i := range sigs {
		sigs[i] = types.Signature{Signer: types.NodeID(i), Sig: NewSimulated(1, types.NodeID(i), 8).Sign("d", nil)}
	}
	verify := func(verifies uint64, which ...types.Signature) {
		t.Helper()
		if err := c.VerifyAll("d", nil, which); err != nil {
			t.Fatal(err)
		}
		if got := inner.Counts().Verifies; got != verifies {
			t.Errorf("%d verifications, want %d", got, verifies)
		}
	}
	verify(3, sigs[0:3]...)
	verify(4, sigs[0:4]...)     // Only 3 is new.
	verify(5, sigs[4])          // Forgets 0.
	verify(5, sigs[1:5]...)     // All known.
	verify(6, sigs[0])          // Forgets 1.
	verify(7, sigs[1])          // Forgets 2.
	verify(9, sigs[5], sigs[5]) // Twice in one set: verified twice, remembered once. Forgets 3.
	verify(9, sigs[4], sigs[0]) // The oldest two that are left.
	verify(9, sigs[1], sigs[5]) // And the youngest.
	if c.Hits() != 3+4+2+2 {
		t.Errorf("%d hits, want 11", c.Hits())
	}
}

func flip(b []byte, bit int) []byte {
	out := append([]byte(nil), b...)
	out[bit/8] ^= 1 << (bit % 8)
	return out
}
