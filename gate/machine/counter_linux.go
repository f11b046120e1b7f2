package machine

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// InstructionsEvent is the counter of retired instructions, as perf_event_open(2)
// names it, "TYPE,CONFIG", or empty where there is none.
func InstructionsEvent() string {
	if OpenInstructions() != nil {
		return ""
	}
	return fmt.Sprintf("%d,%d", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_INSTRUCTIONS)
}

// OpenInstructions tries to count this process's instructions in user space, and
// says why that does not work here where it does not.
func OpenInstructions() error {
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_HARDWARE, Config: unix.PERF_COUNT_HW_INSTRUCTIONS, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Bits: unix.PerfBitDisabled | unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
	}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EOPNOTSUPP):
		return errors.New("this CPU shows no counters (usual in a virtual machine)")
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return errors.New("not allowed: kernel.perf_event_paranoid or a sandbox forbids it")
	case err != nil:
		return fmt.Errorf("perf_event_open: %w", err)
	}
	return unix.Close(fd)
}
