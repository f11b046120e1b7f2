package cli

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/internal/golden"
)

// released says where each pin was looked up: public files and pull requests in
// which others, or the bot that reads the tags for them, name the same commit for
// the same release. To move a pin, find the new commit in two places as well.
var released = []struct {
	action, version, commit string
	sources                 []string
}{
	{"actions/checkout", "v6.0.2", "de0fac2e4500dabe0009e67214ff5f5447ce83dd", []string{
		"github.com/pq-code-package/mldsa-native/pull/933",
		"github.com/RedisLabs/terraform-provider-rediscloud/pull/847",
		"github.com/anza-xyz/kit/pull/1631",
	}},
	{"actions/setup-go", "v6.2.0", "7a3fe6cf4cb3a834922a1244abfce67bcef6a0c5", []string{
		"github.com/inspektor-gadget/inspektor-gadget/pull/5219",
		"github.com/vitessio/vitess: test/templates/cluster_endtoend_test.tpl",
	}},
	{"actions/upload-artifact", "v6.0.0", "b7c566a772e6b6bfb58ed0dc250532a479d7789f", []string{
		"github.com/oracle/graal/pull/13160",
		"github.com/prometheus/prometheus: .github/workflows/scorecards.yml at 02d557b724765dfe1ee6f954f4aa0733e0e29a02",
	}},
	{"actions/download-artifact", "v7.0.0", "37930b1c2abaa49bbe596cd826c3c89aef350131", []string{
		"github.com/oracle/graal/pull/13160",
		"github.com/guitarrapc/githubactions-lab: README.md",
	}},
}

func TestEveryPinIsAReleaseThatWasLookedUpTwice(t *testing.T) {
	known := map[string]string{}
	for _, r := range released {
		known[r.action] = r.commit + " # " + r.version
		owners := map[string]bool{}
		for _, source := range r.sources {
			owners[strings.Split(source, "/")[1]] = true
		}
		if len(owners) < 2 {
			t.Errorf("%s %s: looked up with %d owners, want two that do not depend on each other", r.action, r.version, len(owners))
		}
	}
	if !maps.Equal(known, pins) {
		t.Errorf("the pins are %q, looked up were %q", pins, known)
	}
}

// ours are the workflows of this repository, which are those of init for the
// action in its own folder.
var ours = workflows{
	Use: "./", Local: true, Module: ".", Branch: "main", Suite: "gate", Shards: 2, Minutes: 60, Strategy: byCommit, Place: defaultBaselines,
}

func TestTheWorkflowsOfThisRepositoryAreThoseOfInit(t *testing.T) {
	files, err := ours.render()
	if err != nil {
		t.Fatal(err)
	}
	delete(files, configFile)
	for name, want := range files {
		file := filepath.Join("..", "..", filepath.FromSlash(name))
		if golden.Updating() {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != want {
			t.Errorf("%s is not what init makes of it; run this test with -update, and look at the difference", name)
		}
	}
}

// everyFile are all workflows: those of this repository, its action, and what
// init writes for others.
func everyFile(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	paths, err := filepath.Glob("../../.github/workflows/*")
	if err != nil || len(paths) < 4 {
		t.Fatalf("this repository has the workflows %q: %v", paths, err)
	}
	for _, file := range append(paths, "../../action.yml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(data)
	}
	for _, f := range []initFlags{
		{workflows: workflows{Module: ".", Branch: "main", Shards: 1, Minutes: 45, Strategy: byCommit}},
		{workflows: workflows{Module: "sub/module", Branch: "on", Shards: 4, Minutes: 45, Strategy: byBranch, Suite: "gate"}},
		{workflows: workflows{Module: ".", Branch: "1.0", Shards: 2, Minutes: 45, Strategy: byPullRequest}, version: "v1.2.3"},
	} {
		f.action, f.ref, f.version = "perfgate/perfgate", strings.Repeat("0123456789", 4), "v1.2.3"
		if err := f.complete(); err != nil {
			t.Fatal(err)
		}
		files, err := f.render()
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if path.Base(name) == configFile && path.Dir(name) != workflowFolder {
				if _, err := config.Parse([]byte(text), name); err != nil {
					t.Errorf("init writes a policy that cannot be read: %v", err)
				}
				continue
			}
			all[f.Strategy+": "+name] = text
		}
	}
	return all
}

func TestEveryWorkflowKeepsTheRules(t *testing.T) {
	for name, text := range everyFile(t) {
		for _, problem := range lintWorkflow(text) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// A workflow as far as the rules look at it. The action has steps of its own.
type workflowYAML struct {
	On          yaml.Node `yaml:"on"`
	Permissions yaml.Node `yaml:"permissions"`
	Jobs        map[string]struct {
		Permissions map[string]string `yaml:"permissions"`
		Timeout     int               `yaml:"timeout-minutes"`
		Steps       []stepYAML        `yaml:"steps"`
	} `yaml:"jobs"`
	Runs struct {
		Steps []stepYAML `yaml:"steps"`
	} `yaml:"runs"`
}

type stepYAML struct {
	Uses string            `yaml:"uses"`
	Run  string            `yaml:"run"`
	With map[string]string `yaml:"with"`
}

var (
	usesLine = regexp.MustCompile(`(?m)^\s*(?:- )?uses: (\S+)(?: # (\S+))?$`)
	pinned   = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)
	release  = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)
)

// lintWorkflow says which rules of docs/GITHUB.md a workflow or action breaks.
func lintWorkflow(text string) (problems []string) {
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var w workflowYAML
	if err := yaml.Unmarshal([]byte(text), &w); err != nil {
		return []string{err.Error()}
	}
	steps := slices.Clone(w.Runs.Steps)
	for _, job := range w.Jobs {
		steps = append(steps, job.Steps...)
	}
	uses := usesLine.FindAllStringSubmatch(text, -1)
	users := slices.DeleteFunc(slices.Clone(steps), func(s stepYAML) bool { return s.Uses == "" })
	if len(users) != len(uses) {
		report("of %d uses %d are written plainly, in a line of their own", len(users), len(uses))
	}
	for _, use := range uses {
		action, _, _ := strings.Cut(use[1], "@")
		want, known := pins[action]
		switch {
		case use[1] == "./":
		case !pinned.MatchString(use[1]) || !release.MatchString(use[2]):
			report("%q is not pinned by a whole commit with its version behind it", use[0])
		case strings.HasPrefix(action, "actions/") && (!known || use[1]+" # "+use[2] != action+"@"+want):
			report("%q is no pin that was looked up", use[0])
		}
	}
	if strings.Contains(text, "pull_request_target") {
		report("pull_request_target gives strangers' code a token")
	}
	if strings.Contains(text, "secrets.") || strings.Contains(text, "secrets:") {
		report("it uses a secret")
	}
	if w.Jobs != nil && (w.Permissions.Kind != yaml.MappingNode || len(w.Permissions.Content) > 0) {
		report("top-level permissions are not empty")
	}
	for name, job := range w.Jobs {
		if job.Timeout <= 0 {
			report("job %s has no timeout", name)
		}
		if slices.Contains(slices.Collect(maps.Values(job.Permissions)), "write") {
			for _, problem := range lintWriter(job.Steps) {
				report("job %s may write, and %s", name, problem)
			}
		}
	}
	for _, s := range steps {
		if strings.Contains(s.Run, "${{") {
			report("an expression is expanded inside a script: %q", s.Run)
		}
		if strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != "false" {
			report("a checkout leaves the token in the clone")
		}
	}
	return problems
}

// lintWriter looks at the steps of a job that may write.
func lintWriter(steps []stepYAML) (problems []string) {
	for _, s := range steps {
		action, _, _ := strings.Cut(s.Uses, "@")
		switch {
		case s.Run != "":
			problems = append(problems, "runs a script")
		case action == "actions/checkout" && s.With["ref"] != "${{ github.event.repository.default_branch }}":
			problems = append(problems, "checks out something else than the default branch")
		case action == "actions/cache", action == "actions/setup-go" && s.With["cache"] != "false":
			problems = append(problems, "restores a cache")
		}
	}
	return problems
}

func TestABrokenRuleIsNoticed(t *testing.T) {
	const good = `on: {pull_request: }
permissions: {}
jobs:
  one:
    timeout-minutes: 5
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2
        with:
          persist-credentials: false
      - uses: actions/setup-go@7a3fe6cf4cb3a834922a1244abfce67bcef6a0c5 # v6.2.0
      - run: make check
`
	if problems := lintWorkflow(good); len(problems) > 0 {
		t.Fatalf("a good workflow has the problems %q", problems)
	}
	for _, c := range []struct{ old, new, want string }{
		{"@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "@v6", "is not pinned"},
		{"@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "@de0fac2e4500dabe0009e67214ff5f5447ce83dd", "is not pinned"},
		{"@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "@0123456789012345678901234567890123456789 # v6.0.2", "no pin that was looked up"},
		{"@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.1", "no pin that was looked up"},
		{"actions/setup-go@", "actions/setup-node@", "no pin that was looked up"},
		{"permissions: {}", "permissions: {contents: read}", "top-level permissions"},
		{"permissions: {}", "permissions: read-all", "top-level permissions"},
		{"permissions: {}\n", "", "top-level permissions"},
		{"    timeout-minutes: 5\n", "", "no timeout"},
		{"persist-credentials: false", "fetch-depth: 2", "leaves the token"},
		{"make check", "echo ${{ github.head_ref }}", "expanded inside a script"},
		{"make check", "echo ${{ secrets.TOKEN }}", "uses a secret"},
		{"on: {pull_request: }", "on: {pull_request_target: }", "pull_request_target"},
		{"contents: read", "contents: write", "checks out something else"},
		{"contents: read", "contents: write", "restores a cache"},
		{"contents: read", "contents: write", "runs a script"},
		{"- uses: actions/setup-go", "- \"uses\": actions/setup-go", "are written plainly"},
		{"- run: make check", "- {uses: actions/cache@v4}", "are written plainly"},
	} {
		problems := lintWorkflow(strings.Replace(good, c.old, c.new, 1))
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, c.want) }) {
			t.Errorf("with %q in place of %q the problems are %q, want one with %q", c.new, c.old, problems, c.want)
		}
	}
}
