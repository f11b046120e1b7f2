package eventlog

import (
	"errors"
	"fmt"
	"io"
)

// Writer writes records to a recording, such as those that a filter has let
// through. What nodes apply is recorded by a Recorder.
type Writer struct {
	out     io.Writer
	batch   *batch
	pending bool // The batch holds something.
}

// NewWriter writes the header.
func NewWriter(out io.Writer, h Header) (*Writer, error) {
	start, err := encodeHeader(h)
	if err == nil {
		_, err = out.Write(start)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the header of a recording: %w", err)
	}
	w := &Writer{out: out, batch: newBatch()}
	w.batch.begin(0)
	return w, nil
}

// Write adds a record.
func (w *Writer) Write(r Record) error {
	if len(r.Body) > BodyBytesMax || r.Form >= forms || r.To == 0 {
		return errors.New("writing a recording: a record that no reader would accept")
	}
	w.batch.add(r)
	w.pending = true
	if w.batch.full() {
		return w.Flush()
	}
	return nil
}

// Flush writes what was added.
func (w *Writer) Flush() error {
	if !w.pending {
		return nil
	}
	if _, err := w.out.Write(w.batch.bytes()); err != nil {
		return fmt.Errorf("writing a recording: %w", err)
	}
	w.batch.begin(0)
	w.pending = false
	return nil
}
