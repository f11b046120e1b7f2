package bottleneck

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/internal/golden"
)

// recorded reads the profiles of testdata/stations: the benchmark Stations of this
// repository's suite, at a commit of which nothing was tuned yet, on two cores that
// other work used too. runs.json says of each file what kind it is, of how many
// operations, and what the benchmark reported.
func recorded(t *testing.T) Measured {
	t.Helper()
	dir := filepath.Join("testdata", "stations")
	data, err := os.ReadFile(filepath.Join(dir, "runs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var runs []struct {
		File     string
		Kind     recording.ProfileKind
		N        int
		Reported map[string]float64
	}
	if err := json.Unmarshal(data, &runs); err != nil {
		t.Fatal(err)
	}
	m := Measured{Key: recording.Key{Pkg: "github.com/perfgate/perfgate/benchsuite/macro", Name: "BenchmarkStations/n=4", Procs: 2}}
	for _, run := range runs {
		data, err := os.ReadFile(filepath.Join(dir, run.File))
		if err != nil {
			t.Fatal(err)
		}
		p := Profile{Kind: run.Kind, N: run.N}
		if p.Profile, err = recording.DecodeProfile(data); err != nil {
			t.Fatal(err)
		}
		for _, unit := range sortedNames(run.Reported) {
			p.Reported = append(p.Reported, recording.Value{Unit: unit, Value: run.Reported[unit]})
		}
		m.Profiles = append(m.Profiles, p)
	}
	return m
}

func TestReportsOfARecordedBenchmark(t *testing.T) {
	scope := Scope{Module: "github.com/perfgate/perfgate", Load: []string{"github.com/perfgate/perfgate/benchsuite"}}
	a, err := Analyse(scope, recorded(t))
	if err != nil {
		t.Fatal(err)
	}
	r := Rank(scope, Origin{Tool: "perfgate v1", Module: scope.Module, Commit: "1a2b3c4", Toolchain: "go1.26", Machine: "2 x Example CPU, linux/amd64",
		Notes: []string{"something else was running"}, Command: "perfgate bottlenecks Stations"}, []*Analysis{a})
	golden.Check(t, "text", "What the command prints of a recorded run of the benchmark Stations: the ranked entries,\nthe narrowest first, then the tables of the benchmark.", []byte(r.Text(Options{})))
	golden.Check(t, "entry", "One entry with all that is known of it.", []byte(r.TextEntry(r.Entries[0])))
	golden.Check(t, "markdown", "The same for a page: one table, what was measured, and the evidence of each entry.", []byte(r.Markdown()))
	data, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil || again.Text(Options{All: true}) != r.Text(Options{All: true}) {
		t.Errorf("JSON loses something that is printed: %v", err)
	}

	total := 0.0
	for _, row := range a.Causes {
		total += row.Share.Value
	}
	near(t, "all causes together", total, 1)
	total = a.Load.Value
	for _, f := range a.found {
		if f.Share != nil && !f.load {
			total += f.Share.Value
		}
	}
	near(t, "all entries and the load together", total, 1)
}

// The page of this repository has the catalogue as it is, and a list with entries.
func TestThePageIsCurrent(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "bottlenecks.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	want, err := UpdateCatalogue(page)
	if err != nil {
		t.Fatal(err)
	}
	if page != want {
		t.Error("docs/bottlenecks.md has another catalogue: `perfgate bottlenecks --page docs/bottlenecks.md` writes it")
	}
	listed := 0
	for line := range strings.Lines(page) {
		if fields := strings.Split(line, " | "); len(fields) == 6 && strings.Contains(fields[1], "<br>`") {
			listed++
		}
	}
	_, first, ok := strings.Cut(page, "## What to try first")
	first, _, _ = strings.Cut(first, "## How it is measured")
	for _, id := range regexp.MustCompile("`([a-z-]+@[^`]+)`").FindAllStringSubmatch(first, -1) {
		if !strings.Contains(page, "<br>`"+id[1]+"` |") {
			t.Errorf("the page proposes something for %s, which is not in its list", id[1])
		}
	}
	if !ok || listed < 10 {
		t.Errorf("the page lists %d bottlenecks", listed)
	}
	if _, err := UpdatePage("no markers", &Report{}); err == nil {
		t.Error("a page without markers is taken")
	}
}
