package simtest

import (
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/types"
)

// withholder gives its batches to no more replicas than it needs for a
// certificate, serves none to those who ask, and acknowledges nothing to replicas
// with odd numbers.
type withholder struct{}

func (withholder) begin(*villain) {}

func (withholder) fate(v *villain, p sim.Packet) (sim.Fate, bool) {
	switch p.Msg.(type) {
	case availability.Batch:
		return sim.Fate{Drop: true}, !v.chosen(p.To)
	case availability.Response:
		return sim.Fate{Drop: true}, true
	case availability.Ack:
		return sim.Fate{Drop: true}, p.To%2 == 1
	}
	return sim.Fate{}, false
}

// chosen tells whether a replica is one of the first whose weight makes a
// certificate together with the villain's.
func (v *villain) chosen(to types.NodeID) bool {
	members := v.world.members
	weight := members.Weight(v.id)
	for _, id := range v.others() {
		if members.HasCorrect(weight) {
			return false
		}
		if id == to {
			return true
		}
		weight += members.Weight(id)
	}
	return false
}
