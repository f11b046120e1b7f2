package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchunit"
)

// Result is one benchmark line of a test binary's output.
type Result struct {
	Key Key
	N   int // iterations
	// Values are sorted by unit, in tidied units, without the per-run totals.
	Values []Value
	// Parallel: the benchmark called b.RunParallel.
	Parallel bool
	// Line is where it stands in the output, from 1.
	Line int
}

// Output is what a test binary printed, read.
type Output struct {
	GOOS, GOARCH, Pkg, CPU string
	Results                []Result
	// Units is what the binary's Unit lines declare, by tidied unit.
	Units map[string]Unit
	// Failures are the lines that tell of a failure ("--- FAIL: BenchmarkX",
	// "FAIL", "panic: …"), and Skipped the names of skipped benchmarks, where the
	// binary names them.
	Failures []string
	Skipped  []string
}

// outputBytesMax bounds what a test binary may print: results are a few
// hundred bytes each, the rest is chatter.
const outputBytesMax = 64 << 20

// strayResult matches the part of a benchmark line that package testing writes
// behind the name: iterations, a tab, and a value with its unit.
var strayResult = regexp.MustCompile(`\d\t *[0-9.+-]\S* \S+/\S+`)

// ParseOutput reads the standard output of a test binary that ran with
// GOMAXPROCS = procs; name is what errors call it. Binaries built with the overlay of
// package measure print totals per run, which become exact per-op metrics:
// cpu-sec/op, allocs/op and B/op, the latter two in place of the rounded ones of
// -benchmem; in the wall channel mutex-wait-sec/op and block-sec/op too, and in the
// co-run instructions/op where the machine counts them.
//
// It fails closed: a line that begins with Benchmark or Unit but is not in
// benchmark format, or a result that lost its name to an interleaved print, is
// an error that names the line. All other output is ignored.
func ParseOutput(r io.Reader, name string, procs int) (Output, error) {
	data, err := io.ReadAll(io.LimitReader(r, outputBytesMax+1))
	if err != nil {
		return Output{}, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > outputBytesMax {
		return Output{}, fmt.Errorf("%s: more than %d bytes of output", name, outputBytesMax)
	}
	out := Output{Units: map[string]Unit{}}
	lines, err := out.sift(data, name)
	if err != nil {
		return Output{}, err
	}
	rd := benchfmt.NewReader(bytes.NewReader(bytes.Join(lines, []byte("\n"))), name)
	for rd.Scan() {
		_, line := rd.Result().Pos()
		if err := out.add(rd.Result(), line, procs); err != nil {
			return Output{}, lineError(name, line, lines[line-1], err)
		}
	}
	if err := rd.Err(); err != nil {
		return Output{}, err
	}
	return out, nil
}

// sift collects the lines that tell of failures and skips, and blanks all
// lines that are not benchmark format, so that the others keep their number.
func (o *Output) sift(data []byte, name string) ([][]byte, error) {
	lines := bytes.Split(data, []byte("\n"))
	for i, line := range lines {
		line = bytes.TrimSuffix(line, []byte("\r"))
		lines[i] = line
		text := string(line)
		complete := i < len(lines)-1
		switch {
		case strings.HasPrefix(text, "Benchmark"):
			if _, failure, ok := strings.Cut(text, "\t--- FAIL: "); ok {
				o.Failures = append(o.Failures, "--- FAIL: "+failure)
				lines[i] = nil
			} else if !complete {
				return nil, lineError(name, i+1, line, errors.New("the output ends in the middle of a benchmark line"))
			}
		case isUnitLine(text), isConfigLine(text):
		default:
			if strayResult.MatchString(text) {
				return nil, lineError(name, i+1, line, errors.New("a result without its name: something was printed into the benchmark line"))
			}
			o.note(text)
			lines[i] = nil
		}
	}
	return lines, nil
}

func isUnitLine(line string) bool {
	fields := strings.Fields(line)
	return strings.HasPrefix(line, "Unit") && len(fields) > 0 && fields[0] == "Unit"
}

// isConfigLine knows the keys that package testing prints. Others might be any
// log line that happens to begin with a word and a colon.
func isConfigLine(line string) bool {
	key, _, ok := strings.Cut(line, ": ")
	return ok && slices.Contains([]string{"goos", "goarch", "pkg", "cpu"}, key)
}

func (o *Output) note(line string) {
	trimmed := strings.TrimSpace(line)
	if name, ok := strings.CutPrefix(trimmed, "--- SKIP: "); ok {
		o.Skipped = append(o.Skipped, strings.SplitN(name, " ", 2)[0])
		return
	}
	for _, prefix := range []string{"--- FAIL: ", "panic: ", "fatal error: "} {
		if strings.HasPrefix(trimmed, prefix) {
			o.Failures = append(o.Failures, trimmed)
			return
		}
	}
	if line == "FAIL" {
		o.Failures = append(o.Failures, line)
	}
}

func (o *Output) add(rec benchfmt.Record, line, procs int) error {
	switch rec := rec.(type) {
	case *benchfmt.SyntaxError:
		return errors.New(rec.Msg)
	case *benchfmt.UnitMetadata:
		return o.addUnit(rec)
	case *benchfmt.Result:
		o.GOOS, o.GOARCH, o.CPU = rec.GetConfig("goos"), rec.GetConfig("goarch"), rec.GetConfig("cpu")
		if len(o.Results) > 0 && rec.GetConfig("pkg") != o.Pkg {
			return fmt.Errorf("package %s after package %s in the output of one binary", rec.GetConfig("pkg"), o.Pkg)
		}
		o.Pkg = rec.GetConfig("pkg")
		res, err := parseResult(rec, procs)
		if err != nil {
			return err
		}
		res.Line = line
		o.Results = append(o.Results, res)
	}
	return nil
}

func (o *Output) addUnit(rec *benchfmt.UnitMetadata) error {
	u := o.Units[rec.Unit]
	switch {
	case rec.Key == "better" && (rec.Value == "lower" || rec.Value == "higher"):
		u.Better = rec.Value
	case rec.Key == "assume" && rec.Value == "exact":
		u.Assume = "exact"
	case rec.Key == "assume" && rec.Value == "nothing":
	case rec.Key == "better" || rec.Key == "assume":
		return fmt.Errorf("unit %s: unknown %s=%s", rec.OrigUnit, rec.Key, rec.Value)
	}
	o.Units[rec.Unit] = u
	return nil
}

func parseResult(rec *benchfmt.Result, procs int) (Result, error) {
	name, err := splitProcs("Benchmark"+rec.Name.String(), procs)
	if err != nil {
		return Result{}, err
	}
	if len(name) > wordBytesMax {
		return Result{}, fmt.Errorf("a name of %d bytes, at most %d are read", len(name), wordBytesMax)
	}
	if rec.Iters <= 0 {
		return Result{}, fmt.Errorf("%d iterations", rec.Iters)
	}
	res := Result{Key: Key{Pkg: rec.GetConfig("pkg"), Name: name, Procs: procs}, N: rec.Iters}
	totals := map[string]float64{}
	for _, v := range rec.Values {
		value, unit := v.Value, v.Unit
		if v.OrigUnit != "" {
			value, unit = v.OrigValue, v.OrigUnit
		}
		if strings.HasSuffix(unit, "/run") {
			if _, twice := totals[unit]; twice {
				return Result{}, fmt.Errorf("unit %s twice", unit)
			}
			totals[unit] = value
			continue
		}
		// Tidied here and not by the reader, which leaves the unit of a zero alone.
		value, unit = benchunit.Tidy(value, unit)
		res.Values = append(res.Values, Value{Unit: unit, Value: value})
	}
	if err := res.addTotals(totals); err != nil {
		return Result{}, err
	}
	if err := checkValues(res.Values); err != nil {
		return Result{}, err
	}
	slices.SortFunc(res.Values, func(a, b Value) int { return strings.Compare(a.Unit, b.Unit) })
	return res, nil
}

// addTotals turns the totals that the overlay prints into metrics per op.
func (r *Result) addTotals(totals map[string]float64) error {
	perOp := []struct {
		total, unit string
		scale       float64
	}{
		{"cpu-ns/run", "cpu-sec/op", 1e9},
		{"mallocs/run", "allocs/op", 1},
		{"malloc-bytes/run", "B/op", 1},
		{"mutex-wait-ns/run", MutexWait, 1e9},
		{"block-ns/run", Block, 1e9},
		{"instructions/run", Instructions, 1},
	}
	for _, p := range perOp {
		total, ok := totals[p.total]
		if !ok {
			continue
		}
		delete(totals, p.total)
		if total < 0 || math.IsNaN(total) || math.IsInf(total, 0) {
			return fmt.Errorf("%v %s", total, p.total)
		}
		r.set(p.unit, total/float64(r.N)/p.scale)
	}
	r.Parallel = totals["parallel/run"] != 0
	delete(totals, "parallel/run")
	// Metrics per run that the benchmark itself reports stay.
	for unit, total := range totals {
		value, unit := benchunit.Tidy(total, unit)
		r.Values = append(r.Values, Value{Unit: unit, Value: value})
	}
	return nil
}

func (r *Result) set(unit string, value float64) {
	r.Values = slices.DeleteFunc(r.Values, func(v Value) bool { return v.Unit == unit })
	r.Values = append(r.Values, Value{Unit: unit, Value: value})
}

// lineTextMax bounds how much of a bad line an error shows.
const lineTextMax = 120

func lineError(name string, line int, text []byte, err error) error {
	shown := string(text)
	if len(shown) > lineTextMax {
		shown = strings.ToValidUTF8(shown[:lineTextMax], "") + "…"
	}
	return fmt.Errorf("%s:%d: %w: %+q", name, line, err, shown)
}
