package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/perfgate/perfgate/gate/calibrate"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// lineSchema is the version of Line.
const lineSchema = 1

// A Line is one run of one injection, as it is stored.
type Line struct {
	Schema int    `json:"schema"`
	Name   string `json:"name"`
	Kind   Kind   `json:"kind"`
	Hash   string `json:"hash"` // Injection.Hash
	Seed   uint64 `json:"seed"`
	// Base is the commit of this repository, or MODULE@VERSION.
	Base string `json:"base"`
	// Tool is the perfgate that measured, as its bundle says, and Commit what it and
	// the set were built from; empty where the program was given, since nobody knows.
	Tool   string `json:"tool"`
	Commit string `json:"commit"`
	// Rules is the commit whose rules have named the suspects, where the bundle was
	// read again by another one.
	Rules string `json:"rules,omitempty"`
	Time  string `json:"time"` // when it began, RFC 3339 in UTC
	// Class and Machine describe where it was measured, and CPUs is how many cores the
	// run could use.
	Class         string            `json:"class"`
	Machine       map[string]string `json:"machine"`
	CPUs          int               `json:"cpus"`
	BudgetSeconds float64           `json:"budget-seconds"`
	Decoys        []string          `json:"decoys"`
	// Error says why there is no verdict. Tests, Profiled and what is on stacks are
	// empty then.
	Error string `json:"error,omitempty"`
	// DecoysOnStacks and GuiltyOnStacks are how many of the decoys and of the guilty
	// declarations are functions on a stack of the bundle's profiles of CPU time and
	// allocations: who could be blamed at all.
	DecoysOnStacks int `json:"decoys-on-stacks"`
	GuiltyOnStacks int `json:"guilty-on-stacks"`
	// Tests are in the report's order.
	Tests          []Test    `json:"tests"`
	Profiled       []Profile `json:"profiled"`
	ProfileSeconds float64   `json:"profile-seconds"`
	WallSeconds    float64   `json:"wall-seconds"`
}

// Test is the verdict on one benchmark and unit.
type Test struct {
	Bench    string            `json:"bench"`
	Unit     string            `json:"unit"`
	Channel  recording.Channel `json:"channel"`
	Decision verdict.Decision  `json:"decision"`
	Slowdown float64           `json:"slowdown"` // worse / better - 1
	// Suspects of a regressed test, in order, and what the gate notes about them.
	Suspects []Suspect `json:"suspects,omitempty"`
	Note     string    `json:"note,omitempty"`
}

// Suspect is one suspect as perfgate prints it.
type Suspect struct {
	Function   string  `json:"function,omitempty"` // empty for what is outside and has no name
	File       string  `json:"file,omitempty"`
	Share      float64 `json:"share"`
	Confidence float64 `json:"confidence"`
	Outside    bool    `json:"outside,omitempty"`
}

// Profile counts the functions of one benchmark's profiles.
type Profile struct {
	Bench string                `json:"bench"`
	Kind  recording.ProfileKind `json:"kind"`
	// Tested had counts enough, Flagged differ with the family's share of false ones
	// held at 1 %, and Shown are those of them whose difference is large enough to be
	// told.
	Tested  int `json:"tested"`
	Flagged int `json:"flagged"`
	Shown   int `json:"shown"`
}

// readLines reads the files of a folder, in the order of their names. None at all
// is no error. Whatever appendLine would not have written is one, with its place;
// but a last line without an end is a run whose writing was interrupted.
func readLines(dir string) ([]Line, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var lines []Line
	for _, file := range files {
		more, err := readFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading runs: %w", err)
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// readFile reads the lines of one file.
func readFile(path string) ([]Line, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for i, text := range bytes.SplitAfter(raw, []byte("\n")) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			continue
		}
		l, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// parseLine reads one line as it was written.
func parseLine(text []byte) (Line, error) {
	var l Line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the line is empty")
		}
		return l, err
	}
	if l.Schema != lineSchema {
		return l, fmt.Errorf("schema %d, but this program reads schema %d", l.Schema, lineSchema)
	}
	again, err := json.Marshal(l)
	if err != nil {
		return l, err
	}
	if !bytes.Equal(append(again, '\n'), text) {
		return l, errors.New("not as it was written: it was changed, or damaged")
	}
	return l, nil
}

// appendLine adds a run to a file.
func appendLine(file string, l Line) error {
	text, err := json.Marshal(l)
	if err == nil {
		err = calibrate.AppendLine(file, nil, text)
	}
	if err != nil {
		return fmt.Errorf("storing a run: %w", err)
	}
	return nil
}
