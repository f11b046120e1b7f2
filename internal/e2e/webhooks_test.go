package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/perfgate/perfgate/gate/actions"
)

// TestGitHubsExamplesOfEventsAreRead reads every payload that GitHub publishes of
// the events that start a check, of github.com and of its enterprise servers, and
// compares with what stands in the payload.
func TestGitHubsExamplesOfEventsAreRead(t *testing.T) {
	folder := needNode(t, "@octokit", "webhooks-examples")
	editions, err := filepath.Glob(filepath.Join(folder, "*", "index.json"))
	if err != nil || len(editions) < 2 {
		t.Fatalf("editions %q: %v", editions, err)
	}
	seen := map[string]int{}
	for _, edition := range editions {
		for _, hook := range examples(t, edition) {
			if _, ours := subjects[hook.Name]; !ours {
				continue
			}
			for i, payload := range hook.Examples {
				seen[hook.Name]++
				t.Run(fmt.Sprintf("%s/%s/%d", filepath.Base(filepath.Dir(edition)), hook.Name, i), func(t *testing.T) {
					sameEvent(t, hook.Name, payload)
				})
			}
		}
	}
	for name := range subjects {
		if seen[name] == 0 {
			t.Errorf("there is no example of %s", name)
		}
	}
}

type hook struct {
	Name     string
	Examples []json.RawMessage
}

func examples(t *testing.T, path string) []hook {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var hooks []hook
	if err := json.Unmarshal(data, &hooks); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return hooks
}

// subjects says for each event of a check where a payload has what was read of it.
var subjects = map[string]func(actions.Event) map[string]any{
	"pull_request": func(e actions.Event) map[string]any {
		p := e.PullRequest
		return map[string]any{
			"pull_request.number": p.Number, "pull_request.head.sha": p.Head.SHA, "pull_request.head.ref": p.Head.Ref,
			"pull_request.base.sha": p.Base.SHA, "pull_request.base.ref": p.Base.Ref,
			"pull_request.head.repo.id": p.Head.Repo.ID, "pull_request.base.repo.id": p.Base.Repo.ID,
		}
	},
	"merge_group": func(e actions.Event) map[string]any {
		return map[string]any{"merge_group.head_sha": e.MergeGroup.HeadSHA, "merge_group.base_sha": e.MergeGroup.BaseSHA, "merge_group.base_ref": e.MergeGroup.BaseRef}
	},
	"push": func(e actions.Event) map[string]any {
		return map[string]any{"ref": e.Push.Ref, "before": e.Push.Before, "after": e.Push.After}
	},
	"workflow_run": func(e actions.Event) map[string]any {
		return map[string]any{"workflow_run.id": e.WorkflowRun.ID}
	},
}

// sameEvent reads one payload as a check does, and again field by field.
func sameEvent(t *testing.T, name string, payload []byte) {
	e, err := actions.ParseEvent(name, payload)
	if err != nil {
		t.Fatal(err)
	}
	got := subjects[name](e)
	got["repository.id"], got["repository.full_name"] = e.Repository.ID, e.Repository.FullName
	got["repository.default_branch"] = e.Repository.DefaultBranch
	for path, value := range got {
		if want := at(t, payload, path); fmt.Sprint(value) != want {
			t.Errorf("%s is read as %v, and is %s", path, value, want)
		}
	}
}
