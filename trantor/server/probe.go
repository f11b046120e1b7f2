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
	"github.com/perfgate/perfgate/trantor/types"
)

// sampleEvery is how old what the administrator sees may be.
const sampleEvery = time.Second

// sample is the state of the replica between two events.
type sample struct {
	at     time.Time
	stats  replica.Stats
	stable types.Epoch // How many epochs were final here then.
}

// probe is the active module that looks into the replica, on the node's
// goroutine, and that boots it: being the first that starts, it has Boot in the
// input before the network and the clock can put anything there.
type probe struct {
	self    mir.ModuleID
	replica *replica.Replica
	results *results
	last    atomic.Pointer[sample]
	// asks are what inspect wants to run. One goroutine alone waits for room in
	// the node's input, and whoever inspects can give up.
	asks chan func()
	runs atomic.Bool
	quit chan struct{}
	done sync.WaitGroup
}

// look runs a function between two events.
type look struct{ do func() }

func (look) EventName() string { return "server.Look" }

func newProbe(self mir.ModuleID, r *replica.Replica, results *results) *probe {
	return &probe{self: self, replica: r, results: results, asks: make(chan func()), quit: make(chan struct{})}
}

// Start implements mir.Active.
func (p *probe) Start(in mir.Injector) error {
	if err := in.Inject(p.replica.Boot()...); err != nil {
		return err
	}
	p.runs.Store(true)
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
	do := p.take
	for {
		if in.Inject(mir.Event{To: p.self, Body: look{do: do}}) != nil {
			return
		}
		select {
		case <-tick.C:
			do = p.take
		case do = <-p.asks:
		case <-p.quit:
			return
		}
	}
}

func (p *probe) take() {
	s := &sample{at: time.Now(), stats: p.replica.Stats()}
	if stable := p.results.stable.Load(); stable != nil {
		s.stable = stable.Epoch + 1
	}
	p.last.Store(s)
}

// errNotRunning is what inspect says before the node starts and after it stopped.
var errNotRunning = errors.New("the replica does not run")

// inspect runs do between two events and waits for it, or for the end of ctx: do
// may still run later then.
func (p *probe) inspect(ctx context.Context, do func()) error {
	if !p.runs.Load() {
		return errNotRunning
	}
	done := make(chan struct{})
	select {
	case p.asks <- func() { do(); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.quit:
		return errNotRunning
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.quit:
		return errNotRunning
	}
}
