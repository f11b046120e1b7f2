package culprit

import (
	"errors"
	"math"

	"github.com/perfgate/perfgate/gate/profdiff"
	"github.com/perfgate/perfgate/gate/recording"
)

// Kinds are the profiles that can explain a test: what a metric is about comes
// first.
func Kinds(t recording.Test) []recording.ProfileKind {
	switch {
	case t.Unit == "allocs/op" || t.Unit == "B/op":
		return []recording.ProfileKind{recording.AllocProfile}
	case t.Channel == recording.Wall:
		return []recording.ProfileKind{recording.CPUProfile, recording.AllocProfile, recording.MutexProfile, recording.BlockProfile, recording.GoroutineProfile}
	}
	return []recording.ProfileKind{recording.CPUProfile, recording.AllocProfile}
}

// Of looks in a bundle for what made one test slower; slowdown is ln(worse/better)
// as the gate has measured it. It returns false where the bundle has no profile
// for this test.
func Of(b *recording.Bundle, t recording.Test, slowdown float64) (Finding, bool, error) {
	renames := Renames(b.Diff)
	join := func(kind recording.ProfileKind, metric profdiff.Metric) (*profdiff.Data, error) {
		d, err := profdiff.FromBundle(b, t.Key, kind, metric, renames)
		if errors.Is(err, profdiff.ErrEmpty) {
			return nil, nil
		}
		return d, err
	}
	switch t.Unit {
	case "allocs/op", "B/op":
		metric := profdiff.Objects
		if t.Unit == "B/op" {
			metric = profdiff.Bytes
		}
		d, err := join(recording.AllocProfile, metric)
		if d == nil {
			return Finding{}, false, err
		}
		return Find(Input{Data: d, Diff: b.Diff, Measured: math.Exp(slowdown), Pkg: t.Key.Pkg}), true, nil
	}
	alloc, err := join(recording.AllocProfile, profdiff.Bytes)
	if err != nil {
		return Finding{}, false, err
	}
	var best Finding
	found := false
	for _, kind := range Kinds(t) {
		if kind == recording.AllocProfile || kind == recording.GoroutineProfile {
			continue // no time of an operation is in them
		}
		d, err := join(kind, profdiff.Time)
		if err != nil {
			return Finding{}, false, err
		}
		if d == nil {
			continue
		}
		in := Input{Data: d, Alloc: alloc, Diff: b.Diff, Pkg: t.Key.Pkg}
		if t.Unit == "cpu-sec/op" {
			in.Measured = math.Exp(slowdown)
		}
		if f := Find(in); !found || better(f, best) {
			best, found = f, true
		}
	}
	return best, found, nil
}

// better: a kind of profile that shows growth beats one that does not, and the
// earlier kind wins a tie.
func better(a, b Finding) bool {
	grown := func(f Finding) bool { return f.Result.Total.Shown && f.Result.Total.Ratio > 1 }
	return grown(a) && !grown(b) && len(a.Suspects) > 0
}
