package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/perfgate/perfgate/trantor/types"
)

// What Open's errors wrap.
var (
	// ErrCorrupt says that something that was durable is damaged or missing. The
	// replica must not vote from it: it can only come back under a new ID, or be
	// given a healthy disk and the state of its peers as a new replica.
	ErrCorrupt = errors.New("corrupt")
	// ErrForeign says that the directory belongs to another replica or system, or
	// to something else.
	ErrForeign = errors.New("not this replica's store")
	// ErrAbsent says that the directory holds no store, where one must be.
	ErrAbsent = errors.New("there is no store")
	// ErrInUse says that another store has the directory open.
	ErrInUse = errors.New("in use")
)

// Memory: Pebble holds at most two memory tables (2 * 8 MiB) and the cache; the
// index of the records takes about 100 bytes for each.
const (
	cacheBytes    = 8 << 20
	memTableBytes = 8 << 20
	openFilesMax  = 100
)

// Options of a store.
type Options struct {
	Dir      string // Made if it does not exist.
	Identity Identity

	// Existing refuses a directory that holds no store (ErrAbsent), and makes
	// nothing: where a disk is not mounted, a new store would have forgotten every
	// vote.
	Existing bool

	// NoSync leaves out every fsync of a group: what was written is lost when the
	// process ends without Close, and a crash of the machine may leave a store
	// that does not open. It is for measuring what fsync costs.
	NoSync bool

	// OnError, if not nil, is told of errors that Pebble met in the background.
	// It is called from any goroutine and must not block.
	OnError func(error)

	fs       vfs.FS // Nil for the operating system's.
	memTable uint64 // Zero for memTableBytes.
}

// Stats are a store's counters since Open.
type Stats struct {
	Groups    uint64 // Group commits.
	Persists  uint64
	Records   uint64        // Records put.
	Bytes     uint64        // Bytes of their keys and values.
	SyncTime  time.Duration // Spent writing and syncing the groups.
	BytesHeld int           // Bytes of Persist that wait in memory to be written.
}

// Store is an open directory. Its methods are safe for concurrent use, except
// that only one goroutine commits.
type Store struct {
	opts     Options
	fs       vfs.FS
	lock     *pebble.Lock
	db       *pebble.DB
	identity identityFile // As it is on the disk.
	content  content

	flushed atomic.Bool // Pebble has written out a memory table since identity was written.

	failOnce sync.Once
	failed   chan struct{} // Closed after err was set.
	err      error

	groups, persists, records, bytes, held atomic.Uint64
	syncTime                               atomic.Int64
}

// Open opens a directory, or makes it, and reads everything in it. Its errors
// name the directory, and wrap ErrCorrupt, ErrForeign, ErrAbsent or ErrInUse where
// that is what is wrong.
func Open(opts Options) (*Store, error) {
	if err := opts.Identity.validate(); err != nil {
		return nil, fmt.Errorf("opening store %s: %w", opts.Dir, err)
	}
	s := &Store{opts: opts, fs: opts.fs, failed: make(chan struct{}), content: newContent()}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	if s.opts.memTable == 0 {
		s.opts.memTable = memTableBytes
	}
	if err := s.open(); err != nil {
		_ = s.Close() // What went wrong first is what counts.
		return nil, fmt.Errorf("opening store %s: %w", opts.Dir, err)
	}
	return s, nil
}

func (s *Store) open() error {
	if s.opts.Existing {
		if _, found, err := readIdentity(s.fs, s.opts.Dir); err == nil && !found {
			return ErrAbsent
		}
	}
	if err := makeDir(s.fs, s.opts.Dir); err != nil {
		return err
	}
	lock, err := pebble.LockDirectory(s.opts.Dir, s.fs)
	if err != nil {
		return fmt.Errorf("%w by another process, or by this one: stop it first (%w)", ErrInUse, err)
	}
	s.lock = lock
	if err := s.identify(); err != nil {
		return err
	}
	if err := checkLogs(s.fs, s.opts.Dir, s.identity.secret); err != nil {
		return err
	}
	if err := s.guard(s.openPebble); err != nil {
		return err
	}
	if err := s.guard(s.check); err != nil {
		return err
	}
	if s.content.groups == 0 {
		// With a first group, a store that has lost everything is no new store.
		if err := s.Commit(); err != nil {
			return err
		}
	}
	return s.noteGroups()
}

// makeDir makes a directory, and those above it that do not exist, each of them
// durably: a directory that a crash takes away is a new store after it, which has
// forgotten every vote. Pebble syncs what is right above its own directory only.
func makeDir(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); err == nil {
		return nil // Whoever made it, Pebble syncs its name.
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := fsys.PathDir(dir)
	if parent != dir {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fsys, parent)
}

// identify checks whose directory it is, and makes an empty one this replica's.
func (s *Store) identify() error {
	id, found, err := readIdentity(s.fs, s.opts.Dir)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case found && id.Identity != s.opts.Identity:
		return fmt.Errorf("%w: it belongs to replica %d of system %q, want replica %d of system %q; give each replica a directory of its own",
			ErrForeign, id.Replica, id.System, s.opts.Identity.Replica, s.opts.Identity.System)
	case found:
		s.identity = id
		return nil
	}
	names, err := s.fs.List(s.opts.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != "LOCK" && !strings.HasPrefix(name, identityName) {
			return fmt.Errorf("%w: it has no file %s, and is not empty (%s); give the replica an empty directory",
				ErrForeign, identityName, name)
		}
	}
	s.identity = newIdentity(s.opts.Identity)
	return writeIdentity(s.fs, s.opts.Dir, s.identity)
}

func (s *Store) openPebble() error {
	opts := &pebble.Options{
		FS: s.fs, Lock: s.lock,
		FormatMajorVersion: pebble.FormatTableFormatV6,
		CacheSize:          cacheBytes, MemTableSize: s.opts.memTable, MaxOpenFiles: openFilesMax,
		// Statistics are for choosing compactions among many tables, and read
		// every table in the background.
		DisableTableStats: true,
		Logger:            logger{s},
		EventListener: &pebble.EventListener{
			BackgroundError: s.park, // Pebble would try again and again.
			DataCorruption:  func(info pebble.DataCorruptionInfo) { s.park(fmt.Errorf("%w: %v", ErrCorrupt, info)) },
			FlushEnd:        func(pebble.FlushInfo) { s.flushed.Store(true) },
		},
	}
	db, err := pebble.Open(s.opts.Dir, opts)
	if err != nil {
		return classify(err)
	}
	s.db = db
	return nil
}

// classify marks what Pebble calls corrupt.
func classify(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// Records is everything that is durable, by ascending key.
func (s *Store) Records() ([]types.Record, error) {
	var records []types.Record
	err := s.guard(func() error {
		return s.scan(func(key, value []byte) {
			records = append(records, types.Record{Key: bytes.Clone(key), Value: bytes.Clone(value)})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading store %s: %w", s.opts.Dir, err)
	}
	return records, nil
}

// scan visits all records in order.
func (s *Store) scan(visit func(key, value []byte)) (err error) {
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: firstRecord})
	if err != nil {
		return err
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return errors.Join(classify(err), iter.Close())
		}
		visit(iter.Key(), value)
	}
	if err := iter.Close(); err != nil {
		return classify(err)
	}
	return nil
}

// check reads everything and compares it with what the last group left.
func (s *Store) check() error {
	if err := s.scan(s.content.put); err != nil {
		return err
	}
	var last header
	value, closer, err := s.db.Get(headerKey)
	if err == nil {
		last, err = decodeHeader(value)
		err = errors.Join(err, closer.Close())
	} else if errors.Is(err, pebble.ErrNotFound) {
		err = nil
	}
	switch {
	case err != nil:
		return classify(err)
	case last.groups > 0 && last.secret != s.identity.secret:
		return fmt.Errorf("%w: the file %s is that of another store", ErrCorrupt, identityName)
	case last.groups < s.identity.groups:
		return fmt.Errorf("%w: %d groups were durable, and %d are there", ErrCorrupt, s.identity.groups, last.groups)
	case last.sum != s.content.sum:
		return fmt.Errorf("%w: the records are not those that group %d left", ErrCorrupt, last.groups)
	}
	s.content.groups = last.groups
	return nil
}

// Commit makes persists durable, all of them or none, in one group. What is in
// their Then is the caller's business. After an error every Commit fails.
func (s *Store) Commit(persists ...types.Persist) error {
	for _, p := range persists {
		mustBeRecords(p)
	}
	begin := time.Now()
	batch := s.db.NewBatch()
	records, size, err := s.content.fill(batch, persists, s.identity.secret)
	if err == nil {
		err = s.guard(func() error {
			if err := batch.Commit(&pebble.WriteOptions{Sync: !s.opts.NoSync}); err != nil {
				return err
			}
			return batch.Close()
		})
	}
	if err == nil && s.flushed.Swap(false) {
		err = s.noteGroups()
	}
	if err != nil {
		s.fail(err)
		return fmt.Errorf("writing to store %s: %w", s.opts.Dir, err)
	}
	s.groups.Add(1)
	s.persists.Add(uint64(len(persists)))
	s.records.Add(records)
	s.bytes.Add(size)
	s.syncTime.Add(int64(time.Since(begin)))
	return nil
}

// noteGroups writes down how many groups there are at least.
func (s *Store) noteGroups() error {
	id := s.identity
	if id.groups = s.content.groups; id == s.identity || s.opts.NoSync {
		return nil
	}
	if err := s.guard(func() error { return writeIdentity(s.fs, s.opts.Dir, id) }); err != nil {
		return err
	}
	s.identity = id
	return nil
}

// Stats may be called at any time.
func (s *Store) Stats() Stats {
	return Stats{
		Groups: s.groups.Load(), Persists: s.persists.Load(), Records: s.records.Load(), Bytes: s.bytes.Load(),
		SyncTime: time.Duration(s.syncTime.Load()), BytesHeld: int(s.held.Load()),
	}
}

// Close writes out what Pebble has in memory and gives the directory up. Nothing
// may commit any more. A store that failed stays locked until the process ends:
// Pebble cannot be stopped where it met an error that it calls fatal.
func (s *Store) Close() error {
	var err error
	if s.db != nil {
		err = s.guard(func() error { return errors.Join(s.db.Flush(), s.db.Close()) })
		if err == nil && s.content.groups >= s.identity.groups {
			err = s.noteGroups()
		}
	}
	if s.lock != nil && !s.hasFailed() {
		err = errors.Join(err, s.lock.Close())
	}
	s.db, s.lock = nil, nil
	return err
}

// guard runs f where Pebble may panic, or meet an error that it calls fatal and
// stop there for ever.
func (s *Store) guard(f func() error) error {
	if s.hasFailed() {
		return s.err
	}
	result := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				s.fail(fmt.Errorf("panic: %v", r))
			}
		}()
		result <- f()
	}()
	select {
	case err := <-result:
		return err
	case <-s.failed:
		return s.err
	}
}

// fail ends the store for good.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		s.err = err
		close(s.failed)
	})
	s.report(err)
}

// park ends the store and stops one of Pebble's goroutines, which may hold any
// lock, where it is: it must not go on, and ending the process is not a library's
// business.
func (s *Store) park(err error) {
	s.fail(err)
	select {}
}

func (s *Store) hasFailed() bool {
	select {
	case <-s.failed:
		return true
	default:
		return false
	}
}

func (s *Store) report(err error) {
	if s.opts.OnError != nil {
		s.opts.OnError(err)
	}
}

// logger is Pebble's.
type logger struct{ s *Store }

// Infof implements pebble.Logger.
func (logger) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l logger) Errorf(format string, args ...any) { l.s.report(fmt.Errorf(format, args...)) }

// Fatalf implements pebble.Logger. It must not return.
func (l logger) Fatalf(format string, args ...any) { l.s.park(fmt.Errorf(format, args...)) }
