package server

import (
	"context"
	"errors"
	"testing"

	"github.com/perfgate/perfgate/mir"
)

// stuck is the way into a node that takes nothing more before it ends.
type stuck struct {
	mir.Injector
	waiting chan struct{} // Closed when somebody injects.
	ended   chan struct{}
}

func (s stuck) Inject(...mir.Event) error {
	close(s.waiting)
	<-s.ended
	return mir.ErrStopped
}

func TestWhoInspectsAStuckNodeCanGiveUp(t *testing.T) {
	p := newProbe(1, nil, nil)
	in := stuck{waiting: make(chan struct{}), ended: make(chan struct{})}
	p.runs.Store(true)
	p.done.Go(func() { p.run(in) })
	<-in.waiting
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.inspect(ctx, func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("inspecting a stuck node: %v", err)
	}
	close(in.ended)
	p.Stop()
	if err := p.inspect(t.Context(), func() {}); !errors.Is(err, errNotRunning) {
		t.Errorf("inspecting a node that has ended: %v", err)
	}
}
