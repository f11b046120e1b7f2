package eventlog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/eventlog"
)

func TestATornRecordingGivesWhatIsWholeAndAnError(t *testing.T) {
	whole := simulate(t, 1).recording
	for size := range len(whole) {
		r, err := eventlog.NewReader(bytes.NewReader(whole[:size]))
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%d bytes: %v", size, err)
			}
			continue
		}
		all, err := records(t, r, eventlog.Filter{})
		headerOnly := err == nil && len(all) == 0 // All that a recording of nothing has.
		if !headerOnly && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes: %d events and %v", size, len(all), err)
		}
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	whole := filter(t, simulate(t, 1).recording, eventlog.Filter{Until: time.Millisecond})
	for at := range 8 * len(whole) {
		bad := bytes.Clone(whole)
		bad[at/8] ^= 1 << (at % 8)
		r, err := eventlog.NewReader(bytes.NewReader(bad))
		if err == nil {
			_, err = records(t, r, eventlog.Filter{})
		}
		if err == nil {
			t.Errorf("bit %d of byte %d may be flipped", at%8, at/8)
		}
	}
}

func TestAFilterChoosesByModuleEventNodeAndTime(t *testing.T) {
	run := simulate(t, 1)
	const sends = nodes * (ticks + 1)
	for _, tc := range []struct {
		name   string
		filter eventlog.Filter
		want   int // Events.
	}{
		{"everything", eventlog.Filter{}, int(run.events[0] + run.events[1] + run.events[2])},
		{"a module", eventlog.Filter{Module: "net"}, sends},
		{"modules that begin alike", eventlog.Filter{Module: "ti*"}, nodes * (ticks + 1) * 3}, // Two are set and one is cancelled.
		{"an event", eventlog.Filter{Event: "test.Tick"}, sends},
		{"a message, sent and received", eventlog.Filter{Event: "test.Token"}, sends + sends*nodes},
		{"events that begin alike", eventlog.Filter{Event: "timer.*"}, nodes * (ticks + 1) * 3},
		{"a node", eventlog.Filter{Nodes: []mir.NodeID{1}}, int(run.events[1])},
		{"two nodes", eventlog.Filter{Nodes: []mir.NodeID{1, 2}, Module: "net"}, 2 * (ticks + 1)},
		{"a time", eventlog.Filter{From: 2 * time.Millisecond, Until: 3 * time.Millisecond, Event: "test.Tick"}, nodes},
		{"inputs", eventlog.Filter{Inputs: true, Event: "test.Start"}, nodes},
		{"nothing", eventlog.Filter{Event: "test"}, 0},
	} {
		filtered := filter(t, run.recording, tc.filter)
		direct, err := records(t, newReader(t, run.recording), tc.filter)
		if err != nil || len(direct) != tc.want {
			t.Errorf("%s: %d events (%v), want %d", tc.name, len(direct), err, tc.want)
		}
		written, err := records(t, newReader(t, filtered), eventlog.Filter{})
		if err != nil || !reflect.DeepEqual(written, direct) {
			t.Errorf("%s: what was written is read as %d other events (%v)", tc.name, len(written), err)
		}
	}
}

func TestALineShowsAnEventAndNothingUnprintable(t *testing.T) {
	h := eventlog.Header{Modules: []string{"app"}}
	for _, tc := range []struct {
		rec  eventlog.Record
		want string
	}{
		{eventlog.Record{At: 1500 * time.Microsecond, Node: 2, To: 1, Sub: 9, Event: "net.Received", Carried: "test.Token", Input: true, Form: eventlog.Received, From: 3, Body: make([]byte, 9)},
			"          1.5ms  node 2  in  app/9          net.Received(test.Token)     from node 3, 9 bytes"},
		{eventlog.Record{To: 7, Event: "test.Tick", Body: []byte("{left:3"), Truncated: true},
			"             0s  node 0      module(7)      test.Tick                    {left:3…"},
		{eventlog.Record{To: 1, Event: "\x1b[31mred\n", Form: eventlog.Message},
			"             0s  node 0      app            \uFFFD[31mred\uFFFD                    0 bytes"},
		{eventlog.Record{To: 1, Event: "timer.Due", Form: eventlog.Due, Timer: mir.TimerID{Sub: 1, N: 2}, Set: 3},
			"             0s  node 0      app            timer.Due                    timer 2 of instance 1, set 3"},
	} {
		if got := h.Line(tc.rec); got != tc.want {
			t.Errorf("got\n%s\nwant\n%s", got, tc.want)
		}
	}
}

// chromeTrace is as much of the Trace Event Format as a viewer needs.
type chromeTrace struct {
	TraceEvents []struct {
		Name string   `json:"name"`
		Ph   string   `json:"ph"`
		Ts   *float64 `json:"ts"`
		Dur  *float64 `json:"dur"`
		Pid  *int     `json:"pid"`
		Tid  *int     `json:"tid"`
		Args struct {
			Name  string `json:"name"`
			Event string `json:"event"`
		} `json:"args"`
	} `json:"traceEvents"`
}

func TestAChromeTraceHasEveryEventOnItsNodeAndModule(t *testing.T) {
	run := simulate(t, 1)
	var out bytes.Buffer
	if err := eventlog.WriteChrome(&out, newReader(t, run.recording), eventlog.Filter{}); err != nil {
		t.Fatal(err)
	}
	var trace chromeTrace
	if err := json.Unmarshal(out.Bytes(), &trace); err != nil {
		t.Fatal(err)
	}
	slices, names := make([]uint64, nodes), map[string]bool{}
	for _, e := range trace.TraceEvents {
		switch {
		case e.Pid == nil || e.Tid == nil:
			t.Fatalf("%+v has no process or thread", e)
		case e.Ph == "M":
			names[e.Name+" "+e.Args.Name] = true
		case e.Ph == "X" && e.Ts != nil && e.Dur != nil && e.Args.Event != "":
			slices[*e.Pid]++
		default:
			t.Fatalf("a viewer would not know %+v", e)
		}
	}
	if !reflect.DeepEqual(slices, run.events) {
		t.Errorf("slices by node %v, want %v", slices, run.events)
	}
	for _, want := range []string{"process_name node 0", "process_name node 2", "thread_name net", "thread_name app"} {
		if !names[want] {
			t.Errorf("no %s among %v", want, names)
		}
	}
}

// Two events of one input at 1 ms and 1.25 ms, and an input at 9 ms: the first
// lasts 250 µs, and nobody knows how long the second did.
func TestASliceLastsUntilTheNextEventOfTheSameInput(t *testing.T) {
	var file, out bytes.Buffer
	w, err := eventlog.NewWriter(&file, eventlog.Header{Modules: []string{"app"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range []eventlog.Record{
		{At: time.Millisecond, To: 1, Event: "a", Input: true},
		{At: time.Millisecond, To: 1, Event: "other node", Node: 1, Input: true},
		{At: 1250 * time.Microsecond, To: 1, Event: "b"},
		{At: 9 * time.Millisecond, To: 1, Event: "c", Input: true},
	} {
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := eventlog.WriteChrome(&out, newReader(t, file.Bytes()), eventlog.Filter{Nodes: []mir.NodeID{0}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"name":"a","ph":"X","ts":1000.000,"dur":250.000,"pid":0,"tid":1,`,
		`{"name":"b","ph":"X","ts":1250.000,"dur":0.000,"pid":0,"tid":1,`,
		`{"name":"c","ph":"X","ts":9000.000,"dur":0.000,"pid":0,"tid":1,`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "other node") {
		t.Error("the filter let another node through")
	}
}

func TestAChromeTraceOfATornRecordingIsWholeJSON(t *testing.T) {
	whole := simulate(t, 1).recording
	torn := append(bytes.Clone(whole), 1, 2, 3)
	var out bytes.Buffer
	if err := eventlog.WriteChrome(&out, newReader(t, torn), eventlog.Filter{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the error is %v", err)
	}
	if !json.Valid(out.Bytes()) {
		t.Error("the JSON is cut")
	}
}
