package simtest

import (
	"bytes"
	"slices"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/types"
)

// forger proposes certificates that are none, in slots of its own: too light,
// with wrong signatures, of another creator, with signers twice, for batches that
// exist nowhere, or used up long ago.
type forger struct {
	seen []types.Certificate // That were proposed, to be changed and used again.
}

// seenMost bounds what a forger remembers.
const seenMost = 32

func (*forger) begin(*villain) {}

func (f *forger) fate(v *villain, p sim.Packet) (sim.Fate, bool) {
	m, ok := p.Msg.(pbft.PrePrepare)
	if !ok {
		return sim.Fate{}, false
	}
	for _, c := range m.Proposal.Certs {
		if len(f.seen) < seenMost {
			f.seen = append(f.seen, c)
		}
	}
	if len(f.seen) == 0 || chance(v.rng, 2) {
		return sim.Fate{}, false
	}
	cert := f.forge(v, f.seen[v.rng.IntN(len(f.seen))])
	certs := append(slices.Clone(m.Proposal.Certs), cert)
	if most := v.world.scenario.Params.CertsPerSlotMax; len(certs) > most {
		certs = certs[len(certs)-most:] // More are refused for their number alone.
	}
	return sim.Fate{Replace: v.prePrepare(p.Sub, m.Seq, types.Proposal{Certs: certs})}, true
}

// forge makes a bad certificate of a good one.
func (f *forger) forge(v *villain, c types.Certificate) types.Certificate {
	c.Sigs = slices.Clone(c.Sigs)
	switch v.rng.IntN(7) {
	case 0: // Too light.
		c.Sigs = c.Sigs[:1]
	case 1: // A signature of somebody else.
		c.Sigs[0].Sig = bytes.Clone(c.Sigs[len(c.Sigs)-1].Sig)
		c.Sigs[0].Sig[0] ^= 1
	case 2: // Of another creator.
		c.Creator = v.somebody()
	case 3: // One signer counted twice.
		c.Sigs = append(c.Sigs, c.Sigs[len(c.Sigs)-1])
	case 4: // A batch that exists nowhere, signed by the forger alone.
		c.Batch, c.Creator = v.randomDigest(), v.id
		c.No += types.BatchNo(v.rng.IntN(4))
		for i := range c.Sigs {
			c.Sigs[i] = types.Signature{Signer: c.Sigs[i].Signer, Sig: v.sign(availability.AckDomain, c.Batch[:])}
		}
	case 5: // A number that is far away.
		c.No += 1 << 40
	case 6: // Nothing wrong, but used again.
	}
	return c
}
