package micro

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/eventlog"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/types"
)

// recordedCodec knows the one message that is recorded here.
func recordedCodec() *types.Codec {
	codec := &types.Codec{}
	availability.RegisterMessages(codec)
	return codec
}

// recordedInput is a message of 256 bytes from a peer.
func recordedInput(to mir.ModuleID) mir.Event {
	return mir.Event{To: to, Body: mir.Received{From: 1, Msg: availability.Batch{Data: pattern(256)}}}
}

func newRecorder(b *testing.B, out io.Writer, names *mir.Names) *eventlog.Recorder {
	recorder, err := eventlog.NewRecorder(eventlog.Config{
		Out: out, Header: eventlog.NewHeader(names), Codec: recordedCodec(),
		Clock: func() time.Duration { return 0 }, Wait: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	return recorder
}

// BenchmarkRecord records one event, as the node's goroutine pays for it: a
// message of 256 bytes, which is encoded, or an event of the node's own, of which
// a summary is kept.
//
//perfgate:sizes gate full
func BenchmarkRecord(b *testing.B) {
	names := &mir.Names{}
	module := names.Intern("module")
	for _, form := range []struct {
		name string
		ev   mir.Event
	}{
		{"body=message", recordedInput(module)},
		{"body=summary", mir.Event{To: module, Body: mir.SetTimer{After: time.Second, Fire: mir.Event{To: module, Body: ping{}}}}},
	} {
		b.Run(form.name, func(b *testing.B) {
			recorder := newRecorder(b, io.Discard, names)
			node := recorder.Node(0)
			for b.Loop() {
				node.Intercept(form.ev, true)
			}
			recorded, dropped := recorder.Counts()
			want(b, "events recorded", int(recorded), b.N)
			want(b, "events dropped", int(dropped), 0)
			if err := recorder.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkReplay reads a recording of 500 messages and gives them to a module
// that passes each on to another: 1000 events.
//
//perfgate:sizes gate full
func BenchmarkReplay(b *testing.B) {
	const inputs = 500
	names, applied := &mir.Names{}, 0
	net, timer, first, second := names.Intern("net"), names.Intern("timer"), names.Intern("first"), names.Intern("second")
	table := []mir.Registration{
		{ID: first, Module: mir.ModuleFunc(func(_ mir.Event, out *mir.Out) { out.Emit(second, ping{}) })},
		{ID: second, Module: mir.ModuleFunc(func(mir.Event, *mir.Out) { applied++ })},
	}
	var file bytes.Buffer
	recorder := newRecorder(b, &file, names)
	m, err := mir.NewMachine(mir.MachineConfig{Names: names, Modules: table, Interceptor: recorder.Node(0)})
	if err != nil {
		b.Fatal(err)
	}
	for range inputs {
		complete(b, m, recordedInput(first))
	}
	if err := recorder.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("events=1000", func(b *testing.B) {
		applied = 0
		for b.Loop() {
			reader, err := eventlog.NewReader(bytes.NewReader(file.Bytes()))
			if err != nil {
				b.Fatal(err)
			}
			replay, err := eventlog.NewReplay(reader, eventlog.ReplayConfig{
				Codec: recordedCodec(), Names: names, Modules: table, Net: net, Timer: timer,
			})
			for err == nil {
				_, _, err = replay.Step()
			}
			if !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		}
		want(b, "events applied", applied, inputs*b.N)
	})
}
