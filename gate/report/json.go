package report

import (
	"encoding/json"
	"io"
	"math"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// JSONSchema is the version of the JSON report; schema.json describes it.
const JSONSchema = 2

// JSON writes the report for programs: every row, keys sorted, strings as they
// were measured (the reader escapes them for where it puts them).
func JSON(w io.Writer, in Input) error {
	m := in.Manifest
	doc := document{
		AA:         m.AA,
		Base:       newRevisionJSON(m.Base),
		BaseReason: m.BaseReason,
		Bundle:     bundleJSON{Hash: in.Hash, Path: in.Path},
		Counts:     in.Verdict.Counts,
		Cost:       costJSON{m.BudgetSeconds, m.CPUSeconds, m.OutOfTime, m.WallSeconds},
		Exit:       in.Verdict.Exit,
		Head:       newRevisionJSON(m.Head),
		Headline:   in.Verdict.Headline,
		Machine:    machineJSON{m.Machine.Class, m.Machine.ClassID, orEmpty(m.Machine.Notes)},
		Module:     m.Module,
		Outcomes:   []outcomeJSON{},
		Rows:       []rowJSON{},
		Schema:     JSONSchema,
		Shards:     len(m.Parts),
		Suite:      m.Suite,
		Tool:       m.Tool,
		Toolchain:  m.Toolchain,
		Verdict:    in.Words(),
		Warnings:   orEmpty(m.Warnings),
	}
	if m.Shard != nil {
		doc.Shard = &shardJSON{Count: m.Shard.Count, Index: m.Shard.Index}
	}
	for _, row := range in.Verdict.Rows {
		j := newRowJSON(row)
		j.Cause = newCauseJSON(in, row.Change.Test)
		doc.Rows = append(doc.Rows, j)
	}
	for _, o := range in.Verdict.Outcomes {
		doc.Outcomes = append(doc.Outcomes, outcomeJSON{newKeyJSON(o.Key), o.Detail, o.Kind, o.Side})
	}
	if m.Baseline != nil {
		doc.Baseline = newBaselineJSON(*m.Baseline, in)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

// The fields of every struct below stand in the order of their keys, so that
// the output has them sorted; a test holds them to it.
type document struct {
	AA         bool                     `json:"aa"`
	Base       revisionJSON             `json:"base"`
	BaseReason string                   `json:"base-reason"`
	Baseline   *baselineJSON            `json:"baseline"`
	Bundle     bundleJSON               `json:"bundle"`
	Cost       costJSON                 `json:"cost"`
	Counts     map[verdict.Decision]int `json:"counts"`
	Exit       int                      `json:"exit"`
	Head       revisionJSON             `json:"head"`
	Headline   verdict.Headline         `json:"headline"`
	Machine    machineJSON              `json:"machine"`
	Module     string                   `json:"module"`
	Outcomes   []outcomeJSON            `json:"outcomes"`
	Rows       []rowJSON                `json:"rows"`
	Schema     int                      `json:"schema"`
	Shard      *shardJSON               `json:"shard"`
	Shards     int                      `json:"shards"`
	Suite      string                   `json:"suite"`
	Tool       string                   `json:"tool"`
	Toolchain  string                   `json:"toolchain"`
	Verdict    string                   `json:"verdict"`
	Warnings   []string                 `json:"warnings"`
}

type revisionJSON struct {
	Commit string `json:"commit"`
	Dirty  bool   `json:"dirty"`
	Ref    string `json:"ref"`
	Tree   string `json:"tree"`
}

type shardJSON struct {
	Count int `json:"count"`
	Index int `json:"index"`
}

type bundleJSON struct {
	Hash string `json:"hash"`
	Path string `json:"path"`
}

type costJSON struct {
	BudgetSeconds float64 `json:"budget-seconds"`
	CPUSeconds    float64 `json:"cpu-seconds"`
	OutOfTime     bool    `json:"out-of-time"`
	WallSeconds   float64 `json:"wall-seconds"`
}

type machineJSON struct {
	Class   map[string]string `json:"class"`
	ClassID string            `json:"class-id"`
	Notes   []string          `json:"notes"`
}

type keyJSON struct {
	Name  string `json:"name"`
	Pkg   string `json:"pkg"`
	Procs int    `json:"procs"`
}

type outcomeJSON struct {
	Benchmark keyJSON               `json:"benchmark"`
	Detail    string                `json:"detail"`
	Kind      recording.OutcomeKind `json:"kind"`
	Side      recording.Side        `json:"side"`
}

type baselineJSON struct {
	ClassID   string      `json:"class-id"`
	Commit    string      `json:"commit"`
	Compared  int         `json:"compared"`
	Drift     []driftJSON `json:"drift"`
	Path      string      `json:"path"`
	SameClass bool        `json:"same-class"`
	Why       string      `json:"why"`
}

type driftJSON struct {
	Benchmark keyJSON `json:"benchmark"`
	Gates     bool    `json:"gates"`
	Head      number  `json:"head"`
	Stored    number  `json:"stored"`
	Unit      string  `json:"unit"`
}

type rowJSON struct {
	Adjusted  number            `json:"adjusted-p"`
	Base      centreJSON        `json:"base"`
	Benchmark keyJSON           `json:"benchmark"`
	Better    string            `json:"better"`
	Cause     *causeJSON        `json:"cause"`
	Channel   recording.Channel `json:"channel"`
	Decision  verdict.Decision  `json:"decision"`
	Exact     *exactJSON        `json:"exact"`
	Gating    bool              `json:"gating"`
	Head      centreJSON        `json:"head"`
	Target    int               `json:"target-percent"`
	Timed     *timedJSON        `json:"timed"`
	Unit      string            `json:"unit"`
	Warnings  []string          `json:"warnings"`
	Why       string            `json:"why"`
}

type centreJSON struct {
	Hi     number `json:"hi"`
	Lo     number `json:"lo"`
	Median number `json:"median"`
	N      int    `json:"n"`
}

// timedJSON gives ratios as head/base - 1 in the direction of the unit.
type timedJSON struct {
	Deviation number `json:"deviation"`
	EPass     number `json:"e-pass"`
	Hi        number `json:"hi"`
	Lo        number `json:"lo"`
	PBetter   number `json:"p-better"`
	PWorse    number `json:"p-worse"`
	Pairs     int    `json:"pairs"`
	Ratio     number `json:"ratio"`
	Seen      number `json:"smallest-visible"`
}

type exactJSON struct {
	Base  number             `json:"base"`
	Head  number             `json:"head"`
	Ratio number             `json:"ratio"`
	Runs  int                `json:"runs"`
	State compare.ExactState `json:"state"`
}

// number is a float64 that is null in JSON where it is no finite number.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func newRevisionJSON(r recording.Revision) revisionJSON {
	return revisionJSON{r.Commit, r.Dirty, r.Ref, r.Tree}
}

func newKeyJSON(k recording.Key) keyJSON { return keyJSON{k.Name, k.Pkg, k.Procs} }

func newCentreJSON(c compare.Centre) centreJSON {
	return centreJSON{number(c.Hi), number(c.Lo), number(c.Median), c.N}
}

func newRowJSON(row verdict.Row) rowJSON {
	c := row.Change
	e := effectOf(c)
	r := rowJSON{
		Adjusted: number(row.Adjusted), Base: newCentreJSON(c.Base), Benchmark: newKeyJSON(c.Test.Key),
		Better: c.Better, Channel: c.Test.Channel, Decision: row.Decision, Gating: row.Gating,
		Head: newCentreJSON(c.Head), Target: row.Target, Unit: c.Test.Unit, Warnings: orEmpty(c.Warnings), Why: row.Why,
	}
	if t := c.Timed; t != nil {
		r.Timed = &timedJSON{
			Deviation: number(t.Deviation), EPass: number(t.EPass), Hi: number(e.hi), Lo: number(e.lo),
			PBetter: number(t.PBetter), PWorse: number(t.PWorse), Pairs: t.Pairs, Ratio: number(e.ratio), Seen: number(e.seen),
		}
	}
	if x := c.Exact; x != nil {
		r.Exact = &exactJSON{number(x.Base), number(x.Head), number(x.Relative), x.Runs, x.State}
	}
	return r
}

func newBaselineJSON(ref recording.BaselineRef, in Input) *baselineJSON {
	b := &baselineJSON{
		ClassID: ref.ClassID, Commit: ref.Commit, Compared: len(ref.Checks), Drift: []driftJSON{},
		Path: ref.Path, SameClass: ref.SameClass, Why: ref.Why,
	}
	for _, d := range in.Verdict.BaselineDrift {
		b.Drift = append(b.Drift, driftJSON{newKeyJSON(d.Key), in.gates(d), number(d.Head), number(d.Stored), d.Unit})
	}
	return b
}

// orEmpty keeps an empty list from becoming null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
