package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w+)\(`)
	scripted = regexp.MustCompile("`(\\w+\\.txtar)`")
)

// TestTheThreatModelNamesTestsThatExist holds docs/SECURITY.md to the tests that it
// says hold perfgate to it.
func TestTheThreatModelNamesTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	for _, root := range []string{"../../gate", "../../internal", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range testFunc.FindAllSubmatch(source, -1) {
				exist[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := testName.FindAllSubmatch(page, -1)
	if len(named) < 50 {
		t.Errorf("%d tests are named: the page is not what it was", len(named))
	}
	for _, m := range named {
		if !exist[string(m[1])] {
			t.Errorf("docs/SECURITY.md names %s, which does not exist", m[1])
		}
	}
	for _, m := range scripted.FindAllSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join("testdata", "script", string(m[1]))); err != nil {
			t.Errorf("docs/SECURITY.md names %s: %v", m[1], err)
		}
	}
}
