package baseline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Folder is the store in a folder, such as baselines/ of a repository. It keeps
// one record of each suite and class; git keeps the ones before.
// It must not be a link itself.
func Folder(root string) Store { return &folder{root: root, trusted: filepath.Dir(root)} }

// folderBelow is the store in a folder of a work tree. What is below the work
// tree's own folder came from a commit, and its author chose what is a link.
func folderBelow(dir, place string) Store {
	return &folder{root: filepath.Join(dir, place), trusted: dir}
}

type folder struct {
	root string
	// trusted is the folder below which no link is followed.
	trusted string
	// onWrite is called before every change of the file system, for tests that
	// die there.
	onWrite func()
}

func (f *folder) String() string { return f.root }
func (f *folder) Close() error   { return nil }

func (f *folder) place(suite, class string) string { return filepath.Join(f.root, suite, class) }

// Suites lists the folders below the root; scratch folders begin with a dot.
func (f *folder) Suites(context.Context) ([]string, error) { return f.list(f.root) }

func (f *folder) Classes(_ context.Context, suite string) ([]string, error) {
	return f.list(filepath.Join(f.root, suite))
}

func (f *folder) list(dir string) ([]string, error) {
	if err := f.checkLinks(dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for baselines: %w", err)
	}
	var names []string
	for _, entry := range entries {
		switch {
		case entry.Name()[0] == '.':
		case !entry.IsDir():
			return nil, fmt.Errorf("baseline %s: no folder of a suite and machine class", filepath.Join(dir, entry.Name()))
		default:
			names = append(names, entry.Name())
		}
	}
	if len(names) > foldersMax {
		return nil, fmt.Errorf("%s holds %d folders, and at most %d are read", dir, len(names), foldersMax)
	}
	return names, nil
}

// Load waits for a recorder, or files of two records would be read together. A
// folder that cannot be locked has no recorder either.
func (f *folder) Load(_ context.Context, suite, class string) (*Baseline, error) {
	if unlock, err := lockFolder(f.root, true); err == nil {
		defer unlock()
	}
	return f.read(suite, class)
}

func (f *folder) read(suite, class string) (*Baseline, error) {
	if err := checkPlace(suite, class); err != nil {
		return nil, err
	}
	dir := f.place(suite, class)
	if err := f.checkLinks(dir); err != nil {
		return nil, err
	}
	if !exists(dir) {
		return nil, notFound(dir)
	}
	data, err := readFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("baseline %s: %v", dir, err) // a missing file is no missing baseline
	}
	b, err := parse(dir, suite, class, data)
	if err != nil {
		return nil, inPlace(dir, err)
	}
	return b, nil
}

// checkLinks wants every folder from the trusted one down to dir to be one, as
// far as they exist: a link would let a commit compare itself with another place.
func (f *folder) checkLinks(dir string) error {
	below, err := filepath.Rel(f.trusted, dir)
	if err != nil {
		return err
	}
	at := f.trusted
	for _, name := range strings.Split(below, string(filepath.Separator)) {
		at = filepath.Join(at, name)
		if at == f.trusted || name == ".." {
			continue
		}
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !info.IsDir() {
			err = errors.New("it is a link or a file, and not a folder")
		}
		if err != nil {
			return fmt.Errorf("baseline %s: %w", at, err)
		}
	}
	return nil
}

// Verify: what came before the one record is in git.
func (f *folder) Verify(ctx context.Context, suite, class string) (*Baseline, error) {
	return f.Load(ctx, suite, class)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// readFiles reads the five files and refuses any other, and whatever is no
// regular file: a link would let a change compare itself with another place.
func readFiles(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for _, entry := range entries {
		name := entry.Name()
		if name != manifestFile && !slices.Contains(files, name) {
			return nil, fmt.Errorf("%s does not belong to it", name)
		}
		if !entry.Type().IsRegular() {
			return nil, fmt.Errorf("%s is no regular file", name)
		}
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		if info.Size() > limitOf(name) {
			return nil, fmt.Errorf("%s has %d bytes, and at most %d are read", name, info.Size(), limitOf(name))
		}
		if data[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	for _, name := range append([]string{manifestFile}, files...) {
		if _, ok := data[name]; !ok {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	return data, nil
}

func limitOf(name string) int64 {
	if name == manifestFile {
		return manifestBytesMax
	}
	return fileBytesMax
}

// update writes the new folder beside the old one and exchanges them in one
// step, so that a reader finds the one or the other. Another update of the same
// root waits.
func (f *folder) update(_ context.Context, suite, class string, next func(*Baseline) (map[string][]byte, error)) error {
	if err := f.checkLinks(f.root); err != nil {
		return err
	}
	if err := os.MkdirAll(f.root, 0o755); err != nil {
		return err
	}
	unlock, err := lockFolder(f.root, false)
	if err != nil {
		return fmt.Errorf("waiting for other recorders: %w", err)
	}
	defer unlock()
	old, err := f.read(suite, class)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data, err := next(old)
	if err != nil || data == nil {
		return err
	}
	if err := f.replace(f.place(suite, class), data); err != nil {
		return fmt.Errorf("writing baseline %s: %w", f.place(suite, class), err)
	}
	return nil
}

func (f *folder) replace(dir string, data map[string][]byte) (err error) {
	if err := f.removeScratch(); err != nil {
		return err
	}
	// The scratch folder lies beside the suite's, where nobody looks for a suite.
	scratch, err := os.MkdirTemp(f.root, scratchPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	fresh := filepath.Join(scratch, "new")
	for _, dir := range []string{fresh, filepath.Dir(dir)} {
		f.writing()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, content := range data {
		f.writing()
		if err := os.WriteFile(filepath.Join(fresh, name), content, 0o644); err != nil {
			return err
		}
	}
	f.writing()
	defer f.writing()
	if !exists(dir) {
		return os.Rename(fresh, dir)
	}
	return exchange(fresh, dir)
}

const scratchPrefix = ".recording-"

// removeScratch removes what recorders that died have left. It runs under the
// lock, so that nobody is at work in there.
func (f *folder) removeScratch() error {
	left, err := os.ReadDir(f.root)
	if err != nil {
		return err
	}
	for _, entry := range left {
		if matched, _ := filepath.Match(scratchPrefix+"*", entry.Name()); matched {
			if err := os.RemoveAll(filepath.Join(f.root, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *folder) writing() {
	if f.onWrite != nil {
		f.onWrite()
	}
}

// sweep has nothing to do: a folder holds one record.
func (f *folder) sweep(context.Context, string, string, int) error { return nil }

// exchangeInTwo puts fresh into the place of dir by two renames. Between them
// there is no baseline for an instant; a failure in between puts the old one back.
func exchangeInTwo(fresh, dir string) error {
	retired := fresh + ".old"
	if err := os.Rename(dir, retired); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(err, os.Rename(retired, dir))
	}
	return nil
}
