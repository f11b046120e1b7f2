package calibrate

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/verdict"
)

// Report is what the sessions of one file say. It is a pure function of them.
type Report struct {
	Class      string            `json:"class"`
	Machine    map[string]string `json:"machine"`
	Module     string            `json:"module"`
	Suite      string            `json:"suite"`
	Bench      string            `json:"bench,omitempty"`
	Channel    string            `json:"channel"`
	LeastPairs int               `json:"least-pairs"`
	// Commits and times of the first and last session, in the file's order.
	Commits []string `json:"commits"`
	From    string   `json:"from"`
	To      string   `json:"to"`

	Series     []SeriesReport    `json:"series"`
	Benchmarks []BenchmarkReport `json:"benchmarks"`
	Rules      []RuleReport      `json:"rules"`
	Replay     Rate              `json:"replay"` // tests that replay to what was decided
	// Edge are those that do so only with ratios shifted by half of the last digit
	// that is kept.
	Edge      int            `json:"edge"`
	Bootstrap []Bootstrapped `json:"bootstrap"`
	// Autocorrelation is that of neighbouring log ratios of unchanged sessions.
	Autocorrelation float64 `json:"autocorrelation"`
	// ZerosForOnePercent is the number of sessions without an alarm after which a
	// rate of at most 1 % may be claimed.
	ZerosForOnePercent int `json:"zeros-for-one-percent"`
}

// SeriesReport is one series.
type SeriesReport struct {
	Series
	Suites int `json:"suites"`
	// Voided suites were not measurable; they count among Suites all the same.
	Voided    int `json:"voided"`
	OutOfTime int `json:"out-of-time"`
	// Regressed counts suites with a regression as the gate reports it, First those
	// with one before relinked layouts could take it back, Improved the mirror.
	Regressed Rate `json:"regressed"`
	First     Rate `json:"first"`
	Improved  Rate `json:"improved"`
	// Bound is the rate of Regressed that is exceeded with a chance of 5 % at most.
	Bound float64 `json:"bound"`
	// Tests are the co-run tests of CPU time: all of them, or those that could take
	// the injected slowdown; NotInjectable could not.
	NotInjectable int  `json:"not-injectable"`
	Unchanged     Rate `json:"unchanged"` // of injected sessions, called slower
	// Measured is the median over Tests of their median change: head/base - 1.
	Measured     float64 `json:"measured"`
	Found        Rate    `json:"found"`
	Passed       Rate    `json:"passed"`
	Inconclusive Rate    `json:"inconclusive"`
	TakenBack    Rate    `json:"taken-back"` // by relinked layouts
	Better       Rate    `json:"better"`     // improved
	// Pairs and CPUSeconds are per benchmark and verdict, the medians.
	Pairs      float64 `json:"pairs"`
	CPUSeconds float64 `json:"cpu-seconds"`
	// SuiteWall and SuiteCPU are the medians of whole sessions, in seconds, with the
	// planning, canaries and pairs for other rules.
	SuiteWall float64 `json:"suite-wall"`
	SuiteCPU  float64 `json:"suite-cpu"`
}

// BenchmarkReport is one benchmark's test of CPU time.
type BenchmarkReport struct {
	Name string `json:"name"`
	// N is the median of the planned operations, Deviation that of the pair
	// deviations of unchanged sessions, and so are Pairs and CPUSeconds.
	N          float64 `json:"n"`
	Deviation  float64 `json:"deviation"`
	Pairs      float64 `json:"pairs"`
	CPUSeconds float64 `json:"cpu-seconds"`
	Alarms     Rate    `json:"alarms"` // in unchanged sessions
	Undecided  Rate    `json:"undecided"`
	// Found and Passed are by the percent that was injected; a size that it cannot
	// take is not there.
	Found  map[int]Rate `json:"found"`
	Passed map[int]Rate `json:"passed"`
}

// RuleReport is what a rule would have said of the same runs.
type RuleReport struct {
	Name string `json:"name"`
	// Alarms counts unchanged suites (aa) in which it calls some benchmark slower.
	Alarms Rate         `json:"alarms"`
	Found  map[int]Rate `json:"found"` // tests, by percent
}

const (
	bootstrapSeed   = 1
	bootstrapSuites = 400
)

// series in the order of reports.
func allSeries() []Series {
	list := []Series{{Kind: AA}, {Kind: Neutral}}
	for _, p := range Percents {
		list = append(list, Series{Injected, p})
	}
	return list
}

// Analyse makes the report of a file.
func Analyse(data *Data) *Report {
	h := &data.Header
	r := &Report{Class: h.Class, Machine: h.Machine, Module: h.Module, Suite: h.Suite, Bench: h.Bench, Channel: h.Channel, LeastPairs: h.LeastPairs,
		ZerosForOnePercent: ZerosFor(.01, .05)}
	for i, s := range data.Sessions {
		if i == 0 {
			r.From = s.Time
		}
		r.To = s.Time
		if !slices.Contains(r.Commits, s.Commit) {
			r.Commits = append(r.Commits, s.Commit)
		}
	}
	for _, s := range allSeries() {
		if data.Count(s) > 0 {
			r.Series = append(r.Series, seriesReport(data, s))
			r.Bootstrap = append(r.Bootstrap, Bootstrap(data, s, bootstrapSuites, bootstrapSeed))
		}
	}
	r.Benchmarks = benchmarkReports(data)
	r.Rules = ruleReports(data)
	r.Replay, r.Edge = replayRate(data)
	r.Autocorrelation = autocorrelation(data)
	return r
}

func seriesReport(data *Data, series Series) SeriesReport {
	r := SeriesReport{Series: series}
	var t tally
	regressed, first, improved := 0, 0, 0
	var wall, cpu []float64
	for i := range data.Sessions {
		s := &data.Sessions[i]
		if s.Series != series {
			continue
		}
		r.Suites++
		r.Voided += count(s.Headline == verdict.SuiteNotMeasured)
		r.OutOfTime += count(s.OutOfTime)
		regressed += count(s.any(func(t *Test) bool { return t.Decision == verdict.Regressed }))
		first += count(s.any(func(t *Test) bool { return t.found() == verdict.Regressed }))
		improved += count(s.any(func(t *Test) bool { return t.Decision == verdict.Improved }))
		wall, cpu = append(wall, s.WallSeconds), append(cpu, s.CPUSeconds)
		for j := range s.Benchmarks {
			t.add(s, &s.Benchmarks[j], series)
		}
	}
	r.Regressed, r.First, r.Improved = NewRate(regressed, r.Suites), NewRate(first, r.Suites), NewRate(improved, r.Suites)
	r.Bound = UpperBound(regressed, r.Suites, .05)
	r.NotInjectable, r.Unchanged = t.notInjectable, NewRate(t.unchangedAlarms, t.unchanged)
	r.Found, r.Passed, r.Inconclusive = NewRate(t.found, t.n), NewRate(t.passed, t.n), NewRate(t.inconclusive, t.n)
	r.Measured = math.Expm1(median(t.medians))
	r.TakenBack, r.Better = NewRate(t.takenBack, t.n), NewRate(t.better, t.n)
	r.Pairs, r.CPUSeconds = median(t.pairs), median(t.cpu)
	r.SuiteWall, r.SuiteCPU = median(wall), median(cpu)
	return r
}

// any tells whether some test of the session is such.
func (s *Session) any(is func(t *Test) bool) bool {
	for i := range s.Benchmarks {
		for j := range s.Benchmarks[i].Tests {
			if is(&s.Benchmarks[i].Tests[j]) {
				return true
			}
		}
	}
	return false
}

// cost is what the decisions on a benchmark cost, exact runs included.
func (s *Session) cost(b *Benchmark) float64 {
	total := b.CPU
	for i := range s.Benchmarks {
		if e := &s.Benchmarks[i]; e.Channel == "exact" && e.Pkg == b.Pkg && e.Name == b.Name {
			total += e.CPU
		}
	}
	return total
}

// tally counts tests of CPU time.
type tally struct {
	n, notInjectable                               int
	unchanged, unchangedAlarms                     int
	found, passed, inconclusive, takenBack, better int
	pairs, cpu, medians                            []float64
}

func (t *tally) add(s *Session, b *Benchmark, series Series) {
	test := b.cpu()
	if test == nil {
		return
	}
	switch {
	case series.Kind == Injected && !b.Slowed:
		t.unchanged++
		t.unchangedAlarms += count(test.Decision == verdict.Regressed)
		return
	case b.Slowed && !series.Injects(b.N):
		t.notInjectable++
		return
	}
	t.n++
	switch test.Decision {
	case verdict.Regressed, verdict.Waived:
		t.found++
	case verdict.Pass:
		t.passed++
	case verdict.Inconclusive:
		t.inconclusive++
	case verdict.LayoutSensitive:
		t.takenBack++
	case verdict.Improved:
		t.better++
	}
	t.pairs, t.cpu = append(t.pairs, float64(test.Pairs)), append(t.cpu, s.cost(b))
	t.medians = append(t.medians, median(test.D))
}

func benchmarkReports(data *Data) []BenchmarkReport {
	type gathered struct {
		unchanged    tally
		injected     map[int]*tally
		n, deviation []float64
	}
	byName := map[string]*gathered{}
	for i := range data.Sessions {
		s := &data.Sessions[i]
		for j := range s.Benchmarks {
			b := &s.Benchmarks[j]
			test := b.cpu()
			if test == nil {
				continue
			}
			g := byName[b.short()]
			if g == nil {
				g = &gathered{injected: map[int]*tally{}}
				byName[b.short()] = g
			}
			g.n = append(g.n, float64(b.N))
			if s.Kind != Injected {
				g.unchanged.add(s, b, s.Series)
				g.deviation = append(g.deviation, compare.Deviation(test.D))
				continue
			}
			if g.injected[s.Percent] == nil {
				g.injected[s.Percent] = &tally{}
			}
			g.injected[s.Percent].add(s, b, s.Series)
		}
	}
	var reports []BenchmarkReport
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		g := byName[name]
		u := g.unchanged
		r := BenchmarkReport{Name: name, N: median(g.n), Deviation: median(g.deviation), Pairs: median(u.pairs), CPUSeconds: median(u.cpu),
			Alarms: NewRate(u.found, u.n), Undecided: NewRate(u.inconclusive, u.n), Found: map[int]Rate{}, Passed: map[int]Rate{}}
		for percent, t := range g.injected {
			if t.n > 0 {
				r.Found[percent], r.Passed[percent] = NewRate(t.found, t.n), NewRate(t.passed, t.n)
			}
		}
		reports = append(reports, r)
	}
	return reports
}

// Worst are the benchmarks that are found least at a size, the worst first.
func (r *Report) Worst(percent int) []BenchmarkReport {
	var with []BenchmarkReport
	for _, b := range r.Benchmarks {
		if b.Found[percent].N > 0 {
			with = append(with, b)
		}
	}
	slices.SortStableFunc(with, func(a, b BenchmarkReport) int {
		return cmp.Compare(a.Found[percent].Share(), b.Found[percent].Share())
	})
	return with
}

// ruleReports puts the gate's own rule first.
func ruleReports(data *Data) []RuleReport {
	own := Rule{Name: "perfgate", N: 0}
	var reports []RuleReport
	for _, rule := range append([]Rule{own}, Rules()...) {
		r := RuleReport{Name: rule.Name, Found: map[int]Rate{}}
		alarms, suites := 0, 0
		found, tests := map[int]int{}, map[int]int{}
		for i := range data.Sessions {
			s := &data.Sessions[i]
			calls, asked := 0, 0
			for j := range s.Benchmarks {
				b := &s.Benchmarks[j]
				slower, ok := rule.judge(b)
				if !ok || s.Kind == Injected && !(b.Slowed && s.Injects(b.N)) {
					continue
				}
				asked++
				calls += count(slower)
			}
			switch {
			case asked == 0:
			case s.Kind == AA:
				suites++
				alarms += count(calls > 0)
			case s.Kind == Injected:
				tests[s.Percent] += asked
				found[s.Percent] += calls
			}
		}
		r.Alarms = NewRate(alarms, suites)
		for percent, n := range tests {
			r.Found[percent] = NewRate(found[percent], n)
		}
		reports = append(reports, r)
	}
	return reports
}

// judge is what a rule says of a benchmark; ok is false where it has too few
// runs. The gate's own rule is what it decided.
func (r *Rule) judge(b *Benchmark) (slower, ok bool) {
	if r.Slower == nil {
		t := b.cpu()
		return t != nil && t.Decision == verdict.Regressed, t != nil
	}
	base, head, ok := b.runs(r.N)
	return ok && r.Slower(base, head), ok
}

func replayRate(data *Data) (as Rate, edge int) {
	agree, edge, n := 0, 0, 0
	for i := range data.Sessions {
		s := &data.Sessions[i]
		var shifted []map[[2]int]verdict.Decision
		for at, d := range Replay(&data.Header, s, 0) {
			recorded := s.Benchmarks[at[0]].Tests[at[1]].found()
			n++
			// A test that the budget cut is open, and reported by what it had shown.
			if d == recorded || d == "" && s.OutOfTime {
				agree++
				continue
			}
			if shifted == nil {
				shifted = []map[[2]int]verdict.Decision{Replay(&data.Header, s, ratioDigit/2), Replay(&data.Header, s, -ratioDigit/2)}
			}
			edge += count(shifted[0][at] == recorded || shifted[1][at] == recorded)
		}
	}
	return NewRate(agree, n), edge
}

// autocorrelation is the mean lag-1 autocorrelation of the log ratios of one
// benchmark in one unchanged session, weighted by the number of pairs.
func autocorrelation(data *Data) float64 {
	sum, weight := 0.0, 0.0
	for i := range data.Sessions {
		if data.Sessions[i].Kind == Injected {
			continue
		}
		for j := range data.Sessions[i].Benchmarks {
			t := data.Sessions[i].Benchmarks[j].cpu()
			if t == nil || len(t.D) < 4 {
				continue
			}
			m, product, square := mean(t.D), 0.0, 0.0
			for k, d := range t.D {
				square += (d - m) * (d - m)
				if k > 0 {
					product += (d - m) * (t.D[k-1] - m)
				}
			}
			if square > 0 {
				sum += product / square * float64(len(t.D))
				weight += float64(len(t.D))
			}
		}
	}
	if weight == 0 {
		return 0
	}
	return sum / weight
}

// median is 0 without values.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return math.FMA(.5, s[mid]-s[mid-1], s[mid-1])
}
