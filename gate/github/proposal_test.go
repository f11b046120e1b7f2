package github

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/github/githubtest"
)

const waiting = "perfgate/baselines"

// proposing commits a file to a proposal and opens it, as a recorder does.
func proposing(t *testing.T, c *Client, path string) (sha, page string) {
	t.Helper()
	p := c.Propose("main", waiting, "Baselines", "body")
	s, err := p.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sha = onTop(t, s, path)
	if page, err = p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sha, page
}

// newFiles are the files of a commit that main does not have.
func newFiles(t *testing.T, r *githubtest.Repo, sha string) []string {
	t.Helper()
	commit, _ := r.Commit(sha)
	base, _ := r.Commit(r.Branch("main"))
	var names []string
	for name := range commit.Files {
		if _, old := base.Files[name]; !old {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestOnePullRequestTakesEveryCommitUntilItIsMerged(t *testing.T) {
	_, r, c := gitServer(t)
	main := r.Branch("main")
	_, first := proposing(t, c, "one")
	tip, second := proposing(t, c, "two")
	if first == "" || first != second || len(r.Pulls()) != 1 {
		t.Errorf("pages %q and %q of %d pull requests", first, second, len(r.Pulls()))
	}
	pr := r.Pulls()[0]
	if pr.HeadRef != waiting || pr.BaseRef != "main" || pr.HeadSHA != tip || pr.Title != "Baselines" || pr.Body != "body" {
		t.Errorf("pull request %+v", pr)
	}
	if got := newFiles(t, r, tip); !slices.Equal(got, []string{"one", "two"}) || r.Branch("main") != main {
		t.Errorf("the branch adds %v", got)
	}
}

func TestTheNextPullRequestBeginsAtTheBaseAndForcesNothing(t *testing.T) {
	for name, decide := range map[string]func(r *githubtest.Repo, tip string){
		"merged": func(r *githubtest.Repo, tip string) {
			r.SetBranch("main", r.AddCommit(githubtest.Commit{Parents: []string{r.Branch("main"), tip}, Files: filesOf(r, tip)}))
			r.UpdatePull(1, func(p *githubtest.Pull) { p.Merged = true })
		},
		"squashed": func(r *githubtest.Repo, tip string) {
			r.SetBranch("main", r.AddCommit(githubtest.Commit{Parents: []string{r.Branch("main")}, Files: filesOf(r, tip)}))
			r.UpdatePull(1, func(p *githubtest.Pull) { p.Merged = true })
		},
		"dropped": func(r *githubtest.Repo, _ string) {
			r.UpdatePull(1, func(p *githubtest.Pull) { p.Closed = true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, r, c := gitServer(t)
			tip, _ := proposing(t, c, "one")
			decide(r, tip)
			if page, err := c.Propose("main", waiting, "t", "b").Open(t.Context()); page != "" || err != nil {
				t.Errorf("nothing waits, but %q is open; %v", page, err)
			}
			next, page := proposing(t, c, "two")
			commit, _ := r.Commit(next)
			if page == "" || len(r.Pulls()) != 2 || commit.Parents[0] != r.Branch("main") || r.Branch(waiting) != next {
				t.Errorf("page %q of %d pull requests, parents %v; want one on top of main", page, len(r.Pulls()), commit.Parents)
			}
			if got := newFiles(t, r, next); !slices.Equal(got, []string{"two"}) {
				t.Errorf("the branch adds %v, want what is new", got)
			}
			for _, request := range s.Requests() {
				if strings.Contains(request.Body, `"force":true`) || request.Method == http.MethodDelete {
					t.Errorf("%s %s %s", request.Method, request.Path, request.Body)
				}
			}
		})
	}
}

func filesOf(r *githubtest.Repo, sha string) map[string]string {
	commit, _ := r.Commit(sha)
	return commit.Files
}

func TestABranchThatSomebodyIsAboutToProposeIsContinued(t *testing.T) {
	_, r, c := gitServer(t)
	p := c.Propose("main", waiting, "Baselines", "body")
	s, err := p.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := onTop(t, s, "one") // and its writer has opened nothing yet
	tip, _ := proposing(t, c, "two")
	commit, _ := r.Commit(tip)
	if page, err := p.Open(t.Context()); page == "" || err != nil || len(r.Pulls()) != 1 || commit.Parents[0] != first {
		t.Errorf("page %q, %v, %d pull requests, parents %v", page, err, len(r.Pulls()), commit.Parents)
	}
}

func TestAPullRequestOfAForkIsNotOurs(t *testing.T) {
	s, r, c := gitServer(t)
	fork := s.AddFork(r, "octo/fork") // of the same owner, which the filter of the list lets through
	fork.SetBranch(waiting, r.AddCommit(githubtest.Commit{Parents: []string{r.Branch("main")}, Files: map[string]string{"evil": "x"}}))
	r.AddPull(githubtest.Pull{HeadRepo: fork, HeadRef: waiting})
	tip, _ := proposing(t, c, "one")
	if got := newFiles(t, r, tip); !slices.Equal(got, []string{"one"}) || len(r.Pulls()) != 2 {
		t.Errorf("the branch adds %v, %d pull requests", got, len(r.Pulls()))
	}
}

func TestAPullRequestIsOpenedOnceThoughTheAnswerWasLost(t *testing.T) {
	for name, carriedOut := range map[string]bool{"lost on the way back": true, "somebody else was faster": false} {
		t.Run(name, func(t *testing.T) {
			s, r, c := gitServer(t)
			s.Intercept(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/pulls") {
					next.ServeHTTP(w, req)
					return
				}
				if carriedOut {
					next.ServeHTTP(httpDiscard{}, req)
					w.WriteHeader(http.StatusBadGateway)
					return
				}
				r.AddPull(githubtest.Pull{HeadRef: waiting})
				next.ServeHTTP(w, req)
			})
			if _, page := proposing(t, c, "one"); page == "" || len(r.Pulls()) != 1 {
				t.Errorf("page %q of %d pull requests", page, len(r.Pulls()))
			}
		})
	}
}

func TestARepositoryThatAllowsNoPullRequestsSaysWhatToDo(t *testing.T) {
	_, r, c := gitServer(t)
	r.ForbidPullsByActions()
	p := c.Propose("main", waiting, "Baselines", "body")
	s, err := p.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tip := onTop(t, s, "one")
	_, err = p.Open(t.Context())
	if !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "Allow GitHub Actions to create and approve pull requests") || !strings.Contains(err.Error(), waiting) {
		t.Errorf("error %v", err)
	}
	if r.Branch(waiting) != tip {
		t.Error("what was committed is gone")
	}
}

func TestAnUnreadableListOpensNothing(t *testing.T) {
	s, r, c := gitServer(t)
	r.SetBranch(waiting, r.Branch("main"))
	s.Intercept(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if strings.HasSuffix(req.URL.Path, "/pulls") && req.Method == http.MethodGet {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message":"Resource not accessible by integration"}`)
			return
		}
		next.ServeHTTP(w, req)
	})
	p := c.Propose("main", waiting, "t", "b")
	_, readErr := p.Snapshot(t.Context())
	_, openErr := p.Open(t.Context())
	if readErr == nil || openErr == nil || len(r.Pulls()) != 0 {
		t.Errorf("errors %v and %v, %d pull requests", readErr, openErr, len(r.Pulls()))
	}
}
