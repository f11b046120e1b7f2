package workload

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A quantile is that of the samples, rounded up by at most 0.1 %.
func TestHistogramQuantilesAreThoseOfTheSamples(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var all []time.Duration
	h, half := &Histogram{}, &Histogram{}
	for i := range 10_001 {
		d := time.Duration(math.Exp(rng.Float64() * 30)) // 1 ns to some hours
		all = append(all, d)
		if i%2 == 0 {
			h.Record(d)
		} else {
			half.Record(d)
		}
	}
	h.Add(half)
	if h.Count() != 10_001 {
		t.Fatalf("%d samples, want 10001", h.Count())
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		rank := max(int(math.Ceil(q*float64(len(all)))), 1) // nearest rank, from 1
		want, got := all[rank-1], h.Quantile(q)
		if got < want || float64(got) > float64(want)*(1+1.0/1024) {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}

func TestHistogramBucketsFollowEachOther(t *testing.T) {
	for _, v := range []uint64{0, 1, 2046, 2047, 2048, 2049, 4095, 4096, 4098, 1 << 40, math.MaxInt64} {
		i := bucket(v)
		if end := bucketEnd(i); end < v {
			t.Errorf("%d is in bucket %d, which ends at %d", v, i, end)
		}
		if i > 0 && bucketEnd(i-1) >= v {
			t.Errorf("%d is in bucket %d, but the one before ends at %d", v, i, bucketEnd(i-1))
		}
	}
}

func TestHistogramOfNothingHasNoQuantiles(t *testing.T) {
	h := &Histogram{}
	h.Record(time.Second)
	h.Reset()
	if h.Count() != 0 || h.Quantile(0.5) != 0 {
		t.Errorf("%d samples, median %v", h.Count(), h.Quantile(0.5))
	}
}
