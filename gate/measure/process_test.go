//go:build unix

package measure

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A child that left the process group lives on and keeps the pipe of the
// meeting open. Without the rule the test hangs until its own time limit.
func TestNobodyWaitsForAKilledProcessToBeReady(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		if os.Getenv("REQUIRE_ALL") != "" {
			t.Fatal("REQUIRE_ALL is set and this machine has no setsid")
		}
		t.Skip("setsid is not here")
	}
	dir := t.TempDir()
	// The child ends when the test's folder is removed.
	script := "#!/bin/sh\nsetsid sh -c 'while [ -e \"$0\" ]; do sleep 0.1; done' \"$0\" &\nwait\n"
	binary := filepath.Join(dir, "hangs")
	if err := os.WriteFile(binary, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, timeout := range []time.Duration{200 * time.Millisecond, time.Hour} {
		ctx, interrupt := context.WithCancel(t.Context())
		p, err := start(ctx, job{binary: binary, dir: dir, procs: 1, timeout: timeout}, true)
		if err != nil {
			t.Fatal(err)
		}
		if timeout == time.Hour {
			interrupt()
		}
		p.awaitReady()
		_, _ = p.wait(ctx)
		interrupt()
	}
}
