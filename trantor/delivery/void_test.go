package delivery

import (
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

// An empty batch exists nowhere, so nobody is asked for it, and its number never
// names another one.
func TestAVoidCertificateUsesItsNumberUpAndDeliversNothing(t *testing.T) {
	h := newHarness(t, config())
	a := batchOf(1, 0)
	void := types.Certificate{Creator: 1, No: 0, Batch: types.VoidDigest}
	h.want("need(0/0)", h.slot(cert(0, 0, a), void))
	h.want("tx(1/0 at 0) progress(1/0|) used(0/0 in 0) used(1/0 in 0)", arrive(a))
	h.want("", h.slot(cert(1, 0, batchOf(1, 1))))
	if got := h.d.Stats(); got.SkippedCerts != 1 || got.Batches != 1 || got.MalformedBatches != 0 {
		t.Errorf("stats %+v, want one batch delivered and one certificate skipped", got)
	}
}
