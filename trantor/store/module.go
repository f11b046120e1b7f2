package store

import (
	"fmt"
	"slices"
	"sync"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Bounds of what waits to be written. Above the high-water mark clients are held
// until it is below the low one. What peers cause is bounded by the protocol's
// windows, so more than the limit is a disk that cannot keep up with them: the
// node stops before its memory is full.
const (
	queueBytesHigh = 16 << 20
	queueBytesLow  = 4 << 20
	queueBytesMax  = 1 << 30
	// A group is one batch in memory, unless a single Persist is larger.
	groupBytesMax = 4 << 20
	// What a Persist costs in memory beside its records.
	persistBytes = 256
)

// Module is the store as a module of a node, for one run of it. Only one may run
// at a time, and the store stays open when it stops.
func (s *Store) Module() mir.Active {
	return &module{
		store: s, limits: limits{queueBytesHigh, queueBytesLow, queueBytesMax, groupBytesMax},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// limits are bytes of Persist, as size counts them.
type limits struct{ high, low, most, group int }

type module struct {
	store  *Store
	limits limits
	in     mir.Injector

	mu     sync.Mutex
	queue  []types.Persist
	bytes  int  // Of queue, and of the group that is being written.
	held   bool // Clients are held.
	failed bool // Nothing is accepted any more.

	wake chan struct{} // Capacity 1: there is something in queue.
	stop chan struct{} // Closed by Stop.
	done chan struct{} // Closed when the goroutine has ended.
}

// Apply implements mir.Module. It never waits for the disk.
func (m *module) Apply(ev mir.Event, _ *mir.Out) {
	p, ok := ev.Body.(types.Persist)
	if !ok {
		panic("store: invariant broken: the store was sent " + ev.Body.EventName())
	}
	mustBeRecords(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed {
		return
	}
	m.queue = append(m.queue, p)
	m.account(size(p))
	if m.bytes > m.limits.most {
		m.failed = true
		m.in.Fail(fmt.Errorf("store %s: %d bytes wait to be written, limit %d: the disk is too slow",
			m.store.opts.Dir, m.bytes, m.limits.most))
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// account adds to what waits, and holds or releases clients. The caller has mu.
func (m *module) account(bytes int) {
	m.bytes += bytes
	m.store.held.Store(uint64(m.bytes))
	switch {
	case !m.held && m.bytes > m.limits.high:
		m.held = true
		m.in.HoldClients()
	case m.held && m.bytes <= m.limits.low:
		m.held = false
		m.in.ReleaseClients()
	}
}

// Start implements mir.Active.
func (m *module) Start(in mir.Injector) error {
	m.in = in
	go m.run()
	return nil
}

// Stop implements mir.Active. What waits is lost, as in a crash.
func (m *module) Stop() {
	close(m.stop)
	<-m.done
}

func (m *module) run() {
	defer close(m.done)
	for {
		select {
		case <-m.stop:
			return
		case <-m.store.failed:
			m.in.Fail(fmt.Errorf("store %s: %w", m.store.opts.Dir, m.store.err))
			return
		case <-m.wake:
		}
		for group := m.take(); len(group) > 0; group = m.take() {
			if err := m.commit(group); err != nil {
				return
			}
		}
	}
}

// take is the next group.
func (m *module) take() []types.Persist {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed {
		return nil
	}
	n, bytes := 0, 0
	for n < len(m.queue) && (n == 0 || bytes+size(m.queue[n]) <= m.limits.group) {
		bytes += size(m.queue[n])
		n++
	}
	group := slices.Clone(m.queue[:n])
	m.queue = slices.Delete(m.queue, 0, n) // Lets go of what was taken.
	return group
}

// commit makes a group durable and injects its Then.
func (m *module) commit(group []types.Persist) error {
	if err := m.store.Commit(group...); err != nil {
		m.mu.Lock()
		m.failed = true
		m.mu.Unlock()
		m.in.Fail(err)
		return err
	}
	bytes := 0
	var then []mir.Event
	for _, p := range group {
		bytes += size(p)
		then = append(then, p.Then...)
	}
	m.mu.Lock()
	m.account(-bytes)
	m.mu.Unlock()
	return m.in.Inject(then...)
}

// size is about what a Persist takes in memory.
func size(p types.Persist) int {
	n := persistBytes
	for _, r := range p.Puts {
		n += len(r.Key) + len(r.Value)
	}
	for _, r := range p.Deletes {
		n += len(r.From) + len(r.To)
	}
	return n
}
