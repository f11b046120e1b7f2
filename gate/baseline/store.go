package baseline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Store is a place that holds baselines, each under a suite and a machine class.
//
// Load fails with fs.ErrNotExist where there is none, with ErrUnreachable where
// the place does not answer, and with another error where one is there and
// broken. Every read is bounded: see the limits below.
type Store interface {
	// String is the place as people know it.
	String() string
	// Suites and Classes list what is stored, sorted.
	Suites(ctx context.Context) ([]string, error)
	Classes(ctx context.Context, suite string) ([]string, error)
	// Load reads and verifies one baseline.
	Load(ctx context.Context, suite, class string) (*Baseline, error)
	// Verify is Load, and follows the chain of manifests as far as the store keeps
	// it.
	Verify(ctx context.Context, suite, class string) (*Baseline, error)
	Close() error

	// place is where a baseline lies, for people.
	place(suite, class string) string
	// update replaces what is stored by what next makes of it (nil: there is none
	// yet). Of two that update at once, one comes after the other: next may be
	// called several times, and sees what it follows. A writer that dies leaves
	// what was there, or what next made. Where next returns nil nothing is written.
	update(ctx context.Context, suite, class string, next func(old *Baseline) (map[string][]byte, error)) error
	// sweep removes what belongs to records before the given one. The latest is
	// never asked for.
	sweep(ctx context.Context, suite, class string, before int) error
}

// ErrUnreachable: the store does not answer, or does not let us in. It is no
// statement about what it holds.
var ErrUnreachable = errors.New("the store of baselines cannot be reached")

// Limits of what is read. The gate suite of this repository has about 100
// benchmarks and a megabyte of samples; a manifest has a few kilobytes.
const (
	manifestBytesMax = 1 << 20
	fileBytesMax     = 64 << 20
	foldersMax       = 1000  // suites, or classes of one suite
	recordsMax       = 50000 // manifests of one suite and class; `baseline prune` drops old ones
)

// Open opens a place: a URL (see OpenURL), or a folder, relative to dir unless
// it is absolute. A folder need not exist.
func Open(ctx context.Context, place, dir string) (Store, error) {
	if strings.Contains(place, "://") {
		return OpenURL(ctx, place)
	}
	if path := filepath.FromSlash(place); filepath.IsAbs(path) {
		return Folder(path), nil
	}
	return folderBelow(dir, filepath.FromSlash(place)), nil
}

// Find looks a baseline up: the machine's own class first, else any other, of
// which only metrics hold that are the same on every machine. It returns nil
// where the suite has none, and an error where one that it looked at is broken.
func Find(ctx context.Context, s Store, suite, classID string) (b *Baseline, sameClass bool, err error) {
	if err := checkPlace(suite, classID); err != nil {
		return nil, false, err
	}
	b, err = s.Load(ctx, suite, classID)
	if err == nil {
		return b, true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	classes, err := s.Classes(ctx, suite)
	if err != nil {
		return nil, false, err
	}
	for _, class := range classes {
		found, err := s.Load(ctx, suite, class)
		if err != nil {
			return nil, false, err
		}
		// The one that was recorded most often, the first of equals.
		if b == nil || found.Manifest.Record > b.Manifest.Record {
			b = found
		}
	}
	return b, false, nil
}

// notFound is the error of a baseline that is not there.
func notFound(place string) error {
	return fmt.Errorf("baseline %s: %w", place, fs.ErrNotExist)
}

// inPlace says which baseline an error is about.
func inPlace(place string, err error) error {
	return fmt.Errorf("baseline %s: %w", place, err)
}
