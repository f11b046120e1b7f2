package delivery

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// A snapshot is the state after an epoch:
//
//	the header (types.SnapshotHeader),
//	what ordering remembers (EpochEnd.Policy),
//	number of replicas, a window of batch numbers for each,
//	number of voters, for each in ascending order its ID, the number of its last
//	vote, and the changes it voted for,
//	number of clients, for each in ascending order its ID and its window,
//	the transactions that wait for their turn,
//	the application's snapshot.
//
// Equal states give equal bytes, so that replicas can sign its digest.

// PolicyBytesMax bounds what ordering may remember.
const PolicyBytesMax = 64 << 10

// voterBytesMin is a voter without open votes.
const voterBytesMin = 4 + 8 + 4

// logState is what follows from the log without executing it, at the end of an
// epoch: the position that comes next, and what ordering remembers and the
// windows of the creators, encoded.
type logState struct {
	next  types.SeqNr
	bytes []byte
}

func (d *Delivery) logState(policy []byte) *logState {
	if len(policy) > PolicyBytesMax {
		panic(fmt.Sprintf("delivery: invariant broken: ordering remembers %d bytes, limit %d", len(policy), PolicyBytesMax))
	}
	b := types.AppendBytes(nil, policy)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.creators)))
	for _, window := range d.creators {
		b = window.AppendWire(b)
	}
	return &logState{next: d.next, bytes: b}
}

// snapshot is the state after an epoch that has just been executed.
func (d *Delivery) snapshot(e types.Epoch, ended *logState) []byte {
	header := types.SnapshotHeader{Epoch: e, Next: ended.next}
	for i := range d.cfg.ConfigDelay {
		config, ok := d.schedule.At(e + 1 + types.Epoch(i))
		if !ok {
			panic(fmt.Sprintf("delivery: invariant broken: configuration of epoch %d is not known", e+1+types.Epoch(i)))
		}
		header.Configs = append(header.Configs, config)
	}
	b := append(header.AppendWire(nil), ended.bytes...)
	b = d.appendVoters(b)
	ids := slices.Sorted(maps.Keys(d.clients))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ids)))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint64(b, uint64(id))
		b = d.clients[id].AppendWire(b)
	}
	b = d.appendKept(b)
	return types.AppendBytes(b, d.cfg.App.Snapshot())
}

func (d *Delivery) appendVoters(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.voters)))
	for _, id := range slices.Sorted(maps.Keys(d.voters)) {
		v := d.voters[id]
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
		b = binary.LittleEndian.AppendUint64(b, v.last)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v.open)))
		for _, m := range v.open {
			b = types.AppendMember(b, m)
		}
	}
	return b
}

// onInstall takes over the state of a checkpoint, if this replica has not come
// that far itself.
func (d *Delivery) onInstall(e types.InstallSnapshot, out *mir.Out) {
	if e.Checkpoint.Epoch < d.executing {
		return
	}
	restored, err := d.Restore(e.Checkpoint.Epoch, e.Data)
	if err != nil {
		// A quorum has signed the digest of these bytes.
		panic(fmt.Sprintf("delivery: invariant broken: a stable snapshot is of no use: %v", err))
	}
	d.stats.Installed++
	for _, id := range d.cfg.Configs {
		out.Emit(id, *restored)
	}
	d.advance(out)
}

// state is a snapshot, decoded, except for the application's part.
type state struct {
	header   types.SnapshotHeader
	policy   []byte
	creators []*types.Window
	voters   map[types.NodeID]*voter
	clients  map[types.ClientID]*types.Window
	kept     keptBack
}

// Restore replaces the state by that after an epoch and forgets what is queued
// of the log up to there. After an error the state is as before.
func (d *Delivery) Restore(e types.Epoch, snapshot []byte) (*types.Restored, error) {
	s, application, err := d.readSnapshot(snapshot)
	if err == nil && s.header.Epoch != e {
		err = fmt.Errorf("of epoch %d, want %d", s.header.Epoch, e)
	}
	if err == nil {
		err = d.cfg.App.Restore(application)
	}
	if err != nil {
		return nil, fmt.Errorf("delivery snapshot: %w", err)
	}
	d.become(s)
	restored := &types.Restored{
		Epoch: e, Next: s.header.Next, Policy: s.policy, Configs: s.header.Configs,
		Clients: make(map[types.ClientID]*types.Window, len(s.clients)),
	}
	for _, w := range s.creators {
		restored.Creators = append(restored.Creators, w.Clone())
	}
	for len(restored.Creators) < s.header.Configs[0].Members.Slots() {
		restored.Creators = append(restored.Creators, types.NewWindow(d.cfg.BatchWindow))
	}
	for id, w := range s.clients { // maprange: each is copied on its own.
		restored.Clients[id] = w.Clone()
	}
	return restored, nil
}

// become takes over a state. What ordering has sent already of later epochs
// stays queued, and with it the state of the log; the batches that come first
// now are asked for again.
func (d *Delivery) become(s *state) {
	d.executing, d.coming, d.changes = s.header.Epoch+1, s.header.Configs[len(s.header.Configs)-1].Config, 0
	d.schedule = types.ScheduleOf(s.header.Configs)
	d.clients, d.voters, d.kept = s.clients, s.voters, s.kept
	for _, config := range s.header.Configs {
		d.learnKeys(config.Config)
	}
	d.queue = slices.DeleteFunc(d.queue, func(it *item) bool { return d.behind || it.epoch < d.executing })
	if d.epoch < d.executing || d.behind {
		d.next, d.epoch, d.creators = s.header.Next, d.executing, s.creators
		d.behind = d.missed > d.next
	}
	d.growCreators()
	d.requested = 0
	d.progress++
	clear(d.waiting)
}

func (d *Delivery) readSnapshot(b []byte) (s *state, application []byte, err error) {
	r := types.NewReader(b)
	s = &state{header: types.ReadSnapshotHeader(r), policy: r.Bytes(PolicyBytesMax)}
	if n := len(s.header.Configs); r.Err() == nil && n != d.cfg.ConfigDelay {
		r.Fail(fmt.Errorf("%d configurations, want %d", n, d.cfg.ConfigDelay))
	}
	creatorsMax := 0
	if r.Err() == nil {
		creatorsMax = s.header.Configs[0].Members.Slots()
	}
	n := r.Count(creatorsMax, types.WindowWireBytesMin)
	for range n {
		s.creators = append(s.creators, types.ReadWindow(r, d.cfg.BatchWindow))
	}
	s.voters = readVoters(r)
	s.clients = d.readClients(r)
	s.kept = d.readKept(r)
	application = r.Bytes(len(b))
	return s, application, r.Close()
}

func readVoters(r *types.Reader) map[types.NodeID]*voter {
	n := r.Count(types.MaxReplicas, voterBytesMin)
	voters := make(map[types.NodeID]*voter, n)
	last := types.NodeID(0)
	for i := range n {
		id := types.NodeID(r.U32())
		v := &voter{last: r.U64()}
		if i > 0 && id <= last || id >= types.MaxReplicas {
			r.Fail(fmt.Errorf("voter %d after %d", id, last))
		}
		for range r.Count(openVotesMax, 1) {
			v.open = append(v.open, types.ReadMember(r))
		}
		voters[id], last = v, id
	}
	return voters
}

func (d *Delivery) readClients(r *types.Reader) map[types.ClientID]*types.Window {
	n := r.Count(d.cfg.ClientsMax+1, 8+types.WindowWireBytesMin) // With types.ConfigClient.
	clients := make(map[types.ClientID]*types.Window, n)
	last := types.ClientID(0)
	for i := range n {
		id := types.ClientID(r.U64())
		if i > 0 && id <= last {
			r.Fail(fmt.Errorf("client %d after %d", id, last))
		}
		if i == d.cfg.ClientsMax && id != types.ConfigClient {
			r.Fail(fmt.Errorf("more than %d clients", d.cfg.ClientsMax))
		}
		if r.Err() != nil {
			return clients
		}
		clients[id] = types.ReadWindow(r, d.cfg.ClientWindow)
		last = id
	}
	return clients
}
