package cli

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/github/githubtest"
	"github.com/perfgate/perfgate/gate/verdict"
)

// Without a comment only the status tells that a newer run has spoken.
func TestAnOlderRunDoesNotOverwriteANewerStatus(t *testing.T) {
	for _, tc := range []struct {
		policy       string
		older, newer float64 // allocations
		exit         int     // of the newer run
		state        string
	}{
		{"version: 1\ncomment: never\n", 3, 5, verdict.ExitRegression, "failure"},
		{"version: 1\ncomment: never\n", 5, 3, verdict.ExitPass, "success"},
		{plainPolicy, 5, 3, verdict.ExitPass, "success"}, // The older one would make the first comment.
	} {
		h := newHub(t, tc.policy)
		older := h.run
		h.uploadBundle(h.measured(tc.older))
		h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, HeadBranch: "feature", HeadSHA: h.head})
		newer := h.run
		h.uploadBundle(h.measured(tc.newer))
		h.exits(h.tell(), tc.exit)
		h.run = older
		h.exits(h.tell(), verdict.ExitPass)
		if out := h.stdout.String(); !strings.Contains(out, "nothing posted: a newer run has set the commit status") {
			t.Errorf("log:\n%s", out)
		}
		if summary := h.read(h.summary); !strings.Contains(summary, "no longer the last word") {
			t.Errorf("summary:\n%s", summary)
		}
		h.saidNothing()
		h.status(h.head, tc.state)
		// The newer one may speak again, as after an approval.
		h.run = newer
		h.exits(h.tell(), tc.exit)
		if n := len(h.repo.Statuses(h.head)); n != 2 {
			t.Errorf("%d statuses, want two of the newer run", n)
		}
	}
}

func TestAnOlderRunThatFailsLeavesANewerStatus(t *testing.T) {
	h := newHub(t, plainPolicy)
	older := h.run
	h.uploadBundle(h.measured(3))
	h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, HeadBranch: "feature", HeadSHA: h.head})
	h.uploadBundle(h.measured(3))
	h.exits(h.tell(), verdict.ExitPass)
	h.run = older
	h.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/compare/") {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		next.ServeHTTP(w, r)
	})
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.status(h.head, "success")
}

// The status is looked at again when it is set: commenting takes its time.
func TestARunThatIsOvertakenWhileItCommentsSetsNoStatus(t *testing.T) {
	h := newHub(t, chattyPolicy)
	h.uploadBundle(h.measured(3))
	newer, err := github.New(github.Options{APIURL: h.server.URL, Repository: "octo/app", Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	h.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/comments") {
			status := github.Status{State: "failure", Context: "perfgate", Description: "1 regressed", TargetURL: "https://github.example/octo/app/actions/runs/9"}
			if set, err := newer.SetStatus(r.Context(), h.head, status, github.Order{Run: 9, Attempt: 1}); err != nil || !set {
				t.Errorf("set %v, %v", set, err)
			}
		}
		next.ServeHTTP(w, r)
	})
	h.exits(h.tell(), verdict.ExitPass)
	h.status(h.head, "failure")
	if out := h.stdout.String(); !strings.Contains(out, "a newer run has set the commit status") {
		t.Errorf("log:\n%s", out)
	}
}

func TestATokenThatMayNotReadStatusesStillComments(t *testing.T) {
	h := newHub(t, plainPolicy)
	h.server.AddToken("secret", githubtest.Token{Write: []string{"pull-requests"}})
	h.uploadBundle(h.measured(5))
	h.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/statuses") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
	h.exits(h.tell(), verdict.ExitRegression)
	h.said("regressed")
	h.status(h.head, "")
	if log := h.stdout.String(); !strings.Contains(log, "statuses: write") {
		t.Errorf("log:\n%s", log)
	}
}
