package github_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/github/githubtest"
)

const runPage = "https://github.example/octo/app/actions/runs/1"

func (w *world) setStatus(c *github.Client, name, target string, run, attempt int) (set bool, err error) {
	return c.SetStatus(w.t.Context(), w.head, github.Status{State: "success", Context: name, TargetURL: target}, github.Order{Run: run, Attempt: attempt})
}

func (w *world) wantSet(run, attempt int, want bool) {
	w.t.Helper()
	before := len(w.repo.Statuses(w.head))
	set, err := w.setStatus(w.client, "perfgate", runPage, run, attempt)
	if err != nil || set != want {
		w.t.Errorf("run %d, attempt %d: set %v, %v, want %v", run, attempt, set, err, want)
	}
	if after := len(w.repo.Statuses(w.head)); (after > before) != want {
		w.t.Errorf("run %d, attempt %d: %d statuses after %d", run, attempt, after, before)
	}
}

func TestAStaleRunThatFinishesLastDoesNotReplaceTheStatus(t *testing.T) {
	w := newWorld(t)
	w.wantSet(9, 2, true)
	w.wantSet(8, 3, false)
	w.wantSet(9, 1, false)
	w.wantSet(9, 2, true)
	w.wantSet(10, 1, true)
	w.wantSet(9, 3, false)
}

func TestTheNewestStatusIsFoundAmongOthers(t *testing.T) {
	w := newWorld(t)
	w.MaxPerPage = 2
	w.wantSet(7, 1, true)
	w.wantSet(9, 1, true)
	for i := range 5 {
		if set, err := w.setStatus(w.client, "lint", runPage, i, 1); err != nil || !set {
			t.Fatalf("set %v, %v", set, err)
		}
	}
	w.wantSet(8, 1, false)
}

// Whoever else may set a status must not keep ours from being set.
func TestAStatusByAnotherAuthorIsNotOurs(t *testing.T) {
	w := newWorld(t)
	w.AddToken("theirs", githubtest.Token{Login: "mallory", Write: []string{"statuses"}})
	theirs := w.newClient(github.Options{Token: "theirs", Author: "mallory"})
	if set, err := w.setStatus(theirs, "perfgate", runPage, 999, 1); err != nil || !set {
		t.Fatalf("set %v, %v", set, err)
	}
	w.wantSet(1, 1, true)
}

// What stands is what was set last. Where that tells no order, the next report
// repairs it.
func TestAStatusWithoutAnOrderIsReplaced(t *testing.T) {
	for _, target := range []string{"", "null", runPage, runPage + "?perfgate=run-x-attempt-1", runPage + "?perfgate=run-99-attempt-1-",
		runPage + "?perfgate=run-99999999999999999999999-attempt-1", "https://x/%zz?perfgate=run-99-attempt-1"} {
		w := newWorld(t)
		w.wantSet(9, 1, true)
		spoiled := `[{"id":2000,"context":"perfgate","target_url":"` + target + `","creator":{"login":"` + githubtest.ActionsBot + `"}}]`
		w.times(1, "GET", "/statuses", answers(200, spoiled))
		w.wantSet(8, 1, true)
	}
}

func TestTheAddressOfAStatusLeadsWhereItDid(t *testing.T) {
	for target, want := range map[string]string{
		runPage:              runPage + "?perfgate=run-3-attempt-2",
		runPage + "?pr=1":    runPage + "?perfgate=run-3-attempt-2&pr=1",
		runPage + "#comment": runPage + "?perfgate=run-3-attempt-2#comment",
	} {
		w := newWorld(t)
		if set, err := w.setStatus(w.client, "perfgate", target, 3, 2); err != nil || !set {
			t.Errorf("%s: set %v, %v", target, set, err)
		}
		if got := w.repo.Statuses(w.head); len(got) != 1 || got[0].TargetURL != want {
			t.Errorf("statuses %+v, want the address %s", got, want)
		}
		w.wantSet(3, 1, false)
	}
}

func TestAStatusWithoutAnAddressIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, bad := range []string{"", "actions/runs/1", "https://x/%zz"} {
		if set, err := w.setStatus(w.client, "perfgate", bad, 1, 1); err == nil || set {
			t.Errorf("%q: set %v, %v", bad, set, err)
		}
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// Where it cannot be told what stands, nothing is put in its place.
func TestAStatusIsNotSetWhereItsOrderIsUnknown(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"forbidden": answers(403, `{"message":"Resource not accessible by integration"}`),
		"refused":   answers(422, "{}"),
		"limited":   answers(403, `{"message":"API rate limit exceeded"}`, "Retry-After", "3600"),
	} {
		w := newWorld(t)
		w.times(always, "GET", "/statuses", answer)
		set, err := w.setStatus(w.client, "perfgate", runPage, 1, 1)
		if err == nil || set || errors.Is(err, github.ErrReadOnly) != (name == "forbidden") {
			t.Errorf("%s: set %v, %v", name, set, err)
		}
		if n := w.Count("POST", "/statuses/"+w.head); n != 0 {
			t.Errorf("%s: set %d times", name, n)
		}
	}
}
