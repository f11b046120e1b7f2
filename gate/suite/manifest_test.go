package suite

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

func key(name string) recording.Key {
	return recording.Key{Pkg: "example.com/m/bench/micro", Name: name, Procs: 1}
}

// exampleLeaves is what the benchmarks of example's package micro report.
func exampleLeaves() Leaves {
	timed := map[string]recording.Unit{"sec/op": {}, "cpu-sec/op": {}, "allocs/op": {}, "min-n": {}}
	both := map[string]recording.Unit{"sec/op": {}, "msgs/tx": {Better: "lower", Assume: "exact"}, "tx/s": {Better: "higher"}}
	return Leaves{
		key("BenchmarkLoad/n=1"): both, key("BenchmarkLoad/n=2"): {"msgs/tx": {Better: "lower", Assume: "exact"}},
		key("BenchmarkTouch"): timed, key("BenchmarkFile"): timed, key("BenchmarkEmbed"): timed,
		{Pkg: "example.com/m/bench", Name: "BenchmarkDot", Procs: 1}:  timed,
		{Pkg: "example.com/m/product", Name: "BenchmarkDo", Procs: 1}: timed,
	}
}

func exampleFunctions(t *testing.T, files map[string]string) []Function {
	t.Helper()
	functions, err := Functions(place(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return functions
}

func exampleManifest(t *testing.T) *Manifest {
	t.Helper()
	m, err := New(exampleFunctions(t, example), exampleLeaves())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAManifestSaysWhatTheSuiteDeclares(t *testing.T) {
	m := exampleManifest(t)
	var load, touch Benchmark
	for _, b := range m.Benchmarks {
		switch b.Name {
		case "BenchmarkLoad/n=1":
			load = b
		case "BenchmarkTouch":
			touch = b
		}
	}
	if got := strings.Join(load.Sizes, " "); got != "smoke gate full" {
		t.Errorf("sizes of BenchmarkLoad/n=1: %s; want those of its directive", got)
	}
	if got := strings.Join(touch.Sizes, " "); got != "gate full" {
		t.Errorf("sizes of BenchmarkTouch: %s; want gate full, the default", got)
	}
	if load.Class != Both || touch.Class != Timed {
		t.Errorf("classes: %s and %s; want both and timed", load.Class, touch.Class)
	}
	want := []Unit{{"msgs/tx", "lower", "exact"}, {"sec/op", "lower", ""}, {"tx/s", "higher", ""}}
	if !slices.Equal(load.Units, want) || !slices.Equal(touch.Units, want[1:2]) {
		t.Errorf("units: %v and %v; want %v and %v", load.Units, touch.Units, want, want[1:2])
	}
	if got := m.Keys("smoke"); len(got) != 1 || got[0] != key("BenchmarkLoad/n=1") {
		t.Errorf("keys of size smoke: %v; want BenchmarkLoad/n=1, since n=2 is full only", got)
	}
	if got := len(m.Keys("full")); got != len(exampleLeaves()) {
		t.Errorf("%d keys of size full, want %d", got, len(exampleLeaves()))
	}
	if got := m.Sizes(); !slices.Equal(got, sizes) {
		t.Errorf("sizes of the suite: %v, want %v", got, sizes)
	}
}

func TestAManifestReadsAsItWasWritten(t *testing.T) {
	m := exampleManifest(t)
	path := filepath.Join(t.TempDir(), "manifest.json")
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	read, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read.Encode(), data) || !bytes.HasSuffix(data, []byte("}\n")) {
		t.Errorf("the manifest reads back as\n%s\nand was written as\n%s", read.Encode(), data)
	}
	if d := Diff(m, read); d != nil {
		t.Errorf("differences after a round trip: %v", d)
	}
	empty := &Manifest{Version: Version}
	if _, err := Parse(empty.Encode(), "empty"); err != nil {
		t.Errorf("an empty suite: %v", err)
	}
}

func TestAManifestIsReadStrictly(t *testing.T) {
	text := string(exampleManifest(t).Encode())
	tests := []struct{ rule, old, new, want string }{
		{"another version", `"version": 1`, `"version": 2`, "version 2"},
		{"an unknown key", `"version": 1`, `"version": 1, "budget": 3`, "budget"},
		{"a key twice", `"version": 1`, `"version": 1, "version": 1`, "there twice"},
		{"a key of an entry twice", `"name":"BenchmarkTouch"`, `"name":"BenchmarkTouch","name":"BenchmarkTouch"`, "BenchmarkTouch): a key is"},
		{"a key in other case", `"name":"BenchmarkTouch"`, `"Name":"BenchmarkTouch"`, "BenchmarkTouch): a key is"},
		{"an unknown key of an entry", `"name":"BenchmarkTouch"`, `"name":"BenchmarkTouch","budget":1`, "benchmarks[5]"},
		{"a missing key", `"name":"BenchmarkTouch",`, ``, "benchmarks[5]"},
		{"an unknown size", `["smoke","gate","full"]`, `["tiny"]`, `size "tiny"`},
		{"a size twice", `["smoke","gate","full"]`, `["gate","gate"]`, "there twice"},
		{"no size", `["smoke","gate","full"]`, `[]`, "no size"},
		{"an unknown class", `"class":"both"`, `"class":"slow"`, `class "slow"`},
		{"an unknown direction", `"better":"higher"`, `"better":"faster"`, `better "faster"`},
		{"an unknown assumption", `"unit":"tx/s","better":"higher","assume":""`, `"unit":"tx/s","better":"higher","assume":"stable"`, `assume "stable"`},
		{"a unit twice", `"unit":"tx/s"`, `"unit":"sec/op"`, "there twice"},
		{"entries out of order", `"name":"BenchmarkTouch"`, `"name":"BenchmarkA"`, "sorts after"},
		{"no benchmark's name", `"name":"BenchmarkTouch"`, `"name":"Touch"`, `name "Touch"`},
		{"something behind the end", "]\n}\n", "]\n}\n{}", "follows the end"},
		{"half a file", "]\n}\n", "", "not a manifest"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			if !strings.Contains(text, tt.old) {
				t.Fatalf("the manifest has no %q:\n%s", tt.old, text)
			}
			_, err := Parse([]byte(strings.Replace(text, tt.old, tt.new, 1)), "dir/manifest.json")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "dir/manifest.json: ") {
				t.Errorf("error: %v; want one that names dir/manifest.json and %q", err, tt.want)
			}
		})
	}
}

func TestABadSizesDirectiveIsAnError(t *testing.T) {
	const a = "bench/micro/a_test.go"
	const good = "//perfgate:sizes n=2 full\n"
	tests := []struct{ rule, text, want string }{
		{"an unknown size", "//perfgate:sizes n=2 large\n", "some of the sizes"},
		{"no size", "//perfgate:sizes n=2\n", "some of the sizes"},
		{"a size twice", "//perfgate:sizes n=2 full full\n", "each once"},
		{"a slash", "//perfgate:sizes n=2/m=3 full\n", "leave out the slash"},
		{"a second one for the same", good + good, "a second directive"},
		{"an unknown directive", "//perfgate:size full\n", "unknown directive"},
		{"one that stands elsewhere", good + "func helper() {}\n\n", "doc comment of a benchmark"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			_, err := Functions(place(t, edited(t, a, good, tt.text)))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "a_test.go:") {
				t.Errorf("error: %v; want one with file, line and %q", err, tt.want)
			}
		})
	}
}

func TestWhatDidNotRunIsNoManifest(t *testing.T) {
	functions := exampleFunctions(t, example)
	tests := []struct {
		rule, want string
		change     func(Leaves)
	}{
		{"a function that ran nothing", "ran no benchmark", func(l Leaves) { delete(l, key("BenchmarkTouch")) }},
		{"a directive that applies to nothing", "n=2", func(l Leaves) { delete(l, key("BenchmarkLoad/n=2")) }},
		{"a benchmark of no function", "BenchmarkElse", func(l Leaves) { l[key("BenchmarkElse")] = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			leaves := exampleLeaves()
			tt.change(leaves)
			if _, err := New(functions, leaves); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error: %v; want one that names %q", err, tt.want)
			}
		})
	}
}

func TestCheckAndDiffTellWhatIsStale(t *testing.T) {
	recorded := exampleManifest(t)
	if d := recorded.Check(exampleFunctions(t, example)); d != nil {
		t.Errorf("a manifest that is current: %v", d)
	}
	const a = "bench/micro/a_test.go"
	files := edited(t, a, "func BenchmarkFile(", "func BenchmarkRead(")
	files[a] = strings.Replace(files[a], "//perfgate:sizes n=2 full\n", "//perfgate:sizes n=2 gate full\n", 1)
	files[a] = strings.Replace(files[a], "touch(kindTwo)", "touch(kindOne)", 1)
	functions := exampleFunctions(t, files)
	const pkg = "example.com/m/bench/micro."
	quick := []string{
		"removed " + pkg + "BenchmarkFile",
		"changed " + pkg + "BenchmarkLoad/n=2: sizes full -> gate full",
		"changed " + pkg + "BenchmarkTouch: its definition",
		"added   " + pkg + "BenchmarkRead",
	}
	if got := recorded.Check(functions); !slices.Equal(got, quick) {
		t.Errorf("Check:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(quick, "\n"))
	}
	leaves := exampleLeaves()
	leaves[key("BenchmarkRead")] = leaves[key("BenchmarkFile")]
	delete(leaves, key("BenchmarkFile"))
	leaves[key("BenchmarkTouch")] = map[string]recording.Unit{"wire-bytes/tx": {Better: "lower", Assume: "exact"}}
	current, err := New(functions, leaves)
	if err != nil {
		t.Fatal(err)
	}
	full := []string{
		"removed " + pkg + "BenchmarkFile",
		"changed " + pkg + "BenchmarkLoad/n=2: sizes full -> gate full",
		"added   " + pkg + "BenchmarkRead",
		"changed " + pkg + "BenchmarkTouch: its definition, units sec/op better=lower -> wire-bytes/tx better=lower assume=exact, class timed -> exact",
	}
	if got := Diff(recorded, current); !slices.Equal(got, full) {
		t.Errorf("Diff:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(full, "\n"))
	}
}

func TestCheckRunLooksAtOneSize(t *testing.T) {
	m := exampleManifest(t)
	leaves := exampleLeaves()
	one := Leaves{key("BenchmarkLoad/n=1"): leaves[key("BenchmarkLoad/n=1")]}
	if d := m.CheckRun("smoke", one); d != nil {
		t.Errorf("all of size smoke ran as recorded: %v", d)
	}
	if d := m.CheckRun("smoke", nil); len(d) != 1 || !strings.HasPrefix(d[0], "removed ") {
		t.Errorf("nothing ran: %v; want BenchmarkLoad/n=1 removed", d)
	}
	one[key("BenchmarkLoad/n=1")] = leaves[key("BenchmarkTouch")]
	if d := m.CheckRun("smoke", one); len(d) != 1 || !strings.Contains(d[0], "-> sec/op better=lower") {
		t.Errorf("other units: %v; want a line that shows them", d)
	}
}
