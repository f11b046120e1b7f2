package checkpoint

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// proofsMax is how many changes of the configuration are proved to replicas that
// slept through them. One that missed more needs a newer trusted configuration.
const proofsMax = 32

// proof is what shows that the configuration changed at the beginning of epoch
// since, and how.
type proof struct {
	since types.Epoch
	msg   Proof
}

func (c *Checkpoint) onReceived(e mir.Received, out *mir.Out) {
	if e.From >= types.MaxReplicas {
		c.stats.Stranger++
		return
	}
	switch m := e.Msg.(type) {
	case Vote:
		c.onVote(e.From, m, out)
	case Certificate:
		c.onCertificate(e.From, m, out)
	case Ask:
		c.onAsk(e.From, m, out)
	case Proof:
		c.onProof(e.From, m, out)
	default:
		c.stats.Malformed++
	}
}

// onBoot tells the others again what is stable, and asks whether that is all.
func (c *Checkpoint) onBoot(out *mir.Out) {
	if c.next > 0 {
		for _, id := range c.cfg.Stable {
			out.Emit(id, c.stable)
		}
	}
	if c.held != nil {
		out.Emit(c.cfg.Transfer, types.HeldSnapshot{Checkpoint: c.held.checkpoint, Data: c.held.data})
		if c.cfg.Availability != 0 {
			out.Emit(c.cfg.Availability, c.held.checkpoint)
		}
	}
	if c.restarted || c.outside() {
		c.ask(c.peers(), out)
	}
}

// outside tells whether this replica is no member of the epoch whose checkpoint
// comes next. It may be waiting to become one; and one that has left may come back
// by a change that it cannot see, since nobody sends it the log any more. So it
// asks for as long as it runs.
func (c *Checkpoint) outside() bool {
	members, known := c.members(c.next)
	return !known || !members.Has(c.cfg.Node)
}

// peers are the other members, as far as this replica knows.
func (c *Checkpoint) peers() []types.NodeID {
	return slices.DeleteFunc(c.schedule.Last().Members.Nodes(), func(id types.NodeID) bool { return id == c.cfg.Node })
}

func (c *Checkpoint) arm(out *mir.Out) {
	if c.ticking {
		return
	}
	c.ticking = true
	out.Emit(c.cfg.Timer, mir.SetTimer{
		ID: mir.TimerID{Owner: c.cfg.Self}, After: c.cfg.ResendAfter, Fire: mir.Event{To: c.cfg.Self, Body: tick{}},
	})
}

// onTick sends again what is not stable yet, at most EpochsAheadMax votes, and
// lets peers ask again.
func (c *Checkpoint) onTick(out *mir.Out) {
	c.ticking = false
	clear(c.answered)
	clear(c.refused)
	clear(c.asked)
	for _, v := range c.own {
		if members, ok := c.members(v.Epoch); ok {
			others := slices.DeleteFunc(members.Nodes(), func(id types.NodeID) bool { return id == c.cfg.Node })
			c.stats.Resent++
			c.send(others, v, out)
		}
	}
	if c.outside() || c.lags() && c.next < c.heard {
		c.ask(c.peers(), out)
	}
	c.heard = c.executedByOthers()
	if len(c.own) > 0 || c.outside() || c.lags() {
		c.arm(out)
	}
}

// lags tells whether a correct replica has executed what this one has not. The
// others may have made it stable since, with votes that did not come here, and
// collected the batches that it would take to follow: it has no vote of its own
// to send again, so it asks if this lasts.
func (c *Checkpoint) lags() bool { return c.executedByOthers() > max(c.next, c.executed) }

// executedByOthers is one more than the highest epoch above the stable one for
// which votes of weight more than f have come, or zero.
func (c *Checkpoint) executedByOthers() types.Epoch {
	for i := len(c.tallies) - 1; i >= 0; i-- {
		t := c.tallies[i]
		if t == nil {
			continue
		}
		var weight uint64
		for id, v := range t.votes {
			if v.cast {
				weight += t.members.Weight(types.NodeID(id))
			}
		}
		if t.members.HasCorrect(weight) {
			return c.next + types.Epoch(i) + 1
		}
	}
	return 0
}

func (c *Checkpoint) send(to []types.NodeID, m mir.Message, out *mir.Out) {
	if len(to) > 0 {
		out.Emit(c.cfg.Net, mir.Send{To: to, Dest: c.cfg.Self, Msg: m})
	}
}

func (c *Checkpoint) ask(peers []types.NodeID, out *mir.Out) {
	for _, id := range peers {
		c.asked[id] = true
	}
	c.stats.Asked++
	c.send(peers, Ask{Next: c.next, Known: c.schedule.Last().Epoch}, out)
	c.arm(out)
}

// answer shows the stable checkpoint to a replica that is behind, once a tick.
func (c *Checkpoint) answer(to types.NodeID, out *mir.Out) {
	if c.next > 0 {
		c.reply(to, Certificate(c.stable), out)
	}
}

func (c *Checkpoint) reply(to types.NodeID, m mir.Message, out *mir.Out) {
	if c.answered[to] || to == c.cfg.Node {
		return
	}
	c.answered[to] = true
	c.stats.Answered++
	c.send([]types.NodeID{to}, m, out)
	c.arm(out)
}

// onAsk proves the first change that the peer does not know, if there is one.
func (c *Checkpoint) onAsk(from types.NodeID, m Ask, out *mir.Out) {
	for _, p := range c.proofs {
		if p.since > m.Known {
			c.reply(from, p.msg, out)
			return
		}
	}
	if m.Next < c.next {
		c.answer(from, out)
	}
}

// onCertificate believes what verifies. One bad certificate of a peer is enough
// until the next tick; it may be good, by members of whom this replica has not
// heard.
func (c *Checkpoint) onCertificate(from types.NodeID, m Certificate, out *mir.Out) {
	switch {
	case m.Epoch < c.next:
		c.stats.Repeated++
		return
	case c.refused[from]:
		c.stats.Refused++
		return
	}
	err := c.verify(m)
	if err == nil {
		c.becomeStable(types.StableCheckpoint(m), out)
		return
	}
	c.stats.BadSignature++
	c.refused[from] = true
	c.arm(out)
	if _, known := c.members(m.Epoch); !known {
		c.ask([]types.NodeID{from}, out)
	}
}

// verify checks a certificate by the members of its epoch, or the latest known.
func (c *Checkpoint) verify(m Certificate) error {
	members, known := c.members(m.Epoch)
	if !known {
		members = c.schedule.Last().Members
	}
	return crypto.VerifyCert(members, c.cfg.Crypto, DomainVote, Statement(m.Epoch, m.Digest), m.Sigs, members.IsQuorum)
}

// onProof learns of later members, believes the checkpoint, and asks on.
func (c *Checkpoint) onProof(from types.NodeID, m Proof, out *mir.Out) {
	if !c.asked[from] {
		c.stats.Refused++
		return
	}
	delete(c.asked, from)
	header, err := m.header()
	if err == nil && header.Configs[len(header.Configs)-1].Epoch <= c.schedule.Last().Epoch {
		c.stats.Repeated++
		return
	}
	if err == nil {
		err = c.verify(m.Checkpoint)
	}
	if err != nil {
		c.stats.BadSignature++
		return
	}
	if m.Checkpoint.Epoch >= c.next {
		c.becomeStable(types.StableCheckpoint(m.Checkpoint), out)
	}
	if since := c.changed(header); since > 0 {
		var p types.Persist
		c.addProof(&proof{since: since, msg: m}, &p)
		out.Emit(c.cfg.Store, p)
	}
	for _, config := range header.Configs {
		for _, member := range config.Config.Members {
			// A refused key leaves its replica without valid signatures here.
			_ = c.cfg.Crypto.AddKey(member.Node, member.Key)
		}
	}
	c.learn(header.Configs)
	delete(c.refused, from) // What did not verify before may now.
	c.ask([]types.NodeID{from}, out)
}

// header is what the proof says of later members, if it holds together.
func (m Proof) header() (types.SnapshotHeader, error) {
	if types.ChunkListDigest(m.Bytes, m.Chunks) != m.Checkpoint.Digest {
		return types.SnapshotHeader{}, fmt.Errorf("chunks that are not the checkpoint's")
	}
	if len(m.Chunks) == 0 || types.Digest(sha256.Sum256(m.First)) != m.Chunks[0] {
		return types.SnapshotHeader{}, fmt.Errorf("another first chunk")
	}
	return headerOf(m.Checkpoint.Epoch, m.First)
}

// headerOf reads how a snapshot begins.
func headerOf(e types.Epoch, data []byte) (types.SnapshotHeader, error) {
	r := types.NewReader(data[:min(len(data), types.SnapshotChunkBytes)])
	header := types.ReadSnapshotHeader(r)
	if err := r.Err(); err != nil {
		return header, err
	}
	if header.Epoch != e {
		return header, fmt.Errorf("snapshot of epoch %d, want %d", header.Epoch, e)
	}
	return header, nil
}

// changed is the last epoch of a header whose configuration differs from the one
// before, if no proof shows that yet; otherwise zero.
func (c *Checkpoint) changed(header types.SnapshotHeader) (since types.Epoch) {
	before, known := c.schedule.At(header.Epoch)
	if !known {
		before = c.schedule.Last()
	}
	for _, config := range header.Configs {
		if !equal(before.Config, config.Config) {
			since = config.Epoch
		}
		before = config
	}
	if n := len(c.proofs); n > 0 && since <= c.proofs[n-1].since {
		return 0
	}
	return since
}

func equal(a, b types.Configuration) bool {
	return slices.EqualFunc(a.Members, b.Members, types.Member.Equal)
}

// prove keeps how the snapshot of a stable checkpoint begins, where that says of
// a change which no proof shows yet.
func (c *Checkpoint) prove(s types.StableCheckpoint, data []byte, p *types.Persist) {
	header, err := headerOf(s.Epoch, data)
	if err != nil {
		panic(fmt.Sprintf("checkpoint: invariant broken: own snapshot: %v", err))
	}
	if since := c.changed(header); since > 0 {
		c.addProof(&proof{since: since, msg: Proof{
			Checkpoint: Certificate(s), Bytes: uint64(len(data)), Chunks: types.ChunkDigests(data),
			First: slices.Clone(data[:min(len(data), types.SnapshotChunkBytes)]),
		}}, p)
	}
	c.learn(header.Configs)
}

func (c *Checkpoint) addProof(new *proof, p *types.Persist) {
	c.proofs = append(c.proofs, new)
	p.Puts = appendParts(p.Puts, recordProof, uint64(new.since), new.msg.AppendWire(nil))
	if len(c.proofs) > proofsMax {
		p.Deletes = append(p.Deletes, between(recordProof, 0, c.proofs[0].since+1))
		c.proofs = slices.Delete(c.proofs, 0, 1)
	}
}
