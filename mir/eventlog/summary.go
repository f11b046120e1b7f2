package eventlog

import (
	"encoding/hex"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/perfgate/perfgate/mir"
)

// Bounds of what a summary shows.
const (
	summaryItems = 8  // Elements of a slice.
	summaryBytes = 16 // Bytes of a byte slice.
	summaryDepth = 5  // Structs and slices within each other.
)

// summarize appends a text like that of fmt's %+v, of at most SummaryBytesMax
// bytes. Fmt itself would not do: it formats 512 KiB of transactions before
// anybody can cut them, prints addresses, which differ from run to run, and
// calls methods. Pointers are not followed, but for the body's own and those of
// values behind an interface (messages): what else they lead to may belong to
// another goroutine.
func summarize(dst []byte, body mir.Body) (text []byte, truncated bool) {
	s := summary{b: dst, end: len(dst) + SummaryBytesMax}
	s.value(indirect(reflect.ValueOf(body)), 0)
	if len(s.b) <= s.end {
		return s.b, false
	}
	for !utf8.RuneStart(s.b[s.end]) {
		s.end--
	}
	return s.b[:s.end], true
}

type summary struct {
	b   []byte
	end int // No need to write on from here.
}

func (s *summary) done() bool { return len(s.b) > s.end }

func (s *summary) text(t string) { s.b = append(s.b, t...) }

// indirect follows one pointer.
func indirect(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem()
	}
	return v
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	eventType    = reflect.TypeFor[mir.Event]()
)

func (s *summary) value(v reflect.Value, depth int) {
	if s.done() {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		s.b = strconv.AppendBool(s.b, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if v.Type() == durationType {
			s.text(time.Duration(v.Int()).String())
			return
		}
		s.b = strconv.AppendInt(s.b, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		s.b = strconv.AppendUint(s.b, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		s.b = strconv.AppendFloat(s.b, v.Float(), 'g', -1, 64)
	case reflect.String:
		full := v.String()
		s.b = strconv.AppendQuote(s.b, full[:min(len(full), SummaryBytesMax)])
	case reflect.Interface:
		s.behind(v, depth)
	case reflect.Struct:
		s.fields(v, depth)
	case reflect.Slice, reflect.Array:
		s.list(v, depth)
	case reflect.Map:
		s.text("map of " + strconv.Itoa(v.Len()))
	default: // Pointers, functions, channels.
		s.text(v.Type().String())
	}
}

// behind shows what an interface holds: another message, with its name.
func (s *summary) behind(v reflect.Value, depth int) {
	if v.IsNil() {
		s.text("nil")
		return
	}
	v = indirect(v.Elem())
	s.text(v.Type().String())
	if v.Kind() != reflect.Struct {
		s.text(":")
	}
	s.value(v, depth)
}

func (s *summary) fields(v reflect.Value, depth int) {
	if depth == summaryDepth {
		s.text("{…}")
		return
	}
	s.text("{")
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if v.Type() == eventType && !field.IsExported() {
			continue // Bookkeeping of the node, not of the event.
		}
		if i > 0 {
			s.text(" ")
		}
		s.text(field.Name)
		s.text(":")
		s.value(v.Field(i), depth+1)
		if s.done() {
			return
		}
	}
	s.text("}")
}

func (s *summary) list(v reflect.Value, depth int) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		s.octets(v)
		return
	}
	if depth == summaryDepth {
		s.text("[…]")
		return
	}
	s.text("[")
	for i := range min(v.Len(), summaryItems) {
		if i > 0 {
			s.text(" ")
		}
		s.value(v.Index(i), depth+1)
		if s.done() {
			return
		}
	}
	if v.Len() > summaryItems {
		s.text(" … of " + strconv.Itoa(v.Len()))
	}
	s.text("]")
}

// octets shows the first bytes in hexadecimal, and how many there are.
func (s *summary) octets(v reflect.Value) {
	first := make([]byte, min(v.Len(), summaryBytes))
	for i := range first {
		first[i] = byte(v.Index(i).Uint())
	}
	s.b = hex.AppendEncode(s.b, first)
	if v.Len() > summaryBytes {
		s.text("… of " + strconv.Itoa(v.Len()) + " bytes")
	}
}
