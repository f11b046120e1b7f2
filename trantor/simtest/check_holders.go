package simtest

import (
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/availability"
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

// batchOf is a batch of a creator.
type batchOf struct {
	creator types.NodeID
	no      types.BatchNo
	digest  types.Digest
}

// holders: when a correct replica accepts a proposal, some correct replica holds
// each of its batches, or the batch's number is used up.
type holders struct {
	ground *ground
	values *proposals
	held   map[batchOf]bool      // By some correct replica.
	used   map[numbered]bool     // In the log. The node is zero.
	passed map[types.Digest]bool // Proposals that were checked.
}

func newHolders(g *ground, values *proposals) *holders {
	return &holders{
		ground: g, values: values, held: map[batchOf]bool{}, used: map[numbered]bool{}, passed: map[types.Digest]bool{},
	}
}

func (h *holders) name() string { return "a certificate has a correct holder" }

// restarted forgets nothing: what is acknowledged is durable.
func (h *holders) restarted(types.NodeID) {}

func (h *holders) observe(s sim.Step) error {
	switch e := s.Event.Body.(type) {
	case mir.Send:
		return h.onSend(s.Node, e)
	case types.Ordered:
		for _, cert := range e.Proposal.Certs {
			h.used[numbered{creator: cert.Creator, no: cert.No}] = true
		}
	}
	return nil
}

func (h *holders) onSend(node types.NodeID, e mir.Send) error {
	switch m := e.Msg.(type) {
	case availability.Batch:
		h.held[batchOf{node, m.No, types.HashBatch(m.Data)}] = true
	case availability.Ack:
		for _, creator := range e.To {
			h.held[batchOf{creator, m.No, m.Batch}] = true
		}
	case pbft.Prepare:
		return h.onAccept(node, m.Digest)
	}
	return nil
}

func (h *holders) onAccept(node types.NodeID, d types.Digest) error {
	if h.passed[d] {
		return nil
	}
	h.passed[d] = true
	for _, cert := range h.values.values[d].Certs {
		held := h.held[batchOf{cert.Creator, cert.No, cert.Batch}]
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
