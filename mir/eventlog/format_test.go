package eventlog

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// FuzzReader gives arbitrary payloads with right checksums to a reader. What it
// accepts, a writer must write again as the same records.
func FuzzReader(f *testing.F) {
	b := newBatch()
	b.begin(3)
	f.Add(bytes.Clone(b.frame[frameBytes:]))
	for _, rec := range everyForm {
		b.add(rec)
	}
	f.Add(bytes.Clone(b.frame[frameBytes:]))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := readerOf(t, payload)
		var all []Record
		err := Each(r, Filter{}, func(rec Record) error {
			all = append(all, rec)
			r.Header().Line(rec)
			return nil
		})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("the error is %v, want that the recording is corrupt", err)
			}
			return
		}
		var again bytes.Buffer
		w, err := NewWriter(&again, r.Header())
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range all {
			if err := w.Write(rec); err != nil {
				t.Fatalf("%+v was read and can not be written: %v", rec, err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		reread, err := NewReader(&again)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range all {
			if got, err := reread.Next(); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v (%v) was written as %+v", got, err, want)
			}
		}
	})
}

// FuzzHeader gives arbitrary files to a reader.
func FuzzHeader(f *testing.F) {
	start, err := encodeHeader(Header{Modules: []string{"net", ""}, Partial: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(start)
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		start, err := encodeHeader(r.Header())
		if err != nil || !bytes.HasPrefix(file, start) {
			t.Errorf("%x was read as %+v, which is written as %x (%v)", file, r.Header(), start, err)
		}
	})
}

var everyForm = []Record{
	{At: time.Hour, Node: 1, To: 1, Event: "a", Input: true, Form: Summary, Body: []byte("{x:1}"), Truncated: true},
	{At: time.Minute, Node: 2, To: 2, Sub: 1 << 63, Event: "net.Received", Carried: "a", Form: Received, From: 7, Body: []byte{0}},
	{At: -1, Node: 1<<32 - 1, To: 1, Event: "a", Form: Message, Body: []byte{}},
	{At: 0, To: 1, Event: "timer.Due", Input: true, Form: Due, Timer: mir.TimerID{Owner: 3, Sub: 4, N: 5}, Set: 6},
}

// readerOf reads a recording whose only batch has that payload.
func readerOf(t *testing.T, payload []byte) *Reader {
	t.Helper()
	file, err := encodeHeader(Header{Modules: []string{"net", "app"}})
	if err != nil {
		t.Fatal(err)
	}
	b := newBatch()
	b.frame = append(b.frame, payload...)
	r, err := NewReader(bytes.NewReader(append(file, b.bytes()...)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryFormIsReadAsItWasWritten(t *testing.T) {
	b := newBatch()
	b.begin(4)
	for _, rec := range everyForm {
		b.add(rec)
	}
	r := readerOf(t, b.frame[frameBytes:])
	for _, want := range everyForm {
		if got, err := r.Next(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v (%v), want %+v", got, err, want)
		}
	}
	if r.Dropped() != 4 {
		t.Errorf("%d dropped, want 4", r.Dropped())
	}
}

func TestWhatNoWriterWritesIsRefused(t *testing.T) {
	event := func(bits byte, rest ...byte) []byte { return append([]byte{0, bits}, rest...) }
	for name, payload := range map[string][]byte{
		"no count":             {},
		"a long zero":          {0x80, 0x00},
		"an endless number":    bytes.Repeat([]byte{0xff}, 12),
		"an unknown form":      event(4, 0, 0, 1, 0, 0, 0, 0, 0),
		"an unknown bit":       event(1<<5, 0, 0, 1, 0, 0, 0, 0, 0),
		"module 0":             event(0, 0, 0, 0, 0, 0, 0, 0, 0),
		"a name out of range":  event(0, 0, 0, 1, 0, 1, 0, 0, 0),
		"one name twice":       event(0, 0, 0, 1, 0, 0, 1, 'a', 1, 1, 'a', 0),
		"a name that is short": event(0, 0, 0, 1, 0, 0, 9, 'a'),
		"no body":              event(0, 0, 0, 1, 0, 0, 1, 'a', 0),
		"a truncated message":  event(byte(Message)|bitTruncated, 0, 0, 1, 0, 0, 1, 'a', 0, 0),
		"a long summary":       append(event(0, 0, 0, 1, 0, 0, 1, 'a', 0, 0x81, 0x02), make([]byte, 257)...),
	} {
		if _, err := readerOf(t, payload).Next(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want that the recording is corrupt", name, err)
		}
	}
	for _, rec := range []Record{{}, {To: 1, Form: forms}, {To: 1, Form: Message, Body: make([]byte, BodyBytesMax+1)}} {
		w, err := NewWriter(&bytes.Buffer{}, Header{})
		if err != nil {
			t.Fatal(err)
		}
		if w.Write(rec) == nil {
			t.Errorf("a record with form %d to module %d was written", rec.Form, rec.To)
		}
	}
}

func TestAnotherVersionIsNamed(t *testing.T) {
	file, err := encodeHeader(Header{})
	if err != nil {
		t.Fatal(err)
	}
	file[len(magic)] = 9
	if _, err := NewReader(bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("the error is %v", err)
	}
}

// all has a field of every kind.
type all struct {
	Flag     bool
	I        int8
	U        uint64
	F        float64
	After    time.Duration
	Text     string
	Data     []byte
	List     []int
	Array    [2]uint16
	Map      map[string]int
	Pointer  *int
	Func     func()
	Channel  chan int
	Msg      mir.Message
	None     mir.Message
	hidden   struct{ x int }
	Deep     [][][][][][]int
	Behind   any
	Pointing mir.Message
}

func (all) EventName() string { return "test.All" }

type inner struct{ N int }

func (inner) EventName() string { return "test.Inner" }

func TestASummaryIsBoundedAndTheSameOnEveryRun(t *testing.T) {
	n := 1
	body := all{
		Flag: true, I: -1, U: 2, F: 0.5, After: time.Second, Text: "a\n", Data: make([]byte, 17), List: make([]int, 9),
		Array: [2]uint16{1, 2}, Map: map[string]int{"a": 1}, Pointer: &n, Func: func() {}, Msg: inner{3},
	}
	body.hidden.x = 4
	text, truncated := summarize(nil, &body)
	want := `{Flag:true I:-1 U:2 F:0.5 After:1s Text:"a\n" Data:00000000000000000000000000000000… of 17 bytes ` +
		`List:[0 0 0 0 0 0 0 0 … of 9] Array:[1 2] Map:map of 1 Pointer:*int Func:func() Channel:chan int ` +
		`Msg:eventlog.inner{N:3} None:nil hidden:{x:4} Deep:[] Behind:nil Pointing:nil}`
	if !strings.HasPrefix(want, string(text)) || !truncated || len(text) > SummaryBytesMax || len(text) < SummaryBytesMax-3 {
		t.Errorf("the summary of %d bytes (truncated: %v) is\n%s\nwant\n%s", len(text), truncated, text, want)
	}
	deep := all{Deep: [][][][][][]int{{{{{{1}}}}}}, Behind: n, Pointing: &inner{5}}
	s := summary{end: 1 << 20}
	s.value(reflect.ValueOf(deep), 0)
	if want := `None:nil hidden:{x:0} Deep:[[[[[…]]]]] Behind:int:1 Pointing:eventlog.inner{N:5}}`; !strings.HasSuffix(string(s.b), want) {
		t.Errorf("the summary is %s, want it to end with %s", s.b, want)
	}
}
