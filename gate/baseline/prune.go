package baseline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// errNone: there is nothing to change.
var errNone = errors.New("there is none; record one first")

// SetAnchor makes a commit the one that drift is counted from. Samples and
// ledger stay as they are.
func SetAnchor(ctx context.Context, s Store, suite, class string, anchor Anchor) (*Baseline, error) {
	return change(ctx, s, suite, class, func(old *Baseline) (map[string][]byte, error) {
		if old == nil {
			return nil, errNone
		}
		return revise(old, func(m *Manifest, ledger []byte) ([]byte, error) {
			m.Anchor = &anchor
			return ledger, nil
		})
	})
}

// revise makes the next record of a baseline without measuring anew. Edit gets
// the ledger as it was, and gives it with lines appended or with lines cut off
// its beginning; nil: there is nothing to record.
func revise(old *Baseline, edit func(m *Manifest, ledger []byte) ([]byte, error)) (map[string][]byte, error) {
	m := old.Manifest
	m.Schema = Schema
	m.Measured = old.Manifest.measured()
	before := m.follow(old)
	ledger, err := edit(&m, slices.Clone(before))
	if err != nil || ledger == nil {
		return nil, err
	}
	// Of a ledger that was cut the rest is what the record before left.
	kept := ledger[:min(len(before), len(ledger))]
	m.LedgerBefore = Prefix{len(kept), sum(kept)}
	data := map[string][]byte{ledgerFile: ledger}
	for _, name := range []string{exactFile, planFile, samplesFile} {
		data[name] = old.raw[name]
	}
	return data, seal(&m, data)
}

// Prune drops the records before the newest keep ones: their lines of the
// ledger, and what the store keeps of them. The latest stays, and so does
// everything since the anchor, from which the drift is added up: to let go of
// more, move the anchor. Dropped is nil where there is nothing to drop; with dry
// nothing is changed.
//
// What was dropped stays provable: the manifest of the pruning carries the
// sha256 of the lines, and is chained like every other.
func Prune(ctx context.Context, s Store, suite, class string, keep int, dry bool) (dropped *Pruned, err error) {
	if keep < 1 {
		return nil, fmt.Errorf("pruning to %d records: the latest always stays, so keep 1 at least", keep)
	}
	if dry {
		b, err := s.Load(ctx, suite, class)
		if err != nil {
			return nil, err
		}
		return b.prunable(keep), nil
	}
	b, err := change(ctx, s, suite, class, func(old *Baseline) (map[string][]byte, error) {
		if old == nil {
			return nil, errNone
		}
		if dropped = old.prunable(keep); dropped == nil {
			return nil, nil
		}
		dropped.Record = old.Manifest.Record + 1
		return revise(old, func(m *Manifest, ledger []byte) ([]byte, error) {
			m.Pruned = append(slices.Clone(m.Pruned), *dropped)
			return ledger[dropped.Dropped.Bytes:], nil
		})
	})
	if err != nil {
		return nil, err
	}
	// After the manifest, which no longer asks for them; also what an earlier
	// pruning that died has left.
	return dropped, s.sweep(ctx, suite, class, b.Manifest.keptFrom())
}

// prunable says what a pruning would drop, or nil.
func (b *Baseline) prunable(keep int) *Pruned {
	m := &b.Manifest
	records := []int{m.measured()} // that brought something
	for _, e := range b.Ledger {
		records = append(records, e.Record)
	}
	slices.Sort(records)
	records = slices.Compact(records)
	// One whose recorder was late has a higher number than the samples' own.
	before := min(records[max(0, len(records)-keep)], m.measured())
	if m.Anchor != nil {
		at := slices.IndexFunc(b.Ledger, func(e Entry) bool { return e.Base == m.Anchor.Commit || e.Head == m.Anchor.Commit })
		if at >= 0 {
			before = min(before, b.Ledger[at].Record)
		}
	}
	if before <= m.keptFrom() {
		return nil
	}
	p := Pruned{Record: m.Record, Before: before}
	for _, line := range bytes.SplitAfter(b.raw[ledgerFile], []byte("\n")) {
		if p.Lines == len(b.Ledger) || b.Ledger[p.Lines].Record >= before {
			break
		}
		p.Lines++
		p.Dropped.Bytes += len(line)
	}
	p.Dropped.SHA256 = sum(b.raw[ledgerFile][:p.Dropped.Bytes])
	return &p
}
