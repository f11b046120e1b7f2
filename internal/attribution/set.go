package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed set/*.yaml
var embedded embed.FS

// Kind is in what way an injection makes a program slower.
type Kind string

// The kinds. Of the last three the program is not slower, or not because of what
// costs more now: cost that moved, another name for the same code, and no edit at
// all but the decoys.
const (
	CPU        Kind = "cpu"
	Allocation Kind = "allocation"
	Contention Kind = "contention"
	Copy       Kind = "copy"
	Batching   Kind = "batching"
	Complexity Kind = "complexity"
	Dependency Kind = "dependency"
	Moved      Kind = "moved"
	Rename     Kind = "rename"
	AA         Kind = "aa"
)

// Kinds are all kinds, in the order of tables.
var Kinds = []Kind{CPU, Allocation, Contention, Copy, Batching, Complexity, Dependency, Moved, Rename, AA}

// A Set is one file: injections into one base.
type Set struct {
	// Module and Version name a module of the proxy; both are empty for this
	// repository.
	Module     string      `yaml:"module"`
	Version    string      `yaml:"version"`
	Injections []Injection `yaml:"injections"`
	// file is its name, without ".yaml".
	file string
}

// An Injection is one change with what is known of it.
type Injection struct {
	Name string `yaml:"name"` // unique, FILE/WHAT
	Kind Kind   `yaml:"kind"`
	What string `yaml:"what"` // one sentence for the table
	// Packages are patterns of go build, relative to the module, and Bench a pattern
	// of go test -bench: only benchmarks that the change can reach are measured.
	Packages []string `yaml:"packages"`
	Bench    string   `yaml:"bench"`
	// Guilty are the declarations whose blame is right, as perfgate prints them.
	Guilty []string `yaml:"guilty"`
	// Outside: the cause is not in the change's source, so that Guilty is empty.
	Outside bool `yaml:"outside"`
	// Slower: something becomes slower. Where it is false, whatever is found slower
	// is found in error.
	Slower     bool      `yaml:"slower"`
	Edits      []Edit    `yaml:"edits"`
	Dependency *Upstream `yaml:"dependency"`
}

// An Edit replaces text that occurs exactly once in a file. Without Old the file is
// new.
type Edit struct {
	File string `yaml:"file"`
	Old  string `yaml:"old"`
	New  string `yaml:"new"`
}

// An Upstream is another module that becomes slower, outside of the change: it is
// served again with the edits, as a higher version that the head side requires.
type Upstream struct {
	Module  string `yaml:"module"`
	Version string `yaml:"version"`
	Edits   []Edit `yaml:"edits"`
}

// Hash identifies what is measured and what the right answer is: all of the
// definition but its sentence for people.
func (in Injection) Hash(s *Set) string {
	in.What = ""
	text, err := json.Marshal(struct {
		Module, Version string
		Injection       Injection
	}{s.Module, s.Version, in})
	if err != nil {
		panic("a definition is strings and lists: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// loadSets reads every file of the folder set in fsys, in the order of their names.
// With an error it gives those that could be read.
func loadSets(fsys fs.FS) ([]*Set, error) {
	files, err := fs.Glob(fsys, "set/*.yaml")
	if err != nil {
		return nil, err
	}
	var sets []*Set
	var wrong []error
	for _, file := range files {
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("reading the injections: %w", err)
		}
		s, err := parseSet(file, data)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		sets = append(sets, s)
	}
	return sets, errors.Join(wrong...)
}

// parseSet reads one file strictly: what it does not know is an error.
func parseSet(file string, data []byte) (*Set, error) {
	s := &Set{file: strings.TrimSuffix(path.Base(file), ".yaml")}
	dec := yaml.NewDecoder(bytes.NewReader(indented(data)))
	dec.KnownFields(true)
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: something follows the first document: remove it, and the line \"---\"", file)
	}
	if (s.Module == "") != (s.Version == "") {
		return nil, fmt.Errorf("%s: module and version: give both, or neither for this repository", file)
	}
	if len(s.Injections) == 0 {
		return nil, fmt.Errorf("%s: injections: there is none", file)
	}
	known := map[string]bool{}
	for i := range s.Injections {
		in := &s.Injections[i]
		if known[in.Name] {
			return nil, fmt.Errorf("%s: injection %s: name: it is there twice; give one of them another", file, in.Name)
		}
		known[in.Name] = true
		if what := in.fault(s.file); what != "" {
			name := in.Name
			if name == "" {
				name = fmt.Sprintf("number %d", i+1)
			}
			return nil, fmt.Errorf("%s: injection %s: %s", file, name, what)
		}
	}
	return s, nil
}

var literal = regexp.MustCompile(`^([ -]*)(?:old|new): \|([+-]?)$`)

// indented writes "|2" for "|" before text that begins with a tab. YAML lets the
// first line's spaces say how far a text is indented, whatever follows them (YAML
// 1.2.2, section 8.1.1.1), but the decoder refuses a tab there, with which most
// lines of Go begin.
func indented(data []byte) []byte {
	lines := bytes.Split(data, []byte("\n"))
	for i, line := range lines[:len(lines)-1] {
		m := literal.FindSubmatch(line)
		if m != nil && bytes.HasPrefix(lines[i+1], []byte(strings.Repeat(" ", len(m[1])+2)+"\t")) {
			lines[i] = append(bytes.TrimSuffix(line, append([]byte("|"), m[2]...)), "|2"+string(m[2])...)
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

var nameForm = regexp.MustCompile(`^[a-z0-9-]+/[a-z0-9-]+$`)

// fault says what is wrong with a definition, the field first and the way out
// last; empty for nothing.
func (in *Injection) fault(file string) string {
	switch {
	case !nameForm.MatchString(in.Name) || path.Dir(in.Name) != file:
		return fmt.Sprintf("name: write %s/WHAT, WHAT in lower case letters, digits and dashes", file)
	case !slices.Contains(Kinds, in.Kind):
		return fmt.Sprintf("kind: %q is none of %v", in.Kind, Kinds)
	case in.What == "" || !strings.HasSuffix(in.What, ".") || strings.ContainsAny(in.What, "|\n"):
		return "what: write one sentence on one line, with its full stop and without |"
	case len(in.Packages) == 0:
		return "packages: name the packages of the benchmarks, such as ./benchsuite/micro"
	case in.Bench == "":
		return "bench: name the benchmarks, such as ^BenchmarkSubmit$"
	}
	for _, p := range in.Packages {
		if p != "." && !strings.HasPrefix(p, "./") {
			return fmt.Sprintf("packages: %q: write . or begin with ./", p)
		}
	}
	for part := range strings.SplitSeq(in.Bench, "/") {
		if _, err := regexp.Compile(part); err != nil {
			return fmt.Sprintf("bench: %v", err)
		}
	}
	if what := in.contradiction(); what != "" {
		return what
	}
	for i := range in.Edits {
		if what := in.Edits[i].fault(); what != "" {
			return fmt.Sprintf("edits: number %d: %s", i+1, what)
		}
	}
	return in.Dependency.fault()
}

// contradiction compares the fields with each other.
func (in *Injection) contradiction() string {
	notSlower := in.Kind == Rename || in.Kind == AA
	switch {
	case (in.Kind == Dependency) != (in.Dependency != nil):
		return "dependency: kind dependency has that section, and no other kind"
	case in.Kind == Dependency && !in.Outside:
		return "outside: a dependency is outside of the change: write true"
	case in.Kind == AA && len(in.Edits) > 0:
		return "edits: kind aa has none"
	case in.Kind != AA && in.Dependency == nil && len(in.Edits) == 0:
		return "edits: there is none"
	case notSlower && in.Slower:
		return fmt.Sprintf("slower: nothing becomes slower by kind %s: write false", in.Kind)
	case !notSlower && in.Kind != Moved && !in.Slower:
		return fmt.Sprintf("slower: kind %s makes something slower: write true", in.Kind)
	case in.Outside && !in.Slower:
		return "outside: it is about what makes something slower, and slower is false"
	case len(in.Guilty) > 0 != (in.Slower && !in.Outside):
		return "guilty: name it where something becomes slower because of the change's source, and nowhere else"
	}
	return ""
}

func (e *Edit) fault() string {
	switch {
	case e.File == "" || !fs.ValidPath(e.File):
		return fmt.Sprintf("file: %q: write a path below the module, with slashes", e.File)
	case strings.HasSuffix(e.File, "_test.go"):
		return fmt.Sprintf("file: %s: a changed benchmark is not compared; change what it measures", e.File)
	case e.Old == "" && e.New == "":
		return fmt.Sprintf("%s: give old and new, or new alone for a new file", e.File)
	case e.Old == e.New:
		return fmt.Sprintf("%s: old and new are the same", e.File)
	}
	return ""
}

func (u *Upstream) fault() string {
	if u == nil {
		return ""
	}
	if u.Module == "" || u.Version == "" || len(u.Edits) == 0 {
		return "dependency: give module, version and edits"
	}
	for i := range u.Edits {
		if what := u.Edits[i].fault(); what != "" {
			return fmt.Sprintf("dependency: edits: number %d: %s", i+1, what)
		}
	}
	return ""
}
