package suite

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

const (
	directivePrefix = "//perfgate:"
	sizesDirective  = "//perfgate:sizes"
)

// sizeRule is one directive: the sizes of the sub-benchmarks that have element
// in their name, or of all where it is empty.
type sizeRule struct {
	element string
	sizes   []string
}

// sizesOf applies a function's directives to one of its benchmarks.
func sizesOf(rules []sizeRule, name string) []string {
	out := []string{"gate", "full"}
	elements := strings.Split(name, "/")[1:]
	for _, r := range rules {
		if r.element == "" {
			out = r.sizes
		}
	}
	for _, r := range rules {
		if r.element != "" && slices.Contains(elements, r.element) {
			out = r.sizes
		}
	}
	return out
}

// parseRules reads the directives in the doc comment of a benchmark function.
func parseRules(fset *token.FileSet, doc *ast.CommentGroup) ([]sizeRule, error) {
	var rules []sizeRule
	if doc == nil {
		return nil, nil
	}
	for _, c := range doc.List {
		if !strings.HasPrefix(c.Text, directivePrefix) {
			continue
		}
		rule, err := parseRule(c.Text)
		if err == nil && slices.ContainsFunc(rules, func(r sizeRule) bool { return r.element == rule.element }) {
			err = errors.New("a second directive for the same benchmarks")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", fset.Position(c.Pos()), c.Text, err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func parseRule(text string) (sizeRule, error) {
	fields := strings.Fields(text)
	if fields[0] != sizesDirective {
		return sizeRule{}, fmt.Errorf("unknown directive; %s is known", sizesDirective)
	}
	fields = fields[1:]
	var rule sizeRule
	if len(fields) > 0 && !slices.Contains(sizes, fields[0]) {
		rule.element, fields = fields[0], fields[1:]
	}
	if strings.Contains(rule.element, "/") {
		return sizeRule{}, fmt.Errorf("%q is not one element of a name: leave out the slash", rule.element)
	}
	for _, s := range sizes {
		if slices.Contains(fields, s) {
			rule.sizes = append(rule.sizes, s)
		}
	}
	if len(fields) == 0 || len(rule.sizes) != len(fields) {
		return sizeRule{}, fmt.Errorf("want [ELEMENT] and then some of the sizes %s, each once", strings.Join(sizes, ", "))
	}
	return rule, nil
}

// strayDirective finds a directive that is in the doc comment of no benchmark
// function, where it would be ignored in silence.
func strayDirective(fset *token.FileSet, file *ast.File) error {
	belongs := map[*ast.CommentGroup]bool{}
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && isBenchmark(fn) {
			belongs[fn.Doc] = true
		}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, directivePrefix) && !belongs[group] {
				return fmt.Errorf("%s: %s: it must stand in the doc comment of a benchmark function", fset.Position(c.Pos()), c.Text)
			}
		}
	}
	return nil
}

// isBenchmark follows the go command: func BenchmarkXxx(b *testing.B), where
// Xxx does not begin with a lower-case letter.
func isBenchmark(fn *ast.FuncDecl) bool {
	rest, ok := strings.CutPrefix(fn.Name.Name, "Benchmark")
	if !ok || fn.Recv != nil || len(fn.Type.Params.List) != 1 {
		return false
	}
	return rest == "" || !('a' <= rest[0] && rest[0] <= 'z')
}
