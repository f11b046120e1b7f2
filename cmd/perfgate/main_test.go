package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"perfgate": main})
}

// TestScript runs the tool as users drive it: one script per behaviour and exit
// code, in a folder of its own, with the caller's Go caches.
func TestScript(t *testing.T) {
	goEnv, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS").Output()
	if err != nil {
		t.Fatal(err)
	}
	values := strings.Split(string(goEnv), "\n")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TOMORROW", time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly))
			e.Setenv("GOCACHE", values[0])
			e.Setenv("GOMODCACHE", values[1])
			e.Setenv("GOPROXY", values[2])
			e.Setenv("GOFLAGS", values[3])
			e.Setenv("GOTOOLCHAIN", "local")
			// For scripts that empty the PATH.
			for name, command := range map[string]string{"GO": "go", "PERFGATE": "perfgate"} {
				path, err := exec.LookPath(command)
				if err != nil {
					return err
				}
				e.Setenv(name, path)
			}
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				e.Setenv("GIT_"+who+"_NAME", "tester")
				e.Setenv("GIT_"+who+"_EMAIL", "tester@example.org")
			}
			return nil
		},
		Condition: condition,
		Cmds:      map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "bundle": bundle},
	})
}

// condition knows what a script may need of the machine. Where everything is
// required to be there, its absence is an error and no reason to skip.
func condition(name string) (bool, error) {
	var have bool
	switch name {
	case "mount":
		have = os.Getuid() == 0
	case "taskset":
		_, err := exec.LookPath("taskset")
		have = err == nil
	default:
		return false, fmt.Errorf("unknown condition %q", name)
	}
	if !have && os.Getenv("REQUIRE_ALL") != "" {
		return false, fmt.Errorf("REQUIRE_ALL is set and this machine has no %s", name)
	}
	return have, nil
}

// exits runs a command and asserts its exit code: exits CODE COMMAND ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}
