package trend

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Divide finds the places at which the distribution of a series changes, by
// hierarchical estimation with the energy statistic (E-divisive):
//
//	David S. Matteson, Nicholas A. James: A Nonparametric Approach for Multiple
//	Change Point Analysis of Multivariate Data. Journal of the American
//	Statistical Association 109 (2014), 334–345; arXiv:1306.4933. Sections 2.2
//	(the statistic), 3 (the estimate), 3.2 (the test).
//
// The observations have to be independent of each other: it is given ratios of
// separate sessions, never their running sum, in which every value carries the
// errors of all before it and noise alone looks like a journey.
//
// A place is the index of the first observation of the new segment. Each is
// accepted where at most a share of level of permutations within the present
// segments gives a statistic as large (section 3.2: the search ends at the first
// place that is not), so a series without a change gets one with probability
// level at most. The permutations come from seed.
func Divide(series []float64, level float64, seed uint64) []int {
	rng := rand.New(rand.NewPCG(seed, 0x65646976)) // "ediv"
	var cuts []int
	for {
		segments := split(series, cuts)
		at, q := best(segments)
		if at < 0 || !significant(segments, q, level, rng) {
			return cuts
		}
		cuts = append(cuts, at)
		slices.Sort(cuts)
	}
}

const (
	// segmentMin is the least number of observations on each side of a place. With
	// fewer, the variance within a side says nothing: 5 against 5 have 252
	// arrangements, enough for a level of .01.
	segmentMin = 5
	// permutations resolve a level of .01 to a tenth of it.
	permutations = 999
	// seriesMax bounds the work: the newest so many observations are looked at.
	// The statistic takes n² steps for each permutation.
	seriesMax = 300
)

func split(series []float64, cuts []int) [][]float64 {
	var segments [][]float64
	from := 0
	for _, cut := range append(slices.Clone(cuts), len(series)) {
		segments = append(segments, series[from:cut])
		from = cut
	}
	return segments
}

// best is the place with the largest statistic over all segments, as an index
// into the series, or -1 where every segment is too short.
func best(segments [][]float64) (at int, q float64) {
	at, q = -1, math.Inf(-1)
	from := 0
	for _, s := range segments {
		if k, v := bestIn(s); k > 0 && v > q {
			at, q = from+k, v
		}
		from += len(s)
	}
	return at, q
}

// bestIn finds the place within one segment that maximizes
//
//	Q(X, Y) = mn/(m+n) · (2·mean|x−y| − mean|x−x'| − mean|y−y'|)
//
// (equations 5 and 6 with exponent 1). The sums are moved along with the place:
// one observation changes sides at each step. Y is always the rest of the
// segment; the paper lets it end earlier, too, for two changes that cancel, at
// the cost of a factor n.
func bestIn(s []float64) (at int, q float64) {
	n := len(s)
	if n < 2*segmentMin {
		return -1, 0
	}
	// Sums of distances over unordered pairs within the left, within the right,
	// and across.
	var within, across, right float64
	for i := range s {
		for j := range i {
			right += math.Abs(s[i] - s[j])
		}
	}
	at, q = -1, math.Inf(-1)
	for k := 1; k <= n-segmentMin; k++ {
		var toLeft, toRight float64 // of the one that moves, s[k-1]
		for j := range s {
			if d := math.Abs(s[j] - s[k-1]); j < k-1 {
				toLeft += d
			} else {
				toRight += d
			}
		}
		within += toLeft
		right -= toRight
		across += toRight - toLeft
		if k < segmentMin {
			continue
		}
		m, r := float64(k), float64(n-k)
		v := m * r / (m + r) * (2*across/(m*r) - within/(m*(m-1)/2) - right/(r*(r-1)/2))
		if v > q {
			at, q = k, v
		}
	}
	return at, q
}

// significant is the permutation test: observations change places within their
// segments only, since between them a difference is accepted already.
func significant(segments [][]float64, q, level float64, rng *rand.Rand) bool {
	shuffled := make([][]float64, len(segments))
	for i, s := range segments {
		shuffled[i] = slices.Clone(s)
	}
	asLarge := 1 // the arrangement that was observed
	for range permutations {
		for _, s := range shuffled {
			rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
		}
		if _, v := best(shuffled); v >= q {
			asLarge++
		}
		if float64(asLarge) > level*(permutations+1) {
			return false
		}
	}
	return true
}
