package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/perfgate/perfgate/gate/verdict"
)

// The manifest of this repository's own suite lists what the suite's source
// declares; and, unless tests are to be short, the benchmarks of size smoke run
// and report the units that it says.
func TestTheManifestOfThisRepositorysSuiteIsCurrent(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"verify", "--size", "smoke"}
	if testing.Short() {
		args = []string{"verify", "--quick"}
	}
	var stdout, stderr bytes.Buffer
	env := &Env{Stdout: &stdout, Stderr: &stderr, Dir: root, Getenv: os.Getenv}
	if code := runSuite(t.Context(), env, args); code != verdict.ExitPass {
		t.Errorf("perfgate suite %v exits with %d, want 0\n%s%s", args, code, &stdout, &stderr)
	}
}
