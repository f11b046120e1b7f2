package simtest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// The corpus of these targets comes out of a drawn run: it has messages and
// records of all kinds that occur, as they are.

// corpusSeed is a run with view changes, restarts and lost messages.
const corpusSeed = 8

// packet is a message on its way.
type packet struct {
	dest mir.ModuleID
	sub  mir.SubID
	wire []byte
}

// traffic is up to most messages of each kind of a drawn run.
func traffic(tb testing.TB, most int) (all []packet) {
	tb.Helper()
	w := get(newWorld(Draw(corpusSeed)))(tb)
	seen := map[string]int{}
	w.watch = func(s sim.Step) error {
		e, ok := s.Event.Body.(mir.Send)
		if !ok || seen[e.Msg.EventName()] >= most {
			return w.observe(s)
		}
		if _, own := e.Msg.(forged); !own {
			seen[e.Msg.EventName()]++
			all = append(all, packet{e.Dest, e.Sub, get(replica.NewCodec().Encode(nil, e.Msg))(tb)})
		}
		return w.observe(s)
	}
	if err := w.run(); err != nil {
		tb.Fatal(err)
	}
	return all
}

// get ends the test where there is an error.
func get[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// FuzzCodec: whatever any module's decoder takes is the one encoding of its
// message, so that a digest or a signature over it means one thing.
func FuzzCodec(f *testing.F) {
	f.Add([]byte{})
	for _, p := range traffic(f, 3) {
		f.Add(p.wire)
		f.Add(p.wire[:len(p.wire)-1])
		f.Add(append(bytes.Clone(p.wire), 0))
	}
	codec := replica.NewCodec()
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := codec.Decode(b)
		if err != nil || carriesTxs(m) {
			return // A replica vouches for its clients: what it hands on may be new.
		}
		if back := get(codec.Encode(nil, m))(t); !bytes.Equal(back, b) {
			t.Errorf("%x decodes to %s, which encodes to %x", b, m.EventName(), back)
		}
	})
}

// FuzzPeer: no message of a peer makes a replica panic or break an invariant,
// whatever it says and whichever module and instance it is for.
func FuzzPeer(f *testing.F) {
	for _, p := range traffic(f, 2) {
		f.Add(uint16(p.dest), uint64(p.sub), p.wire)
	}
	codec := replica.NewCodec()
	f.Fuzz(func(t *testing.T, dest uint16, sub uint64, b []byte) {
		m, err := codec.Decode(b)
		if err != nil || carriesTxs(m) {
			return // A replica vouches for its clients: what it hands on may be new.
		}
		s := calm(4)
		s.Byzantine = []Villain{{Node: 3}}
		for no := range 12 {
			s.Txs = append(s.Txs, Submission{Nodes: []types.NodeID{types.NodeID(no % 4)}, Tx: tx(no, "x")})
		}
		w := get(newWorld(s))(t)
		w.sim.At(5*time.Millisecond, func() {
			w.villains[0].send(mir.ModuleID(dest), mir.SubID(sub), m.(types.WireMessage), 0, 1, 2)
		})
		if err := w.run(); err != nil {
			t.Errorf("%s to module %d, instance %x: %v", m.EventName(), dest, sub, err)
		}
	})
}

// FuzzRecover: from whatever records a replica recovers or says why it does not.
// It never panics, and records that it wrote itself are good.
func FuzzRecover(f *testing.F) {
	s := Draw(corpusSeed)
	s.Durable = true
	w := get(newWorld(s))(f)
	if err := w.run(); err != nil {
		f.Fatal(err)
	}
	records := w.hosts[0].disk.Records()
	again := func(records []types.Record) error {
		_, err := replica.New(replica.Config{
			Node: 0, Genesis: s.Genesis, App: &app.Chain{}, Params: s.Params, Durable: true, Records: records,
			Crypto: crypto.NewSimulated(s.Seed, 0, s.N()),
		})
		return err
	}
	if err := again(records); err != nil {
		f.Fatalf("own records: %v", err)
	}
	for i, r := range records {
		f.Add(uint16(i), r.Key, r.Value[:len(r.Value)/2])
	}
	f.Add(uint16(0), []byte("c"), []byte{})
	f.Fuzz(func(t *testing.T, at uint16, key, value []byte) {
		changed := slices.Clone(records)
		if len(changed) > 0 {
			changed = slices.Delete(changed, int(at)%len(changed), int(at)%len(changed)+1)
		}
		place, found := slices.BinarySearchFunc(changed, key, func(r types.Record, key []byte) int { return bytes.Compare(r.Key, key) })
		if !found {
			changed = slices.Insert(changed, place, types.Record{Key: key, Value: value})
		}
		_ = again(changed) // An error is an answer; a panic is not.
	})
}
