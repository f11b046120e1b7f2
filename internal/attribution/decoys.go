package main

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/calibrate"
	"github.com/perfgate/perfgate/gate/repo"
)

// decoysMax is how many innocent functions a change touches.
const decoysMax = 6

// A decoy is an innocent function whose local variables get other names.
type decoy struct {
	dir  string // below the module, with slashes
	name string // as perfgate prints it
	// executed: it is on a stack of the base side's benchmarks.
	executed bool
	calibrate.Renaming
}

// addDecoys renames variables in functions of the tree at dir, to which the edits
// have been made already, and gives the names of the functions. Where enough of them
// are executed, only those are touched: what is on no stack cannot be blamed for CPU
// time, and is no decoy.
func addDecoys(ctx context.Context, dir, base string, in *Injection, untouched fs.FS, onStacks map[string]bool, rng *rand.Rand, env []string) ([]string, error) {
	pkgs, err := linked(ctx, dir, in.Packages, env)
	if err != nil {
		return nil, err
	}
	module, err := modulePath(ctx, dir, env)
	if err != nil {
		return nil, err
	}
	innocent, err := bystanders(dir, base, pkgs, in, untouched)
	if err != nil {
		return nil, err
	}
	for i := range innocent {
		d := &innocent[i]
		d.executed = onStacks[qualified(module, d.dir, repo.FuncName(d.Function))]
	}
	chosen := drawDecoys(innocent, in, rng)
	if err := renameDecoys(dir, chosen); err != nil {
		return nil, err
	}
	var names []string
	for _, d := range chosen {
		names = append(names, d.name)
	}
	slices.Sort(names)
	return names, nil
}

// renameDecoys makes the edits of decoys in the tree at dir.
func renameDecoys(dir string, decoys []decoy) error {
	byDir := map[string][]calibrate.Renaming{}
	for _, d := range decoys {
		byDir[d.dir] = append(byDir[d.dir], d.Renaming)
	}
	for pkg, renamings := range byDir {
		if err := calibrate.Rename(filepath.Join(dir, filepath.FromSlash(pkg)), renamings); err != nil {
			return err
		}
	}
	return nil
}

// linked are the folders of the module's own packages that the test binaries of
// some packages are made of, below the module's root.
func linked(ctx context.Context, dir string, packages, env []string) ([]string, error) {
	args := append([]string{"list", "-deps", "-test", "-f", "{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}"}, packages...)
	out, err := runIn(ctx, dir, env, "go", args...)
	if err != nil {
		return nil, err
	}
	// The go command may name the folder without its links.
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	var pkgs []string
	for line := range strings.FieldsSeq(out) {
		real, err := filepath.EvalSymlinks(line)
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(root, real)
		if err != nil {
			return nil, err
		}
		if !suiteFolder(dir, rel) {
			pkgs = append(pkgs, filepath.ToSlash(rel))
		}
	}
	slices.Sort(pkgs)
	return slices.Compact(pkgs), nil
}

// suiteFolder: the folder belongs to a benchmark suite, whose definition must be
// the same on both sides (package suite).
func suiteFolder(dir, rel string) bool {
	for rel != "." {
		if _, err := os.Stat(filepath.Join(dir, rel, "manifest.json")); err == nil {
			return true
		}
		rel = filepath.Dir(rel)
	}
	return false
}

// bystanders are the functions that may be decoys: not those that the injection
// touches, and not the guilty.
func bystanders(dir, base string, pkgs []string, in *Injection, untouched fs.FS) ([]decoy, error) {
	var found []decoy
	for _, pkg := range pkgs {
		renamings, err := calibrate.Renamings(filepath.Join(dir, filepath.FromSlash(pkg)))
		if err != nil {
			return nil, err
		}
		touched, err := touchedNames(os.DirFS(dir), untouched, pkg, in.Edits)
		if err != nil {
			return nil, err
		}
		for _, r := range renamings {
			name := repo.FuncName(r.Function)
			full := printed(base, pkg, name)
			if !touched[name] && !slices.Contains(in.Guilty, full) {
				found = append(found, decoy{dir: pkg, name: full, Renaming: r})
			}
		}
	}
	return found, nil
}

// printed is a declaration's name as perfgate prints it: below the module, and with
// the last element of the module's path at its root.
func printed(base, pkg, name string) string {
	if pkg == "." {
		pkg = base
	}
	return pkg + "." + name
}

// touchedNames are the functions of a package that the edits change, or add.
func touchedNames(edited, untouched fs.FS, pkg string, edits []Edit) (map[string]bool, error) {
	touched := map[string]bool{}
	for _, e := range edits {
		if path.Dir(e.File) != pkg || path.Ext(e.File) != ".go" {
			continue
		}
		now, err := sources(edited, e.File)
		if err != nil {
			return nil, err
		}
		before, err := sources(untouched, e.File)
		if err != nil {
			return nil, err
		}
		for name, text := range now {
			touched[name] = touched[name] || before[name] != text
		}
	}
	return touched, nil
}

// sources are the texts of a file's functions. A file that is not there has none.
func sources(tree fs.FS, file string) (map[string]string, error) {
	text, err := fs.ReadFile(tree, file)
	if err != nil {
		return nil, nilIfAbsent(err)
	}
	d, err := parseDeclarations(file, text)
	if err != nil {
		return nil, err
	}
	return d.functions, nil
}

// drawDecoys draws executed functions, each as likely as any other. Where there are
// too few, others make up for them: half of all in the packages of the edits and half
// elsewhere, or whatever there is.
func drawDecoys(innocent []decoy, in *Injection, rng *rand.Rand) []decoy {
	near := map[string]bool{}
	for _, e := range in.Edits {
		near[path.Dir(e.File)] = true
	}
	rng.Shuffle(len(innocent), func(i, j int) { innocent[i], innocent[j] = innocent[j], innocent[i] })
	var chosen, others, spare []decoy
	count := map[bool]int{}
	for _, d := range innocent {
		switch {
		case !d.executed:
			others = append(others, d)
		case len(chosen) < decoysMax:
			count[near[d.dir]]++
			chosen = append(chosen, d)
		}
	}
	for _, d := range others {
		if side := near[d.dir]; len(chosen) < decoysMax && count[side] < decoysMax/2 {
			count[side]++
			chosen = append(chosen, d)
		} else {
			spare = append(spare, d)
		}
	}
	missing := min(decoysMax-len(chosen), len(spare))
	return append(chosen, spare[:missing]...)
}

// decoyNote is what the commit of the head side says.
func decoyNote(names []string) string {
	return fmt.Sprintf("head\n\nDecoys: %s\n", strings.Join(names, ", "))
}
