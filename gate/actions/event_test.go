package actions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	hashA = strings.Repeat("a", 40)
	hashB = strings.Repeat("b", 40)
)

func TestTheEventsOfACheckAreRead(t *testing.T) {
	repository := `"repository":{"id":7,"full_name":"shop/cart","default_branch":"main","private":false}`
	e, err := ParseEvent("pull_request", []byte(`{"action":"synchronize",`+repository+`,"pull_request":{"number":12,
		"head":{"ref":"main","sha":"`+hashA+`","repo":{"id":8,"full_name":"fork/cart"}},
		"base":{"ref":"main","sha":"`+hashB+`","repo":{"id":7,"full_name":"shop/cart"}}}}`))
	if err != nil || e.PullRequest.Number != 12 || e.PullRequest.Head.SHA != hashA || !e.PullRequest.Fork() || e.Repository.FullName != "shop/cart" {
		t.Errorf("a pull request is read as %+v: %v", e, err)
	}
	if e, err = ParseEvent("merge_group", []byte(`{`+repository+`,"merge_group":{"head_sha":"`+hashA+`","base_sha":"`+hashB+`","base_ref":"refs/heads/main"}}`)); err != nil || e.MergeGroup.BaseSHA != hashB {
		t.Errorf("a merge group is read as %+v: %v", e, err)
	}
	if e, err = ParseEvent("push", []byte(`{`+repository+`,"ref":"refs/heads/main","before":"`+hashB+`","after":"`+hashA+`"}`)); err != nil || e.Push.After != hashA {
		t.Errorf("a push is read as %+v: %v", e, err)
	}
	if e, err = ParseEvent("workflow_run", []byte(`{`+repository+`,"workflow_run":{"id":42}}`)); err != nil || e.WorkflowRun.ID != 42 {
		t.Errorf("a run is read as %+v: %v", e, err)
	}
	if e, err = ParseEvent("schedule", []byte(`{`+repository+`}`)); err != nil || e.PullRequest != nil {
		t.Errorf("another event is read as %+v: %v", e, err)
	}
}

func TestAForkThatIsGoneIsAFork(t *testing.T) {
	pr := PullRequest{Base: Side{Repo: &Repository{ID: 7}}}
	if !pr.Fork() {
		t.Error("a pull request without a head repository is taken for one of our own branches")
	}
	pr.Head.Repo = &Repository{ID: 7}
	if pr.Fork() {
		t.Error("a branch of the repository is taken for a fork")
	}
}

func TestAnEventWithoutWhatItsNameSaysIsRefused(t *testing.T) {
	for _, c := range [][2]string{
		{"pull_request", `{}`},
		{"pull_request", `{"pull_request":null}`},
		{"pull_request", `{"pull_request":{"number":0}}`},
		{"pull_request", `{"pull_request":{"number":1,"head":{"sha":"--upload-pack=x"},"base":{"sha":"` + hashB + `"}}}`},
		{"pull_request", `{"pull_request":{"number":1,"head":{"sha":"` + hashA + `"},"base":{"sha":"` + hashB[:39] + `\n"}}}`},
		{"merge_group", `{"merge_group":{"head_sha":"` + strings.ToUpper(hashA) + `","base_sha":"` + hashB + `"}}`},
		{"merge_group", `{}`},
		{"push", `{"after":"main"}`},
		{"workflow_run", `{"workflow_run":{"id":-1}}`},
		{"workflow_run", `not JSON`},
	} {
		if e, err := ParseEvent(c[0], []byte(c[1])); err == nil {
			t.Errorf("%s with payload %s is read as %+v", c[0], c[1], e)
		}
	}
}

func TestTheEventsFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, eventBytesMax+1); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, map[string]string{"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": path})
	if _, err := r.Event(); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a file beyond the limit: %v", err)
	}
	if _, err := (Runner{}).Event(); err == nil {
		t.Error("outside a workflow there is an event")
	}
}

func TestAnEventThatCannotBeReadNamesWhatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(path, []byte(`{"pull_request":`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{}, "not set: GITHUB_EVENT_NAME and GITHUB_EVENT_PATH,"},
		{map[string]string{"GITHUB_EVENT_NAME": "push"}, "not set: GITHUB_EVENT_PATH,"},
		{map[string]string{"GITHUB_EVENT_PATH": path}, "not set: GITHUB_EVENT_NAME,"},
		{map[string]string{"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": path}, "pull_request from " + path},
	} {
		if _, err := newRunner(t, c.env).Event(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v; want it to name %q", c.env, err, c.want)
		}
	}
}
