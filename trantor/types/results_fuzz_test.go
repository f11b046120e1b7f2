package types

import (
	"bytes"
	"testing"
)

// FuzzDecodeReconfigResult: what decodes is the one encoding of the result.
func FuzzDecodeReconfigResult(f *testing.F) {
	f.Add([]byte{})
	f.Add(ReconfigResult{Status: ReconfigApplied, Epoch: 9}.Encode())
	f.Add(append(ReconfigResult{Status: ReconfigTooMany}.Encode(), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeReconfigResult(b); err == nil && !bytes.Equal(r.Encode(), b) {
			t.Errorf("%x decodes and encodes to %x", b, r.Encode())
		}
	})
}
