package github_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/github/githubtest"
)

var expected = github.Expected{Events: []string{"pull_request", "merge_group"}, Path: ".github/workflows/perfgate.yml"}

// run adds a run for a head and reads it back through the API.
func (w *world) run(r githubtest.Run) github.Run {
	w.t.Helper()
	run, err := w.client.Run(w.t.Context(), w.repo.AddRun(r))
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

// ownRun is the run for pull request #1.
func (w *world) ownRun() github.Run {
	w.t.Helper()
	return w.run(githubtest.Run{HeadRepo: w.repo, HeadBranch: "topic", HeadSHA: w.head})
}

// fork makes a fork with a pull request from one of its branches.
func (w *world) fork(owner, branch string) (fork *githubtest.Repo, head string, number int) {
	fork = w.AddFork(w.repo, owner+"/app")
	head = w.repo.AddCommit(githubtest.Commit{Message: owner, Parents: []string{w.base}})
	fork.SetBranch(branch, head)
	return fork, head, w.repo.AddPull(githubtest.Pull{HeadRepo: fork, HeadRef: branch})
}

func (w *world) wantFound(run github.Run, number int) github.PullRequest {
	w.t.Helper()
	pr, err := w.client.FindPullRequest(w.t.Context(), run)
	if err != nil || pr.Number != number {
		w.t.Errorf("found #%d, %v, want #%d", pr.Number, err, number)
	}
	return pr
}

func (w *world) wantNobody(run github.Run, reason string) {
	w.t.Helper()
	pr, err := w.client.FindPullRequest(w.t.Context(), run)
	var identity *github.IdentityError
	if !errors.As(err, &identity) || !strings.Contains(identity.Reason, reason) {
		w.t.Errorf("found #%d, %v, want an IdentityError with %q", pr.Number, err, reason)
	}
}

func TestARunFindsItsPullRequest(t *testing.T) {
	w := newWorld(t)
	pr := w.wantFound(w.ownRun(), 1)
	want := github.PullRequest{Number: 1, Open: true, HeadSHA: w.head, HeadRef: "topic", HeadRepo: "octo/app", HeadRepoID: w.repo.ID,
		BaseRef: "main", BaseSHA: w.base, URL: "https://github.example/octo/app/pull/1", Author: "author"}
	if pr.Fork || pr.HeadSHA != want.HeadSHA || pr.BaseSHA != want.BaseSHA || pr.HeadRepoID != want.HeadRepoID || pr.URL != want.URL || pr.Author != want.Author || !pr.Open || pr.BaseRef != want.BaseRef {
		t.Errorf("read %+v, want %+v", pr, want)
	}
	_, head, number := w.fork("mallory", "topic")
	if pr := w.wantFound(w.run(githubtest.Run{HeadRepo: w.forkOf("mallory"), HeadBranch: "topic", HeadSHA: head}), number); !pr.Fork {
		t.Error("a fork's pull request is not known as one")
	}
}

// forkOf finds the head repository of the pull request that an owner opened.
func (w *world) forkOf(owner string) *githubtest.Repo {
	for _, p := range w.repo.Pulls() {
		if strings.HasPrefix(p.HeadRepo.FullName, owner+"/") {
			return p.HeadRepo
		}
	}
	return nil
}

// TestNothingInTheRunChoosesThePullRequest: there is no number that a fork
// could forge. A run that claims somebody else's head does not find it, because
// head branch, head repository and head commit have to fit together.
func TestNothingInTheRunChoosesThePullRequest(t *testing.T) {
	w := newWorld(t)
	fork, head, _ := w.fork("mallory", "topic")
	w.wantNobody(w.run(githubtest.Run{HeadRepo: fork, HeadBranch: "topic", HeadSHA: w.head}), "no open pull request")
	w.wantNobody(w.run(githubtest.Run{HeadRepo: w.repo, HeadBranch: "topic", HeadSHA: head}), "no open pull request")
	w.wantNobody(w.run(githubtest.Run{HeadRepo: fork, HeadBranch: "other", HeadSHA: head}), "no open pull request")
	// The claim of a pull request that GitHub itself puts into a run is not read.
	w.times(1, "GET", "/actions/runs/7", answers(200, fmt.Sprintf(`{"id":7,"event":"pull_request","head_sha":%q,"head_branch":"x",
		"repository":{"id":%d,"full_name":"octo/app"},"head_repository":{"id":%d,"full_name":"mallory/app"},"pull_requests":[{"number":1}]}`, head, w.repo.ID, fork.ID)))
	run, err := w.client.Run(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	w.wantNobody(run, "no open pull request")
}

// TestAFilterThatGitHubIgnoresChoosesNothing: an unknown head makes GitHub list
// every pull request.
func TestAFilterThatGitHubIgnoresChoosesNothing(t *testing.T) {
	w := newWorld(t)
	fork, head, number := w.fork("mallory", "topic")
	w.repo.AddPull(githubtest.Pull{HeadRepo: fork, HeadRef: "topic", Closed: true})
	w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/pulls") {
			r.URL.RawQuery = "state=all"
		}
		next.ServeHTTP(rw, r)
	})
	w.wantFound(w.run(githubtest.Run{HeadRepo: fork, HeadBranch: "topic", HeadSHA: head}), number)
	w.wantFound(w.ownRun(), 1)
	w.wantNobody(w.run(githubtest.Run{HeadRepo: fork, HeadBranch: "gone", HeadSHA: head}), "no open pull request")
}

func TestAPullRequestToAnotherRepositoryIsNotOurs(t *testing.T) {
	w := newWorld(t)
	w.times(always, "GET", "/pulls", answers(200, fmt.Sprintf(`[{"number":1,"state":"open",
		"head":{"ref":"topic","sha":%q,"repo":{"id":%d}},"base":{"ref":"main","repo":{"id":5}}}]`, w.head, w.repo.ID)))
	w.wantNobody(w.ownRun(), "no open pull request")
}

func TestAForksBranchNamedMainIsNotOurMain(t *testing.T) {
	w := newWorld(t)
	// Our own main is the head of a pull request too: to a release branch.
	w.repo.SetBranch("release", w.base)
	own := w.repo.AddPull(githubtest.Pull{HeadRef: "main", BaseRef: "release", HeadSHA: w.head})
	fork, head, number := w.fork("mallory", "main")
	w.wantFound(w.run(githubtest.Run{HeadRepo: fork, HeadBranch: "main", HeadSHA: head}), number)
	w.wantFound(w.run(githubtest.Run{HeadRepo: w.repo, HeadBranch: "main", HeadSHA: w.head}), own)
	// The fork pushes the very commit that our main has.
	w.repo.UpdatePull(number, func(p *githubtest.Pull) { p.HeadSHA = w.head })
	w.wantFound(w.run(githubtest.Run{HeadRepo: w.repo, HeadBranch: "main", HeadSHA: w.head}), own)
	w.wantFound(w.run(githubtest.Run{HeadRepo: fork, HeadBranch: "main", HeadSHA: w.head}), number)
}

func TestTheSameHeadOfTwoPullRequestsIsNobodys(t *testing.T) {
	w := newWorld(t)
	w.repo.SetBranch("release", w.base)
	second := w.repo.AddPull(githubtest.Pull{HeadRef: "topic", BaseRef: "release"})
	w.wantNobody(w.ownRun(), "#1, #2")
	w.repo.UpdatePull(second, func(p *githubtest.Pull) { p.Closed = true })
	w.wantFound(w.ownRun(), 1)
	// The same commit on another branch is another head.
	w.repo.SetBranch("copy", w.head)
	copied := w.repo.AddPull(githubtest.Pull{HeadRef: "copy"})
	w.wantFound(w.ownRun(), 1)
	w.wantFound(w.run(githubtest.Run{HeadRepo: w.repo, HeadBranch: "copy", HeadSHA: w.head}), copied)
}

func TestADeletedForkIsNobodys(t *testing.T) {
	w := newWorld(t)
	fork, head, number := w.fork("mallory", "topic")
	before := w.run(githubtest.Run{HeadRepo: fork, HeadBranch: "topic", HeadSHA: head})
	fork.Delete()
	w.wantNobody(w.run(githubtest.Run{HeadRepo: fork, HeadBranch: "topic", HeadSHA: head}), "was deleted")
	w.wantNobody(before, "no open pull request")
	if pr, err := w.client.PullRequest(t.Context(), number); err != nil || pr.HeadRepoID != 0 || !pr.Fork {
		t.Errorf("the pull request of a deleted fork reads as %+v, %v", pr, err)
	}
	// A run of zeroes must not fit a pull request of zeroes.
	w.wantNobody(github.Run{ID: 9, Event: "pull_request", Repo: "octo/app", RepoID: w.repo.ID, HeadSHA: head, HeadBranch: "topic"}, "was deleted")
}

func TestAClosedPullRequestIsNobodys(t *testing.T) {
	for name, change := range map[string]func(*githubtest.Pull){
		"closed": func(p *githubtest.Pull) { p.Closed = true },
		"merged": func(p *githubtest.Pull) { p.Merged = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			run := w.ownRun()
			pr := w.wantFound(run, 1)
			w.repo.UpdatePull(1, change)
			w.wantNobody(run, "no open pull request")
			w.wantStale(pr, "is closed")
		})
	}
}

func (w *world) wantStale(pr github.PullRequest, reason string) {
	w.t.Helper()
	err := w.client.Recheck(w.t.Context(), pr)
	var stale *github.StaleError
	if !errors.As(err, &stale) || !strings.Contains(stale.Reason, reason) {
		w.t.Errorf("error %v, want a StaleError with %q", err, reason)
	}
}

func TestAPullRequestThatMovedOnIsStale(t *testing.T) {
	w := newWorld(t)
	run := w.ownRun()
	pr := w.wantFound(run, 1)
	if err := w.client.Recheck(t.Context(), pr); err != nil {
		t.Errorf("unchanged, and %v", err)
	}
	w.repo.SetBranch("release", w.base)
	w.repo.UpdatePull(1, func(p *githubtest.Pull) { p.BaseRef = "release" })
	w.wantStale(pr, `retargeted from "main" to "release"`)
	w.repo.UpdatePull(1, func(p *githubtest.Pull) { p.BaseRef, p.HeadSHA = "main", w.base })
	w.wantStale(pr, "moved on")
	w.wantNobody(run, "its branch moved on")
	w.times(always, "GET", "/pulls/1", answers(500, ""))
	if err := w.client.Recheck(t.Context(), pr); err == nil {
		t.Error("what could not be read again is not stale")
	}
}

func TestARunOfAnotherKindIsRefused(t *testing.T) {
	w := newWorld(t)
	good := githubtest.Run{Path: expected.Path, HeadRepo: w.repo, HeadBranch: "topic", HeadSHA: w.head}
	with := func(change func(*githubtest.Run)) github.Run {
		r := good
		change(&r)
		return w.run(r)
	}
	if err := w.client.VerifyRun(w.run(good), expected); err != nil {
		t.Error(err)
	}
	if err := w.client.VerifyRun(with(func(r *githubtest.Run) { r.Path += "@refs/heads/main" }), expected); err != nil {
		t.Errorf("the ref that the API appends to a path: %v", err)
	}
	other := w.ownRun()
	other.Repo = "octo/other"
	tests := map[string]struct {
		run  github.Run
		want string
	}{
		"another event":                       {with(func(r *githubtest.Run) { r.Event = "push" }), `"push"`},
		"pull_request_target":                 {with(func(r *githubtest.Run) { r.Event = "pull_request_target" }), "pull_request_target"},
		"the same name at another path":       {with(func(r *githubtest.Run) { r.Path = ".github/workflows/other.yml" }), "other.yml"},
		"a path with the wanted one in front": {with(func(r *githubtest.Run) { r.Path = ".github/workflows/perfgate.yml.yml" }), "perfgate.yml.yml"},
		"a path with the wanted one behind":   {with(func(r *githubtest.Run) { r.Path = "x/.github/workflows/perfgate.yml" }), "x/.github"},
		"another repository":                  {other, "octo/other"},
		"no head commit":                      {with(func(r *githubtest.Run) { r.HeadSHA = "topic" }), "no head commit"},
		"a run that was never read":           {github.Run{}, "belongs to"},
	}
	for name, test := range tests {
		var identity *github.IdentityError
		if err := w.client.VerifyRun(test.run, expected); !errors.As(err, &identity) || !strings.Contains(identity.Reason, test.want) {
			t.Errorf("%s: %v, want an IdentityError with %q", name, err, test.want)
		}
	}
	w.wantNobody(with(func(r *githubtest.Run) { r.Event = "merge_group" }), "merge_group")
	w.wantNobody(other, "octo/other")
	w.wantNobody(with(func(r *githubtest.Run) { r.HeadBranch = "" }), "no head branch")
}

func TestARunIsReadAsItIs(t *testing.T) {
	w := newWorld(t)
	run := w.run(githubtest.Run{ID: 77, Number: 5, Attempt: 3, HeadRepo: w.repo, HeadBranch: "topic", HeadSHA: w.head, Conclusion: "failure"})
	want := github.Run{ID: 77, Number: 5, Attempt: 3, Event: "pull_request", Path: ".github/workflows/perfgate.yml", HeadSHA: w.head,
		HeadBranch: "topic", Conclusion: "failure", URL: "https://github.example/octo/app/actions/runs/77",
		HeadRepo: "octo/app", HeadRepoID: w.repo.ID, Repo: "octo/app", RepoID: w.repo.ID}
	if run != want {
		t.Errorf("read %+v, want %+v", run, want)
	}
	w.times(1, "GET", "/actions/runs/78", answers(200, `{"id":77}`))
	if _, err := w.client.Run(t.Context(), 78); err == nil {
		t.Error("an answer about another run was taken")
	}
}
