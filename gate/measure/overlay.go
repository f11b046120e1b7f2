package measure

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed hook/*.go.txt
var hookFiles embed.FS

// An edit puts a line of code behind (or, with before, ahead of) every place
// where anchor stands in the toolchain's testing/benchmark.go. The anchor must
// stand exactly count times, so that a toolchain whose package testing looks
// different is refused and never half patched.
type edit struct {
	anchor string
	count  int
	insert string
	before bool
}

// overlayEdits holds for the toolchains of go1.24 to go1.26.
var overlayEdits = []edit{
	{anchor: "\t\tb.startBytes = memStats.TotalAlloc\n", count: 2, insert: "\t\tperfgateStart()\n"},
	{anchor: "\t\tb.duration += highPrecisionTimeSince(b.start)\n", count: 1, insert: "\t\tperfgateStop()\n"},
	{anchor: "\tb.duration = 0\n", count: 1, insert: "\tperfgateReset()\n"},
	{anchor: "\tb.result = BenchmarkResult{b.N, b.duration, b.bytes, b.netAllocs, b.netBytes, b.extra}\n",
		count: 1, insert: "\tperfgateAccount(b)\n\tperfgateReport(b)\n", before: true},
	{anchor: "\t\t\t// Fixed iteration count.\n", count: 1, insert: "\t\t\tb.benchTime.n = perfgateMore(b.benchTime.n)\n\t\t\tperfgateMeet()\n"},
	{anchor: "\t\t\tif b.benchTime.n > 1 {\n", count: 1, insert: "\t\t\t\tb.benchTime.n = perfgateMore(b.benchTime.n)\n\t\t\t\tperfgateMeet()\n"},
	{anchor: "func (b *B) RunParallel(body func(*PB)) {\n", count: 1, insert: "\tperfgateParallel()\n"},
	// Print every digit: the four that package testing prints would hide a
	// small change of an exact metric.
	{anchor: "func prettyPrint(w io.Writer, x float64, unit string) {\n", count: 1,
		insert: "\tif perfgateExact {\n\t\tfmt.Fprintf(w, \"%s %s\", strconv.FormatFloat(x, 'f', -1, 64), unit)\n\t\treturn\n\t}\n"},
}

// WriteOverlay writes into dir an edited copy of the toolchain's
// testing/benchmark.go and the hook files, and returns the path of the JSON
// file for the go command's -overlay flag.
//
// With it an unmodified benchmark also reports cpu-ns/run, mallocs/run and
// malloc-bytes/run, prints metrics to the last digit, and can be made to wait
// for its partner just before its timed part. With PERFGATE_EXTRA it does more
// operations than it reports: a slowdown of exactly known size (calibration).
func WriteOverlay(goroot, dir string) (string, error) {
	testingDir := filepath.Join(goroot, "src", "testing")
	src, err := os.ReadFile(filepath.Join(testingDir, "benchmark.go"))
	if err != nil {
		return "", fmt.Errorf("reading the toolchain's package testing: %w", err)
	}
	patched, err := applyEdits(string(src), overlayEdits)
	if err != nil {
		return "", fmt.Errorf("package testing of the Go toolchain in %s is not one that perfgate knows (go1.24 to go1.26): %w", goroot, err)
	}
	replace := map[string]string{}
	add := func(name, text string) error {
		path := filepath.Join(dir, name)
		replace[filepath.Join(testingDir, name)] = path
		return os.WriteFile(path, []byte(text), 0o644)
	}
	if err := add("benchmark.go", patched); err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	hooks, err := hookFiles.ReadDir("hook")
	if err != nil {
		return "", err
	}
	for _, h := range hooks {
		text, err := hookFiles.ReadFile("hook/" + h.Name())
		if err != nil {
			return "", err
		}
		if err := add("perfgate_"+strings.TrimSuffix(h.Name(), ".txt"), string(text)); err != nil {
			return "", fmt.Errorf("writing the overlay: %w", err)
		}
	}
	text, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	return path, nil
}

func applyEdits(src string, edits []edit) (string, error) {
	for _, e := range edits {
		if have := strings.Count(src, e.anchor); have != e.count {
			return "", fmt.Errorf("benchmark.go has the line %q %d times, want %d", strings.TrimSpace(e.anchor), have, e.count)
		}
		with := e.anchor + e.insert
		if e.before {
			with = e.insert + e.anchor
		}
		src = strings.ReplaceAll(src, e.anchor, with)
	}
	return src, nil
}
