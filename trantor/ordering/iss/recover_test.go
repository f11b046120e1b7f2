package iss

import (
	"errors"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

func segmentRecord(e types.Epoch, leader types.NodeID) types.Record {
	return types.Record{Key: append(types.SegmentKey(e, leader), 1)}
}

// restored is the state after an epoch of 8 slots, in which replica 1's batches
// with these numbers are in the log.
func restored(e types.Epoch, used ...uint64) types.Restored {
	window := types.NewWindow(64)
	for _, no := range used {
		window.Add(no)
	}
	r := types.Restored{Epoch: e, Next: 8 * types.SeqNr(e+1), Creators: []*types.Window{types.NewWindow(64), window}}
	for next := range types.Epoch(4) {
		r.Configs = append(r.Configs, types.EpochConfig{Epoch: e + 1 + next, Members: quorum.Equal(4)})
	}
	return r
}

// What instances of later epochs wrote down waits for their epoch.
func TestRecoveryGivesInstancesTheirRecordsWhenTheirEpochBegins(t *testing.T) {
	b := newBench(t, nil)
	from := restored(2)
	b.proposed = map[mir.SubID][]types.SeqNr{SubOf(3, 1): {25}}
	b.lines = nil
	err := b.log.Recover([]types.Record{
		segmentRecord(2, 0), segmentRecord(3, 1), segmentRecord(3, 1), segmentRecord(4, 2),
	}, &from)
	if err != nil {
		t.Fatal(err)
	}
	b.want("instance 3/1 recovers 2 records")
	b.boot()
	b.want("instance 3/1 gets replica.Boot", "records of epochs 0 to 2 deleted", "heartbeat in 1s", "epoch 3 begins, leaders [0 1 2 3]")
	b.ready(1) // Slot 25 was proposed for.
	b.want("instance 3/1 gets proposal [1] for slot 29")
	for seq := types.SeqNr(24); seq < 32; seq++ {
		b.decide(types.Proposal{Skip: true}, seq)
	}
	if !slices.Contains(b.lines, "instance 4/2 recovers 1 records") || !slices.Contains(b.lines, "instance 4/2 gets replica.Boot") {
		t.Errorf("got %q", b.lines)
	}
}

func TestRecoveryRefusesWhatItCannotUnderstand(t *testing.T) {
	bad, late := restored(0), restored(0)
	bad.Policy, late.Next = []byte{1}, 9
	for name, try := range map[string]func(b *bench) error{
		"key":    func(b *bench) error { return b.log.Recover([]types.Record{{Key: []byte("x")}}, nil) },
		"leader": func(b *bench) error { return b.log.Recover([]types.Record{segmentRecord(0, 9)}, nil) },
		"record": func(b *bench) error {
			b.log.cfg.CheckRecord = func(types.Record) error { return errors.New("bad") }
			return b.log.Recover([]types.Record{segmentRecord(9, 1)}, nil)
		},
		"policy": func(b *bench) error { return b.log.Recover(nil, &bad) },
		"next":   func(b *bench) error { return b.log.Recover(nil, &late) },
	} {
		if try(newBench(t, nil)) == nil {
			t.Errorf("a bad %s was accepted", name)
		}
	}
}

// A snapshot ends the epochs up to it. What was to get into the log and did not
// is proposed again.
func TestSnapshotAheadEndsTheEpochsBefore(t *testing.T) {
	b := newBench(t, func(c *Config) { c.OwnInFlightMax, c.MaxCertsPerSlot = 3, 1 })
	b.boot()
	for no := range 5 {
		b.ready(no)
	}
	b.receive(2, SubOf(0, 2), message{})
	b.apply(0, held(4)) // On its way to the disk before delivery had restored it.
	b.apply(0, restored(4, 0, 3))
	if !slices.Contains(b.lines, "instance 0/3 gets ordering.CloseSegment") ||
		!slices.Contains(b.lines, "records of epochs 0 to 4 deleted") ||
		!slices.Contains(b.lines, "instance 5/1 gets proposal [1] for slot 41") ||
		!slices.Contains(b.lines, "instance 5/1 gets proposal [2] for slot 45") {
		t.Errorf("got %q", b.lines)
	}
	b.receive(2, SubOf(0, 2), message{})
	b.want()
	b.apply(SubOf(0, 1), message{}) // What an instance had sent itself.
	b.want()
	if b.log.Epoch() != 5 || b.log.Stats().Jumped != 1 {
		t.Errorf("epoch %d, %d jumps", b.log.Epoch(), b.log.Stats().Jumped)
	}
}

// Delivery fell behind and jumped to where this log is already.
func TestSnapshotThatIsNotAheadChangesOnlyTheConfigurations(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ConfigDelay = 2 })
	b.boot()
	b.finishEpoch(0)
	b.apply(0, restored(0))
	b.want()
	b.finishEpoch(1)
	b.apply(0, types.StableCheckpoint{Epoch: 1})
	if got := b.log.Epoch(); got != 2 {
		t.Errorf("epoch %d, want 2", got)
	}
}

// A correct leader among those that were deposed had too little time.
func TestTimeoutsGrowWhileCorrectLeadersAreDeposed(t *testing.T) {
	b := newBench(t, func(c *Config) { c.EpochsAheadMax = 20 })
	patience := []int{}
	for e, empty := range [][]types.SeqNr{{0}, {0, 1}, {2, 3}, {1}, {}, {}, {}} {
		for at := range types.SeqNr(8) {
			p := types.Proposal{Skip: true}
			if slices.Contains(empty, at) {
				p = types.Proposal{}
			}
			b.decide(p, 8*types.SeqNr(e)+at)
		}
		patience = append(patience, b.log.patience)
	}
	if want := []int{0, 1, 2, 2, 1, 0, 0}; !slices.Equal(patience, want) {
		t.Errorf("doublings %v, want %v", patience, want)
	}
}
