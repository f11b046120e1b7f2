package eventlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// Reader reads a recording. It accepts nothing that a Writer would not write,
// and holds one batch in memory.
type Reader struct {
	in      *bufio.Reader
	header  Header
	batch   fields          // What is left of the current batch.
	names   []string        // Its table.
	known   map[string]bool // What the table has.
	last    time.Duration
	batches int
	dropped uint64
	err     error
}

// NewReader reads the header.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReader(in), known: map[string]bool{}}
	if err := r.readHeader(); err != nil {
		return nil, fmt.Errorf("reading the header of a recording: %w", err)
	}
	return r, nil
}

// Header is what the recording says of itself.
func (r *Reader) Header() Header { return r.header }

// Dropped counts the events that the recorder dropped before the one that Next
// returned last.
func (r *Reader) Dropped() uint64 { return r.dropped }

// Next returns the next event. The end of the recording is io.EOF; a recording
// that ends within a batch gives io.ErrUnexpectedEOF, and one that is malformed
// ErrCorrupt, both wrapped. The error stays.
func (r *Reader) Next() (Record, error) {
	for r.err == nil && len(r.batch.b) == 0 {
		r.err = r.readBatch()
	}
	if r.err != nil {
		return Record{}, r.err
	}
	rec, err := r.record()
	if err != nil {
		r.err = fmt.Errorf("batch %d: %w: %w", r.batches, ErrCorrupt, err)
	}
	return rec, r.err
}

func (r *Reader) readHeader() error {
	start := make([]byte, len(magic)+1)
	if _, err := io.ReadFull(r.in, start); err != nil {
		return torn(err)
	}
	if string(start[:len(magic)]) != magic {
		return fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, magic)
	}
	if start[len(magic)] != version {
		return fmt.Errorf("version %d, this program reads %d", start[len(magic)], version)
	}
	payload, err := r.readFrame()
	if err != nil {
		return torn(err)
	}
	f := fields{b: payload}
	r.header.Partial = f.uvarint(1) == 1
	count := f.uvarint(modulesMax)
	for ; count > 0 && f.err == nil; count-- {
		r.header.Modules = append(r.header.Modules, string(f.bytes(NameBytesMax)))
	}
	if f.err == nil && len(f.b) > 0 {
		f.fail(fmt.Errorf("%d bytes left over", len(f.b)))
	}
	if f.err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, f.err)
	}
	return nil
}

// readBatch reads the next batch. It may hold no event at all.
func (r *Reader) readBatch() error {
	payload, err := r.readFrame()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	r.batches++
	if err != nil {
		return fmt.Errorf("batch %d: %w", r.batches, err)
	}
	r.batch = fields{b: payload}
	r.names, r.last = r.names[:0], 0
	clear(r.known)
	r.dropped += r.batch.uvarint(math.MaxInt64)
	if r.batch.err != nil {
		return fmt.Errorf("batch %d: %w: %w", r.batches, ErrCorrupt, r.batch.err)
	}
	return nil
}

// readFrame reads and checks the next frame. The error is io.EOF where none
// begins.
func (r *Reader) readFrame() ([]byte, error) {
	var frame [frameBytes]byte
	if _, err := io.ReadFull(r.in, frame[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(frame[:])
	if size > batchBytesMax {
		return nil, fmt.Errorf("%w: it has %d bytes, limit %d", ErrCorrupt, size, batchBytesMax)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r.in, payload); err != nil {
		return nil, torn(err)
	}
	if crc32.Checksum(payload, crcTable) != binary.LittleEndian.Uint32(frame[4:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrCorrupt)
	}
	return payload, nil
}

// torn says of an end that it came too early.
func torn(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// record takes one event off the batch.
func (r *Reader) record() (Record, error) {
	f := &r.batch
	bits := f.byte()
	rec := Record{Form: Form(bits & formMask), Input: bits&bitInput != 0, Truncated: bits&bitTruncated != 0}
	r.last += time.Duration(f.varint())
	rec.At = r.last
	rec.Node = mir.NodeID(f.uvarint(math.MaxUint32))
	rec.To = mir.ModuleID(f.uvarint(math.MaxUint16))
	rec.Sub = mir.SubID(f.uvarint(math.MaxUint64))
	rec.Event = r.name()
	rec.Carried = r.name()
	switch rec.Form {
	case Received:
		rec.From = mir.NodeID(f.uvarint(math.MaxUint32))
	case Due:
		rec.Timer.Owner = mir.ModuleID(f.uvarint(math.MaxUint16))
		rec.Timer.Sub = mir.SubID(f.uvarint(math.MaxUint64))
		rec.Timer.N = f.uvarint(math.MaxUint64)
		rec.Set = f.uvarint(math.MaxUint64)
	}
	if rec.Form != Due {
		rec.Body = f.bytes(BodyBytesMax)
	}
	return rec, f.refuse(bits, rec)
}

// refuse checks what single fields can not show.
func (f *fields) refuse(bits byte, rec Record) error {
	switch {
	case f.err != nil:
		return f.err
	case bits&^(formMask|bitInput|bitTruncated) != 0 || rec.Form >= forms:
		return fmt.Errorf("an event of unknown form %#x", bits)
	case rec.To == 0:
		return errors.New("an event to module 0")
	case rec.Form == Summary && len(rec.Body) > SummaryBytesMax:
		return fmt.Errorf("a summary of %d bytes, limit %d", len(rec.Body), SummaryBytesMax)
	case rec.Form != Summary && rec.Truncated:
		return errors.New("a truncated body that is no summary")
	}
	return nil
}

func (r *Reader) name() string {
	index := r.batch.uvarint(uint64(len(r.names)))
	if r.batch.err != nil {
		return ""
	}
	if index == uint64(len(r.names)) {
		name := string(r.batch.bytes(NameBytesMax))
		if r.known[name] {
			r.batch.fail(fmt.Errorf("the name %q twice", name))
		}
		r.known[name] = true
		r.names = append(r.names, name)
	}
	return r.names[index]
}

// fields takes fields off a payload. After the first failure it gives zeros,
// and err keeps the reason.
type fields struct {
	b   []byte
	err error
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
	f.b = nil
}

func (f *fields) byte() byte {
	if len(f.b) == 0 {
		f.fail(io.ErrUnexpectedEOF)
		return 0
	}
	c := f.b[0]
	f.b = f.b[1:]
	return c
}

func (f *fields) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 || n > 1 && f.b[n-1] == 0 {
		f.fail(errors.New("a malformed number"))
		return 0
	}
	if v > limit {
		f.fail(fmt.Errorf("the number %d, limit %d", v, limit))
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) varint() int64 {
	u := f.uvarint(math.MaxUint64)
	return int64(u>>1) ^ -int64(u&1)
}

// bytes returns a piece of the payload, which is not used again.
func (f *fields) bytes(limit uint64) []byte {
	n := f.uvarint(limit)
	if n > uint64(len(f.b)) {
		f.fail(io.ErrUnexpectedEOF)
		return nil
	}
	piece := f.b[:n:n]
	f.b = f.b[n:]
	return piece
}
