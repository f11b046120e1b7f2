package recording

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/config"
)

// forged is a bundle as a forger hands it over: whatever the manifest says, its
// checksum and the hashes of all files are right.
func forged(t *testing.T, edit func(*Manifest)) map[string][]byte {
	t.Helper()
	files, err := encode(testBundle())
	if err != nil {
		t.Fatal(err)
	}
	m, err := decodeManifest(files[manifestFile])
	if err != nil {
		t.Fatal(err)
	}
	edit(&m)
	if files[manifestFile], err = encodeManifest(m); err != nil {
		t.Fatal(err)
	}
	return files
}

func TestReadFilesReadsWhatEncodeGives(t *testing.T) {
	files, err := Encode(testBundle())
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, testBundle())
	want, err := Read(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ReadFiles and Read differ: %v", err)
	}
	if hash, err := Hash(dir); err != nil || hash != HashFiles(files) {
		t.Errorf("HashFiles %s, Hash %s, %v", HashFiles(files), hash, err)
	}
	if _, err := ReadFiles(forged(t, func(*Manifest) {})); err != nil {
		t.Errorf("the forger's own bundle is not read, so the tests below show nothing: %v", err)
	}
}

// Hashes that are right do not make a manifest sound.
func TestAForgedManifestIsRefused(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Manifest)
		want string
	}{
		{"10 MB name", func(m *Manifest) { m.Benchmarks[0].Key.Name = "Benchmark" + strings.Repeat("x", 10<<20) }, "benchmark name of 10485769 bytes"},
		{"long commit", func(m *Manifest) { m.Head.Commit = strings.Repeat("a", wordBytesMax+1) }, "a text of 4097 bytes"},
		{"long detail", func(m *Manifest) { m.Outcomes[0].Detail = strings.Repeat("a", textBytesMax+1) }, "a text of 65537 bytes"},
		{"long pattern", func(m *Manifest) { m.Policy.Rules[0].Match = strings.Repeat("a", textBytesMax+1) }, "a text of 65537 bytes"},
		{"waivers", func(m *Manifest) { m.Waivers = make([]config.Waiver, waiversMax+1) }, "waivers: 1001 entries"},
		{"parts", func(m *Manifest) { m.Parts = make([]Part, ShardsMax+1) }, "parts: 257 entries"},
		{"negative time", func(m *Manifest) { m.WallSeconds = -1 }, "wall-seconds: -1"},
		{"endless time", func(m *Manifest) { m.CPUSeconds = 1e300 }, "cpu-seconds: 1e+300"},
		{"time of a part", func(m *Manifest) { m.Parts = []Part{{Index: 1, BudgetSeconds: -1}} }, "parts: -1"},
		{"negative N", func(m *Manifest) { m.Benchmarks[0].N = -1 }, "-1 and 100 iterations"},
		{"huge N", func(m *Manifest) { m.Benchmarks[0].ExactN = 1 << 62 }, "iterations"},
		{"negative bound", func(m *Manifest) { m.Waivers = []config.Waiver{{Percent: -5}} }, "a bound of -5 %"},
		{"bound beyond all", func(m *Manifest) { m.Waivers = []config.Waiver{{Percent: 1e6}} }, "a bound of 1e+06 %"},
		{"negative stored value", func(m *Manifest) {
			m.Baseline = &BaselineRef{Checks: []BaselineCheck{{Key: submitKey, Unit: "allocs/op", Stored: -3}}}
		}, "-3 allocs/op is negative"},
		{"stored value of nothing", func(m *Manifest) { m.Baseline = &BaselineRef{Checks: []BaselineCheck{{Unit: "allocs/op"}}} }, "empty package path"},
		{"unknown outcome", func(m *Manifest) { m.Outcomes[0].Kind = "harmless" }, `no outcome is called "harmless"`},
		{"outcome's side", func(m *Manifest) { m.Outcomes[0].Side = "middle" }, `side "middle"`},
		{"outcome's name", func(m *Manifest) { m.Outcomes[0].Key.Name = "Benchmark\x1b[2J" }, "control characters"},
		{"GOMAXPROCS", func(m *Manifest) { m.Benchmarks[0].Key.Procs = 1 << 40 }, "GOMAXPROCS 1099511627776"},
		{"shard 3 of 2", func(m *Manifest) { m.Shard = &Shard{Index: 3, Count: 2} }, "shard: "},
		{"endless family", func(m *Manifest) { m.Shard = &Shard{Index: 1, Count: 2, FamilyMin: 1 << 40} }, "shard: "},
		{"file beyond", func(m *Manifest) { m.Files["../../etc/passwd"] = strings.Repeat("0", 64) }, "it lists the files"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := forged(t, tt.edit)
			_, err := ReadFiles(files)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %.300v, want %q", err, tt.want)
			}
			if len(err.Error()) > 4*wordBytesMax {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestCountsHaveLimits(t *testing.T) {
	many := func(n int) []string { return slices.Repeat([]string{"x"}, n) }
	for want, edit := range map[string]func(*Manifest){
		"benchmarks: 20001 entries": func(m *Manifest) { m.Benchmarks = make([]Benchmark, benchmarksMax+1) },
		"family: 60001 entries":     func(m *Manifest) { m.Family = make([]Test, familyMax+1) },
		"outcomes: 20001 entries":   func(m *Manifest) { m.Outcomes = make([]Outcome, outcomesMax+1) },
		"warnings: 20001 entries":   func(m *Manifest) { m.Warnings = many(warningsMax + 1) },
		"machine: 1001 entries":     func(m *Manifest) { m.Machine.Notes = many(notesMax + 1) },
		"policy: 10001 entries":     func(m *Manifest) { m.Policy.Rules = make([]config.Rule, rulesMax+1) },
		"build-flags: 101 entries":  func(m *Manifest) { m.BuildFlags = many(flagsMax + 1) },
		"parts: 1001 notes":         func(m *Manifest) { m.Parts = []Part{{Index: 1, Notes: many(notesMax + 1)}} },
		"baseline: 60001 checks":    func(m *Manifest) { m.Baseline = &BaselineRef{Checks: make([]BaselineCheck, checksMax+1)} },
		"baseline: 60001 rows": func(m *Manifest) {
			m.Baseline = &BaselineRef{Anchor: &AnchorDrift{Rows: make([]Drift, familyMax+1)}}
		},
	} {
		m := testBundle().Manifest
		edit(&m)
		if err := checkManifest(&m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A few bytes of input are not to become hundreds before anybody counts them.
func TestSmallPartsAreCountedBeforeTheyAreKept(t *testing.T) {
	list := append([]byte(`{"benchmarks":[{}`), bytes.Repeat([]byte(",{}"), jsonValuesMax)...)
	if _, err := decodeManifest(append(list, "]}"...)); err == nil || !strings.Contains(err.Error(), "more than 2000000 values") {
		t.Errorf("got %v", err)
	}
	var units, keys bytes.Buffer
	for i := range 2*unitsMax + 1 {
		fmt.Fprintf(&units, "Unit x%d better=lower\n", i)
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	m := testBundle().Manifest
	for want, data := range map[string][]byte{"samples/base.txt:2001: more than 2000 lines": units.Bytes(), "samples/base.txt:1: not a line": keys.Bytes()} {
		if _, err := decodeSamples(&m, Base, false, data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// What JSON allows and Go's decoder takes, or does not take, in the manifest.
func TestOnlyStrictJSONIsRead(t *testing.T) {
	tests := []struct{ name, old, with, want string }{
		{"beyond every integer", `"seed": 9223372036854775809`, `"seed": 99999999999999999999999999`, "99999999999999999999999999"},
		{"negative where none can be", `"seed": 9223372036854775809`, `"seed": -1`, "-1"},
		{"fraction as count", `"n": 100`, `"n": 100.5`, "100.5"},
		{"exponent as count", `"n": 100`, `"n": 1e2`, "1e2"},
		{"beyond every float", `"budget-seconds": 180`, `"budget-seconds": 1e999`, "1e999"},
		{"NaN", `"budget-seconds": 180`, `"budget-seconds": NaN`, "invalid character 'N'"},
		{"Infinity", `"budget-seconds": 180`, `"budget-seconds": Infinity`, "invalid character 'I'"},
		{"hexadecimal", `"budget-seconds": 180`, `"budget-seconds": 0xb4`, "manifest.json:"},
		{"text as number", `"budget-seconds": 180`, `"budget-seconds": "180"`, "cannot unmarshal string"},
		{"another case", `"suite": "smoke"`, `"Suite": "smoke"`, "not as perfgate wrote it"},
		{"both cases", `"suite": "smoke"`, `"suite": "smoke", "SUITE": "gate"`, "not as perfgate wrote it"},
		{"the same key in another spelling", `"suite": "smoke"`, `"suite": "smoke", "\u0073uite": "gate"`, `key "suite" twice`},
		{"null", `"suite": "smoke"`, `"suite": null`, "not as perfgate wrote it"},
		{"byte that is no UTF-8", `"suite": "smoke"`, "\"suite\": \"sm\xffke\"", "byte 0xff is no UTF-8"},
		{"half a surrogate pair", `"suite": "smoke"`, `"suite": "\ud800"`, "not as perfgate wrote it"},
		{"comment", `"suite": "smoke"`, "// suite\n\"suite\": \"smoke\"", "invalid character '/'"},
		{"comma at the end", "\n}\n", ",\n}\n", "manifest.json:"},
		{"mark of byte order", "{\n", "\ufeff{\n", "manifest.json:"},
	}
	files, err := encode(testBundle())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := string(files[manifestFile])
			if !strings.Contains(text, tt.old) {
				t.Fatalf("the manifest has no %q", tt.old)
			}
			edited := maps.Clone(files)
			edited[manifestFile] = []byte(strings.Replace(text, tt.old, tt.with, 1))
			if _, err := ReadFiles(edited); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// Samples are numbers that a run can have: the hashes are a forger's own, so the
// parser alone has to refuse the others.
func TestOnlyNumbersOfARunAreSamples(t *testing.T) {
	b := testBundle()
	const sound = "BenchmarkSubmit/state=fresh 100 1 cpu-sec/op\n"
	one := func(line string) []byte {
		s := Sample{Side: Base, Channel: CoRun, Key: submitKey, Pair: 1, Round: 2, Order: 1, N: 100, Values: []Value{{"cpu-sec/op", 1}}}
		data, err := encodeSamples(&b.Manifest, Base, false, []Sample{s})
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Replace(data, []byte(sound), []byte(line), 1)
	}
	if _, err := decodeSamples(&b.Manifest, Base, false, one(sound)); err != nil {
		t.Fatalf("the sound line is refused: %v", err)
	}
	for name, bad := range map[string]string{
		"NaN":                 "BenchmarkSubmit/state=fresh 100 NaN cpu-sec/op\n",
		"infinite":            "BenchmarkSubmit/state=fresh 100 +Inf cpu-sec/op\n",
		"beyond every float":  "BenchmarkSubmit/state=fresh 100 1e999 cpu-sec/op\n",
		"negative time":       "BenchmarkSubmit/state=fresh 100 -1 cpu-sec/op\n",
		"negative iterations": "BenchmarkSubmit/state=fresh -100 1 cpu-sec/op\n",
		"endless iterations":  "BenchmarkSubmit/state=fresh 99999999999999 1 cpu-sec/op\n",
		"beyond integers":     "BenchmarkSubmit/state=fresh 99999999999999999999 1 cpu-sec/op\n",
		"other spelling":      "BenchmarkSubmit/state=fresh 100 1.0 cpu-sec/op\n",
		"hexadecimal":         "BenchmarkSubmit/state=fresh 100 0x1p0 cpu-sec/op\n",
		"underscore":          "BenchmarkSubmit/state=fresh 1_00 1 cpu-sec/op\n",
		"unit twice":          "BenchmarkSubmit/state=fresh 100 1 cpu-sec/op 2 cpu-sec/op\n",
		"no value":            "BenchmarkSubmit/state=fresh 100\n",
		"a stranger":          "BenchmarkOther 100 1 cpu-sec/op\n",
		"no UTF-8":            "BenchmarkSubmit/state=\xff 100 1 cpu-sec/op\n",
		"cut":                 "BenchmarkSubmit/state=fresh 100 1 cpu-s",
		"nothing":             "",
	} {
		data := one(bad)
		if samples, err := decodeSamples(&b.Manifest, Base, false, data); err == nil {
			t.Errorf("%s: read as %+v", name, samples)
		}
	}
}

// Whatever is done to the files of a bundle, it is refused or it is the same
// bundle: there is no third way, with hashes that the damage did not mend.
func TestDamagedFilesNeverReadAsAnotherBundle(t *testing.T) {
	files, err := Encode(testBundle())
	if err != nil {
		t.Fatal(err)
	}
	want, err := ReadFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(files))
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 500 {
		damaged := maps.Clone(files)
		what := damage(rng, names, damaged)
		if got, err := ReadFiles(damaged); err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("damage %d (%s): reads as another bundle", i, what)
		}
	}
}

// damage does one thing to one file, and says what.
func damage(rng *rand.Rand, names []string, files map[string][]byte) string {
	name := names[rng.IntN(len(names))]
	data := slices.Clone(files[name])
	at := rng.IntN(len(data))
	what := ""
	switch rng.IntN(6) {
	case 0:
		data, what = data[:at], "cut"
	case 1:
		data[at], what = byte(rng.IntN(256)), "byte replaced"
	case 2:
		data, what = slices.Insert(data, at, data[rng.IntN(len(data)):][0]), "byte inserted"
	case 3:
		end := min(len(data), at+rng.IntN(200))
		data, what = slices.Insert(data, end, data[at:end]...), "part repeated"
	case 4:
		data, what = slices.Delete(data, at, min(len(data), at+1+rng.IntN(200))), "part left out"
	case 5:
		data, what = slices.Clone(files[names[rng.IntN(len(names))]]), "replaced by another file"
	}
	files[name] = data
	return fmt.Sprintf("%s: %s at %d", name, what, at)
}

// FuzzReadFiles reads any manifest and samples, with the hashes that a forger
// would mend, and what is read must encode to the same files again.
func FuzzReadFiles(f *testing.F) {
	files, err := Encode(testBundle())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[manifestFile], files[samplesFile(Base)], files[samplesFile(Head)])
	f.Add([]byte(`{"schema":1}`), []byte("BenchmarkX 1 1 sec/op\n"), []byte{})
	f.Fuzz(func(t *testing.T, manifest, base, head []byte) {
		mended := map[string][]byte{samplesFile(Base): base, samplesFile(Head): head, manifestFile: manifest}
		if m, err := decodeManifest(manifest); err == nil {
			m.Files = map[string]string{samplesFile(Base): sum(base), samplesFile(Head): sum(head)}
			if mended[manifestFile], err = encodeManifest(m); err != nil {
				return
			}
		}
		b, err := ReadFiles(mended)
		if err != nil {
			return
		}
		again, err := Encode(b)
		if err != nil || !maps.EqualFunc(again, mended, bytes.Equal) {
			t.Fatalf("read, but written otherwise: %v", err)
		}
	})
}
