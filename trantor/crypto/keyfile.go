package crypto

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// pemType is what a private key's file calls its content (RFC 7468).
const pemType = "PRIVATE KEY"

// keyFileBytesMax bounds what is read of a key's file, which has 119 bytes.
const keyFileBytesMax = 64 << 10

// publicKeyPrefix begins the text of a public key, which names its scheme.
const publicKeyPrefix = "ed25519:"

// GenerateKey makes a new private key and stores it in a file that only its
// owner may read. It never overwrites: a replica that loses its key is lost.
func GenerateKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err == nil {
		err = StoreKey(path, key)
	}
	if err != nil {
		return nil, fmt.Errorf("generating a key: %w", err)
	}
	return key, nil
}

// StoreKey writes a private key as PKCS #8 in PEM to a new file with mode 0600,
// durably. A file that exists already is an error wrapping fs.ErrExist.
func StoreKey(path string, key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding private key for %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("storing private key: %w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: pemType, Bytes: der})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		// Half a key would stand in the way of the next attempt.
		return errors.Join(fmt.Errorf("storing private key %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// syncDir makes the entries of a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// LoadKey reads what StoreKey wrote. A file that its group or others may read,
// write or execute is refused: whoever has the key can vote as this replica.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("loading private key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("loading private key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("private key %s has mode %04o, so others than its owner may use it: %w; run chmod 600 %s",
			path, info.Mode().Perm(), fs.ErrPermission, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, keyFileBytesMax))
	if err != nil {
		return nil, fmt.Errorf("loading private key %s: %w", path, err)
	}
	key, err := parsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, err)
	}
	return key, nil
}

func parsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil || block.Type != pemType:
		return nil, fmt.Errorf("no PEM block of type %s", pemType)
	case strings.TrimSpace(string(rest)) != "":
		return nil, errors.New("more than one PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, want Ed25519", parsed)
	}
	return key, nil
}

// PublicKey is the public key of a private one: what Member.Key holds.
func PublicKey(key ed25519.PrivateKey) ed25519.PublicKey {
	return key.Public().(ed25519.PublicKey)
}

// PublicKeyText is a public key as configuration files and people pass it on:
// "ed25519:" and 64 hexadecimal digits.
func PublicKeyText(key ed25519.PublicKey) string {
	return publicKeyPrefix + hex.EncodeToString(key)
}

// ParsePublicKey reads what PublicKeyText wrote.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	digits, ok := strings.CutPrefix(text, publicKeyPrefix)
	if !ok {
		return nil, fmt.Errorf("public key %q does not begin with %q", text, publicKeyPrefix)
	}
	key, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("public key %q: %w", text, err)
	}
	if len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("public key %q has %d bytes, want %d", text, len(key), ed25519.PublicKeySize)
	}
	return key, nil
}
