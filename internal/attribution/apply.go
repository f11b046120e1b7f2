package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// applyEdits gives the files that the edits change in a tree, by slash-separated
// path. Edits of one file follow each other.
func applyEdits(tree fs.FS, edits []Edit) (map[string][]byte, error) {
	changed := map[string][]byte{}
	for i, e := range edits {
		text, ok := changed[e.File]
		if !ok {
			var err error
			text, err = fs.ReadFile(tree, e.File)
			ok = err == nil
			if nilIfAbsent(err) != nil {
				return nil, fmt.Errorf("edit %d: %w", i+1, err)
			}
		}
		text, err := e.apply(text, ok)
		if err != nil {
			return nil, fmt.Errorf("edit %d: %s: %w", i+1, e.File, err)
		}
		changed[e.File] = text
	}
	return changed, nil
}

// apply gives the text of a file after the edit.
func (e *Edit) apply(text []byte, exists bool) ([]byte, error) {
	if e.Old == "" {
		if exists {
			return nil, errors.New("new: the file exists already; say with old what is replaced")
		}
		return []byte(e.New), nil
	}
	if !exists {
		return nil, errors.New("file: there is none of this name")
	}
	switch n := bytes.Count(text, []byte(e.Old)); n {
	case 1:
		return bytes.Replace(text, []byte(e.Old), []byte(e.New), 1), nil
	case 0:
		return nil, fmt.Errorf("old: the file does not have it: %q", head(e.Old, oldRunes))
	default:
		return nil, fmt.Errorf("old: the file has it %d times; add a line: %q", n, head(e.Old, oldRunes))
	}
}

// oldRunes bounds what an error shows of a text that is looked for.
const oldRunes = 80

// head is the beginning of a text, for an error.
func head(s string, runes int) string {
	r := []rune(strings.TrimSpace(s))
	if len(r) <= runes {
		return string(r)
	}
	return string(r[:runes]) + " ..."
}

// unformatted says which Go file does not parse, or is not as gofmt writes it
// although it was before.
func unformatted(tree fs.FS, changed map[string][]byte) error {
	for file, text := range changed {
		if path.Ext(file) != ".go" {
			continue
		}
		clean, err := format.Source(text)
		if err != nil {
			return fmt.Errorf("%s does not parse: %w", file, err)
		}
		before, err := fs.ReadFile(tree, file)
		if nilIfAbsent(err) != nil {
			return err
		}
		was, err := format.Source(before)
		if err == nil && bytes.Equal(was, before) && !bytes.Equal(clean, text) {
			return fmt.Errorf("%s is not gofmt-clean: %s", file, firstDifference(text, clean))
		}
	}
	return nil
}

// firstDifference shows the first line that gofmt writes otherwise.
func firstDifference(text, clean []byte) string {
	have, want := bytes.Split(text, []byte("\n")), bytes.Split(clean, []byte("\n"))
	for i := range min(len(have), len(want)) {
		if !bytes.Equal(have[i], want[i]) {
			return fmt.Sprintf("line %d is %q, gofmt writes %q", i+1, have[i], want[i])
		}
	}
	return fmt.Sprintf("it has %d lines, gofmt writes %d", len(have), len(want))
}

// writeFiles writes files below dir, and makes the folders that they need.
func writeFiles(dir string, files map[string][]byte) error {
	for file, text := range files {
		name := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// nilIfAbsent forgives that a file is not there.
func nilIfAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
