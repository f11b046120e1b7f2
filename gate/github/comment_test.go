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

func (w *world) comment(login, body string) int64 {
	return w.repo.AddComment(githubtest.Comment{Pull: 1, Login: login, Body: body})
}

func (w *world) wantPosted(body string, run, attempt int, want bool) {
	w.t.Helper()
	_, posted, err := w.upsert(body, github.Order{Run: run, Attempt: attempt})
	if err != nil || posted != want {
		w.t.Errorf("posted %v, %v, want %v", posted, err, want)
	}
}

func TestThereIsOneCommentThatIsEdited(t *testing.T) {
	w := newWorld(t)
	w.comment("somebody", "first!")
	w.wantPosted("one", 1, 1, true)
	first, _, _ := w.client.FindComment(t.Context(), 1, marker)
	w.wantPosted("two", 2, 1, true)
	w.wantPosted("two, measured again", 2, 2, true)
	w.wantPosted("two, after an approval", 2, 2, true)
	w.wantBodies("first!", marked(2, 2, "two, after an approval"))
	last, found, err := w.client.FindComment(t.Context(), 1, marker)
	if err != nil || !found || last.ID != first.ID || last.Order != (github.Order{Run: 2, Attempt: 2}) || last.URL != first.URL {
		t.Errorf("found %v %+v, %v; the first was %+v", found, last, err, first)
	}
	edits := w.Count("PATCH", fmt.Sprint("/", first.ID))
	w.wantPosted("two, after an approval", 2, 2, true)
	if n := w.Count("PATCH", fmt.Sprint("/", first.ID)); n != edits {
		t.Error("a comment that says it already was edited")
	}
}

func TestAStaleRunThatFinishesLastDoesNotOverwrite(t *testing.T) {
	w := newWorld(t)
	w.wantPosted("run 9", 9, 2, true)
	w.wantPosted("run 8", 8, 3, false)
	w.wantPosted("run 9, first attempt", 9, 1, false)
	w.wantBodies(marked(9, 2, "run 9"))
	w.wantPosted("run 10", 10, 1, true)
	w.wantBodies(marked(10, 1, "run 10"))
}

func TestAMarkerByAnotherAuthorIsNotOurs(t *testing.T) {
	w := newWorld(t)
	spoofs := []string{marked(999, 1, "all is well"), marked(1, 1, "x")}
	w.comment("mallory", spoofs[0])
	w.comment("github-actions", spoofs[1])
	w.comment("mallory[bot]", spoofs[1])
	w.wantPosted("the truth", 1, 1, true)
	w.wantPosted("the truth again", 2, 1, true)
	w.wantBodies(spoofs[0], spoofs[1], spoofs[1], marked(2, 1, "the truth again"))
}

func TestAMarkerInTheMiddleIsNotOurs(t *testing.T) {
	w := newWorld(t)
	quoted := "> " + marked(999, 1, "quoted by our own bot")
	other := "<!-- perfgate:comment v10 run=5 attempt=1 -->\nanother tool"
	w.comment(githubtest.ActionsBot, quoted)
	w.comment(githubtest.ActionsBot, other)
	w.wantPosted("the report", 1, 1, true)
	w.wantBodies(quoted, other, marked(1, 1, "the report"))
}

func TestOfDuplicatesTheLowestIsKept(t *testing.T) {
	w := newWorld(t)
	lowest := w.comment(githubtest.ActionsBot, marked(1, 1, "a"))
	w.comment("somebody", "between")
	w.comment(githubtest.ActionsBot, marked(3, 1, "b"))
	w.comment(githubtest.ActionsBot, marked(2, 1, "c"))
	w.wantPosted("d", 4, 1, true)
	w.wantBodies(marked(4, 1, "d"), "between")
	if kept := w.repo.Comments(1)[0].ID; kept != lowest {
		t.Errorf("kept %d, want %d", kept, lowest)
	}
}

func TestTheNewestOfDuplicatesSurvivesAnOlderRun(t *testing.T) {
	w := newWorld(t)
	w.comment(githubtest.ActionsBot, marked(1, 1, "a"))
	w.comment(githubtest.ActionsBot, marked(7, 1, "newest"))
	w.wantPosted("older", 5, 1, false)
	w.wantBodies(marked(7, 1, "newest"))
}

func TestADuplicateThatIsGoneAlreadyIsNoError(t *testing.T) {
	w := newWorld(t)
	w.comment(githubtest.ActionsBot, marked(1, 1, "a"))
	second := w.comment(githubtest.ActionsBot, marked(2, 1, "b"))
	w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == "DELETE" {
			w.repo.DeleteComment(second)
		}
		next.ServeHTTP(rw, r)
	})
	w.wantPosted("c", 3, 1, true)
	w.wantBodies(marked(3, 1, "c"))
}

func TestACommentDeletedBeforeItsEditIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	old := w.comment(githubtest.ActionsBot, marked(1, 1, "a"))
	w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == "PATCH" {
			w.repo.DeleteComment(old)
		}
		next.ServeHTTP(rw, r)
	})
	w.wantPosted("b", 2, 1, true)
	w.wantBodies(marked(2, 1, "b"))
}

func TestTwoRunsThatCreateAtOnceLeaveOneComment(t *testing.T) {
	for _, theirs := range []int{1, 3} {
		w := newWorld(t)
		w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == "POST" {
				w.comment(githubtest.ActionsBot, marked(theirs, 1, "theirs"))
			}
			next.ServeHTTP(rw, r)
		})
		w.wantPosted("ours", 2, 1, theirs < 2)
		if theirs < 2 {
			w.wantBodies(marked(2, 1, "ours"))
		} else {
			w.wantBodies(marked(3, 1, "theirs"))
		}
	}
}

func TestAListThatLagsBehindDoesNotMakeASecondComment(t *testing.T) {
	w := newWorld(t)
	w.times(2, "GET", "/comments", answers(200, "[]"))
	w.wantPosted("body", 1, 1, true)
	w.wantBodies(marked(1, 1, "body"))
	if n := w.Count("POST", "/comments"); n != 1 {
		t.Errorf("posted %d times", n)
	}
}

// TestAnotherAuthorIsLearnt: a custom app's login is known only from what it
// posts. The first run with it must not leave a comment behind for each run.
func TestAnotherAuthorIsLearnt(t *testing.T) {
	w := newWorld(t)
	w.AddToken(token, githubtest.Token{Login: "perf-app[bot]", Write: []string{"issues"}})
	w.wantPosted("one", 1, 1, true)
	w.client = w.newClient(github.Options{})
	w.wantPosted("two", 2, 1, true)
	w.wantBodies(marked(2, 1, "two"))
	w.client = w.newClient(github.Options{Author: "perf-app[bot]"})
	w.wantPosted("three", 3, 1, true)
	w.wantBodies(marked(3, 1, "three"))
	if n := w.Count("POST", "/comments"); n != 2 {
		t.Errorf("posted %d times, want 2: the author was named the third time", n)
	}
}

func TestASpoiledMarkerLineIsRepaired(t *testing.T) {
	for _, line := range []string{"run=x attempt=1 -->", "run=1 -->", "run=99999999999999999999999 attempt=1 -->", "run=5 attempt=1"} {
		w := newWorld(t)
		w.comment(githubtest.ActionsBot, "<!-- "+marker+" "+line)
		w.wantPosted("body", 1, 1, true)
		w.wantBodies(marked(1, 1, "body"))
	}
}

func TestALockedConversationIsReadOnly(t *testing.T) {
	w := newWorld(t)
	w.repo.UpdatePull(1, func(p *githubtest.Pull) { p.Locked = true })
	if _, posted, err := w.upsert("body", github.Order{Run: 1, Attempt: 1}); !errors.Is(err, github.ErrReadOnly) || posted || !strings.Contains(err.Error(), "locked") {
		t.Errorf("posted %v, %v, want ErrReadOnly", posted, err)
	}
}

func TestAMarkerCannotEndItsComment(t *testing.T) {
	w := newWorld(t)
	for _, bad := range []string{"", "x -->", "x\ny", "--", "perfgate:comment  v1", " x", "X"} {
		if _, _, err := w.client.UpsertComment(t.Context(), 1, bad, "body", github.Order{Run: 1, Attempt: 1}); err == nil {
			t.Errorf("%q was taken for a marker", bad)
		}
	}
	w.wantBodies()
}

func TestCommentsThatChangeAllTheTimeAreGivenUp(t *testing.T) {
	w := newWorld(t)
	w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(rw, r)
		if r.Method == "GET" { // Everything that was listed is gone at once.
			for _, c := range w.repo.Comments(1) {
				w.repo.DeleteComment(c.ID)
			}
			w.comment(githubtest.ActionsBot, marked(1, 1, "another"))
		}
	})
	_, posted, err := w.upsert("body", github.Order{Run: 2, Attempt: 1})
	if err == nil || posted {
		t.Errorf("posted %v, %v", posted, err)
	}
}

func TestOrdersCompareByRunThenAttempt(t *testing.T) {
	orders := []github.Order{{}, {Run: 1, Attempt: 1}, {Run: 1, Attempt: 2}, {Run: 2, Attempt: 1}, {Run: 10, Attempt: 1}}
	for i, a := range orders {
		for j, b := range orders {
			if got := a.Less(b); got != (i < j) {
				t.Errorf("%v before %v: %v", a, b, got)
			}
		}
	}
}
