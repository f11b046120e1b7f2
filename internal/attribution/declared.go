package main

import (
	"go/ast"
	"go/parser"
	"go/token"

	"github.com/perfgate/perfgate/gate/repo"
)

// declarations are what a file declares at the level of its package.
type declarations struct {
	names     []string          // functions as profiles have them
	functions map[string]string // their texts, by name
}

// parseDeclarations reads one Go file.
func parseDeclarations(name string, text []byte) (declarations, error) {
	d := declarations{functions: map[string]string{}}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		return d, err
	}
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			name := repo.FuncName(decl)
			d.names = append(d.names, name)
			d.functions[name] = string(text[fset.Position(decl.Pos()).Offset:fset.Position(decl.End()).Offset])
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				d.names = append(d.names, specNames(spec)...)
			}
		}
	}
	return d, nil
}

func specNames(spec ast.Spec) []string {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		return []string{spec.Name.Name}
	case *ast.ValueSpec:
		var names []string
		for _, id := range spec.Names {
			names = append(names, id.Name)
		}
		return names
	}
	return nil
}
