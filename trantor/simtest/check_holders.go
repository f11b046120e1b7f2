package simtest

import (
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/types"
)

// proposals is what correct replicas saw proposed, by digest. It checks nothing.
type proposals struct {
	values map[types.Digest]types.Proposal
}

func newProposals() *proposals { return &proposals{values: map[types.Digest]types.Proposal{}} }

func (p *proposals) name() string { return "proposals" }

func (p *proposals) restarted(types.NodeID) {}

func (p *proposals) observe(s sim.Step) error {
	var m mir.Message
	switch e := s.Event.Body.(type) {
	case mir.Received:
		m = e.Msg
	case mir.Send:
		m = e.Msg
	}
	if pre, ok := m.(pbft.PrePrepare); ok {
		p.values[digestOf(pre.Proposal)] = pre.Proposal
	}
	return nil
}

// holders: when a correct replica accepts a proposal, some correct replica holds
// each of its batches, or the batch's number is used up.
type holders struct {
	ground *ground
	values *proposals
	held   map[types.Digest]bool // By some correct replica, which made it durable.
	used   map[numbered]bool     // In the log. The node is zero.
	passed map[types.Digest]bool // Proposals that were checked.
}

func newHolders(g *ground, values *proposals) *holders {
	return &holders{
		ground: g, values: values, held: map[types.Digest]bool{}, used: map[numbered]bool{}, passed: map[types.Digest]bool{},
	}
}

func (h *holders) name() string { return "a certificate has a correct holder" }

// restarted forgets nothing: what is acknowledged is durable.
func (h *holders) restarted(types.NodeID) {}

func (h *holders) observe(s sim.Step) error {
	switch e := s.Event.Body.(type) {
	case mir.Send:
		if m, ok := e.Msg.(pbft.Prepare); ok {
			return h.onAccept(s.Node, m.Digest)
		}
	case types.Persist:
		h.onPersist(e)
	case types.Ordered:
		for _, cert := range e.Proposal.Certs {
			h.used[numbered{creator: cert.Creator, no: cert.No}] = true
		}
	}
	return nil
}

// onPersist notes batches. Their records hold them as they are.
func (h *holders) onPersist(e types.Persist) {
	for _, put := range e.Puts {
		if put.Key[0] == types.RecordsAvailability {
			h.held[types.HashBatch(put.Value)] = true
		}
	}
}

func (h *holders) onAccept(node types.NodeID, d types.Digest) error {
	if h.passed[d] {
		return nil
	}
	h.passed[d] = true
	for _, cert := range h.values.values[d].Certs {
		held := h.held[cert.Batch]
		if cert.Batch != voidDigest && !held && !h.used[numbered{creator: cert.Creator, no: cert.No}] {
			return fmt.Errorf("replica %d accepts a proposal with batch %s, number %d of replica %d: no correct replica ever held it",
				node, cert.Batch, cert.No, cert.Creator)
		}
		if !slices.IsSortedFunc(cert.Sigs, func(a, b types.Signature) int { return int(a.Signer) - int(b.Signer) }) {
			return fmt.Errorf("replica %d accepts a certificate whose signers are not ascending", node)
		}
	}
	return nil
}
