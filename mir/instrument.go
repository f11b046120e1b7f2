package mir

import (
	"context"
	"time"
)

// Instrument watches the goroutines that apply a node's events. Package
// instrument has one, with profiler labels, trace regions and times.
type Instrument interface {
	// Probe makes the probe of one goroutine, the one that calls it: the
	// node's loop ("loop") or a lane, by its name. Ctx is that of Run.
	Probe(ctx context.Context, lane string) Probe
	// Spent is how long a module has been at work, as far as that was
	// measured. It may be called from any goroutine.
	Spent(id ModuleID) time.Duration
}

// Probe watches one goroutine. It is not told of every event but of batches: of
// when the turn passes from one module to another.
type Probe interface {
	// Turn is called before module to applies events, unless it was its turn
	// already. Zero is nobody: the goroutine is about to wait for input or to
	// end.
	Turn(to ModuleID)
}

// watch gives a machine the probe of the goroutine that calls, and returns what
// ends it.
func watch(ctx context.Context, i Instrument, lane string, m *Machine) (end func()) {
	if i != nil {
		m.probe = i.Probe(ctx, lane)
	}
	return m.rest
}
