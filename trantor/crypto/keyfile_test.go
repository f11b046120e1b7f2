package crypto

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAKeyComesBackFromItsFileAndIsNeverOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "replica.key")
	key, err := GenerateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file is %v, %v, want mode 0600", info, err)
	}
	if again, err := GenerateKey(path); !errors.Is(err, fs.ErrExist) || again != nil {
		t.Errorf("a second key for the same file: error %v, want that it exists", err)
	}
	if loaded, err := LoadKey(path); err != nil || !loaded.Equal(key) {
		t.Errorf("loading gave another key, or %v", err)
	}
}

func TestAKeyThatOthersMayUseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "replica.key")
	if _, err := GenerateKey(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(path); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: error %v, want a permission error that names the fix", mode, err)
		}
	}
}

func TestOnlyAnEd25519KeyInPEMIsLoaded(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKCS8PrivateKey(DeriveEd25519(1, 1)[0].private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for _, tc := range []struct {
		name, text string
		good       bool
	}{
		{"an empty file", "", false},
		{"no PEM", "secret", false},
		{"another block", block("CERTIFICATE", edDER), false},
		{"two blocks", block("PRIVATE KEY", edDER) + block("PRIVATE KEY", edDER), false},
		{"a cut key", block("PRIVATE KEY", edDER[:len(edDER)-1]), false},
		{"a key of P-256", block("PRIVATE KEY", ecDER), false},
		{"a text before the block, as RFC 7468 allows", "replica 3\n" + block("PRIVATE KEY", edDER), true},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(path); (err == nil) != tc.good {
			t.Errorf("%s: error %v", tc.name, err)
		}
	}
}

func TestAPublicKeyComesBackFromItsText(t *testing.T) {
	key := PublicKey(DeriveEd25519(1, 1)[0].private)
	text := PublicKeyText(key)
	if back, err := ParsePublicKey(text); err != nil || !back.Equal(key) {
		t.Errorf("%s gave %x, %v", text, back, err)
	}
	for _, bad := range []string{"", text[1:], text[:len(text)-1], text[:len(text)-2], text + "00", text + " ", strings.Replace(text, "ed25519", "rsa", 1)} {
		if _, err := ParsePublicKey(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
