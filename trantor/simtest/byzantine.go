package simtest

import (
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// byzantine turns what the Byzantine replicas of a scenario send into what a
// cunning replica might send: as leaders they propose one thing to the replicas
// with even numbers and another to those with odd ones, whom they also deny
// their commits and new views.
type byzantine struct {
	scenario Scenario
	earlier  map[types.NodeID]types.Proposal // The last proposal with certificates, to be proposed again.
}

func newByzantine(s Scenario) *byzantine {
	return &byzantine{scenario: s, earlier: map[types.NodeID]types.Proposal{}}
}

// filter is a sim.Filter.
func (b *byzantine) filter(p sim.Packet) sim.Fate {
	for _, id := range b.scenario.Byzantine {
		if id == p.From {
			return b.fate(p)
		}
	}
	return sim.Fate{}
}

func (b *byzantine) fate(p sim.Packet) sim.Fate {
	odd := p.To%2 == 1
	switch m := p.Msg.(type) {
	case pbft.PrePrepare:
		if len(m.Proposal.Certs) > 0 {
			defer func() { b.earlier[p.From] = m.Proposal }()
		}
		if odd {
			return sim.Fate{Replace: b.otherProposal(p.From, p.Sub, m)}
		}
	case pbft.Commit, pbft.NewView:
		return sim.Fate{Drop: odd}
	}
	return sim.Fate{}
}

// otherProposal is a validly signed proposal for the same slot: nothing instead
// of something, and something that was proposed before instead of nothing. An
// instance of its own signs it, which knows nothing of the first.
func (b *byzantine) otherProposal(leader types.NodeID, sub mir.SubID, m pbft.PrePrepare) mir.Message {
	var other types.Proposal
	if len(m.Proposal.Certs) == 0 {
		other = b.earlier[leader]
	}
	epoch := types.Epoch(m.Seq / types.SeqNr(b.scenario.Params.EpochLength))
	twin := pbft.New(pbft.Config{
		Node: leader, Members: quorum.Equal(b.scenario.N), Crypto: crypto.NewSimulated(b.scenario.Seed, leader, b.scenario.N),
		Log: 1, Net: 1, Timer: 1, Timeout: time.Second, Stats: &pbft.Stats{},
		Validate: func(types.Proposal) error { return nil },
	}, types.Segment{Epoch: epoch, Leader: leader, Slots: []types.SeqNr{m.Seq}}, sub)
	var out mir.Out
	twin.Apply(mir.Event{To: 1, Sub: sub, Body: types.Propose{Seq: m.Seq, Proposal: other}}, &out)
	for _, ev := range out.Events() {
		if send, ok := ev.Body.(mir.Send); ok {
			return send.Msg
		}
	}
	panic("simtest: invariant broken: a leader sent no proposal")
}
