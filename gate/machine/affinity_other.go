//go:build !linux

package machine

import (
	"errors"
	"runtime"
	"slices"
)

// Cores has one entry per CPU; their numbers are unknown here.
func Cores() []int { return slices.Repeat([]int{-1}, runtime.NumCPU()) }

// CanPin tells whether Pin works here.
func CanPin() bool { return false }

// Pin is not to be had on this system.
func Pin([]int, func() error) error {
	return errors.New("processes cannot be pinned to a core on " + runtime.GOOS)
}
