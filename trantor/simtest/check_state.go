package simtest

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/checkpoint"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// finality: correct replicas take the same snapshot of an epoch, and a stable
// checkpoint carries its digest and the signatures of a true quorum of that
// epoch's members, so that what lies before it is decided for good.
type finality struct {
	ground    *ground
	executed  *execution
	snapshots map[types.Epoch]types.Digest
}

func newFinality(g *ground, x *execution) *finality {
	return &finality{ground: g, executed: x, snapshots: map[types.Epoch]types.Digest{}}
}

func (f *finality) name() string { return "checkpoint integrity" }

func (f *finality) restarted(types.NodeID) {}

func (f *finality) observe(s sim.Step) error {
	switch e := s.Event.Body.(type) {
	case types.Snapshot:
		return agree(f.snapshots, e.Epoch, types.SnapshotDigest(e.Data), s.Node)
	case types.StableCheckpoint:
		return f.onStable(s.Node, e)
	case types.InstallSnapshot:
		if d := types.SnapshotDigest(e.Data); d != f.snapshots[e.Checkpoint.Epoch] {
			return fmt.Errorf("replica %d installs %s after epoch %d, correct ones have %s",
				s.Node, d, e.Checkpoint.Epoch, f.snapshots[e.Checkpoint.Epoch])
		}
	}
	return nil
}

func (f *finality) onStable(node types.NodeID, e types.StableCheckpoint) error {
	members, statement := f.ground.membersOf(e.Epoch), checkpoint.Statement(e.Epoch, e.Digest)
	if err := crypto.VerifyCert(members, f.ground.crypto, checkpoint.DomainVote, statement, e.Sigs, members.IsQuorum); err != nil {
		return fmt.Errorf("replica %d, epoch %d: %w", node, e.Epoch, err)
	}
	have, ok := f.snapshots[e.Epoch]
	if !ok {
		return fmt.Errorf("replica %d has a stable checkpoint of epoch %d, which no correct replica has ended", node, e.Epoch)
	}
	if have != e.Digest {
		return fmt.Errorf("replica %d has the stable checkpoint %s of epoch %d, correct ones have %s", node, e.Digest, e.Epoch, have)
	}
	return nil
}

// restoring: a replica goes on from a snapshot at the end of an epoch that
// others executed.
type restoring struct {
	ground    *ground
	executed  *execution
	log       *logAgreement
	installed uint64
}

func newRestoring(g *ground, x *execution, log *logAgreement) *restoring {
	return &restoring{ground: g, executed: x, log: log}
}

func (r *restoring) name() string { return "state transfer" }

func (r *restoring) restarted(types.NodeID) {}

func (r *restoring) observe(s sim.Step) error {
	switch e := s.Event.Body.(type) {
	case types.InstallSnapshot:
		r.installed++
	case types.Restored:
		return r.onRestored(s.Node, e)
	}
	return nil
}

// onRestored moves the replica on. Every module gets a Restored; the first one
// tells all.
func (r *restoring) onRestored(node types.NodeID, e types.Restored) error {
	if r.log.lost[node] || r.log.next[node] < e.Next {
		r.log.next[node], r.log.lost[node] = e.Next, false
	}
	if end, ok := r.executed.ends[e.Epoch]; ok && !r.executed.lost[node] && r.executed.at[node] >= end {
		return nil
	}
	r.executed.lost[node] = false
	return r.executed.jumpToEnd(node, e.Epoch)
}

// configurations: correct replicas say the same about who the members of an
// epoch are.
type configurations struct {
	ground  *ground
	seen    map[types.Epoch]types.Digest
	known   map[types.Epoch]types.Configuration
	changes uint64
}

func newConfigurations(g *ground) *configurations {
	return &configurations{ground: g, seen: map[types.Epoch]types.Digest{}, known: map[types.Epoch]types.Configuration{}}
}

func (c *configurations) name() string { return "agreement on the members" }

func (c *configurations) restarted(types.NodeID) {}

func (c *configurations) observe(s sim.Step) error {
	e, ok := s.Event.Body.(types.EpochConfig)
	if !ok {
		return nil
	}
	if have, known := c.known[e.Epoch]; known && slices.EqualFunc(have.Members, e.Config.Members, types.Member.Equal) {
		return nil
	}
	d := types.Digest(sha256.Sum256(fmt.Appendf(nil, "%v", e.Config)))
	if _, known := c.seen[e.Epoch]; !known && e.Epoch > 0 {
		if before, ok := c.seen[e.Epoch-1]; ok && before != d {
			c.changes++
		}
	}
	c.ground.members[e.Epoch], c.known[e.Epoch] = e.Members, e.Config
	return agree(c.seen, e.Epoch, d, s.Node)
}
