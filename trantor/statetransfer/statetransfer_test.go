package statetransfer

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

const chunk = types.SnapshotChunkBytes

func TestReplicaThatIsBehindFetchesTheSnapshot(t *testing.T) {
	w := newWorld(t)
	w.spoil = func(p packet) mir.Message {
		if m, ok := p.msg.(Chunk); ok && p.from == 1 {
			m.Data = bytes.Clone(m.Data)
			m.Data[0] ^= 1
			return m
		}
		return p.msg
	}
	data := snapshot(5, 5*chunk+10)
	w.checkpoint(5, data)
	w.catchUp()
	w.run(1)
	golden.Check(t, t.Name(), `Replica 3 has executed nothing for a while and fetches the snapshot of epoch 5 from its
signers: the list from the first, then six chunks, four at a time, the first from who gave
the list and the others from each in turn. What replica 1 sends is not what the list says,
so it loses its turn, and the chunk is asked for again where the list is from.`, w.trace.Bytes())
	w.wantInstalled(5, data)
}

func TestReplicaThatCatchesUpByItselfFetchesNothing(t *testing.T) {
	w := newWorld(t)
	w.checkpoint(5, snapshot(5, 10))
	for progress := range uint64(5) {
		w.executed.Progress = progress + 1
		w.catchUp()
	}
	if len(w.trace.Bytes()) == 0 || w.modules[fetcher].Stats().Started != 0 {
		t.Error("a transfer began in spite of progress")
	}
	w.input(fetcher, types.EpochConfig{Epoch: 5 + configDelay})
	if len(w.timers[fetcher]) != 0 {
		t.Error("a replica that is not behind goes on watching")
	}
}

func TestReplicaWithoutTheMissingPositionsFetchesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.executed = types.Executed{Behind: true}
	data := snapshot(5, 10)
	w.checkpoint(5, data)
	w.run(0)
	w.wantInstalled(5, data)
}

func TestOwnSnapshotOfBeforeARestartIsTaken(t *testing.T) {
	w := newWorld(t)
	data := snapshot(5, 10)
	w.input(fetcher, types.HeldSnapshot{Checkpoint: stable(5, data), Data: data})
	w.input(fetcher, stable(5, data))
	w.catchUp()
	w.wantInstalled(5, data)
	if w.modules[fetcher].Stats().Started != 0 {
		t.Error("it was fetched")
	}
}

// One faulty server costs only time, whatever it does.
func TestFaultyServersCostOnlyTime(t *testing.T) {
	for name, spoil := range map[string]func(mir.Message) mir.Message{
		"silent": func(mir.Message) mir.Message { return nil },
		"wrong chunk": func(m mir.Message) mir.Message {
			if c, ok := m.(Chunk); ok {
				c.Data = make([]byte, len(c.Data))
				return c
			}
			return m
		},
		"short chunk": func(m mir.Message) mir.Message {
			if c, ok := m.(Chunk); ok {
				c.Data = c.Data[:len(c.Data)-1]
				return c
			}
			return m
		},
		"chunk of another index": func(m mir.Message) mir.Message {
			if c, ok := m.(Chunk); ok {
				c.Index += 1 << 30
				return c
			}
			return m
		},
		"wrong list": func(m mir.Message) mir.Message {
			if l, ok := m.(List); ok {
				l.Chunks = slices.Clone(l.Chunks)
				l.Chunks[0][0] ^= 1
				return l
			}
			return m
		},
		"short list": func(m mir.Message) mir.Message {
			if l, ok := m.(List); ok {
				l.Chunks = l.Chunks[1:]
				return l
			}
			return m
		},
		"list of an older epoch": func(m mir.Message) mir.Message {
			if l, ok := m.(List); ok {
				l.Epoch--
				return l
			}
			return m
		},
	} {
		for faulty := range types.NodeID(3) {
			t.Run(fmt.Sprintf("%s/%d", name, faulty), func(t *testing.T) {
				w := newWorld(t)
				w.spoil = func(p packet) mir.Message {
					if p.from == faulty {
						return spoil(p.msg)
					}
					return p.msg
				}
				data := snapshot(5, 9*chunk)
				w.checkpoint(5, data)
				w.catchUp()
				w.run(4)
				w.wantInstalled(5, data)
				if failed := w.modules[fetcher].failed; len(failed) > 0 {
					t.Errorf("the replica has caught up and still holds it against %v", failed)
				}
			})
		}
	}
}

// All servers may be cut off for a while.
func TestTransferGoesOnWhenTheServersComeBack(t *testing.T) {
	w := newWorld(t)
	w.spoil = func(p packet) mir.Message { return nil }
	data := snapshot(5, 3*chunk)
	w.checkpoint(5, data)
	w.catchUp()
	for range 10 {
		w.tick()
		w.deliver()
	}
	w.spoil = nil
	w.run(1 + patienceMax)
	w.wantInstalled(5, data)
}

// Checkpoints come faster than a faulty server is found out, and the servers that
// nobody has asked drop their snapshots meanwhile.
func TestPassingCheckpointsAndAFaultyServerKeepNobodyBehind(t *testing.T) {
	for what, says := range map[string]func(mir.Message) bool{
		"silent":     func(mir.Message) bool { return false },
		"lists only": func(m mir.Message) bool { _, list := m.(List); return list },
	} {
		for faulty := range types.NodeID(3) {
			for _, chunks := range []int{1, 7} {
				t.Run(fmt.Sprintf("%s/%d/%d chunks", what, faulty, chunks), func(t *testing.T) {
					w := newWorld(t)
					w.spoil = func(p packet) mir.Message {
						if p.from == faulty && !says(p.msg) {
							return nil
						}
						return p.msg
					}
					w.checkpoint(5, snapshot(5, chunks*chunk))
					w.catchUp()
					for e := types.Epoch(6); len(w.installs) == 0; e += 2 {
						if e > 30 {
							t.Fatalf("nothing was installed: %+v", w.modules[fetcher].Stats())
						}
						w.checkpoint(e, snapshot(e, chunks*chunk))
						w.checkpoint(e+1, snapshot(e+1, chunks*chunk))
						w.tick()
						w.deliver()
					}
				})
			}
		}
	}
}

// Servers that are slower than RetryAfter are given the time in the end, and a
// replica that has caught up forgets who was slow.
func TestServersGetMoreTimeOnceAllHaveFailed(t *testing.T) {
	for delay := 1; delay <= patienceMax; delay++ {
		w := newWorld(t)
		w.delay = delay
		data := snapshot(5, 7*chunk)
		w.checkpoint(5, data)
		w.catchUp()
		w.run(100)
		w.wantInstalled(5, data)
		if m := w.modules[fetcher]; len(m.failed) != 0 || m.patience != 1 {
			t.Errorf("delay of %d ticks: failed are %v, patience is %d after the replica caught up", delay, m.failed, m.patience)
		}
	}
}

// The server that gave the list still has the snapshot when that took as long as it
// may, another server had as long for a chunk, and the request took as long.
func TestSnapshotIsKeptForWhoFetchesIt(t *testing.T) {
	const ticks = 3*(patienceMax+1) - 1
	w := newWorld(t)
	w.checkpoint(5, snapshot(5, chunk))
	w.input(0, mir.Received{From: 3, Msg: GetList{Epoch: 5}})
	for e := types.Epoch(6); e < 6+ticks; e++ {
		w.checkpoint(e, snapshot(e, chunk))
		w.fire(0, tickTimer)
	}
	w.packets = nil
	w.input(0, mir.Received{From: 3, Msg: GetChunk{Epoch: 5}})
	if len(w.packets) != 1 {
		t.Errorf("after %d ticks: stats %+v", ticks, w.modules[0].Stats())
	}
}

// A transfer is given up for a later checkpoint when nothing came for as long as a
// server has for a chunk, and then another one.
func TestTransferWithoutProgressIsGivenUpInTime(t *testing.T) {
	w := newWorld(t)
	w.spoil = func(p packet) mir.Message {
		if _, lost := p.msg.(Chunk); lost {
			return nil
		}
		return p.msg
	}
	w.checkpoint(5, snapshot(5, chunk))
	w.catchUp()
	w.checkpoint(6, snapshot(6, chunk))
	for ticks := 1; ticks <= 4; ticks++ {
		w.tick()
		w.deliver()
		want := types.Epoch(5)
		if ticks == 4 {
			want = 6
		}
		if got, on := w.modules[fetcher].Fetching(); !on || got != want {
			t.Errorf("after %d ticks the snapshot of epoch %d is fetched (%v), want %d", ticks, got, on, want)
		}
	}
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	w := newWorld(t)
	w.checkpoint(5, snapshot(5, 20*chunk))
	w.spoil = func(p packet) mir.Message {
		if _, ok := p.msg.(Chunk); ok {
			return nil
		}
		return p.msg
	}
	w.catchUp()
	for range 5 {
		asked := 0
		w.tick()
		for _, p := range w.packets {
			if _, ok := p.msg.(GetChunk); ok {
				asked++
			}
		}
		if asked > 4 || len(w.modules[fetcher].fetch.requested) != 4 {
			t.Errorf("%d chunks asked for in a tick, %d in flight, want 4", asked, len(w.modules[fetcher].fetch.requested))
		}
		w.deliver()
	}
}

func TestAnswersAreBoundedByPeerAndTick(t *testing.T) {
	w := newWorld(t)
	w.checkpoint(5, snapshot(5, chunk))
	for range 100 {
		w.input(0, mir.Received{From: 3, Msg: GetChunk{Epoch: 5}})
	}
	w.input(0, mir.Received{From: 2, Msg: GetChunk{Epoch: 5}})
	if got := len(w.packets); got != 65 || w.modules[0].Stats().OverBudget != 36 {
		t.Errorf("%d answers, stats %+v, want 64 to one peer and 1 to the other", got, w.modules[0].Stats())
	}
	w.fire(0, tickTimer)
	w.input(0, mir.Received{From: 3, Msg: GetChunk{Epoch: 5}})
	if got := len(w.packets); got != 66 {
		t.Errorf("%d answers after a tick, want one more", got)
	}
}

// A new checkpoint with every message does not end a transfer that goes on.
func TestTransferIsNotOvertakenWhileItGoesOn(t *testing.T) {
	w := newWorld(t)
	data := snapshot(5, 12*chunk)
	w.checkpoint(5, data)
	w.fire(fetcher, watchTimer)
	for e := types.Epoch(6); len(w.installs) == 0; e++ {
		if e > 200 {
			t.Fatal("nothing was installed")
		}
		w.checkpoint(e, snapshot(e, 10))
		if e%4 == 0 {
			w.tick()
		}
		if len(w.packets) > 0 {
			w.deliverOne()
		}
	}
	w.wantInstalled(5, data)
}

func TestTransferThatLeadsNowhereBeginsWithTheLatestCheckpoint(t *testing.T) {
	w := newWorld(t)
	w.checkpoint(5, snapshot(5, 12*chunk))
	w.fire(fetcher, watchTimer)
	w.packets = nil // The request for the list is lost.
	for e := types.Epoch(6); e < 12; e++ {
		w.checkpoint(e, snapshot(e, 2*chunk))
	}
	w.tick()
	w.run(2)
	w.wantInstalled(11, snapshot(11, 2*chunk))
	if got := w.modules[fetcher].Stats().Overtaken; got != 1 {
		t.Errorf("%d transfers were overtaken, want 1", got)
	}
}

func TestWhoAsksForAnOldSnapshotHearsOfALaterCheckpoint(t *testing.T) {
	w := newWorld(t)
	for e := types.Epoch(5); e < 9; e++ {
		w.checkpoint(e, snapshot(e, 10))
	}
	w.input(0, mir.Received{From: 3, Msg: GetList{Epoch: 5}})
	w.input(0, mir.Received{From: 3, Msg: GetChunk{Epoch: 50}})
	if !slices.Equal(w.behind, []types.NodeID{3}) || w.modules[0].Stats().NotHeld != 2 {
		t.Errorf("reported %v, stats %+v", w.behind, w.modules[0].Stats())
	}
}

func TestSnapshotsThatAreServedAreBounded(t *testing.T) {
	w := newWorld(t)
	for e := range types.Epoch(20) {
		w.checkpoint(e, snapshot(e, 10))
		w.input(0, mir.Received{From: types.NodeID(e), Msg: GetList{Epoch: e}})
		if got := len(w.modules[0].held); got > servedMax {
			t.Fatalf("%d snapshots are kept, limit %d", got, servedMax)
		}
	}
	for range pinTicks {
		w.fire(0, tickTimer)
	}
	if got := len(w.modules[0].held); got != 2 || len(w.modules[0].pins) != 0 || len(w.timers[0]) != 0 {
		t.Errorf("%d snapshots and %d pins are left, want the latest two", got, len(w.modules[0].pins))
	}
}

func TestMischiefIsCounted(t *testing.T) {
	w := newWorld(t)
	w.checkpoint(5, snapshot(5, 10))
	for _, in := range []mir.Received{
		{From: 1, Msg: types.Flush{}}, {From: types.MaxReplicas, Msg: GetList{Epoch: 5}}, {From: 1, Msg: GetChunk{Epoch: 5, Index: 1<<32 - 1}},
		{From: 1, Msg: List{Epoch: 5}}, {From: 1, Msg: Chunk{Epoch: 5}},
	} {
		w.input(0, in)
	}
	if got := w.modules[0].Stats(); got.Malformed != 3 || got.Unasked != 2 || len(w.packets) != 0 {
		t.Errorf("stats %+v, %d answers", got, len(w.packets))
	}
}

func TestRecordsOfStateTransferAreAnError(t *testing.T) {
	m := New(config(0))
	if m.Recover([]types.Record{{Key: []byte("s")}}, nil) == nil {
		t.Error("a record was recovered")
	}
	if err := m.Recover(nil, &types.Restored{Epoch: 4}); err != nil || m.executed != 5 {
		t.Errorf("executed are the epochs below %d, error %v", m.executed, err)
	}
}

func TestValidateNamesTheBadSetting(t *testing.T) {
	for setting, spoil := range map[string]func(*Config){
		"ConfigDelay":       func(c *Config) { c.ConfigDelay = 0 },
		"CatchUpAfter":      func(c *Config) { c.CatchUpAfter = 0 },
		"RetryAfter":        func(c *Config) { c.RetryAfter = 0 },
		"ChunksInFlightMax": func(c *Config) { c.ChunksInFlightMax = 0 },
		"ServeChunksMax":    func(c *Config) { c.ServeChunksMax = 2 },
	} {
		cfg := config(0)
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("bad %s: error %v", setting, err)
		}
	}
}

// Whatever decodes is encoded to the same bytes, and does not panic a replica
// that fetches or serves.
func FuzzMessages(f *testing.F) {
	codec := &types.Codec{}
	RegisterMessages(codec)
	data := snapshot(5, chunk+10)
	for _, m := range []mir.Message{
		GetList{Epoch: 5}, List{Epoch: 5, Bytes: uint64(len(data)), Chunks: types.ChunkDigests(data)},
		GetChunk{Epoch: 5, Index: 1}, Chunk{Epoch: 5, Index: 1, Data: data[chunk:]},
	} {
		wire, err := codec.Encode(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		m, err := codec.Decode(wire)
		if err != nil {
			return
		}
		again, err := codec.Encode(nil, m)
		if err != nil || !bytes.Equal(again, wire) {
			t.Fatalf("%x decodes to %+v, which encodes to %x, error %v", wire, m, again, err)
		}
		w := newWorld(t)
		w.checkpoint(5, data)
		w.fire(fetcher, watchTimer)
		w.input(fetcher, mir.Received{From: 1, Msg: m})
		w.input(0, mir.Received{From: 3, Msg: m})
	})
}
