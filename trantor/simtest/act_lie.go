package simtest

import (
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/types"
)

// liar tells those who ask what is not so: other decisions, other states at the
// end of epochs, certificates that say something else than was signed, spoilt
// pieces of snapshots.
type liar struct{}

// tagsStateTransfer is where the wire tags of state transfer begin.
const tagsStateTransfer = 60

func (liar) begin(*villain) {}

func (liar) fate(v *villain, p sim.Packet) (sim.Fate, bool) {
	switch m := p.Msg.(type) {
	case pbft.Decision:
		other := types.Proposal{}
		if len(m.Proposal.Certs) == 0 {
			other.Certs = []types.Certificate{{Creator: v.id, Batch: v.randomDigest()}}
		}
		return sim.Fate{Replace: pbft.Decision{Seq: m.Seq, Proposal: other}}, true
	case checkpoint.Vote:
		m.Digest[0] ^= 1
		m.Sig = v.sign(checkpoint.DomainVote, checkpoint.Statement(m.Epoch, m.Digest))
		return sim.Fate{Replace: m}, true
	case checkpoint.Certificate:
		m.Digest[0] ^= 1
		return sim.Fate{Replace: m}, true
	}
	if m, ok := p.Msg.(types.WireMessage); ok && m.WireTag() >= tagsStateTransfer {
		return sim.Fate{Wire: v.spoil(p.Msg)}, true
	}
	return sim.Fate{}, false
}
