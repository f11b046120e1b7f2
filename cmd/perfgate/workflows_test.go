package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatInitWritesPassesActionlint runs the linter that `make actionlint` runs on
// this repository's workflows on those that init writes for others.
func TestWhatInitWritesPassesActionlint(t *testing.T) {
	if testing.Short() {
		t.Skip("the linter has to be built")
	}
	tools, err := filepath.Abs("../../tools/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"--shards 1", "--shards 4 --suite gate --strategy branch --dir sub/module", "--strategy pull-request --branch 1.0 --release v1.2.3"} {
		dir := t.TempDir()
		script := "git init -q -b main && mkdir -p sub/module && echo module example.org/shop >go.mod && cp go.mod sub/module/ && " +
			"perfgate init --ref 0123456789012345678901234567890123456789 " + flags + " && cd - >/dev/null && go tool -modfile=" + tools + " actionlint " + dir + "/.github/workflows/*.yml"
		cmd := exec.Command("sh", "-c", "cd "+dir+" && "+script)
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("init %s: %v\n%s", flags, err, strings.TrimSpace(string(out)))
		}
	}
}
