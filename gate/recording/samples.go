package recording

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// samplesFile is the path of a side's samples inside a bundle.
func samplesFile(side Side) string { return "samples/" + string(side) + ".txt" }

// canaryFile is the path of a role's samples of the canary; both are of the base
// side, so the folder keeps them out of sight of whoever compares samples/.
func canaryFile(side Side) string { return "canary/" + string(side) + ".txt" }

// sideConfig are the configuration keys that hold for all samples of a side.
// Keys without a value are left out: benchmark format has no empty value.
func sideConfig(m *Manifest, side Side, canary bool) []benchfmt.Config {
	commit := m.Base.Commit
	if side == Head && !canary {
		commit = m.Head.Commit
	}
	var config []benchfmt.Config
	add := func(key, value string) {
		if value = strings.Join(strings.Fields(value), " "); value != "" {
			config = append(config, benchfmt.Config{Key: key, Value: []byte(value), File: true})
		}
	}
	add("role", string(side))
	add("commit", commit)
	add("machine-class", m.Machine.ClassID)
	add("goos", m.Machine.Class["goos"])
	add("goarch", m.Machine.Class["goarch"])
	add("cpu", m.Machine.Class["cpu"])
	add("go-version", m.Toolchain)
	return config
}

// encodeSamples writes the samples of a side, in the order given, in benchmark
// format. It writes a configuration key again only where its value changes.
func encodeSamples(m *Manifest, side Side, canary bool, samples []Sample) ([]byte, error) {
	var buf bytes.Buffer
	w := benchfmt.NewWriter(&buf)
	for _, unit := range slices.Sorted(maps.Keys(m.Units)) {
		u := m.Units[unit]
		if err := writeUnit(w, unit, "better", u.Better); err != nil {
			return nil, err
		}
		if err := writeUnit(w, unit, "assume", u.Assume); err != nil {
			return nil, err
		}
	}
	config := sideConfig(m, side, canary)
	for _, s := range samples {
		if s.Side != side {
			continue
		}
		if err := w.Write(sampleResult(config, s)); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), nil
}

func writeUnit(w *benchfmt.Writer, unit, key, value string) error {
	if value == "" {
		return nil
	}
	return w.Write(&benchfmt.UnitMetadata{
		UnitMetadataKey: benchfmt.UnitMetadataKey{Unit: unit, Key: key}, OrigUnit: unit, Value: value})
}

// sampleResult is the record of one sample. The GOMAXPROCS suffix is in the
// name, as go test writes it, and the configuration says how long it is.
func sampleResult(config []benchfmt.Config, s Sample) *benchfmt.Result {
	res := &benchfmt.Result{Config: slices.Clone(config), Iters: s.N}
	set := func(key, value string) {
		res.Config = append(res.Config, benchfmt.Config{Key: key, Value: []byte(value), File: true})
	}
	set("pkg", s.Key.Pkg)
	set("gomaxprocs", strconv.Itoa(s.Key.Procs))
	set("channel", string(s.Channel))
	set("round", strconv.Itoa(s.Round))
	set("pair", strconv.Itoa(s.Pair))
	set("order", strconv.Itoa(s.Order))
	set("slot", strconv.Itoa(s.Core))
	if s.Layout != 0 {
		set("layout-seed", strconv.FormatUint(s.Layout, 10))
	}
	name := strings.TrimPrefix(s.Key.Name, "Benchmark")
	if s.Key.Procs != 1 {
		name += "-" + strconv.Itoa(s.Key.Procs)
	}
	res.Name = benchfmt.Name(name)
	for _, v := range s.Values {
		res.Values = append(res.Values, benchfmt.Value{Value: v.Value, Unit: v.Unit})
	}
	return res
}

// decodeSamples reads what encodeSamples wrote, and nothing else: a file that
// would not be written again byte for byte is refused, naming the first line
// that differs.
func decodeSamples(m *Manifest, side Side, canary bool, data []byte) ([]Sample, error) {
	name := samplesFile(side)
	if canary {
		name = canaryFile(side)
	}
	if err := checkLines(name, data); err != nil {
		return nil, err
	}
	var samples []Sample
	checker := newSampleChecker(m)
	r := benchfmt.NewReader(bytes.NewReader(data), name)
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, rec
		case *benchfmt.Result:
			_, line := rec.Pos()
			if len(samples) == sideSamplesMax {
				return nil, fmt.Errorf("%s:%d: more than %d samples", name, line, sideSamplesMax)
			}
			s, err := resultSample(side, rec)
			if err == nil {
				err = checker.check(&s)
			}
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, line, err)
			}
			samples = append(samples, s)
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	Canonical(samples)
	again, err := encodeSamples(m, side, canary, samples)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%s:%d: not as perfgate writes it", name, firstDifference(again, data))
	}
	return samples, nil
}

// configKeys are the keys that a side's file may have.
var configKeys = []string{"role", "commit", "machine-class", "goos", "goarch", "cpu", "go-version",
	"pkg", "gomaxprocs", "channel", "round", "pair", "order", "slot", "layout-seed"}

// checkLines looks at what each line is, before a reader keeps every unit and key
// that it meets.
func checkLines(name string, data []byte) error {
	units, number := 0, 0
	for line := range bytes.Lines(data) {
		number++
		key, _, isConfig := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.HasPrefix(line, []byte("Benchmark")), len(bytes.TrimSpace(line)) == 0:
		case bytes.HasPrefix(line, []byte("Unit ")):
			if units++; units > 2*unitsMax {
				return fmt.Errorf("%s:%d: more than %d lines about units", name, number, 2*unitsMax)
			}
		case !isConfig || !slices.Contains(configKeys, string(key)):
			return lineError(name, number, line, errors.New("not a line that perfgate writes"))
		}
	}
	return nil
}

func resultSample(side Side, rec *benchfmt.Result) (Sample, error) {
	s := Sample{Side: side, N: rec.Iters, Channel: Channel(rec.GetConfig("channel"))}
	ints := []struct {
		key string
		dst *int
	}{{"gomaxprocs", &s.Key.Procs}, {"round", &s.Round}, {"pair", &s.Pair}, {"order", &s.Order}, {"slot", &s.Core}}
	for _, i := range ints {
		n, err := strconv.Atoi(rec.GetConfig(i.key))
		if err != nil {
			return Sample{}, fmt.Errorf("configuration key %s: %q is no whole number", i.key, rec.GetConfig(i.key))
		}
		*i.dst = n
	}
	if seed := rec.GetConfig("layout-seed"); seed != "" {
		var err error
		if s.Layout, err = strconv.ParseUint(seed, 10, 64); err != nil {
			return Sample{}, fmt.Errorf("configuration key layout-seed: %q is no whole number", seed)
		}
	}
	s.Key.Pkg = rec.GetConfig("pkg")
	name, err := splitProcs("Benchmark"+rec.Name.String(), s.Key.Procs)
	if err != nil {
		return Sample{}, err
	}
	s.Key.Name = name
	for _, v := range rec.Values {
		s.Values = append(s.Values, Value{Unit: v.Unit, Value: v.Value})
	}
	return s, nil
}

// splitProcs takes the GOMAXPROCS suffix off a name. What looks like a suffix
// is one only where it equals the GOMAXPROCS of the run: the name of a
// sub-benchmark may well end in "-4".
func splitProcs(name string, procs int) (string, error) {
	if procs == 1 {
		return name, nil
	}
	rest, ok := strings.CutSuffix(name, "-"+strconv.Itoa(procs))
	if !ok {
		return "", fmt.Errorf("%s does not end in -%d, the GOMAXPROCS of its run", name, procs)
	}
	return rest, nil
}

// firstDifference is the number, from 1, of the first line that differs.
func firstDifference(a, b []byte) int {
	line := 1
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == '\n' {
			line++
		}
	}
	return line
}
