package recording

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/config"
)

var (
	submitKey = Key{Pkg: "example.org/m/pool", Name: "BenchmarkSubmit/state=fresh", Procs: 1}
	decodeKey = Key{Pkg: "example.org/m/wire", Name: "BenchmarkDecode/size-4", Procs: 4}
)

// testBundle is a small bundle that has something of everything.
func testBundle() Bundle {
	b := Bundle{Manifest: Manifest{
		Schema: Schema, Tool: "perfgate test", Command: "local", Module: "example.org/m", Suite: "smoke",
		Base:       Revision{Ref: "main", Commit: strings.Repeat("a", 40), Tree: strings.Repeat("b", 40)},
		Head:       Revision{Ref: "working tree", Commit: strings.Repeat("c", 40), Tree: strings.Repeat("d", 40), Dirty: true},
		BaseReason: "merge base with main", Toolchain: "go1.26.8", BuildFlags: []string{"-trimpath"},
		Machine: Machine{ClassID: "0123abcd", Class: map[string]string{"cpu": "Some CPU @ 2 GHz", "goos": "linux", "goarch": "amd64"}},
		Seed:    1<<63 + 1, Policy: config.Policy{Rules: []config.Rule{{Match: "Submit", Target: 3}}},
		Units: map[string]Unit{"sec/op": {Better: "lower"}, "messages/op": {Better: "lower", Assume: "exact"}},
		Benchmarks: []Benchmark{
			{Key: submitKey, Channel: CoRun, Reason: "CPU-bound", N: 100, ExactN: 100},
			{Key: decodeKey, Channel: Wall, Reason: "parallel", N: 7},
		},
		Family:   []Test{{submitKey, "cpu-sec/op", CoRun}, {submitKey, "allocs/op", Exact}, {decodeKey, "sec/op", Wall}},
		Outcomes: []Outcome{{Key: Key{Pkg: "example.org/m/x", Name: "BenchmarkNew", Procs: 1}, Kind: Added, Detail: "<new> & \"quoted\"\nsecond line"}},
		Warnings: []string{"a warning"}, BudgetSeconds: 180, WallSeconds: 1.0 / 3, CPUSeconds: 1e-7,
	}}
	rng := rand.New(rand.NewPCG(1, 2))
	add := func(k Key, c Channel, n, pair, round, core int, units ...string) {
		for order, side := range []Side{Head, Base} {
			s := Sample{Side: side, Channel: c, Key: k, Pair: pair, Round: round, Order: order + 1, Core: core, N: n}
			for _, u := range units {
				s.Values = append(s.Values, Value{u, math.Exp(20*rng.Float64() - 15)})
			}
			b.Samples = append(b.Samples, s)
		}
	}
	for i := 1; i <= 3; i++ {
		add(submitKey, Exact, 100, i, 1, -1, "B/op", "allocs/op", "messages/op")
	}
	for round := 2; round <= 4; round++ {
		add(decodeKey, Wall, 7, round-1, round, -1, "sec/op")
		add(submitKey, CoRun, 100, round-1, round, round%2, "cpu-sec/op", "sec/op")
	}
	b.Canary = slices.Clone(b.Samples[len(b.Samples)-2:])
	add(submitKey, Layout, 100, 1, 5, 0, "cpu-sec/op")
	for i := len(b.Samples) - 2; i < len(b.Samples); i++ {
		b.Samples[i].Layout = 1<<63 + 7
	}
	return b
}

func write(t *testing.T, b Bundle) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sub", "bundle")
	if err := Write(dir, b); err != nil {
		t.Fatal(err)
	}
	return dir
}

func pack(t *testing.T, dir string) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := Pack(&buf, dir); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestReadGivesBackWhatWriteTook(t *testing.T) {
	want := testBundle()
	dir := write(t, want)
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	Canonical(want.Samples)
	if !reflect.DeepEqual(got.Samples, want.Samples) {
		t.Errorf("samples: got %+v\nwant %+v", got.Samples, want.Samples)
	}
	got.Manifest.Files, got.Manifest.Checksum = nil, ""
	if !reflect.DeepEqual(got.Manifest, want.Manifest) {
		t.Errorf("manifest: got %+v\nwant %+v", got.Manifest, want.Manifest)
	}
}

func TestOrderOfSamplesDoesNotChangeTheBundle(t *testing.T) {
	b := testBundle()
	want, err := Hash(write(t, b))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		rng.Shuffle(len(b.Samples), func(i, j int) { b.Samples[i], b.Samples[j] = b.Samples[j], b.Samples[i] })
		if got, err := Hash(write(t, b)); err != nil || got != want {
			t.Errorf("hash %s, %v, want %s", got, err, want)
		}
	}
}

func TestPackedBundleIsTheSameBundle(t *testing.T) {
	dir := write(t, testBundle())
	want, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b.tar")
	if err := os.WriteFile(file, pack(t, dir), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Read(file)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	h1, _ := Hash(dir)
	h2, _ := Hash(file)
	if h1 != h2 || len(h1) != 64 {
		t.Errorf("hashes %q and %q", h1, h2)
	}
	if !bytes.Equal(pack(t, file), pack(t, dir)) {
		t.Error("packing again gives other bytes")
	}
}

func TestTarWithItsFolderIsRead(t *testing.T) {
	files, err := load(write(t, testBundle()))
	if err != nil {
		t.Fatal(err)
	}
	nested := map[string][]byte{}
	for name, data := range files {
		nested["abc-def-1/"+name] = data
	}
	if _, err := decode(stripFolder(nested)); err != nil {
		t.Error(err)
	}
	nested["other/file"] = nil
	if _, err := decode(stripFolder(nested)); err == nil {
		t.Error("two folders were taken for one bundle")
	}
}

func TestSamplesAreWrittenWithKeysOnlyWhereTheyChange(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(write(t, testBundle()), "samples", "base.txt"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for line, want := range map[string]int{
		"Unit messages/op assume=exact": 1, "role: base": 1, "goos: linux": 1, "cpu: Some CPU @ 2 GHz": 1,
		"go-version: go1.26.8": 1, "machine-class: 0123abcd": 1, "channel: exact": 1, "round: 1": 1,
	} {
		if got := strings.Count(text, line+"\n"); got != want {
			t.Errorf("%q stands %d times, want %d:\n%s", line, got, want, text)
		}
	}
	if !strings.Contains(text, "BenchmarkDecode/size-4-4 7 ") {
		t.Errorf("the GOMAXPROCS suffix is not written as go test writes it:\n%s", text)
	}
}

func TestWriteIsAllOrNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "bundle")
	bad := testBundle()
	bad.Samples[0].Values[0].Value = math.NaN()
	if err := Write(dir, bad); err == nil {
		t.Error("a NaN was written")
	}
	if err := Write(dir, testBundle()); err != nil {
		t.Fatal(err)
	}
	before, _ := Hash(dir)
	other := testBundle()
	other.Manifest.Seed++
	if err := Write(dir, other); err == nil {
		t.Error("a bundle was overwritten")
	}
	if after, _ := Hash(dir); after != before {
		t.Error("a failed write changed the bundle that was there")
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestWriteRefusesWhatReadWould(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Bundle)
		want string
	}{
		{"infinite value", func(b *Bundle) { b.Samples[0].Values[0].Value = math.Inf(1) }, "no finite number"},
		{"negative N", func(b *Bundle) { b.Samples[0].N = -1 }, "-1 iterations"},
		{"unknown benchmark", func(b *Bundle) { b.Samples[0].Key.Name = "BenchmarkOther" }, "is not in the manifest"},
		{"pair twice", func(b *Bundle) { b.Samples = append(b.Samples, b.Samples[0]) }, "exact pair 1 twice"},
		{"unit twice", func(b *Bundle) { b.Samples[0].Values[1].Unit = b.Samples[0].Values[0].Unit }, "twice"},
		{"untidy unit", func(b *Bundle) { b.Samples[0].Values[0].Unit = "ns/op" }, `want "sec/op"`},
		{"no values", func(b *Bundle) { b.Samples[0].Values = nil }, "no values"},
		{"round 0", func(b *Bundle) { b.Samples[0].Round = 0 }, "round 0"},
		{"side", func(b *Bundle) { b.Samples[0].Side = "middle" }, `side "middle"`},
		{"channel", func(b *Bundle) { b.Samples[0].Channel = Unchanged }, `channel "unchanged"`},
		{"family twice", func(b *Bundle) { b.Manifest.Family = append(b.Manifest.Family, Test{submitKey, "allocs/op", CoRun}) }, "allocs/op twice"},
		{"unit direction", func(b *Bundle) { b.Manifest.Units["x/op"] = Unit{Better: "up"} }, `better "up"`},
		{"name with space", func(b *Bundle) { b.Manifest.Benchmarks[0].Key.Name = "BenchmarkA b" }, "has spaces"},
		{"long name", func(b *Bundle) { b.Samples[0].Key.Name = "Benchmark" + strings.Repeat("x", 5_000) }, "benchmark name of 5009 bytes"},
		{"line too long for benchstat", func(b *Bundle) {
			b.Samples[0].Values = nil
			for i := range 20 {
				b.Samples[0].Values = append(b.Samples[0].Values, Value{strings.Repeat("x", 3_900) + fmt.Sprint(i) + "/op", 1})
			}
		}, "would not be readable"},
		{"negative time", func(b *Bundle) { b.Samples[0].Values[0] = Value{"sec/op", -1} }, "-1 sec/op is negative"},
		{"layout elsewhere", func(b *Bundle) { b.Samples[0].Layout = 1 }, "layout seed 1 in channel exact"},
		{"canary of a stranger", func(b *Bundle) { b.Canary[0].Key.Name = "BenchmarkOther" }, "canary: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := testBundle()
			tt.edit(&b)
			err := Write(filepath.Join(t.TempDir(), "b"), b)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// faults calls damaged with damaged copies of data: one bit flipped, each in
// turn, in every stride-th byte, and cut to every stride-th length.
func faults(data []byte, stride int, damaged func(what string, d []byte)) {
	for i := 0; i < len(data); i += stride {
		d := slices.Clone(data)
		d[i] ^= 1 << (i % 8)
		damaged(fmt.Sprintf("byte %d flipped", i), d)
	}
	for n := 0; n < len(data); n += stride {
		damaged(fmt.Sprintf("cut to %d bytes", n), data[:n])
	}
}

func TestReadRefusesEveryDamage(t *testing.T) {
	files, err := load(write(t, testBundle()))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		faults(data, 5, func(what string, d []byte) {
			copied := maps.Clone(files)
			copied[name] = d
			_, err := decode(copied)
			if err == nil {
				t.Errorf("%s: %s: read without an error", name, what)
			} else if !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %s: the error does not name the file: %v", name, what, err)
			}
		})
	}
}

// The samples' parser itself must not take damage for other samples either,
// hash or no hash: it is fed without one.
func TestDamagedSamplesAreNeverReadAsOthersWouldBeWritten(t *testing.T) {
	b := testBundle()
	Canonical(b.Samples)
	data, err := encodeSamples(&b.Manifest, Base, false, b.Samples)
	if err != nil {
		t.Fatal(err)
	}
	faults(data, 1, func(what string, d []byte) {
		samples, err := decodeSamples(&b.Manifest, Base, false, d)
		if err != nil {
			return
		}
		again, err := encodeSamples(&b.Manifest, Base, false, samples)
		if err != nil || !bytes.Equal(again, d) {
			t.Errorf("%s: reads as something that is written otherwise", what)
		}
	})
}

// A tar has padding and times that no hash covers: damage there may go
// unnoticed, but must not change the bundle.
func TestDamagedTarIsAnErrorOrTheSameBundle(t *testing.T) {
	dir := write(t, testBundle())
	want, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	same, refused := 0, 0
	faults(pack(t, dir), 13, func(what string, d []byte) {
		files, err := loadTar(bytes.NewReader(d))
		var got Bundle
		if err == nil {
			got, err = decode(files)
		}
		switch {
		case err != nil:
			refused++
		case reflect.DeepEqual(got, want):
			same++
		default:
			t.Errorf("%s: reads as another bundle", what)
		}
	})
	if same == 0 || refused == 0 {
		t.Errorf("%d the same, %d refused: the test damaged nothing", same, refused)
	}
}

func TestReadNamesWhatIsWrong(t *testing.T) {
	tests := []struct {
		name string
		edit func(t *testing.T, dir string)
		want string
	}{
		{"missing file", func(t *testing.T, dir string) { remove(t, dir, "samples/head.txt") }, "samples/head.txt is missing"},
		{"no manifest", func(t *testing.T, dir string) { remove(t, dir, "manifest.json") }, "has no manifest.json"},
		{"extra file", func(t *testing.T, dir string) { put(t, dir, "samples/extra.txt", "") }, "samples/extra.txt does not belong"},
		{"link", func(t *testing.T, dir string) {
			remove(t, dir, "samples/head.txt")
			if err := os.Symlink("base.txt", filepath.Join(dir, "samples", "head.txt")); err != nil {
				t.Skip(err)
			}
		}, "samples/head.txt is no regular file"},
		{"another schema", func(t *testing.T, dir string) { swap(t, dir, `"schema": 1`, `"schema": 2`) }, "schema 2, but this perfgate reads schema 1"},
		{"unknown key", func(t *testing.T, dir string) { swap(t, dir, `"seed"`, `"seeds"`) }, `unknown field "seeds"`},
		{"duplicate key", func(t *testing.T, dir string) { swap(t, dir, `"suite":`, `"tool": "x", "suite":`) }, `key "tool" twice`},
		{"other number", func(t *testing.T, dir string) { swap(t, dir, `"budget-seconds": 180`, `"budget-seconds": 181`) }, "manifest.json:"},
		{"deep", func(t *testing.T, dir string) { put(t, dir, "manifest.json", strings.Repeat("[", 1e6)) }, "nested deeper than"},
		{"trailing", func(t *testing.T, dir string) { swap(t, dir, "\n}\n", "\n}\n{}\n") }, "something follows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := write(t, testBundle())
			tt.edit(t, dir)
			_, err := Read(dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, dir, old, with string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("the manifest has no %q", old)
	}
	put(t, dir, manifestFile, strings.Replace(string(data), old, with, 1))
}

func FuzzReadManifest(f *testing.F) {
	files, err := encode(testBundle())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[manifestFile])
	f.Add([]byte(`{"schema":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeManifest(data)
		if err != nil {
			return
		}
		if again, err := encodeManifest(m); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("read, but written otherwise: %v", err)
		}
	})
}

func FuzzReadSamples(f *testing.F) {
	b := testBundle()
	files, err := encode(b)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[samplesFile(Base)])
	f.Fuzz(func(t *testing.T, data []byte) {
		samples, err := decodeSamples(&b.Manifest, Base, false, data)
		if err != nil {
			return
		}
		again, err := encodeSamples(&b.Manifest, Base, false, samples)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("read, but written otherwise: %v", err)
		}
	})
}

func FuzzReadTar(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "b")
	if err := Write(dir, testBundle()); err != nil {
		f.Fatal(err)
	}
	var buf bytes.Buffer
	if err := Pack(&buf, dir); err != nil {
		f.Fatal(err)
	}
	want, err := Read(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := loadTar(bytes.NewReader(data))
		if err != nil {
			return
		}
		// Without the hash function's help no input can be another sound bundle.
		if got, err := decode(files); err == nil && !reflect.DeepEqual(got, want) {
			t.Fatal("reads as another bundle")
		}
	})
}
