package simtest

import (
	"strings"
	"testing"

	"github.com/perfgate/perfgate/mir/sim"
)

// BenchmarkInvariants tells what each invariant adds to a step: it looks at the
// recorded steps of one drawn run, with a fresh checker each time. The figure
// beside them, rule=none, is the run itself with nobody watching.
func BenchmarkInvariants(b *testing.B) {
	s := Draw(7)
	s.Crashes = nil // A checker has to be told of restarts, which are no steps.
	steps := record(b, s)
	b.Run("rule=none", func(b *testing.B) {
		for b.Loop() {
			w, err := newWorld(s)
			if err != nil {
				b.Fatal(err)
			}
			w.watch = func(sim.Step) error { return nil }
			if err := w.sim.RunUntil(func() bool { return w.sim.Steps() >= uint64(len(steps)) }, stepsMax); err != nil {
				b.Fatal(err)
			}
		}
		perStep(b, len(steps))
	})
	for at, rule := range NewChecker(s).invariants {
		b.Run("rule="+strings.ReplaceAll(rule.name(), " ", "-"), func(b *testing.B) {
			for b.Loop() {
				c := NewChecker(s)
				for _, step := range steps {
					_ = c.invariants[at].observe(step) // Alone, it may miss what others note.
				}
			}
			perStep(b, len(steps))
		})
	}
	b.Run("rule=all", func(b *testing.B) {
		for b.Loop() {
			c := NewChecker(s)
			for _, step := range steps {
				if err := c.Observe(step); err != nil {
					b.Fatal(err)
				}
			}
		}
		perStep(b, len(steps))
	})
}

func perStep(b *testing.B, steps int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(steps), "ns/step")
}

// record is the steps of a run.
func record(b *testing.B, s Scenario) (steps []sim.Step) {
	w, err := newWorld(s)
	if err != nil {
		b.Fatal(err)
	}
	w.watch = func(s sim.Step) error {
		steps = append(steps, s)
		return w.observe(s)
	}
	if err := w.run(); err != nil {
		b.Fatal(err)
	}
	return steps
}
