package compare

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"

	"github.com/perfgate/perfgate/gate/recording"
)

// Better is the direction in which a test's unit improves, "lower" or
// "higher", or "" where nobody said: policy first, then what is known of the units
// of package testing, then the suite's Unit lines. A Unit line is printed by what
// is measured, which must not turn the meaning of time around.
func Better(m *recording.Manifest, t recording.Test) string {
	if d := m.Policy.For(t.Key.String(), t.Unit).Direction; d != "" {
		return d
	}
	switch t.Unit {
	case "sec/op", "cpu-sec/op", "B/op", "allocs/op":
		return "lower"
	case "B/s":
		return "higher"
	}
	return m.Units[t.Unit].Better
}

// Pair is a base run and a head run that met the same weather.
type Pair struct{ Base, Head recording.Sample }

// LogRatio is the pair's oriented log ratio in one unit: positive is worse. ok
// is false where a side does not report the unit.
func (p Pair) LogRatio(unit, better string) (d float64, ok bool) {
	base, ok1 := value(p.Base, unit)
	head, ok2 := value(p.Head, unit)
	if !ok1 || !ok2 {
		return 0, false
	}
	if unit == recording.MutexWait || unit == recording.Block {
		least := p.contentionFloor()
		base, head = base+least, head+least
	}
	if better == "higher" {
		return LogRatio(head, base), true
	}
	return LogRatio(base, head), true
}

// contentionShare of a pair's time is added to the waiting of both sides before
// they are compared: twice as much of next to nothing is still next to nothing.
const contentionShare = 0.01

// contentionFloor is the same for both sides, so that swapping them still negates
// the ratio.
func (p Pair) contentionFloor() float64 {
	base, _ := value(p.Base, "sec/op")
	head, _ := value(p.Head, "sec/op")
	return contentionShare * (base + head) / 2
}

func value(s recording.Sample, unit string) (float64, bool) {
	for _, v := range s.Values {
		if v.Unit == unit {
			return v.Value, true
		}
	}
	return 0, false
}

// place identifies a benchmark within a channel.
type place struct {
	key     recording.Key
	channel recording.Channel
}

// Pairs joins the samples of the timed channels by key, channel and pair, in
// the order of their rounds and, within one, of recording.Canonical. Half a
// pair is an error: something was lost.
func Pairs(samples []recording.Sample) ([]Pair, error) {
	type id struct {
		place
		pair int
	}
	sorted := slices.Clone(samples)
	recording.Canonical(sorted)
	at := map[id]int{}
	var pairs []Pair
	for _, s := range sorted {
		if s.Channel != recording.CoRun && s.Channel != recording.Wall {
			continue
		}
		pid := id{place{s.Key, s.Channel}, s.Pair}
		i, ok := at[pid]
		if !ok {
			i = len(pairs)
			at[pid] = i
			pairs = append(pairs, Pair{})
		}
		dst := &pairs[i].Base
		if s.Side == recording.Head {
			dst = &pairs[i].Head
		}
		if dst.Side != "" {
			return nil, fmt.Errorf("%s: %s pair %d has two %s runs", s.Key, s.Channel, s.Pair, s.Side)
		}
		*dst = s
	}
	for _, p := range pairs {
		if err := p.check(); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

func (p Pair) check() error {
	have, lost := p.Base, recording.Head
	if have.Side == "" {
		have, lost = p.Head, recording.Base
	}
	if p.Base.Side == "" || p.Head.Side == "" {
		return fmt.Errorf("%s: %s pair %d has no %s run", have.Key, have.Channel, have.Pair, lost)
	}
	if p.Base.Round != p.Head.Round {
		return fmt.Errorf("%s: %s pair %d is of rounds %d and %d", have.Key, have.Channel, have.Pair, p.Base.Round, p.Head.Round)
	}
	return nil
}

// Changes compares the two sides for every test of the bundle's family, in
// the family's order.
func Changes(b recording.Bundle) ([]Change, error) {
	pairs, err := Pairs(b.Samples)
	if err != nil {
		return nil, err
	}
	timed := map[place][]Pair{}
	for _, p := range pairs {
		at := place{p.Base.Key, p.Base.Channel}
		timed[at] = append(timed[at], p)
	}
	exact := map[recording.Key][]recording.Sample{}
	for _, s := range b.Samples {
		if s.Channel == recording.Exact {
			exact[s.Key] = append(exact[s.Key], s)
		}
	}
	changes := make([]Change, 0, len(b.Manifest.Family))
	for _, t := range b.Manifest.Family {
		c := Change{Test: t, Better: Better(&b.Manifest, t)}
		switch t.Channel {
		case recording.CoRun, recording.Wall:
			target := b.Manifest.Policy.For(t.Key.String(), t.Unit).Target
			c.compareTimed(timed[place{t.Key, t.Channel}], ParamsFor(target))
		case recording.Exact:
			c.compareExact(exact[t.Key])
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func (c *Change) compareTimed(pairs []Pair, params Params) {
	var base, head, d []float64
	seq := NewSequential(params)
	without, unsigned := 0, 0
	for _, p := range pairs {
		x, ok := p.LogRatio(c.Test.Unit, c.Better)
		if !ok {
			without++
			continue
		}
		bv, _ := value(p.Base, c.Test.Unit)
		hv, _ := value(p.Head, c.Test.Unit)
		if bv != hv && (bv <= 0 || hv <= 0) {
			unsigned++
		}
		base, head, d = append(base, bv), append(head, hv), append(d, x)
		seq.Add(x)
	}
	if without > 0 {
		c.warn("%d of %d pairs do not report %s on both sides", without, len(pairs), c.Test.Unit)
	}
	if unsigned > 0 {
		c.warn("%d of %d pairs have a value that is zero or negative: only the sign of their difference counts", unsigned, len(pairs))
	}
	c.Base, c.Head = centre(base), centre(head)
	lo, hi := ConfidenceSequence(d)
	c.Timed = &Timed{
		Pairs: seq.Pairs(), Delta: Median(d), Lo: lo, Hi: hi, Deviation: Deviation(d),
		PWorse: seq.PWorse(), PBetter: seq.PBetter(), EPass: seq.EPass(),
	}
}

// centre is the median and its 95 % interval as benchmath gives them without
// assuming a distribution.
func centre(values []float64) Centre {
	if len(values) == 0 {
		return Centre{}
	}
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	s := benchmath.AssumeNothing.Summary(sample, .95)
	return Centre{Median: s.Center, Lo: s.Lo, Hi: s.Hi, N: len(values)}
}

// bytesTolerance is the change of B/op, up or down, that is none: the runtime's
// own size classes and buffers move totals by a few bytes per process. Less than
// one byte per op, or one object in a hundred ops, is none either: it is set-up
// within the timed part, or the runtime's own.
const (
	bytesTolerance     = 0.005 // of the smaller value
	bytesToleranceFlat = 1.0   // B/op
	allocsTolerance    = 0.01  // allocs/op
)

// compareExact fills in the exact channel's finding.
func (c *Change) compareExact(samples []recording.Sample) {
	var base, head []float64
	iterations := map[int]bool{}
	without := 0
	for _, s := range samples {
		v, ok := value(s, c.Test.Unit)
		if !ok {
			without++
			continue
		}
		iterations[s.N] = true
		if s.Side == recording.Base {
			base = append(base, v)
		} else {
			head = append(head, v)
		}
	}
	if without > 0 {
		c.warn("%d of %d exact runs do not report %s", without, len(samples), c.Test.Unit)
	}
	c.Base, c.Head = centre(base), centre(head)
	c.Exact = ExactOf(c.Test.Unit, c.Better, base, head)
	if len(iterations) > 1 {
		c.Exact.State = Disagree
		c.warn("the exact runs differ in their number of iterations")
	}
	switch c.Exact.State {
	case Disagree:
		c.warn("%s does not repeat exactly on this machine: base %s, head %s", c.Test.Unit, spread(base), spread(head))
	case Unconfirmed:
		c.warn("the sides differ, but only %d runs a side were made: %d are needed to confirm it", c.Exact.Runs, recording.ExactConfirmRuns)
	}
}

func spread(values []float64) string {
	if len(values) == 0 {
		return "without runs"
	}
	if lo, hi := slices.Min(values), slices.Max(values); lo != hi {
		return fmt.Sprintf("%v to %v", lo, hi)
	}
	return fmt.Sprint(values[0])
}

// ExactOf compares exact values of both sides; it is also how a measurement
// learns, after its first runs, whether more are needed (Unconfirmed). Without
// runs on a side there is no comparison: the state is empty.
func ExactOf(unit, better string, base, head []float64) *ExactResult {
	r := &ExactResult{Runs: min(len(base), len(head))}
	if r.Runs == 0 {
		return r
	}
	r.Base, r.Head = base[0], head[0]
	r.Relative = relative(r.Base, r.Head)
	switch {
	case !allEqual(base) || !allEqual(head):
		r.State = Disagree
	case r.Base == r.Head:
		r.State = Same
	case Tolerable(unit, r.Base, r.Head):
		r.State = Tolerated
	case r.Runs < recording.ExactConfirmRuns:
		r.State = Unconfirmed
	case (r.Head > r.Base) == (better != "higher"):
		r.State = Rise
	default:
		r.State = Fall
	}
	return r
}

// Tolerable reports whether two exact values differ by no more than the unit
// allows: half a percent or less than a byte of B/op, less than a hundredth of
// an object of allocs/op, and nothing of any other unit.
func Tolerable(unit string, a, b float64) bool {
	switch {
	case a == b:
		return true
	case unit == "B/op":
		return math.Abs(a-b) < bytesToleranceFlat || math.Abs(a-b) <= bytesTolerance*min(a, b)
	case unit == "allocs/op":
		return math.Abs(a-b) < allocsTolerance
	}
	return false
}

func relative(base, head float64) float64 {
	switch {
	case base == head:
		return 0
	case base == 0:
		return math.Inf(1)
	}
	return head/base - 1
}

func allEqual(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return v != values[0] })
}

func (c *Change) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}
