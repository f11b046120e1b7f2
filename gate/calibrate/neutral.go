package calibrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/build"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Edits are the generated changes that change no behaviour. What they move is
// where code and data lie in the binary, and what the debugger is told.
var Edits = []string{"shuffled-functions", "renamed-variables", "comments", "added-function", "added-data", "all"}

// edited is one file under an edit.
type edited struct {
	fset *token.FileSet
	file *ast.File
	src  []byte
	// global are the names that mean something outside of functions, in all files
	// of the package.
	global map[string]bool
	first  bool // of its package
}

// change replaces the bytes from, to of a file.
type change struct {
	from, to int
	text     string
}

// ApplyEdit edits, below the module's folder dir, every Go file that takes part in
// a build here and is no test, outside of the folder skip (the suite's own code,
// whose definition must stay as it is). What is drawn comes from seed. It
// returns the hash of the edited files.
func ApplyEdit(dir, skip, edit string, seed uint64) (hash string, err error) {
	if !slices.Contains(Edits, edit) {
		return "", fmt.Errorf("unknown neutral edit %q", edit)
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	h := sha256.New()
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path != dir && (path == skip || skipped(path, d.Name())) {
			return fs.SkipDir
		}
		written, err := editPackage(path, edit, rng)
		for _, name := range written {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%s %d\n%s", strconv.Quote(filepath.ToSlash(rel)), len(text), text)
			files++
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("neutral edit %s: %w", edit, err)
	}
	if files == 0 {
		return "", fmt.Errorf("neutral edit %s: there is no Go file to edit below %s", edit, dir)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// skipped are the folders that belong to no package of the module.
func skipped(path, name string) bool {
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil || name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

// editPackage edits the files of one folder and gives the names of those that it
// wrote.
func editPackage(dir, edit string, rng *rand.Rand) (written []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files, global, err := parseFolder(dir, entries)
	if err != nil {
		return nil, err
	}
	first := true
	for _, e := range entries {
		f := files[e.Name()]
		if f == nil {
			continue
		}
		f.global, f.first = global, first
		first = false
		text, err := f.edit(edit, rng)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, e.Name()), err)
		}
		name := filepath.Join(dir, e.Name())
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return nil, err
		}
		written = append(written, name)
	}
	return written, nil
}

// parseFolder gives the files that may be edited, by name, and the names that
// any file of the folder declares or imports.
func parseFolder(dir string, entries []fs.DirEntry) (map[string]*edited, map[string]bool, error) {
	files, global := map[string]*edited{}, map[string]bool{}
	for _, e := range entries {
		if !e.Type().IsRegular() || filepath.Ext(e.Name()) != ".go" {
			continue
		}
		src, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, nil, err
		}
		f := &edited{fset: token.NewFileSet(), src: src}
		if f.file, err = parser.ParseFile(f.fset, filepath.Join(dir, e.Name()), src, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return nil, nil, err
		}
		dots := f.collect(global)
		built, err := build.Default.MatchFile(dir, e.Name())
		if err != nil {
			return nil, nil, err
		}
		if built && !dots && !strings.HasSuffix(e.Name(), "_test.go") && !ast.IsGenerated(f.file) {
			files[e.Name()] = f
		}
	}
	return files, global, nil
}

// collect adds the names that mean something in the whole file; special says that
// it imports C, or a package without a name, of which a parser cannot tell enough.
func (f *edited) collect(global map[string]bool) (special bool) {
	for _, spec := range f.file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		special = special || err != nil || path == "C" || spec.Name != nil && spec.Name.Name == "."
		if spec.Name != nil {
			global[spec.Name.Name] = true
		}
		// Without a name, it is one of the elements as a rule: more names than are
		// meant do no harm.
		for _, part := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/.-", r) }) {
			global[part] = true
		}
	}
	for _, d := range f.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			global[d.Name.Name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					global[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						global[name.Name] = true
					}
				}
			}
		}
	}
	return special
}

// edit gives the file's text under an edit.
func (f *edited) edit(edit string, rng *rand.Rand) ([]byte, error) {
	all := edit == "all"
	var changes []change
	if all || edit == "renamed-variables" {
		changes = append(changes, f.renamed()...)
	}
	if edit == "comments" {
		changes = f.remarks(rng)
	}
	text := apply(f.src, changes)
	if all || edit == "shuffled-functions" {
		text = f.shuffled(text, changes, rng)
	}
	if f.first && (all || edit == "added-function") {
		text = append(text, addedFunction(rng)...)
	}
	if f.first && (all || edit == "added-data") {
		text = append(text, addedData(rng)...)
	}
	return format.Source(text)
}

// apply makes changes that do not overlap.
func apply(src []byte, changes []change) []byte {
	slices.SortFunc(changes, func(a, b change) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, c := range changes {
		out = append(append(out, src[at:c.from]...), c.text...)
		at = c.to
	}
	return append(out, src[at:]...)
}

func (f *edited) offset(p token.Pos) int { return f.fset.Position(p).Offset }

// functions are the file's functions whose order means nothing; that of several
// init functions does.
func (f *edited) functions() []*ast.FuncDecl {
	var fns []*ast.FuncDecl
	for _, d := range f.file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name != "init" {
			fns = append(fns, fn)
		}
	}
	return fns
}

// begin is where a function with its comment begins.
func (f *edited) begin(fn *ast.FuncDecl) int {
	if fn.Doc != nil {
		return f.offset(fn.Doc.Pos())
	}
	return f.offset(fn.Pos())
}

// shuffled puts the functions into an order drawn anew, each with its comment into
// the place of another. done are changes that text has already.
func (f *edited) shuffled(text []byte, done []change, rng *rand.Rand) []byte {
	moved := func(at int) int {
		by := 0
		for _, c := range done {
			if c.from < at {
				by += len(c.text) - (c.to - c.from)
			}
		}
		return at + by
	}
	fns := f.functions()
	order := rng.Perm(len(fns))
	slots := make([]change, len(fns))
	for i, fn := range fns {
		slots[i] = change{from: moved(f.begin(fn)), to: moved(f.offset(fn.End()))}
	}
	for i := range slots {
		other := slots[order[i]]
		slots[i].text = string(text[other.from:other.to])
	}
	return apply(text, slots)
}

// remarks puts comments and blank lines before functions, so that all lines move.
func (f *edited) remarks(rng *rand.Rand) []change {
	var changes []change
	for _, fn := range f.functions() {
		at := f.begin(fn)
		changes = append(changes, change{at, at, "\n" + strings.Repeat("// This remark says nothing.\n", 1+rng.IntN(5)) + "\n"})
	}
	return changes
}

// renamed gives local variables longer names.
func (f *edited) renamed() []change {
	var changes []change
	for _, d := range f.file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			changes = append(changes, f.renamedIn(fn)...)
		}
	}
	return changes
}

// renamedIn does so in one function. A name is left alone where an identifier of
// that spelling may be something else: what is declared outside of functions, a
// field, a key of a composite literal, a type.
func (f *edited) renamedIn(fn *ast.FuncDecl) []change {
	if fn.Body == nil {
		return nil
	}
	var changes []change
	n := names{variables: map[string]bool{}, others: map[string]bool{}}
	ast.Inspect(fn, n.visit)
	for _, id := range n.identifiers {
		if id.Name == "_" || !n.variables[id.Name] || n.others[id.Name] || f.global[id.Name] || types.Universe.Lookup(id.Name) != nil {
			continue
		}
		at := f.offset(id.Pos())
		changes = append(changes, change{at, at + len(id.Name), id.Name + "Renamed"})
	}
	return changes
}

// names sorts the identifiers of one function.
type names struct {
	identifiers       []*ast.Ident // all but the right sides of selectors
	variables, others map[string]bool
}

func (n *names) visit(node ast.Node) bool {
	switch node := node.(type) {
	case *ast.Ident:
		n.identifiers = append(n.identifiers, node)
	case *ast.SelectorExpr:
		ast.Inspect(node.X, n.visit)
		return false
	case *ast.FuncDecl:
		n.fields(node.Recv, n.variables)
	case *ast.FuncType:
		n.fields(node.TypeParams, n.others)
		n.fields(node.Params, n.variables)
		n.fields(node.Results, n.variables)
	case *ast.StructType:
		n.fields(node.Fields, n.others)
		n.embedded(node.Fields)
	case *ast.InterfaceType:
		n.fields(node.Methods, n.others)
	case *ast.KeyValueExpr:
		n.mark(n.others, node.Key)
	case *ast.TypeSpec:
		n.mark(n.others, node.Name)
	case *ast.LabeledStmt:
		n.mark(n.others, node.Label)
	case *ast.AssignStmt:
		if node.Tok == token.DEFINE {
			n.mark(n.variables, node.Lhs...)
		}
	case *ast.RangeStmt:
		if node.Tok == token.DEFINE {
			n.mark(n.variables, node.Key, node.Value)
		}
	case *ast.ValueSpec:
		for _, name := range node.Names {
			n.mark(n.variables, name)
		}
	}
	return true
}

func (n *names) fields(list *ast.FieldList, into map[string]bool) {
	if list == nil {
		return
	}
	for _, field := range list.List {
		for _, name := range field.Names {
			n.mark(into, name)
		}
	}
}

// embedded fields have the names of their types.
func (n *names) embedded(list *ast.FieldList) {
	for _, field := range list.List {
		if len(field.Names) == 0 {
			n.mark(n.others, field.Type)
		}
	}
}

func (n *names) mark(into map[string]bool, expressions ...ast.Expr) {
	for _, e := range expressions {
		if id, ok := e.(*ast.Ident); ok && id != nil {
			into[id.Name] = true
		}
	}
}

// addedFunction is code that runs once, when the program starts, which keeps the
// linker from leaving it out.
func addedFunction(rng *rand.Rand) string {
	var b strings.Builder
	b.WriteString("\n\nvar _ = perfgateAdded(1)\n\n// perfgateAdded is here to move what follows it.\n//\n//go:noinline\nfunc perfgateAdded(x uint64) uint64 {\n")
	for range 4 + rng.IntN(60) {
		fmt.Fprintf(&b, "\tx ^= x<<%d + %d\n", 1+rng.IntN(31), rng.Uint32())
	}
	b.WriteString("\treturn x\n}\n")
	return b.String()
}

// addedData is data that is looked at once, when the program starts.
func addedData(rng *rand.Rand) string {
	var b strings.Builder
	b.WriteString("\n\nvar perfgateData = [...]uint64{")
	for range 5 + rng.IntN(400) {
		fmt.Fprintf(&b, "%d, ", rng.Uint32())
	}
	b.WriteString("}\n\nvar _ = perfgateLook(perfgateData[:])\n\n//go:noinline\nfunc perfgateLook(data []uint64) uint64 { return data[len(data)-1] }\n")
	return b.String()
}
