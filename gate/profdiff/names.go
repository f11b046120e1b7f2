package profdiff

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	// closure is a part of a symbol that the compiler made up for a function literal,
	// a deferred or started call, or the body of a range over a function.
	closure = regexp.MustCompile(`^(func\d+|gowrap\d+|deferwrap\d+|\d+)$`)
	// rangeBody is the end of a part that stands for such a body, or a method value.
	rangeBody = regexp.MustCompile(`(-range\d+|-fm)$`)
)

// Name splits the symbol of a Go function into the import path of its package and
// its name there as the source has it: function literals belong to the function
// around them, instances of a generic function are one, and what the linker
// escapes or the standard library vendors is named as one imports it.
//
//	github.com/a/b.(*T).M.func1.2  ->  github.com/a/b, (*T).M
//	slices.SortFunc[go.shape.int]  ->  slices, SortFunc[...]
//	gopkg.in/yaml%2ev3.Unmarshal   ->  gopkg.in/yaml.v3, Unmarshal
func Name(symbol string) (pkg, name string) {
	symbol = foldTypeArguments(symbol)
	slash := strings.LastIndexByte(symbol, '/') + 1
	dot := strings.IndexByte(symbol[slash:], '.')
	if dot < 0 {
		return "", symbol // assembly, C, or the runtime's own marks
	}
	pkg, name = symbol[:slash+dot], symbol[slash+dot+1:]
	return strings.TrimPrefix(unescape(pkg), "vendor/"), foldClosures(name)
}

// escaped is a byte of an import path that the linker does not take as it is.
var escaped = regexp.MustCompile(`%[0-9a-f]{2}`)

func unescape(pkg string) string {
	return escaped.ReplaceAllStringFunc(pkg, func(code string) string {
		b, err := strconv.ParseUint(code[1:], 16, 8)
		if err != nil {
			return code
		}
		return string([]byte{byte(b)})
	})
}

// foldTypeArguments makes every list of type arguments "[...]".
func foldTypeArguments(symbol string) string {
	if !strings.Contains(symbol, "[") {
		return symbol
	}
	var b strings.Builder
	depth := 0
	for _, r := range symbol {
		switch {
		case r == '[':
			if depth == 0 {
				b.WriteString("[...]")
			}
			depth++
		case r == ']' && depth > 0:
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func foldClosures(name string) string {
	// "[...]" has dots of its own.
	parts := strings.Split(strings.ReplaceAll(name, "[...]", "[]"), ".")
	for len(parts) > 1 && (closure.MatchString(rangeBody.ReplaceAllString(parts[len(parts)-1], "")) || parts[len(parts)-1] == "") {
		parts = parts[:len(parts)-1]
	}
	last := len(parts) - 1
	for rangeBody.MatchString(parts[last]) {
		parts[last] = rangeBody.ReplaceAllString(parts[last], "")
	}
	if parts[0] == "glob" {
		// Literals that initialise variables of the package.
		parts = []string{"init"}
	}
	return strings.ReplaceAll(strings.Join(parts, "."), "[]", "[...]")
}

// SourceFile is a file name of a profile without the version of its module:
// "example.org/dep@v1.2.0/x.go" is "example.org/dep/x.go".
func SourceFile(file string) (plain, version string) {
	before, rest, ok := strings.Cut(file, "@")
	if !ok {
		return file, ""
	}
	version, inside, _ := strings.Cut(rest, "/")
	return before + "/" + inside, version
}
