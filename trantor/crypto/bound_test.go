package crypto

import (
	"errors"
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

func TestASignatureOfOneSystemIsNoneOfAnother(t *testing.T) {
	keys := DeriveEd25519(1, 2)
	msg := []byte("vote")
	signers := map[string]Crypto{"none": keys[0], "a": NewBound(keys[0], "a"), "b": NewBound(keys[0], "b")}
	verifiers := map[string]Crypto{"none": keys[1], "a": NewBound(keys[1], "a"), "b": NewBound(keys[1], "b")}
	for from, signer := range signers {
		sig := signer.Sign("dom", msg)
		for in, verifier := range verifiers {
			for what, err := range map[string]error{
				"Verify":    verifier.Verify(0, "dom", msg, sig),
				"VerifyAll": verifier.VerifyAll("dom", msg, []types.Signature{{Signer: 0, Sig: sig}}),
			} {
				if from == in && err != nil {
					t.Errorf("%s: system %s refuses its own signature: %v", what, in, err)
				}
				if from != in && !errors.Is(err, ErrSignature) {
					t.Errorf("%s: system %s takes a signature of system %s, error %v", what, in, from, err)
				}
			}
		}
	}
}

func TestKeysAreLearntThroughABound(t *testing.T) {
	all := DeriveEd25519(1, 3)
	b := NewBound(DeriveEd25519(1, 2)[0], "a")
	if err := b.AddKey(2, PublicKey(all[2].private)); err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(2, "d", nil, NewBound(all[2], "a").Sign("d", nil)); err != nil {
		t.Error(err)
	}
}
