package eventlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/eventlog"
	"github.com/perfgate/perfgate/mir/sim"
)

// The protocol of these tests: each node that is started sends a token to all,
// itself included, once a tick, for some ticks, and adds up what it receives.
type (
	start struct{ ticks uint64 } // The codec knows it: a replay rebuilds it.
	token struct{ value uint64 }
	tick  struct{ left uint64 } // The codec does not know it.
)

func (start) EventName() string { return "test.Start" }
func (token) EventName() string { return "test.Token" }
func (tick) EventName() string  { return "test.Tick" }

// codec writes 9 bytes: a kind and a number.
type codec struct{}

func (codec) Encode(dst []byte, m mir.Message) ([]byte, error) {
	switch m := m.(type) {
	case start:
		return binary.BigEndian.AppendUint64(append(dst, 's'), m.ticks), nil
	case token:
		return binary.BigEndian.AppendUint64(append(dst, 't'), m.value), nil
	}
	return nil, errors.New("no message")
}

func (codec) Decode(b []byte) (mir.Message, error) {
	if len(b) != 9 {
		return nil, fmt.Errorf("a message of %d bytes", len(b))
	}
	switch value := binary.BigEndian.Uint64(b[1:]); b[0] {
	case 's':
		return start{ticks: value}, nil
	case 't':
		return token{value: value}, nil
	}
	return nil, errors.New("unknown kind")
}

// ids are the modules, the same on every node.
type ids struct {
	names           mir.Names
	net, timer, app mir.ModuleID
}

func newIDs() *ids {
	i := &ids{}
	i.net, i.timer, i.app = i.names.Intern("net"), i.names.Intern("timer"), i.names.Intern("app")
	return i
}

// counter is the protocol's module.
type counter struct {
	*ids
	n    int
	step uint64 // What it adds to a token; other code for a replay has another.
	sum  uint64
}

func (c *counter) Apply(ev mir.Event, out *mir.Out) {
	switch b := ev.Body.(type) {
	case start:
		c.wait(b.ticks, out)
	case tick:
		send := mir.Send{Dest: c.app, Msg: token{value: b.left + c.step}}
		for id := range c.n {
			send.To = append(send.To, mir.NodeID(id))
		}
		out.Emit(c.net, send)
		if b.left > 0 {
			c.wait(b.left-1, out)
		}
	case mir.Received:
		c.sum = c.sum*31 + b.Msg.(token).value*uint64(b.From+1)
	}
}

// wait sets two timers, of which the second is cancelled: a replay must not
// fire it.
func (c *counter) wait(left uint64, out *mir.Out) {
	for n := range uint64(2) {
		out.Emit(c.timer, mir.SetTimer{
			ID: mir.TimerID{Owner: c.app, N: n}, After: time.Millisecond, Fire: mir.Event{To: c.app, Body: tick{left: left}},
		})
	}
	out.Emit(c.timer, mir.CancelTimer{ID: mir.TimerID{Owner: c.app, N: 1}})
}

const nodes, ticks = 3, 5

// simulated is a recorded simulation.
type simulated struct {
	*ids
	recording []byte
	sums      []uint64 // By node.
	events    []uint64
}

func simulate(t *testing.T, seed uint64) simulated {
	t.Helper()
	run := simulated{ids: newIDs()}
	s, err := sim.New(sim.Config{Seed: seed, Codec: codec{}, Network: sim.Network{Latency: sim.Uniform(time.Millisecond, 9*time.Millisecond)}})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	recorder := newRecorder(t, eventlog.Config{
		Out: &file, Header: eventlog.NewHeader(&run.names), Codec: codec{}, Clock: s.Now, Wait: true,
	})
	counters := make([]*counter, nodes)
	for id := range counters {
		counters[id] = &counter{ids: run.ids, n: nodes}
		if _, err := s.AddNode(sim.NodeConfig{
			Names: &run.names, Net: run.net, Timer: run.timer, Interceptor: recorder.Node(mir.NodeID(id)),
			Modules: []mir.Registration{{ID: run.app, Module: counters[id]}},
		}); err != nil {
			t.Fatal(err)
		}
		s.Inject(mir.NodeID(id), mir.Event{To: run.app, Body: start{ticks: ticks}})
	}
	if err := s.Run(time.Second); err != nil {
		t.Fatal(err)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	run.recording = file.Bytes()
	for id, c := range counters {
		run.sums = append(run.sums, c.sum)
		run.events = append(run.events, s.Counters(mir.NodeID(id)).EventsApplied)
	}
	return run
}

func newRecorder(t *testing.T, cfg eventlog.Config) *eventlog.Recorder {
	t.Helper()
	r, err := eventlog.NewRecorder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newReader(t *testing.T, recording []byte) *eventlog.Reader {
	t.Helper()
	r, err := eventlog.NewReader(bytes.NewReader(recording))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// records reads a recording to its end or first error.
func records(t *testing.T, r *eventlog.Reader, f eventlog.Filter) (all []eventlog.Record, err error) {
	t.Helper()
	err = eventlog.Each(r, f, func(rec eventlog.Record) error {
		all = append(all, rec)
		return nil
	})
	return all, err
}
