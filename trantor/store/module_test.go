package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/perfgate/perfgate/mir"
)

// gate is a file system whose logs are synced only while the test lets them, and
// then succeed or fail as it says.
type gate struct {
	mu  sync.Mutex
	err error
}

func (g *gate) String() string { return "gate" }

// MaybeError implements errorfs.Injector.
func (g *gate) MaybeError(op errorfs.Op) error {
	if !strings.HasSuffix(op.Path, ".log") || op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

// start runs a module of the store with the limits given.
func start(t *testing.T, s *Store, l limits) (*module, *injector) {
	t.Helper()
	m, in := s.Module().(*module), newInjector()
	if l != (limits{}) {
		m.limits = l
	}
	if err := m.Start(in); err != nil {
		t.Fatal(err)
	}
	return m, in
}

func TestThenFollowsInTheOrderOfPersist(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := mustOpen(t, vfs.NewMem())
	m, in := start(t, s, limits{})
	const n = 500
	for i := range n {
		m.Apply(mir.Event{Body: numbered(i)}, nil)
	}
	for i := range n {
		if ev := <-in.events; ev.To != 1 || ev.Body != done(i) {
			t.Fatalf("Then number %d is %v", i, ev)
		}
	}
	m.Stop()
	if got := s.Stats(); got.Persists != n || got.Records != n || got.Bytes != n*105 || got.Groups < 2 || got.Groups > n+1 || got.SyncTime <= 0 || got.BytesHeld != 0 {
		t.Errorf("stats %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestItServesANode(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := mustOpen(t, vfs.NewMem())
	var names mir.Names
	store, app := names.Intern("store"), names.Intern("app")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	got := 0
	node, err := mir.NewNode(mir.NodeConfig{Names: &names, Modules: []mir.Registration{
		{ID: store, Module: s.Module()},
		{ID: app, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			if got++; got == 10 {
				stop()
			}
			p := numbered(got)
			p.Then[0].To = app
			out.Emit(store, p)
		})},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Inject(ctx, mir.Event{To: app, Body: done(0)}); err != nil {
		t.Fatal(err)
	}
	if err := node.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if records, err := s.Records(); err != nil || len(records) < 9 {
		t.Errorf("%d records, %v, want those of the steps before the last", len(records), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedWriteStopsTheNodeAndNothingOfItsThenLeaves(t *testing.T) {
	g := &gate{}
	s := mustOpen(t, errorfs.Wrap(vfs.NewMem(), g))
	m, in := start(t, s, limits{})
	m.Apply(mir.Event{Body: numbered(0)}, nil)
	<-in.events
	broken := errors.New("the disk is broken")
	g.fail(broken)
	m.Apply(mir.Event{Body: numbered(1)}, nil)
	if err := <-in.failed; !strings.Contains(err.Error(), broken.Error()) || !strings.Contains(err.Error(), dir) {
		t.Errorf("the node stops with %v", err)
	}
	g.fail(nil) // A disk that recovers does not help: nobody knows what it holds.
	m.Apply(mir.Event{Body: numbered(2)}, nil)
	m.Stop()
	select {
	case ev := <-in.events:
		t.Errorf("%v left", ev)
	default:
	}
	if err := s.Commit(numbered(3)); err == nil {
		t.Error("a store that failed still commits")
	}
	if err := s.Close(); err == nil {
		t.Error("a store that failed closes without an error")
	}
}

func TestABacklogHoldsClientsAndIsBounded(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	one := size(numbered(0))
	l := limits{high: 3 * one, low: one, most: 5 * one, group: 2 * one}
	m := s.Module().(*module)
	in := newInjector()
	m.limits, m.in = l, in // Not running: the disk is infinitely slow.
	hold := func() (n int) {
		for {
			select {
			case d := <-in.holds:
				n += d
			default:
				return n
			}
		}
	}
	for i := range 3 {
		m.Apply(mir.Event{Body: numbered(i)}, nil)
	}
	if hold() != 0 {
		t.Error("clients are held at the high-water mark")
	}
	m.Apply(mir.Event{Body: numbered(3)}, nil)
	m.Apply(mir.Event{Body: numbered(4)}, nil)
	if hold() != 1 || s.Stats().BytesHeld != 5*one {
		t.Errorf("clients are not held once above it, with %d bytes", s.Stats().BytesHeld)
	}
	for i, want := range []int{2, 2, 1} { // Groups of at most two.
		group := m.take()
		if err := m.commit(group); err != nil || len(group) != want {
			t.Fatalf("group %d has %d, want %d; %v", i, len(group), want, err)
		}
	}
	if hold() != -1 || len(in.events) != 5 {
		t.Errorf("clients are not released, with %d Then", len(in.events))
	}
	for i := range 6 {
		m.Apply(mir.Event{Body: numbered(i)}, nil)
	}
	select {
	case err := <-in.failed:
		if !strings.Contains(err.Error(), fmt.Sprintf("limit %d", 5*one)) {
			t.Errorf("the node stops with %v", err)
		}
	default:
		t.Error("the node does not stop above the limit")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAPersistWithoutRecordsKeepsItsPlace(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	m, in := start(t, s, limits{})
	for i := range 20 {
		p := numbered(i)
		if i%2 == 1 {
			p.Puts = nil
		}
		m.Apply(mir.Event{Body: p}, nil)
	}
	for i := range 20 {
		if ev := <-in.events; ev.Body != done(i) {
			t.Fatalf("Then number %d is %v", i, ev)
		}
	}
	m.Stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
