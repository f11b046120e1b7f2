package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/replica"
)

// sampleEvery is how old what the administrator sees may be.
const sampleEvery = time.Second

// sample is the state of the replica between two events.
type sample struct {
	at    time.Time
	stats replica.Stats
}

// probe is the active module that looks into the replica, on the node's
// goroutine, and that boots it: being the first that starts, it has Boot in the
// input before the network and the clock can put anything there.
type probe struct {
	self    mir.ModuleID
	replica *replica.Replica
	last    atomic.Pointer[sample]
	quit    chan struct{}
	done    sync.WaitGroup
	mu      sync.Mutex
	in      mir.Injector // Nil before Start.
}

// look runs a function between two events.
type look struct{ do func() }

func (look) EventName() string { return "server.Look" }

func newProbe(self mir.ModuleID, r *replica.Replica) *probe {
	return &probe{self: self, replica: r, quit: make(chan struct{})}
}

// Start implements mir.Active.
func (p *probe) Start(in mir.Injector) error {
	p.mu.Lock()
	p.in = in
	p.mu.Unlock()
	if err := in.Inject(p.replica.Boot()...); err != nil {
		return err
	}
	p.done.Go(func() { p.run(in) })
	return nil
}

// Stop implements mir.Active.
func (p *probe) Stop() {
	close(p.quit)
	p.done.Wait()
}

// Apply implements mir.Module.
func (p *probe) Apply(ev mir.Event, _ *mir.Out) {
	l, ok := ev.Body.(look)
	if !ok {
		panic(fmt.Sprintf("server: invariant broken: the probe was sent %s", ev.Body.EventName()))
	}
	l.do()
}

func (p *probe) run(in mir.Injector) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if in.Inject(mir.Event{To: p.self, Body: look{do: p.take}}) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-p.quit:
			return
		}
	}
}

func (p *probe) take() { p.last.Store(&sample{at: time.Now(), stats: p.replica.Stats()}) }

// inspect runs do between two events and waits for it.
func (p *probe) inspect(ctx context.Context, do func()) error {
	p.mu.Lock()
	in := p.in
	p.mu.Unlock()
	if in == nil {
		return errors.New("the replica does not run yet")
	}
	done := make(chan struct{})
	if err := in.Inject(mir.Event{To: p.self, Body: look{do: func() { do(); close(done) }}}); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
