package suite

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// formatVersion is hashed first: a change of what follows changes all hashes.
const formatVersion = "perfgate definition 1"

// Definitions gives the definition hash of each benchmark function, as
// "PKG.BenchmarkX". The package doc says what it covers.
func Definitions(src Source) (map[string]string, error) {
	t, err := readTree(src)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	err = t.eachBenchmark(func(b *binary, name string, _ *ast.FuncDecl) error {
		out[b.pkg.path+"."+name], err = b.definition(name)
		return err
	})
	return out, err
}

// Redefined tells which benchmark functions differ between the definitions of
// two sides, and what to do about each.
func Redefined(base, head map[string]string) map[string]string {
	out := map[string]string{}
	for name, hash := range base {
		if other, ok := head[name]; ok && other != hash {
			out[name] = "the benchmark, or what it reaches in the suite's own packages, differs between the sides, so that they would not do the same work; " +
				"merge the change of the suite on its own first (nothing can be compared there, so that its check stays red, and whoever may merges it), or let a policy rule of the base side's perfgate.yml ignore it"
		}
	}
	return out
}

// eachBenchmark visits the benchmark functions that are built on this platform,
// by package and name. A function of the same name in the external tests is
// visited with it, as one.
func (t *tree) eachBenchmark(visit func(b *binary, name string, fn *ast.FuncDecl) error) error {
	for _, pkg := range t.packages {
		b, err := t.newBinary(t.folders[pkg])
		if err != nil {
			return err
		}
		functions := map[string]*ast.FuncDecl{}
		for _, f := range slices.Concat(b.pkg.tests, b.pkg.xtests) {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && f.built && isBenchmark(fn) {
					functions[fn.Name.Name] = fn
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(functions)) {
			if err := visit(b, name, functions[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// binary is what the test binary of one package sees of the suite.
type binary struct {
	tree   *tree
	pkg    *folder
	scopes map[string]*scope // by import path; nil for packages outside the suite
}

// scope is the declarations of one package.
type scope struct {
	path    string
	names   map[string][]*declaration
	methods map[string][]*declaration // by the receiver's type
	always  []*declaration
	imports []string
}

// externalSuffix marks the scope of the external tests; no import path has it.
const externalSuffix = " [external tests]"

// newBinary collects the declarations that the test binary of pkg may reach:
// its own, and those of all packages of the suite that it imports, however
// indirectly.
func (t *tree) newBinary(pkg *folder) (*binary, error) {
	b := &binary{tree: t, pkg: pkg, scopes: map[string]*scope{
		pkg.path:                  newScope(pkg.path, slices.Concat(pkg.lib, pkg.tests)),
		pkg.path + externalSuffix: newScope(pkg.path+externalSuffix, pkg.xtests),
	}}
	open := slices.Concat(b.scopes[pkg.path].imports, b.scopes[pkg.path+externalSuffix].imports)
	for len(open) > 0 {
		imported := open[len(open)-1]
		open = open[:len(open)-1]
		if _, known := b.scopes[imported]; known {
			continue
		}
		f, err := t.folder(imported)
		if err != nil {
			return nil, err
		}
		b.scopes[imported] = nil
		if f != nil {
			b.scopes[imported] = newScope(imported, f.lib)
			open = append(open, b.scopes[imported].imports...)
		}
	}
	return b, nil
}

func newScope(path string, files []*file) *scope {
	s := &scope{path: path, names: map[string][]*declaration{}, methods: map[string][]*declaration{}}
	for _, f := range files {
		for _, spec := range f.ast.Imports {
			// The file could not have been read with a path that is no string.
			imported, _ := strconv.Unquote(spec.Path.Value)
			s.imports = append(s.imports, imported)
		}
		for _, d := range f.declarations() {
			for _, n := range d.names {
				s.names[n] = append(s.names[n], d)
			}
			if d.typ != "" {
				s.methods[d.typ] = append(s.methods[d.typ], d)
			}
			if d.always {
				s.always = append(s.always, d)
			}
		}
	}
	return s
}

// reached is a declaration and the scope that its names belong to.
type reached struct {
	*declaration
	scope *scope
}

// definition hashes a benchmark function and everything that it reaches. The
// list that is hashed is sorted, so that the order of finding does not matter.
func (b *binary) definition(name string) (string, error) {
	seen := map[*declaration]bool{}
	var open []reached
	push := func(s *scope, decls []*declaration) {
		for _, d := range decls {
			if !seen[d] {
				seen[d] = true
				open = append(open, reached{d, s})
			}
		}
	}
	push(b.scopes[b.pkg.path], b.scopes[b.pkg.path].names[name])
	push(b.scopes[b.pkg.path+externalSuffix], b.scopes[b.pkg.path+externalSuffix].names[name])
	for _, s := range b.scopes {
		if s != nil {
			push(s, s.always)
		}
	}
	var lines []string
	testdata := false
	for len(open) > 0 {
		d := open[len(open)-1]
		open = open[:len(open)-1]
		imports, mentions := b.uses(d, push)
		testdata = testdata || mentions
		lines = append(lines, d.hash(b.tree.fset, imports))
		embedded, err := hashPatterns(d.file.dir, d.embeds())
		if err != nil {
			return "", fmt.Errorf("the definition of %s.%s: %w", b.pkg.path, name, err)
		}
		lines = append(lines, embedded...)
	}
	if testdata {
		files, err := hashTree(b.pkg.dir, "testdata")
		if err != nil {
			return "", fmt.Errorf("the definition of %s.%s: %w", b.pkg.path, name, err)
		}
		lines = append(lines, files...)
	}
	slices.Sort(lines)
	h := sha256.New()
	write(h, formatVersion)
	write(h, slices.Compact(lines)...)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// uses pushes what a declaration reaches, and returns the imports that it uses,
// as "name=path", and whether it mentions the folder testdata.
func (b *binary) uses(d reached, push func(*scope, []*declaration)) (imports []string, testdata bool) {
	for _, n := range d.names {
		if d.keyword == token.TYPE {
			push(d.scope, d.scope.methods[n])
		}
	}
	var visit func(n ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			testdata = testdata || n.Kind == token.STRING && strings.Contains(n.Value, "testdata")
		case *ast.Ident:
			push(d.scope, d.scope.names[n.Name])
			for _, dot := range d.file.dots {
				if s := b.scopes[dot]; s != nil {
					push(s, s.names[n.Name])
				}
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && d.file.imports[x.Name] != "" {
				imported := d.file.imports[x.Name]
				imports = append(imports, x.Name+"="+imported)
				if s := b.scopes[imported]; s != nil {
					push(s, s.names[n.Sel.Name])
				}
			}
			// The selected name is a field, or a method, which its type reaches.
			ast.Inspect(n.X, visit)
			return false
		}
		return true
	}
	ast.Inspect(d.node, visit)
	return imports, testdata
}

// hashPatterns hashes the files that patterns of go:embed match.
func hashPatterns(dir string, patterns []string) ([]string, error) {
	var out []string
	for _, p := range patterns {
		p = strings.TrimPrefix(p, "all:")
		if unquoted, err := strconv.Unquote(p); err == nil {
			p = strings.TrimPrefix(unquoted, "all:")
		}
		matches, err := fs.Glob(os.DirFS(dir), p)
		if err != nil {
			return nil, fmt.Errorf("go:embed %s: %w", p, err)
		}
		for _, m := range matches {
			files, err := hashTree(dir, m)
			if err != nil {
				return nil, err
			}
			out = append(out, files...)
		}
	}
	return out, nil
}

// fuzzCorpora are read by fuzz tests only.
const fuzzCorpora = "testdata/fuzz"

// hashTree hashes the files in the folder name below dir, or the file name;
// there may be none.
func hashTree(dir, name string) ([]string, error) {
	var out []string
	err := fs.WalkDir(os.DirFS(dir), name, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == fuzzCorpora:
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		full := filepath.Join(dir, filepath.FromSlash(path))
		if info, err := os.Stat(full); err != nil || !info.Mode().IsRegular() {
			return err
		}
		h, err := hashFile(full)
		if err != nil {
			return err
		}
		out = append(out, "file "+path+" "+h)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return out, err
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
