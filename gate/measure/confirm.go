package measure

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/perfgate/perfgate/gate/recording"
)

// Where the linker puts a function can make it slower by more than what a gate
// asks about, with no change to its code. Before a benchmark fails, it is
// measured again on binaries of both sides that are linked in other orders.
const (
	// layoutsPerTest relinked layouts are tried; a majority decides.
	layoutsPerTest = 3
	// Pairs on each layout. With a pair deviation of 3 % the median of ten pairs
	// has a standard error of 1.2 %, so a slowdown of 5 % shows on each of three
	// layouts with 99.9 %.
	coRunPairsPerLayout = 10
	wallPairsPerLayout  = 6
	// layoutBuildTime is about what linking both sides of a package takes.
	layoutBuildTime = 4 * time.Second
)

// layout names a binary: a package of a side, linked in the order of a seed.
type layout struct {
	side recording.Side
	path string
	seed uint64
}

// confirm measures the benchmarks that were found slower in channel on relinked
// binaries. What the time does not allow is not confirmed, which changes nothing:
// confirmation can only take a finding back.
func (s *session) confirm(ctx context.Context, channel recording.Channel, plans []*plan) error {
	for _, p := range plans {
		if p.gone || slices.Contains(p.confirmed, channel) || !s.stopper.Regressed(p.keyIn(channel, len(s.Cores)), channel) {
			continue
		}
		pairs := coRunPairsPerLayout
		if channel == recording.Wall {
			pairs = wallPairsPerLayout
		}
		for n := range layoutsPerTest {
			need := layoutBuildTime + time.Duration(pairs)*p.pairTime(channel)
			if !s.Deadline.IsZero() && time.Now().Add(need).After(s.Deadline) {
				s.Warnings = append(s.Warnings, fmt.Sprintf("%s was found slower and the budget ended after %d of %d relinked layouts", p.key, n, layoutsPerTest))
				break
			}
			s.report(Progress{Phase: "relinked layouts", Detail: p.key.Name, Done: n, Planned: layoutsPerTest})
			if err := s.onLayout(ctx, channel, p, s.Seed>>1+uint64(n)+1, pairs); err != nil {
				return err
			}
		}
		p.confirmed = append(p.confirmed, channel)
	}
	return nil
}

// onLayout takes pairs of one benchmark on one layout.
func (s *session) onLayout(ctx context.Context, channel recording.Channel, p *plan, seed uint64, pairs int) error {
	s.round++
	base, ok, err := s.relinked(ctx, layout{recording.Base, p.path, seed})
	if err != nil || !ok {
		return err
	}
	head, ok, err := s.relinked(ctx, layout{recording.Head, p.path, seed})
	if err != nil || !ok {
		return err
	}
	for range pairs {
		p.pairs[recording.Layout]++
		order := s.draw(role{side: recording.Base, binary: base}, role{side: recording.Head, binary: head})
		samples, ok, err := s.takePair(ctx, channel, p, order)
		if err != nil || !ok {
			return err
		}
		for i, sample := range samples {
			sample.Channel, sample.Pair, sample.Round, sample.Order = recording.Layout, p.pairs[recording.Layout], s.round, i+1
			sample.Layout = seed
			s.Samples = append(s.Samples, sample)
		}
	}
	return nil
}

// relinked is the binary of a layout. A linker that cannot do it (an external
// one, say) leaves the finding as it is.
func (s *session) relinked(ctx context.Context, l layout) (binary string, ok bool, err error) {
	if binary, ok := s.layouts[l]; ok {
		return binary, binary != "", nil
	}
	dir := s.BaseDir
	if l.side == recording.Head {
		dir = s.HeadDir
	}
	name := fmt.Sprintf("%d-%s", l.seed, filepath.Base(s.side(l.side, l.path).binary))
	binary = filepath.Join(s.Scratch, "layouts", string(l.side), name)
	flags := slices.Clone(BuildFlags)
	flags[len(flags)-1] += fmt.Sprintf(" -randlayout=%d", l.seed)
	err = s.tools[l.side].build(ctx, l.side, dir, s.overlay, binary, l.path, flags)
	var failed *BuildError
	if errors.As(err, &failed) {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%s cannot be linked in another order, so what it shows is not confirmed on other layouts: %s", l.path, failed.Output))
		binary, err = "", nil
	}
	if err != nil {
		return "", false, err
	}
	s.layouts[l] = binary
	return binary, binary != "", nil
}

const (
	// canariesMax benchmarks carry a canary, each with canaryPairsMax pairs, one
	// a round: about one pair in twenty of a suite of thirty.
	canariesMax    = 2
	canaryPairsMax = 40
)

// chooseCanaries draws the benchmarks whose base side is run against itself too.
func (s *session) chooseCanaries(plans []*plan) {
	for _, i := range s.rng.Perm(len(plans)) {
		if len(s.canaries) == canariesMax {
			return
		}
		if !plans[i].gone {
			s.canaries = append(s.canaries, plans[i])
		}
	}
}

// feedCanaries takes one pair of each canary: the base binary plays both sides.
func (s *session) feedCanaries(ctx context.Context) error {
	for _, p := range s.canaries {
		if p.gone || p.canaryPairs == canaryPairsMax {
			continue
		}
		order := s.draw(role{side: recording.Base}, role{side: recording.Head, of: recording.Base})
		samples, ok, err := s.coRunPair(ctx, p, order)
		if err != nil || !ok {
			return err
		}
		p.canaryPairs++
		for i, sample := range samples {
			sample.Channel, sample.Pair, sample.Round, sample.Order = recording.CoRun, p.canaryPairs, s.round, i+1
			s.Canary = append(s.Canary, sample)
		}
	}
	return nil
}
