package baseline

import (
	"bytes"
	"testing"
)

// FuzzWhatIsReadWasWrittenByRecord feeds any manifest and ledger to the reader: it
// must refuse or accept without a panic, and what it accepts encodes to the
// same bytes.
func FuzzWhatIsReadWasWrittenByRecord(f *testing.F) {
	data, err := encode(source("1", "c0ffee"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[manifestFile], data[ledgerFile])
	f.Add([]byte("{}"), []byte("{}\n"))
	f.Add(data[manifestFile], append(bytes.Clone(data[ledgerFile]), data[ledgerFile]...))
	f.Fuzz(func(t *testing.T, manifest, ledger []byte) {
		var m Manifest
		if err := decodeJSON(manifestFile, manifest, &m); err == nil {
			// As a forger would, who mends the hashes.
			mended := map[string][]byte{exactFile: data[exactFile], planFile: data[planFile], samplesFile: data[samplesFile], ledgerFile: ledger}
			m.LedgerBefore = Prefix{0, sum(nil)}
			if err := seal(&m, mended); err != nil {
				return
			}
			if b, err := parse("here", "smoke", "c0ffee", mended); err == nil {
				_ = b.prunable(1)
			}
		}
		entries, err := decodeLedger(ledger)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range entries {
			line, err := encodeEntry(e)
			if err != nil {
				t.Fatal(err)
			}
			again = append(again, line...)
		}
		if !bytes.Equal(again, ledger) {
			t.Errorf("read %q, and it encodes to %q", ledger, again)
		}
	})
}
