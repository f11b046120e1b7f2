package baseline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/perfgate/perfgate/gate/recording"
)

// Source is what a recording is made from.
type Source struct {
	Bundle recording.Bundle
	Hash   string  // the bundle's
	Ratios []Ratio // what the session says of its timed tests
	RunURL string  // where it was measured, in CI
	// IsAncestor tells whether a commit is an ancestor of another, or the same;
	// nil where nobody can be asked, and then the order of commits is not checked.
	IsAncestor func(ctx context.Context, ancestor, of string) (bool, error)
}

// ErrStranger: the stored baseline was measured at a commit that is not of the
// history that is recorded.
var ErrStranger = errors.New("the stored baseline is of another history")

// Record stores the head side of a bundle as the baseline of its suite and
// machine class, in place of the one that is there.
//
// A bundle that the same run has recorded already is not recorded again, so that
// a recorder that does not know whether it has succeeded can try again. Where the stored
// baseline is of a later commit, because its recorder was faster, it stays, and
// the ledger gets what this session says.
func Record(ctx context.Context, s Store, src Source) (*Baseline, error) {
	m := &src.Bundle.Manifest
	if err := recordable(m); err != nil {
		return nil, fmt.Errorf("recording a baseline: %w", err)
	}
	return change(ctx, s, m.Suite, m.Machine.ClassID, func(old *Baseline) (map[string][]byte, error) {
		if old == nil {
			return encode(src, nil)
		}
		later, err := src.olderThan(ctx, old)
		switch {
		case err != nil:
			return nil, err
		case src.RunURL != "" && old.Manifest.RunURL == src.RunURL && old.Manifest.Bundle == src.Hash:
			return nil, nil
		case later:
			return encodeLate(src, old)
		}
		return encode(src, old)
	})
}

// olderThan tells whether the stored baseline is of a later commit.
func (src *Source) olderThan(ctx context.Context, old *Baseline) (bool, error) {
	head, stored := src.Bundle.Manifest.Head.Commit, old.Manifest.Commit
	if src.IsAncestor == nil || head == stored {
		return false, nil
	}
	follows, err := src.IsAncestor(ctx, stored, head)
	if err != nil || follows {
		return false, err
	}
	later, err := src.IsAncestor(ctx, head, stored)
	if err == nil && !later {
		err = fmt.Errorf("baseline %s: %w: it was measured at %s, which is neither before nor after %s: if the branch was rewritten, remove the baseline, and the next recording begins anew",
			old.Place, ErrStranger, stored, head)
	}
	return later, err
}

// change updates a baseline, and gives what it has written, or what is stored
// where nothing was to be written.
func change(ctx context.Context, s Store, suite, class string, next func(old *Baseline) (map[string][]byte, error)) (*Baseline, error) {
	refused := false
	var written map[string][]byte
	err := s.update(ctx, suite, class, func(old *Baseline) (data map[string][]byte, err error) {
		written, err = next(old)
		refused = err != nil
		return written, err
	})
	switch {
	case err == nil && written != nil:
		// Not read back: another recorder may have followed already, and a store
		// that many machines serve may show the past for a while.
		return parse(s.place(suite, class), suite, class, written)
	case err == nil:
		return s.Load(ctx, suite, class)
	case refused || errors.Is(err, ErrUnreachable):
		return nil, fmt.Errorf("recording a baseline: %w", err)
	}
	// Writing over a broken one would hide what broke it.
	return nil, fmt.Errorf("recording over a broken baseline: %w; restore or remove it first", err)
}

// recordable: a baseline names a commit, so it holds exactly that commit, and
// all of its suite.
func recordable(m *recording.Manifest) error {
	if m.Suite == "" {
		return errors.New("the bundle was measured without a suite: name one in perfgate.yml, on the base side, and measure it with --suite NAME")
	}
	if m.Bench != "" {
		return fmt.Errorf("the bundle holds only the benchmarks that match --bench %q: measure the whole suite", m.Bench)
	}
	if m.Shard != nil && m.Shard.Count > 1 {
		return fmt.Errorf("the bundle is shard %d of %d: join all of them with `perfgate merge`, and record that", m.Shard.Index, m.Shard.Count)
	}
	if err := checkPlace(m.Suite, m.Machine.ClassID); err != nil {
		return err
	}
	if m.Head.Dirty {
		return errors.New("the bundle was measured with uncommitted changes: commit them, measure again, and record that")
	}
	for _, o := range m.Outcomes {
		if o.Kind != recording.Added && o.Kind != recording.Skipped {
			return fmt.Errorf("%s could not be measured (%s): a baseline holds all of its suite", o.Key, o.Kind)
		}
	}
	return nil
}

// encode gives the files of a baseline.
func encode(src Source, old *Baseline) (map[string][]byte, error) {
	bm := &src.Bundle.Manifest
	b := &Baseline{Manifest: Manifest{
		Schema: Schema, Suite: bm.Suite, Module: bm.Module, Commit: bm.Head.Commit, Tree: bm.Head.Tree,
		Tool: bm.Tool, Toolchain: bm.Toolchain, RunURL: src.RunURL, Bundle: src.Hash,
		Machine: bm.Machine, Units: bm.Units, Record: 1,
	}}
	var ledger []byte
	if old != nil {
		ledger = b.Manifest.follow(old)
	}
	b.Manifest.LedgerBefore = Prefix{len(ledger), sum(ledger)}
	for _, e := range b.Manifest.entries(src) {
		line, err := encodeEntry(e)
		if err != nil {
			return nil, err
		}
		ledger = append(ledger, line...)
	}
	exact, inexact := exactSamples(src.Bundle, recording.Head)
	b.Plan = plan(src, inexact)
	data := map[string][]byte{ledgerFile: ledger}
	var err error
	if data[planFile], err = encodeJSON(b.Plan); err != nil {
		return nil, err
	}
	like := b.sideManifest()
	if data[exactFile], err = recording.EncodeSide(like, recording.Head, exact); err != nil {
		return nil, err
	}
	if data[samplesFile], err = recording.EncodeSide(like, recording.Head, sideSamples(src.Bundle, recording.Head)); err != nil {
		return nil, err
	}
	return data, seal(&b.Manifest, data)
}

// encodeLate gives the files of a baseline that stays as it is, with what a
// session of an earlier commit says in its ledger; nil where that is there
// already, or nothing.
func encodeLate(src Source, old *Baseline) (map[string][]byte, error) {
	return revise(old, func(m *Manifest, ledger []byte) ([]byte, error) {
		fresh := false
		for _, e := range m.entries(src) {
			if !old.knows(e) {
				fresh = true
			}
			line, err := encodeEntry(e)
			if err != nil {
				return nil, err
			}
			ledger = append(ledger, line...)
		}
		if !fresh {
			return nil, nil
		}
		return ledger, nil
	})
}

// knows: the ledger has what e says of its session.
func (b *Baseline) knows(e Entry) bool {
	return slices.ContainsFunc(b.Ledger, func(have Entry) bool {
		return have.Base == e.Base && have.Head == e.Head && have.Ratio == e.Ratio
	})
}

// entries are the lines that a recording adds to the ledger.
func (m *Manifest) entries(src Source) []Entry {
	bm := &src.Bundle.Manifest
	var entries []Entry
	for _, r := range sortedRatios(src.Ratios) {
		entries = append(entries, Entry{
			Record: m.Record, Previous: m.Previous, Base: bm.Base.Commit, Head: bm.Head.Commit, Ratio: r,
			Class: bm.Machine.ClassID, Toolchain: bm.Toolchain, Anchor: m.Anchor != nil && m.Anchor.Commit == bm.Base.Commit,
		})
	}
	return entries
}

// seal adds the manifest to the files.
func seal(m *Manifest, data map[string][]byte) (err error) {
	m.Files = map[string]string{}
	for _, name := range files {
		m.Files[name] = sum(data[name])
	}
	data[manifestFile], err = encodeJSON(m)
	return err
}

// follow chains a manifest to the one that it replaces, and gives the ledger to
// append to.
func (m *Manifest) follow(old *Baseline) []byte {
	m.Record, m.Previous = old.Manifest.Record+1, sum(old.raw[manifestFile])
	m.Anchor, m.Pruned = old.Manifest.Anchor, old.Manifest.Pruned
	return slices.Clone(old.raw[ledgerFile])
}

// sortedRatios drops ratios without a finite interval, which JSON cannot hold
// and a trend cannot use.
func sortedRatios(ratios []Ratio) []Ratio {
	finite := func(values ...float64) bool {
		return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	}
	var kept []Ratio
	for _, r := range ratios {
		if finite(r.Ratio, r.Lo, r.Hi, r.Deviation) {
			kept = append(kept, r)
		}
	}
	slices.SortFunc(kept, func(a, b Ratio) int {
		return compareTests(a.Key, a.Unit, b.Key, b.Unit)
	})
	return kept
}

// sideSamples are the runs of one side that can be compared with another
// session's, planning left out.
func sideSamples(b recording.Bundle, side recording.Side) []recording.Sample {
	planned := map[recording.Key]bool{}
	for _, p := range b.Manifest.Benchmarks {
		planned[p.Key] = true
	}
	var kept []recording.Sample
	for _, s := range b.Samples {
		if s.Side == side && s.Channel != recording.Plan && planned[s.Key] {
			kept = append(kept, s)
		}
	}
	return kept
}

// exactSamples is one run of each benchmark with the metrics of the exact
// channel that all runs of the side agree on, and the units that they do not.
func exactSamples(b recording.Bundle, side recording.Side) (exact []recording.Sample, inexact map[recording.Key][]string) {
	tested := map[recording.Key]map[string]bool{}
	for _, t := range b.Manifest.Family {
		if t.Channel == recording.Exact {
			if tested[t.Key] == nil {
				tested[t.Key] = map[string]bool{}
			}
			tested[t.Key][t.Unit] = true
		}
	}
	runs := map[recording.Key][]recording.Sample{}
	var order []recording.Key
	for _, s := range sideSamples(b, side) {
		if s.Channel != recording.Exact || tested[s.Key] == nil {
			continue
		}
		if runs[s.Key] == nil {
			order = append(order, s.Key)
		}
		runs[s.Key] = append(runs[s.Key], s)
	}
	inexact = map[recording.Key][]string{}
	for _, key := range order {
		first := runs[key][0]
		var values []recording.Value
		for _, v := range first.Values {
			switch {
			case !tested[key][v.Unit]:
			case allAgree(runs[key], v, first.N):
				values = append(values, v)
			default:
				inexact[key] = append(inexact[key], v.Unit)
			}
		}
		if len(values) > 0 {
			first.Values = values
			exact = append(exact, first)
		}
	}
	return exact, inexact
}

func allAgree(runs []recording.Sample, v recording.Value, n int) bool {
	return !slices.ContainsFunc(runs, func(s recording.Sample) bool {
		return s.N != n || !slices.Contains(s.Values, v)
	})
}

func plan(src Source, inexact map[recording.Key][]string) []Planned {
	plan := []Planned{}
	for _, b := range src.Bundle.Manifest.Benchmarks {
		p := Planned{Benchmark: b, Inexact: inexact[b.Key]}
		for _, r := range sortedRatios(src.Ratios) {
			if r.Key == b.Key {
				if p.Deviation == nil {
					p.Deviation = map[string]float64{}
				}
				p.Deviation[r.Unit] = r.Deviation
			}
		}
		plan = append(plan, p)
	}
	slices.SortFunc(plan, func(a, b Planned) int { return a.Key.Compare(b.Key) })
	return plan
}
