package machine

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Cores lists the CPUs that this process may run on, read once at the start.
var Cores = sync.OnceValue(func() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return slices.Repeat([]int{-1}, runtime.NumCPU())
	}
	var cores []int
	for cpu := range 8 * len(set) * 8 {
		if set.IsSet(cpu) {
			cores = append(cores, cpu)
		}
	}
	return cores
})

// CanPin tells whether Pin works here.
var CanPin = sync.OnceValue(func() bool {
	cores := Cores()
	return cores[0] >= 0 && Pin(cores[:1], func() error { return nil }) == nil
})

// Pin calls start with the calling thread bound to cores, so that a process
// that start launches inherits the binding, and restores the thread after.
func Pin(cores []int, start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, want unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("reading the CPU affinity: %w", err)
	}
	for _, c := range cores {
		want.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &want); err != nil {
		return fmt.Errorf("pinning to cores %v: %w", cores, err)
	}
	err := start()
	if rerr := unix.SchedSetaffinity(0, &before); rerr != nil && err == nil {
		err = fmt.Errorf("restoring the CPU affinity: %w", rerr)
	}
	return err
}
