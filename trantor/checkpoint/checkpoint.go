package checkpoint

import (
	"fmt"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// DomainVote is what the signatures of this package are for.
const DomainVote crypto.Domain = "trantor/checkpoint/vote"

// Config of a Checkpoint.
type Config struct {
	Node        types.NodeID
	Genesis     types.Configuration // Of the epochs below ConfigDelay.
	ConfigDelay int
	Crypto      crypto.Crypto

	Self     mir.ModuleID // This module: peers address it.
	Net      mir.ModuleID
	Timer    mir.ModuleID
	Store    mir.ModuleID
	Transfer mir.ModuleID   // Gets types.HeldSnapshot.
	Ordering mir.ModuleID   // Gets it too; 0 for none.
	Stable   []mir.ModuleID // Get types.StableCheckpoint, in this order.
	// Availability gets types.StableCheckpoint when its state is on disk here, so
	// that it deletes nothing that a restart would need; 0 for none.
	Availability mir.ModuleID

	// EpochsAheadMax is for how many epochs above the last stable checkpoint
	// votes are kept. It is at least as many as the log may run ahead.
	EpochsAheadMax int
	ResendAfter    time.Duration // Then votes are sent again; a peer gets one answer in that time.
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Crypto == nil:
		return fmt.Errorf("checkpoint: Crypto is missing")
	case c.Node >= types.MaxReplicas:
		return fmt.Errorf("checkpoint: Node is %d, limit %d", c.Node, types.MaxReplicas-1)
	case c.ConfigDelay < 1:
		return fmt.Errorf("checkpoint: ConfigDelay is %d, want 1 or more", c.ConfigDelay)
	case c.EpochsAheadMax < 1:
		return fmt.Errorf("checkpoint: EpochsAheadMax is %d, want 1 or more", c.EpochsAheadMax)
	case c.ResendAfter <= 0:
		return fmt.Errorf("checkpoint: ResendAfter is %v, want more than 0", c.ResendAfter)
	}
	if _, err := c.Genesis.Quorums(); err != nil {
		return fmt.Errorf("checkpoint: Genesis: %w", err)
	}
	return nil
}

// Stats say why messages were dropped, and what was sent beside votes.
type Stats struct {
	Stranger     uint64 // Votes from no member of their epoch, and messages of impossible replicas.
	Malformed    uint64 // Of a type that peers do not send.
	BadSignature uint64
	Repeated     uint64 // A vote for an epoch that is stable, or the same vote again.
	Equivocation uint64 // A second, different vote.
	TooFar       uint64 // Beyond EpochsAheadMax, or of an epoch whose members are not known.
	Refused      uint64 // More certificates, or votes for an epoch, of a peer that showed a bad one, and proofs that nobody asked for.
	Resent       uint64 // Own votes sent again.
	Asked        uint64 // Asks sent.
	Answered     uint64 // Certificates and proofs sent to replicas that were behind.
}

// Checkpoint is the module.
type Checkpoint struct {
	cfg      Config
	stats    Stats
	schedule *types.Schedule

	next      types.Epoch // Every epoch below it is stable or older than one that is.
	stable    types.StableCheckpoint
	tallies   []*tally    // Of the epochs next, next+1, …; as many as votes have come for.
	executed  types.Epoch // The epochs below were executed here, or restored.
	own       []Vote      // This replica's votes for epochs from next on, ascending.
	snapshots []*snapshot // Own, of epochs above held, ascending.
	// passed are stable checkpoints above held, ascending, at most passedMax. A
	// replica that executes more slowly than the others holds its state of one
	// after the other, and not only of one that happens to be the latest.
	passed    []types.StableCheckpoint
	held      *held    // Nil before the first.
	proofs    []*proof // Of changes of the configuration, ascending.
	restarted bool     // There were records of an earlier run.

	// What peers did since the last tick; it bounds what they get.
	ticking  bool
	answered map[types.NodeID]bool
	refused  map[types.NodeID]bool
	asked    map[types.NodeID]bool
	heard    types.Epoch                  // At the last tick, others of weight more than f had executed the epochs below.
	last     map[types.NodeID]types.Epoch // One more than the highest epoch that a peer voted for. At most MaxReplicas.
}

// tally is the votes for one epoch.
type tally struct {
	members quorum.Membership
	votes   []vote // By replica.
}

type vote struct {
	cast   bool
	bad    bool // One came that does not verify: no correct replica sends that.
	digest types.Digest
	sig    []byte
}

// passedMax is how many stable checkpoints are kept for a replica to catch up with.
const passedMax = 32

// snapshot is one that this replica made.
type snapshot struct {
	epoch   types.Epoch
	digest  types.Digest
	data    []byte
	durable bool // Or on its way to be, before anything that is persisted later.
}

// held is the latest stable checkpoint of which this replica has the snapshot.
type held struct {
	checkpoint types.StableCheckpoint
	data       []byte
}

// tick fires every ResendAfter while there is something to send again or to
// forget.
type tick struct{}

func (tick) EventName() string { return "checkpoint.Tick" }

// New makes a module that waits for the snapshot of epoch 0. It panics where
// cfg is not valid.
func New(cfg Config) *Checkpoint {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	schedule, err := types.NewSchedule(0, cfg.ConfigDelay, cfg.Genesis)
	if err != nil {
		panic(err) // Validate has seen that there is none.
	}
	c := &Checkpoint{
		cfg: cfg, schedule: schedule, last: map[types.NodeID]types.Epoch{},
		answered: map[types.NodeID]bool{}, refused: map[types.NodeID]bool{}, asked: map[types.NodeID]bool{},
	}
	return c
}

// Stats may be read between events.
func (c *Checkpoint) Stats() Stats { return c.stats }

// Stable is the last stable checkpoint. It reports false before the first.
func (c *Checkpoint) Stable() (types.StableCheckpoint, bool) { return c.stable, c.next > 0 }

// Held is the last stable checkpoint of which this replica has the snapshot, and
// that. It reports false before the first.
func (c *Checkpoint) Held() (types.StableCheckpoint, []byte, bool) {
	if c.held == nil {
		return types.StableCheckpoint{}, nil, false
	}
	return c.held.checkpoint, c.held.data, true
}

// Apply implements mir.Module.
func (c *Checkpoint) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.Snapshot:
		c.onSnapshot(e, out)
	case types.EpochConfig:
		c.learn([]types.EpochConfig{e})
	case types.Restored:
		c.executed = max(c.executed, e.Epoch+1)
		c.learn(e.Configs)
	case types.InstallSnapshot:
		c.onInstall(e, out)
	case types.PeerBehind:
		c.answer(e.Peer, out)
	case tick:
		c.onTick(out)
	case types.Boot:
		c.onBoot(out)
	case mir.Received:
		c.onReceived(e, out)
	default:
		panic(fmt.Sprintf("checkpoint: invariant broken: got %s", ev.Body.EventName()))
	}
}

// learn takes configurations of consecutive epochs, the keys of which others
// made known.
func (c *Checkpoint) learn(configs []types.EpochConfig) {
	if len(configs) == 0 || configs[len(configs)-1].Epoch <= c.schedule.Last().Epoch {
		return
	}
	if configs[0].Epoch > c.schedule.Last().Epoch+1 {
		c.schedule = types.ScheduleOf(configs)
	}
	for _, config := range configs {
		c.schedule.Add(config)
	}
	// A replica may verify what is behind its own execution, but not by much.
	if keep := types.Epoch(4 * c.cfg.ConfigDelay); c.schedule.Last().Epoch > keep {
		c.schedule.Forget(c.schedule.Last().Epoch - keep)
	}
}

// members of an epoch are not known too far ahead.
func (c *Checkpoint) members(e types.Epoch) (quorum.Membership, bool) {
	config, ok := c.schedule.At(e)
	return config.Members, ok
}

// onSnapshot votes for the own state, where that is not final already.
func (c *Checkpoint) onSnapshot(s types.Snapshot, out *mir.Out) {
	if s.Epoch < c.executed {
		panic(fmt.Sprintf("checkpoint: invariant broken: snapshot of epoch %d, those below %d came before", s.Epoch, c.executed))
	}
	c.executed = s.Epoch + 1
	if c.held != nil && s.Epoch <= c.held.checkpoint.Epoch {
		return // A later state is on disk already, so this one is of no use.
	}
	at := slices.IndexFunc(c.passed, func(p types.StableCheckpoint) bool { return p.Epoch == s.Epoch })
	if s.Epoch < c.next && at < 0 {
		return // Nothing shows others that this state is final.
	}
	own := c.keep(&snapshot{epoch: s.Epoch, digest: types.SnapshotDigest(s.Data), data: s.Data})
	if s.Epoch < c.next {
		stable := c.passed[at]
		c.checkOwn(stable, own.digest)
		c.hold(stable, own, types.Persist{}, out)
		return
	}
	if s.Epoch-c.next >= types.Epoch(c.cfg.EpochsAheadMax) {
		panic(fmt.Sprintf("checkpoint: invariant broken: snapshot of epoch %d, stable below %d, at most %d ahead",
			s.Epoch, c.next, c.cfg.EpochsAheadMax))
	}
	if members, ok := c.members(s.Epoch); ok && members.Has(c.cfg.Node) {
		c.vote(own, members, out)
	}
}

// keep adds an own snapshot. One that an earlier run wrote down is the same: this
// replica has signed its digest.
func (c *Checkpoint) keep(s *snapshot) *snapshot {
	at, found := slices.BinarySearchFunc(c.snapshots, s.epoch, func(have *snapshot, e types.Epoch) int {
		return int(int64(have.epoch) - int64(e))
	})
	if !found {
		c.snapshots = slices.Insert(c.snapshots, at, s)
		return s
	}
	if have := c.snapshots[at]; have.digest != s.digest {
		panic(fmt.Sprintf("checkpoint: invariant broken: state %s at the end of epoch %d, before a restart it was %s",
			s.digest, s.epoch, have.digest))
	}
	return c.snapshots[at]
}

// vote writes the snapshot down, and then tells all members of the epoch. The
// own vote counts when it comes back.
func (c *Checkpoint) vote(s *snapshot, members quorum.Membership, out *mir.Out) {
	v := Vote{Epoch: s.epoch, Digest: s.digest, Sig: c.cfg.Crypto.Sign(DomainVote, Statement(s.epoch, s.digest))}
	c.own = append(c.own, v)
	p := types.Persist{Then: []mir.Event{{To: c.cfg.Net, Body: mir.Send{To: members.Nodes(), Dest: c.cfg.Self, Msg: v}}}}
	if !s.durable {
		p.Puts = appendParts(nil, recordSnapshot, uint64(s.epoch), s.data)
		s.durable = true
	}
	out.Emit(c.cfg.Store, p)
	c.arm(out)
}

func (c *Checkpoint) onVote(from types.NodeID, m Vote, out *mir.Out) {
	if m.Epoch < c.next {
		c.onLateVote(from, m, out)
		return
	}
	members, known := c.members(m.Epoch)
	switch {
	case !known || m.Epoch-c.next >= types.Epoch(c.cfg.EpochsAheadMax):
		c.stats.TooFar++
		if !c.asked[from] { // It lies, or this replica is behind.
			c.ask([]types.NodeID{from}, out)
		}
		return
	case !members.Has(from):
		c.stats.Stranger++
		return
	}
	switch have := c.tally(m.Epoch, members).votes[from]; {
	case have.bad:
		c.stats.Refused++
		return
	case have.cast && have.digest == m.Digest:
		c.stats.Repeated++
		return
	case have.cast:
		c.stats.Equivocation++
		return
	}
	if from != c.cfg.Node && c.cfg.Crypto.Verify(from, DomainVote, Statement(m.Epoch, m.Digest), m.Sig) != nil {
		c.stats.BadSignature++
		c.tally(m.Epoch, members).votes[from].bad = true
		return
	}
	c.last[from] = max(c.last[from], m.Epoch+1)
	c.cast(from, m, out)
	if c.lags() {
		c.arm(out)
	}
}

// onLateVote shows the stable checkpoint to a replica that votes for an earlier
// one, or that repeats a vote: it has not heard that the epoch is stable.
func (c *Checkpoint) onLateVote(from types.NodeID, m Vote, out *mir.Out) {
	if from == c.cfg.Node {
		return
	}
	c.stats.Repeated++
	if m.Epoch < c.stable.Epoch || m.Epoch < c.last[from] {
		c.answer(from, out)
	}
	c.last[from] = max(c.last[from], m.Epoch+1)
}

// tally finds the votes for an epoch, which is not below next and not too far.
func (c *Checkpoint) tally(e types.Epoch, members quorum.Membership) *tally {
	for types.Epoch(len(c.tallies)) <= e-c.next {
		c.tallies = append(c.tallies, nil)
	}
	t := c.tallies[e-c.next]
	if t == nil {
		t = &tally{members: members, votes: make([]vote, members.Slots())}
		c.tallies[e-c.next] = t
	}
	return t
}

// cast counts a valid vote.
func (c *Checkpoint) cast(from types.NodeID, m Vote, out *mir.Out) {
	t := c.tallies[m.Epoch-c.next]
	t.votes[from] = vote{cast: true, digest: m.Digest, sig: m.Sig}
	var weight uint64
	var sigs []types.Signature
	for id, v := range t.votes {
		if v.cast && v.digest == m.Digest {
			weight += t.members.Weight(types.NodeID(id))
			sigs = append(sigs, types.Signature{Signer: types.NodeID(id), Sig: v.sig})
		}
	}
	if t.members.IsQuorum(weight) {
		c.becomeStable(types.StableCheckpoint{Epoch: m.Epoch, Digest: m.Digest, Sigs: sigs}, out)
	}
}

// becomeStable forgets everything older than s, writes s down and then tells who
// wants to know.
func (c *Checkpoint) becomeStable(s types.StableCheckpoint, out *mir.Out) {
	passed := min(uint64(len(c.tallies)), uint64(s.Epoch+1-c.next))
	c.tallies = slices.Delete(c.tallies, 0, int(passed))
	c.next, c.stable = s.Epoch+1, s
	c.own = slices.DeleteFunc(c.own, func(v Vote) bool { return v.Epoch <= s.Epoch })
	c.snapshots = slices.DeleteFunc(c.snapshots, func(own *snapshot) bool { return own.epoch < s.Epoch })
	p := types.Persist{
		Deletes: []types.KeyRange{between(recordSnapshot, c.firstUnheld(), s.Epoch)},
		Puts:    []types.Record{certificateRecord(s)},
	}
	if c.passed = append(c.passed, s); len(c.passed) > passedMax {
		p.Deletes = append(p.Deletes, between(recordCertificate, c.passed[0].Epoch, c.passed[1].Epoch))
		c.passed = slices.Delete(c.passed, 0, 1)
	}
	for _, id := range c.cfg.Stable {
		p.Then = append(p.Then, mir.Event{To: id, Body: s})
	}
	if c.outside() {
		c.arm(out)
	}
	if len(c.snapshots) > 0 && c.snapshots[0].epoch == s.Epoch {
		c.checkOwn(s, c.snapshots[0].digest)
		c.hold(s, c.snapshots[0], p, out)
		return
	}
	out.Emit(c.cfg.Store, p)
}

// firstUnheld is the epoch after that of the snapshot from which a restart would
// go on.
func (c *Checkpoint) firstUnheld() types.Epoch {
	if c.held == nil {
		return 0
	}
	return c.held.checkpoint.Epoch + 1
}

// hold makes own the snapshot from which a restart goes on, hands it to state
// transfer, and forgets the older one. It is written down with p, which has the
// certificate unless that is durable already.
func (c *Checkpoint) hold(s types.StableCheckpoint, own *snapshot, p types.Persist, out *mir.Out) {
	c.held = &held{checkpoint: s, data: own.data}
	c.snapshots = slices.DeleteFunc(c.snapshots, func(have *snapshot) bool { return have.epoch <= s.Epoch })
	c.passed = slices.DeleteFunc(c.passed, func(p types.StableCheckpoint) bool { return p.Epoch <= s.Epoch })
	p.Deletes = append(p.Deletes, between(recordCertificate, 0, s.Epoch), between(recordSnapshot, 0, s.Epoch))
	if !own.durable {
		p.Puts = appendParts(p.Puts, recordSnapshot, uint64(s.Epoch), own.data)
	}
	c.prove(s, own.data, &p)
	kept := types.HeldSnapshot{Checkpoint: s, Data: own.data}
	p.Then = append(p.Then, mir.Event{To: c.cfg.Transfer, Body: kept})
	if c.cfg.Ordering != 0 {
		p.Then = append(p.Then, mir.Event{To: c.cfg.Ordering, Body: kept})
	}
	if c.cfg.Availability != 0 {
		p.Then = append(p.Then, mir.Event{To: c.cfg.Availability, Body: s})
	}
	out.Emit(c.cfg.Store, p)
}

// onInstall keeps what state transfer brought, so that a restart has it.
func (c *Checkpoint) onInstall(e types.InstallSnapshot, out *mir.Out) {
	if c.held != nil && e.Checkpoint.Epoch <= c.held.checkpoint.Epoch {
		return
	}
	if e.Checkpoint.Epoch >= c.next {
		panic(fmt.Sprintf("checkpoint: invariant broken: epoch %d was transferred, stable are those below %d", e.Checkpoint.Epoch, c.next))
	}
	c.hold(e.Checkpoint, &snapshot{epoch: e.Checkpoint.Epoch, data: e.Data},
		types.Persist{Puts: []types.Record{certificateRecord(e.Checkpoint)}}, out)
}

// checkOwn compares the own state with what a quorum signed.
func (c *Checkpoint) checkOwn(s types.StableCheckpoint, own types.Digest) {
	if own != s.Digest {
		panic(fmt.Sprintf("checkpoint: invariant broken: own state %s at the end of epoch %d, a quorum has %s", own, s.Epoch, s.Digest))
	}
}
