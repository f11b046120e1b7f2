package simtest

import (
	"fmt"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// sampleEvery is how many steps lie between two looks at what replicas hold.
const sampleEvery = 1000

// bounds: what a correct replica holds stays within what its settings allow,
// whatever faulty ones send. That nothing grows where a bound is in bytes that no
// short run reaches is the business of a test of its own, which floods.
type bounds struct {
	ground *ground
	look   func(types.NodeID) *replica.Replica
}

func newBounds(g *ground, look func(types.NodeID) *replica.Replica) *bounds {
	return &bounds{ground: g, look: look}
}

func (b *bounds) name() string { return "bounded memory" }

func (b *bounds) restarted(types.NodeID) {}

func (b *bounds) observe(s sim.Step) error {
	if s.N%sampleEvery != 0 {
		return nil
	}
	r := b.look(s.Node)
	if r == nil {
		return nil
	}
	if held, most := r.Stats().BatchesHeld, b.batchesMost(); held > most {
		return fmt.Errorf("replica %d holds %d batches, at most %d are allowed", s.Node, held, most)
	}
	return nil
}

// batchesMost is the most batches that a replica may hold: a window of each
// creator, the slots of the epochs that have no stable checkpoint, those that
// outlive it, and the current one.
func (b *bounds) batchesMost() int {
	p := b.ground.params
	epochs := p.EpochsAheadMax + p.KeepEpochs + 1
	return b.ground.replicas*p.BatchWindow + epochs*p.EpochLength*p.CertsPerSlotMax
}
