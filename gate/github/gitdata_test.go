package github

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/github/githubtest"
)

// gitServer is a repository with one commit on main, and a client that may write
// its contents and pull requests.
func gitServer(t *testing.T) (*githubtest.Server, *githubtest.Repo, *Client) {
	t.Helper()
	s := githubtest.Start()
	t.Cleanup(s.Close)
	s.AddToken("ghs_ours", githubtest.Token{Write: []string{"contents", "pull-requests"}})
	r := s.AddRepo("octo/app")
	r.SetBranch("main", r.AddCommit(githubtest.Commit{
		Message: "first", Files: map[string]string{"main.go": "package main\n", "docs/a.md": "text\n"}, Symlinks: map[string]string{"docs/link": "a.md"},
	}))
	c, err := New(Options{APIURL: s.URL, Token: "ghs_ours", Repository: "octo/app", Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	return s, r, c
}

// onTop commits a file on top of what a snapshot has.
func onTop(t *testing.T, s *Snapshot, path string) string {
	t.Helper()
	sha, err := s.Commit(t.Context(), map[string][]byte{path: []byte(path)}, "adds "+path)
	if err != nil {
		t.Fatal(err)
	}
	return sha
}

func snapshot(t *testing.T, c *Client, branch string) *Snapshot {
	t.Helper()
	s, err := c.Snapshot(t.Context(), branch)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestACommitLeavesWhatItDoesNotName(t *testing.T) {
	_, r, c := gitServer(t)
	before := r.Branch("main")
	s := snapshot(t, c, "main")
	data := []byte("bytes \x00\xff and no text")
	sha, err := s.Commit(t.Context(), map[string][]byte{"deep/er/file": data, "docs/a.md": []byte("new\n")}, "second\n")
	if err != nil || r.Branch("main") != sha {
		t.Fatalf("main is %s, want %s; %v", r.Branch("main"), sha, err)
	}
	made, _ := r.Commit(sha)
	want := map[string]string{"main.go": "package main\n", "docs/a.md": "new\n", "docs/link": "a.md", "deep/er/file": string(data)}
	if !maps.Equal(made.Files, want) || !slices.Equal(made.Parents, []string{before}) || made.Message != "second\n" {
		t.Errorf("commit %+v, want the files %v on top of %s", made, want, before)
	}
	again := snapshot(t, c, "main")
	if got, err := again.Read(t.Context(), "deep/er/file", int64(len(data))); err != nil || string(got) != string(data) {
		t.Errorf("read back %q, %v", got, err)
	}
	if _, err := again.Read(t.Context(), "deep/er/file", int64(len(data))-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte less is allowed: %v", err)
	}
	for _, path := range []string{"nowhere", "deep/nowhere/file"} {
		if _, err := again.Read(t.Context(), path, 100); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	docs, err := again.List(t.Context(), "docs")
	if err != nil || len(docs) != 2 || docs[0].Mode != "100644" || docs[1].Mode != "120000" {
		t.Errorf("docs lists %+v, %v", docs, err)
	}
}

func TestAnOrphanBranchBeginsWithNothing(t *testing.T) {
	_, r, c := gitServer(t)
	if _, err := c.Snapshot(t.Context(), "perf/data"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a branch that is not there: %v", err)
	}
	empty := c.Orphan("perf/data")
	if root, err := empty.List(t.Context(), "."); len(root) != 0 || err != nil {
		t.Errorf("the root of nothing: %v, %v", root, err)
	}
	if _, err := empty.List(t.Context(), "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder of nothing: %v", err)
	}
	sha := onTop(t, empty, "a/b")
	made, _ := r.Commit(sha)
	if r.Branch("perf/data") != sha || len(made.Parents) != 0 || !maps.Equal(made.Files, map[string]string{"a/b": "a/b"}) {
		t.Errorf("branches %v, commit %+v", r.Branches(), made)
	}
	// Another writer saw none either.
	if _, err := c.Orphan("perf/data").Commit(t.Context(), map[string][]byte{"x": nil}, "m"); !errors.Is(err, ErrMoved) {
		t.Errorf("the second orphan: %v", err)
	}
}

func TestABranchThatMovedIsNotMovedBack(t *testing.T) {
	_, r, c := gitServer(t)
	mine := snapshot(t, c, "main")
	theirs := onTop(t, snapshot(t, c, "main"), "theirs")
	if _, err := mine.Commit(t.Context(), map[string][]byte{"mine": nil}, "m"); !errors.Is(err, ErrMoved) || errors.Is(err, ErrProtected) {
		t.Errorf("error %v", err)
	}
	if r.Branch("main") != theirs {
		t.Errorf("main is %s, want %s", r.Branch("main"), theirs)
	}
}

func TestRefusalsOfAnUpdateAreToldApart(t *testing.T) {
	for _, tc := range []struct {
		status  int
		message string
		want    error
	}{
		{422, "Update is not a fast forward", ErrMoved},
		{422, "Reference does not exist", ErrMoved},
		{409, "Cannot lock ref 'refs/heads/main': is at 1 but expected 2", ErrMoved},
		{422, "Repository rule violations found\n\nChanges must be made through a pull request.\n\n", ErrProtected},
		{409, "Repository rule violations found\n\n2 of 2 required status checks are expected.\n\n", ErrProtected},
		{422, "Required status check \"ci\" is expected.", ErrProtected},
		{403, "Protected branch update failed for refs/heads/main.", ErrProtected},
		{403, "You're not authorized to push to this branch. Visit https://docs.github.com/ for more information.", ErrProtected},
		{422, "At least 1 approving review is required by reviewers with write access.", ErrProtected},
		{422, "Commits must have verified signatures.", ErrProtected},
		{422, "Reference update failed", ErrProtected},
		{403, "Resource not accessible by integration", ErrReadOnly},
		{422, "Object does not exist", nil},
		{404, "Not Found", fs.ErrNotExist},
	} {
		t.Run(tc.message, func(t *testing.T) {
			s, r, c := gitServer(t)
			before := r.Branch("main")
			s.Intercept(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if req.Method != http.MethodPatch {
					next.ServeHTTP(w, req)
					return
				}
				w.WriteHeader(tc.status)
				fmt.Fprintf(w, `{"message":%q}`, tc.message)
			})
			_, err := snapshot(t, c, "main").Commit(t.Context(), map[string][]byte{"x": nil}, "m")
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			for _, other := range []error{ErrMoved, ErrProtected} {
				if other != tc.want && errors.Is(err, other) {
					t.Errorf("error %v is also %v", err, other)
				}
			}
			if r.Branch("main") != before {
				t.Error("main has moved")
			}
		})
	}
}

func TestABranchIsCreatedOnceThoughTheAnswerWasLost(t *testing.T) {
	s, r, c := gitServer(t)
	lost := false
	s.Intercept(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/git/refs") && !lost {
			lost = true
			next.ServeHTTP(httpDiscard{}, req)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, req)
	})
	sha := onTop(t, c.Orphan("data"), "a")
	if r.Branch("data") != sha || s.Count(http.MethodPost, "/git/refs") != 1 {
		t.Errorf("data is %s, want %s; %d requests", r.Branch("data"), sha, s.Count(http.MethodPost, "/git/refs"))
	}
	// Lost on the way there: nobody knows, and it is read again.
	s.Intercept(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if strings.HasSuffix(req.URL.Path, "/git/refs") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, req)
	})
	if _, err := c.Orphan("more").Commit(t.Context(), map[string][]byte{"x": nil}, "m"); !errors.Is(err, ErrMoved) {
		t.Errorf("error %v", err)
	}
}

// httpDiscard takes an answer that is lost on its way.
type httpDiscard struct{}

func (httpDiscard) Header() http.Header         { return http.Header{} }
func (httpDiscard) Write(b []byte) (int, error) { return len(b), nil }
func (httpDiscard) WriteHeader(int)             {}

func TestAnEmptyRepositoryIsExplained(t *testing.T) {
	s, _, c := gitServer(t)
	s.Intercept(func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"message":"Git Repository is empty."}`)
	})
	_, readErr := c.Snapshot(t.Context(), "main")
	_, writeErr := c.Orphan("data").Commit(t.Context(), map[string][]byte{"x": nil}, "m")
	for _, err := range []error{readErr, writeErr} {
		if err == nil || !strings.Contains(err.Error(), "push a first commit") || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	}
}

func TestWhatGitHubAnswersIsCheckedBeforeItIsUsed(t *testing.T) {
	for name, tc := range map[string]struct{ path, answer, want string }{
		"another branch":     {"/git/ref/heads/main", `{"ref":"refs/heads/other","object":{"sha":"1111111111111111111111111111111111111111"}}`, "GitHub answers with"},
		"no hash":            {"/git/ref/heads/main", `{"ref":"refs/heads/main","object":{"sha":"../../x"}}`, "not a full commit SHA"},
		"a cut listing":      {"/git/trees/", `{"tree":[],"truncated":true}`, "list incomplete"},
		"another encoding":   {"/git/blobs/", `{"content":"x","encoding":"utf-8","size":1}`, "encoded as"},
		"fewer bytes":        {"/git/blobs/", `{"content":"eA==","encoding":"base64","size":2}`, "1 bytes came of 2"},
		"a larger file":      {"/git/blobs/", `{"content":"","encoding":"base64","size":1000000}`, "answer too large"},
		"a page about that":  {"/git/blobs/", `<html>`, "not JSON"},
		"an endless content": {"/git/blobs/", `{"content":"` + strings.Repeat("A", 1<<20) + `","encoding":"base64","size":13}`, "answer too large"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, c := gitServer(t)
			s.Intercept(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if strings.Contains(req.URL.Path, tc.path) {
					fmt.Fprint(w, tc.answer)
					return
				}
				next.ServeHTTP(w, req)
			})
			snapshot, err := c.Snapshot(t.Context(), "main")
			if err == nil {
				_, err = snapshot.Read(t.Context(), "main.go", 100)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one naming %q", err, tc.want)
			}
		})
	}
}

func TestABranchWithAnyNameIsFound(t *testing.T) {
	_, r, c := gitServer(t)
	for _, name := range []string{"release/1.0", "fix#12", "a b", "50%", "ü"} {
		r.SetBranch(name, r.Branch("main"))
		if sha, err := c.Branch(t.Context(), name); err != nil || sha != r.Branch("main") {
			t.Errorf("%q: %s, %v", name, sha, err)
		}
	}
}
