package calibrate

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
)

// A Renaming is the neutral edit renamed-variables, of one function only.
type Renaming struct {
	File     string // its name in the folder
	Function *ast.FuncDecl
	changes  []change
}

// Renamings are those that the functions of one folder can take, in the order of
// files and of functions in them. Tests, generated files and files that take no
// part in a build here have none.
func Renamings(dir string) ([]Renaming, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for variables to rename: %w", err)
	}
	files, global, err := parseFolder(dir, entries)
	if err != nil {
		return nil, fmt.Errorf("looking for variables to rename: %w", err)
	}
	var found []Renaming
	for _, e := range entries {
		f := files[e.Name()]
		if f == nil {
			continue
		}
		f.global = global
		for _, fn := range f.functions() {
			if changes := f.renamedIn(fn); len(changes) > 0 {
				found = append(found, Renaming{File: e.Name(), Function: fn, changes: changes})
			}
		}
	}
	return found, nil
}

// Rename makes renamings, in the folder that they are of.
func Rename(dir string, renamings []Renaming) error {
	byFile := map[string][]change{}
	for _, r := range renamings {
		byFile[r.File] = slices.Concat(byFile[r.File], r.changes)
	}
	for file, changes := range byFile {
		name := filepath.Join(dir, file)
		src, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("renaming variables: %w", err)
		}
		// Not formatted anew: in a file that gofmt would change, other functions would
		// be touched too.
		if err := os.WriteFile(name, apply(src, changes), 0o644); err != nil {
			return fmt.Errorf("renaming variables: %w", err)
		}
	}
	return nil
}
