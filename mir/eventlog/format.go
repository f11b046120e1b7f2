package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// The file is
//
//	magic, version (1 byte), header, batches
//
// of which the header and each batch are frames
//
//	frame  = payload length (4 bytes), CRC-32C of the payload (4 bytes), payload
//	header = partial (0 or 1), count, module names
//	batch  = events dropped before it, events
//	event  = form and bits (1 byte), time delta, node, module, instance, name,
//	         carried name, what the form says, body
//
// Fixed-width integers are little-endian, all others varints in their shortest
// form. Times are in nanoseconds; a delta is from the event before in the batch,
// the first from 0. A name is an index into the batch's table; the index after
// the last is followed by the string, which joins the table. Strings and bodies
// have their length before them.
const (
	magic   = "mirtrace"
	version = 1

	bitInput     = 1 << 3 // Of an event; the form has the bits below.
	bitTruncated = 1 << 4
	formMask     = bitInput - 1

	frameBytes = 4 + 4
)

// Bounds of the format, which a reader insists on.
const (
	// NameBytesMax bounds a module's or event's name; longer ones are cut.
	NameBytesMax = 255
	// BodyBytesMax bounds a body: a batch of transactions has at most 512 KiB.
	// Larger ones are kept as a summary.
	BodyBytesMax = 1 << 20
	// SummaryBytesMax bounds a summary.
	SummaryBytesMax = 256
	// EventBytesMax bounds an event: its body, two names, and varints.
	EventBytesMax = BodyBytesMax + 2*NameBytesMax + 128
	// BufferBytes is the size from which a batch is written. Larger batches
	// compress nothing; smaller ones cost a name table each.
	BufferBytes = 256 << 10

	batchBytesMax = BufferBytes + EventBytesMax
	modulesMax    = 1<<16 - 1
)

// ErrCorrupt is what errors about a malformed recording wrap.
var ErrCorrupt = errors.New("corrupt recording")

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// Header is what a recording says of itself.
type Header struct {
	Modules []string // By mir.ModuleID, from 1: the same on all nodes.
	Partial bool     // Events were filtered out; it can not be replayed.
}

// NewHeader is the header for nodes with these names.
func NewHeader(names *mir.Names) Header {
	h := Header{Modules: make([]string, names.Len())}
	for i := range h.Modules {
		h.Modules[i] = names.Name(mir.ModuleID(i + 1))
	}
	return h
}

// Module is the name of a module, or its number if it has none.
func (h Header) Module(id mir.ModuleID) string {
	if id == 0 || int(id) > len(h.Modules) {
		return fmt.Sprintf("module(%d)", id)
	}
	return h.Modules[id-1]
}

// Form is how a body is kept.
type Form byte

// The forms of a body: see the package comment.
const (
	Summary Form = iota
	Received
	Message
	Due
	forms // Their number.
)

// Record is one recorded event.
type Record struct {
	At    time.Duration // By the recorder's clock.
	Node  mir.NodeID
	To    mir.ModuleID
	Sub   mir.SubID
	Event string // The event's name.
	// Carried is the name of the message that a mir.Send or mir.Received
	// carries, and empty for others.
	Carried string
	Input   bool // It came from outside; otherwise a module emitted it.

	Form      Form
	From      mir.NodeID  // Received: who sent it.
	Timer     mir.TimerID // Due: which timer.
	Set       uint64      // Due: see mir.TimerDue.
	Body      []byte      // Received, Message: the Codec's bytes. Summary: text.
	Truncated bool        // Summary: the text was cut.
}

// batch encodes records into the payload of one batch.
type batch struct {
	frame []byte // frameBytes that are filled in at the end, then the payload.
	names map[string]uint64
	last  time.Duration
}

func newBatch() *batch {
	return &batch{frame: make([]byte, frameBytes, frameBytes+BufferBytes), names: map[string]uint64{}}
}

// begin empties the batch. Dropped is the number of events lost before it.
func (b *batch) begin(dropped uint64) {
	if cap(b.frame) > 2*BufferBytes { // A large event made it grow: the bound is for the usual.
		b.frame = make([]byte, frameBytes, frameBytes+BufferBytes)
	}
	b.frame = binary.AppendUvarint(b.frame[:frameBytes], dropped)
	clear(b.names)
	b.last = 0
}

func (b *batch) full() bool { return len(b.frame)-frameBytes >= BufferBytes }

func (b *batch) add(r Record) {
	bits := byte(r.Form)
	if r.Input {
		bits |= bitInput
	}
	if r.Truncated {
		bits |= bitTruncated
	}
	p := append(b.frame, bits)
	p = binary.AppendVarint(p, int64(r.At-b.last))
	p = binary.AppendUvarint(p, uint64(r.Node))
	p = binary.AppendUvarint(p, uint64(r.To))
	p = binary.AppendUvarint(p, uint64(r.Sub))
	p = b.appendName(p, r.Event)
	p = b.appendName(p, r.Carried)
	switch r.Form {
	case Received:
		p = binary.AppendUvarint(p, uint64(r.From))
	case Due:
		p = binary.AppendUvarint(p, uint64(r.Timer.Owner))
		p = binary.AppendUvarint(p, uint64(r.Timer.Sub))
		p = binary.AppendUvarint(p, r.Timer.N)
		p = binary.AppendUvarint(p, r.Set)
	}
	if r.Form != Due {
		p = appendString(p, r.Body)
	}
	b.frame, b.last = p, r.At
}

func (b *batch) appendName(p []byte, name string) []byte {
	name = name[:min(len(name), NameBytesMax)]
	index, known := b.names[name]
	if known {
		return binary.AppendUvarint(p, index)
	}
	index = uint64(len(b.names))
	b.names[name] = index
	return appendString(binary.AppendUvarint(p, index), name)
}

// bytes completes the frame and returns it.
func (b *batch) bytes() []byte {
	payload := b.frame[frameBytes:]
	binary.LittleEndian.PutUint32(b.frame, uint32(len(payload)))
	binary.LittleEndian.PutUint32(b.frame[4:], crc32.Checksum(payload, crcTable))
	return b.frame
}

func appendString[T string | []byte](p []byte, s T) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

// encodeHeader encodes the beginning of the file.
func encodeHeader(h Header) ([]byte, error) {
	partial := uint64(0)
	if h.Partial {
		partial = 1
	}
	b := newBatch()
	b.frame = binary.AppendUvarint(b.frame, partial)
	b.frame = binary.AppendUvarint(b.frame, uint64(len(h.Modules)))
	for _, name := range h.Modules {
		b.frame = appendString(b.frame, name[:min(len(name), NameBytesMax)])
	}
	if len(h.Modules) > modulesMax || len(b.frame) > batchBytesMax {
		return nil, fmt.Errorf("%d modules with %d bytes of names, limits %d and %d", len(h.Modules), len(b.frame), modulesMax, batchBytesMax)
	}
	return append([]byte(magic+string(rune(version))), b.bytes()...), nil
}
