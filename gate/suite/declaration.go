package suite

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"hash"
	"slices"
	"strings"
)

// declaration is a function, a method, one specification of a var, const or
// type declaration, or a whole const declaration where its specifications
// depend on each other.
type declaration struct {
	file    *file
	keyword token.Token // FUNC, VAR, CONST or TYPE
	names   []string    // that it declares; a method has none
	typ     string      // the receiver's type, of a method
	node    ast.Node
	docs    []*ast.CommentGroup
	always  bool // reached by every benchmark of the binary
}

// declarations takes a file apart.
func (f *file) declarations() []*declaration {
	var out []*declaration
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			out = append(out, f.function(d))
		case *ast.GenDecl:
			if d.Tok == token.CONST && dependent(d) {
				out = append(out, f.constants(d))
				continue
			}
			for _, s := range d.Specs {
				if decl := f.specification(d, s); decl != nil {
					out = append(out, decl)
				}
			}
		}
	}
	return out
}

func (f *file) function(d *ast.FuncDecl) *declaration {
	out := &declaration{file: f, keyword: token.FUNC, node: d, docs: []*ast.CommentGroup{d.Doc}}
	name := d.Name.Name
	switch {
	case d.Recv != nil && len(d.Recv.List) == 1:
		out.typ = receiverType(d.Recv.List[0].Type)
	case name == "init":
		out.always = true
	default:
		out.names = []string{name}
		out.always = name == "TestMain" && f.test
	}
	return out
}

func receiverType(expr ast.Expr) string {
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// dependent tells whether constants of a declaration depend on their place in
// it: by iota, or by repeating the expression before.
func dependent(d *ast.GenDecl) bool {
	for _, s := range d.Specs {
		if len(s.(*ast.ValueSpec).Values) == 0 {
			return true
		}
	}
	found := false
	ast.Inspect(d, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == "iota"
		return !found
	})
	return found
}

func (f *file) constants(d *ast.GenDecl) *declaration {
	out := &declaration{file: f, keyword: token.CONST, node: d}
	for _, s := range d.Specs {
		for _, n := range s.(*ast.ValueSpec).Names {
			out.names = append(out.names, n.Name)
		}
	}
	return out
}

func (f *file) specification(d *ast.GenDecl, s ast.Spec) *declaration {
	out := &declaration{file: f, keyword: d.Tok, node: s, docs: []*ast.CommentGroup{d.Doc}}
	switch s := s.(type) {
	case *ast.ValueSpec:
		out.docs = append(out.docs, s.Doc)
		for _, n := range s.Names {
			out.names = append(out.names, n.Name)
		}
		out.always = d.Tok == token.VAR && slices.Contains(out.names, "_") && calls(s)
	case *ast.TypeSpec:
		out.docs = append(out.docs, s.Doc)
		out.names = []string{s.Name.Name}
	default: // an import
		return nil
	}
	return out
}

// calls tells whether a variable's initializer calls a function. The assertion
// that a type has certain methods, (*T)(nil), is no call.
func calls(s *ast.ValueSpec) bool {
	found := false
	for _, v := range s.Values {
		ast.Inspect(v, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok {
				_, conversion := c.Fun.(*ast.ParenExpr)
				found = found || !conversion
			}
			return !found
		})
	}
	return found
}

// directives are the compiler's directives in the doc comments.
func (d *declaration) directives() []string {
	var out []string
	for _, doc := range d.docs {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if strings.HasPrefix(c.Text, "//go:") && !strings.HasPrefix(c.Text, "//go:generate") {
				out = append(out, strings.Join(strings.Fields(c.Text), " "))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// embeds are the patterns of its //go:embed directives.
func (d *declaration) embeds() []string {
	var out []string
	for _, text := range d.directives() {
		if patterns, ok := strings.CutPrefix(text, "//go:embed "); ok {
			out = append(out, strings.Fields(patterns)...)
		}
	}
	return out
}

// hash identifies the declaration, wherever it stands. imports are the import
// paths behind the package names that it uses, as "name=path".
func (d *declaration) hash(fset *token.FileSet, imports []string) string {
	h := sha256.New()
	write(h, d.file.path, d.keyword.String())
	write(h, d.directives()...)
	slices.Sort(imports)
	write(h, slices.Compact(imports)...)
	from, to := fset.Position(d.node.Pos()).Offset, fset.Position(d.node.End()).Offset
	write(h, tokens(d.file.src[from:to])...)
	return hex.EncodeToString(h.Sum(nil))
}

// write hashes a list of strings so that no other list gives the same bytes.
func write(h hash.Hash, list ...string) {
	fmt.Fprintf(h, "%d;", len(list))
	for _, s := range list {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
}

// tokens are the tokens of some Go source without what formatting is free to
// choose: comments, line breaks, commas before a closing bracket, and the case
// of numbers.
func tokens(src []byte) []string {
	var s scanner.Scanner
	fset := token.NewFileSet()
	s.Init(fset.AddFile("", fset.Base(), len(src)), src, nil, 0)
	var out []string
	for {
		_, tok, text := s.Scan()
		switch tok {
		case token.EOF:
			return trimSeparators(out)
		case token.SEMICOLON:
			text = ";"
		case token.INT, token.FLOAT, token.IMAG:
			text = strings.ToLower(text)
		case token.RPAREN, token.RBRACK, token.RBRACE:
			out = trimSeparators(out)
		}
		if text == "" {
			text = tok.String()
		}
		out = append(out, text)
	}
}

// trimSeparators drops commas and semicolons from the end.
func trimSeparators(list []string) []string {
	for len(list) > 0 && (list[len(list)-1] == ";" || list[len(list)-1] == ",") {
		list = list[:len(list)-1]
	}
	return list
}
