package calibrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
)

// Data is the content of one file.
type Data struct {
	Header   Header
	Sessions []Session
}

// Count is the number of sessions of a series.
func (d *Data) Count(s Series) int {
	n := 0
	for _, session := range d.Sessions {
		if session.Series == s {
			n++
		}
	}
	return n
}

// FileName is where a header's sessions are, below the folder of all data.
func (h *Header) FileName() string {
	suite := h.Suite
	if suite == "" {
		suite = "benchmarks"
	}
	return filepath.Join(h.Class, suite+"-"+h.Channel+".jsonl")
}

// Read reads a file. Whatever Append would not have written is an error with
// its line, with one exception: a last line without an end is a session whose
// writing was interrupted, and is left out.
func Read(path string) (*Data, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading calibration data: %w", err)
	}
	if len(whole(raw)) == 0 {
		return nil, fmt.Errorf("reading calibration data: %s has no whole line: %w", path, fs.ErrNotExist)
	}
	d, err := parse(whole(raw))
	if err != nil {
		return nil, fmt.Errorf("reading calibration data: %s:%w", path, err)
	}
	return d, nil
}

// whole is the text up to the end of its last whole line.
func whole(raw []byte) []byte { return raw[:bytes.LastIndexByte(raw, '\n')+1] }

// parse reads the lines of a file; errors begin with the line's number.
func parse(raw []byte) (*Data, error) {
	lines := bytes.Split(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
	d := &Data{}
	if err := strictly(lines[0], &d.Header); err != nil {
		return nil, fmt.Errorf("1: %w", err)
	}
	if d.Header.Schema != Schema {
		return nil, fmt.Errorf("1: schema %d, but this perfgate reads schema %d", d.Header.Schema, Schema)
	}
	for i, line := range lines[1:] {
		var s Session
		err := strictly(line, &s)
		if err == nil {
			err = s.check()
		}
		if err == nil && s.Index != d.Count(s.Series)+1 {
			err = fmt.Errorf("session %d of %s follows %d of them", s.Index, s.Series, d.Count(s.Series))
		}
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i+2, err)
		}
		d.Sessions = append(d.Sessions, s)
	}
	return d, nil
}

// strictly decodes one value as it was encoded: a key that is unknown or there
// twice, and a changed form, are errors.
func strictly(line []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the line is empty")
		}
		return err
	}
	again, err := json.Marshal(into)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, line) {
		return errors.New("not as perfgate wrote it: it was changed, or damaged")
	}
	return nil
}

// Open reads the file of h below dir. Where there is none yet, the data is
// empty. A file of another suite is an error.
func Open(dir string, h Header) (*Data, error) {
	d, err := Read(filepath.Join(dir, h.FileName()))
	if errors.Is(err, fs.ErrNotExist) {
		return &Data{Header: h}, nil
	}
	if err != nil {
		return nil, err
	}
	if what := difference(d.Header, h); what != "" {
		return nil, fmt.Errorf("%s holds sessions of another kind: %s; keep it as it is, and give another folder with --data",
			filepath.Join(dir, h.FileName()), what)
	}
	return d, nil
}

// difference says in what two headers differ, for a person.
func difference(stored, now Header) string {
	fields := []struct {
		name        string
		stored, now any
	}{
		{"machine class", stored.Class, now.Class},
		{"module", stored.Module, now.Module},
		{"suite", stored.Suite, now.Suite},
		{"packages", stored.Packages, now.Packages},
		{"--bench", stored.Bench, now.Bench},
		{"--channel", stored.Channel, now.Channel},
		{"the suite's budget in seconds", stored.BudgetSeconds, now.BudgetSeconds},
		{"--least-pairs", stored.LeastPairs, now.LeastPairs},
		{"policy", stored.Policy, now.Policy},
	}
	for _, f := range fields {
		if !reflect.DeepEqual(f.stored, f.now) {
			return fmt.Sprintf("%s was %v, and is %v", f.name, f.stored, f.now)
		}
	}
	var changed []string
	for name, hash := range now.Benchmarks {
		if stored.Benchmarks[name] != hash {
			changed = append(changed, name)
		}
	}
	for name := range stored.Benchmarks {
		if _, ok := now.Benchmarks[name]; !ok {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return ""
	}
	return fmt.Sprintf("the suite's definition differs in %d benchmark functions, %s among them", len(changed), slices.Min(changed))
}

// Append adds a session to the file of h below dir, and makes the file where
// there is none.
func Append(dir string, h Header, s Session) error {
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}
	line, err := json.Marshal(s)
	if err == nil {
		err = AppendLine(filepath.Join(dir, h.FileName()), head, line)
	}
	if err != nil {
		return fmt.Errorf("storing a session: %w", err)
	}
	return nil
}

// AppendLine adds a line to a file, which begins with the line head where there is
// no file yet and head is not empty. What an interrupted writing left is cut off
// first, and one write leaves the line or none.
func AppendLine(path string, head, line []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	raw, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	end := len(whole(raw))
	text := append(bytes.Clone(line), '\n')
	if end == 0 && len(head) > 0 {
		text = append(append(bytes.Clone(head), '\n'), text...)
	}
	if err := f.Truncate(int64(end)); err != nil {
		return err
	}
	if _, err := f.WriteAt(text, int64(end)); err != nil {
		return err
	}
	return f.Sync()
}

// ReadAll reads every file below dir, in the order of their names. None at all
// is no error.
func ReadAll(dir string) ([]*Data, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var all []*Data
	for _, path := range paths {
		d, err := Read(path)
		if err != nil {
			return nil, err
		}
		if want := filepath.Join(dir, d.Header.FileName()); want != path {
			return nil, fmt.Errorf("reading calibration data: %s holds sessions of class %s and suite %q, whose place is %s", path, d.Header.Class, d.Header.Suite, want)
		}
		all = append(all, d)
	}
	return all, nil
}
