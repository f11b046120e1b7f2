package crypto

import (
	"encoding/pem"
	"testing"
)

// FuzzKeys: no key file makes its reader panic, and what it takes signs.
func FuzzKeys(f *testing.F) {
	key := DeriveEd25519(1, 1)[0].private
	f.Add([]byte(PublicKeyText(PublicKey(key))))
	f.Add([]byte("ed25519:00"))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: []byte{0x30, 0x2e, 2, 1, 0}}))
	f.Fuzz(func(t *testing.T, text []byte) {
		if private, err := parsePrivateKey(text); err == nil {
			if len(PublicKey(private)) != len(PublicKey(key)) {
				t.Errorf("%q gives a private key whose public one has %d bytes", text, len(PublicKey(private)))
			}
		}
		if public, err := ParsePublicKey(string(text)); err == nil {
			if again, err := ParsePublicKey(PublicKeyText(public)); err != nil || !again.Equal(public) {
				t.Errorf("%q gives a public key that does not read again: %v", text, err)
			}
		}
	})
}
