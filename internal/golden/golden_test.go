package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileIsWrittenWithItsProseAndComparesEqual(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "x.golden")
	if err := check(path, "Shows two lines.", []byte("a\nb\n"), true); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "Shows two lines.\n-- output --\na\nb\n"; string(file) != want {
		t.Errorf("file = %q, want %q", file, want)
	}
	if err := check(path, "Shows two lines.", []byte("a\nb\n"), false); err != nil {
		t.Error(err)
	}
}

func TestDifferenceIsReportedByLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.golden")
	if err := check(path, "Shows two lines.", []byte("a\nb\n"), true); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ prose, got, want string }{
		{"Shows two lines.", "a\nc\n", `line 4`},
		{"Shows two lines.", "a\n", `line 4`},
		{"Shows three lines.", "a\nb\n", `line 1`},
	} {
		err := check(path, tc.prose, []byte(tc.got), false)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("prose %q, output %q: error %v, want one naming %s", tc.prose, tc.got, err, tc.want)
		}
	}
}

func TestMissingFileAndMissingProseAreErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.golden")
	if err := check(path, "Shows nothing.", nil, false); err == nil || !strings.Contains(err.Error(), "-update") {
		t.Errorf("missing file: error %v, want one naming -update", err)
	}
	if err := check(path, " \n", []byte("a\n"), true); err == nil {
		t.Error("a file without prose was accepted")
	}
}
