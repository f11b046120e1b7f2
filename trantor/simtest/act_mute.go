package simtest

import (
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/types"
)

// mute says nothing at all to some replicas, and is honest with the others.
type mute struct{ to map[types.NodeID]bool }

func (m *mute) begin(v *villain) {
	m.to = map[types.NodeID]bool{}
	for _, id := range v.others() {
		m.to[id] = chance(v.rng, 2)
	}
}

func (m *mute) fate(_ *villain, p sim.Packet) (sim.Fate, bool) {
	return sim.Fate{Drop: true}, m.to[p.To]
}
