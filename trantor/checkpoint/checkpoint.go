package checkpoint

import (
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// DomainVote is what the signatures of this package are for.
const DomainVote crypto.Domain = "trantor/checkpoint/vote"

// Config of a Checkpoint.
type Config struct {
	Node    types.NodeID
	Members quorum.Membership
	Crypto  crypto.Crypto

	Self   mir.ModuleID // This module: peers address it.
	Net    mir.ModuleID
	Stable []mir.ModuleID // Get types.StableCheckpoint, in this order.

	// EpochsAheadMax is for how many epochs above the last stable checkpoint
	// votes are kept. It is at least as many as the log may run ahead.
	EpochsAheadMax int
}

// Stats say why messages were dropped.
type Stats struct {
	Stranger     uint64 // From no member.
	Malformed    uint64 // Of a type that peers do not send.
	BadSignature uint64
	Repeated     uint64 // A vote for an epoch that is stable, or the same vote again.
	Equivocation uint64 // A second, different vote.
	TooFar       uint64 // Beyond EpochsAheadMax.
	Answered     uint64 // Certificates sent to replicas that were behind.
}

// Checkpoint is the module.
type Checkpoint struct {
	cfg    Config
	stats  Stats
	others []types.NodeID

	next      types.Epoch      // Every epoch below it is stable or older than one that is.
	tallies   []*tally         // Of the epochs next, next+1, …; as many as votes have come for.
	snapshots []types.Snapshot // Own, ascending by epoch: of the stable epoch, if there is one, and later.
	stable    types.StableCheckpoint
	answered  []types.Epoch // By replica: votes below were answered.
}

// tally is the votes for one epoch.
type tally struct {
	votes []vote // By replica.
}

type vote struct {
	cast   bool
	digest types.Digest
	sig    []byte
}

// New makes a module that waits for the snapshot of epoch 0. It panics where
// the wiring is wrong.
func New(cfg Config) *Checkpoint {
	if !cfg.Members.Has(cfg.Node) || cfg.Crypto == nil || cfg.EpochsAheadMax < 1 {
		panic(fmt.Sprintf("checkpoint: replica %d must be a member, Crypto set, and EpochsAheadMax %d at least 1",
			cfg.Node, cfg.EpochsAheadMax))
	}
	c := &Checkpoint{cfg: cfg, answered: make([]types.Epoch, cfg.Members.N())}
	c.others = slices.DeleteFunc(cfg.Members.Nodes(), func(id types.NodeID) bool { return id == cfg.Node })
	return c
}

// Stats may be read between events.
func (c *Checkpoint) Stats() Stats { return c.stats }

// Stable gives the last stable checkpoint and the snapshot it is about, which
// is nil if this replica has not come that far itself. It reports false before
// the first.
func (c *Checkpoint) Stable() (types.StableCheckpoint, []byte, bool) {
	if c.next == 0 {
		return types.StableCheckpoint{}, nil, false
	}
	if len(c.snapshots) > 0 && c.snapshots[0].Epoch == c.stable.Epoch {
		return c.stable, c.snapshots[0].Data, true
	}
	return c.stable, nil, true
}

// Apply implements mir.Module.
func (c *Checkpoint) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.Snapshot:
		c.onSnapshot(e, out)
	case types.Boot, types.EpochConfig, types.Restored, types.InstallSnapshot:
	case mir.Received:
		c.onReceived(e, out)
	default:
		panic(fmt.Sprintf("checkpoint: invariant broken: got %s", ev.Body.EventName()))
	}
}

func (c *Checkpoint) onReceived(e mir.Received, out *mir.Out) {
	if !c.cfg.Members.Has(e.From) || e.From == c.cfg.Node {
		c.stats.Stranger++
		return
	}
	switch m := e.Msg.(type) {
	case Vote:
		c.onVote(e.From, m, out)
	case Certificate:
		c.onCertificate(m, out)
	default:
		c.stats.Malformed++
	}
}

// onSnapshot votes for the own state. The vote is sent even where the epoch is
// stable already: it shows the others how far this replica has come.
func (c *Checkpoint) onSnapshot(s types.Snapshot, out *mir.Out) {
	if n := len(c.snapshots); n > 0 && s.Epoch <= c.snapshots[n-1].Epoch {
		panic(fmt.Sprintf("checkpoint: invariant broken: snapshot of epoch %d after %d", s.Epoch, c.snapshots[n-1].Epoch))
	}
	digest := types.SnapshotDigest(s.Data)
	sig := c.cfg.Crypto.Sign(DomainVote, Statement(s.Epoch, digest))
	if len(c.others) > 0 {
		out.Emit(c.cfg.Net, mir.Send{To: c.others, Dest: c.cfg.Self, Msg: Vote{Epoch: s.Epoch, Digest: digest, Sig: sig}})
	}
	if s.Epoch+1 < c.next {
		return // A later state is final already, so this one is of no use.
	}
	c.snapshots = append(c.snapshots, s)
	if s.Epoch < c.next {
		c.checkOwn(c.stable, digest)
		return
	}
	if s.Epoch-c.next >= types.Epoch(c.cfg.EpochsAheadMax) {
		panic(fmt.Sprintf("checkpoint: invariant broken: snapshot of epoch %d, stable below %d, at most %d ahead",
			s.Epoch, c.next, c.cfg.EpochsAheadMax))
	}
	c.cast(c.cfg.Node, Vote{Epoch: s.Epoch, Digest: digest, Sig: sig}, out)
}

func (c *Checkpoint) onVote(from types.NodeID, m Vote, out *mir.Out) {
	switch {
	case m.Epoch < c.next:
		c.stats.Repeated++
		c.answer(from, m.Epoch, out)
		return
	case m.Epoch-c.next >= types.Epoch(c.cfg.EpochsAheadMax):
		c.stats.TooFar++
		return
	}
	if have := c.tally(m.Epoch).votes[from]; have.cast {
		if have.digest == m.Digest {
			c.stats.Repeated++
		} else {
			c.stats.Equivocation++
		}
		return
	}
	if c.cfg.Crypto.Verify(from, DomainVote, Statement(m.Epoch, m.Digest), m.Sig) != nil {
		c.stats.BadSignature++
		return
	}
	c.cast(from, m, out)
}

// answer shows the stable checkpoint to a replica that votes for an earlier
// one, once for each epoch that it votes for.
func (c *Checkpoint) answer(to types.NodeID, voted types.Epoch, out *mir.Out) {
	if voted >= c.stable.Epoch || voted < c.answered[to] {
		return
	}
	c.answered[to] = voted + 1
	c.stats.Answered++
	out.Emit(c.cfg.Net, mir.Send{To: []types.NodeID{to}, Dest: c.cfg.Self,
		Msg: Certificate(c.stable)})
}

// tally finds the votes for an epoch, which is not below next and not too far.
func (c *Checkpoint) tally(e types.Epoch) *tally {
	for types.Epoch(len(c.tallies)) <= e-c.next {
		c.tallies = append(c.tallies, &tally{votes: make([]vote, c.cfg.Members.N())})
	}
	return c.tallies[e-c.next]
}

// cast counts a valid vote.
func (c *Checkpoint) cast(from types.NodeID, m Vote, out *mir.Out) {
	votes := c.tally(m.Epoch).votes
	votes[from] = vote{cast: true, digest: m.Digest, sig: m.Sig}
	var weight uint64
	var sigs []types.Signature
	for id, v := range votes {
		if v.cast && v.digest == m.Digest {
			weight += c.cfg.Members.Weight(types.NodeID(id))
			sigs = append(sigs, types.Signature{Signer: types.NodeID(id), Sig: v.sig})
		}
	}
	if c.cfg.Members.IsQuorum(weight) {
		c.becomeStable(types.StableCheckpoint{Epoch: m.Epoch, Digest: m.Digest, Sigs: sigs}, out)
	}
}

func (c *Checkpoint) onCertificate(m Certificate, out *mir.Out) {
	if m.Epoch < c.next {
		c.stats.Repeated++
		return
	}
	msg := Statement(m.Epoch, m.Digest)
	if crypto.VerifyCert(c.cfg.Members, c.cfg.Crypto, DomainVote, msg, m.Sigs, c.cfg.Members.IsQuorum) != nil {
		c.stats.BadSignature++
		return
	}
	c.becomeStable(types.StableCheckpoint(m), out)
}

// becomeStable forgets everything older than s and tells who wants to know.
func (c *Checkpoint) becomeStable(s types.StableCheckpoint, out *mir.Out) {
	passed := min(uint64(len(c.tallies)), uint64(s.Epoch+1-c.next))
	c.tallies = slices.Delete(c.tallies, 0, int(passed))
	c.next, c.stable = s.Epoch+1, s
	c.snapshots = slices.DeleteFunc(c.snapshots, func(own types.Snapshot) bool { return own.Epoch < s.Epoch })
	if len(c.snapshots) > 0 && c.snapshots[0].Epoch == s.Epoch {
		c.checkOwn(s, types.SnapshotDigest(c.snapshots[0].Data))
	}
	for _, id := range c.cfg.Stable {
		out.Emit(id, s)
	}
}

// checkOwn compares the own state with what a quorum signed.
func (c *Checkpoint) checkOwn(s types.StableCheckpoint, own types.Digest) {
	if own != s.Digest {
		panic(fmt.Sprintf("checkpoint: invariant broken: own state %s at the end of epoch %d, a quorum has %s", own, s.Epoch, s.Digest))
	}
}
