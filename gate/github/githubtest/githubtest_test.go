package githubtest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// send asks the API as a workflow's token would, and decodes the answer.
func send(t *testing.T, s *Server, method, path, body string) (status int, answer any) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer t")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	json.Unmarshal(raw, &answer)
	return resp.StatusCode, answer
}

func start(t *testing.T, write ...string) (*Server, *Repo) {
	s := Start()
	t.Cleanup(s.Close)
	s.AddToken("t", Token{Write: write})
	return s, s.AddRepo("octo/app")
}

func TestObjectIDsAreThoseOfGit(t *testing.T) {
	s, r := start(t, "contents")
	// git hash-object, git mktree and git commit-tree said so.
	sha := r.AddCommit(Commit{
		Files:   map[string]string{"a.txt": "hello\n", "a/b": "hello\n", "a0": "hello\n"},
		Message: "first\n", Author: "A", Email: "a@b.c", Date: time.Unix(1700000000, 0),
	})
	c, _ := r.Commit(sha)
	if want := "39a5358fb566207617a0abec08342a390f1e215a"; c.Tree != want {
		t.Errorf("tree %s, want %s", c.Tree, want)
	}
	if want := "12978899eb2b5a16c086370e92b062d9c3d2b248"; sha != want {
		t.Errorf("commit %s, want %s", sha, want)
	}
	_, blob := send(t, s, "POST", "/repos/octo/app/git/blobs", `{"content":"aGVsbG8K","encoding":"base64"}`)
	if got, want := blob.(object)["sha"], "ce013625030ba8dba906f756967f9e9ca394464a"; got != want {
		t.Errorf("blob %s, want %s", got, want)
	}
}

func TestAMissingEndpointSaysSo(t *testing.T) {
	s, _ := start(t)
	status, answer := send(t, s, "GET", "/zen", "")
	if status != http.StatusNotImplemented || !strings.Contains(answer.(object)["message"].(string), "GET /zen") {
		t.Errorf("answered %d %v", status, answer)
	}
}

func TestATokenWritesOnlyWhatItMay(t *testing.T) {
	s, r := start(t, "statuses")
	sha := r.AddCommit(Commit{Files: map[string]string{"a": "1"}})
	r.SetBranch("main", sha)
	r.AddPull(Pull{HeadRef: "main"})
	if status, _ := send(t, s, "POST", "/repos/octo/app/statuses/"+sha, `{"state":"success","context":"c"}`); status != http.StatusCreated {
		t.Errorf("a status with statuses: write: %d", status)
	}
	if status, _ := send(t, s, "POST", "/repos/octo/app/issues/1/comments", `{"body":"b"}`); status != http.StatusForbidden {
		t.Errorf("a comment without pull-requests: write: %d", status)
	}
	if got := len(r.Statuses(sha)); got != 1 {
		t.Errorf("%d statuses kept", got)
	}
}

func TestAPullRequestListsWhatChangedSinceItLeftItsBase(t *testing.T) {
	s, r := start(t)
	root := r.AddCommit(Commit{Files: map[string]string{"kept": "k", "edited": "1", "moved": "m", "dropped": "d"}})
	head := r.AddCommit(Commit{Parents: []string{root}, Files: map[string]string{"kept": "k", "edited": "2", "to/moved": "m", "new": "n"}})
	r.SetBranch("main", r.AddCommit(Commit{Parents: []string{root}, Files: map[string]string{"elsewhere": "x"}}))
	r.SetBranch("topic", head)
	r.AddPull(Pull{HeadRef: "topic"})
	_, answer := send(t, s, "GET", "/repos/octo/app/pulls/1/files", "")
	got := map[string]any{}
	for _, f := range answer.([]any) {
		got[f.(object)["filename"].(string)] = f.(object)["status"]
	}
	want := map[string]any{"edited": "modified", "to/moved": "renamed", "new": "added", "dropped": "removed"}
	if len(got) != len(want) {
		t.Fatalf("lists %v, want %v", got, want)
	}
	for path, status := range want {
		if got[path] != status {
			t.Errorf("%s is %v, want %v", path, got[path], status)
		}
	}
}
