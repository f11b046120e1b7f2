package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// TestTheFailClosedDemonstrationShowsWhatItsPageSays runs the script of
// docs/evidence/failclosed, and compares line by line.
func TestTheFailClosedDemonstrationShowsWhatItsPageSays(t *testing.T) {
	if testing.Short() {
		t.Skip("the demonstration measures")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the script is written for GNU tools")
	}
	t.Parallel()
	page, err := os.ReadFile("../../docs/evidence/failclosed/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```text\n")
	want, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("the page has no block of output")
	}
	cmd := exec.Command("bash", "../../docs/evidence/failclosed/run.sh")
	out, err := cmd.CombinedOutput()
	got, _, _ := strings.Cut(string(out), "\n\n0 of these")
	if err != nil || strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("%v; it shows\n%s\nand the page\n%s", err, out, want)
	}
}
