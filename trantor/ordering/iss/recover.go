package iss

import (
	"fmt"
	"maps"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Recover makes a new log go on after a restart, before its first event, which is
// then types.Boot: in the epoch after from, or at genesis. What instances of that
// epoch and of later ones wrote down they get when their epoch begins.
func (l *Log) Recover(records []types.Record, from *types.Restored) error {
	start := types.Epoch(0)
	if from != nil {
		start = from.Epoch + 1
		l.restart = start
		if err := l.adopt(*from); err != nil {
			return err
		}
	}
	l.recovered = map[types.Epoch]map[types.NodeID][]types.Record{}
	for _, rec := range records {
		e, leader, _, ok := types.SplitSegmentKey(rec.Key)
		if !ok {
			return fmt.Errorf("iss: record %x is none of ordering", rec.Key)
		}
		if err := l.cfg.CheckRecord(rec); err != nil {
			return fmt.Errorf("iss: %w", err)
		}
		if e < start {
			continue // Boot deletes it.
		}
		if l.recovered[e] == nil {
			l.recovered[e] = map[types.NodeID][]types.Record{}
		}
		l.recovered[e][leader] = append(l.recovered[e][leader], rec)
	}
	return l.start(start)
}

// adopt takes what a snapshot says about the log.
func (l *Log) adopt(from types.Restored) error {
	record, err := readRecord(from.Policy)
	if err != nil {
		return fmt.Errorf("restoring epoch %d: %w", from.Epoch, err)
	}
	if want := types.SeqNr(from.Epoch+1) * types.SeqNr(l.cfg.EpochLength); from.Next != want {
		return fmt.Errorf("restoring epoch %d: the next slot is %d, want %d", from.Epoch, from.Next, want)
	}
	l.record, l.stable = record, max(l.stable, from.Epoch+1)
	l.schedule = types.ScheduleOf(from.Configs)
	return nil
}

// onBoot begins the heartbeat and the current epoch.
func (l *Log) onBoot(out *mir.Out) {
	l.forget(out)
	l.setHeartbeat(out)
	l.begin(out)
}

// onRestored goes on after a snapshot that is ahead: the epochs up to it are over,
// and what this replica was to get into the log waits for a slot again, unless it
// got there. Where it is not ahead, only delivery needed it, and has kept what it
// was sent since.
func (l *Log) onRestored(e types.Restored, out *mir.Out) {
	if e.Epoch < l.current().nr {
		for _, config := range e.Configs {
			l.schedule.Add(config)
		}
		return
	}
	for _, old := range l.epochs {
		l.close(old, out)
	}
	if err := l.adopt(e); err != nil {
		panic(fmt.Sprintf("iss: invariant broken: %v", err)) // Delivery has verified and installed it.
	}
	l.stats.Jumped++
	l.requeue(e.Creators)
	maps.DeleteFunc(l.recovered, func(old types.Epoch, _ map[types.NodeID][]types.Record) bool { return old <= e.Epoch })
	if err := l.start(e.Epoch + 1); err != nil {
		panic(fmt.Sprintf("iss: invariant broken: %v", err))
	}
	l.forget(out)
	l.begin(out)
}

// requeue puts everything in flight back, and drops what is in the log.
func (l *Log) requeue(used []*types.Window) {
	cur := l.current()
	for at := len(cur.slots) - 1; at >= 0; at-- { // The oldest comes to the front last.
		seq := cur.start + types.SeqNr(at)
		if own, flying := l.inFlight[seq]; flying {
			l.queue.putBack(own.Certs)
			delete(l.inFlight, seq)
		}
	}
	l.queue.sift(func(c types.Certificate) bool {
		return uint64(c.Creator) >= uint64(len(used)) || !used[c.Creator].Has(uint64(c.No))
	})
}
