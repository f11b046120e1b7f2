package calibrate

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// Schema is the version of the data's format.
const Schema = 1

// Kind says what is known of a session's two sides.
type Kind string

// The kinds.
const (
	AA       Kind = "aa"       // the same tree
	Neutral  Kind = "neutral"  // the same, with an edit that changes no behaviour
	Injected Kind = "injected" // the same, with one operation in K more on the head side
)

// Series is a sequence of sessions of one kind and size.
type Series struct {
	Kind    Kind `json:"kind"`
	Percent int  `json:"percent,omitempty"` // of an injected slowdown
}

// Percents are the slowdowns that can be injected.
var Percents = []int{1, 2, 3, 5, 10}

// Check refuses a series that there is not.
func (s Series) Check() error {
	switch s.Kind {
	case AA, Neutral:
		if s.Percent != 0 {
			return fmt.Errorf("kind %s has no percent", s.Kind)
		}
	case Injected:
		if !slices.Contains(Percents, s.Percent) {
			return fmt.Errorf("kind injected with %d percent: give 1, 2, 3, 5 or 10", s.Percent)
		}
	default:
		return fmt.Errorf("unknown kind %q: give aa, neutral or injected", s.Kind)
	}
	return nil
}

// Slows tells whether session index of the series makes a benchmark slower: each
// does so with half of them, drawn anew for every second session, and the other
// half is the next session's. The rest of the suite stays as it is, as in a change
// that makes something slower: with nothing unchanged in the family, Holm's
// correction would be easier to pass.
func (s Series) Slows(index int, key recording.Key) bool {
	if s.Kind != Injected {
		return false
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%s.%s %d", key.Pkg, key.Name, (index-1)/2))
	return (int(h[0])+index)%2 == 0
}

// Every is K: one operation in so many is added. 0 for the other kinds. For 3 %
// it is 33, which makes 3.03 %.
func (s Series) Every() int {
	if s.Kind != Injected {
		return 0
	}
	return (100 + s.Percent/2) / s.Percent
}

func (s Series) String() string {
	if s.Kind == Injected {
		return fmt.Sprintf("injected %d %%", s.Percent)
	}
	return string(s.Kind)
}

// Injects tells whether runs of n operations can take the slowdown: whole
// operations must come to within a tenth of its size. Below K operations there
// is none, and a little above K it is too coarse.
func (s Series) Injects(n int) bool {
	every := s.Every()
	if every == 0 {
		return false
	}
	extra := (n + every/2) / every // as the overlay counts
	return math.Abs(float64(extra)*float64(every)/float64(n)-1) <= .1
}

// Seed is the seed of every coin of a session: that of the campaign, with the
// series and the session's number in it.
func (s Series) Seed(campaign uint64, index int) uint64 {
	h := sha256.Sum256(fmt.Appendf(nil, "perfgate calibrate %d %s %d", campaign, s, index))
	return binary.LittleEndian.Uint64(h[:8]) >> 1
}

// Header is the first line of a file of sessions: what they all have in common.
type Header struct {
	Schema  int               `json:"schema"`
	Class   string            `json:"class"`   // of the machine
	Machine map[string]string `json:"machine"` // what the class is made of, the toolchain included
	Module  string            `json:"module"`
	// Suite, Packages and Bench select the benchmarks, Channel is "corun" where
	// only that is measured, else "all".
	Suite         string        `json:"suite"`
	Packages      []string      `json:"packages"`
	Bench         string        `json:"bench,omitempty"`
	Channel       string        `json:"channel"`
	BudgetSeconds float64       `json:"budget-seconds"`
	Policy        config.Policy `json:"policy"`
	// LeastPairs are taken of every co-run benchmark, decided or not, for the rules
	// of other tools. The gate's own decisions do not see those after them.
	LeastPairs int `json:"least-pairs"`
	// Benchmarks are the definition hashes by function, "PKG.BenchmarkX".
	Benchmarks map[string]string `json:"benchmarks"`
}

// Session is one line: one run of the suite.
type Session struct {
	Series
	Index    int    `json:"index"` // in its series, from 1
	Seed     uint64 `json:"seed"`
	Commit   string `json:"commit"`
	Tree     string `json:"tree"`                // git's hash of the base side's tree
	Edit     string `json:"edit,omitempty"`      // of a neutral head side
	HeadHash string `json:"head-hash,omitempty"` // sha256 over the edited files
	Tool     string `json:"tool"`
	Time     string `json:"time"` // of its beginning, RFC 3339 in UTC
	// WallSeconds include the builds, CPUSeconds are those of the benchmarks'
	// processes.
	WallSeconds float64          `json:"wall-seconds"`
	CPUSeconds  float64          `json:"cpu-seconds"`
	Weather     string           `json:"weather,omitempty"`
	OutOfTime   bool             `json:"out-of-time,omitempty"`
	Headline    verdict.Headline `json:"headline"`
	// Outcomes are the benchmarks that could not be compared, "KEY: KIND".
	Outcomes   []string    `json:"outcomes,omitempty"`
	Benchmarks []Benchmark `json:"benchmarks"`
}

// Benchmark is what a session recorded of one benchmark in one channel.
type Benchmark struct {
	Pkg     string            `json:"pkg,omitempty"` // below the module
	Name    string            `json:"name"`
	Procs   int               `json:"procs"`
	Channel recording.Channel `json:"channel"`
	N       int               `json:"n"` // planned operations of a run
	// CPU are the seconds that its decisions cost: exact runs, and pairs up to the
	// last decision.
	CPU float64 `json:"cpu,omitempty"`
	// Rounds are the numbers of the pairs' rounds, in order.
	Rounds []int `json:"rounds,omitempty"`
	// Slowed: the head side did one operation in K more, where N allows it.
	Slowed bool `json:"slowed,omitempty"`
	// Base are the base runs' CPU-nanoseconds per operation, to six digits. Those
	// of the head runs are Base times e to the power of D of cpu-sec/op.
	Base  []float64 `json:"base,omitempty"`
	Tests []Test    `json:"tests"`
}

// Test is one unit of a benchmark.
type Test struct {
	Unit     string           `json:"unit"`
	Better   string           `json:"better,omitempty"` // "higher"; otherwise lower
	Decision verdict.Decision `json:"decision"`
	// Pairs is how many the decision saw.
	Pairs int `json:"pairs,omitempty"`
	// D are the log ratios of all pairs, in order, rounded to 1e-5: positive is
	// worse. There are none in the exact channel, nor where a pair lacked the unit.
	D []float64 `json:"d,omitempty"`
}

// cpuUnit is the unit that calibration is about.
const cpuUnit = "cpu-sec/op"

// timed tells whether b was compared in pairs.
func (b *Benchmark) timed() bool {
	return b.Channel == recording.CoRun || b.Channel == recording.Wall
}

// short is the benchmark's name as reports show it.
func (b *Benchmark) short() string {
	key := recording.Key{Pkg: "m", Name: b.Name, Procs: b.Procs}
	if b.Pkg != "" {
		key.Pkg += "/" + b.Pkg
	}
	return key.Short("m")
}

// key is the benchmark's whole key.
func (b *Benchmark) key(module string) recording.Key {
	return recording.Key{Pkg: strings.TrimSuffix(module+"/"+b.Pkg, "/"), Name: b.Name, Procs: b.Procs}
}

// found is the decision before relinked layouts and waivers took it back.
func (t *Test) found() verdict.Decision {
	if t.Decision == verdict.LayoutSensitive || t.Decision == verdict.Waived {
		return verdict.Regressed
	}
	return t.Decision
}

// cpu is the benchmark's test of CPU time in the co-run, or nil.
func (b *Benchmark) cpu() *Test {
	if b.Channel != recording.CoRun {
		return nil
	}
	for i := range b.Tests {
		if t := &b.Tests[i]; t.Unit == cpuUnit && len(t.D) == len(b.Rounds) {
			return t
		}
	}
	return nil
}

var decisions = []verdict.Decision{verdict.Regressed, verdict.Improved, verdict.Pass, verdict.LayoutSensitive, verdict.Waived, verdict.Inconclusive, verdict.Identical, verdict.Ungated}

// check refuses what Record would not have written.
func (s *Session) check() error {
	if err := s.Series.Check(); err != nil {
		return err
	}
	if s.Index < 1 || s.Commit == "" || s.Time == "" {
		return errors.New("no session: it lacks its index, commit or time")
	}
	if (s.Kind == Neutral) != (s.Edit != "") {
		return fmt.Errorf("kind %s with edit %q", s.Kind, s.Edit)
	}
	for i := range s.Benchmarks {
		if err := s.Benchmarks[i].check(); err != nil {
			return fmt.Errorf("%s: %w", s.Benchmarks[i].short(), err)
		}
	}
	return nil
}

func (b *Benchmark) check() error {
	if !slices.IsSorted(b.Rounds) {
		return errors.New("its rounds are not in order")
	}
	if len(b.Base) != 0 && len(b.Base) != len(b.Rounds) {
		return fmt.Errorf("%d base runs in %d pairs", len(b.Base), len(b.Rounds))
	}
	for _, t := range b.Tests {
		switch {
		case !slices.Contains(decisions, t.Decision):
			return fmt.Errorf("%s: unknown decision %q", t.Unit, t.Decision)
		case len(t.D) != 0 && len(t.D) != len(b.Rounds):
			return fmt.Errorf("%s: %d log ratios of %d pairs", t.Unit, len(t.D), len(b.Rounds))
		case t.Pairs < 0 || t.Pairs > len(b.Rounds):
			return fmt.Errorf("%s: decided after %d of %d pairs", t.Unit, t.Pairs, len(b.Rounds))
		}
	}
	return nil
}
