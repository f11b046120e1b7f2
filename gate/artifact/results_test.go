package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/perfgate/perfgate/gate/recording"
)

func mapFS(files map[string][]byte) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, data := range files {
		fsys[name] = &fstest.MapFile{Data: data}
	}
	return fsys
}

func TestNamesAreReadAsTheyAreWritten(t *testing.T) {
	for _, n := range []Name{{1, 1, 1}, {12, 3, 4}, {1, 256, 256}} {
		if got, ok := ParseName(n.String()); !ok || got != n {
			t.Errorf("%s reads as %+v", n, got)
		}
	}
	for _, s := range []string{
		"", "perfgate", "perfgate-1-1-of-", "perfgate-0-1-of-1", "perfgate-1-0-of-1", "perfgate-1-2-of-1", "perfgate-1-1-of-257",
		"perfgate-01-1-of-1", "perfgate-+1-1-of-1", "perfgate--1-1-of-1", "perfgate-1-1-of-1 ", "perfgate-1-1-of-1x", "Perfgate-1-1-of-1",
		"perfgate-1001-1-of-1", "perfgate-99999999999999999999-1-of-1", strings.Repeat("perfgate-", 1000),
	} {
		if n, ok := ParseName(s); ok {
			t.Errorf("%q reads as %+v", s, n)
		}
	}
}

// collect reads shards of a run from a list of names; content maps a name to its
// archive.
func collect(t *testing.T, attempt int, content map[string][]byte, listed ...Listed) (Results, []string, error) {
	t.Helper()
	var read []string
	r, err := Collect(listed, attempt, func(n Name, l Listed) (Shard, error) {
		read = append(read, l.Name)
		if content[l.Name] == nil {
			return Shard{}, errors.New("the download failed")
		}
		return ReadZip(n, content[l.Name])
	})
	return r, read, err
}

func TestTheHighestAttemptOfEachShardCounts(t *testing.T) {
	content := map[string][]byte{
		"perfgate-1-1-of-2": packed(t, results(t, bundle(1, 2))),
		"perfgate-1-2-of-2": packed(t, map[string][]byte{OutcomeFile: outcome(t, Outcome{Exit: 3, Shard: "2/2"})}),
		"perfgate-3-2-of-2": packed(t, results(t, bundle(2, 2))),
	}
	r, read, err := collect(t, 3, content, Listed{Name: "logs"}, Listed{Name: "perfgate-3-2-of-2"},
		Listed{Name: "perfgate-1-1-of-2"}, Listed{Name: "perfgate-1-2-of-2"})
	if err != nil || len(r.Shards) != 2 || r.Count != 2 || len(r.Missing) > 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if r.Shards[0].Attempt != 1 || r.Shards[1].Attempt != 3 || strings.Join(read, " ") != "perfgate-1-1-of-2 perfgate-3-2-of-2" {
		t.Errorf("attempts %d and %d, read %q", r.Shards[0].Attempt, r.Shards[1].Attempt, read)
	}
	b, err := r.Bundle()
	if err != nil || len(b.Manifest.Parts) != 2 || len(b.Manifest.Family) != 2 {
		t.Errorf("joined %+v, %v", b.Manifest.Parts, err)
	}
}

// A later attempt that failed is not covered up by an earlier one that did not.
func TestAnEarlierAttemptDoesNotStandInForALaterOne(t *testing.T) {
	content := map[string][]byte{
		"perfgate-1-1-of-1": packed(t, results(t, bundle(1, 0))),
		"perfgate-2-1-of-1": packed(t, map[string][]byte{OutcomeFile: outcome(t, Outcome{Exit: 3, Message: "no room", Shard: "1/1"})}),
	}
	r, _, err := collect(t, 2, content, Listed{Name: "perfgate-1-1-of-1"}, Listed{Name: "perfgate-2-1-of-1"})
	if err != nil || len(r.Missing) != 1 || !strings.Contains(r.Missing[0].Why, "no room") {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestMissingShardsAreNamedWithTheirReason(t *testing.T) {
	sound := packed(t, results(t, bundle(1, 8)))
	content := map[string][]byte{
		"perfgate-1-1-of-8": sound,
		"perfgate-1-2-of-8": packed(t, map[string][]byte{OutcomeFile: outcome(t, Outcome{Exit: 2, Message: "head does not compile", Shard: "2/8"})}),
		"perfgate-1-5-of-8": sound, // another shard's
		"perfgate-1-6-of-8": []byte("<html>"),
		"perfgate-1-8-of-8": packed(t, map[string][]byte{OutcomeFile: outcome(t, Outcome{Exit: 0, Shard: "8/8"})}),
	}
	r, _, err := collect(t, 1, content,
		Listed{Name: "perfgate-1-1-of-8"}, Listed{Name: "perfgate-1-2-of-8"},
		Listed{Name: "perfgate-1-3-of-8", Expired: true}, Listed{Name: "perfgate-1-5-of-8"}, Listed{Name: "perfgate-1-6-of-8"},
		Listed{Name: "perfgate-1-7-of-8", Size: ZipBytesMax + 1}, Listed{Name: "perfgate-1-8-of-8"}, Listed{Name: "perfgate-1-8-of-8"})
	if err != nil || len(r.Shards) != 1 || len(r.Missing) != 7 {
		t.Fatalf("got %+v, %v", r, err)
	}
	for i, want := range []string{"head does not compile", "expired", "uploaded nothing", "is of shard", "no zip archive", "33554433 bytes", "2 artifacts are called"} {
		if m := r.Missing[i]; m.Index != i+2 || !strings.Contains(m.Why, want) {
			t.Errorf("shard %d: %s, want %q", m.Index, m.Why, want)
		}
	}
	if _, err := r.Bundle(); !errors.Is(err, ErrIncomplete) {
		t.Errorf("joined all the same: %v", err)
	}
}

func TestAListThatContradictsItselfIsRefused(t *testing.T) {
	if _, _, err := collect(t, 1, nil, Listed{Name: "logs"}); !errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
	for want, names := range map[string][]string{
		"disagree on the number": {"perfgate-1-1-of-2", "perfgate-1-2-of-3"},
		"has not made":           {"perfgate-1-1-of-1", "perfgate-2-1-of-1"},
		"perfgate-1-3-of-2":      {"perfgate-1-1-of-2", "perfgate-1-2-of-2", "perfgate-1-3-of-2"},
		"that no run has":        {"perfgate-1-1-of-1", "perfgate-1-1-of-1000"},
	} {
		var listed []Listed
		for _, name := range names {
			listed = append(listed, Listed{Name: name})
		}
		if r, _, err := collect(t, 1, nil, listed...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v", names, r, err)
		}
	}
	if _, _, err := collect(t, 1, nil, make([]Listed, ListedMax+1)...); err == nil {
		t.Error("an endless list was looked at")
	}
}

func TestShardsOfTwoMeasurementsAreNotJoined(t *testing.T) {
	other := bundle(2, 2)
	other.Manifest.Head.Commit = strings.Repeat("c", 40)
	content := map[string][]byte{
		"perfgate-1-1-of-2": packed(t, results(t, bundle(1, 2))),
		"perfgate-1-2-of-2": packed(t, results(t, other)),
	}
	r, _, err := collect(t, 1, content, Listed{Name: "perfgate-1-1-of-2"}, Listed{Name: "perfgate-1-2-of-2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Bundle(); err == nil || !strings.Contains(err.Error(), "disagree on the head side") {
		t.Errorf("got %v", err)
	}
}

func TestAVerdictThatWouldTakeForeverIsNotBegun(t *testing.T) {
	for name, edit := range map[string]func(b *recording.Bundle){
		"tests and samples": func(b *recording.Bundle) {
			b.Manifest.Family, b.Samples = make([]recording.Test, 60_000), make([]recording.Sample, 40_000)
		},
		"tests and outcomes": func(b *recording.Bundle) {
			b.Manifest.Family, b.Manifest.Outcomes = make([]recording.Test, 60_000), make([]recording.Outcome, 40_000)
		},
		"stored metrics": func(b *recording.Bundle) {
			b.Manifest.Baseline = &recording.BaselineRef{Checks: make([]recording.BaselineCheck, 60_000)}
		},
	} {
		b := bundle(1, 0)
		edit(&b)
		if _, err := (Results{Count: 1, Shards: []Shard{{Bundle: &b}}}).Bundle(); err == nil {
			t.Errorf("%s: more than two billion steps were begun", name)
		}
	}
}

// Where a shard is missing, each of the others is decided by itself.
func TestVerdictsOnSingleShardsHaveOneLimit(t *testing.T) {
	var listed []Listed
	for index := 1; index <= 3; index++ {
		listed = append(listed, Listed{Name: Name{1, index, 4}.String()})
	}
	r, err := Collect(listed, 1, func(n Name, _ Listed) (Shard, error) {
		b := bundle(n.Index, n.Count)
		b.Manifest.Family, b.Manifest.Outcomes = make([]recording.Test, 60_000), make([]recording.Outcome, 15_000)
		return Shard{Name: n, Bundle: &b}, nil
	})
	if err != nil || len(r.Shards) != 2 || len(r.Missing) != 2 {
		t.Fatalf("%d shards, %+v are missing, %v", len(r.Shards), r.Missing, err)
	}
	if m := r.Missing[0]; m.Index != 3 || !strings.Contains(m.Why, "more than a verdict is given time for") {
		t.Errorf("missing: %+v", m)
	}
}

// A comparison of each outcome with each other one would take an hour here.
func TestManyOutcomesAreJoinedAtOnce(t *testing.T) {
	const count, each = 24, 20_000
	shards := make([]recording.Bundle, count)
	for i := range shards {
		m := &shards[i].Manifest
		m.Shard = &recording.Shard{Index: i + 1, Count: count}
		for j := range each {
			m.Outcomes = append(m.Outcomes, recording.Outcome{Key: recording.Key{Pkg: fmt.Sprintf("example.org/m/p%06d", i*each+j)}, Kind: recording.Added})
		}
		m.Outcomes = append(m.Outcomes, recording.Outcome{Key: recording.Key{Pkg: "example.org/all"}, Kind: recording.NoBuild})
		m.Warnings = []string{"each has it"}
	}
	whole, err := recording.Merge(shards)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(whole.Manifest.Outcomes); got != count*each+1 {
		t.Errorf("%d outcomes", got)
	}
	if len(whole.Manifest.Warnings) != 1 {
		t.Errorf("warnings %q", whole.Manifest.Warnings)
	}
}

func TestFoldersAreReadAsArchivesAre(t *testing.T) {
	root := t.TempDir()
	for name, files := range map[string]map[string][]byte{
		"perfgate-1-1-of-2": results(t, bundle(1, 2)), "perfgate-2-2-of-2": results(t, bundle(2, 2)), "other": {"x": nil},
	} {
		for file, data := range files {
			path := filepath.Join(root, name, filepath.FromSlash(file))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := ReadFolders(os.DirFS(root), 2)
	if err != nil || len(r.Shards) != 2 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if _, err := r.Bundle(); err != nil {
		t.Error(err)
	}
	if err := os.Symlink("manifest.json", filepath.Join(root, "perfgate-2-2-of-2", "bundle", "link")); err != nil {
		t.Skip(err)
	}
	r, err = ReadFolders(os.DirFS(root), 2)
	if err != nil || len(r.Missing) != 1 || !strings.Contains(r.Missing[0].Why, "neither a file nor a folder") {
		t.Errorf("a link: got %+v, %v", r.Missing, err)
	}
}

func TestReadFSRefusesWhatReadZipRefuses(t *testing.T) {
	sound := results(t, bundle(1, 0))
	for want, add := range map[string]fstest.MapFS{
		"neither a file nor a folder": {"bundle/pipe": {Mode: fs.ModeNamedPipe}},
		"deeper than":                 {strings.Repeat("a/", NameDepthMax) + "x": {}},
		"differ in case only":         {"BUNDLE/x": {}},
		"does not belong":             {"x": {}},
		"a name of":                   {strings.Repeat("x", NameBytesMax+1): {}},
		"a file may have":             {"bundle/large": {Data: make([]byte, FileBytesMax+1)}},
	} {
		fsys := mapFS(sound)
		for name, file := range add {
			fsys[name] = file
		}
		if _, err := ReadFS(one, fsys); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	delete(sound, OutcomeFile)
	if _, err := ReadFS(one, mapFS(sound)); err == nil || !strings.Contains(err.Error(), "no outcome.json") {
		t.Errorf("got %v", err)
	}
}
