// Package simdisk is the durable store of a replica in simulation: it serves
// types.Persist in virtual time, and a crash loses what a real disk may lose.
//
// A [Disk] belongs to the experiment and survives crashes of the replica; each
// run of the replica gets a module of it ([Disk.Module]). Writes are committed
// in groups: one group is under way for Options.Latency, and what comes in the
// meantime is the next group.
//
// The package's one opinion is that a disk may have kept more than it said: at a
// crash any prefix of the writes that were not yet durable may survive, each
// wholly or not at all, because that is all that types.Persist promises. It does
// not simulate corruption; the real store detects it and stops.
package simdisk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Options describe a disk. The zero Options are a disk on which everything is
// durable at once.
type Options struct {
	// Latency is the virtual time from the beginning of a group commit until
	// the group is durable. With zero, Then follows in the same step.
	Latency time.Duration

	// OnDurable, if not nil, is called when the n-th Persist of the disk's life
	// (counted from 1) is durable, and none of its Then has been emitted. It may
	// crash the replica and the disk: then Then is lost.
	OnDurable func(n uint64)
	// OnThen, if not nil, is called when every event in Then of the n-th Persist
	// has been applied, and what these emitted possibly not. It may crash the
	// replica and the disk too.
	OnThen func(n uint64)
}

// Stats is what a disk did so far. Equal runs give equal counts.
type Stats struct {
	Groups   uint64 // Group commits that became durable, or survived in part.
	Persists uint64 // Persists that became durable.
	Records  uint64 // Records in them.
	Bytes    uint64 // Bytes of keys and values in these.
}

// Disk is what one replica has written. It is not safe for concurrent use.
type Disk struct {
	opts    Options
	records []types.Record // Invariant: ascending by key, without repetition.
	run     *module        // Of the run that writes now; nil between runs.
	stats   Stats
}

// New makes an empty disk.
func New(opts Options) *Disk {
	if opts.Latency < 0 {
		panic(fmt.Sprintf("simdisk: latency %v, want at least 0", opts.Latency))
	}
	return &Disk{opts: opts}
}

// Module begins a run: it is the replica's module self, and takes its time from
// module timer. What an earlier run left that was not durable is lost.
func (d *Disk) Module(self, timer mir.ModuleID) mir.Module {
	d.run = &module{disk: d, self: self, timer: timer}
	return d.run
}

// Crash ends the run. Of its writes that are not durable all are lost if coin is
// nil; otherwise it draws how many of the first ones survive.
func (d *Disk) Crash(coin *rand.Rand) {
	if d.run == nil {
		return
	}
	pending := slices.Concat(d.run.writing, d.run.waiting)
	d.run = nil
	if coin == nil || len(pending) == 0 {
		return
	}
	survivors := pending[:coin.IntN(len(pending)+1)]
	if len(survivors) > 0 {
		d.stats.Groups++
	}
	for _, p := range survivors {
		d.write(p)
	}
}

// Records is what is durable, by ascending key. The slices are the caller's.
func (d *Disk) Records() []types.Record {
	records := make([]types.Record, len(d.records))
	for i, r := range d.records {
		records[i] = types.Record{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
	}
	return records
}

// Stats is what the disk did so far.
func (d *Disk) Stats() Stats { return d.stats }

// write makes p durable.
func (d *Disk) write(p types.Persist) {
	d.stats.Persists++
	for _, r := range p.Deletes {
		from, _ := d.find(r.From)
		to, _ := d.find(r.To)
		if from < to {
			d.records = slices.Delete(d.records, from, to)
		}
	}
	for _, put := range p.Puts {
		d.stats.Records++
		d.stats.Bytes += uint64(len(put.Key) + len(put.Value))
		if at, found := d.find(put.Key); found {
			d.records[at] = put
		} else {
			d.records = slices.Insert(d.records, at, put)
		}
	}
}

// find is the place of key among the records.
func (d *Disk) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(d.records, key, func(r types.Record, key []byte) int {
		return bytes.Compare(r.Key, key)
	})
}

// module is a disk during one run of its replica.
type module struct {
	disk        *Disk
	self, timer mir.ModuleID
	writing     []types.Persist // The group that is under way.
	waiting     []types.Persist // The next group. Invariant: empty unless one is under way.
}

// synced says that the group under way is on the disk.
type synced struct{}

// applied follows Then of the n-th Persist.
type applied struct{ n uint64 }

func (synced) EventName() string  { return "simdisk.Synced" }
func (applied) EventName() string { return "simdisk.Applied" }

// Apply implements mir.Module.
func (m *module) Apply(ev mir.Event, out *mir.Out) {
	if m.disk.run != m {
		panic("simdisk: invariant broken: a module of a run that is over was sent " + ev.Body.EventName())
	}
	switch body := ev.Body.(type) {
	case types.Persist:
		m.onPersist(body, out)
	case synced:
		m.onSynced(out)
	case applied:
		m.disk.opts.OnThen(body.n)
	case mir.Received: // A peer's mischief.
	default:
		panic("simdisk: invariant broken: the store was sent " + ev.Body.EventName())
	}
}

func (m *module) onPersist(p types.Persist, out *mir.Out) {
	m.waiting = append(m.waiting, p)
	if len(m.writing) == 0 {
		m.begin(out)
	}
}

// begin writes the waiting group.
func (m *module) begin(out *mir.Out) {
	m.writing, m.waiting = m.waiting, nil
	if m.disk.opts.Latency == 0 {
		m.onSynced(out)
		return
	}
	out.Emit(m.timer, mir.SetTimer{
		ID: mir.TimerID{Owner: m.self}, After: m.disk.opts.Latency, Fire: mir.Event{To: m.self, Body: synced{}},
	})
}

func (m *module) onSynced(out *mir.Out) {
	m.disk.stats.Groups++
	for len(m.writing) > 0 {
		p := m.writing[0]
		m.writing = m.writing[1:]
		if !m.commit(p, out) {
			return
		}
	}
	if len(m.waiting) > 0 {
		m.begin(out)
	}
}

// commit makes p durable and emits its Then. It reports false if the experiment
// ended the run between the two.
func (m *module) commit(p types.Persist, out *mir.Out) bool {
	m.disk.write(p)
	n := m.disk.stats.Persists
	if m.disk.opts.OnDurable != nil {
		m.disk.opts.OnDurable(n)
		if m.disk.run != m {
			return false
		}
	}
	for _, then := range p.Then {
		out.EmitSub(then.To, then.Sub, then.Body)
	}
	if m.disk.opts.OnThen != nil {
		// The node's queue is first in, first out: this arrives behind Then.
		out.Emit(m.self, applied{n})
	}
	return true
}
