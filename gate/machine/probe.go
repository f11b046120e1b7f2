package machine

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"time"
)

// Noise is what a probe saw on one core.
type Noise struct {
	Core int // -1 where it could not be pinned
	// Logs are the logarithms of the seconds that slices of equal work took,
	// Ratios those of neighbours' ratios, in an order drawn by a coin, as the pairs
	// of a measurement are compared.
	Logs, Ratios []float64
}

// probeSlice is the length of a slice of work: the kernel's own is a few
// milliseconds, so within a pair both see the same weather.
const probeSlice = 2 * time.Millisecond

// Probe does equal slices of work on each core in turn, for duration in all, and
// tells how much they differ.
func Probe(ctx context.Context, duration time.Duration) ([]Noise, error) {
	cores := Cores()
	each := duration / time.Duration(len(cores))
	loops := calibrateLoops()
	var out []Noise
	for _, core := range cores {
		var n Noise
		work := func() error { n = probeCore(ctx, each, loops); return nil }
		if CanPin() {
			if err := Pin([]int{core}, work); err != nil {
				return nil, err
			}
			n.Core = core
		} else {
			_ = work()
			n.Core = -1
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out = append(out, n)
	}
	return out, nil
}

// spin is the work: arithmetic in registers. Its result goes to whoever would
// otherwise let the compiler leave it out.
func spin(loops int) (time.Duration, uint64) {
	begin := time.Now()
	x := uint64(begin.UnixNano()) | 1
	for range loops {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return time.Since(begin), x
}

func calibrateLoops() int {
	const trial = 200_000
	best, x := spin(trial)
	for range 20 {
		took, y := spin(trial)
		best, x = min(best, took), x^y
	}
	runtime.KeepAlive(x)
	return max(1, int(float64(trial)*float64(probeSlice)/float64(best)))
}

func probeCore(ctx context.Context, duration time.Duration, loops int) Noise {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var n Noise
	for end := time.Now().Add(duration); time.Now().Before(end) && ctx.Err() == nil; {
		first, x := spin(loops)
		second, y := spin(loops)
		runtime.KeepAlive(x ^ y)
		a, b := first.Seconds(), second.Seconds()
		n.Logs = append(n.Logs, math.Log(a), math.Log(b))
		if rand.IntN(2) == 1 {
			a, b = b, a
		}
		n.Ratios = append(n.Ratios, math.Log(b/a))
	}
	return n
}
