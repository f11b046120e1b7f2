package delivery

import (
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// DomainReconfig is what votes for a change of the configuration are signed for.
const DomainReconfig crypto.Domain = "trantor/delivery/reconfig"

// openVotesMax is for how many changes a voter's votes are kept; with one more
// the oldest is forgotten. No member can keep a change of others out that way.
const openVotesMax = 4

// voter is what is remembered of a member's votes.
type voter struct {
	last uint64         // The highest number of a vote.
	open []types.Member // The changes voted for and not made, oldest first.
}

// SignReconfig signs a vote with the voter's replica key.
func SignReconfig(c crypto.Crypto, r types.Reconfig) types.Reconfig {
	r.Sig = c.Sign(DomainReconfig, r.Statement())
	return r
}

// CheckVote reports why a payload can be no vote: it does not decode, or it is not
// signed by one of the replicas below slots, which are those that were, are or will
// be members.
//
// Whether the voter is a member now is not asked: that is a matter of the epoch in
// which the vote is delivered. This answer is one that all correct replicas come
// to, since configurations only grow and keys never change. A correct replica may
// therefore refuse what another one has put into a batch only until it knows the
// same configuration.
func CheckVote(c crypto.Crypto, payload []byte, slots int) error {
	vote, err := types.DecodeReconfig(payload)
	if err != nil {
		return err
	}
	if uint64(vote.Voter) >= uint64(slots) {
		return fmt.Errorf("vote of replica %d, which no configuration has", vote.Voter)
	}
	return c.Verify(vote.Voter, DomainReconfig, vote.Statement(), vote.Sig)
}

// onVote counts a vote by the configuration of the epoch that is executed.
func (d *Delivery) onVote(payload []byte) types.ReconfigResult {
	vote, err := types.DecodeReconfig(payload)
	if err != nil {
		return types.ReconfigResult{Status: types.ReconfigMalformed}
	}
	config := d.executingConfig()
	if !config.Members.Has(vote.Voter) || d.cfg.Crypto.Verify(vote.Voter, DomainReconfig, vote.Statement(), vote.Sig) != nil {
		return types.ReconfigResult{Status: types.ReconfigStranger}
	}
	v := d.voters[vote.Voter]
	if v != nil && vote.No <= v.last {
		return types.ReconfigResult{Status: types.ReconfigStale}
	}
	if at := int(vote.Change.Node); at < len(d.coming.Members) && d.coming.Members[at].Equal(vote.Change) {
		return types.ReconfigResult{Status: types.ReconfigApplied, Epoch: d.nextConfig()}
	}
	changed, err := d.coming.With(vote.Change)
	if err != nil || !d.canRun(changed) {
		return types.ReconfigResult{Status: types.ReconfigInvalid}
	}
	if d.changes >= types.ConfigChangesMax/d.cfg.ConfigDelay {
		return types.ReconfigResult{Status: types.ReconfigTooMany}
	}
	if v == nil {
		v = &voter{}
		d.voters[vote.Voter] = v
	}
	v.vote(vote)
	var weight uint64
	for id, other := range d.voters { // maprange: a sum does not depend on the order.
		if slices.ContainsFunc(other.open, vote.Change.Equal) {
			weight += config.Members.Weight(id)
		}
	}
	if !config.Members.IsQuorum(weight) {
		return types.ReconfigResult{Status: types.ReconfigCounted}
	}
	d.change(changed, vote.Change)
	return types.ReconfigResult{Status: types.ReconfigApplied, Epoch: d.nextConfig()}
}

// canRun tells whether the system can go on with the members of a configuration.
func (d *Delivery) canRun(c types.Configuration) bool {
	members, err := c.Quorums()
	return err == nil && members.N() <= d.cfg.MembersMax && (d.cfg.CheckMembers == nil || d.cfg.CheckMembers(members) == nil)
}

// nextConfig is the first epoch that has what executing changes.
func (d *Delivery) nextConfig() types.Epoch { return d.executing + types.Epoch(d.cfg.ConfigDelay) }

// vote remembers one more change that the voter wants. A later vote about the
// same replica replaces the earlier one.
func (v *voter) vote(vote types.Reconfig) {
	v.last = vote.No
	v.open = slices.DeleteFunc(v.open, func(m types.Member) bool { return m.Node == vote.Change.Node })
	if len(v.open) == openVotesMax {
		v.open = slices.Delete(v.open, 0, 1)
	}
	v.open = append(v.open, vote.Change)
}

// change makes a change part of what comes. All other votes about the same
// replica were about another configuration.
func (d *Delivery) change(changed types.Configuration, change types.Member) {
	d.coming = changed
	d.changes++
	d.stats.Reconfigs++
	for _, v := range d.voters { // maprange: each is changed on its own.
		v.open = slices.DeleteFunc(v.open, func(m types.Member) bool { return m.Node == change.Node })
	}
}

func (d *Delivery) executingConfig() types.EpochConfig {
	config, ok := d.schedule.At(d.executing)
	if !ok {
		panic(fmt.Sprintf("delivery: invariant broken: configuration of epoch %d is not known", d.executing))
	}
	return config
}

// endEpoch says what the state is and who the members of a later epoch are.
func (d *Delivery) endEpoch(it *item, out *mir.Out) {
	members, err := d.coming.Quorums()
	if err != nil {
		panic(fmt.Sprintf("delivery: invariant broken: coming configuration: %v", err))
	}
	config := types.EpochConfig{Epoch: it.epoch + types.Epoch(d.cfg.ConfigDelay), Config: d.coming, Members: members}
	d.schedule.Add(config)
	d.executing = it.epoch + 1
	d.schedule.Forget(d.executing)
	d.changes = 0
	d.learnKeys(config.Config)
	d.growCreators()
	for _, id := range d.cfg.Configs {
		out.Emit(id, config)
	}
	out.Emit(d.cfg.Checkpoint, types.Snapshot{Epoch: it.epoch, Data: d.snapshot(it.epoch, it.ended)})
}

// learnKeys makes the members' keys known. A key that crypto refuses belongs to
// a replica whose signatures then are not valid here; all replicas refuse alike.
func (d *Delivery) learnKeys(c types.Configuration) {
	for _, m := range c.Members {
		if len(m.Key) > 0 && d.cfg.Crypto.AddKey(m.Node, m.Key) != nil {
			d.stats.BadKeys++
		}
	}
}
