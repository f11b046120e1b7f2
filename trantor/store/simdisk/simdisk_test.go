package simdisk_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/store/simdisk"
	"github.com/perfgate/perfgate/trantor/types"
)

const latency = 10 * time.Millisecond

// done is what the tests put into Then.
type done string

func (done) EventName() string { return "test.Done" }

// noCodec serves a node that never uses the network.
type noCodec struct{}

func (noCodec) Encode([]byte, mir.Message) ([]byte, error) { return nil, errors.New("no message") }
func (noCodec) Decode([]byte) (mir.Message, error)         { return nil, errors.New("no message") }

// rig is one node with a disk and a module that notes what it gets.
type rig struct {
	*testing.T
	sim                    *sim.Sim
	disk                   *simdisk.Disk
	names                  mir.Names
	net, timer, store, app mir.ModuleID
	got                    []string
}

func newRig(t *testing.T, opts simdisk.Options) *rig {
	t.Helper()
	r := &rig{T: t, disk: simdisk.New(opts)}
	r.net, r.timer = r.names.Intern("net"), r.names.Intern("timer")
	r.store, r.app = r.names.Intern("store"), r.names.Intern("app")
	var err error
	if r.sim, err = sim.New(sim.Config{Codec: noCodec{}}); err != nil {
		t.Fatal(err)
	}
	if _, err = r.sim.AddNode(r.node()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) node() sim.NodeConfig {
	app := mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) {
		r.got = append(r.got, fmt.Sprintf("%v at %v", ev.Body, r.sim.Now()))
	})
	return sim.NodeConfig{Names: &r.names, Net: r.net, Timer: r.timer, Modules: []mir.Registration{
		{ID: r.store, Module: r.disk.Module(r.store, r.timer)}, {ID: r.app, Module: app},
	}}
}

// put persists one key at virtual time at; its Then is an event of that name.
func (r *rig) put(at time.Duration, key, value string) {
	r.persist(at, types.Persist{
		Puts: []types.Record{{Key: []byte(key), Value: []byte(value)}},
		Then: []mir.Event{{To: r.app, Body: done(key)}},
	})
}

func (r *rig) persist(at time.Duration, p types.Persist) {
	r.sim.At(at, func() { r.sim.Inject(0, mir.Event{To: r.store, Body: p}) })
}

func (r *rig) run(until time.Duration) {
	r.Helper()
	if err := r.sim.Run(until); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) want(got ...string) {
	r.Helper()
	if !slices.Equal(r.got, got) {
		r.Errorf("got %q, want %q", r.got, got)
	}
}

func (r *rig) wantRecords(want ...string) {
	r.Helper()
	var have []string
	for _, rec := range r.disk.Records() {
		have = append(have, string(rec.Key)+"="+string(rec.Value))
	}
	if !slices.Equal(have, want) {
		r.Errorf("records %q, want %q", have, want)
	}
}

func TestWhatComesDuringACommitIsTheNextGroup(t *testing.T) {
	r := newRig(t, simdisk.Options{Latency: latency})
	for i, at := range []time.Duration{0, 1, latency - 1, latency + 1} {
		r.put(at, fmt.Sprint(i), "v")
	}
	r.run(time.Second)
	r.want("0 at 10ms", "1 at 20ms", "2 at 20ms", "3 at 30ms")
	if got, want := r.disk.Stats(), (simdisk.Stats{Groups: 3, Persists: 4, Records: 4, Bytes: 8}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestWithoutLatencyThenFollowsInTheSameStep(t *testing.T) {
	r := newRig(t, simdisk.Options{})
	r.put(0, "a", "1")
	r.put(0, "b", "2")
	r.run(0)
	r.want("a at 0s", "b at 0s")
	if got := r.sim.Steps(); got != 4 {
		t.Errorf("%d steps, want a Persist and a Then each", got)
	}
}

func TestDeletesComeBeforePutsAndRecordsAreSorted(t *testing.T) {
	r := newRig(t, simdisk.Options{})
	for _, key := range []string{"c", "a", "b", "bb", "d"} {
		r.put(0, key, "old")
	}
	r.persist(1, types.Persist{
		Deletes: []types.KeyRange{
			{From: []byte("b"), To: []byte("d")},
			{From: []byte("z"), To: []byte("a")}, // Empty.
		},
		Puts: []types.Record{{Key: []byte("bb"), Value: []byte("new")}, {Key: []byte("a"), Value: []byte("new")}},
	})
	r.run(1)
	r.wantRecords("a=new", "bb=new", "d=old")
}

func TestACrashWithoutACoinLosesWhatIsNotDurable(t *testing.T) {
	r := newRig(t, simdisk.Options{Latency: latency})
	r.put(0, "a", "1")
	r.put(latency, "b", "2")
	r.put(latency+1, "c", "3")
	r.sim.At(2*latency, func() {
		r.sim.Crash(0)
		r.disk.Crash(nil)
		r.wantRecords("a=1")
		if err := r.sim.Restart(0, r.node()); err != nil {
			t.Fatal(err)
		}
	})
	r.put(3*latency, "d", "4")
	r.run(time.Second)
	r.want("a at 10ms", "d at 40ms")
	r.wantRecords("a=1", "d=4")
}

// TestAnyPrefixMaySurviveACrash draws until each prefix was seen: those are all
// that may be, and none gets its Then.
func TestAnyPrefixMaySurviveACrash(t *testing.T) {
	coin := rand.New(rand.NewPCG(1, 1))
	seen := map[int]bool{}
	for range 100 {
		r := newRig(t, simdisk.Options{Latency: latency})
		for i, key := range []string{"a", "b", "c"} {
			r.put(time.Duration(i), key, "v")
		}
		r.run(latency / 2)
		r.disk.Crash(coin)
		kept := len(r.disk.Records())
		r.wantRecords([]string{"a=v", "b=v", "c=v"}[:kept]...)
		r.want()
		seen[kept] = true
	}
	if len(seen) != 4 {
		t.Errorf("prefixes of these lengths survived: %v, want all from 0 to 3", seen)
	}
}

func TestAReplicaCanCrashJustBeforeAndJustAfterTheThenOfAnyWrite(t *testing.T) {
	// a is the first group; b and c are the second, so they become durable in
	// one step, and a crash in it loses every Then that was not applied yet.
	for _, tc := range []struct {
		write      uint64
		afterThen  bool
		thens      int // How many of a, b and c the replica learns are durable.
		areDurable int
	}{
		{1, false, 0, 1},
		{1, true, 1, 1},
		{2, false, 1, 2},
		{2, true, 2, 3},
		{3, false, 1, 3},
		{3, true, 3, 3},
	} {
		t.Run(fmt.Sprintf("write=%d/afterThen=%v", tc.write, tc.afterThen), func(t *testing.T) {
			var r *rig
			opts := simdisk.Options{Latency: latency}
			crash := func(n uint64) {
				if n == tc.write {
					r.sim.Crash(0)
					r.disk.Crash(nil)
				}
			}
			if opts.OnDurable = crash; tc.afterThen {
				opts.OnDurable, opts.OnThen = nil, crash
			}
			r = newRig(t, opts)
			for i, key := range []string{"a", "b", "c"} {
				r.put(time.Duration(i), key, "v")
			}
			r.run(time.Second)
			r.want([]string{"a at 10ms", "b at 20ms", "c at 20ms"}[:tc.thens]...)
			r.wantRecords([]string{"a=v", "b=v", "c=v"}[:tc.areDurable]...)
		})
	}
}
