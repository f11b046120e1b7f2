package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

func TestBundlesAreReadAgainByTheRulesOfToday(t *testing.T) {
	b, _ := recorded(t)
	keep, data := t.TempDir(), t.TempDir()
	s := &Set{file: "s"}
	in := &Injection{Name: "s/a", Kind: CPU, Slower: true, Guilty: []string{"p.culprit"}}
	measured := Line{Schema: lineSchema, Name: in.Name, Kind: CPU, Hash: in.Hash(s), Seed: 7, Commit: "old", Decoys: []string{}}
	if err := measured.read(&b, in); err != nil {
		t.Fatal(err)
	}
	// Other rules had named somebody else.
	before := measured
	before.Tests = append([]Test{}, measured.Tests...)
	for i := range before.Tests {
		before.Tests[i].Suspects = nil
	}
	failed, unkept := before, before
	failed.Error, failed.Tests, failed.Profiled = "it did not build", nil, nil
	unkept.Seed = 8
	file := filepath.Join(data, "runs.jsonl")
	for _, l := range []Line{before, failed, unkept} {
		if err := appendLine(file, l); err != nil {
			t.Fatal(err)
		}
	}
	if err := recording.Write(bundleOf(keep, in.Name, 7), b); err != nil {
		t.Fatal(err)
	}
	r := reader{keep: keep, commit: "new", tasks: map[string]task{in.Hash(s): {s, in}}}
	if err := r.file(file); err != nil {
		t.Fatal(err)
	}
	lines, err := readFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := measured
	want.Rules = "new"
	if len(lines) != 3 || !reflect.DeepEqual(lines[0], want) || lines[1].Error == "" || lines[1].Rules != "" || lines[2].Rules != "" || r.again != 1 || r.absent != 1 {
		t.Errorf("read again %d, absent %d: %+v", r.again, r.absent, lines)
	}

	// A bundle of another run is not taken for this one's.
	other := before
	other.Seed = 9
	other.Tests = append([]Test{}, before.Tests...)
	other.Tests[0].Slowdown++
	if err := appendLine(file, other); err != nil {
		t.Fatal(err)
	}
	whole, _ := recorded(t)
	if err := recording.Write(bundleOf(keep, in.Name, 9), whole); err != nil {
		t.Fatal(err)
	}
	if err := r.file(file); err == nil || !strings.Contains(err.Error(), "says something else") {
		t.Errorf("%v", err)
	}
}
