package store

import (
	"bytes"
	"testing"
)

// FuzzIdentity: what reads as an identity file or as a header is the one way to
// write it.
func FuzzIdentity(f *testing.F) {
	f.Add(identityFile{}.encode())
	f.Add([]byte("trantor store 1\n"))
	f.Add(header{groups: 3, sum: 5}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := decodeIdentity(b); err == nil && !bytes.Equal(id.encode(), b) {
			t.Errorf("%q reads as an identity that is written as %q", b, id.encode())
		}
		if h, err := decodeHeader(b); err == nil && !bytes.Equal(h.encode(), b) {
			t.Errorf("%x reads as a header that is written as %x", b, h.encode())
		}
	})
}
