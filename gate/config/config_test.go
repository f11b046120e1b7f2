package config

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const full = `# What the gate asks of this module.
version: 1
suites:
  smoke:
    packages: [./micro/..., ./macro]
    bench: 'Submit|Deliver'
    budget: 3m
    manifest: benchsuite/smoke.txt
  all:
    packages: [./...]
policy:
  - target: 3
  - {match: '/macro\.', unit: sec/op, target: 5, fail-on: never}
  - {match: 'Decode', ignore: true}
  - {unit: tx/s, direction: higher, required: true}
inputs: [testdata, ./corpus/]
waivers: {allow: [alice]}
comment: always
baseline: baselines
`

func TestParseReadsEveryKey(t *testing.T) {
	got, err := Parse([]byte(full), "perfgate.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Suites: map[string]Suite{
			"smoke": {Packages: []string{"./micro/...", "./macro"}, Bench: "Submit|Deliver", Budget: 3 * time.Minute, Manifest: "benchsuite/smoke.txt"},
			"all":   {Packages: []string{"./..."}, Bench: "."},
		},
		Policy: Policy{Rules: []Rule{
			{Target: 3},
			{Match: `/macro\.`, Unit: "sec/op", Target: 5, FailOn: "never"},
			{Match: "Decode", Ignore: true},
			{Unit: "tx/s", Direction: "higher", Required: true},
		}},
		Inputs: []string{"testdata", "./corpus/"}, Waivers: Waivers{Allow: true, By: []string{"alice"}},
		Comment: CommentAlways, Baseline: "baselines",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseGivesDefaultsForWhatIsLeftOut(t *testing.T) {
	got, err := Parse([]byte("version: 1\n"), "perfgate.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("got %+v, want the defaults", got)
	}
}

// Every mistake is named with its line and what to write instead.
func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", `:1: the file is empty: write "version: 1"`},
		{"comment only", "# nothing\n", `write "version: 1"`},
		{"no version", "comment: never\n", `:1: no version: write "version: 1"`},
		{"other version", "version: 2\n", `:1: version "2" is not known here: write "version: 1"`},
		{"quoted version", "version: '1'\n", `:1: version "1"`},
		{"list", "- a\n", ":1: perfgate.yml must be a mapping"},
		{"syntax", "version: 1\nsuites: {\n", "perfgate.yml:"},
		{"second document", "version: 1\n---\nversion: 1\n", "something follows the first document"},
		{"unknown key", "version: 1\ncolour: red\n", `:2: unknown key "colour" in perfgate.yml: write one of baseline, comment,`},
		{"duplicate key", "version: 1\ncomment: never\ncomment: always\n", `:3: key "comment" in perfgate.yml twice, first in line 2`},
		{"unknown suite key", "version: 1\nsuites:\n  a:\n    package: [./...]\n", `:4: unknown key "package" in suite a`},
		{"duplicate suite", "version: 1\nsuites:\n  a: {packages: [.]}\n  a: {packages: [.]}\n", `:4: key "a" in suites twice`},
		{"suite name", "version: 1\nsuites:\n  a/b: {packages: [.]}\n", `:3: suite name "a/b"`},
		{"no packages", "version: 1\nsuites:\n  a: {bench: x}\n", ":3: suite a names no packages"},
		{"packages as text", "version: 1\nsuites:\n  a: {packages: ./...}\n", ":3: packages must be a list"},
		{"option as package", "version: 1\nsuites:\n  a: {packages: ['-exec=x']}\n", `:3: packages: "-exec=x" is no package pattern`},
		{"bench", "version: 1\nsuites:\n  a: {packages: [.], bench: '('}\n", `:3: bench "(" is no regular expression`},
		{"budget without unit", "version: 1\nsuites:\n  a: {packages: [.], budget: 180}\n", `:3: budget "180": write a duration`},
		{"budget too short", "version: 1\nsuites:\n  a: {packages: [.], budget: 3ms}\n", `:3: budget "3ms": write a duration`},
		{"manifest outside", "version: 1\nsuites:\n  a: {packages: [.], manifest: ../x}\n", `:3: manifest: "../x" is no path inside the module`},
		{"policy mapping", "version: 1\npolicy: {target: 5}\n", ":2: policy must be a list"},
		{"match", "version: 1\npolicy:\n- {match: '[', ignore: true}\n", `:3: match "[" is no regular expression`},
		{"untidy unit", "version: 1\npolicy:\n- {unit: ns/op, ignore: true}\n", `:3: unit "ns/op": write the tidied form "sec/op"`},
		{"target", "version: 1\npolicy:\n- target: 10\n", `:3: target "10": write 5, 3 or 2`},
		{"direction", "version: 1\npolicy:\n- direction: up\n", `:3: direction "up": write lower or higher`},
		{"ignore false", "version: 1\npolicy:\n- ignore: false\n", `:3: ignore "false": write true, or leave the key out`},
		{"yes is no boolean", "version: 1\npolicy:\n- required: yes\n", `:3: required "yes": write true`},
		{"fail-on", "version: 1\npolicy:\n- fail-on: always\n", `:3: fail-on "always": write regression or never`},
		{"empty rule", "version: 1\npolicy:\n- match: x\n", ":3: the rule sets nothing"},
		{"absolute input", "version: 1\ninputs: [/etc/passwd]\n", `:2: inputs: "/etc/passwd" is no path inside`},
		{"input twice", "version: 1\ninputs: [a, a]\n", `:2: inputs lists "a" twice`},
		{"waivers", "version: 1\nwaivers: maybe\n", `:2: waivers "maybe": write deny or allow`},
		{"comment", "version: 1\ncomment: yes\n", `:2: comment "yes": write always or on-change or never`},
		{"plain http", "version: 1\nbaseline: http://x/y\n", `:2: baseline "http://x/y": write s3://BUCKET/PREFIX, file:///FOLDER`},
		{"credentials", "version: 1\nbaseline: s3://id:key@bucket/x\n", ":2: baseline: credentials do not belong"},
		{"branch", "version: 1\nbaseline: branch:-x\n", `:2: baseline "branch:-x": write branch:NAME`},
		{"alias", "version: 1\ninputs: &i [a]\nbaseline: *i\n", ":3: baseline must be a text"},
		{"merge", "version: 1\n<<: {comment: never}\n", ":2: perfgate.yml has a key that is no plain word"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.in), "perfgate.yml")
			var at *Error
			if !errors.As(err, &at) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestLaterRulesWinFieldByField(t *testing.T) {
	p := Policy{Rules: []Rule{
		{Target: 3, FailOn: FailOnNever},
		{Match: "Submit", Target: 2},
		{Match: "Submit", Unit: "sec/op", FailOn: FailOnRegression, Required: true},
		{Match: "(", Target: 3}, // no regular expression: matches nothing
	}}
	tests := []struct {
		key, unit string
		want      Rule
	}{
		{"m/p.BenchmarkDecode", "sec/op", Rule{Target: 3, FailOn: FailOnNever}},
		{"m/p.BenchmarkSubmit", "B/op", Rule{Target: 2, FailOn: FailOnNever}},
		{"m/p.BenchmarkSubmit", "sec/op", Rule{Target: 2, FailOn: FailOnRegression, Required: true}},
	}
	for _, tt := range tests {
		if got := p.For(tt.key, tt.unit); got != tt.want {
			t.Errorf("For(%s, %s) = %+v, want %+v", tt.key, tt.unit, got, tt.want)
		}
	}
	if got, want := (Policy{}).For("x", "y"), (Rule{Target: 5, FailOn: FailOnRegression}); got != want {
		t.Errorf("without rules %+v, want %+v", got, want)
	}
}

// The published schema and Parse know the same keys: the schema's are read from
// its file, Parse's from its own answer to an unknown key.
func TestSchemaKnowsEveryKey(t *testing.T) {
	var tree any
	if err := json.Unmarshal(Schema, &tree); err != nil {
		t.Fatal(err)
	}
	keys := func(path ...string) map[string]any {
		node := tree.(map[string]any)
		for _, name := range path {
			node = node[name].(map[string]any)
		}
		return node
	}
	rule := keys("properties", "policy", "items", "properties")
	tests := []struct {
		name, probe string
		keys        map[string]any
	}{
		{"top", "probe: x\n", keys("properties")},
		{"suite", "version: 1\nsuites:\n  a: {probe: x}\n", keys("properties", "suites", "additionalProperties", "properties")},
		{"rule", "version: 1\npolicy:\n- {probe: x}\n", rule},
	}
	for _, tt := range tests {
		_, err := Parse([]byte(tt.probe), "f")
		_, list, ok := strings.Cut(err.Error(), "write one of ")
		if !ok {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := slices.Sorted(maps.Keys(tt.keys)); strings.Join(got, ", ") != list {
			t.Errorf("%s: the schema has %q, Parse %q", tt.name, got, list)
		}
	}
	for i := range reflect.TypeFor[Rule]().NumField() {
		tag := reflect.TypeFor[Rule]().Field(i).Tag.Get("yaml")
		if _, ok := rule[tag]; !ok {
			t.Errorf("the schema lacks the rule's %q", tag)
		}
	}
}

var errorForm = regexp.MustCompile(`^f:[1-9][0-9]*: \S`)

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("version: 1\npolicy:\n- {match: '[', ignore: true}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse(data, "f")
		if err != nil {
			if !errorForm.MatchString(err.Error()) {
				t.Fatalf("the error has no line: %v", err)
			}
			return
		}
		for _, r := range cfg.Policy.Rules {
			if _, err := regexp.Compile(r.Match); err != nil {
				t.Fatalf("accepted %q: %v", r.Match, err)
			}
		}
		for name, s := range cfg.Suites {
			if len(s.Packages) == 0 {
				t.Fatalf("accepted suite %q without packages", name)
			}
		}
	})
}
