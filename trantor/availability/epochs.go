package availability

import (
	"maps"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// setSchedule replaces what is known of members, with an epoch as the current one.
func (a *Availability) setSchedule(s *types.Schedule, current types.Epoch) {
	a.schedule = s
	a.setEpoch(current)
}

// setEpoch makes an epoch the current one.
func (a *Availability) setEpoch(e types.Epoch) {
	a.epoch = e
	if c, ok := a.schedule.At(e); ok {
		a.members = c.Members
	}
	if e > types.Epoch(a.cfg.BucketGrace) {
		a.schedule.Forget(e - types.Epoch(a.cfg.BucketGrace))
	}
	maps.DeleteFunc(a.leaders, func(of types.Epoch, _ []types.NodeID) bool { return a.past(of) })
	a.others = slices.DeleteFunc(a.members.Nodes(), func(id types.NodeID) bool { return id == a.cfg.Node })
	a.setKnown()
}

// setKnown says whose messages are heard: those of all who are members now, will
// be as far as is known, or have been so lately that they may not know better.
func (a *Availability) setKnown() {
	for i := range a.peers {
		a.peers[i].known = false
	}
	last := a.schedule.Last()
	a.grow(max(last.Members.Slots(), a.members.Slots(), int(a.cfg.Node)+1))
	for e := a.epoch - min(a.epoch, types.Epoch(a.cfg.BucketGrace)); e <= last.Epoch; e++ {
		if c, ok := a.schedule.At(e); ok {
			for _, id := range c.Members.Nodes() {
				a.peers[id].known = true
			}
		}
	}
}

// grow makes room for replicas below n.
func (a *Availability) grow(n int) {
	for len(a.creators) < n {
		a.creators = append(a.creators, newCreator(a.cfg.WindowSize))
		a.peers = append(a.peers, peer{})
	}
}

func (a *Availability) onEpochConfig(e types.EpochConfig) {
	a.schedule.Add(e)
	a.setKnown()
	a.trustVotes()
}

// trustVotes looks at the votes of all creators again: what was no vote may be one
// of a new member.
func (a *Availability) trustVotes() {
	for _, c := range a.creators {
		c.doubted = false
	}
}

// onEpochBegun goes on under the members and leaders of an epoch.
func (a *Availability) onEpochBegun(e types.EpochBegun, out *mir.Out) {
	a.leaders[e.Epoch] = slices.Clone(e.Leaders)
	for i := range a.peers {
		a.peers[i].exposed = false
	}
	a.setEpoch(max(e.Epoch, a.epoch))
	a.recount(out)
	a.voidOld(out)
	a.startQueued(out)
	a.takeEarly(out)
}

// recount counts the signatures collected so far under the current members. One
// who is no member any more gives everything back: nobody would acknowledge it.
func (a *Availability) recount(out *mir.Out) {
	own := a.creators[a.cfg.Node]
	for _, no := range a.order {
		c := a.collecting[no]
		if c == nil {
			continue
		}
		if !a.members.Has(a.cfg.Node) {
			if !c.void() {
				a.giveBack(own.batches[no].held.data, out)
			}
			delete(a.collecting, no)
			continue
		}
		sigs := c.sigs.Sigs()
		c.sigs, c.ready = crypto.NewSigSet(a.members), false
		for _, sig := range sigs {
			a.addSig(c, sig)
		}
	}
	a.reportReady(out)
}

// onRestored goes on after an epoch whose log this replica has not executed.
func (a *Availability) onRestored(e types.Restored, out *mir.Out) {
	if len(e.Configs) > 0 {
		a.schedule = types.ScheduleOf(e.Configs)
		a.trustVotes()
	}
	a.grow(len(e.Creators))
	var deletes []types.KeyRange
	for id, window := range e.Creators {
		c := a.creators[id]
		c.used = window.Clone()
		for _, no := range slices.Sorted(maps.Keys(c.batches)) {
			b := c.batches[no]
			if b.used || !c.used.Has(uint64(no)) {
				continue
			}
			if types.NodeID(id) == a.cfg.Node && !a.voided(no) {
				// What of it was not delivered shall be.
				a.giveBack(b.held.data, out)
			}
			deletes = append(deletes, recordRange(types.NodeID(id), no))
			c.drop(no)
		}
	}
	if len(deletes) > 0 {
		out.Emit(a.cfg.Store, types.Persist{Deletes: deletes})
	}
	own := a.creators[a.cfg.Node].used
	maps.DeleteFunc(a.collecting, func(no types.BatchNo, _ *collection) bool { return own.Has(uint64(no)) })
	for i := range a.peers {
		// Who was silent may have been further all the time, and answers now.
		a.peers[i].wait, a.peers[i].left = 0, 0
	}
	// Ordering may be further already: it was delivery alone that had to jump.
	a.setEpoch(max(a.epoch, e.Epoch+1))
	a.endFetches(func(f *fetch) bool { return a.creators[f.id.Creator].used.Has(uint64(f.id.No)) }, out)
	a.recount(out)
	a.voidOld(out)
	a.startQueued(out)
}

// voided tells whether an own batch was given back already.
func (a *Availability) voided(no types.BatchNo) bool {
	c := a.collecting[no]
	return c != nil && c.void()
}

// onBatchUsed moves the creator's window. Another batch that was held under the
// same number will never be asked for and goes at once. The batch itself may
// still be on its way, where delivery had the same bytes of another creator.
func (a *Availability) onBatchUsed(e types.BatchUsed, out *mir.Out) {
	a.grow(int(e.Creator) + 1)
	c := a.creators[e.Creator]
	if e.Creator == a.cfg.Node {
		a.onOwnUsed(e, out)
	}
	c.used.Add(uint64(e.No))
	if c.batches[e.No] != nil {
		// Its record stays until no restart comes back to before this delivery: it
		// shows that the number is taken.
		c.use(e.No, e.Batch)
		a.used = append(a.used, usedBatch{creator: e.Creator, no: e.No, epoch: e.Epoch})
	}
	id := BatchID{Creator: e.Creator, No: e.No, Digest: e.Batch}
	if a.fetches[id] != nil {
		a.endFetches(func(f *fetch) bool { return f.id == id }, out)
	}
	a.startQueued(out)
}

// onOwnUsed ends the collection for an own number. Where the empty batch came
// into the log in a certificate of an earlier run, nobody has put the
// transactions back yet.
func (a *Availability) onOwnUsed(e types.BatchUsed, out *mir.Out) {
	c := a.collecting[e.No]
	if c == nil {
		return
	}
	if e.Batch != c.id.Digest && !c.void() {
		a.giveBack(c.data, out)
	}
	delete(a.collecting, e.No)
	a.reportReady(out)
}

// collect frees the batches of epochs that are final and old enough that no
// replica is expected to ask for them.
func (a *Availability) collect(stable types.Epoch, out *mir.Out) {
	n := 0
	var deletes []types.KeyRange
	for n < len(a.used) && a.used[n].epoch+types.Epoch(a.cfg.KeepEpochs) <= stable {
		u := a.used[n]
		delete(a.creators[u.creator].batches, u.no)
		deletes = append(deletes, recordRange(u.creator, u.no))
		n++
	}
	if n == 0 {
		return
	}
	a.used = slices.Delete(a.used, 0, n)
	out.Emit(a.cfg.Store, types.Persist{Deletes: deletes})
}
