package calibrate

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// Replay decides a session again from its log ratios in their true order, before
// relinked layouts: what the tests were found to be, by index of the benchmark
// and of the test. Tests without log ratios are left out. All log ratios are shifted
// by shift: half of the last digit that is kept shows which tests stand on the edge.
func Replay(h *Header, s *Session, shift float64) map[[2]int]verdict.Decision {
	var family []recording.Test
	units := map[string]recording.Unit{}
	at := map[recording.Test][2]int{}
	last := 0
	for i := range s.Benchmarks {
		b := &s.Benchmarks[i]
		if !b.timed() {
			continue
		}
		for j, t := range b.Tests {
			test := recording.Test{Key: b.key(h.Module), Unit: t.Unit, Channel: b.Channel}
			family = append(family, test)
			if len(t.D) > 0 {
				at[test] = [2]int{i, j}
			}
			units[t.Unit] = recording.Unit{Better: "lower"}
			if t.Better != "" {
				units[t.Unit] = recording.Unit{Better: t.Better}
			}
		}
		if len(b.Rounds) > 0 {
			last = max(last, b.Rounds[len(b.Rounds)-1])
		}
	}
	tracker := verdict.NewTracker(family, units, h.Policy, nil)
	for round := 1; round <= last; round++ {
		for _, test := range family {
			place, ok := at[test]
			if !ok {
				continue
			}
			b := &s.Benchmarks[place[0]]
			from, _ := slices.BinarySearch(b.Rounds, round)
			to, _ := slices.BinarySearch(b.Rounds, round+1)
			for _, d := range b.Tests[place[1]].D[from:to] {
				tracker.Add(test, d+shift)
			}
		}
		tracker.Look()
	}
	out := map[[2]int]verdict.Decision{}
	for test, place := range at {
		out[place], _ = tracker.Decision(test)
	}
	return out
}

const (
	// blockPairs is the length of the bootstrap's blocks. A benchmark's pairs of one
	// round follow each other within some 200 ms, those of the next round come
	// seconds later; two rounds of four keep the dependence within a round and
	// between neighbouring ones. Sessions are 12 to 20 pairs long, so that longer
	// blocks would hardly differ from them.
	blockPairs = 8
	// bootstrapRound is how many pairs a round has, as with runs of 20 ms.
	bootstrapRound = 4
)

// pool holds, by benchmark, the recorded sequences of its CPU log ratios: as it is,
// and slowed.
type pool struct {
	header       *Header
	keys         []recording.Key
	plain, slows map[recording.Key][][]float64
}

// poolOf gathers the sessions of one series. A benchmark that could not take the
// slowdown is neither as it is nor slower by the series' size, and is left out.
func poolOf(data *Data, s Series) *pool {
	p := &pool{header: &data.Header, plain: map[recording.Key][][]float64{}, slows: map[recording.Key][][]float64{}}
	keys := map[recording.Key]bool{}
	for i := range data.Sessions {
		if data.Sessions[i].Series != s {
			continue
		}
		for j := range data.Sessions[i].Benchmarks {
			b := &data.Sessions[i].Benchmarks[j]
			t := b.cpu()
			if t == nil || len(t.D) == 0 {
				continue
			}
			if b.Slowed && !s.Injects(b.N) {
				continue
			}
			key, into := b.key(data.Header.Module), p.plain
			if b.Slowed {
				into = p.slows
			}
			keys[key], into[key] = true, append(into[key], t.D)
		}
	}
	p.keys = slices.SortedFunc(maps.Keys(keys), recording.Key.Compare)
	return p
}

// stream draws a benchmark's log ratios without end, in blocks.
func stream(rng *rand.Rand, sequences [][]float64) func() float64 {
	var block []float64
	return func() float64 {
		if len(block) == 0 {
			from := sequences[rng.IntN(len(sequences))]
			start := rng.IntN(max(1, len(from)-blockPairs+1))
			block = from[start:min(len(from), start+blockPairs)]
		}
		d := block[0]
		block = block[1:]
		return d
	}
}

// drawn is what became of a benchmark of a suite that was drawn.
type drawn struct {
	slowed   bool
	decision verdict.Decision
}

// suite draws one suite and decides it. A benchmark is slowed with one half, or
// where it is recorded in no other way.
func (p *pool) suite(rng *rand.Rand) []drawn {
	family := make([]recording.Test, len(p.keys))
	out := make([]drawn, len(p.keys))
	streams := map[recording.Test]func() float64{}
	for i, key := range p.keys {
		family[i] = recording.Test{Key: key, Unit: cpuUnit, Channel: recording.CoRun}
		out[i].slowed = len(p.slows[key]) > 0 && (len(p.plain[key]) == 0 || rng.IntN(2) == 1)
		sequences := p.plain[key]
		if out[i].slowed {
			sequences = p.slows[key]
		}
		streams[family[i]] = stream(rng, sequences)
	}
	tracker := verdict.NewTracker(family, nil, p.header.Policy, nil)
	for open := tracker.Open(); len(open) > 0; open = tracker.Open() {
		for _, test := range open {
			for range bootstrapRound {
				tracker.Add(test, streams[test]())
			}
		}
		tracker.Look()
	}
	for i := range out {
		out[i].decision, _ = tracker.Decision(family[i])
	}
	return out
}

// Bootstrapped counts what suites drawn from the record were decided to be. Such
// suites are not new measurements: they show how the rule behaves on noise like
// the recorded, and their count supports no bound.
type Bootstrapped struct {
	Series
	Seed   uint64 `json:"seed"`
	Block  int    `json:"block"` // pairs
	Suites int    `json:"suites"`
	// Regressed and Improved count suites in which an unchanged benchmark was so.
	Regressed int `json:"regressed"`
	Improved  int `json:"improved"`
	// Tests counts the slowed ones (all, where the series slows none), and the others
	// what became of them.
	Tests        int `json:"tests"`
	Found        int `json:"found"`
	Passed       int `json:"passed"`
	Inconclusive int `json:"inconclusive"`
}

// Bootstrap draws so many suites from the sessions of a series. The same seed
// gives the same counts.
func Bootstrap(data *Data, s Series, suites int, seed uint64) Bootstrapped {
	r := Bootstrapped{Series: s, Seed: seed, Block: blockPairs}
	p := poolOf(data, s)
	if len(p.keys) == 0 {
		return r
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for range suites {
		r.Suites++
		r.add(p.suite(rng))
	}
	return r
}

func (r *Bootstrapped) add(suite []drawn) {
	regressed, improved := false, false
	for _, x := range suite {
		if !x.slowed {
			regressed = regressed || x.decision == verdict.Regressed
			improved = improved || x.decision == verdict.Improved
		}
		if !x.slowed && r.Kind == Injected {
			continue
		}
		r.Tests++
		switch x.decision {
		case verdict.Regressed:
			r.Found++
		case verdict.Pass:
			r.Passed++
		case verdict.Inconclusive:
			r.Inconclusive++
		}
	}
	r.Regressed += count(regressed)
	r.Improved += count(improved)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
