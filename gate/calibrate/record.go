package calibrate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// Cost is what one benchmark's processes cost in CPU-seconds.
type Cost struct{ Exact, CoRun, Wall float64 }

// Record makes the line of a session: of its bundle, the verdict on it, the
// number of pairs that each decision saw, and what each benchmark cost, by its key
// at GOMAXPROCS 1.
func Record(s Session, b recording.Bundle, v verdict.Verdict, pairs map[recording.Test]int, costs map[recording.Key]Cost) (Session, error) {
	all, err := compare.Pairs(b.Samples)
	if err != nil {
		return Session{}, err
	}
	slows := func(key recording.Key) bool { return s.Slows(s.Index, key) }
	r := recorder{slows: slows, manifest: &b.Manifest, seen: pairs, costs: costs, pairs: map[place][]compare.Pair{}, at: map[place]int{}}
	for _, p := range all {
		at := place{p.Base.Key, p.Base.Channel}
		r.pairs[at] = append(r.pairs[at], p)
	}
	rows := slices.Clone(v.Rows)
	slices.SortStableFunc(rows, func(x, y verdict.Row) int {
		a, b := x.Change.Test, y.Change.Test
		if c := a.Key.Compare(b.Key); c != 0 {
			return c
		}
		return strings.Compare(string(a.Channel)+a.Unit, string(b.Channel)+b.Unit)
	})
	for _, row := range rows {
		r.add(row)
	}
	s.Benchmarks = r.benchmarks
	for i := range s.Benchmarks {
		r.settle(&s.Benchmarks[i])
	}
	m := &b.Manifest
	s.Headline, s.OutOfTime = v.Headline, m.OutOfTime
	for _, o := range v.Outcomes {
		s.Outcomes = append(s.Outcomes, fmt.Sprintf("%s: %s", o.Key.Short(m.Module), o.Kind))
	}
	return s, s.check()
}

// ratioDigit is the last digit of a log ratio that is kept.
const ratioDigit = 1e-5

// place identifies a benchmark within a channel.
type place struct {
	key     recording.Key
	channel recording.Channel
}

// recorder puts rows together by benchmark and channel.
type recorder struct {
	slows      func(recording.Key) bool
	manifest   *recording.Manifest
	seen       map[recording.Test]int
	costs      map[recording.Key]Cost
	pairs      map[place][]compare.Pair
	at         map[place]int // index in benchmarks
	benchmarks []Benchmark
}

// add takes a row. One whose unit has no direction is no test.
func (r *recorder) add(row verdict.Row) {
	c := row.Change
	if c.Better == "" || row.Decision == verdict.Ungated {
		return
	}
	at := place{c.Test.Key, c.Test.Channel}
	i, ok := r.at[at]
	if !ok {
		i = len(r.benchmarks)
		r.at[at] = i
		r.benchmarks = append(r.benchmarks, r.benchmark(at))
	}
	t := Test{Unit: c.Test.Unit, Decision: row.Decision, Pairs: r.seen[c.Test]}
	if c.Better == "higher" {
		t.Better = c.Better
	}
	for _, p := range r.pairs[at] {
		d, ok := p.LogRatio(t.Unit, c.Better)
		if !ok {
			t.D = nil
			break
		}
		t.D = append(t.D, math.Round(d/ratioDigit)/(1/ratioDigit)+0) // no negative zeros
	}
	r.benchmarks[i].Tests = append(r.benchmarks[i].Tests, t)
}

// benchmark begins the record of one.
func (r *recorder) benchmark(at place) Benchmark {
	pkg := strings.TrimPrefix(strings.TrimPrefix(at.key.Pkg, r.manifest.Module), "/")
	b := Benchmark{Pkg: pkg, Name: at.key.Name, Procs: at.key.Procs, Channel: at.channel, Slowed: r.slows(at.key)}
	for _, planned := range r.manifest.Benchmarks {
		switch {
		case planned.Key == at.key && planned.Channel == at.channel:
			b.N = planned.N
		case planned.Key.Pkg == at.key.Pkg && planned.Key.Name == at.key.Name && at.channel == recording.Exact:
			b.N = planned.ExactN
		}
	}
	for _, p := range r.pairs[at] {
		b.Rounds = append(b.Rounds, p.Base.Round)
		for _, v := range p.Base.Values {
			if v.Unit == cpuUnit && at.channel == recording.CoRun {
				b.Base = append(b.Base, sixDigits(1e9*v.Value))
			}
		}
	}
	if len(b.Base) != len(b.Rounds) {
		b.Base = nil
	}
	return b
}

// settle books what the decisions cost: a pair after the last of them was taken
// for other rules.
func (r *recorder) settle(b *Benchmark) {
	key := b.key(r.manifest.Module)
	key.Procs = 1
	cost, taken, last := r.costs[key], len(b.Rounds), 0
	for _, t := range b.Tests {
		last = max(last, t.Pairs)
	}
	spent := 0.0
	switch b.Channel {
	case recording.Exact:
		spent, last, taken = cost.Exact, 1, 1
	case recording.CoRun:
		spent = cost.CoRun
	case recording.Wall:
		spent = cost.Wall
	}
	if taken > 0 {
		b.CPU = math.Round(1e4*spent*float64(last)/float64(taken)) / 1e4
	}
}

func sixDigits(x float64) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 6, 64), 64)
	if err != nil {
		return x
	}
	return y
}
