// Package baseline is the stored record of how a suite performed: one folder
// per suite and machine class that later runs are compared with.
//
//	SUITE/CLASS-ID/
//	  manifest.json  what was measured where, the files' hashes, the previous manifest's hash
//	  plan.json      the planning numbers of each benchmark: iterations, pair deviation
//	  exact.txt      one run of each exact metric, in benchmark format
//	  samples.txt    all runs of the measured side, in benchmark format, for benchstat
//	  ledger.jsonl   same-session ratios from commit to commit, one line per benchmark and unit, only appended to
//
// A Store holds such folders: in the repository, where git keeps the history
// (Folder), or as objects in a bucket (see objects.go for the names there).
//
// The one opinion it holds: a broken baseline is an error and never an absence,
// since an absent one lets a drift pass unseen. A store that does not answer
// is a third thing (ErrUnreachable). Stored times are kept to be looked at;
// what is compared are exact metrics (see Check), because the same binary's
// time moves by a third within an hour.
//
// It does not decide whether a difference matters, and it asks git nothing.
package baseline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/perfgate/perfgate/gate/recording"
)

// Schema is the version of the format that is written. Version 1, which is read
// too, knows no anchor, no pruning, and no class and toolchain in the ledger.
const (
	Schema    = 2
	schemaMin = 1
)

// The files of a baseline.
const (
	manifestFile = "manifest.json"
	planFile     = "plan.json"
	exactFile    = "exact.txt"
	samplesFile  = "samples.txt"
	ledgerFile   = "ledger.jsonl"
)

// files are all but the manifest, which holds their hashes.
var files = []string{exactFile, ledgerFile, planFile, samplesFile}

// Manifest says what was measured, where, and what belongs to it.
type Manifest struct {
	Schema    int                       `json:"schema"`
	Suite     string                    `json:"suite"`
	Module    string                    `json:"module"`
	Commit    string                    `json:"commit"` // the measured one
	Tree      string                    `json:"tree"`
	Tool      string                    `json:"tool"`
	Toolchain string                    `json:"toolchain"`
	RunURL    string                    `json:"run-url,omitempty"`
	Bundle    string                    `json:"bundle"` // hash of the bundle that it was made from
	Machine   recording.Machine         `json:"machine"`
	Units     map[string]recording.Unit `json:"units"`
	// Record counts the manifests of this suite and class, from 1.
	Record int `json:"record"`
	// Measured is the record that brought the samples, where later ones only moved
	// the anchor or pruned; 0 where this one did.
	Measured int `json:"measured,omitempty"`
	// Anchor is the release that drift is counted from; nil where none was chosen.
	Anchor *Anchor `json:"anchor,omitempty"`
	// Pruned lists what was dropped, oldest first.
	Pruned []Pruned `json:"pruned,omitempty"`
	// Previous is the sha256 of the manifest that this one replaced; empty at first.
	Previous string `json:"previous"`
	// LedgerBefore is the ledger as the previous recording left it: a later one
	// appends, and never rewrites.
	LedgerBefore Prefix            `json:"ledger-before"`
	Files        map[string]string `json:"files"`
}

// Anchor is the commit of a release.
type Anchor struct {
	Ref    string `json:"ref"` // as it was named
	Commit string `json:"commit"`
}

// Pruned is one pruning: the ledger's lines of records before Before are gone.
type Pruned struct {
	Record int `json:"record"` // that pruned
	Before int `json:"before"`
	// Dropped are the lines that the ledger began with.
	Dropped Prefix `json:"dropped"`
	Lines   int    `json:"lines"`
}

// Prefix identifies the beginning of a file.
type Prefix struct {
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Planned is the plan of one benchmark, with what its metrics turned out to be.
type Planned struct {
	recording.Benchmark
	// Deviation is the standard deviation of the pairs' log ratios, by unit.
	Deviation map[string]float64 `json:"deviation,omitempty"`
	// Inexact are the units of the exact channel that did not repeat here; they
	// are timed from now on.
	Inexact []string `json:"inexact,omitempty"`
}

// Ratio is what one session says of a benchmark and unit between two commits:
// Ratio is head/base, [Lo, Hi] its confidence sequence.
type Ratio struct {
	Key       recording.Key     `json:"key"`
	Unit      string            `json:"unit"`
	Channel   recording.Channel `json:"channel"`
	Pairs     int               `json:"pairs"`
	Ratio     float64           `json:"ratio"`
	Lo        float64           `json:"lo"`
	Hi        float64           `json:"hi"`
	Deviation float64           `json:"deviation"`
}

// Entry is a line of the ledger.
type Entry struct {
	Record   int    `json:"record"`
	Previous string `json:"previous"` // the manifest's, so that the chain can be followed
	Base     string `json:"base"`     // commits
	Head     string `json:"head"`
	Ratio
	// Class and Toolchain are where it was measured; empty in schema 1, where
	// they are the manifest's.
	Class     string `json:"class,omitempty"`
	Toolchain string `json:"toolchain,omitempty"`
	// Anchor: Base was the anchor when this was recorded.
	Anchor bool `json:"anchor,omitempty"`
}

// Baseline is one that was read and verified.
type Baseline struct {
	// Place is where it lies, for people: a folder, or a URL.
	Place    string
	Manifest Manifest
	Plan     []Planned
	Exact    []recording.Sample
	Samples  []recording.Sample
	Ledger   []Entry

	raw map[string][]byte // the files as they were read
}

// measured is the record that brought the samples.
func (m *Manifest) measured() int {
	if m.Measured > 0 {
		return m.Measured
	}
	return m.Record
}

// parse verifies the files of a baseline: every hash, the chain, the schema, and
// that each file is as Record writes it.
func parse(place, suite, class string, data map[string][]byte) (*Baseline, error) {
	b := &Baseline{Place: place, raw: data}
	if err := decodeJSON(manifestFile, data[manifestFile], &b.Manifest); err != nil {
		return nil, err
	}
	m := &b.Manifest
	if err := m.check(suite, class, data); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestFile, err)
	}
	if err := decodeJSON(planFile, data[planFile], &b.Plan); err != nil {
		return nil, err
	}
	var err error
	if b.Ledger, err = decodeLedger(data[ledgerFile]); err != nil {
		return nil, err
	}
	if err := b.checkChain(data[ledgerFile]); err != nil {
		return nil, fmt.Errorf("%s: %w", ledgerFile, err)
	}
	like := b.sideManifest()
	if b.Exact, err = recording.DecodeSide(like, recording.Head, data[exactFile]); err != nil {
		return nil, fmt.Errorf("%s: %w", exactFile, err)
	}
	if b.Samples, err = recording.DecodeSide(like, recording.Head, data[samplesFile]); err != nil {
		return nil, fmt.Errorf("%s: %w", samplesFile, err)
	}
	return b, nil
}

// sideManifest is the part of a bundle's manifest that the samples' form hangs on.
func (b *Baseline) sideManifest() *recording.Manifest {
	m := &recording.Manifest{
		Head: recording.Revision{Commit: b.Manifest.Commit}, Toolchain: b.Manifest.Toolchain,
		Machine: b.Manifest.Machine, Units: b.Manifest.Units,
	}
	for _, p := range b.Plan {
		m.Benchmarks = append(m.Benchmarks, p.Benchmark)
	}
	return m
}

func (m *Manifest) check(suite, class string, data map[string][]byte) error {
	if err := m.checkItself(suite, class); err != nil {
		return err
	}
	for _, name := range files {
		if m.Files[name] != sum(data[name]) {
			return fmt.Errorf("%s was changed, or damaged: its sha256 is not the one recorded", name)
		}
	}
	return nil
}

// checkItself is what a manifest shows without its files.
func (m *Manifest) checkItself(suite, class string) error {
	switch {
	case m.Schema < schemaMin || m.Schema > Schema:
		return fmt.Errorf("schema %d, but this perfgate reads schema %d to %d", m.Schema, schemaMin, Schema)
	case class != m.Machine.ClassID || suite != m.Suite:
		return fmt.Errorf("it is of suite %q and class %q, and does not belong in this folder", m.Suite, m.Machine.ClassID)
	case m.Record < 1 || (m.Previous == "") != (m.Record == 1) || m.Previous != "" && !isHash(m.Previous):
		return fmt.Errorf("the chain is broken: recording %d has previous manifest %q", m.Record, m.Previous)
	case m.Measured < 0 || m.Measured >= m.Record && m.Measured != 0:
		return fmt.Errorf("the chain is broken: recording %d was measured by recording %d", m.Record, m.Measured)
	case len(m.Files) != len(files):
		return fmt.Errorf("it lists %d files, want %d", len(m.Files), len(files))
	}
	before := 0
	for _, p := range m.Pruned {
		if p.Before <= before || p.Record > m.Record || p.Before > p.Record {
			return fmt.Errorf("the chain is broken: recording %d pruned what came before %d", p.Record, p.Before)
		}
		before = p.Before
	}
	return nil
}

// keptFrom is the first record whose lines may be in the ledger.
func (m *Manifest) keptFrom() int {
	if len(m.Pruned) == 0 {
		return 1
	}
	return m.Pruned[len(m.Pruned)-1].Before
}

// checkChain follows the recordings through the ledger: their numbers rise, all
// lines of one carry the same previous manifest, the last is the manifest's,
// and what earlier recordings wrote is untouched.
func (b *Baseline) checkChain(ledger []byte) error {
	m := &b.Manifest
	before := m.LedgerBefore
	if before.Bytes < 0 || before.Bytes > len(ledger) || sum(ledger[:before.Bytes]) != before.SHA256 {
		return errors.New("the chain is broken: lines of earlier recordings were changed or are gone")
	}
	previous := map[int]string{m.Record: m.Previous}
	last := m.keptFrom()
	for i, e := range b.Ledger {
		if _, known := previous[e.Record]; !known {
			previous[e.Record] = e.Previous
		}
		switch {
		case e.Class != "" && e.Class != m.Machine.ClassID:
			return fmt.Errorf("line %d: it was measured on class %q", i+1, e.Class)
		case e.Record < last || e.Record > m.Record:
			return fmt.Errorf("line %d: the chain is broken: recording %d after recording %d of %d", i+1, e.Record, last, m.Record)
		case e.Previous != previous[e.Record] || (e.Previous == "") != (e.Record == 1):
			return fmt.Errorf("line %d: the chain is broken: recording %d has previous manifest %q", i+1, e.Record, e.Previous)
		case e.Record == m.measured() && e.Head != m.Commit:
			return fmt.Errorf("line %d: it is of commit %q, but the recording is of %q", i+1, e.Head, m.Commit)
		}
		last = e.Record
	}
	return nil
}

// placeName is a suite or class that is safe as a folder's name.
var placeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

func checkPlace(suite, classID string) error {
	if !placeName.MatchString(suite) {
		return fmt.Errorf("suite %q: a stored baseline needs a suite named by letters, digits, dots and dashes", suite)
	}
	if !placeName.MatchString(classID) {
		return fmt.Errorf("machine class %q cannot name a folder", classID)
	}
	return nil
}

// encodeJSON gives the one form of a value.
func encodeJSON(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

// decodeJSON reads what encodeJSON wrote, and nothing else: unknown and
// duplicate keys, other spellings and what follows would all be written differently.
func decodeJSON(name string, data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	again, err := encodeJSON(v)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("%s: not as perfgate writes it: it was changed, or damaged", name)
	}
	return nil
}

func decodeLedger(data []byte) ([]Entry, error) {
	var entries []Entry
	for i, line := range bytes.SplitAfter(data, []byte("\n")) {
		if len(line) == 0 {
			break
		}
		var e Entry
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&e); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", ledgerFile, i+1, err)
		}
		again, err := encodeEntry(e)
		if err != nil || !bytes.Equal(again, line) {
			return nil, fmt.Errorf("%s:%d: not as perfgate writes it", ledgerFile, i+1)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func encodeEntry(e Entry) ([]byte, error) {
	data, err := json.Marshal(e)
	return append(data, '\n'), err
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

func isHash(s string) bool {
	data, err := hex.DecodeString(s)
	return err == nil && len(data) == sha256.Size
}
