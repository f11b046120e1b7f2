//go:build unix

package measure

import (
	"os/exec"
	"syscall"
)

// setGroup puts the process into a group of its own, so that an interrupt at
// the terminal reaches perfgate alone and killGroup reaches its children too.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
