package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// Package is what `go list -json` says of a package.
type Package struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Export       string
	Standard     bool
	Module       *struct{ Path string }
}

// List asks the go command, in dir, for packages. Args are flags and patterns.
func List(dir string, args ...string) ([]Package, error) {
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports,Export,Standard,Module"}, args...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	var pkgs []Package
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list %s: %w", strings.Join(args, " "), err)
		}
		pkgs = append(pkgs, p)
	}
}

// Rule is one package's allow-list. Entries are packages of this module by
// their path below it, modules of others (which cover their packages), and
// those packages of the standard library that Guarded names. Other packages of
// the standard library are free.
type Rule struct {
	Imports []string // what the package may import
	Tests   []string // what its tests may import besides
}

// Rules is the architecture's import rules.
type Rules struct {
	Module   string
	Packages map[string]Rule
	// Guarded are standard packages that need to be listed.
	Guarded []string
	// Owners lists, for a package or module, who alone may import it outside
	// tests, whatever Packages says.
	Owners map[string][]string
	// Apart are pairs of trees of which neither imports the other, tests included.
	Apart [][2]string
	// Siblings are trees none of which imports another.
	Siblings []string
}

// Check returns every violation, in the order of pkgs.
func (r Rules) Check(pkgs []Package) []string {
	var found []string
	for _, p := range pkgs {
		found = append(found, r.checkPackage(p)...)
	}
	return found
}

func (r Rules) checkPackage(p Package) []string {
	self := r.relative(p.ImportPath)
	rule, ok := r.Packages[self]
	if !ok {
		return []string{fmt.Sprintf("%s: not in the allow-list; place it in internal/archtest/rules.go", self)}
	}
	var found []string
	for _, imp := range p.Imports {
		imp = r.relative(imp)
		if r.needsPermission(imp) && !covers(rule.Imports, imp) {
			found = append(found, fmt.Sprintf("%s: may not import %s", self, imp))
		}
		found = append(found, r.checkOwner(self, imp)...)
		found = append(found, r.checkDirection(self, imp)...)
	}
	tests := slices.Concat(p.TestImports, p.XTestImports)
	slices.Sort(tests)
	for _, imp := range slices.Compact(tests) {
		imp = r.relative(imp)
		if imp != self && r.needsPermission(imp) && !covers(rule.Imports, imp) && !covers(rule.Tests, imp) {
			found = append(found, fmt.Sprintf("%s: its tests may not import %s", self, imp))
		}
		found = append(found, r.checkDirection(self, imp)...)
	}
	return found
}

func (r Rules) checkOwner(self, imp string) []string {
	var found []string
	for _, owned := range sortedKeys(r.Owners) {
		if within(imp, owned) && !slices.Contains(r.Owners[owned], self) {
			found = append(found, fmt.Sprintf("%s: imports %s, which belongs to %s",
				self, imp, strings.Join(r.Owners[owned], ", ")))
		}
	}
	return found
}

func (r Rules) checkDirection(self, imp string) []string {
	var found []string
	for _, pair := range r.Apart {
		if within(self, pair[0]) && within(imp, pair[1]) || within(self, pair[1]) && within(imp, pair[0]) {
			found = append(found, fmt.Sprintf("%s: imports %s across the line between %s and %s", self, imp, pair[0], pair[1]))
		}
	}
	from, to := sibling(r.Siblings, self), sibling(r.Siblings, imp)
	if from != "" && to != "" && from != to {
		found = append(found, fmt.Sprintf("%s: imports its sibling %s", self, imp))
	}
	return found
}

func sibling(trees []string, pkg string) string {
	for _, tree := range trees {
		if within(pkg, tree) {
			return tree
		}
	}
	return ""
}

// relative strips the module's path, so that rules name packages by folder.
func (r Rules) relative(importPath string) string {
	if importPath == r.Module {
		return "."
	}
	return strings.TrimPrefix(importPath, r.Module+"/")
}

// needsPermission: packages of this module (which have no dot in their first
// element after relative, and are not of the standard library), other people's,
// and guarded ones.
func (r Rules) needsPermission(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	if strings.Contains(first, ".") || slices.Contains(r.Guarded, imp) {
		return true
	}
	_, ours := r.Packages[imp]
	return ours || slices.Contains(roots, first)
}

// roots are the top folders that hold packages of this module; none is also the
// name of a standard package's first element but internal, which a program
// cannot import from the standard library anyway.
var roots = []string{"cmd", "gate", "mir", "trantor", "benchsuite", "samples", "internal"}

func covers(list []string, imp string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		first, _, _ := strings.Cut(entry, "/")
		if strings.Contains(first, ".") {
			return within(imp, entry)
		}
		return imp == entry
	})
}

// within says whether a package is tree itself or below it.
func within(pkg, tree string) bool {
	return pkg == tree || strings.HasPrefix(pkg, path.Clean(tree)+"/")
}
