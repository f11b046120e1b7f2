package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// root is the repository's.
const root = "../.."

// The set is about code that changes: this test says which injection has to change
// with it. Sets about modules of the proxy are only read, since nothing is
// downloaded here.
func TestEveryInjectionIntoThisRepositoryApplies(t *testing.T) {
	sets, err := loadSets(embedded)
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, s := range sets {
		if s.Module != "" {
			continue
		}
		for i := range s.Injections {
			own++
			if _, err := s.Injections[i].fits(os.DirFS(root), thisModule); err != nil {
				t.Errorf("%s: %v", s.Injections[i].Name, err)
			}
		}
	}
	if own == 0 {
		t.Error("no injection is about this repository")
	}
}

// sample is a definition without a fault.
const sample = `injections:
- name: sample/slow
  kind: cpu
  what: It works twice.
  packages: [./p]
  bench: '^BenchmarkA$/^n=4$'
  guilty: ['p.(*T).Work']
  slower: true
  edits:
  - file: p/p.go
    old: once
    new: twice
`

func TestEachFaultOfADefinitionIsNamedWithItsField(t *testing.T) {
	if _, err := parseSet("set/sample.yaml", []byte(sample)); err != nil {
		t.Fatal(err)
	}
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(sample) }
	for want, text := range map[string]string{
		"injection sample/Slow: name":                edit("sample/slow", "sample/Slow"),
		"injection other/slow: name":                 edit("sample/slow", "other/slow"),
		"injection sample/slow: name: it is there":   sample + strings.TrimPrefix(sample, "injections:\n"),
		"injection number 1: name":                   edit("name: sample/slow", "name: ''"),
		"kind: \"slow\" is none of":                  edit("kind: cpu", "kind: slow"),
		"what: write one sentence":                   edit("twice.", "twice"),
		"packages: name the":                         edit("[./p]", "[]"),
		"packages: \"p\": write":                     edit("[./p]", "[p]"),
		"bench: name the":                            edit("'^BenchmarkA$/^n=4$'", "''"),
		"bench: error parsing":                       edit("^n=4$", "^n=(4$"),
		"guilty: name it":                            edit("['p.(*T).Work']", "[]"),
		"slower: kind cpu makes":                     edit("slower: true", "slower: false"),
		"slower: nothing becomes slower by":          edit("kind: cpu", "kind: rename"),
		"outside: it is about":                       edit("slower: true", "outside: true", "kind: cpu", "kind: moved", "['p.(*T).Work']", "[]"),
		"outside: a dependency is":                   edit("kind: cpu", "kind: dependency") + "  dependency: {module: m, version: v1.0.0, edits: [{file: a, old: a, new: b}]}\n",
		"dependency: kind dependency has":            edit("kind: cpu", "kind: dependency"),
		"dependency: give module":                    edit("kind: cpu", "kind: dependency", "slower: true", "slower: true\n  outside: true", "['p.(*T).Work']", "[]") + "  dependency: {module: m}\n",
		"edits: kind aa has none":                    edit("kind: cpu", "kind: aa"),
		"edits: there is none":                       edit("  edits:\n  - file: p/p.go\n    old: once\n    new: twice\n", ""),
		"edits: number 1: file: \"../p.go\"":         edit("p/p.go", "../p.go"),
		"edits: number 1: file: p/p_test.go":         edit("p/p.go", "p/p_test.go"),
		"edits: number 1: p/p.go: old and":           edit("once", "twice"),
		"edits: number 1: p/p.go: give":              edit("    old: once\n    new: twice\n", ""),
		"field sizes not found":                      edit("slower: true", "slower: true\n  sizes: 3"),
		"module and version: give both":              "module: m\n" + sample,
		"injections: there is none":                  "module: m\nversion: v1.0.0\n",
		"something follows the first document":       sample + "---\n",
		"line 2: cannot unmarshal":                   "injections:\n- 7\n",
		"dependency: edits: number 1: file: \"/a\":": edit("kind: cpu", "kind: dependency", "slower: true", "slower: true\n  outside: true", "['p.(*T).Work']", "[]") + "  dependency: {module: m, version: v1.0.0, edits: [{file: /a, old: a, new: b}]}\n",
	} {
		_, err := parseSet("set/sample.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), "set/sample.yaml: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// Text in Go begins with a tab more often than not.
func TestATextMayBeginWithATab(t *testing.T) {
	for _, c := range [][2]string{
		{"    old: |\n      \tonce\n      twice", "\tonce\ntwice\n"},
		{"    old: |-\n      \tonce\n      \ttwice", "\tonce\n\ttwice"},
		{"    old: |2\n      \tonce", "\tonce\n"},
		{"    old: |\n        once\n        \ttwice", "once\n\ttwice\n"},
	} {
		s, err := parseSet("set/sample.yaml", []byte(strings.Replace(sample, "    old: once", c[0], 1)))
		if err != nil || s.Injections[0].Edits[0].Old != c[1] {
			t.Errorf("%q: %v, %q", c[0], err, s.Injections[0].Edits[0].Old)
		}
	}
}

func TestOneBadFileDoesNotHideTheOthers(t *testing.T) {
	sets, err := loadSets(fstest.MapFS{"set/sample.yaml": {Data: []byte(sample)}, "set/worse.yaml": {Data: []byte("\t")}})
	if err == nil || !strings.Contains(err.Error(), "set/worse.yaml") || len(sets) != 1 {
		t.Errorf("%d sets, %v", len(sets), err)
	}
}

// A run counts for the definition that it was of, and the right answer is a part of
// it; the sentence for the table is not.
func TestTheHashCoversTheAnswerAndNotTheSentence(t *testing.T) {
	hash := func(pairs ...string) string {
		s, err := parseSet("set/sample.yaml", []byte(strings.NewReplacer(pairs...).Replace(sample)))
		if err != nil {
			t.Fatal(err)
		}
		return s.Injections[0].Hash(s)
	}
	hashes := []string{hash(), hash("(*T).Work", "F"), hash("twice\n", "thrice\n"), hash("injections:", "module: m\nversion: v1.0.0\ninjections:"), hash("n=4", "n=5")}
	slices.Sort(hashes)
	if n := len(slices.Compact(hashes)); n != 5 {
		t.Errorf("5 definitions have %d hashes", n)
	}
	if hash() != hash("It works twice.", "Twice the work.") {
		t.Error("the sentence changes the hash")
	}
}

// tree has one function that is done once, and a benchmark.
var tree = fstest.MapFS{
	"p/p.go":      {Data: []byte("package p\n\ntype T struct{}\n\n// Work is done once.\nfunc (t *T) Work() {}\n\nconst size = 1\n")},
	"p/p_test.go": {Data: []byte("package p\n\nimport \"testing\"\n\nfunc BenchmarkA(b *testing.B) {}\n")},
	"two.txt":     {Data: []byte("one one")},
}

func TestAnEditOccursOnceOrIsRefused(t *testing.T) {
	for _, c := range []struct {
		edits []Edit
		want  string // of the error; empty for none
	}{
		{[]Edit{{"p/p.go", "once", "twice"}}, ""},
		{[]Edit{{"p/p.go", "once", "twice"}, {"p/p.go", "twice", "thrice"}}, ""},
		{[]Edit{{"new.txt", "", "text"}}, ""},
		{[]Edit{{"p/p.go", "never", "twice"}}, `edit 1: p/p.go: old: the file does not have it: "never"`},
		{[]Edit{{"p/p.go", "once", "twice"}, {"p/p.go", "once", "thrice"}}, "edit 2: p/p.go: old: the file does not have it"},
		{[]Edit{{"two.txt", "one", "two"}}, "edit 1: two.txt: old: the file has it 2 times"},
		{[]Edit{{"none.go", "once", "twice"}}, "edit 1: none.go: file: there is none"},
		{[]Edit{{"two.txt", "", "text"}}, "edit 1: two.txt: new: the file exists already"},
	} {
		changed, err := applyEdits(tree, c.edits)
		if c.want == "" {
			last := c.edits[len(c.edits)-1]
			if err != nil || !strings.Contains(string(changed[last.File]), last.New) {
				t.Errorf("%+v: %v\n%s", c.edits, err, changed[last.File])
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: want %q, got %v", c.edits, c.want, err)
		}
	}
}

func TestAnInjectionThatDoesNotFitItsTreeIsNamed(t *testing.T) {
	fit := Injection{Packages: []string{"./p"}, Bench: "^BenchmarkA$/x", Guilty: []string{"p.(*T).Work", "p.size"}, Edits: []Edit{{"p/p.go", "once", "twice"}}}
	if _, err := fit.fits(tree, "m"); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(in *Injection){
		"guilty: p.Work is not declared":        func(in *Injection) { in.Guilty = []string{"p.Work"} },
		"no benchmark function of ./p matches":  func(in *Injection) { in.Bench = "^BenchmarkB$" },
		"packages: ":                            func(in *Injection) { in.Packages = []string{"./q"} },
		"p/p.go does not parse":                 func(in *Injection) { in.Edits = []Edit{{"p/p.go", "{}\n\nconst", "{\n\nconst"}} },
		"p/p.go is not gofmt-clean: line 6 is ": func(in *Injection) { in.Edits = []Edit{{"p/p.go", "Work() {}", "Work()  {}"}} },
	} {
		in := fit
		change(&in)
		if _, err := in.fits(tree, "m"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := checkTree(fstest.MapFS{"a.go": {Data: []byte("package  a\n\n// One.\n")}}, []Edit{{"a.go", "One", "Two"}}); err != nil {
		t.Errorf("a file that was not gofmt-clean before has to be now: %v", err)
	}
}
