package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/cli"
)

// TestRecordedEvidenceIsDecidedAsItWas replays the bundles that the documents
// speak of.
func TestRecordedEvidenceIsDecidedAsItWas(t *testing.T) {
	for bundle, want := range map[string]string{
		"first/unchanged": "verdict: unchanged (exit 0)",
		"first/slower":    "verdict: regressed (exit 1)",
		"first/neutral":   "verdict: no change found (exit 0)",
		"before/bundle":   "verdict: unchanged (exit 0)",
	} {
		var stdout, stderr bytes.Buffer
		env := &cli.Env{Stdout: &stdout, Stderr: &stderr, Dir: "../..", Getenv: func(string) string { return "" }}
		cli.Main(t.Context(), env, []string{"replay", filepath.Join("docs", "evidence", filepath.FromSlash(bundle))})
		lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
		if got := lines[len(lines)-1]; got != want {
			t.Errorf("%s: %q, want %q\n%s", bundle, got, want, stderr.String())
		}
	}
}
