package cli

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strconv"
	"strings"
	"text/template"

	"github.com/perfgate/perfgate/gate/config"
)

//go:embed templates
var templates embed.FS

// pins are the actions of others that the workflows use, each at the commit of a
// release: a tag can be moved, a commit cannot. Where they were looked up is in
// the test of this table.
var pins = map[string]string{
	"actions/checkout":          "de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2",
	"actions/setup-go":          "7a3fe6cf4cb3a834922a1244abfce67bcef6a0c5 # v6.2.0",
	"actions/upload-artifact":   "b7c566a772e6b6bfb58ed0dc250532a479d7789f # v6.0.0",
	"actions/download-artifact": "37930b1c2abaa49bbe596cd826c3c89aef350131 # v7.0.0",
}

// workflows are what a repository's workflows are made from.
type workflows struct {
	Use      string // "OWNER/perfgate@COMMIT # VERSION", or "./"
	Local    bool   // the repository is perfgate's own: the action is checked out
	Module   string // folder of the module, slash-separated, "." for the root
	Branch   string // that changes are merged into
	Suite    string // empty for the default
	Shards   int
	Minutes  int // until a measuring job is ended
	Strategy string
	Place    string // of baselines, as perfgate.yml has it
}

// Where the workflows and the policy are written.
const workflowFolder = ".github/workflows"

// render gives the files by their path in the repository.
func (w workflows) render() (map[string]string, error) {
	t := template.New("").Delims("[[", "]]").Funcs(template.FuncMap{"pin": pin})
	t, err := t.ParseFS(templates, "templates/*.tmpl")
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		path.Join(workflowFolder, "perfgate.yml"):          "perfgate.yml.tmpl",
		path.Join(workflowFolder, "perfgate-comment.yml"):  "perfgate-comment.yml.tmpl",
		path.Join(workflowFolder, "perfgate-baseline.yml"): "perfgate-baseline.yml.tmpl",
		path.Join(w.Module, configFile):                    "policy.yml.tmpl",
	}
	for name, source := range files {
		var text bytes.Buffer
		if err := t.ExecuteTemplate(&text, source, w); err != nil {
			return nil, err
		}
		files[name] = text.String()
	}
	return files, nil
}

// pin is "ACTION@COMMIT # VERSION".
func pin(action string) (string, error) {
	at, ok := pins[action]
	if !ok {
		return "", fmt.Errorf("action %s is not pinned", action)
	}
	return action + "@" + at, nil
}

// The rest is for the templates.

// Docs is the page about the workflows.
func (w workflows) Docs() string {
	if w.Local {
		return "docs/GITHUB.md"
	}
	return "https://github.com/" + w.repository() + "/blob/main/docs/GITHUB.md"
}

// Schema is the description of perfgate.yml.
func (w workflows) Schema() string {
	return "https://github.com/" + w.repository() + "/blob/main/gate/config/schema.json"
}

func (w workflows) repository() string {
	repository, _, _ := strings.Cut(w.Use, "@")
	return repository
}

// Indexes are the shards as a list of YAML.
func (w workflows) Indexes() string {
	indexes := make([]string, w.Shards)
	for i := range indexes {
		indexes[i] = strconv.Itoa(i + 1)
	}
	return "[" + strings.Join(indexes, ", ") + "]"
}

// Branches is a list of YAML, quoted: a branch may be called 1.0 or on.
func (w workflows) Branches() string { return "[" + strconv.Quote(w.Branch) + "]" }

// GoMod is the go.mod of the module.
func (w workflows) GoMod() string { return path.Join(w.Module, "go.mod") }

// BaselineBranch is the branch for baselines, empty where they are elsewhere.
func (w workflows) BaselineBranch() string {
	name, isBranch, err := config.Branch(w.Place)
	if err != nil || !isBranch {
		return ""
	}
	return name
}

// Baselines is the pattern of files that a recording changes.
func (w workflows) Baselines() string {
	return strconv.Quote(path.Join(w.Module, defaultBaselines) + "/**")
}
