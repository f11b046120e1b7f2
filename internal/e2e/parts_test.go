package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository that the tests are about.
const root = "../.."

// nodeFolder is where `npm ci --prefix tools/node` puts the parts from npm.
const nodeFolder = root + "/tools/node"

// need skips the test for want of a part, in one line that says how to get it.
func need(t *testing.T, have bool, part, how string) {
	t.Helper()
	switch {
	case have:
	case os.Getenv("REQUIRE_ALL") != "":
		t.Fatalf("REQUIRE_ALL is set and this machine has no %s (%s)", part, how)
	default:
		t.Skipf("NOT TESTED: this machine has no %s (%s)", part, how)
	}
}

// needAct returns the program that runs workflows.
func needAct(t *testing.T) string {
	t.Helper()
	act, err := exec.LookPath("act")
	need(t, err == nil, "act", "go build -C tools/act -o DIR/act github.com/nektos/act, with DIR on the PATH")
	return act
}

// needNode returns the file of a package from npm.
func needNode(t *testing.T, path ...string) string {
	t.Helper()
	_, err := exec.LookPath("node")
	need(t, err == nil, "node", "apt-get install nodejs npm")
	file := filepath.Join(append([]string{nodeFolder, "node_modules"}, path...)...)
	_, err = os.Stat(file)
	need(t, err == nil, filepath.Join(path...), "npm ci --prefix tools/node")
	return file
}

// run runs a program in a folder, with what is given on standard input, and
// returns its standard output.
func run(t *testing.T, dir string, stdin []byte, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
