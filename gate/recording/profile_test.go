package recording

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// rawProfile is a profile as the runtime writes one: with a mapping, addresses,
// two addresses for one line, and what was in use at the end.
func rawProfile(t *testing.T, weight int64) []byte {
	t.Helper()
	m := &profile.Mapping{ID: 1, Start: 0x400000, Limit: 0x500000, File: "/tmp/x.test", BuildID: "abc", HasFunctions: true}
	work := &profile.Function{ID: 1, Name: "example.org/m.Work", SystemName: "example.org/m.Work", Filename: "example.org/m/work.go", StartLine: 5}
	loop := &profile.Function{ID: 2, Name: "example.org/m.Loop", SystemName: "example.org/m.Loop", Filename: "example.org/m/work.go", StartLine: 15}
	at := func(id, address uint64, f *profile.Function, line int64) *profile.Location {
		return &profile.Location{ID: id, Mapping: m, Address: address, Line: []profile.Line{{Function: f, Line: line}}}
	}
	a, b, c := at(1, 0x401000, work, 7), at(2, 0x401008, work, 7), at(3, 0x402000, loop, 16)
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}, {Type: "inuse_space", Unit: "bytes"}},
		PeriodType: &profile.ValueType{Type: "space", Unit: "bytes"}, Period: 1, TimeNanos: 12345, DurationNanos: 99,
		Mapping: []*profile.Mapping{m}, Function: []*profile.Function{work, loop}, Location: []*profile.Location{a, b, c},
		Sample: []*profile.Sample{
			{Location: []*profile.Location{a, c}, Value: []int64{weight, 10, 10}, NumLabel: map[string][]int64{"bytes": {16}}},
			{Location: []*profile.Location{b, c}, Value: []int64{2, 20, 0}},
			{Location: []*profile.Location{c}, Value: []int64{0, 0, 5}},
			{Location: []*profile.Location{c}, Value: []int64{3, 30, 0}, Label: map[string][]string{"module": {"mempool"}}},
		},
	}
	var buf bytes.Buffer
	if err := p.Write(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func compacted(t *testing.T, weight int64) []byte {
	t.Helper()
	data, err := CompactProfile(rawProfile(t, weight), nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// profiledBundle has two profiles of its own content and one with the same as
// another.
func profiledBundle(t *testing.T) Bundle {
	b := testBundle()
	b.AddProfile(Profile{Side: Base, Key: submitKey, Kind: AllocProfile, Rep: 1, N: 10}, compacted(t, 1))
	b.AddProfile(Profile{Side: Head, Key: submitKey, Kind: AllocProfile, Rep: 1, N: 10}, compacted(t, 4))
	b.AddProfile(Profile{Side: Base, Key: submitKey, Kind: AllocProfile, Rep: 2, N: 10}, compacted(t, 1))
	b.Diff = &Diff{
		Files: []FileDiff{{Path: "work.go", Source: "example.org/m/work.go", OldSource: "example.org/m/work.go", Hunks: []Hunk{{1, 2, 1, 3}},
			Base: []Decl{{Name: "Work", Kind: "func", Start: 1, End: 4, Hash: "aa"}},
			Head: []Decl{{Name: "Work", Kind: "func", Start: 1, End: 5, Hash: "bb", Users: []string{"example.org/m.Loop"}}}}},
		Modules: []ModuleChange{{Path: "example.org/dep", Base: "v1.0.0", Head: "v1.1.0"}},
	}
	return b
}

func TestABundleGivesItsProfilesAndDiffBack(t *testing.T) {
	b := profiledBundle(t)
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := Write(dir, b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Manifest.Profiles, b.Manifest.Profiles) || !reflect.DeepEqual(got.Profiles, b.Profiles) || !reflect.DeepEqual(got.Diff, b.Diff) {
		t.Errorf("read %+v %+v, want %+v %+v", got.Manifest.Profiles, got.Diff, b.Manifest.Profiles, b.Diff)
	}
	if n := len(got.ProfilesOf(Base, submitKey, AllocProfile)); n != 2 {
		t.Errorf("%d replicates on the base side, want 2", n)
	}
	if len(got.Profiles) != 2 {
		t.Errorf("%d files for two contents", len(got.Profiles))
	}
}

func TestABundleWithoutProfilesHasNoTraceOfThem(t *testing.T) {
	files, err := encode(testBundle())
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 5 || bytes.Contains(files[manifestFile], []byte("profile")) {
		t.Errorf("%d files; manifest:\n%s", len(files), files[manifestFile])
	}
}

func TestCompactingAProfileKeepsFunctionsLinesAndLabelsOnly(t *testing.T) {
	p, err := DecodeProfile(compacted(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Mapping) != 0 || p.TimeNanos != 0 || p.DurationNanos != 0 || len(p.SampleType) != 2 {
		t.Errorf("kept %+v", p)
	}
	// Two addresses of line 7 below line 16 are one stack: 1+2 objects, 10+20 bytes.
	// What was only in use at the end is gone; the label keeps the third apart.
	if len(p.Sample) != 2 || p.Sample[0].Value[0] != 3 || p.Sample[0].Value[1] != 30 || p.Sample[1].Label["module"][0] != "mempool" {
		t.Errorf("samples %v", p.Sample)
	}
	for _, l := range p.Location {
		if l.Address != 0 {
			t.Errorf("kept address %#x", l.Address)
		}
	}
}

func TestARealProfileShrinks(t *testing.T) {
	var raw bytes.Buffer
	if err := pprof.Lookup("allocs").WriteTo(&raw, 0); err != nil {
		t.Fatal(err)
	}
	data, err := CompactProfile(raw.Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := CompactProfile(data, nil)
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("compacting a compact profile changes it: %d bytes, then %d, error %v", len(data), len(again), err)
	}
	if len(data) >= raw.Len() {
		t.Errorf("%d bytes became %d", raw.Len(), len(data))
	}
}

func TestAProfileListThatContradictsItselfIsRefused(t *testing.T) {
	for want, change := range map[string]func(*Bundle){
		"is not in the manifest":     func(b *Bundle) { b.Manifest.Profiles[0].Key.Name = "BenchmarkOther" },
		"profile of kind":            func(b *Bundle) { b.Manifest.Profiles[0].Kind = "heat" },
		"has side":                   func(b *Bundle) { b.Manifest.Profiles[0].Side = "left" },
		"want at least 1 of each":    func(b *Bundle) { b.Manifest.Profiles[0].N = 0 },
		"twice":                      func(b *Bundle) { b.Manifest.Profiles[2].Rep = 1 },
		"is the place of no profile": func(b *Bundle) { b.Manifest.Profiles[0].File = "samples/base.txt" },
		"is missing":                 func(b *Bundle) { delete(b.Profiles, b.Manifest.Profiles[1].File) },
		"does not list":              func(b *Bundle) { b.Profiles["profiles/base/x/cpu-1.pb.gz"] = nil },
	} {
		b := profiledBundle(t)
		change(&b)
		if _, err := encode(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, have %v", want, err)
		}
	}
}

func TestAChangedProfileIsNoticed(t *testing.T) {
	b := profiledBundle(t)
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := Write(dir, b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, b.Manifest.Profiles[0].File), compacted(t, 9), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "was changed, or damaged") {
		t.Errorf("error %v", err)
	}
}

func TestMergingShardsKeepsTheirProfiles(t *testing.T) {
	var shards []Bundle
	for i := 1; i <= 2; i++ {
		b := testBundle()
		b.Manifest.Shard = &Shard{Index: i, Count: 2}
		key := submitKey
		if i == 2 {
			key = decodeKey
		}
		b.AddProfile(Profile{Side: Head, Key: key, Kind: CPUProfile, Rep: 1, N: 10}, compacted(t, int64(i)))
		b.Diff = &Diff{Modules: []ModuleChange{{Path: "example.org/dep", Head: "v1.0.0"}}}
		shards = append(shards, b)
	}
	merged, err := Merge(shards)
	if err != nil {
		t.Fatal(err)
	}
	if len(merged.Manifest.Profiles) != 2 || len(merged.Profiles) != 2 || merged.Diff == nil {
		t.Errorf("merged profiles %+v, diff %v", merged.Manifest.Profiles, merged.Diff)
	}
}

func TestADiffThatNoMeasurementMakesIsRefused(t *testing.T) {
	for want, change := range map[string]func(*Diff){
		"users":        func(d *Diff) { d.Files[0].Head[0].Users = make([]string, diffUsersMax+1) },
		"declarations": func(d *Diff) { d.Files[0].Base = make([]Decl, diffDeclsMax+1) },
		"bytes":        func(d *Diff) { d.Files[0].Path = strings.Repeat("x", wordBytesMax+1) },
	} {
		b := profiledBundle(t)
		change(b.Diff)
		if _, err := encode(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, have %v", want, err)
		}
	}
}
