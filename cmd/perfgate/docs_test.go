package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestEveryCommandInTheDocumentsRuns runs each `$ perfgate …` line of each
// console block in the README and docs. They run in a small module that has what
// the pages name (the branches, suites and files of newDocsModule), since in this
// repository each would measure for minutes; a block marked `console long`, whose
// names no small module can have, runs only as far as its flags (-h).
//
// A command passes where it is no usage error and, where the block shows the
// verdict line, where its exit code is the one shown.
func TestEveryCommandInTheDocumentsRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("the commands of the documents measure")
	}
	var commands []docCommand
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			data, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			commands = append(commands, docCommands(page, string(data))...)
		}
	}
	if len(commands) == 0 {
		t.Fatal("no page shows a command")
	}
	dir := newDocsModule(t)
	for _, c := range commands {
		t.Run(c.line, func(t *testing.T) { c.run(t, dir) })
	}
}

// docCommand is one `$ perfgate …` line with the exit code that its block shows.
type docCommand struct {
	where string // page:line
	line  string
	long  bool
	exit  int // -1 where none is shown
}

var (
	shownExit = regexp.MustCompile(`^verdict: .*\(exit (\d+)\)$`)
	comment   = regexp.MustCompile(`\s+# .*$`)
)

// docCommands reads the console blocks of a page.
func docCommands(page, text string) []docCommand {
	var found []docCommand
	console, long, fenced := false, false, false
	for i, line := range strings.Split(text, "\n") {
		if info, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			words := append(strings.Fields(info), "", "")
			fenced = !fenced
			console = fenced && words[0] == "console"
			long = words[1] == "long"
			continue
		}
		if !console {
			continue
		}
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ "); ok {
			if strings.HasPrefix(command, "perfgate ") {
				found = append(found, docCommand{
					where: fmt.Sprintf("%s:%d", page, i+1), line: comment.ReplaceAllString(command, ""), long: long, exit: -1})
			}
			continue
		}
		if m := shownExit.FindStringSubmatch(strings.TrimSpace(line)); m != nil && len(found) > 0 {
			found[len(found)-1].exit, _ = strconv.Atoi(m[1])
		}
	}
	return found
}

func (c docCommand) run(t *testing.T, dir string) {
	line := c.line
	if c.long {
		line += " -h"
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", c.where, err)
	}
	code := cmd.ProcessState.ExitCode()
	switch {
	case code == 2 || code < 0 || code > 3:
		t.Errorf("%s: exits with %d:\n%s", c.where, code, out)
	case c.exit >= 0 && !c.long && code != c.exit:
		t.Errorf("%s: exits with %d, but the page shows %d:\n%s", c.where, code, c.exit, out)
	}
}

// docsFiles are a module with the names that the pages use: the package
// ./benchsuite/micro, a benchmark that matches Submit, the suites smoke and gate.
var docsFiles = map[string]string{
	"go.mod": "module example.org/shop\n\ngo 1.24\n",
	"perfgate.yml": `version: 1
suites:
  smoke:
    packages: [./...]
    budget: 60s
  gate:
    packages: [./...]
    budget: 60s
baseline: baselines
`,
	"benchsuite/micro/sum.go": `// Package micro stands in for the package that the documents measure.
package micro

// Sum is the work.
func Sum(n int) int {
	total := 0
	for i := range n {
		total += i ^ total<<1
	}
	return total
}
`,
	"benchsuite/micro/sum_test.go": `package micro

import "testing"

func BenchmarkSubmit(b *testing.B) {
	got := 0
	for b.Loop() {
		got += Sum(1000)
	}
	if got == 0 {
		b.Fatal("no work was done")
	}
}
`,
	"old.txt": strings.Repeat("BenchmarkSubmit-8 100 101 ns/op\n", 10),
	"new.txt": strings.Repeat("BenchmarkSubmit-8 100 102 ns/op\n", 10),
}

// newDocsModule makes the module, in a repository with the tags v1 and v2, a
// recorded bundle named BUNDLE and a stored baseline.
func newDocsModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range docsFiles {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeBundle(filepath.Join(dir, "BUNDLE")); err != nil {
		t.Fatal(err)
	}
	git := "git -c user.name=tester -c user.email=tester@example.org"
	for _, step := range []string{
		"perfgate baseline record BUNDLE",
		"git init -q -b main && git add -A && " + git + " commit -q -m first && git tag v1",
		"echo // Second. >>benchsuite/micro/sum.go && git add -A && " + git + " commit -q -m second && git tag v2",
	} {
		cmd := exec.Command("sh", "-c", step)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", step, err, out)
		}
	}
	return dir
}

func TestCommandsAreFoundInConsoleBlocksOnly(t *testing.T) {
	page := "`$ perfgate inline`\n```sh\n$ perfgate shell\n```\n```console\n$ perfgate local  # a remark\nregressed: 1\nverdict: regressed (exit 1)\n$ go build\n$ perfgate replay BUNDLE\n```\n" +
		"```console long\n$ perfgate check --base a\n```\n$ perfgate outside\n"
	want := []docCommand{
		{"page:6", "perfgate local", false, 1},
		{"page:10", "perfgate replay BUNDLE", false, -1},
		{"page:13", "perfgate check --base a", true, -1},
	}
	got := docCommands("page", page)
	if len(got) != len(want) {
		t.Fatalf("found %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("found %+v, want %+v", got[i], want[i])
		}
	}
}

// The pages are read in a clone of this repository, and their commands pasted there.
func TestTheDocumentsNameABenchmarkOfThisRepository(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "benchsuite", "micro", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc BenchmarkSubmit(") {
			return
		}
	}
	t.Error("benchsuite/micro has no benchmark Submit, which the documents measure")
}
