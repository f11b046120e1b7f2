package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGitHubsParserAcceptsEveryWorkflow runs GitHub's own parser and checks over
// the action, the workflows of this repository, those that `perfgate init` writes,
// and the actions that stand in for others here: keys, types, expressions, the
// jobs that others need, the inputs that each `uses:` gives.
func TestGitHubsParserAcceptsEveryWorkflow(t *testing.T) {
	files := ownWorkflows(t)
	for _, d := range diagnose(t, files, actionTexts(t)) {
		t.Errorf("%s:%d: %s: %s", d.File, d.Line, d.Severity, d.Message)
	}
}

// TestGitHubsParserSeesMistakes keeps the test above honest: each mistake in one
// of the files must be found.
func TestGitHubsParserSeesMistakes(t *testing.T) {
	actions := actionTexts(t)
	workflow := func(job string) string {
		return "on: push\njobs:\n  gate:\n    runs-on: ubuntu-latest\n" + job
	}
	cases := []struct{ name, text, want string }{
		{"a.yml", workflow("    steps: [{run: make}]\n"), ""},
		{"a.yml", workflow("    steps: [{uses: actions/checkout@v4, with: {fetch-dept: 2}}]\n"), "Invalid action input 'fetch-dept'"},
		{"a.yml", workflow("    steps: [{uses: perfgate/perfgate@v1}]\n"), "Missing required input `command`"},
		{"a.yml", workflow("    steps: [{uses: nobody/knows@v1}]\n"), "Unable to resolve action"},
		{"a.yml", workflow("    needs: measure\n    steps: [{run: make}]\n"), "Value 'measure' is not valid"},
		{"a.yml", workflow("    permissions: {content: read}\n    steps: [{run: make}]\n"), "Unexpected value 'content'"},
		{"a.yml", workflow("    if: ${{ github.event_nam == 'push' }}\n    steps: [{run: make}]\n"), "event_nam"},
		{"action.yml", "name: a\ndescription: b\nruns: {using: composite, steps: [{run: make}]}\n", "shell"},
	}
	var files []file
	for i, tc := range cases {
		files = append(files, file{fmt.Sprintf("%d/%s", i, tc.name), tc.text})
	}
	found := map[string]string{}
	for _, d := range diagnose(t, files, actions) {
		found[d.File] += d.Message + "\n"
	}
	for i, tc := range cases {
		got := found[files[i].Name]
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("in\n%sit finds %q, want %q", tc.text, got, tc.want)
		}
	}
}

type file struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// ownWorkflows are all files that are ours to get right.
func ownWorkflows(t *testing.T) []file {
	t.Helper()
	needNode(t, "@actions", "languageservice")
	fresh := t.TempDir()
	if err := os.CopyFS(fresh, os.DirFS("testdata/module")); err != nil {
		t.Fatal(err)
	}
	run(t, fresh, nil, "git", "init", "-q")
	run(t, fresh, nil, perfgate(t), "init", "--branch", "main", "--ref", actionRef)
	var files []file
	for _, place := range [][2]string{
		{root, "action.yml"}, {root, ".github/workflows/*.yml"}, {fresh, ".github/workflows/*.yml"}, {".", "testdata/actions/*/action.yml"},
	} {
		paths, err := filepath.Glob(filepath.Join(place[0], place[1]))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s in %s: %q, %v", place[1], place[0], paths, err)
		}
		for _, path := range paths {
			files = append(files, file{filepath.ToSlash(path), read(t, path)})
		}
	}
	return files
}

// actionTexts are the actions that workflows use. Of those that are not ours the
// stand-ins tell, which refuse inputs that they do not know.
func actionTexts(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{"perfgate/perfgate": read(t, filepath.Join(root, "action.yml"))}
	paths, err := filepath.Glob("testdata/actions/*/action.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		texts["actions/"+filepath.Base(filepath.Dir(path))] = read(t, path)
	}
	return texts
}

type diagnosis struct {
	File, Severity, Message string
	Line                    int
}

// diagnose runs tools/node/diagnose.mjs.
func diagnose(t *testing.T, files []file, actions map[string]string) []diagnosis {
	t.Helper()
	needNode(t, "@actions", "languageservice")
	input, err := json.Marshal(map[string]any{"files": files, "actions": actions})
	if err != nil {
		t.Fatal(err)
	}
	var found []diagnosis
	d := json.NewDecoder(bytes.NewReader(run(t, nodeFolder, input, "node", "diagnose.mjs")))
	if err := d.Decode(&found); err != nil {
		t.Fatal(err)
	}
	return found
}
