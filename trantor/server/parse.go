package server

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/perfgate/perfgate/trantor/crypto"
	trantornet "github.com/perfgate/perfgate/trantor/net"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// file is the configuration file: its keys are the fields' names in lower case,
// words apart by dashes. What is not written keeps its value.
type file struct {
	Version     int
	System      string
	Node        uint32
	Key         string
	Data        string
	Listen      Listen
	Members     []fileMember
	Application string
	Params      replica.Params
	Limits      Limits
	Net         trantornet.Limits
	Pprof       bool
	Trace       string
}

type fileMember struct {
	Node     uint32
	Weight   uint64
	Key      publicKey
	Replicas string
	Clients  string
}

// publicKey is a public key in its text form.
type publicKey []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *publicKey) UnmarshalText(text []byte) error {
	key, err := crypto.ParsePublicKey(string(text))
	*k = publicKey(key)
	return err
}

// FileError is a mistake in a configuration file.
type FileError struct {
	File string
	Line int
	Msg  string
}

func (e *FileError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// Parse reads the text of a configuration file. A key that it does not know, a
// value of another kind and a key that comes twice are errors that say where.
func Parse(name string, data []byte) (Config, error) {
	cfg, err := parse(name, data)
	if err != nil {
		return Config{}, err
	}
	if err := cfg.Check(); err != nil {
		return Config{}, atLine(name, data, err)
	}
	return cfg, nil
}

// atLine says where in a file that was read the setting is that an error is about:
// line 1 where it is not written.
func atLine(name string, data []byte, err error) error {
	wrong := &FileError{File: name, Line: 1, Msg: err.Error()}
	var setting *settingError
	doc, parseErr := parser{name: name}.document(data)
	if !errors.As(err, &setting) || parseErr != nil {
		return wrong
	}
	for key := range strings.SplitSeq(setting.path, ".") {
		at := -1
		for i := 0; i+1 < len(doc.Content); i += 2 {
			if doc.Content[i].Value == key {
				at = i
			}
		}
		if at < 0 {
			break
		}
		wrong.Line, doc = doc.Content[at].Line, doc.Content[at+1]
	}
	return wrong
}

// parse reads a file without checking its values.
func parse(name string, data []byte) (Config, error) {
	p := parser{name: name}
	doc, err := p.document(data)
	if err != nil {
		return Config{}, err
	}
	f := file{Listen: Listen{Admin: "127.0.0.1:0"}, Application: "kv", Limits: DefaultLimits(), Net: trantornet.DefaultLimits()}
	if err := p.decode(doc, reflect.ValueOf(&f).Elem(), ""); err != nil {
		return Config{}, err
	}
	if f.Version != Version {
		return Config{}, p.errorf(doc.Line, "version is %d, this program reads %d", f.Version, Version)
	}
	// The number of members, known now, decides what the settings are by
	// default.
	f.Params = replica.DefaultParams(max(len(f.Members), 1))
	if err := p.decode(doc, reflect.ValueOf(&f).Elem(), ""); err != nil {
		return Config{}, err
	}
	return f.config(), nil
}

func (f file) config() Config {
	cfg := Config{
		System: f.System, Node: types.NodeID(f.Node), KeyFile: f.Key, Data: f.Data, Listen: f.Listen,
		Application: f.Application, Params: f.Params, Limits: f.Limits, Net: f.Net, Pprof: f.Pprof, Trace: f.Trace,
	}
	for _, m := range f.Members {
		cfg.Members = append(cfg.Members, Member{
			Node: types.NodeID(m.Node), Weight: m.Weight, Key: []byte(m.Key), Replicas: m.Replicas, Clients: m.Clients,
		})
	}
	return cfg
}

type parser struct{ name string }

func (p parser) errorf(line int, format string, args ...any) error {
	return &FileError{File: p.name, Line: line, Msg: fmt.Sprintf(format, args...)}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (p parser) document(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, p.errorf(1, "the file is empty")
	}
	if err == nil {
		if err = decoder.Decode(&next); err == nil {
			return nil, p.errorf(next.Line, "a second document")
		}
	}
	if !errors.Is(err, io.EOF) {
		line := 1
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
			line, _ = strconv.Atoi(m[1])
		}
		return nil, p.errorf(line, "not YAML: %s", yamlLine.ReplaceAllString(err.Error(), ""))
	}
	return doc.Content[0], nil
}

// decode puts a node into a value of one of the kinds that file has.
func (p parser) decode(n *yaml.Node, to reflect.Value, what string) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return p.errorf(n.Line, "%s: aliases are not supported", what)
	case to.CanAddr() && isText(to):
		return p.text(n, to, what)
	case to.Kind() == reflect.Struct:
		return p.mapping(n, to, what)
	case to.Kind() == reflect.Slice:
		return p.list(n, to, what)
	}
	if n.Kind != yaml.ScalarNode {
		return p.errorf(n.Line, "%s: want one value", what)
	}
	return p.scalar(n, to, what)
}

func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

func (p parser) text(n *yaml.Node, to reflect.Value, what string) error {
	if n.Kind != yaml.ScalarNode {
		return p.errorf(n.Line, "%s: want one value", what)
	}
	if err := to.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value)); err != nil {
		return p.errorf(n.Line, "%s: %v", what, err)
	}
	return nil
}

func (p parser) mapping(n *yaml.Node, to reflect.Value, what string) error {
	if n.Kind != yaml.MappingNode {
		return p.errorf(n.Line, "%s: want keys with values", orFile(what))
	}
	fields := map[string]reflect.Value{}
	var names []string
	for i := range to.NumField() {
		name := keyOf(to.Type().Field(i).Name)
		fields[name] = to.Field(i)
		names = append(names, name)
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field, ok := fields[key.Value]
		if !ok || key.Kind != yaml.ScalarNode {
			slices.Sort(names)
			return p.errorf(key.Line, "%s: unknown key %q; want one of %s", orFile(what), key.Value, strings.Join(names, ", "))
		}
		if seen[key.Value] {
			return p.errorf(key.Line, "%s: key %q comes twice", orFile(what), key.Value)
		}
		seen[key.Value] = true
		if err := p.decode(value, field, strings.TrimPrefix(what+"."+key.Value, ".")); err != nil {
			return err
		}
	}
	return nil
}

func orFile(what string) string {
	if what == "" {
		return "the file"
	}
	return what
}

func (p parser) list(n *yaml.Node, to reflect.Value, what string) error {
	if n.Kind != yaml.SequenceNode {
		return p.errorf(n.Line, "%s: want a list", what)
	}
	to.Set(reflect.MakeSlice(to.Type(), len(n.Content), len(n.Content)))
	for i, element := range n.Content {
		if err := p.decode(element, to.Index(i), fmt.Sprintf("%s[%d]", what, i)); err != nil {
			return err
		}
	}
	return nil
}

func (p parser) scalar(n *yaml.Node, to reflect.Value, what string) error {
	var err error
	switch {
	case to.Type() == reflect.TypeFor[time.Duration]():
		var d time.Duration
		d, err = time.ParseDuration(n.Value)
		to.SetInt(int64(d))
	case to.Kind() == reflect.String:
		to.SetString(n.Value)
	case to.Kind() == reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(n.Value)
		to.SetBool(b)
	case to.CanInt():
		var i int64
		i, err = strconv.ParseInt(n.Value, 10, to.Type().Bits())
		to.SetInt(i)
	case to.CanUint():
		var u uint64
		u, err = strconv.ParseUint(n.Value, 10, to.Type().Bits())
		to.SetUint(u)
	default:
		panic(fmt.Sprintf("server: invariant broken: setting %s is a %s", what, to.Type()))
	}
	if err != nil {
		return p.errorf(n.Line, "%s: %q is no %s", what, n.Value, kindName(to))
	}
	return nil
}

func kindName(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return "duration, such as 1.5s"
	case v.Kind() == reflect.Bool:
		return "true or false"
	}
	return "whole number in range"
}

// keyOf is a field's name as a key: BatchTxsMax is batch-txs-max.
func keyOf(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
