//go:build !unix

package machine

// ownCPU is not known here: nothing else of the watch is either.
func ownCPU() float64 { return 0 }
