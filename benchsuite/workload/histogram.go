package workload

import (
	"math/bits"
	"time"
)

// subBits: a bucket is at most 2^-subBits of its values wide, 0.1 %.
const subBits = 10

// Histogram counts durations in buckets whose width grows with the value: a
// high dynamic range in constant memory of about 440 KB. Every sample is kept:
// it clips nothing and forgets nothing.
type Histogram struct {
	counts [(64 - subBits) << subBits]uint64
	total  uint64
}

// Record adds a sample; one below zero counts as zero.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
}

// Add adds all samples of other.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Reset forgets all samples.
func (h *Histogram) Reset() { *h = Histogram{} }

// Count is the number of samples.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile is the nearest-rank quantile: the least value that at least a share
// q of the samples does not exceed, rounded up to the end of its bucket. It is
// zero without samples.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	if float64(rank) < q*float64(h.total) {
		rank++
	}
	rank = max(rank, 1)
	var below uint64
	for i, n := range h.counts {
		if below += n; below >= rank {
			return time.Duration(bucketEnd(i))
		}
	}
	return 0
}

// bucket is the bucket of v. Values below 2^(subBits+1) have one each; above,
// each power of two is divided into 2^subBits.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// bucketEnd is the greatest value in bucket i.
func bucketEnd(i int) uint64 {
	shift := max(i>>subBits-1, 0)
	return uint64(i-shift<<subBits+1)<<shift - 1
}
