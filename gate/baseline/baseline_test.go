package baseline

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

var addKey = recording.Key{Pkg: "example.com/shop/cart", Name: "BenchmarkAdd/items=10", Procs: 1}

// bundle measured commit c in class: three exact runs with 3 allocs/op and 7
// msgs/op, of which allocs/op holds within a class and msgs/op everywhere, and a
// unit that does not repeat.
func bundle(c, class string) recording.Bundle {
	b := recording.Bundle{Manifest: recording.Manifest{
		Schema: recording.Schema, Tool: "perfgate v0.1.0", Command: "local", Module: "example.com/shop", Suite: "smoke",
		Base:      recording.Revision{Ref: "main", Commit: strings.Repeat("0", 40), Tree: strings.Repeat("a", 40)},
		Head:      recording.Revision{Ref: "working tree", Commit: strings.Repeat(c, 40), Tree: strings.Repeat("b", 40)},
		Toolchain: "go1.26.0",
		Machine:   recording.Machine{ClassID: class, Class: map[string]string{"goos": "linux", "cores": "2"}},
		Units:     map[string]recording.Unit{"msgs/op": {Better: "lower", Assume: "exact"}},
		Benchmarks: []recording.Benchmark{
			{Key: addKey, Channel: recording.CoRun, Reason: "CPU-bound", N: 100, ExactN: 50}},
		Family: []recording.Test{
			{Key: addKey, Unit: "allocs/op", Channel: recording.Exact},
			{Key: addKey, Unit: "msgs/op", Channel: recording.Exact},
			{Key: addKey, Unit: "B/op", Channel: recording.Exact},
			{Key: addKey, Unit: "cpu-sec/op", Channel: recording.CoRun},
		},
	}}
	for _, side := range []recording.Side{recording.Base, recording.Head} {
		for pair := 1; pair <= 3; pair++ {
			b.Samples = append(b.Samples,
				recording.Sample{Side: side, Channel: recording.Exact, Key: addKey, Pair: pair, Round: 1, Order: 1, Core: -1, N: 50,
					Values: []recording.Value{{Unit: "allocs/op", Value: 3}, {Unit: "msgs/op", Value: 7}, {Unit: "B/op", Value: 100 + float64(pair)}}},
				recording.Sample{Side: side, Channel: recording.CoRun, Key: addKey, Pair: pair, Round: 1, Order: 1, Core: 0, N: 100,
					Values: []recording.Value{{Unit: "cpu-sec/op", Value: 1e-6}}})
		}
	}
	return b
}

func source(c, class string) Source {
	return Source{
		Bundle: bundle(c, class), Hash: strings.Repeat(c, 64), RunURL: "https://ci.example.com/1",
		Ratios: []Ratio{{Key: addKey, Unit: "cpu-sec/op", Channel: recording.CoRun, Pairs: 3, Ratio: 1.01, Lo: .99, Hi: 1.03, Deviation: .02}},
	}
}

// record records into a folder and gives the place.
func record(t *testing.T, root string, src Source) string {
	t.Helper()
	b, err := Record(t.Context(), Folder(root), src)
	if err != nil {
		t.Fatal(err)
	}
	return b.Place
}

// load reads the baseline in a folder ROOT/SUITE/CLASS.
func load(t *testing.T, dir string) (*Baseline, error) {
	t.Helper()
	suite := filepath.Dir(dir)
	return Folder(filepath.Dir(suite)).Verify(t.Context(), filepath.Base(suite), filepath.Base(dir))
}

func find(t *testing.T, root, suite, class string) (*Baseline, bool, error) {
	t.Helper()
	return Find(t.Context(), Folder(root), suite, class)
}

func TestWhatIsRecordedIsReadBack(t *testing.T) {
	root := t.TempDir()
	dir := record(t, root, source("1", "c0ffee"))
	if want := filepath.Join(root, "smoke", "c0ffee"); dir != want {
		t.Errorf("recorded in %s, want %s", dir, want)
	}
	b, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if m := b.Manifest; m.Commit != strings.Repeat("1", 40) || m.Record != 1 || m.Previous != "" || m.RunURL == "" {
		t.Errorf("manifest %+v", m)
	}
	if len(b.Exact) != 1 || len(b.Exact[0].Values) != 2 {
		t.Errorf("exact metrics %+v, want allocs/op and msgs/op once", b.Exact)
	}
	if p := b.Plan; len(p) != 1 || p[0].N != 100 || p[0].Deviation["cpu-sec/op"] != .02 || len(p[0].Inexact) != 1 || p[0].Inexact[0] != "B/op" {
		t.Errorf("plan %+v, want the deviation, and B/op as inexact", p)
	}
	if len(b.Samples) != 6 {
		t.Errorf("%d samples, want the head side's 6", len(b.Samples))
	}
	if len(b.Ledger) != 1 || b.Ledger[0].Ratio.Ratio != 1.01 || b.Ledger[0].Base != strings.Repeat("0", 40) {
		t.Errorf("ledger %+v", b.Ledger)
	}
	left, err := os.ReadDir(root)
	if err != nil || len(left) != 1 {
		t.Errorf("beside the suite's folder: %v %v", left, err)
	}
}

func TestSecondRecordingIsChainedAndAppends(t *testing.T) {
	root := t.TempDir()
	dir := record(t, root, source("1", "c0ffee"))
	first, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		t.Fatal(err)
	}
	record(t, root, source("2", "c0ffee"))
	record(t, root, source("3", "c0ffee"))
	b, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if b.Manifest.Record != 3 || len(b.Ledger) != 3 {
		t.Fatalf("recording %d with %d lines, want 3 and 3", b.Manifest.Record, len(b.Ledger))
	}
	if b.Ledger[0].Previous != "" || b.Ledger[1].Previous != sum(first) || b.Ledger[2].Previous != b.Manifest.Previous {
		t.Error("the ledger does not name the manifests that were replaced")
	}
}

// rewrite changes a file of a baseline and, where fix, makes the manifest agree
// with it again, as a forger would.
func rewrite(t *testing.T, dir, name string, fix bool, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(bytes.Clone(data))
	if bytes.Equal(changed, data) {
		t.Fatalf("%s was not changed", name)
	}
	if err := os.WriteFile(path, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	if fix {
		rewrite(t, dir, manifestFile, false, func(m []byte) []byte {
			return bytes.ReplaceAll(m, []byte(sum(data)), []byte(sum(changed)))
		})
	}
}

func replacing(old, new string) func([]byte) []byte {
	return func(data []byte) []byte { return bytes.Replace(data, []byte(old), []byte(new), 1) }
}

func TestEveryKindOfDamageIsAnErrorThatNamesIt(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   string
	}{
		{"a digit of an exact metric", func(t *testing.T, dir string) { rewrite(t, dir, exactFile, false, replacing("3 allocs", "4 allocs")) }, "exact.txt was changed"},
		{"a sample", func(t *testing.T, dir string) { rewrite(t, dir, samplesFile, false, replacing("1e-06", "2e-06")) }, "samples.txt was changed"},
		{"the plan", func(t *testing.T, dir string) { rewrite(t, dir, planFile, false, replacing("100", "101")) }, "plan.json was changed"},
		{"the ledger", func(t *testing.T, dir string) { rewrite(t, dir, ledgerFile, false, replacing("1.01", "1.00")) }, "ledger.jsonl was changed"},
		{"an old line of the ledger, hashes mended", func(t *testing.T, dir string) { rewrite(t, dir, ledgerFile, true, replacing("1.01", "1.02")) }, "earlier recordings"},
		{"a ledger without its old lines, hashes mended", func(t *testing.T, dir string) {
			rewrite(t, dir, ledgerFile, true, func(data []byte) []byte { return data[bytes.IndexByte(data, '\n')+1:] })
		}, "earlier recordings"},
		{"garbage in the ledger, hashes mended", func(t *testing.T, dir string) {
			rewrite(t, dir, ledgerFile, true, func(data []byte) []byte { return append(data, "{}\n"...) })
		}, "ledger.jsonl:3: not as perfgate writes it"},
		{"an unknown key in the plan, hashes mended", func(t *testing.T, dir string) {
			rewrite(t, dir, planFile, true, replacing(`"n": 100`, `"x": 1, "n": 100`))
		}, `plan.json: json: unknown field "x"`},
		{"a key twice in the plan, hashes mended", func(t *testing.T, dir string) {
			rewrite(t, dir, planFile, true, replacing(`"n": 100`, `"n": 1, "n": 100`))
		}, "plan.json: not as perfgate writes it"},
		{"a line of exact.txt that is no benchmark, hashes mended", func(t *testing.T, dir string) {
			rewrite(t, dir, exactFile, true, func(data []byte) []byte { return append(data, "BenchmarkX 1 x\n"...) })
		}, "exact.txt: "},
		{"the previous manifest's hash", func(t *testing.T, dir string) {
			rewrite(t, dir, manifestFile, false, func(data []byte) []byte {
				var m Manifest
				if err := json.Unmarshal(data, &m); err != nil {
					t.Fatal(err)
				}
				return bytes.Replace(data, []byte(m.Previous), []byte(strings.Repeat("0", 64)), 1)
			})
		}, "chain is broken"},
		{"no previous manifest", func(t *testing.T, dir string) {
			rewrite(t, dir, manifestFile, false, replacing(`"record": 2`, `"record": 1`))
		}, "chain is broken"},
		{"the measured commit", func(t *testing.T, dir string) {
			rewrite(t, dir, manifestFile, false, replacing(strings.Repeat("2", 40), strings.Repeat("9", 40)))
		}, "the recording is of"},
		{"another schema", func(t *testing.T, dir string) {
			rewrite(t, dir, manifestFile, false, replacing(`"schema": 2`, `"schema": 3`))
		}, "schema 3"},
		{"an unknown key", func(t *testing.T, dir string) {
			rewrite(t, dir, manifestFile, false, replacing(`"schema": 2`, `"extra": 1, "schema": 2`))
		}, "unknown field"},
		{"half a manifest", func(t *testing.T, dir string) {
			rewrite(t, dir, manifestFile, false, func(data []byte) []byte { return data[:len(data)/2] })
		}, "manifest.json: unexpected EOF"},
		{"a missing file", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, exactFile)); err != nil {
				t.Fatal(err)
			}
		}, "exact.txt is missing"},
		{"a file too many", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "note"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "note does not belong"},
		{"a link", func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, planFile), filepath.Join(filepath.Dir(dir), "..", "plan")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../../plan", filepath.Join(dir, planFile)); err != nil {
				t.Skip("symbolic links cannot be made here: ", err)
			}
		}, "plan.json is no regular file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			dir := record(t, root, source("1", "c0ffee"))
			record(t, root, source("2", "c0ffee"))
			tc.damage(t, dir)
			_, err := load(t, dir)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want one naming %q and the folder", err, tc.want)
			}
			if _, _, err := find(t, root, "smoke", "other"); err == nil {
				t.Error("Find takes a broken baseline for an absent one")
			}
			if _, err := Record(t.Context(), Folder(root), source("3", "c0ffee")); err == nil {
				t.Error("a broken baseline was recorded over")
			}
		})
	}
}

func TestBaselineInAnotherFolderIsRefused(t *testing.T) {
	root := t.TempDir()
	dir := record(t, root, source("1", "c0ffee"))
	moved := filepath.Join(filepath.Dir(dir), "other")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, moved); err == nil || !strings.Contains(err.Error(), "does not belong in this folder") {
		t.Errorf("error %v", err)
	}
}

func TestOwnClassIsFoundBeforeAnother(t *testing.T) {
	root := t.TempDir()
	if b, _, err := find(t, root, "smoke", "mine"); b != nil || err != nil {
		t.Fatalf("in an empty folder: %v, %v", b, err)
	}
	record(t, root, source("1", "aaa"))
	record(t, root, source("1", "bbb"))
	record(t, root, source("2", "bbb"))
	b, same, err := find(t, root, "smoke", "mine")
	if err != nil || same || b.Manifest.Machine.ClassID != "bbb" {
		t.Errorf("found %+v, %v, %v; want the class that was recorded most", b, same, err)
	}
	record(t, root, source("1", "mine"))
	if b, same, err = find(t, root, "smoke", "mine"); err != nil || !same || b.Manifest.Machine.ClassID != "mine" {
		t.Errorf("found %+v, %v, %v; want the own class", b, same, err)
	}
	if b, _, err := find(t, root, "gate", "mine"); b != nil || err != nil {
		t.Errorf("another suite: %v, %v", b, err)
	}
}

func TestPlacesOutsideTheFolderAreRefused(t *testing.T) {
	for _, place := range []string{"", ".", "..", "../x", "a/b", "-x", "a b", ".hidden"} {
		if _, _, err := find(t, t.TempDir(), place, "c0ffee"); err == nil {
			t.Errorf("suite %q was taken", place)
		}
		if _, _, err := find(t, t.TempDir(), "smoke", place); err == nil {
			t.Errorf("class %q was taken", place)
		}
		src := source("1", "c0ffee")
		src.Bundle.Manifest.Suite = place
		if _, err := Record(t.Context(), Folder(t.TempDir()), src); err == nil {
			t.Errorf("suite %q was recorded", place)
		}
	}
}

func TestWhatNamesNoCommitOrLacksABenchmarkIsNotRecorded(t *testing.T) {
	dirty := source("1", "c0ffee")
	dirty.Bundle.Manifest.Head.Dirty = true
	crashed := source("1", "c0ffee")
	crashed.Bundle.Manifest.Outcomes = []recording.Outcome{{Key: addKey, Kind: recording.Crashed}}
	part := source("1", "c0ffee")
	part.Bundle.Manifest.Shard = &recording.Shard{Index: 2, Count: 3}
	for want, src := range map[string]Source{"uncommitted": dirty, "crashed": crashed, "shard 2 of 3": part} {
		root := t.TempDir()
		if _, err := Record(t.Context(), Folder(root), src); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one naming %q", err, want)
		}
		if left, _ := os.ReadDir(root); len(left) > 0 {
			t.Errorf("%s: left behind %v", want, left)
		}
	}
	added := source("1", "c0ffee")
	added.Bundle.Manifest.Outcomes = []recording.Outcome{{Key: addKey, Kind: recording.Added}}
	record(t, t.TempDir(), added)
}

func TestRatioWithoutAnIntervalIsNotChained(t *testing.T) {
	src := source("1", "c0ffee")
	src.Ratios[0].Hi = math.Inf(1)
	b, err := load(t, record(t, t.TempDir(), src))
	if err != nil || len(b.Ledger) != 0 {
		t.Errorf("ledger %+v, %v", b.Ledger, err)
	}
}

func TestOnlyWhatHoldsThereIsCompared(t *testing.T) {
	b, err := load(t, record(t, t.TempDir(), source("1", "c0ffee")))
	if err != nil {
		t.Fatal(err)
	}
	three, seven := 3.0, 7.0
	allocs := recording.BaselineCheck{Key: addKey, Unit: "allocs/op", Stored: 3, Head: 3, Base: &three}
	msgs := recording.BaselineCheck{Key: addKey, Unit: "msgs/op", Stored: 7, Head: 7, Base: &seven}
	change := func(unit string, value float64) recording.Bundle {
		head := bundle("2", "c0ffee")
		for _, s := range head.Samples {
			for i := range s.Values {
				if s.Values[i].Unit == unit && s.Side == recording.Head {
					s.Values[i].Value = value
				}
			}
		}
		return head
	}
	longer := bundle("2", "c0ffee")
	for i := range longer.Samples {
		longer.Samples[i].N *= 2
	}
	grown := msgs
	grown.Head = 9
	noBase := bundle("2", "other")
	noBase.Samples = slices.DeleteFunc(noBase.Samples, func(s recording.Sample) bool { return s.Side == recording.Base })
	alone := msgs
	alone.Base = nil
	undeclared := bundle("2", "c0ffee")
	undeclared.Manifest.Units = nil
	for _, tc := range []struct {
		name      string
		head      recording.Bundle
		sameClass bool
		want      []recording.BaselineCheck
	}{
		{"the same class", bundle("2", "c0ffee"), true, []recording.BaselineCheck{allocs, msgs}},
		{"another class", bundle("2", "other"), false, []recording.BaselineCheck{msgs}},
		{"another number of iterations", longer, true, []recording.BaselineCheck{msgs}},
		{"a difference is listed too", change("msgs/op", 9), false, []recording.BaselineCheck{grown}},
		{"not measured on the base side", noBase, false, []recording.BaselineCheck{alone}},
		{"no longer declared exact", undeclared, false, nil},
	} {
		got := b.Check(tc.head, tc.sameClass)
		if len(got) != len(tc.want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
			continue
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], tc.want[i]) {
				t.Errorf("%s: %+v, want %+v", tc.name, got[i], tc.want[i])
			}
		}
	}
}

func TestReferenceNamesTheBaseline(t *testing.T) {
	dir := record(t, t.TempDir(), source("1", "c0ffee"))
	b, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	for shown, want := range map[string]string{
		"baselines":        "baselines/smoke/c0ffee",
		"baselines/":       "baselines/smoke/c0ffee",
		"s3://bucket/deep": "s3://bucket/deep/smoke/c0ffee",
	} {
		ref := b.Reference(shown, true, bundle("2", "c0ffee"))
		if ref.Path != want || !ref.SameClass || len(ref.Checks) != 2 || ref.Commit != strings.Repeat("1", 40) {
			t.Errorf("%s: reference %+v", shown, ref)
		}
	}
}
