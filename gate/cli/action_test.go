package cli

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/perfgate/perfgate/gate/artifact"
)

// actionYAML is the action as far as the tests look at it.
type actionYAML struct {
	Inputs, Outputs map[string]struct{ Description, Value string }
	Runs            struct {
		Using string
		Steps []struct {
			ID, Run, Uses string
			Env           map[string]string
		}
	}
}

func readAction(t *testing.T) actionYAML {
	t.Helper()
	data, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var a actionYAML
	if err := yaml.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

var scriptFlag = regexp.MustCompile(`"--([a-z-]+)=\$`)

// flagsOf are the flags that a ci command explains.
func flagsOf(t *testing.T, command string) []string {
	t.Helper()
	var help bytes.Buffer
	env := &Env{Stdout: &help, Stderr: &help, Dir: t.TempDir(), Getenv: func(string) string { return "" }}
	runCI(t.Context(), env, []string{command, "-h"})
	var flags []string
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(help.String(), -1) {
		flags = append(flags, m[1])
	}
	if len(flags) == 0 {
		t.Fatalf("perfgate ci %s explains no flags:\n%s", command, &help)
	}
	return flags
}

func TestTheActionPassesFlagsThatTheCommandsHave(t *testing.T) {
	commands := map[string][]string{"read": {"measure", "gate"}, "write": {"comment", "record"}}
	for _, step := range readAction(t).Runs.Steps {
		passed := scriptFlag.FindAllStringSubmatch(step.Run, -1)
		for _, flag := range passed {
			if !slices.ContainsFunc(commands[step.ID], func(c string) bool { return slices.Contains(flagsOf(t, c), flag[1]) }) {
				t.Errorf("step %s passes --%s, which none of perfgate ci %v has", step.ID, flag[1], commands[step.ID])
			}
		}
		if commands[step.ID] != nil && len(passed) == 0 {
			t.Errorf("step %s passes no flag that this test sees", step.ID)
		}
		delete(commands, step.ID)
	}
	if len(commands) > 0 {
		t.Errorf("the action has no steps for %v", commands)
	}
}

// What the tool is built from and with must not come from the repository that uses
// it.
func TestTheActionBuildsFromItsOwnFolderWithItsOwnGo(t *testing.T) {
	want := map[string]string{
		"PERFGATE_SOURCE": "${{ github.action_path }}", "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly",
	}
	found := false
	for _, step := range readAction(t).Runs.Steps {
		if !strings.Contains(step.Run, " build ") {
			continue
		}
		found = true
		for name, value := range want {
			if step.Env[name] != value {
				t.Errorf("perfgate is built with %s=%q, want %q", name, step.Env[name], value)
			}
		}
	}
	if !found {
		t.Error("no step builds perfgate")
	}
}

func TestOnlyTheStepThatWritesSeesTheToken(t *testing.T) {
	for _, step := range readAction(t).Runs.Steps {
		for name, value := range step.Env {
			if strings.Contains(value, "token") && (step.ID != "write" || name != "GITHUB_TOKEN") {
				t.Errorf("step %q sees %s=%s", step.ID, name, value)
			}
		}
	}
}

func TestThePageSaysWhatTheActionTakesAndGives(t *testing.T) {
	page, err := os.ReadFile("../../docs/GITHUB.md")
	if err != nil {
		t.Fatal(err)
	}
	a := readAction(t)
	for _, names := range []map[string]struct{ Description, Value string }{a.Inputs, a.Outputs} {
		if len(names) == 0 {
			t.Error("the action has no inputs, or no outputs")
		}
		for name, of := range names {
			if of.Description == "" || !strings.Contains(string(page), "\n| `"+name+"` | ") {
				t.Errorf("%s is not described, or not on the page", name)
			}
		}
	}
}

// What the three workflows and the commands have to agree on.
func TestTheWorkflowsFitTogether(t *testing.T) {
	inputs := readAction(t).Inputs
	for _, shards := range []int{1, 3} {
		w := ours
		w.Shards = shards
		files, err := w.render()
		if err != nil {
			t.Fatal(err)
		}
		measuring, commenting := files[measureWorkflow], files[path.Join(workflowFolder, "perfgate-comment.yml")]
		if !strings.Contains(measuring, "\nname: perfgate\n") || !strings.Contains(commenting, "workflows: [perfgate]") {
			t.Error("the commenting workflow waits for another one than the measuring one")
		}
		for _, file := range []string{"perfgate.yml", "perfgate-baseline.yml"} {
			checkArtifacts(t, file, files[path.Join(workflowFolder, file)], shards)
		}
		for name, text := range files {
			for _, m := range regexp.MustCompile(`(?m)^        uses: \./\n        with:\n((?:          .*\n)+)`).FindAllStringSubmatch(text, -1) {
				var with map[string]string
				if err := yaml.Unmarshal([]byte(m[1]), &with); err != nil {
					t.Fatal(err)
				}
				for input := range with {
					if _, ok := inputs[input]; !ok {
						t.Errorf("%s gives the action %s, which it does not take", name, input)
					}
				}
			}
		}
	}
}

// checkArtifacts wants each shard's artifact to have a name that is read as this
// shard's, and those who download to take these and no others.
func checkArtifacts(t *testing.T, file, text string, shards int) {
	t.Helper()
	var names, patterns []string
	for _, m := range regexp.MustCompile(`(?m)^          (name|pattern): (.*)$`).FindAllStringSubmatch(text, -1) {
		if m[1] == "name" {
			names = append(names, m[2])
		} else {
			patterns = append(patterns, m[2])
		}
	}
	if len(names) == 0 || len(patterns) != 1 {
		t.Fatalf("%s uploads %q and downloads %q", file, names, patterns)
	}
	for i, name := range names {
		for shard := 1; shard <= shards; shard++ {
			name := strings.NewReplacer("${{ github.run_attempt }}", "2", "${{ matrix.shard }}", fmt.Sprint(shard)).Replace(name)
			got, isShard := artifact.ParseName(name)
			if want := (artifact.Name{Attempt: 2, Index: shard, Count: shards}); isShard != (i == 0) || isShard && got != want {
				t.Errorf("%s: artifact %s is read as %+v, %v", file, name, got, isShard)
			}
			if fits, err := path.Match(patterns[0], name); err != nil || fits != isShard {
				t.Errorf("%s: pattern %s takes artifact %s: %v", file, patterns[0], name, fits)
			}
		}
	}
}
