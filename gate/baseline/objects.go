package baseline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bucket is the little that an object store has to do. Errors: fs.ErrNotExist
// where there is no such object, fs.ErrExist where create finds one, and
// anything else means that the store could not be asked.
type bucket interface {
	// list gives what comes next after prefix, up to a slash, sorted; at most so many
	// names, else an error.
	list(ctx context.Context, prefix string, most int) ([]string, error)
	read(ctx context.Context, key string, most int64) ([]byte, error)
	// create writes an object, all of it or nothing, unless there is one.
	create(ctx context.Context, key string, data []byte) error
	remove(ctx context.Context, key string) error
	close() error
}

// objects is the store in a bucket:
//
//	SUITE/CLASS/manifests/0000000007.json   the manifest of record 7
//	SUITE/CLASS/files/SHA256/exact.txt      a file of the record whose manifest has that sha256
//
// The highest number is the present baseline. A recorder writes the files first,
// under a name that no other content can have, and then creates the manifest of
// the next number on the condition that there is none: of two recorders one
// fails, reads again, and follows the other. Nothing that is there is ever
// written again, so a recorder that dies leaves the old baseline as it was, with
// a folder of files that nobody asks for.
//
// Numbers rather than one manifest that is replaced: creating on a condition is
// what all stores can do; replacing on a condition is not.
type objects struct {
	bucket
	name string
	// lock serializes recorders where create alone does not; it returns the unlock.
	lock func() (func(), error)
}

func (o *objects) String() string { return o.name }
func (o *objects) Close() error   { return o.close() }

// opTimeout bounds one baseline's reading or writing: some megabytes at
// worst, on a link that a build machine has.
const opTimeout = 90 * time.Second

func (o *objects) Suites(ctx context.Context) ([]string, error) { return o.folders(ctx, "") }

func (o *objects) Classes(ctx context.Context, suite string) ([]string, error) {
	return o.folders(ctx, suite+"/")
}

func (o *objects) folders(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	names, err := o.list(ctx, prefix, foldersMax)
	if err != nil {
		return nil, o.unreachable(err)
	}
	var folders []string
	for _, name := range names {
		folder, ok := strings.CutSuffix(name, "/")
		if !ok || !placeName.MatchString(folder) {
			return nil, fmt.Errorf("baseline %s: %s%s: no folder of a suite and machine class", o.name, prefix, name)
		}
		folders = append(folders, folder)
	}
	return folders, nil
}

// unreachable marks an error of the store itself.
func (o *objects) unreachable(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, o.name, err)
}

func manifestKey(suite, class string, record int) string {
	return fmt.Sprintf("%s/%s/manifests/%010d.json", suite, class, record)
}

func filesPrefix(suite, class, manifest string) string {
	return path.Join(suite, class, "files", manifest) + "/"
}

// records lists the numbers of the manifests, ascending.
func (o *objects) records(ctx context.Context, suite, class string) ([]int, error) {
	names, err := o.list(ctx, path.Join(suite, class, "manifests")+"/", recordsMax)
	if err != nil {
		return nil, o.unreachable(err)
	}
	var records []int
	for _, name := range names {
		n, err := strconv.Atoi(strings.TrimSuffix(name, ".json"))
		if err != nil || name != fmt.Sprintf("%010d.json", n) || n < 1 {
			return nil, fmt.Errorf("baseline %s: %s is no manifest's name", o.place(suite, class), name)
		}
		records = append(records, n)
	}
	slices.Sort(records)
	return records, nil
}

func (o *objects) place(suite, class string) string {
	return strings.TrimSuffix(o.name, "/") + "/" + suite + "/" + class
}

func (o *objects) Load(ctx context.Context, suite, class string) (*Baseline, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	b, _, err := o.latest(ctx, suite, class)
	return b, err
}

// latest reads the highest record. Where files are missing because a pruning
// and a recording came in between, it reads again what is the highest then.
func (o *objects) latest(ctx context.Context, suite, class string) (b *Baseline, records []int, err error) {
	if err := checkPlace(suite, class); err != nil {
		return nil, nil, err
	}
	seen := 0
	for {
		if records, err = o.records(ctx, suite, class); err != nil {
			return nil, nil, err
		}
		if len(records) == 0 {
			return nil, nil, notFound(o.place(suite, class))
		}
		last := records[len(records)-1]
		b, err := o.readRecord(ctx, suite, class, last)
		if err == nil || errors.Is(err, ErrUnreachable) || last == seen {
			return b, records, err
		}
		seen = last
	}
}

func (o *objects) readRecord(ctx context.Context, suite, class string, record int) (*Baseline, error) {
	place := o.place(suite, class)
	manifest, err := o.readManifest(ctx, suite, class, record)
	if err != nil {
		return nil, err
	}
	// Before its files, which are named by its hash and so would be missing.
	if err := decodeJSON(manifestFile, manifest, &Manifest{}); err != nil {
		return nil, inPlace(place, err)
	}
	data := map[string][]byte{manifestFile: manifest}
	for _, name := range files {
		data[name], err = o.read(ctx, filesPrefix(suite, class, sum(manifest))+name, fileBytesMax)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("baseline %s: %s of record %d is missing", place, name, record)
		}
		if err != nil {
			return nil, o.readError(place, name, err)
		}
	}
	b, err := parse(place, suite, class, data)
	if err != nil {
		return nil, inPlace(place, err)
	}
	if b.Manifest.Record != record {
		return nil, fmt.Errorf("baseline %s: the chain is broken: record %d lies where %d should", place, b.Manifest.Record, record)
	}
	if record > b.Manifest.keptFrom() {
		if _, err := o.checkPrevious(ctx, &b.Manifest); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (o *objects) readManifest(ctx context.Context, suite, class string, record int) ([]byte, error) {
	data, err := o.read(ctx, manifestKey(suite, class, record), manifestBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("baseline %s: the chain is broken: the manifest of record %d is missing", o.place(suite, class), record)
	}
	if err != nil {
		return nil, o.readError(o.place(suite, class), "manifest", err)
	}
	return data, nil
}

func (o *objects) readError(place, name string, err error) error {
	if errors.Is(err, ErrTooLarge) {
		return fmt.Errorf("baseline %s: %s: %v", place, name, err)
	}
	return o.unreachable(err)
}

// checkPrevious reads the manifest before m, which is the one that m names.
func (o *objects) checkPrevious(ctx context.Context, m *Manifest) (*Manifest, error) {
	place := o.place(m.Suite, m.Machine.ClassID)
	data, err := o.readManifest(ctx, m.Suite, m.Machine.ClassID, m.Record-1)
	if err != nil {
		return nil, err
	}
	if sum(data) != m.Previous {
		return nil, fmt.Errorf("baseline %s: the chain is broken: record %d does not follow the manifest of record %d that is there", place, m.Record, m.Record-1)
	}
	var previous Manifest
	if err := decodeJSON(manifestFile, data, &previous); err != nil {
		return nil, inPlace(place, err)
	}
	if err := previous.checkItself(m.Suite, m.Machine.ClassID); err != nil {
		return nil, inPlace(place, err)
	}
	// A pruning has cut the ledger; else it begins as the record before left it.
	if m.keptFrom() == previous.keptFrom() && previous.Files[ledgerFile] != m.LedgerBefore.SHA256 {
		return nil, fmt.Errorf("baseline %s: the chain is broken: record %d does not begin with the ledger of record %d", place, m.Record, m.Record-1)
	}
	return &previous, nil
}

// Verify follows the chain down to the first record, or to where a pruning
// has cut it.
func (o *objects) Verify(ctx context.Context, suite, class string) (*Baseline, error) {
	b, err := o.Load(ctx, suite, class)
	if err != nil {
		return nil, err
	}
	kept := b.Manifest.keptFrom()
	for m := &b.Manifest; m.Record > kept; {
		if m, err = o.checkPrevious(ctx, m); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// attemptsMax is how often a recorder follows others that were faster. Each
// time one of them has succeeded.
const attemptsMax = 20

func (o *objects) update(ctx context.Context, suite, class string, next func(*Baseline) (map[string][]byte, error)) error {
	if o.lock != nil {
		unlock, err := o.lock()
		if err != nil {
			return fmt.Errorf("waiting for other recorders: %w", err)
		}
		defer unlock()
	}
	for range attemptsMax {
		err := o.updateOnce(ctx, suite, class, next)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return fmt.Errorf("baseline %s: %d other recorders were faster; try again", o.place(suite, class), attemptsMax)
}

func (o *objects) updateOnce(ctx context.Context, suite, class string, next func(*Baseline) (map[string][]byte, error)) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	record := 1
	old, _, err := o.latest(ctx, suite, class)
	switch {
	case err == nil:
		record = old.Manifest.Record + 1
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	data, err := next(old)
	if err != nil || data == nil {
		return err
	}
	prefix := filesPrefix(suite, class, sum(data[manifestFile]))
	for _, name := range files {
		// One that is there has this very content: its manifest's hash is in its name.
		if err := o.create(ctx, prefix+name, data[name]); err != nil && !errors.Is(err, fs.ErrExist) {
			return o.unreachable(err)
		}
	}
	err = o.create(ctx, manifestKey(suite, class, record), data[manifestFile])
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return o.unreachable(err)
	}
	return err
}

// sweep removes the files of each record before its manifest, so that one that
// dies on the way is taken up by the next.
func (o *objects) sweep(ctx context.Context, suite, class string, before int) error {
	records, err := o.records(ctx, suite, class)
	if err != nil {
		return err
	}
	for _, record := range records {
		if record >= before {
			return nil
		}
		if err := o.removeRecord(ctx, suite, class, record); err != nil {
			return o.unreachable(err)
		}
	}
	return nil
}

func (o *objects) removeRecord(ctx context.Context, suite, class string, record int) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	key := manifestKey(suite, class, record)
	manifest, err := o.read(ctx, key, manifestBytesMax)
	if err != nil {
		return err
	}
	for _, name := range files {
		err := o.remove(ctx, filesPrefix(suite, class, sum(manifest))+name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return o.remove(ctx, key)
}
