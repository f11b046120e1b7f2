package eventlog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// chromeEvent is one entry of the Trace Event Format, which chrome://tracing,
// Perfetto and Speedscope read. Nodes are its processes and modules its threads.
type chromeEvent struct {
	Name  string      `json:"name"`
	Phase string      `json:"ph"` // X: a slice with a duration. M: a name.
	At    json.Number `json:"ts,omitempty"`
	Dur   json.Number `json:"dur,omitempty"`
	Node  mir.NodeID  `json:"pid"`
	To    int         `json:"tid"`
	Args  chromeArgs  `json:"args"`
}

type chromeArgs struct {
	Name   string     `json:"name,omitempty"` // Of a process or thread.
	Event  string     `json:"event,omitempty"`
	Sub    *mir.SubID `json:"sub,omitempty"`
	Input  bool       `json:"input,omitempty"`
	Detail string     `json:"detail,omitempty"`
}

// WriteChrome writes the events that f chooses as a Chrome trace.
//
// A recording has the times at which events were applied and no others. An event
// is shown to last until the same node applies the next one that it emitted; the
// last one that an input caused, after which the node may have been idle, has no
// length. The JSON is complete also where the recording ends in an error.
func WriteChrome(out io.Writer, r *Reader, f Filter) error {
	w := chromeWriter{header: r.Header(), out: bufio.NewWriter(out), filter: f, open: map[mir.NodeID]Record{}, named: map[chromeThread]bool{}}
	w.text(`{"displayTimeUnit":"ns","traceEvents":[`)
	readErr := Each(r, Filter{}, func(rec Record) error { w.add(rec); return nil })
	for _, node := range slices.Sorted(maps.Keys(w.open)) {
		w.slice(w.open[node], 0)
	}
	w.text("\n]}\n")
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("writing a Chrome trace: %w", err)
	}
	return readErr
}

// chromeThread is a module of a node; 0 is the node itself.
type chromeThread struct {
	node mir.NodeID
	to   mir.ModuleID
}

type chromeWriter struct {
	header Header
	out    *bufio.Writer // Keeps the first error until Flush.
	filter Filter
	open   map[mir.NodeID]Record // By node, what it applied last: its length is not known yet.
	named  map[chromeThread]bool
	wrote  bool
}

func (w *chromeWriter) add(rec Record) {
	if last, ok := w.open[rec.Node]; ok {
		length := time.Duration(0)
		if !rec.Input {
			length = max(0, rec.At-last.At)
		}
		w.slice(last, length)
	}
	w.open[rec.Node] = rec
}

func (w *chromeWriter) slice(rec Record, length time.Duration) {
	if !w.filter.Match(w.header, rec) {
		return
	}
	w.nameOnce(rec.Node, 0, "process_name", fmt.Sprintf("node %d", rec.Node))
	w.nameOnce(rec.Node, rec.To, "thread_name", w.header.Module(rec.To))
	name := rec.Event
	if rec.Carried != "" {
		name = rec.Carried
	}
	w.entry(chromeEvent{
		Name: name, Phase: "X", At: microseconds(rec.At), Dur: microseconds(length), Node: rec.Node, To: int(rec.To),
		Args: chromeArgs{Event: rec.Event, Sub: &rec.Sub, Input: rec.Input, Detail: strings.ToValidUTF8(rec.Detail(), "\uFFFD")},
	})
}

func (w *chromeWriter) nameOnce(node mir.NodeID, to mir.ModuleID, what, name string) {
	thread := chromeThread{node, to}
	if !w.named[thread] {
		w.named[thread] = true
		w.entry(chromeEvent{Name: what, Phase: "M", Node: node, To: int(to), Args: chromeArgs{Name: name}})
	}
}

func (w *chromeWriter) entry(e chromeEvent) {
	line, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("eventlog: invariant broken: a Chrome trace entry has no JSON: %v", err))
	}
	if w.wrote {
		w.text(",")
	}
	w.wrote = true
	w.text("\n" + string(line))
}

func (w *chromeWriter) text(s string) {
	_, _ = w.out.WriteString(s) // Flush returns the error.
}

// microseconds is the format's unit, exact to the nanosecond. A float64 would
// not be, after three months.
func microseconds(d time.Duration) json.Number {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	return json.Number(fmt.Sprintf("%s%d.%03d", sign, d/1000, d%1000))
}
