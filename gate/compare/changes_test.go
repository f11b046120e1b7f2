package compare

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
)

var benchKey = recording.Key{Pkg: "example.org/m", Name: "BenchmarkX", Procs: 1}

func bundleFor(t recording.Test) recording.Bundle {
	return recording.Bundle{Manifest: recording.Manifest{
		Schema: recording.Schema, Units: map[string]recording.Unit{},
		Benchmarks: []recording.Benchmark{{Key: t.Key, Channel: recording.CoRun}}, Family: []recording.Test{t},
	}}
}

func addSample(b *recording.Bundle, c recording.Channel, side recording.Side, pair int, unit string, v float64) {
	b.Samples = append(b.Samples, recording.Sample{Side: side, Channel: c, Key: benchKey, Pair: pair, Round: pair,
		Order: 1, N: 10, Values: []recording.Value{{Unit: unit, Value: v}}})
}

// timedBundle has one pair with log ratio d[i] in round i+1.
func timedBundle(d []float64) recording.Bundle {
	b := bundleFor(recording.Test{Key: benchKey, Unit: "cpu-sec/op", Channel: recording.CoRun})
	for i, x := range d {
		base := 1e-6 * (1 + .3*math.Sin(float64(i))) // weather, shared by the pair
		if i < 6 {
			base = 1e-6
		}
		addSample(&b, recording.CoRun, recording.Base, i+1, "cpu-sec/op", base)
		addSample(&b, recording.CoRun, recording.Head, i+1, "cpu-sec/op", base*math.Exp(x))
	}
	return b
}

func exactBundle(unit string, base, head []float64) recording.Bundle {
	b := bundleFor(recording.Test{Key: benchKey, Unit: unit, Channel: recording.Exact})
	for i, v := range base {
		addSample(&b, recording.Exact, recording.Base, i+1, unit, v)
	}
	for i, v := range head {
		addSample(&b, recording.Exact, recording.Head, i+1, unit, v)
	}
	return b
}

func oneChange(t *testing.T, b recording.Bundle) Change {
	t.Helper()
	changes, err := Changes(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != 1 {
		t.Fatalf("%d changes, want 1", len(changes))
	}
	return changes[0]
}

func repeat(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }

func TestTimedChangeIsOrientedByTheUnitsDirection(t *testing.T) {
	b := timedBundle(repeat(.05, 12))
	if c := oneChange(t, b); math.Abs(c.Timed.Delta-.05) > 1e-12 || c.Timed.Pairs != 12 || c.Base.N != 12 {
		t.Errorf("lower is better: %+v", c.Timed)
	}
	b.Manifest.Policy.Rules = []config.Rule{{Direction: "higher"}}
	if c := oneChange(t, b); math.Abs(c.Timed.Delta+.05) > 1e-12 || c.Better != "higher" {
		t.Errorf("higher is better: %+v", c.Timed)
	}
}

// A Unit line is what the measured code prints.
func TestAUnitLineDoesNotTurnTimeAround(t *testing.T) {
	for unit, want := range map[string]string{"sec/op": "lower", "cpu-sec/op": "lower", "B/op": "lower", "allocs/op": "lower", "B/s": "higher", "tx/s": "higher"} {
		wrong := map[string]string{"lower": "higher", "higher": "lower"}[want]
		if unit == "tx/s" {
			wrong = want // only its line says what it is
		}
		m := &recording.Manifest{Units: map[string]recording.Unit{unit: {Better: wrong}}}
		if got := Better(m, recording.Test{Unit: unit}); got != want {
			t.Errorf("%s: better %q, want %q", unit, got, want)
		}
	}
}

func TestHalfAPairIsAnError(t *testing.T) {
	for lost, want := range map[int]string{3: "pair 2 has no head run", 2: "pair 2 has no base run"} {
		b := timedBundle(repeat(0, 3))
		b.Samples = slices.Delete(b.Samples, lost, lost+1)
		if _, err := Changes(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	b := timedBundle(repeat(0, 3))
	b.Samples[1].Round = 2
	if _, err := Changes(b); err == nil || !strings.Contains(err.Error(), "is of rounds 1 and 2") {
		t.Errorf("a pair of two rounds: %v", err)
	}
}

func TestAUnitThatAPairLacksIsWarnedOf(t *testing.T) {
	b := timedBundle(repeat(0, 3))
	b.Samples[1].Values[0].Unit = "other/op"
	c := oneChange(t, b)
	if c.Timed.Pairs != 2 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "1 of 3 pairs do not report cpu-sec/op") {
		t.Errorf("%d pairs, warnings %q", c.Timed.Pairs, c.Warnings)
	}
}

func TestExactStates(t *testing.T) {
	mixed := []float64{5, 5, 6}
	tests := []struct {
		name, unit string
		base, head []float64
		want       ExactState
	}{
		{"same", "allocs/op", repeat(5, 3), repeat(5, 3), Same},
		{"a rise is claimed after ten runs", "allocs/op", repeat(5, 10), repeat(6, 10), Rise},
		{"a fall is claimed after ten runs", "allocs/op", repeat(5, 10), repeat(4, 10), Fall},
		{"the last digit of a declared metric counts", "msgs/tx", repeat(5, 10), repeat(math.Nextafter(5, 6), 10), Rise},
		{"less than an object in a hundred ops is none", "allocs/op", repeat(5, 10), repeat(5.009, 10), Tolerated},
		{"one in a hundred is one", "allocs/op", repeat(0, 10), repeat(0.01, 10), Rise},
		{"three runs confirm nothing", "allocs/op", repeat(5, 3), repeat(6, 3), Unconfirmed},
		{"the shorter side counts", "allocs/op", repeat(5, 10), repeat(6, 9), Unconfirmed},
		{"base disagrees", "allocs/op", mixed, repeat(5, 3), Disagree},
		{"head disagrees", "allocs/op", repeat(5, 3), mixed, Disagree},
		{"B/op tolerates half a percent up", "B/op", repeat(1000, 3), repeat(1005, 3), Tolerated},
		{"and down", "B/op", repeat(1005, 3), repeat(1000, 3), Tolerated},
		{"and no more", "B/op", repeat(1000, 10), repeat(1005.1, 10), Rise},
		{"less than a byte is none", "B/op", repeat(0, 10), repeat(0.99, 10), Tolerated},
		{"from nothing to a byte is a rise", "B/op", repeat(0, 10), repeat(1, 10), Rise},
		{"one in a thousand objects counts", "allocs/op", repeat(1000, 10), repeat(1001, 10), Rise},
		{"no runs", "allocs/op", nil, repeat(5, 3), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := oneChange(t, exactBundle(tt.unit, tt.base, tt.head))
			if c.Exact.State != tt.want {
				t.Errorf("state %q, want %q", c.Exact.State, tt.want)
			}
		})
	}
}

func TestExactRiseIsTheWorseDirection(t *testing.T) {
	b := exactBundle("hits/op", repeat(5, 10), repeat(6, 10))
	b.Manifest.Units["hits/op"] = recording.Unit{Better: "higher", Assume: "exact"}
	if c := oneChange(t, b); c.Exact.State != Fall {
		t.Errorf("state %q, want %q: more hits are better", c.Exact.State, Fall)
	}
}

func TestExactRunsOfDifferentLengthAreNotCompared(t *testing.T) {
	b := exactBundle("allocs/op", repeat(5, 10), repeat(6, 10))
	b.Samples[3].N = 11
	if c := oneChange(t, b); c.Exact.State != Disagree || len(c.Warnings) == 0 {
		t.Errorf("state %q, warnings %q", c.Exact.State, c.Warnings)
	}
}

func TestRelativeOfZeroBaseIsInfinite(t *testing.T) {
	if c := oneChange(t, exactBundle("allocs/op", repeat(0, 10), repeat(1, 10))); !math.IsInf(c.Exact.Relative, 1) {
		t.Errorf("relative %v", c.Exact.Relative)
	}
}
