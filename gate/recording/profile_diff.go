package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Diff is what the change did to the source, as far as the causes of a slowdown
// can be looked for in it: which lines, the functions around them, and the
// versions of other modules. The text of the change is not in it.
type Diff struct {
	Files []FileDiff `json:"files,omitempty"`
	// Modules are those whose version, or whose replacement, differs between the
	// sides' go.mod files; "go" and "toolchain" stand for these lines of the file.
	Modules []ModuleChange `json:"modules,omitempty"`
	// Truncated: the change is larger than what is looked through.
	Truncated bool `json:"truncated,omitempty"`
}

// FileDiff is one file that differs between the sides.
type FileDiff struct {
	// Path is relative to the repository's root, OldPath where the base side has the
	// file elsewhere. A file that one side lacks has Added or Removed.
	Path    string `json:"path"`
	OldPath string `json:"old-path,omitempty"`
	Added   bool   `json:"added,omitempty"`
	Removed bool   `json:"removed,omitempty"`
	// Source is the file's name in profiles of the head side ("example.org/m/p/f.go"),
	// OldSource that of the base side; both are empty for what is no Go source.
	Source string `json:"source,omitempty"`
	// Pkg is the import path of its package, with "_test" for an external test.
	Pkg       string `json:"pkg,omitempty"`
	OldSource string `json:"old-source,omitempty"`
	// Generated: the file says of itself that a program wrote it.
	Generated bool `json:"generated,omitempty"`
	// Test: only test binaries of its own package have it.
	Test  bool   `json:"test,omitempty"`
	Hunks []Hunk `json:"hunks,omitempty"`
	// Base and Head are the declarations of each side that the change touches, or that
	// only one side has, in the order of the file.
	Base []Decl `json:"base,omitempty"`
	Head []Decl `json:"head,omitempty"`
}

// Hunk is one run of lines that differ. A side without lines has a count of 0,
// and a start that is the line before.
type Hunk struct {
	BaseStart int `json:"base-start"`
	BaseLines int `json:"base-lines"`
	HeadStart int `json:"head-start"`
	HeadLines int `json:"head-lines"`
}

// Decl is a function, or another declaration at the level of a package.
type Decl struct {
	// Name is the function's as profiles have it, without the package: "F",
	// "(*T).M", "T.M", "G[...]"; or the name of a const, var or type.
	Name string `json:"name"`
	// Kind is "func", "const", "var" or "type".
	Kind  string `json:"kind"`
	Start int    `json:"start"` // first line
	End   int    `json:"end"`   // last line
	// Hash identifies what it says, without comments, layout and its own name: equal
	// hashes on both sides are no change of the code.
	Hash string `json:"hash"`
	// Users are functions of the head side that mention its name, as profiles name
	// them, with the package; none where too many do for that to say anything.
	Users []string `json:"users,omitempty"`
}

// ModuleChange is another module that differs between the sides. A version is
// empty where that side does not need the module; a replacement is named behind
// "=>".
type ModuleChange struct {
	Path string `json:"path"`
	Base string `json:"base,omitempty"`
	Head string `json:"head,omitempty"`
}

// Limits of a diff, which somebody else may have written.
const (
	diffFilesMax = 4_000
	diffDeclsMax = 50_000 // of all files and both sides
	diffHunksMax = 200_000
	diffUsersMax = 50
)

// checkDiff refuses a diff that no measurement makes.
func checkDiff(d *Diff) error {
	decls, hunks := 0, 0
	var words []string
	for _, f := range d.Files {
		hunks += len(f.Hunks)
		words = append(words, f.Path, f.OldPath, f.Source, f.OldSource, f.Pkg)
		for _, decl := range slices.Concat(f.Base, f.Head) {
			decls++
			if len(decl.Users) > diffUsersMax {
				return fmt.Errorf("%s: %.200s has %d users, at most %d are read", diffFile, decl.Name, len(decl.Users), diffUsersMax)
			}
			words = append(append(words, decl.Name, decl.Kind, decl.Hash), decl.Users...)
		}
	}
	for _, m := range d.Modules {
		words = append(words, m.Path, m.Base, m.Head)
	}
	if len(d.Files) > diffFilesMax || len(d.Modules) > diffFilesMax || decls > diffDeclsMax || hunks > diffHunksMax {
		return fmt.Errorf("%s: %d files, %d declarations, %d hunks and %d modules, more than %d, %d, %d and %d",
			diffFile, len(d.Files), decls, hunks, len(d.Modules), diffFilesMax, diffDeclsMax, diffHunksMax, diffFilesMax)
	}
	if err := checkLengths(words, wordBytesMax); err != nil {
		return fmt.Errorf("%s: %w", diffFile, err)
	}
	return nil
}

// decodeDiff reads what encodeAttachments wrote, and nothing else.
func decodeDiff(data []byte) (*Diff, error) {
	if len(data) > manifestBytesMax {
		return nil, fmt.Errorf("%s: %d bytes, at most %d are read", diffFile, len(data), manifestBytesMax)
	}
	for _, check := range []func([]byte) error{checkUTF8, checkJSON} {
		if err := check(data); err != nil {
			return nil, fmt.Errorf("%s%w", diffFile, err)
		}
	}
	var d Diff
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", diffFile, lineAt(data, dec.InputOffset()), err)
	}
	again, err := canonicalJSON(d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", diffFile, err)
	}
	if !bytes.Equal(again, data) {
		return nil, errors.New(diffFile + ": not as perfgate wrote it: it was changed, or damaged")
	}
	return &d, checkDiff(&d)
}
