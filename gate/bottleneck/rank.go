package bottleneck

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Schema is the version of the JSON form. schema.json has its fields.
const Schema = 1

// Entry is one bottleneck of a suite.
type Entry struct {
	Rank    int    `json:"rank"`
	ID      string `json:"id"` // "hash@shop/cart"
	Title   string `json:"title"`
	Cause   string `json:"cause"`
	Package string `json:"package"`
	// Bound is by how much throughput can grow at most: the geometric mean over the
	// benchmarks.
	Bound    Interval  `json:"throughput-bound"`
	Findings []Finding `json:"findings"` // the largest bound first
	Signs    string    `json:"signs"`
	Remedy   string    `json:"remedy"`
	Expect   string    `json:"expect"`
	// Evidence is the command that measures the entry again; Check shows the same
	// samples with nothing but the go command.
	Evidence string `json:"evidence"`
	Check    string `json:"check"`
}

// Origin says what was measured, for the reader.
type Origin struct {
	Tool      string `json:"tool"`
	Module    string `json:"module"`
	Commit    string `json:"commit,omitempty"` // "1a2b3c4", or "1a2b3c4 with changes"
	Toolchain string `json:"toolchain"`
	Machine   string `json:"machine"` // "2 x Example CPU, linux/amd64"
	// Notes is what disturbed the measuring.
	Notes []string `json:"notes,omitempty"`
	// Command measures all of it again.
	Command string `json:"command"`
}

// Report is the ranked list of a suite with its evidence.
type Report struct {
	Schema int `json:"schema"`
	Origin
	Benchmarks []*Analysis `json:"benchmarks"`
	Entries    []Entry     `json:"entries"`
	// Dropped is the number of entries below BoundMin.
	Dropped  int      `json:"dropped"`
	Warnings []string `json:"warnings,omitempty"`
}

// BoundMin is the least bound of an entry: below it not even all of it would show.
const BoundMin = 1.005

// Rank makes the list of what was found in the benchmarks.
func Rank(scope Scope, origin Origin, benchmarks []*Analysis) Report {
	r := Report{Schema: Schema, Origin: origin, Benchmarks: benchmarks}
	groups := map[string][]finding{}
	for _, a := range benchmarks {
		if a.Replicates < ReplicatesMin {
			r.Warnings = append(r.Warnings, fmt.Sprintf("%s: intervals from %d replicates; %d are the least that are worth much", a.Title(), a.Replicates, ReplicatesMin))
		}
		for _, f := range a.found {
			if !f.load {
				groups[f.id] = append(groups[f.id], f)
			}
		}
	}
	for _, id := range sortedNames(groups) {
		e := r.entry(scope, groups[id])
		if e.Bound.Value < BoundMin {
			r.Dropped++
			continue
		}
		r.Entries = append(r.Entries, e)
	}
	slices.SortStableFunc(r.Entries, func(a, b Entry) int { return cmp.Compare(b.Bound.Value, a.Bound.Value) })
	for i := range r.Entries {
		r.Entries[i].Rank = i + 1
	}
	return r
}

func (r *Report) entry(scope Scope, group []finding) Entry {
	slices.SortStableFunc(group, func(a, b finding) int { return cmp.Compare(b.Bound.Value, a.Bound.Value) })
	first := group[0]
	e := Entry{
		ID: first.id, Title: first.cause.Title + " in " + first.pkg, Cause: first.cause.ID, Package: first.pkg,
		Signs: first.cause.Signs, Remedy: first.cause.Remedy, Expect: first.cause.Expect,
	}
	if first.cause.ID == ownCode {
		e.Title = "own code of " + first.pkg
	}
	var bounds []Interval
	for _, f := range group {
		e.Findings = append(e.Findings, f.Finding)
		bounds = append(bounds, f.Bound)
	}
	e.Bound = geometric(bounds, len(r.Benchmarks))
	if r.Command != "" {
		e.Evidence = r.Command + " --entry " + ShellWord(e.ID)
	}
	at := slices.IndexFunc(r.Benchmarks, func(a *Analysis) bool { return a.Title() == e.Findings[0].Benchmark })
	e.Check = check(scope, r.Benchmarks[at], first)
	return e
}

// ShellWord is a word as a shell takes it.
func ShellWord(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@/._-+=:,%") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// check is the command that shows the samples of a finding with stock tools. Its
// figures are those of the cause in all packages, and of the package in all
// causes: pprof cannot ask for the nearest frame.
func check(scope Scope, a *Analysis, f finding) string {
	flag, options := "cpuprofile", ""
	switch {
	case f.MutexNanos != nil:
		flag = "mutexprofile"
	case f.BlockNanos != nil:
		flag = "blockprofile"
	case f.cause.ID == allocation:
		flag, options = "memprofile", " -sample_index=alloc_space"
	}
	focus := f.cause.Pattern
	if flag != "cpuprofile" || focus == "" {
		focus = regexpOf(f.pkg)
	}
	var names []string
	for name := range strings.SplitSeq(a.Name, "/") {
		names = append(names, "^"+name+"$")
	}
	pkg := "./" + scope.short(a.Pkg)
	profileFile, binary := flag+".out", path.Base(a.Pkg)+".test"
	return fmt.Sprintf("go test -run '^$' -bench %s -benchtime %dx -%s %s -o %s %s && go tool pprof -top -cum%s -focus %s %s %s",
		ShellWord(strings.Join(names, "/")), a.Operations, flag, profileFile, binary, pkg, options, ShellWord(focus), binary, profileFile)
}

func regexpOf(pkg string) string { return strings.ReplaceAll(pkg, ".", `\.`) + `\.` }

// Entry is the entry of that ID.
func (r *Report) Entry(id string) (Entry, bool) {
	at := slices.IndexFunc(r.Entries, func(e Entry) bool { return e.ID == id })
	if at < 0 {
		return Entry{}, false
	}
	return r.Entries[at], true
}
