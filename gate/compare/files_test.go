package compare

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

// benchstat builds the real tool from the module that this package calculates
// with, so that both are of the same version.
func benchstat(t *testing.T) func(args ...string) string {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "benchstat.exe")
	if out, err := exec.Command("go", "build", "-o", tool, "golang.org/x/perf/cmd/benchstat").CombinedOutput(); err != nil {
		t.Fatalf("building benchstat: %v\n%s", err, out)
	}
	return func(args ...string) string {
		t.Helper()
		var stderr bytes.Buffer
		cmd := exec.Command(tool, args...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("benchstat %q: %v\n%s", args, err, &stderr)
		}
		return string(out)
	}
}

// asCSV writes a table as "benchstat -format csv" does, so that the whole
// output can be compared.
func asCSV(t *Table) string {
	var buf strings.Builder
	w := csv.NewWriter(&buf)
	var shown map[string]string
	for i, g := range t.Groups {
		if i > 0 {
			w.Write([]string{""})
		}
		now := map[string]string{}
		for _, line := range g.Config {
			key, value, _ := strings.Cut(line, ": ")
			if now[key] = value; shown == nil || shown[key] != value {
				w.Write([]string{line})
			}
		}
		shown = now
		groupCSV(w, t, g)
	}
	w.Flush()
	return buf.String()
}

func groupCSV(w *csv.Writer, t *Table, g Group) {
	width := 3
	files, header := []string{"", t.Names[g.Files[0]], ""}, []string{"", g.Unit, "CI"}
	if len(g.Files) == 2 {
		width = 7
		files = append(files, t.Names[1], "", "", "")
		header = append(header, g.Unit, "CI", "vs base", "P")
	}
	w.Write(files)
	w.Write(header)
	for _, row := range g.Rows {
		rec := []string{row.Name}
		for i, file := range g.Files {
			c := row.Cells[file]
			if c == nil {
				continue
			}
			for len(rec) < 1+2*i {
				rec = append(rec, "")
			}
			rec = append(rec, fmt.Sprint(c.Center), c.Range)
		}
		if row.Compared {
			rec = append(rec, row.Delta, row.Comparison)
		}
		w.Write(rec)
	}
	rec := make([]string, width)
	rec[0] = "geomean"
	for i, gm := range g.Geomean {
		if gm.HasCenter {
			rec[1+2*i] = fmt.Sprint(gm.Center)
		}
		if i > 0 {
			rec[5] = gm.Delta
		}
	}
	w.Write(rec)
}

// randomFiles are two benchmark files with what makes comparisons odd: ties,
// zeros, few samples, benchmarks in one file only, exact units, two packages.
func randomFiles(seed uint64) [2]string {
	rng := rand.New(rand.NewPCG(seed, 7))
	var out [2]string
	for side := range out {
		var b strings.Builder
		b.WriteString("Unit messages/op assume=exact better=lower\ngoos: linux\ngoarch: amd64\n")
		for pkg := range 2 {
			fmt.Fprintf(&b, "pkg: example.org/p%d\n", pkg)
			for bench := range 4 {
				if rng.IntN(8) == 0 {
					continue
				}
				n, spread := 1+rng.IntN(12), rng.Float64()*.2
				shift := 1 + float64(side)*[]float64{0, 0, .05, .3}[rng.IntN(4)]
				for range n {
					ns := 1000 * float64(1+bench) * shift * (1 + spread*rng.NormFloat64())
					fmt.Fprintf(&b, "BenchmarkB%d/k=%d-8 %d %.4g ns/op %d B/op %d allocs/op %d messages/op\n",
						bench, bench, 100+rng.IntN(10), ns, 16*rng.IntN(3), bench/2+rng.IntN(2)*side, 5+side*pkg)
				}
			}
		}
		out[side] = b.String()
	}
	return out
}

func TestFilesGivesExactlyWhatBenchstatGives(t *testing.T) {
	run := benchstat(t)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	pairs := map[string][2]string{
		"recorded":          {read("recorded-old.txt"), read("recorded-new.txt")},
		"recorded backward": {read("recorded-new.txt"), read("recorded-old.txt")},
		"one file only":     {"note: x\n", read("recorded-old.txt")},
	}
	for seed := range uint64(12) {
		pairs[fmt.Sprintf("seed %d", seed)] = randomFiles(seed)
	}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var paths [2]string
			for i, text := range pair {
				paths[i] = filepath.Join(dir, []string{"old.txt", "new.txt"}[i])
				if err := os.WriteFile(paths[i], []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			table, err := Files(strings.NewReader(pair[0]), strings.NewReader(pair[1]), paths)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := asCSV(table), run("-format", "csv", paths[0], paths[1]); got != want {
				t.Errorf("got:\n%s\nbenchstat:\n%s", got, want)
			}
		})
	}
}

func TestFilesRefusesAMalformedLine(t *testing.T) {
	good := "BenchmarkX 1 2 ns/op\n"
	_, err := Files(strings.NewReader(good), strings.NewReader("x\nBenchmarkX 1 two ns/op\n"), [2]string{"old", "new"})
	if err == nil || !strings.HasPrefix(err.Error(), "new:2: ") {
		t.Errorf("got %v, want an error at new:2", err)
	}
	if _, err := Files(strings.NewReader("x\n"), strings.NewReader("\n"), [2]string{"old", "new"}); err == nil {
		t.Error("two files without results compare well")
	}
}

func TestSameNameTwiceIsToldApart(t *testing.T) {
	good := "BenchmarkX 1 2 ns/op\n"
	table, err := Files(strings.NewReader(good), strings.NewReader(good), [2]string{"f", "f"})
	if err != nil || table.Names != [2]string{"f#0", "f#1"} {
		t.Errorf("got %v, %v", table, err)
	}
}

// By hand: of p = .01, .02, .03, .5 the smallest counts four times (.04), the
// next three times (.06), then 2 x .03 = .06, then .5; over a family of six, the
// first counts six times.
func TestHolm(t *testing.T) {
	all := func(got, want []float64) bool {
		for i := range want {
			if !near(got[i], want[i], 1e-12) {
				return false
			}
		}
		return len(got) == len(want)
	}
	if got := Holm([]float64{.5, .01, .03, .02}, 4); !all(got, []float64{.5, .04, .06, .06}) {
		t.Errorf("got %v", got)
	}
	if got := Holm([]float64{.5, .01, .03, .02}, 6); !all(got, []float64{1, .06, .12, .1}) {
		t.Errorf("family of six: got %v", got)
	}
}

// Holm over the table never is below p, and 1 comparison leaves p alone.
func TestFilesCorrectsOverTheWholeTable(t *testing.T) {
	for seed := range uint64(5) {
		pair := randomFiles(seed)
		table, err := Files(strings.NewReader(pair[0]), strings.NewReader(pair[1]), [2]string{"old", "new"})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range table.Groups {
			for _, row := range g.Rows {
				if row.Holm < min(1, row.P) { // benchmath gives p above 1 for some ties
					t.Errorf("%s %s: Holm %v below p %v", row.Name, g.Unit, row.Holm, row.P)
				}
				if g.Exact && row.Compared && row.Holm != 0 {
					t.Errorf("%s %s: exact, but Holm %v", row.Name, g.Unit, row.Holm)
				}
			}
		}
	}
}

// A bundle's samples are benchmark format for the stock tool.
func TestStockBenchstatReadsABundle(t *testing.T) {
	run := benchstat(t)
	b := timedBundle([]float64{.05, .05, .05, .05, .05, .05})
	dir := filepath.Join(t.TempDir(), "b")
	if err := recording.Write(dir, b); err != nil {
		t.Fatal(err)
	}
	got := run("-format", "csv", "-table", "goos,goarch,pkg,channel", "-ignore", "commit,role,round,pair,order,slot",
		filepath.Join(dir, "samples", "base.txt"), filepath.Join(dir, "samples", "head.txt"))
	if !strings.Contains(got, ",+5.13%,p=0.002 n=6\n") { // exp(.05) - 1
		t.Errorf("benchstat says:\n%s", got)
	}
}
