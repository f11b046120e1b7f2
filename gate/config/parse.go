package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// fileBytesMax bounds perfgate.yml, which people write by hand.
const fileBytesMax = 1 << 20

// Parse reads perfgate.yml strictly: whatever it does not know or understand
// is an *Error with the line and what to write instead. name is what errors
// call the file.
//
// It walks the YAML tree by itself instead of decoding into structs, because
// an error must know its line, and because aliases, merges and the many
// spellings of a YAML boolean have no place in a policy that a reviewer reads.
func Parse(data []byte, name string) (*Config, error) {
	p := parser{name: name}
	cfg, err := p.parse(data)
	if err != nil {
		return nil, err
	}
	return cfg, nil
}

type parser struct{ name string }

func (p parser) errorf(line int, format string, args ...any) error {
	return &Error{File: p.name, Line: max(line, 1), Msg: fmt.Sprintf(format, args...)}
}

func (p parser) parse(data []byte) (*Config, error) {
	if len(data) > fileBytesMax {
		return nil, p.errorf(1, "the file is larger than %d bytes", fileBytesMax)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, p.errorf(1, "the file is empty: write \"version: %d\"", Version)
	}
	if err != nil {
		return nil, p.syntaxError(err)
	}
	var next yaml.Node
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, p.errorf(next.Line, "something follows the first document: remove it, and the line \"---\"")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, p.errorf(1, "the file has no content: write \"version: %d\"", Version)
	}
	return p.config(doc.Content[0])
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

func (p parser) syntaxError(err error) error {
	msg, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = strings.TrimPrefix(msg, m[0])
	}
	return p.errorf(line, "not YAML: %s", strings.TrimPrefix(msg, "yaml: "))
}

// field reads the value of one key.
type field func(n *yaml.Node) error

// mapping reads a mapping whose keys are exactly those of fields.
func (p parser) mapping(n *yaml.Node, what string, fields map[string]field) error {
	return p.eachKey(n, what, func(key, value *yaml.Node) error {
		read, ok := fields[key.Value]
		if !ok {
			known := make([]string, 0, len(fields))
			for k := range fields {
				known = append(known, k)
			}
			slices.Sort(known)
			return p.errorf(key.Line, "unknown key %q in %s: write one of %s", key.Value, what, strings.Join(known, ", "))
		}
		return read(value)
	})
}

// eachKey visits the keys of a mapping and refuses duplicates.
func (p parser) eachKey(n *yaml.Node, what string, visit func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return p.errorf(n.Line, "%s must be a mapping of keys to values", what)
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			return p.errorf(key.Line, "%s has a key that is no plain word", what)
		}
		if first, twice := seen[key.Value]; twice {
			return p.errorf(key.Line, "key %q in %s twice, first in line %d: remove one", key.Value, what, first)
		}
		seen[key.Value] = key.Line
		if err := visit(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (p parser) config(n *yaml.Node) (*Config, error) {
	cfg := Default()
	version := false
	err := p.mapping(n, "perfgate.yml", map[string]field{
		"version": func(n *yaml.Node) error {
			version = true
			if n.Kind != yaml.ScalarNode || n.Value != strconv.Itoa(Version) || n.ShortTag() != "!!int" {
				return p.errorf(n.Line, "version %s is not known here: write \"version: %d\", or use a newer perfgate", show(n), Version)
			}
			return nil
		},
		"suites":   func(n *yaml.Node) error { return p.suites(n, cfg) },
		"policy":   func(n *yaml.Node) error { return p.policy(n, &cfg.Policy) },
		"inputs":   p.paths("inputs", &cfg.Inputs),
		"waivers":  func(n *yaml.Node) error { return p.waivers(n, &cfg.Waivers) },
		"comment":  p.oneOf("comment", &cfg.Comment, CommentAlways, CommentOnChange, CommentNever),
		"baseline": func(n *yaml.Node) error { return p.baseline(n, &cfg.Baseline) },
	})
	if err != nil {
		return nil, err
	}
	if !version {
		return nil, p.errorf(n.Line, "no version: write \"version: %d\" as the first line", Version)
	}
	return cfg, nil
}

func (p parser) suites(n *yaml.Node, cfg *Config) error {
	return p.eachKey(n, "suites", func(key, value *yaml.Node) error {
		if !suiteName.MatchString(key.Value) {
			return p.errorf(key.Line, "suite name %q: write letters, digits, '-' and '_' only", key.Value)
		}
		s := Suite{Bench: "."}
		err := p.mapping(value, "suite "+key.Value, map[string]field{
			"packages": p.strings("packages", &s.Packages, p.pattern),
			"bench":    p.regexp("bench", &s.Bench),
			"budget":   func(n *yaml.Node) error { return p.duration(n, "budget", &s.Budget) },
			"manifest": p.path("manifest", &s.Manifest),
		})
		if err != nil {
			return err
		}
		if len(s.Packages) == 0 {
			return p.errorf(key.Line, "suite %s names no packages: write for example \"packages: [./...]\"", key.Value)
		}
		cfg.Suites[key.Value] = s
		return nil
	})
}

var suiteName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (p parser) policy(n *yaml.Node, policy *Policy) error {
	if n.Kind != yaml.SequenceNode {
		return p.errorf(n.Line, "policy must be a list: begin every rule with \"- \"")
	}
	for _, item := range n.Content {
		var r Rule
		err := p.mapping(item, "a policy rule", map[string]field{
			"match":     p.regexp("match", &r.Match),
			"unit":      func(n *yaml.Node) error { return p.unit(n, &r.Unit) },
			"target":    func(n *yaml.Node) error { return p.target(n, &r.Target) },
			"direction": p.oneOf("direction", &r.Direction, "lower", "higher"),
			"ignore":    func(n *yaml.Node) error { return p.onlyTrue(n, "ignore", &r.Ignore) },
			"required":  func(n *yaml.Node) error { return p.onlyTrue(n, "required", &r.Required) },
			"fail-on":   p.oneOf("fail-on", &r.FailOn, FailOnRegression, FailOnNever),
			"baseline":  p.oneOf("baseline", &r.Baseline, BaselineShow, BaselineGate),
		})
		if err != nil {
			return err
		}
		if r == (Rule{Match: r.Match, Unit: r.Unit}) {
			return p.errorf(item.Line, "the rule sets nothing: add target, direction, ignore, required, fail-on or baseline")
		}
		policy.Rules = append(policy.Rules, r)
	}
	return nil
}

func (p parser) waivers(n *yaml.Node, w *Waivers) error {
	if n.Kind == yaml.ScalarNode {
		var word string
		if err := p.oneOf("waivers", &word, "deny", "allow")(n); err != nil {
			return err
		}
		w.Allow = word == "allow"
		return nil
	}
	return p.mapping(n, "waivers", map[string]field{
		"allow": func(n *yaml.Node) error {
			w.Allow = true
			return p.strings("waivers allow", &w.By, p.nonEmpty)(n)
		},
	})
}

func (p parser) baseline(n *yaml.Node, dst *string) error {
	s, err := p.text(n, "baseline")
	if err != nil {
		return err
	}
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Scheme != "s3" && u.Scheme != "file" || u.Host+u.Path == "" || strings.ContainsFunc(s, unicode.IsSpace):
			return p.errorf(n.Line, "baseline %q: write s3://BUCKET/PREFIX, file:///FOLDER, branch:NAME, or a path inside the module", s)
		case u.User != nil:
			return p.errorf(n.Line, "baseline: credentials do not belong into this file: put them into the environment")
		}
		*dst = s
		return nil
	}
	if _, isBranch, err := Branch(s); isBranch {
		if err != nil {
			return p.errorf(n.Line, "%v", err)
		}
		*dst = s
		return nil
	}
	return p.path("baseline", dst)(n)
}
