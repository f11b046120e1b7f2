package report

import (
	"fmt"
	"strings"

	"github.com/perfgate/perfgate/gate/culprit"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// outsideWords stand for a cause that is not in the change.
const outsideWords = "outside the change"

// explained are the rows for which the cause was looked for, in their order.
func (in Input) explained() []verdict.Row {
	var rows []verdict.Row
	for _, row := range in.Verdict.Rows {
		if _, ok := in.Findings[row.Change.Test]; ok {
			rows = append(rows, row)
		}
	}
	return rows
}

// suspectName is who is suspected, below the module.
func (in Input) suspectName(s culprit.Suspect) string {
	if s.Function == "" {
		return outsideWords
	}
	module := in.Manifest.Module
	if rest, ok := strings.CutPrefix(s.Function, module+"/"); ok {
		return rest
	}
	if rest, ok := strings.CutPrefix(s.Function, module+"."); ok {
		return module[strings.LastIndexByte(module, '/')+1:] + "." + rest
	}
	return s.Function
}

// suspectPlace is where that is; empty for nowhere.
func suspectPlace(s culprit.Suspect) string {
	switch {
	case s.File == "":
		return ""
	case s.Line == 0:
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// sure is a confidence in percent.
func sure(s culprit.Suspect) string { return fmt.Sprintf("%.0f %%", 100*s.Confidence) }

// suspects lists for each slowdown what is likely to have caused it.
func (t *terminal) suspects() {
	rows := t.explained()
	if len(rows) == 0 {
		return
	}
	t.line("")
	t.line("suspects, and how sure that is:")
	for _, row := range rows {
		f := t.Findings[row.Change.Test]
		t.line("  %s, %s", clean(t.benchmark(row.Change.Test.Key)), clean(row.Change.Test.Unit))
		for _, s := range f.Suspects {
			line := fmt.Sprintf("    %5s  %s", sure(s), clean(t.suspectName(s)))
			if place := suspectPlace(s); place != "" {
				line += "  " + clean(place)
			}
			t.line("%s", line)
			for part := range strings.SplitSeq(s.Why, "; ") {
				t.line("           %s", clean(part))
			}
		}
		if f.Note != "" {
			t.line("           %s", clean(f.Note))
		}
	}
}

// whyRunesMax bounds the evidence in a table's cell.
const whyRunesMax = 300

// suspectRow is one suspect of one slowdown.
type suspectRow struct {
	test recording.Test
	sure string
	culprit.Suspect
}

// suspectTable is the same for a page. A note without a suspect is a row too.
func (p page) suspectTable() section {
	var rows []suspectRow
	for _, row := range p.explained() {
		f := p.Findings[row.Change.Test]
		for _, s := range f.Suspects {
			rows = append(rows, suspectRow{row.Change.Test, sure(s), s})
		}
		if f.Note != "" {
			rows = append(rows, suspectRow{row.Change.Test, "", culprit.Suspect{Why: f.Note, Function: "(note)"}})
		}
	}
	return list(section{title: "suspects", share: suspectsShare, open: true,
		head: "| benchmark | unit | suspect | where | sure | why |\n|---|---|---|---|---|---|\n"}, rows, p.suspectRow)
}

func (p page) suspectRow(r suspectRow) string {
	place := suspectPlace(r.Suspect)
	where := ""
	if place != "" {
		where = cell(place)
	}
	return tableRow(cell(p.benchmark(r.test.Key)), cell(r.test.Unit), cell(p.suspectName(r.Suspect)), where, r.sure,
		escapePipes(span(visible(clip(r.Why, whyRunesMax)))))
}

// causeJSON is what is suspected of a slowdown.
type causeJSON struct {
	Kind     recording.ProfileKind `json:"kind"`
	Note     string                `json:"note"`
	Suspects []suspectJSON         `json:"suspects"`
}

type suspectJSON struct {
	Confidence number     `json:"confidence"`
	File       string     `json:"file"`
	Function   string     `json:"function"`
	Hunks      []hunkJSON `json:"hunks"`
	Line       int        `json:"line"`
	Outside    bool       `json:"outside"`
	Share      number     `json:"share"`
	Why        string     `json:"why"`
}

// hunkJSON is a run of lines of the head side that the change touches.
type hunkJSON struct {
	Lines int `json:"lines"`
	Start int `json:"start"`
}

func newCauseJSON(in Input, t recording.Test) *causeJSON {
	f, ok := in.Findings[t]
	if !ok {
		return nil
	}
	c := &causeJSON{Kind: f.Kind, Note: f.Note, Suspects: []suspectJSON{}}
	for _, s := range f.Suspects {
		j := suspectJSON{
			Confidence: number(s.Confidence), File: s.File, Function: s.Function, Hunks: []hunkJSON{}, Line: s.Line,
			Outside: s.Outside, Share: number(s.Share), Why: s.Why,
		}
		for _, h := range s.Hunks {
			j.Hunks = append(j.Hunks, hunkJSON{h.HeadLines, h.HeadStart})
		}
		c.Suspects = append(c.Suspects, j)
	}
	return c
}
