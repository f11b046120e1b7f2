//go:build unix

package machine

import "golang.org/x/sys/unix"

// ownCPU is the CPU time in seconds of this process and of its children that
// have ended.
func ownCPU() float64 {
	total := 0.0
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if unix.Getrusage(who, &u) == nil {
			total += float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
		}
	}
	return total
}
