package config

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// show is a scalar as the reader wrote it, or what stands in its place.
func show(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return strconv.Quote(n.Value)
	}
	return "that is no single value"
}

// text reads a non-empty string.
func (p parser) text(n *yaml.Node, key string) (string, error) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Value == "" {
		return "", p.errorf(n.Line, "%s must be a text, in quotes where YAML would read something else", key)
	}
	if strings.ContainsFunc(n.Value, unicode.IsControl) {
		return "", p.errorf(n.Line, "%s %q has control characters: remove them", key, n.Value)
	}
	return n.Value, nil
}

// check looks at one entry of a list.
type check func(n *yaml.Node, key, s string) error

func (p parser) nonEmpty(*yaml.Node, string, string) error { return nil }

// strings reads a list of texts.
func (p parser) strings(key string, dst *[]string, ok check) field {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return p.errorf(n.Line, "%s must be a list: write [a, b]", key)
		}
		for _, item := range n.Content {
			s, err := p.text(item, "an entry of "+key)
			if err != nil {
				return err
			}
			if err := ok(item, key, s); err != nil {
				return err
			}
			if slices.Contains(*dst, s) {
				return p.errorf(item.Line, "%s lists %q twice: remove one", key, s)
			}
			*dst = append(*dst, s)
		}
		return nil
	}
}

// pattern accepts package patterns; a leading '-' would be read as an option
// by the go command.
func (p parser) pattern(n *yaml.Node, key, s string) error {
	if strings.HasPrefix(s, "-") || strings.ContainsFunc(s, unicode.IsSpace) {
		return p.errorf(n.Line, "%s: %q is no package pattern: write for example \"./...\"", key, s)
	}
	return nil
}

func (p parser) paths(key string, dst *[]string) field {
	return p.strings(key, dst, p.localPath)
}

func (p parser) path(key string, dst *string) field {
	return func(n *yaml.Node) error {
		s, err := p.text(n, key)
		if err != nil {
			return err
		}
		*dst = s
		return p.localPath(n, key, s)
	}
}

// localPath accepts clean, slash-separated paths that stay inside the module.
func (p parser) localPath(n *yaml.Node, key, s string) error {
	trimmed := strings.TrimSuffix(strings.TrimPrefix(s, "./"), "/")
	if trimmed == "" || path.IsAbs(s) || strings.Contains(s, `\`) || path.Clean(trimmed) != trimmed ||
		trimmed == ".." || strings.HasPrefix(trimmed, "../") {
		return p.errorf(n.Line, "%s: %q is no path inside the module: write for example \"benchsuite/manifest.txt\"", key, s)
	}
	return nil
}

func (p parser) regexp(key string, dst *string) field {
	return func(n *yaml.Node) error {
		s, err := p.text(n, key)
		if err != nil {
			return err
		}
		if _, err := regexp.Compile(s); err != nil {
			return p.errorf(n.Line, "%s %q is no regular expression: %s; quote special characters with a backslash", key, s, reason(err))
		}
		*dst = s
		return nil
	}
}

func reason(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

func (p parser) oneOf(key string, dst *string, words ...string) field {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || !slices.Contains(words, n.Value) {
			return p.errorf(n.Line, "%s %s: write %s", key, show(n), strings.Join(words, " or "))
		}
		*dst = n.Value
		return nil
	}
}

// tidyUnits are the units that package testing prints, and what benchstat and
// perfgate call them.
var tidyUnits = map[string]string{"ns": "sec", "ns/op": "sec/op", "cpu-ns/op": "cpu-sec/op", "MB/s": "B/s", "MB/op": "B/op"}

func (p parser) unit(n *yaml.Node, dst *string) error {
	s, err := p.text(n, "unit")
	if err != nil {
		return err
	}
	if tidy, ok := tidyUnits[s]; ok {
		return p.errorf(n.Line, "unit %q: write the tidied form %q", s, tidy)
	}
	if strings.ContainsFunc(s, unicode.IsSpace) {
		return p.errorf(n.Line, "unit %q has spaces: write it as the benchmark does, for example \"sec/op\"", s)
	}
	*dst = s
	return nil
}

func (p parser) target(n *yaml.Node, dst *int) error {
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" && n.Value == "5":
		*dst = 5
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" && n.Value == "3":
		*dst = 3
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" && n.Value == "2":
		*dst = 2
	default:
		return p.errorf(n.Line, "target %s: write 5, 3 or 2, the slowdown in percent that must be found", show(n))
	}
	return nil
}

// onlyTrue accepts true alone: a rule cannot take back what an earlier one
// set, so false would promise something that does not happen.
func (p parser) onlyTrue(n *yaml.Node, key string, dst *bool) error {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Value != "true" {
		return p.errorf(n.Line, "%s %s: write true, or leave the key out", key, show(n))
	}
	*dst = true
	return nil
}

// budgetMin is too short for building anything: whoever writes less has
// probably mistaken the unit.
const budgetMin = 10 * time.Second

func (p parser) duration(n *yaml.Node, key string, dst *time.Duration) error {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d < budgetMin || d > 24*time.Hour {
		return p.errorf(n.Line, "%s %s: write a duration from 10s to 24h with its unit, for example 3m or 90s", key, show(n))
	}
	*dst = d
	return nil
}
