package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/eventlog"
)

func TestOneSeedGivesOneRecordingWithEveryEvent(t *testing.T) {
	run := simulate(t, 7)
	if again := simulate(t, 7); !bytes.Equal(run.recording, again.recording) {
		t.Error("two runs of one seed were recorded differently")
	}
	if other := simulate(t, 8); bytes.Equal(run.recording, other.recording) {
		t.Error("runs of two seeds were recorded alike: the test shows nothing")
	}
	all, err := records(t, newReader(t, run.recording), eventlog.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	byNode := make([]uint64, nodes)
	last := time.Duration(0)
	for _, rec := range all {
		byNode[rec.Node]++
		if rec.At < last {
			t.Fatalf("%v comes after %v", rec.At, last)
		}
		last = rec.At
	}
	for id, n := range byNode {
		if n != run.events[id] {
			t.Errorf("node %d has %d events in the recording, and applied %d", id, n, run.events[id])
		}
	}
}

// gate is an output whose writes wait until it is opened.
type gate struct {
	bytes.Buffer
	opened chan struct{}
	header bool
}

func (g *gate) Write(b []byte) (int, error) {
	if g.header { // Everything after the header waits.
		<-g.opened
	}
	g.header = true
	return g.Buffer.Write(b)
}

func TestARecorderWhoseOutputHangsDropsAndCountsAndNeverBlocks(t *testing.T) {
	i, out := newIDs(), &gate{opened: make(chan struct{})}
	recorder := newRecorder(t, eventlog.Config{
		Out: out, Header: eventlog.NewHeader(&i.names), Codec: codec{}, Clock: func() time.Duration { return 1 },
	})
	node := recorder.Node(0)
	// An event has at least 8 bytes: so many can not fit into all buffers.
	const events = (eventlog.BuffersMax + 1) * eventlog.BufferBytes / 8
	for range events {
		node.Intercept(mir.Event{To: i.app, Body: token{value: 1}}, true)
	}
	recorded, dropped := recorder.Counts()
	if dropped == 0 || recorded == 0 || recorded+dropped != events {
		t.Fatalf("%d recorded and %d dropped of %d", recorded, dropped, events)
	}
	close(out.opened)
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	node.Intercept(mir.Event{To: i.app, Body: token{}}, true) // Comes too late, and does nothing.
	if err := recorder.Close(); !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}

	reader := newReader(t, out.Bytes())
	all, err := records(t, reader, eventlog.Filter{})
	if err != nil || uint64(len(all)) != recorded || reader.Dropped() != dropped {
		t.Errorf("the recording has %d events and %d dropped (%v), want %d and %d", len(all), reader.Dropped(), err, recorded, dropped)
	}
}

// brokenAfter fails once so many bytes were written.
type brokenAfter int

var errDisk = errors.New("no space left")

func (b *brokenAfter) Write(p []byte) (int, error) {
	if *b -= brokenAfter(len(p)); *b < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func TestARecorderWhoseOutputFailsSaysSoWhenItIsClosed(t *testing.T) {
	i := newIDs()
	for _, wait := range []bool{false, true} {
		out := brokenAfter(100)
		recorder := newRecorder(t, eventlog.Config{
			Out: &out, Header: eventlog.NewHeader(&i.names), Codec: codec{}, Clock: func() time.Duration { return 1 }, Wait: wait,
		})
		for range 2 * eventlog.BuffersMax * eventlog.BufferBytes / 8 {
			recorder.Node(0).Intercept(mir.Event{To: i.app, Body: token{}}, true)
		}
		if err := recorder.Close(); !errors.Is(err, errDisk) {
			t.Errorf("wait=%v: closing gives %v, want the output's error", wait, err)
		}
	}
	out := brokenAfter(0)
	if _, err := eventlog.NewRecorder(eventlog.Config{Out: &out, Codec: codec{}, Clock: func() time.Duration { return 0 }}); !errors.Is(err, errDisk) {
		t.Errorf("a header that can not be written: %v", err)
	}
}

// big is an event whose encoding is larger than a recording keeps.
type big struct{ data []byte }

func (big) EventName() string { return "test.Big" }

type bigCodec struct{ codec }

func (bigCodec) Encode(dst []byte, m mir.Message) ([]byte, error) {
	return append(dst, m.(big).data...), nil
}

func TestABodyAboveTheBoundIsKeptAsASummary(t *testing.T) {
	i := newIDs()
	var out bytes.Buffer
	recorder := newRecorder(t, eventlog.Config{Out: &out, Header: eventlog.NewHeader(&i.names), Codec: bigCodec{}, Clock: func() time.Duration { return 0 }, Wait: true})
	for _, size := range []int{eventlog.BodyBytesMax, eventlog.BodyBytesMax + 1} {
		recorder.Node(0).Intercept(mir.Event{To: i.app, Body: big{make([]byte, size)}}, true)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := records(t, newReader(t, out.Bytes()), eventlog.Filter{})
	if err != nil || len(all) != 2 {
		t.Fatalf("%d events (%v), want 2", len(all), err)
	}
	if all[0].Form != eventlog.Message || len(all[0].Body) != eventlog.BodyBytesMax {
		t.Errorf("the largest body is kept as form %d with %d bytes", all[0].Form, len(all[0].Body))
	}
	if want := "{data:00000000000000000000000000000000… of 1048577 bytes}"; all[1].Form != eventlog.Summary || string(all[1].Body) != want {
		t.Errorf("a larger body is kept as form %d: %s, want %s", all[1].Form, all[1].Body, want)
	}
}

// bigCodec panics at anything but big.
func TestNoBodyStopsARecorder(t *testing.T) {
	i := newIDs()
	var out bytes.Buffer
	recorder := newRecorder(t, eventlog.Config{Out: &out, Header: eventlog.NewHeader(&i.names), Codec: bigCodec{}, Clock: func() time.Duration { return 0 }, Wait: true})
	bodies := []mir.Body{tick{left: 1}, mir.Received{Msg: token{value: 2}}, mir.Received{}, mir.Send{}, &tick{left: 3}}
	for _, body := range bodies {
		recorder.Node(0).Intercept(mir.Event{To: i.app, Body: body}, true)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := records(t, newReader(t, out.Bytes()), eventlog.Filter{})
	if err != nil || len(all) != len(bodies) {
		t.Fatalf("%d events (%v), want %d", len(all), err, len(bodies))
	}
	for n, want := range []string{"{left:1}", "{From:0 Msg:eventlog_test.token{value:2}}", "{From:0 Msg:nil}", "{To:[] Dest:0 Sub:0 Msg:nil}", "{left:3}"} {
		if got := string(all[n].Body); got != want {
			t.Errorf("%T is kept as %s, want %s", bodies[n], got, want)
		}
	}
}

// A node in real time is recorded while it runs, and gives the same sum when its
// inputs are replayed. Its timers are inputs of mir.RealTimer.
func TestARunInRealTimeIsReplayed(t *testing.T) {
	i := newIDs()
	network, err := mir.NewInprocNet(mir.InprocConfig{Nodes: 1, Codec: codec{}})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	began := time.Now()
	recorder := newRecorder(t, eventlog.Config{
		Out: &file, Header: eventlog.NewHeader(&i.names), Codec: codec{}, Clock: func() time.Duration { return time.Since(began) },
	})
	original, ended := &counter{ids: i, n: 1}, make(chan struct{})
	node, err := mir.NewNode(mir.NodeConfig{
		Names: &i.names, Interceptor: recorder.Node(0),
		Modules: []mir.Registration{
			{ID: i.timer, Module: mir.NewRealTimer(i.timer)},
			{ID: i.net, Module: network.Port(0)},
			{ID: i.app, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
				original.Apply(ev, out)
				if msg, ok := ev.Body.(mir.Received); ok && msg.Msg == (token{value: 0}) {
					close(ended)
				}
			})},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- node.Run(ctx) }()
	if err := node.Inject(ctx, mir.Event{To: i.app, Body: start{ticks: ticks}}); err != nil {
		t.Fatal(err)
	}
	<-ended
	stop()
	if err := errors.Join(<-stopped, recorder.Close()); err != nil {
		t.Fatal(err)
	}
	copied := &counter{ids: i, n: 1}
	if _, err := replayAll(t, file.Bytes(), i, 0, copied); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if copied.sum != original.sum {
		t.Errorf("the replay ends with %d, the original with %d", copied.sum, original.sum)
	}
}

// How many bytes a node counts for an event is not part of it: a replay does not
// have that.
func TestASizeLeavesNoTraceInARecording(t *testing.T) {
	i := newIDs()
	record := func(fire mir.Event) string {
		out := &bytes.Buffer{}
		recorder := newRecorder(t, eventlog.Config{
			Out: out, Header: eventlog.NewHeader(&i.names), Codec: codec{}, Clock: func() time.Duration { return 0 },
		})
		recorder.Node(0).Intercept(mir.Event{To: i.timer, Body: mir.SetTimer{Fire: fire}}, true)
		if err := recorder.Close(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	fire := mir.Event{To: i.app, Body: token{value: 1}}
	if record(fire) != record(fire.Sized(1000)) {
		t.Error("the same event in two sizes gives two recordings")
	}
}
