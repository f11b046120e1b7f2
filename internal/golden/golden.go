// Package golden compares what a test produced with a file that a person has
// read, and rewrites the file with one flag for the whole repository:
//
//	go test ./gate/report/ -update
//
// The one opinion it holds: a golden file begins with prose that says what it
// shows, so that a reviewer of a diff knows what to look for. A file is
//
//	the prose, any number of lines
//	-- output --
//	what the test produced, byte for byte
package golden

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files instead of comparing with them")

// separator stands alone on a line between the prose and the output.
const separator = "-- output --\n"

// Updating says whether golden files are to be rewritten, for helpers (such as
// testscript) that keep expected output in files of their own.
func Updating() bool { return *update }

// Check compares got with testdata/NAME.golden below the test's directory.
// Prose says what the file shows; it is part of the file and is compared too.
func Check(t testing.TB, name, prose string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name)+".golden")
	if err := check(path, prose, got, *update); err != nil {
		t.Error(err)
	}
}

func check(path, prose string, got []byte, rewrite bool) error {
	prose = strings.TrimSpace(prose)
	if prose == "" || strings.Contains(prose+"\n", "\n"+separator) {
		return fmt.Errorf("golden %s: prose must say what the file shows, and hold no separator", path)
	}
	want := prose + "\n" + separator + string(got)
	if rewrite {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return fmt.Errorf("golden: %w", err)
		}
		return os.WriteFile(path, []byte(want), 0o666)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("golden: %w (run the test with -update to write it)", err)
	}
	if string(file) == want {
		return nil
	}
	return fmt.Errorf("golden %s differs (run the test with -update, and read the diff):\n%s",
		path, firstDifference(string(file), want))
}

// firstDifference shows the first line where two texts part. A whole diff is
// git's work, after -update.
func firstDifference(file, got string) string {
	a, b := strings.SplitAfter(file, "\n"), strings.SplitAfter(got, "\n")
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	line := func(lines []string) string {
		if i < len(lines) {
			return fmt.Sprintf("%q", lines[i])
		}
		return "(end of file)"
	}
	return fmt.Sprintf("line %d\n  file: %s\n  got:  %s", i+1, line(a), line(b))
}
