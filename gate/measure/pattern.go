package measure

import (
	"fmt"
	"regexp"
	"strings"
)

// pattern is a -test.bench pattern as package testing reads it: alternatives
// separated by '|', each a list of regular expressions separated by '/', one per
// level of sub-benchmarks.
type pattern [][]*regexp.Regexp

func parsePattern(text string) (pattern, error) {
	var p pattern
	for _, alternative := range splitTop(text, '|') {
		var levels []*regexp.Regexp
		for _, level := range splitTop(alternative, '/') {
			re, err := regexp.Compile(level)
			if err != nil {
				return nil, fmt.Errorf("--bench %q is no regular expression: %w", text, err)
			}
			levels = append(levels, re)
		}
		p = append(p, levels)
	}
	return p, nil
}

// matches tells whether p selects a benchmark, or, given the name of a function,
// anything below it.
func (p pattern) matches(name string) bool {
	names := strings.Split(name, "/")
	for _, levels := range p {
		ok := true
		for i := range min(len(levels), len(names)) {
			ok = ok && levels[i].MatchString(names[i])
		}
		if ok {
			return true
		}
	}
	return false
}

// within is the -test.bench pattern for what p selects of one function. all
// says that this is every sub-benchmark.
func (p pattern) within(function string) (text string, all bool) {
	var alternatives []string
	for _, levels := range p {
		if !levels[0].MatchString(function) {
			continue
		}
		parts := []string{"^" + function + "$"}
		for _, level := range levels[1:] {
			parts = append(parts, level.String())
		}
		alternatives = append(alternatives, strings.Join(parts, "/"))
		all = all || len(levels) == 1
	}
	return strings.Join(alternatives, "|"), all
}

// leafPattern is the -test.bench pattern that matches one benchmark only.
func leafPattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// splitTop cuts s at every sep outside brackets.
func splitTop(s string, sep byte) []string {
	var parts []string
	square, round, from := 0, 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '[':
			square++
		case c == ']':
			square = max(0, square-1)
		case c == '(' && square == 0:
			round++
		case c == ')' && square == 0:
			round--
		case c == sep && square == 0 && round == 0:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}
