package verdict

import (
	"fmt"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
)

// The budget of false alarms: 1 % per suite and direction, spent once over the
// channels. The exact channel's share covers what its confirmation runs may miss.
const (
	AlphaCoRun = .006
	AlphaWall  = .003
	AlphaExact = .001
)

// passEvidence is the sup E against a slowdown of Delta1 at which a test
// passes: a slowdown of that size passes wrongly with probability 1/50 at most.
const passEvidence = 50

// improvedEvidence keeps a test that has passed in the rounds while there is
// this much present evidence that it improved. An improvement passes long
// before it is proven; without the wait none would ever be reported. An
// unchanged test is held so with probability 1/10 at most.
const improvedEvidence = 10

// lostMax is how many pairs may lack a unit on some side. Then the test ends
// undecided: more pairs would use up the time of all, and its end would look
// like the end of the budget.
const lostMax = 3

func alphaOf(c recording.Channel) float64 {
	if c == recording.Wall {
		return AlphaWall
	}
	return AlphaCoRun
}

// Tracker is the stopping rule. A measurement drives it live, and Decide drives
// it again over the bundle: the same pairs in the same rounds give the same
// decisions.
//
// It follows the timed tests that have a direction and are not ignored. These
// are known before the first measurement; together they are, per channel, the
// family that Holm's correction runs over, and none leaves it.
type Tracker struct {
	tests  []*tracked
	byTest map[recording.Test]*tracked
	// familyMin is the least number of tests that Holm's correction counts in a
	// channel: those of other shards have no evidence here and count all the same.
	familyMin int
}

// tracked is one test's state.
type tracked struct {
	test     recording.Test
	better   string
	params   compare.Params
	cap      int // the target's, or the larger one for noisy pairs
	seq      *compare.Sequential
	d        []float64 // oriented log ratios
	lost     int       // pairs that do not report the unit on both sides
	extended bool      // cap was settled
	passed   bool      // sup E crossed passEvidence; the test may still be held
	// decision is empty while the test is open, and never changes afterwards.
	decision            Decision
	adjWorse, adjBetter float64
}

// NewTracker follows the timed tests of family. Shard is nil unless they are only
// a part of the suite's.
func NewTracker(family []recording.Test, units map[string]recording.Unit, policy config.Policy, shard *recording.Shard) *Tracker {
	m := &recording.Manifest{Units: units, Policy: policy}
	t := &Tracker{byTest: map[recording.Test]*tracked{}}
	if shard != nil {
		t.familyMin = shard.FamilyMin
	}
	for _, test := range family {
		rule := policy.For(test.Key.String(), test.Unit)
		better := compare.Better(m, test)
		timed := test.Channel == recording.CoRun || test.Channel == recording.Wall
		if !timed || rule.Ignore || better == "" {
			continue
		}
		params := compare.ParamsFor(rule.Target)
		s := &tracked{test: test, better: better, params: params, cap: params.Cap,
			seq: compare.NewSequential(params), adjWorse: 1, adjBetter: 1}
		t.tests = append(t.tests, s)
		t.byTest[test] = s
	}
	return t
}

// Add takes a pair's oriented log ratio (positive is worse) for one test. A
// test that is decided, or not followed, takes no more.
func (t *Tracker) Add(test recording.Test, d float64) {
	if s := t.byTest[test]; s != nil && s.decision == "" {
		s.seq.Add(d)
		s.d = append(s.d, d)
	}
}

// AddPair takes a pair for every test that it speaks to. Within a round, the
// pairs of a benchmark must come in the order of their numbers.
func (t *Tracker) AddPair(base, head recording.Sample) error {
	if base.Side != recording.Base || head.Side != recording.Head || base.Key != head.Key ||
		base.Channel != head.Channel || base.Pair != head.Pair || base.Round != head.Round {
		return fmt.Errorf("no pair: %s %s %s pair %d round %d, and %s %s %s pair %d round %d",
			base.Side, base.Key, base.Channel, base.Pair, base.Round,
			head.Side, head.Key, head.Channel, head.Pair, head.Round)
	}
	p := compare.Pair{Base: base, Head: head}
	for _, s := range t.tests {
		if s.test.Key != base.Key || s.test.Channel != base.Channel {
			continue
		}
		if d, ok := p.LogRatio(s.test.Unit, s.better); ok {
			t.Add(s.test, d)
		} else if s.decision == "" {
			s.lost++
		}
	}
	return nil
}

// Look decides what can be decided after a round. Regressions go first; then
// improvements; then passes, unless held by present evidence of an
// improvement; then the cap.
func (t *Tracker) Look() {
	t.correct(recording.CoRun)
	t.correct(recording.Wall)
	for _, s := range t.tests {
		if s.decision == "" {
			s.decision = s.decide()
		}
	}
}

// correct computes Holm's adjusted p-values over a channel's family.
func (t *Tracker) correct(channel recording.Channel) {
	var family []*tracked
	var worse, better []float64
	for _, s := range t.tests {
		if s.test.Channel == channel {
			family = append(family, s)
			worse = append(worse, s.seq.PWorse())
			better = append(better, s.seq.PBetter())
		}
	}
	size := max(len(family), t.familyMin)
	worse = compare.Holm(worse, size)
	better = compare.Holm(better, size)
	for i, s := range family {
		s.adjWorse, s.adjBetter = worse[i], better[i]
	}
}

func (s *tracked) decide() Decision {
	alpha := alphaOf(s.test.Channel)
	s.passed = s.passed || s.seq.EPass() >= passEvidence
	s.extend()
	atEnd := s.seq.Pairs() >= s.cap || s.lost >= lostMax
	switch {
	case s.adjWorse <= alpha:
		return Regressed
	case s.adjBetter <= alpha:
		return Improved
	case s.passed && (atEnd || s.seq.EBetter() < improvedEvidence):
		return Pass
	case atEnd:
		return Inconclusive
	}
	return ""
}

// extend looks once, when the target's cap is reached, whether the pairs are so
// noisy that the test gets more of them. Once, so that an estimate near the
// threshold does not move the end to and fro.
func (s *tracked) extend() {
	if s.extended || s.seq.Pairs() < s.params.Cap {
		return
	}
	s.extended = true
	if compare.Deviation(s.d) > compare.NoisyDeviation {
		s.cap = s.params.CapNoisy
	}
}

// Decision is the decision on a test, empty while it is open. ok is false for
// tests that are not followed.
func (t *Tracker) Decision(test recording.Test) (d Decision, ok bool) {
	s := t.byTest[test]
	if s == nil {
		return "", false
	}
	return s.decision, true
}

// Open lists the undecided tests, in the family's order.
func (t *Tracker) Open() []recording.Test {
	var open []recording.Test
	for _, s := range t.tests {
		if s.decision == "" {
			open = append(open, s.test)
		}
	}
	return open
}

// Wants reports whether any test of the benchmark is open in the channel.
func (t *Tracker) Wants(key recording.Key, channel recording.Channel) bool {
	for _, s := range t.tests {
		if s.test.Key == key && s.test.Channel == channel && s.decision == "" {
			return true
		}
	}
	return false
}

// FoundSlower reports whether any test of the benchmark was found slower in the
// channel.
func (t *Tracker) FoundSlower(key recording.Key, channel recording.Channel) bool {
	for _, s := range t.tests {
		if s.test.Key == key && s.test.Channel == channel && s.decision == Regressed {
			return true
		}
	}
	return false
}

// Deviation is the largest pair deviation of the benchmark's tests in the
// channel so far.
func (t *Tracker) Deviation(key recording.Key, channel recording.Channel) float64 {
	most := 0.0
	for _, s := range t.tests {
		if s.test.Key == key && s.test.Channel == channel && len(s.d) > 0 {
			most = max(most, compare.Deviation(s.d))
		}
	}
	return most
}

// Pairs is the number of pairs that a test has taken, and Cap the number at
// which it would end by what is known now.
func (t *Tracker) Pairs(test recording.Test) (pairs, limit int) {
	s := t.byTest[test]
	if s == nil {
		return 0, 0
	}
	return s.seq.Pairs(), s.cap
}
