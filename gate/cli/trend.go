package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/repo"
	"github.com/perfgate/perfgate/gate/trend"
	"github.com/perfgate/perfgate/gate/verdict"
)

const trendHelp = `Prints, for each benchmark of the stored baselines, how its ratios from commit to
commit add up, where its speed changed, and the commits between.

Every ratio was taken in one session. Times of two sessions are not compared: the
last stored ones are shown, and marked so.`

// trendSeed is of the permutations: the same ledger gives the same points.
const trendSeed = 1

// commitsMax is how many of the commits between are listed.
const commitsMax = 10

// runTrend shows the chains of the stored baselines.
func runTrend(ctx context.Context, env *Env, args []string) int {
	fs := flag.NewFlagSet("trend", flag.ContinueOnError)
	place := fs.String("baseline", "", baselineFlagHelp)
	suite := fs.String("suite", "", "only the baselines of this `SUITE`")
	bench := fs.String("bench", ".", "only benchmarks that match `REGEX`")
	format := fs.String("format", "text", "print as `FORMAT`: text or json")
	fs.Usage = env.usageOf(fs, "trend [flags]", trendHelp)
	if code, ok := env.parse(fs, args, 0); !ok {
		return code
	}
	pattern, err := regexp.Compile(*bench)
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("trend: --bench: %w", err))
	}
	if *format != "text" && *format != "json" {
		return env.fail(verdict.ExitUsage, fmt.Errorf("trend: --format %q: text and json are known", *format))
	}
	v := trendView{env: env, pattern: pattern}
	if v.repo, err = repo.Open(ctx, env.Dir); err != nil {
		v.repo = nil // commits are shown without what lies between
	}
	s := &stores{env: env, name: "trend", fs: fs, place: *place, suite: *suite}
	if code := s.each(ctx, func(at storedAt) error { return v.read(ctx, at) }); code != verdict.ExitPass {
		return code
	}
	if len(v.doc.Chains) == 0 {
		return env.fail(verdict.ExitUsage, fmt.Errorf("trend: no ledger has a benchmark that matches --bench %q", *bench))
	}
	if *format == "json" {
		out := json.NewEncoder(env.Stdout)
		out.SetIndent("", "  ")
		err = out.Encode(v.doc)
	} else {
		err = v.text()
	}
	if err != nil {
		return env.fail(verdict.ExitUsage, fmt.Errorf("trend: writing: %w", err))
	}
	return verdict.ExitPass
}

// trendView gathers what is shown.
type trendView struct {
	env     *Env
	pattern *regexp.Regexp
	repo    *repo.Repo
	doc     trendDoc
}

// trendDoc is the JSON form, schema 1. Ratios are head/base.
type trendDoc struct {
	Schema int          `json:"schema"`
	Chains []trendChain `json:"chains"`
}

type trendChain struct {
	Baseline  string       `json:"baseline"`
	Class     string       `json:"class"`
	Benchmark string       `json:"benchmark"`
	Procs     int          `json:"procs"`
	Unit      string       `json:"unit"`
	Better    string       `json:"better"` // lower, higher, or empty where unknown
	Against   string       `json:"against"`
	Links     []trendLink  `json:"links"`
	Points    []trendPoint `json:"points"`
	Drift     *trendDrift  `json:"drift"`
	// DriftMissing says why an anchor has no drift.
	DriftMissing string `json:"drift-missing,omitempty"`
	Same         int    `json:"same-commit-sessions"`
	// Pruned: what came before this record was dropped; 0 where nothing was.
	Pruned int `json:"pruned-before,omitempty"`
	// Absolute is the median of the last session: not comparable with any other.
	Absolute *float64 `json:"absolute-not-comparable"`
}

type trendLink struct {
	Record    int     `json:"record"`
	Base      string  `json:"base"`
	Head      string  `json:"head"`
	Pairs     int     `json:"pairs"`
	Ratio     float64 `json:"ratio"`
	Lo        float64 `json:"lo"`
	Hi        float64 `json:"hi"`
	Level     float64 `json:"level"` // ratio to the first commit of this part
	Broken    bool    `json:"broken-before"`
	Anchor    bool    `json:"anchor"`
	Toolchain string  `json:"toolchain"`
}

type trendPoint struct {
	Kind    string   `json:"kind"`
	After   string   `json:"after"`
	Until   string   `json:"until"`
	Ratio   float64  `json:"ratio"`
	P       float64  `json:"p,omitempty"`
	Commits []string `json:"commits"` // after After, up to Until, oldest first
	Unknown bool     `json:"commits-unknown"`
}

type trendDrift struct {
	From    string  `json:"from"`
	To      string  `json:"to"`
	Links   int     `json:"links"`
	Ratio   float64 `json:"ratio"`
	Lo      float64 `json:"lo"`
	Hi      float64 `json:"hi"`
	WorstLo float64 `json:"worst-lo"`
	WorstHi float64 `json:"worst-hi"`
}

func (v *trendView) read(ctx context.Context, at storedAt) error {
	b, err := at.store.Load(ctx, at.suite, at.class)
	if err != nil {
		return err
	}
	v.doc.Schema = 1
	for _, c := range trend.Chains(b, trendSeed) {
		if v.pattern.MatchString(c.Key.Pkg + "." + c.Key.Name) {
			v.doc.Chains = append(v.doc.Chains, v.chain(ctx, at, b, c))
		}
	}
	return nil
}

func (v *trendView) chain(ctx context.Context, at storedAt, b *baseline.Baseline, c trend.Chain) trendChain {
	out := trendChain{
		Baseline: at.shown, Class: at.class, Benchmark: c.Key.Pkg + "." + c.Key.Name, Procs: c.Key.Procs, Unit: c.Unit,
		Better: compare.Better(&recording.Manifest{Units: b.Manifest.Units}, recording.Test{Key: c.Key, Unit: c.Unit}), Against: "neighbours", Links: []trendLink{}, Points: []trendPoint{}, Same: c.Same,
		Absolute: absolute(b, c),
	}
	if c.Star {
		out.Against = "one commit"
	}
	if n := len(b.Manifest.Pruned); n > 0 {
		out.Pruned = b.Manifest.Pruned[n-1].Before
	}
	for _, l := range c.Links {
		out.Links = append(out.Links, trendLink{
			Record: l.Record, Base: l.Base, Head: l.Head, Pairs: l.Pairs, Ratio: math.Exp(l.Delta), Lo: math.Exp(l.Lo), Hi: math.Exp(l.Hi),
			Level: math.Exp(l.Level), Broken: l.Gap, Anchor: l.Anchor, Toolchain: l.Toolchain,
		})
	}
	for _, p := range c.Points {
		point := trendPoint{Kind: string(p.Kind), After: p.After, Until: p.Until, Ratio: math.Exp(p.Size), P: p.P, Commits: []string{}}
		point.Unknown = !v.between(ctx, &point)
		out.Points = append(out.Points, point)
	}
	switch anchor := b.Manifest.Anchor; {
	case c.Drift != nil:
		d := c.Drift
		out.Drift = &trendDrift{d.From, d.To, d.Links, math.Exp(d.Delta), math.Exp(d.Lo), math.Exp(d.Hi), math.Exp(d.WorstLo), math.Exp(d.WorstHi)}
	case anchor != nil:
		out.DriftMissing = fmt.Sprintf("no unbroken chain of ratios leads from the anchor %s (%.7s) to the newest commit", anchor.Ref, anchor.Commit)
	}
	return out
}

// between fills in the commits, where git knows them.
func (v *trendView) between(ctx context.Context, p *trendPoint) bool {
	if v.repo == nil {
		return false
	}
	commits, err := v.repo.Between(ctx, p.After, p.Until)
	if err != nil {
		return false
	}
	p.Commits = commits
	return true
}

// absolute is the median of the last session's runs in the chain's unit.
func absolute(b *baseline.Baseline, c trend.Chain) *float64 {
	var values []float64
	for _, s := range b.Samples {
		if s.Key != c.Key {
			continue
		}
		for _, value := range s.Values {
			if value.Unit == c.Unit {
				values = append(values, value.Value)
			}
		}
	}
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	median := (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	return &median
}

func (v *trendView) text() error {
	var b strings.Builder
	place := ""
	for _, c := range v.doc.Chains {
		if c.Baseline != place {
			if place != "" {
				b.WriteString("(another machine class or suite: no ratio leads from one to the other)\n\n")
			}
			place = c.Baseline
			fmt.Fprintf(&b, "%s\n", place)
			if c.Pruned > 0 {
				fmt.Fprintf(&b, "  what came before recording %d was pruned\n", c.Pruned)
			}
			b.WriteString("\n")
		}
		v.chainText(&b, c)
	}
	_, err := fmt.Fprint(v.env.Stdout, b.String())
	return err
}

func (v *trendView) chainText(b *strings.Builder, c trendChain) {
	better := c.Better + " is better"
	if c.Better == "" {
		better = "direction unknown"
	}
	fmt.Fprintf(b, "%s, GOMAXPROCS=%d, %s (%s)\n", c.Benchmark, c.Procs, c.Unit, better)
	for _, l := range c.Links {
		if l.Broken {
			fmt.Fprintf(b, "  -- the chain is broken: no ratio leads to %.7s; what follows is counted from there --\n", l.Base)
		}
		fmt.Fprintf(b, "  %.7s -> %.7s  %s  [%s, %s]  sum %s  %s\n", l.Base, l.Head,
			signed(l.Ratio), signed(l.Lo), signed(l.Hi), signed(l.Level), count(l.Pairs, "pair"))
	}
	if c.Same > 0 {
		fmt.Fprintf(b, "  %s of a commit with itself, left out\n", count(c.Same, "session"))
	}
	for _, p := range c.Points {
		v.pointText(b, p)
	}
	if len(c.Points) == 0 && len(c.Links) > 0 {
		b.WriteString("  no change point\n")
	}
	if d := c.Drift; d != nil {
		fmt.Fprintf(b, "  drift from %.7s to %.7s over %s: %s [%s, %s] where sessions err independently, [%s, %s] at worst\n",
			d.From, d.To, count(d.Links, "ratio"), signed(d.Ratio), signed(d.Lo), signed(d.Hi), signed(d.WorstLo), signed(d.WorstHi))
	}
	if c.DriftMissing != "" {
		fmt.Fprintf(b, "  drift: %s\n", c.DriftMissing)
	}
	if c.Absolute != nil {
		fmt.Fprintf(b, "  last session's median: %.4g %s (not comparable with any other session)\n", *c.Absolute, c.Unit)
	}
	b.WriteString("\n")
}

func (v *trendView) pointText(b *strings.Builder, p trendPoint) {
	what := "step of " + signed(p.Ratio)
	if p.Kind == string(trend.Pace) {
		what = "change of pace by " + signed(p.Ratio) + " a session"
	}
	fmt.Fprintf(b, "  %s between %.7s and %.7s", what, p.After, p.Until)
	if p.P > 0 {
		fmt.Fprintf(b, " (p=%.2g)", p.P)
	}
	if p.Unknown {
		b.WriteString("; this clone does not know the commits between\n")
		return
	}
	fmt.Fprintf(b, ", %s:\n", count(len(p.Commits), "commit"))
	for i, commit := range p.Commits {
		if i == commitsMax {
			fmt.Fprintf(b, "    and %d more\n", len(p.Commits)-i)
			break
		}
		fmt.Fprintf(b, "    %.7s %s\n", commit, v.subject(commit))
	}
}

// subject is a commit's first line, without what could steer a terminal.
func (v *trendView) subject(commit string) string {
	s, err := v.repo.Subject(context.Background(), commit)
	if err != nil {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}

// signed is a ratio as a change: +5.00%.
func signed(ratio float64) string { return fmt.Sprintf("%+.2f%%", 100*(ratio-1)) }
