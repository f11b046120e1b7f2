package repo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"path"
	"strconv"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
)

// parsed is what is read of a source file.
type parsed struct {
	pkg       string // the name in its package clause
	generated bool
	decls     []recording.Decl
}

// parse reads the declarations of a Go file. One that does not parse, or that is
// no Go, has none: it may be for another system, and whoever built it knows.
func (s *sourceDiff) parse(side int, file string) parsed {
	src := s.read(side, file)
	if src == nil || !strings.HasSuffix(file, ".go") {
		return parsed{}
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return parsed{}
	}
	p := parsed{pkg: f.Name.Name, generated: ast.IsGenerated(f)}
	d := declReader{fset: fset, src: src}
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			p.decls = append(p.decls, d.decl(FuncName(decl), "func", decl.Name.Name, decl, decl.Pos(), ""))
		case *ast.GenDecl:
			p.decls = append(p.decls, d.general(decl)...)
		}
	}
	return p
}

// FuncName is how profiles name a function within its package: "F", "(*T).M",
// "T.M", and "[...]" for type parameters.
func FuncName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		if f.Type.TypeParams != nil {
			return f.Name.Name + "[...]"
		}
		return f.Name.Name
	}
	t, pointer := f.Recv.List[0].Type, false
	if star, ok := t.(*ast.StarExpr); ok {
		t, pointer = star.X, true
	}
	receiver := ""
	switch t := t.(type) {
	case *ast.Ident:
		receiver = t.Name
	case *ast.IndexExpr:
		receiver = baseName(t.X) + "[...]"
	case *ast.IndexListExpr:
		receiver = baseName(t.X) + "[...]"
	}
	if pointer {
		receiver = "(*" + receiver + ")"
	}
	return receiver + "." + f.Name.Name
}

func baseName(e ast.Expr) string {
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// declReader makes Decls of one file.
type declReader struct {
	fset *token.FileSet
	src  []byte
}

// general reads const, var and type declarations, name by name.
func (d *declReader) general(g *ast.GenDecl) []recording.Decl {
	var decls []recording.Decl
	for i, spec := range g.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			decls = append(decls, d.decl(spec.Name.Name, "type", spec.Name.Name, spec, spec.Pos(), ""))
		case *ast.ValueSpec:
			place := ""
			if g.Tok == token.CONST && len(g.Specs) > 1 {
				place = strconv.Itoa(i) // iota
				if len(spec.Values) > 0 && !mentions(spec, "iota") {
					place = ""
				}
			}
			for _, name := range spec.Names {
				decls = append(decls, d.decl(name.Name, g.Tok.String(), name.Name, spec, spec.Pos(), place))
			}
		}
	}
	return decls
}

func mentions(n ast.Node, name string) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return !found
	})
	return found
}

func (d *declReader) decl(name, kind, own string, n ast.Node, from token.Pos, place string) recording.Decl {
	start, end := d.fset.Position(from), d.fset.Position(n.End())
	return recording.Decl{
		Name: name, Kind: kind, Start: start.Line, End: end.Line,
		Hash: hashTokens(d.src[d.fset.Position(n.Pos()).Offset:end.Offset], own, place),
	}
}

// hashTokens identifies source text without comments and layout. The declaration's
// own name counts as any name, so that a renamed function is still the same.
func hashTokens(src []byte, own, place string) string {
	fset := token.NewFileSet()
	var s scanner.Scanner
	s.Init(fset.AddFile("", fset.Base(), len(src)), src, nil, 0)
	h := sha256.New()
	fmt.Fprintln(h, place)
	for {
		_, tok, lit := s.Scan()
		switch {
		case tok == token.EOF:
			return hex.EncodeToString(h.Sum(nil)[:8])
		case tok == token.SEMICOLON:
			lit = "" // written, or from the end of a line
		case tok == token.IDENT && lit == own:
			lit = "\x00"
		}
		fmt.Fprintf(h, "%d %s\n", tok, lit)
	}
}

const (
	// usersFilesMax bounds the files that are searched for users of what changed.
	usersFilesMax = 10_000
	// usersMax: a name that more functions mention says nothing.
	usersMax = 50
)

// mention is where a name that changed occurs.
type mention struct {
	file *recording.FileDiff
	decl *recording.Decl
	seen map[string]bool
}

// addUsers finds, for each changed declaration of the head side, the functions
// that mention its name: in its package, and as a selector where that package is
// imported. Types are not resolved; it is a hint and not a proof.
func (s *sourceDiff) addUsers(files []recording.FileDiff) {
	byName := map[string][]*mention{}
	for i := range files {
		f := &files[i]
		for k := range f.Head {
			d := &f.Head[k]
			plain := strings.ReplaceAll(d.Name, "[...]", "")
			name := plain[strings.LastIndexByte(plain, '.')+1:]
			if f.Pkg != "" && name != "" && name != "_" && name != "init" {
				byName[name] = append(byName[name], &mention{file: f, decl: d, seen: map[string]bool{}})
			}
		}
	}
	if len(byName) == 0 {
		return
	}
	for _, file := range s.sourceFiles() {
		s.findMentions(file, byName)
	}
	// maprange: each declaration is finished by itself
	for _, mentions := range byName {
		for _, m := range mentions {
			if len(m.decl.Users) > usersMax {
				m.decl.Users = nil
			}
		}
	}
}

// findMentions searches the functions of one file.
func (s *sourceDiff) findMentions(file string, byName map[string][]*mention) {
	src := s.read(onHead, file)
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.SkipObjectResolution)
	source := s.source(onHead, file)
	if src == nil || err != nil || source == "" {
		return
	}
	pkg := path.Dir(source)
	if strings.HasSuffix(file, "_test.go") && strings.HasSuffix(f.Name.Name, "_test") {
		pkg += "_test"
	}
	imports := map[string]bool{pkg: true}
	for _, spec := range f.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			imports[p] = true
		}
	}
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		user := pkg + "." + FuncName(fn)
		visit := func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			for _, m := range byName[id.Name] {
				self := user == m.file.Pkg+"."+m.decl.Name
				if !self && imports[m.file.Pkg] && !m.seen[user] {
					m.seen[user] = true
					m.decl.Users = append(m.decl.Users, user)
				}
			}
			return true
		}
		// Not its own name, which another type's method may share.
		ast.Inspect(fn.Type, visit)
		ast.Inspect(fn.Body, visit)
		if fn.Recv != nil {
			ast.Inspect(fn.Recv, visit)
		}
	}
}
