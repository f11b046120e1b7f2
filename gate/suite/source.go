package suite

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Source says where the code of a suite is.
type Source struct {
	// ModuleDir is the folder of the go.mod.
	ModuleDir string
	// Root is the folder of the suite, which holds its manifest; "" where there is
	// no manifest. The module's own folder is no root: all of the product would be
	// part of the suite.
	Root string
	// Packages gives the folder of each package with benchmarks, by import path.
	Packages map[string]string
}

// tree reads the folders of a suite, each once.
type tree struct {
	moduleDir, root string
	module          string // the module's path, or "" where no package is inside it
	fset            *token.FileSet
	packages        []string // import paths of those with benchmarks, sorted
	folders         map[string]*folder
}

// folder is what one package's folder holds.
type folder struct {
	path, dir string
	lib       []*file // the package itself; read below the suite's root only
	tests     []*file // its test files
	xtests    []*file // the test files of package PKG_test
}

// file is one Go file.
type file struct {
	path    string // import path of its package
	dir     string
	test    bool
	built   bool // on this platform
	ast     *ast.File
	src     []byte
	imports map[string]string // import paths, by the name that they have here
	dots    []string          // import paths without a name
}

func readTree(src Source) (*tree, error) {
	t := &tree{fset: token.NewFileSet(), folders: map[string]*folder{}}
	var err error
	// The go command resolves symbolic links in the folders that it names.
	if t.moduleDir, err = filepath.EvalSymlinks(src.ModuleDir); err != nil {
		return nil, fmt.Errorf("reading the suite: %w", err)
	}
	if src.Root != "" {
		// A side that has no such folder has no suite.
		if t.root, err = filepath.EvalSymlinks(src.Root); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the suite: %w", err)
		}
		if t.root == t.moduleDir {
			t.root = ""
		}
	}
	dirs := map[string]string{}
	for pkg, dir := range src.Packages {
		if dirs[pkg], err = filepath.EvalSymlinks(dir); err != nil {
			return nil, fmt.Errorf("reading the suite: %w", err)
		}
		t.packages = append(t.packages, pkg)
	}
	slices.Sort(t.packages)
	for _, pkg := range t.packages {
		if rel, ok := below(t.moduleDir, dirs[pkg]); ok {
			t.module = strings.TrimSuffix(strings.TrimSuffix(pkg, rel), "/")
		}
		if t.folders[pkg], err = t.readFolder(pkg, dirs[pkg]); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// below gives dir relative to root, with slashes and "" for root itself; ok is
// false where dir lies elsewhere.
func below(root, dir string) (rel string, ok bool) {
	rel, err := filepath.Rel(root, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	if rel == "." {
		return "", true
	}
	return filepath.ToSlash(rel), true
}

// own tells whether all files of dir are part of the suite.
func (t *tree) own(dir string) bool {
	if t.root == "" {
		return false
	}
	_, ok := below(t.root, dir)
	return ok
}

// folder gives the folder of an imported package that is part of the suite, or
// nil for all other packages.
func (t *tree) folder(pkg string) (*folder, error) {
	if f, ok := t.folders[pkg]; ok {
		return f, nil
	}
	rest, inside := strings.CutPrefix(pkg, t.module+"/")
	dir := filepath.Join(t.moduleDir, filepath.FromSlash(rest))
	if t.module == "" || !inside || !t.own(dir) {
		return nil, nil
	}
	f, err := t.readFolder(pkg, dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	t.folders[pkg] = f
	return f, nil
}

func (t *tree) readFolder(pkg, dir string) (*folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the suite: %w", err)
	}
	out := &folder{path: pkg, dir: dir}
	for _, e := range entries {
		name := e.Name()
		test := strings.HasSuffix(name, "_test.go")
		if e.IsDir() || !strings.HasSuffix(name, ".go") || name[0] == '_' || name[0] == '.' || !test && !t.own(dir) {
			continue
		}
		f, err := t.readFile(pkg, dir, name)
		if err != nil {
			return nil, err
		}
		f.test = test
		switch {
		case ignored(f.ast):
		case !test:
			out.lib = append(out.lib, f)
		case strings.HasSuffix(f.ast.Name.Name, "_test"):
			out.xtests = append(out.xtests, f)
		default:
			out.tests = append(out.tests, f)
		}
	}
	return out, nil
}

func (t *tree) readFile(pkg, dir, name string) (*file, error) {
	src, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("reading the suite: %w", err)
	}
	f := &file{path: pkg, dir: dir, src: src, imports: map[string]string{}}
	f.ast, err = parser.ParseFile(t.fset, filepath.Join(dir, name), src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("reading the suite: %w", err)
	}
	if f.built, err = build.Default.MatchFile(dir, name); err != nil {
		return nil, fmt.Errorf("reading the suite: %w", err)
	}
	for _, spec := range f.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("reading the suite: %s: %w", t.fset.Position(spec.Pos()), err)
		}
		switch {
		case spec.Name == nil:
			for _, n := range likelyNames(imported) {
				f.imports[n] = imported
			}
		case spec.Name.Name == ".":
			f.dots = append(f.dots, imported)
		case spec.Name.Name != "_":
			f.imports[spec.Name.Name] = imported
		}
	}
	return f, nil
}

// ignored tells whether a file is excluded from every build by the customary
// tag, and so may belong to another package.
func ignored(f *ast.File) bool {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			return false
		}
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			expr, err := constraint.Parse(c.Text)
			tag, ok := expr.(*constraint.TagExpr)
			return err == nil && ok && tag.Tag == "ignore"
		}
	}
	return false
}

var versionElement = regexp.MustCompile(`^v[0-9]+$`)

// likelyNames are the names that a package may have by its import path; which
// it is, only the package itself could tell. A name too many does no harm.
func likelyNames(imported string) []string {
	last := path.Base(imported)
	if dir := path.Dir(imported); versionElement.MatchString(last) && dir != "." {
		last = path.Base(dir)
	}
	name, version, ok := strings.Cut(last, ".")
	if !ok || !versionElement.MatchString(version) {
		name = last
	}
	names := []string{last, name, strings.TrimPrefix(name, "go-"), strings.TrimSuffix(name, "-go")}
	slices.Sort(names)
	return slices.Compact(names)
}
