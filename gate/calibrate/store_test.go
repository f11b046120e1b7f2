package calibrate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSessionsAreReadAsTheyWereAppended(t *testing.T) {
	dir, h := t.TempDir(), header()
	aa, slower := Series{Kind: AA}, Series{Injected, 3}
	want := []Session{session(aa, 1, benchmark("A", noise(1, 12, 0, .02), "pass")), session(slower, 1), session(aa, 2)}
	for _, s := range want {
		if err := Append(dir, h, s); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(dir, h)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(d.Sessions, want) || d.Count(aa) != 2 || d.Count(slower) != 1 || d.Count(Series{Injected, 5}) != 0 {
		t.Errorf("read %+v", d.Sessions)
	}
	all, err := ReadAll(dir)
	if err != nil || len(all) != 1 || !reflect.DeepEqual(all[0], d) {
		t.Errorf("all: %v, %v", all, err)
	}
}

func TestAnInterruptedWritingLosesItsOwnSessionOnly(t *testing.T) {
	dir, h := t.TempDir(), header()
	path := filepath.Join(dir, h.FileName())
	aa := Series{Kind: AA}
	for i := 1; i <= 2; i++ {
		if err := Append(dir, h, session(aa, i)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 50, 150} {
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := Open(dir, h)
		if err != nil || d.Count(aa) != 1 {
			t.Fatalf("%d bytes short: %+v, %v", cut, d, err)
		}
		if err := Append(dir, h, session(aa, 2)); err != nil {
			t.Fatal(err)
		}
		if again, _ := os.ReadFile(path); string(again) != string(whole) {
			t.Errorf("%d bytes short, appended again: %q", cut, again)
		}
	}
	if err := os.WriteFile(path, whole[:20], 0o644); err != nil {
		t.Fatal(err)
	}
	if d, err := Open(dir, h); err != nil || len(d.Sessions) != 0 {
		t.Errorf("half a first line: %+v, %v", d, err)
	}
}

func TestDamagedDataIsRefusedWithItsLine(t *testing.T) {
	dir, h := t.TempDir(), header()
	path := filepath.Join(dir, h.FileName())
	for i := 1; i <= 2; i++ {
		if err := Append(dir, h, session(Series{Kind: AA}, i, benchmark("A", noise(1, 4, 0, .02), "pass"))); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":          {`"index":2`, `"index":2,"color":"red"`, `:3: json: unknown field "color"`},
		"key twice":            {`"index":2`, `"index":2,"index":2`, ":3: not as perfgate wrote it"},
		"number written anew":  {`"index":2`, `"index":2.0`, ":3: "},
		"session left out":     {`"index":2`, `"index":3`, ":3: session 3 of aa follows 1 of them"},
		"unknown kind":         {`"kind":"aa","index":2`, `"kind":"ab","index":2`, `:3: unknown kind "ab"`},
		"another schema":       {`{"schema":1`, `{"schema":2`, ":1: schema 2"},
		"an impossible slow":   {`"kind":"aa","index":1`, `"kind":"aa","percent":5,"index":1`, ":2: kind aa has no percent"},
		"an unknown decision":  {`"decision":"pass"`, `"decision":"maybe"`, `:2: A: cpu-sec/op: unknown decision "maybe"`},
		"a ratio left out":     {`"rounds":[1,1,1,1]`, `"rounds":[1,1,1,1,1]`, ":2: A: 4 base runs in 5 pairs"},
		"a round out of order": {`"rounds":[1,1,1,1]`, `"rounds":[1,1,2,1]`, ":2: A: its rounds are not in order"},
	} {
		bad := strings.Replace(string(good), c.old, c.new, 1)
		if bad == string(good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := os.WriteFile(path, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestDataOfAnotherSuiteIsRefused(t *testing.T) {
	dir, h := t.TempDir(), header()
	if err := Append(dir, h, session(Series{Kind: AA}, 1)); err != nil {
		t.Fatal(err)
	}
	for want, edit := range map[string]func(*Header){
		"--least-pairs was 20, and is 0":                                func(h *Header) { h.LeastPairs = 0 },
		"--bench was , and is Mempool":                                  func(h *Header) { h.Bench = "Mempool" },
		"module was example.org/m, and is other":                        func(h *Header) { h.Module = "other" },
		"definition differs in 1 benchmark functions":                   func(h *Header) { h.Benchmarks = map[string]string{module + ".BenchmarkA": "2"} },
		"in 2 benchmark functions, example.org/m.BenchmarkA among them": func(h *Header) { h.Benchmarks = map[string]string{module + ".BenchmarkB": "1"} },
	} {
		other := header()
		edit(&other)
		if _, err := Open(dir, other); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	// A file that was moved to another machine class's folder.
	if err := os.Rename(filepath.Join(dir, "linux"), filepath.Join(dir, "darwin")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAll(dir); err == nil || !strings.Contains(err.Error(), "whose place is") {
		t.Errorf("a file in the wrong place: %v", err)
	}
	if _, err := Read(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestSeedsAndHalvesFollowFromTheSession(t *testing.T) {
	seen := map[uint64]bool{}
	for _, s := range allSeries() {
		for i := 1; i <= 5; i++ {
			if seen[s.Seed(1, i)] {
				t.Errorf("%s %d has the seed of another session", s, i)
			}
			seen[s.Seed(1, i)] = true
		}
	}
	s, half := Series{Injected, 5}, 0
	for _, name := range strings.Fields("A B C D E F G H I J K L M N O P Q R S T") {
		b := benchmark(name, nil, "pass")
		key := b.key(module)
		for i := 1; i < 20; i += 2 {
			if s.Slows(i, key) == s.Slows(i+1, key) {
				t.Errorf("%s is the same in sessions %d and %d", name, i, i+1)
			}
		}
		half += count(s.Slows(1, key))
		if (Series{Kind: AA}).Slows(1, key) {
			t.Error("an unchanged session slows a benchmark")
		}
	}
	if half < 4 || half > 16 {
		t.Errorf("%d of 20 benchmarks are slowed", half)
	}
}

// 100/percent, and a tenth of its size: 1 % takes 100 operations, of which the
// first 50 give none, 55 to 90 too much, and so on.
func TestOnlyRunsThatCanTakeTheSizeAreCounted(t *testing.T) {
	for _, c := range []struct {
		percent, n int
		want       bool
	}{
		{1, 40, false}, {1, 100, true}, {1, 60, false}, {1, 150, false}, {1, 200, true}, {1, 250, false}, {1, 1000, true}, {1, 1049, true},
		{5, 20, true}, {5, 30, false}, {5, 200, true}, {10, 4, false}, {10, 10, true}, {3, 33, true}, {3, 3300, true}, {10, 1, false},
	} {
		if got := (Series{Injected, c.percent}).Injects(c.n); got != c.want {
			t.Errorf("%d operations take %d %%: %v, want %v", c.n, c.percent, got, c.want)
		}
	}
}
