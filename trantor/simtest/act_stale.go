package simtest

import (
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/types"
)

// replayer sends again what it sent long ago: votes of past epochs and views,
// view changes, new views, batches, whatever its twin said.
type replayer struct{ past []sim.Packet }

const (
	pastMost     = 256
	replayPeriod = 20 * time.Millisecond
)

func (r *replayer) begin(v *villain) {
	v.every(replayPeriod, func() {
		if len(r.past) == 0 {
			return
		}
		p := r.past[v.rng.IntN(len(r.past))]
		v.send(p.Dest, p.Sub, p.Msg.(types.WireMessage), v.somebody())
	})
}

// fate passes everything on and keeps a sample of it, evenly over the run.
func (r *replayer) fate(v *villain, p sim.Packet) (sim.Fate, bool) {
	if len(r.past) < pastMost {
		r.past = append(r.past, p)
	} else if chance(v.rng, 8) {
		r.past[v.rng.IntN(pastMost)] = p
	}
	return sim.Fate{}, false
}
