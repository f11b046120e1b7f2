package cli

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/report"
	"github.com/perfgate/perfgate/gate/verdict"
)

// forger makes bundles from bytes: their parts fit each other or not, their
// numbers are at the ends of what is read.
type forger struct{ data []byte }

func (f *forger) pick(n int) int {
	if len(f.data) == 0 {
		return 0
	}
	b := f.data[0]
	f.data = f.data[1:]
	return int(b) % n
}

func (f *forger) value() float64 {
	values := []float64{0, 1, 3, 1e-300, 1e300, math.MaxFloat64, math.SmallestNonzeroFloat64, -1, -math.MaxFloat64, 1e-9, 2.5}
	if i := f.pick(len(values) + 1); i < len(values) {
		return values[i]
	}
	var bits [8]byte
	for i := range bits {
		bits[i] = byte(f.pick(256))
	}
	if v := math.Float64frombits(binary.LittleEndian.Uint64(bits[:])); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return v
	}
	return 7
}

// valueOf is a value that the unit can have.
func (f *forger) valueOf(unit string) float64 {
	if unit == "widgets" {
		return f.value()
	}
	return math.Abs(f.value())
}

func oneOf[T any](f *forger, of ...T) T { return of[f.pick(len(of))] }

func (f *forger) key() recording.Key {
	// Procs 1 mostly, so that samples and tests meet.
	return recording.Key{Pkg: oneOf(f, "example.org/m", "example.org/m/p", "x"), Name: oneOf(f, "BenchmarkA", "BenchmarkA/b=1", "BenchmarkB-4"), Procs: oneOf(f, 1, 1, 1, 4)}
}

func (f *forger) unit() string {
	return oneOf(f, "sec/op", "cpu-sec/op", "allocs/op", "B/op", "widgets", "mutex-wait-sec/op", "tx/s")
}

func (f *forger) channel() recording.Channel {
	return oneOf(f, recording.CoRun, recording.Wall, recording.Exact, recording.Layout, recording.Plan)
}

func (f *forger) bundle() recording.Bundle {
	m := recording.Manifest{Tool: "perfgate test", Command: "check", Module: "example.org/m", Units: map[string]recording.Unit{},
		Policy: config.Policy{Rules: []config.Rule{{Target: oneOf(f, 0, 5, 3, 2), Required: f.pick(2) == 1, Baseline: oneOf(f, "", config.BaselineGate)}}}}
	for i := range 9 {
		key := recording.Key{Pkg: []string{"example.org/m", "example.org/m/p", "x"}[i/3], Name: []string{"BenchmarkA", "BenchmarkA/b=1", "BenchmarkB-4"}[i%3], Procs: 1}
		m.Benchmarks = append(m.Benchmarks, recording.Benchmark{Key: key, Channel: f.channel(), N: f.pick(3)})
	}
	seen := map[recording.Test]bool{}
	for range f.pick(12) {
		one := recording.Test{Key: f.key(), Unit: f.unit()}
		if !seen[one] {
			seen[one] = true
			one.Channel = oneOf(f, recording.CoRun, recording.Wall, recording.Exact, recording.CoRun, recording.Unchanged)
			m.Family = append(m.Family, one)
		}
	}
	for range f.pick(3) {
		m.Units[f.unit()] = recording.Unit{Better: oneOf(f, "", "lower", "higher"), Assume: oneOf(f, "", "exact")}
	}
	for range f.pick(3) {
		m.Outcomes = append(m.Outcomes, recording.Outcome{Key: f.key(), Side: oneOf(f, recording.Base, recording.Head, ""),
			Kind: oneOf(f, recording.Added, recording.Missing, recording.Skipped, recording.TooFew), Detail: oneOf(f, "", "a\n|b|`</details>")})
	}
	if f.pick(2) == 1 {
		ref := &recording.BaselineRef{Path: "baselines"}
		for range f.pick(4) {
			unit := f.unit()
			ref.Checks = append(ref.Checks, recording.BaselineCheck{Key: f.key(), Unit: unit, Stored: f.valueOf(unit), Head: f.valueOf(unit)})
		}
		ref.Anchor = &recording.AnchorDrift{Rows: []recording.Drift{{Key: f.key(), Unit: f.unit(),
			Ratio: math.Abs(f.value()), Lo: math.Abs(f.value()), Hi: math.Abs(f.value())}}}
		m.Baseline = ref
	}
	m.OutOfTime = f.pick(2) == 1
	b := recording.Bundle{Manifest: m}
	// A few bytes make many pairs: what is decided needs dozens.
	repeats := 1 + f.pick(60)
	for pair := 1; len(f.data) > 0 && pair < 4000; pair += repeats {
		both := f.pair(pair)
		for i := range repeats {
			for _, s := range both {
				s.Pair += i
				b.Samples = append(b.Samples, s)
			}
		}
		if f.pick(8) == 7 {
			b.Canary = append(b.Canary, both...)
		}
	}
	return b
}

// pair is mostly whole.
func (f *forger) pair(n int) []recording.Sample {
	s := recording.Sample{Channel: f.channel(), Key: f.key(), Pair: n, Round: 1 + f.pick(5), Order: f.pick(3), Core: f.pick(4) - 1, N: 1 + f.pick(2)}
	if s.Channel == recording.Layout {
		s.Layout = uint64(1 + f.pick(3))
	}
	var both []recording.Sample
	for _, side := range []recording.Side{recording.Base, recording.Head} {
		one := s
		one.Side, one.Values = side, nil
		for range 1 + f.pick(3) {
			unit := f.unit()
			if !slices.ContainsFunc(one.Values, func(v recording.Value) bool { return v.Unit == unit }) {
				one.Values = append(one.Values, recording.Value{Unit: unit, Value: f.valueOf(unit)})
			}
		}
		if f.pick(200) < 199 {
			both = append(both, one)
		}
	}
	return both
}

// judged decides a bundle and writes every report of it, where it can be read;
// what it must not do is to panic, or to take its time.
func judged(t *testing.T, b recording.Bundle) (read bool) {
	t.Helper()
	files, err := recording.Encode(b)
	if err != nil {
		return false
	}
	if b, err = recording.ReadFiles(files); err != nil {
		t.Fatalf("encoded, and not read: %v", err)
	}
	v, err := verdict.Decide(b)
	if err != nil {
		return true
	}
	in := report.Input{Manifest: b.Manifest, Verdict: v, Hash: recording.HashFiles(files), PullRequest: &report.PullRequestContext{}}
	for _, write := range []func(io.Writer, report.Input) error{report.Markdown, report.Summary, report.Terminal} {
		if err := write(io.Discard, in); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = report.StatusDescription(in), report.Annotations(in)
	return true
}

func TestAForgedBundleIsRefusedOrDecided(t *testing.T) {
	read := 0
	for seed := range uint64(60) {
		data := make([]byte, 40+seed)
		state := seed*0x9e3779b97f4a7c15 + 1
		for i := range data {
			state ^= state << 13
			state ^= state >> 7
			state ^= state << 17
			data[i] = byte(state >> 32)
		}
		if judged(t, (&forger{data}).bundle()) {
			read++
		}
	}
	if read < 15 {
		t.Errorf("%d of 60 bundles were read: the test shows little", read)
	}
}

func FuzzForgedBundle(f *testing.F) {
	for _, seed := range []string{"", "\x00\x01\x02\x03\x04\x05\x06\x07", "0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		started := time.Now()
		judged(t, (&forger{data}).bundle())
		if spent := time.Since(started); spent > 20*time.Second {
			t.Fatalf("%v for %d bytes", spent, len(data))
		}
	})
}

// A bundle that compares nothing is no pass, however it is empty.
func TestABundleWithoutSamplesIsNoPass(t *testing.T) {
	for name, empty := range map[string]func(b *recording.Bundle){
		"no samples": func(b *recording.Bundle) { b.Samples = nil },
		"no tests":   func(b *recording.Bundle) { b.Samples, b.Manifest.Family = nil, nil },
		"nothing":    func(b *recording.Bundle) { b.Samples, b.Manifest.Family, b.Manifest.Benchmarks = nil, nil, nil },
		"one side": func(b *recording.Bundle) {
			var base []recording.Sample
			for _, s := range b.Samples {
				if s.Side == recording.Base {
					base = append(base, s)
				}
			}
			b.Samples = base
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, plainPolicy)
			b := h.measured(3)
			empty(&b)
			h.uploadBundle(b)
			h.exits(h.tell(), verdict.ExitNotMeasured)
			h.status(h.head, "error")
		})
	}
}
