package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestEveryCommandInTheDocumentsRuns runs each `$ trantor …` line of each console
// block in the README and docs: those of one page in order, in one directory. A
// command that ends in & runs until its page is done. A block marked `console
// long`, whose names no test can have, runs only as far as its flags (-h). Every
// command must succeed.
func TestEveryCommandInTheDocumentsRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("the commands of the documents run a system")
	}
	found := 0
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
			commands := docCommands(string(data))
			found += len(commands)
			if len(commands) > 0 {
				t.Run(filepath.Base(page), func(t *testing.T) { runPage(t, commands) })
			}
		}
	}
	if found == 0 {
		t.Fatal("no page shows a command")
	}
}

// docCommand is one `$ trantor …` line.
type docCommand struct {
	line int
	text string
	long bool
}

var docComment = regexp.MustCompile(`\s+# .*$`)

// docCommands reads the console blocks of a page.
func docCommands(text string) []docCommand {
	var found []docCommand
	console, long, fenced := false, false, false
	for i, line := range strings.Split(text, "\n") {
		if info, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			words := append(strings.Fields(info), "", "")
			fenced = !fenced
			console, long = fenced && words[0] == "console", words[1] == "long"
			continue
		}
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		if console && ok && strings.HasPrefix(command, "trantor ") {
			found = append(found, docCommand{line: i + 1, text: docComment.ReplaceAllString(command, ""), long: long})
		}
	}
	return found
}

func runPage(t *testing.T, commands []docCommand) {
	dir := t.TempDir()
	for _, c := range commands {
		text, background := strings.CutSuffix(c.text, " &")
		if c.long {
			text, background = text+" -h", false
		}
		cmd := exec.Command("sh", "-c", "exec "+text)
		cmd.Dir = dir
		if !background {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("line %d: %s: %v\n%s", c.line, text, err, out)
			}
			continue
		}
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM) // It may have ended.
			if err := cmd.Wait(); err != nil {
				t.Errorf("line %d: %s: %v\n%s", c.line, text, err, out.String())
			}
		})
	}
}

func TestCommandsAreFoundInConsoleBlocksOnly(t *testing.T) {
	page := "`$ trantor inline`\n```sh\n$ trantor shell\n```\n```console\n$ trantor init  # a remark\nreplica 0\n$ go build\n$ trantor node &\n```\n```console long\n$ trantor load\n```\n$ trantor outside\n"
	want := "[{6 trantor init false} {9 trantor node & false} {12 trantor load true}]"
	if got := fmt.Sprint(docCommands(page)); got != want {
		t.Errorf("found %s, want %s", got, want)
	}
}
