package measure

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

const (
	// wallReserve is the share of the time left after the exact pass that the
	// co-run leaves to the wall channel, where there is one. The co-run gets more:
	// it sees smaller changes in less time, and what it does not use is the
	// wall channel's.
	wallReserve = 0.3
	// roundShare is the time that a benchmark gets in a round, for as many pairs as
	// fit, but at least one and at most roundPairsMax. Without it one benchmark
	// with long runs would hold up all others.
	roundShare    = 200 * time.Millisecond
	roundPairsMax = 4
	// voidsMax is how many runs of a benchmark may void themselves.
	voidsMax = 3
	// voidMark begins the message of a b.Fatal by which a benchmark says that this
	// run did not do what it measures (a protocol timeout fired, say), so that
	// the pair is repeated.
	voidMark = "perfgate: void run: "
	// lengthenAfter is the number of pairs from which the length of runs is
	// judged; a pair deviation beyond longSliceDeviation asks for longSlice.
	lengthenAfter      = 10
	longSliceDeviation = .04
	longSlice          = 50 * time.Millisecond
	// roundsMax ends a channel whatever the stopper says.
	roundsMax = 10_000
)

func itoa(n int) string { return strconv.Itoa(n) }

// register fixes the family of tests: every benchmark and unit that will be
// judged, by the channel that judges it.
func (s *session) register(context.Context) error {
	for _, p := range s.plans {
		if p.gone {
			continue
		}
		s.registerPlan(p)
	}
	return nil
}

func (s *session) registerPlan(p *plan) {
	add := func(key recording.Key, unit string, channel recording.Channel) {
		s.Family = append(s.Family, recording.Test{Key: key, Unit: unit, Channel: channel})
	}
	wallKey := p.key
	wallKey.Procs = len(s.Cores)
	if p.wall && len(s.Cores) < 2 {
		s.Warnings = append(s.Warnings, p.key.String()+": "+p.wallWhy)
		p.wall = false
	}
	for _, u := range p.exactUnits() {
		switch runs := s.exact[p.key]; {
		case runs.agrees(u):
			add(p.key, u, recording.Exact)
		case p.coRun:
			// No exact metric on this machine: from here on it is judged like time.
			add(p.key, u, recording.CoRun)
		case p.wall:
			add(wallKey, u, recording.Wall)
		}
	}
	for _, u := range p.undeclared {
		if p.coRun {
			add(p.key, u, recording.CoRun)
		} else {
			add(wallKey, u, recording.Wall)
		}
	}
	if p.coRun {
		add(p.key, "cpu-sec/op", recording.CoRun)
		if p.counts {
			add(p.key, recording.Instructions, recording.CoRun)
		}
		s.Benchmarks = append(s.Benchmarks, recording.Benchmark{Key: p.key, Channel: recording.CoRun, Reason: p.coRunWhy, N: p.n, ExactN: p.exactN})
	}
	if p.wall {
		for _, u := range append(p.wallUnits(), recording.MutexWait, recording.Block) {
			add(wallKey, u, recording.Wall)
		}
		s.Benchmarks = append(s.Benchmarks, recording.Benchmark{Key: wallKey, Channel: recording.Wall, Reason: p.wallWhy, N: p.wallN, ExactN: p.exactN})
	}
}

// timedAll takes pairs in the co-run channel (both sides at once on one core,
// which the kernel shares out between them every few milliseconds), then in the
// wall channel (one side after the other, each with all cores to itself), and
// gives what time the wall channel leaves to a co-run that was cut short for it.
func (s *session) timedAll(ctx context.Context) error {
	var coRun, wall []*plan
	for _, p := range s.plans {
		if p.coRun {
			coRun = append(coRun, p)
		}
		if p.wall {
			wall = append(wall, p)
		}
	}
	var err error
	if s.stopper, err = s.NewStopper(s.Family, s.Units); err != nil {
		return err
	}
	early := s.Deadline
	if len(wall) > 0 && !early.IsZero() {
		early = early.Add(-time.Duration(wallReserve * float64(time.Until(early))))
	}
	s.chooseCanaries(coRun)
	cutCoRun, err := s.roundsAndConfirm(ctx, recording.CoRun, coRun, early)
	if err != nil {
		return err
	}
	cutWall, err := s.roundsAndConfirm(ctx, recording.Wall, wall, s.Deadline)
	if err != nil {
		return err
	}
	if cutCoRun && !cutWall {
		cutCoRun, err = s.roundsAndConfirm(ctx, recording.CoRun, coRun, s.Deadline)
	}
	s.OutOfTime = s.OutOfTime || cutCoRun || cutWall
	return err
}

func (s *session) roundsAndConfirm(ctx context.Context, channel recording.Channel, plans []*plan, deadline time.Time) (cut bool, err error) {
	cut, err = s.rounds(ctx, channel, plans, deadline)
	if err != nil {
		return false, err
	}
	return cut, s.confirm(ctx, channel, plans)
}

// role is a part in a pair: a side, played by itself or by a stand-in.
type role struct {
	side   recording.Side
	of     recording.Side // whose binary and folder it uses; empty for the side's own
	binary string         // another binary of it; empty for the one that was built first
}

// takePair takes a pair in a channel; ok is false where the benchmark is gone.
func (s *session) takePair(ctx context.Context, channel recording.Channel, p *plan, order []role) (samples []recording.Sample, ok bool, err error) {
	if channel == recording.Wall {
		return s.wallPair(ctx, p, order)
	}
	return s.coRunPair(ctx, p, order)
}

// rounds goes over the undecided benchmarks again and again, in an order drawn
// anew each time, until all are decided, at their cap, or cut short by the
// deadline.
func (s *session) rounds(ctx context.Context, channel recording.Channel, plans []*plan, deadline time.Time) (cut bool, err error) {
	for range roundsMax {
		var open []*plan
		for _, p := range plans {
			if !p.gone && s.stopper.Undecided(p.keyIn(channel, len(s.Cores)), channel) {
				open = append(open, p)
			}
		}
		if len(open) == 0 {
			return false, nil
		}
		s.round++
		s.rng.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
		for _, p := range open {
			if !deadline.IsZero() && time.Now().Add(p.pairTime(channel)).After(deadline) {
				s.stopper.Look()
				return true, nil
			}
			s.report(Progress{Phase: phaseName(channel), Detail: p.key.Name, Done: p.pairs[channel] + 1, Undecided: len(open)})
			for range p.pairsPerRound(channel) {
				if p.gone {
					break
				}
				p.pairs[channel]++
				if err := s.judgedPair(ctx, channel, p, p.pairs[channel]); err != nil {
					return false, err
				}
			}
			s.lengthen(channel, p)
		}
		s.stopper.Look()
		if channel == recording.CoRun {
			if err := s.feedCanaries(ctx); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

func phaseName(c recording.Channel) string {
	if c == recording.CoRun {
		return "co-run"
	}
	return string(c)
}

// keyIn is the benchmark's key in a channel: the wall channel uses all cores.
func (p *plan) keyIn(channel recording.Channel, cores int) recording.Key {
	k := p.key
	if channel == recording.Wall {
		k.Procs = cores
	}
	return k
}

// pairTime is about how long a pair takes.
func (p *plan) pairTime(channel recording.Channel) time.Duration {
	perOp, n := p.cpuOp, p.n
	if channel == recording.Wall {
		perOp, n = p.wallOp, p.wallN
	}
	return time.Duration(2 * perOp * float64(n) * float64(time.Second))
}

// pairsPerRound is how many pairs a benchmark takes in each round.
func (p *plan) pairsPerRound(channel recording.Channel) int {
	fit := roundShare / max(p.pairTime(channel), time.Millisecond)
	return int(min(max(fit, 1), roundPairsMax))
}

// lengthen gives a benchmark whose pairs differ much longer runs, once. The test
// stays valid: past pairs may choose how the next is run, whose coin is as fair
// as before.
func (s *session) lengthen(channel recording.Channel, p *plan) {
	if channel != recording.CoRun || p.lengthened || p.pairs[channel] < lengthenAfter {
		return
	}
	p.lengthened = true
	if s.stopper.Deviation(p.key, channel) > longSliceDeviation {
		p.n = min(int(float64(p.n)*longSlice.Seconds()/coRunSlice.Seconds()), nMax)
	}
}

// draw is the coin: which side of a pair starts first.
func (s *session) draw(base, head role) []role {
	if s.rng.IntN(2) == 1 {
		return []role{head, base}
	}
	return []role{base, head}
}

// judgedPair takes a pair and hands it to the stopper.
func (s *session) judgedPair(ctx context.Context, channel recording.Channel, p *plan, number int) error {
	before := s.CPU
	samples, ok, err := s.takePair(ctx, channel, p, s.draw(role{side: recording.Base}, role{side: recording.Head}))
	p.cost.add(channel, s.CPU-before)
	if err != nil || !ok {
		return err
	}
	bySide := map[recording.Side]recording.Sample{}
	for i, sample := range samples {
		sample.Channel, sample.Pair, sample.Round, sample.Order = channel, number, s.round, i+1
		bySide[sample.Side] = sample
		s.Samples = append(s.Samples, sample)
	}
	return s.stopper.Pair(bySide[recording.Base], bySide[recording.Head])
}

// coRunPair starts both sides on one core, lets both come to their timed part,
// and then lets both go.
func (s *session) coRunPair(ctx context.Context, p *plan, order []role) ([]recording.Sample, bool, error) {
	for {
		core := s.drawCore()
		var procs []*proc
		for _, r := range order {
			j := s.leafJob(p, p.n, 1)
			j.cores, j.count = s.pinned(core), s.CountEvent
			started, err := start(ctx, s.complete(r, p.path, j), true)
			if err != nil {
				for _, q := range procs {
					killGroup(q.cmd)
					_, _ = q.wait(ctx)
				}
				return nil, false, err
			}
			procs = append(procs, started)
		}
		for _, q := range procs {
			q.awaitReady()
		}
		for _, q := range procs {
			q.release()
		}
		var ended []finished
		for _, q := range procs {
			f, err := q.wait(ctx)
			if err != nil && ctx.Err() == nil {
				return nil, false, err
			}
			s.CPU += f.cpu
			ended = append(ended, f)
		}
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		samples, void := s.pairSamples(p, order, ended, 1)
		if !void {
			for i := range samples {
				samples[i].Core = core
			}
			return samples, !p.gone, nil
		}
	}
}

// wallPair runs one side after the other.
func (s *session) wallPair(ctx context.Context, p *plan, order []role) ([]recording.Sample, bool, error) {
	for {
		var ended []finished
		for _, r := range order {
			j := s.leafJob(p, p.wallN, len(s.Cores))
			j.cores, j.contended = nil, true
			f, err := s.runAlone(ctx, r, p.path, j)
			if err != nil {
				return nil, false, err
			}
			ended = append(ended, f)
		}
		samples, void := s.pairSamples(p, order, ended, len(s.Cores))
		if !void {
			return samples, !p.gone, nil
		}
	}
}

// voided tells whether a run says of itself that it does not count, and why.
func voided(f finished) (reason string, ok bool) {
	_, rest, ok := strings.Cut(f.stdout+f.stderr, voidMark)
	reason, _, _ = strings.Cut(rest, "\n")
	return reason, ok && f.err != nil
}

// repeat tells whether a benchmark with a void run may run again. One that has
// had too many is out.
func (s *session) repeat(p *plan, side recording.Side, reason string) bool {
	p.voids++
	if p.voids <= voidsMax {
		return true
	}
	p.gone = true
	s.outcome(p.key, side, recording.Void, itoa(p.voids)+" runs voided themselves, the last because "+trimOutput(reason, ""))
	return false
}

// pairSamples reads both processes of a pair. void asks for a repetition.
func (s *session) pairSamples(p *plan, order []role, ended []finished, procs int) (samples []recording.Sample, void bool) {
	for i, f := range ended {
		if reason, ok := voided(f); ok {
			return nil, s.repeat(p, order[i].side, reason)
		}
		sample := s.valuesOf(p, order[i].side, f, procs)
		if sample == nil {
			return nil, false
		}
		samples = append(samples, *sample)
	}
	return samples, false
}
