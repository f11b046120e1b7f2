package github_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/github/githubtest"
)

func TestTheTokenStaysWithTheHostOfTheAPI(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(fmt.Sprintf("%d on %s", status, method), func(t *testing.T) {
				w := newWorld(t)
				reached := 0
				elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
				defer elsewhere.Close()
				w.times(always, method, "/comments", answers(status, "", "Location", elsewhere.URL+"/steal"))
				_, _, err := w.upsert("body", github.Order{Run: 1, Attempt: 1})
				if err == nil || !strings.Contains(err.Error(), "another host") {
					t.Errorf("error %v, want one about another host", err)
				}
				if reached != 0 {
					t.Errorf("the other host was asked %d times", reached)
				}
			})
		}
	}
}

func TestTheTransportKnowsNoHostButTheAPI(t *testing.T) {
	w := newWorld(t)
	reached := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer elsewhere.Close()
	for _, address := range []string{elsewhere.URL + "/x", "https" + strings.TrimPrefix(w.URL, "http") + "/x"} {
		if err := w.client.Get(t.Context(), address); err == nil || !strings.Contains(err.Error(), "not the API") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if reached != 0 {
		t.Errorf("the other host was asked %d times", reached)
	}
}

func TestARedirectDoesNotTurnAWriteIntoARead(t *testing.T) {
	for _, method := range []string{"POST", "PATCH"} {
		for _, status := range []int{301, 302, 303} {
			t.Run(fmt.Sprintf("%d on %s", status, method), func(t *testing.T) {
				w := newWorld(t)
				suffix := "/issues/1/comments"
				if method == "PATCH" {
					id := w.repo.AddComment(githubtest.Comment{Pull: 1, Login: githubtest.ActionsBot, Body: marked(1, 1, "old")})
					suffix = fmt.Sprintf("/issues/comments/%d", id)
				}
				w.times(always, method, suffix, answers(status, "", "Location", w.URL+"/repos/octo/new/moved"))
				_, posted, err := w.upsert("new", github.Order{Run: 2, Attempt: 1})
				if err == nil || posted || !strings.Contains(err.Error(), "renamed") {
					t.Errorf("posted %v, error %v, want one about a renamed repository", posted, err)
				}
				if n := w.Count("GET", "/moved"); n != 0 {
					t.Errorf("the %s became %d GETs", method, n)
				}
			})
		}
	}
}

func TestARedirectThatKeepsThePostIsFollowedOnTheSameHost(t *testing.T) {
	for _, status := range []int{307, 308} {
		w := newWorld(t)
		w.times(1, "POST", "/issues/1/comments", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Location", w.URL+r.URL.Path)
			rw.WriteHeader(status)
		})
		if _, posted, err := w.upsert("body", github.Order{Run: 1, Attempt: 1}); err != nil || !posted {
			t.Errorf("%d: posted %v, %v", status, posted, err)
		}
		w.wantBodies(marked(1, 1, "body"))
	}
}

func TestAReadFollowsAMovedRepositoryAndNoLoop(t *testing.T) {
	w := newWorld(t)
	w.times(1, "GET", "/pulls/1", answers(301, "", "Location", w.URL+"/repos/octo/app/pulls/1"))
	if _, err := w.client.PullRequest(t.Context(), 1); err != nil {
		t.Error(err)
	}
	w.times(always, "GET", "/pulls/1", answers(301, "", "Location", w.URL+"/repos/octo/app/pulls/1"))
	if _, err := w.client.PullRequest(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "redirected too often") {
		t.Errorf("a loop ended with %v", err)
	}
}

// lost are the ways in which the answer to a request that was carried out can
// fail to arrive.
var lost = map[string]http.HandlerFunc{
	"502":                 answers(502, "<html>"),
	"an empty 200":        answers(200, ""),
	"HTML":                answers(200, "<html>fine</html>", "Content-Type", "text/html"),
	"a broken connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"half an answer":      answers(200, `{"id": 1, "bo`, "Content-Length", "500"),
}

func TestACommentThatGotThroughIsNotPostedTwice(t *testing.T) {
	for name, answer := range lost {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.carriedOut(1, "POST", "/issues/1/comments", answer)
			url, posted, err := w.upsert("body", github.Order{Run: 1, Attempt: 1})
			if err != nil || !posted || !strings.Contains(url, "#issuecomment-") {
				t.Errorf("url %q, posted %v, %v", url, posted, err)
			}
			w.wantBodies(marked(1, 1, "body"))
			if n := w.Count("POST", "/comments"); n != 1 {
				t.Errorf("posted %d times", n)
			}
		})
	}
}

func TestACommentThatDidNotGetThroughIsPostedAgain(t *testing.T) {
	w := newWorld(t)
	w.times(2, "POST", "/issues/1/comments", answers(502, ""))
	if _, posted, err := w.upsert("body", github.Order{Run: 1, Attempt: 1}); err != nil || !posted {
		t.Errorf("posted %v, %v", posted, err)
	}
	w.wantBodies(marked(1, 1, "body"))

	w = newWorld(t)
	w.times(always, "POST", "/issues/1/comments", answers(502, ""))
	if _, _, err := w.upsert("body", github.Order{Run: 1, Attempt: 1}); !errors.Is(err, github.ErrUnknownOutcome) {
		t.Errorf("error %v, want ErrUnknownOutcome", err)
	}
	if n := w.Count("POST", "/comments"); n != 3 {
		t.Errorf("posted %d times, want 3", n)
	}
}

func TestACheckRunThatGotThroughIsNotCreatedTwice(t *testing.T) {
	run := github.CheckRun{Name: "perfgate", Conclusion: "failure", Title: "t", Summary: "s",
		Annotations: []github.Annotation{{Path: "a.go", Line: 3, Level: "warning", Title: "slower", Message: "m"}}}
	for name, answer := range lost {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.carriedOut(1, "POST", "/check-runs", answer)
			if err := w.client.CreateCheckRun(t.Context(), w.head, run); err != nil {
				t.Error(err)
			}
			if got := w.repo.CheckRuns(w.head); len(got) != 1 || got[0].Status != "completed" || got[0].Annotations[0].StartLine != 3 {
				t.Errorf("check runs %+v, want one", got)
			}
		})
	}
	w := newWorld(t)
	other := run
	other.Summary = "another report of the same name"
	if err := w.client.CreateCheckRun(t.Context(), w.head, other); err != nil {
		t.Error(err)
	}
	w.times(1, "POST", "/check-runs", answers(502, ""))
	if err := w.client.CreateCheckRun(t.Context(), w.head, run); err != nil {
		t.Error(err)
	}
	if got := w.repo.CheckRuns(w.head); len(got) != 2 {
		t.Errorf("%d check runs, want two: another report was taken for this one", len(got))
	}
}

func TestAStatusIsSentAgain(t *testing.T) {
	w := newWorld(t)
	w.times(1, "POST", "/statuses/"+w.head, answers(502, ""))
	set, err := w.client.SetStatus(t.Context(), w.head, github.Status{State: "failure", Context: "perfgate", Description: "d", TargetURL: "https://x/1"}, github.Order{Run: 1, Attempt: 1})
	if err != nil || !set {
		t.Errorf("set %v, %v", set, err)
	}
	got := w.repo.Statuses(w.head)
	if len(got) != 1 || got[0].State != "failure" || got[0].Context != "perfgate" || got[0].TargetURL != "https://x/1?perfgate=run-1-attempt-1" {
		t.Errorf("statuses %+v", got)
	}
}

func TestWhatIsNotJSONIsAnError(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"nothing":     answers(200, ""),
		"text/html":   answers(200, "<!doctype html><title>Sign in</title>", "Content-Type", "text/html"),
		"is not JSON": answers(200, `{"number": 1`),
		"about #0":    answers(200, "null"),
		"about #2":    answers(200, fmt.Sprintf(`{"number":2,"head":{"sha":%q}}`, strings.Repeat("a", 40))),
		"EOF":         answers(200, `{"number": 1}`, "Content-Length", "5000"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.times(always, "GET", "/pulls/1", answer)
			pr, err := w.client.PullRequest(t.Context(), 1)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("read %+v, error %v, want one with %q", pr, err, name)
			}
		})
	}
}

func TestAnEmptyListIsNotAnEmptyAnswer(t *testing.T) {
	w := newWorld(t)
	w.times(always, "GET", "/comments", answers(200, ""))
	if _, found, err := w.client.FindComment(t.Context(), 1, marker); err == nil {
		t.Errorf("an empty answer was taken for a list: found %v", found)
	}
}

func TestABodyWithoutEndIsCutOff(t *testing.T) {
	w := newWorld(t)
	sent := 0
	w.times(always, "GET", "/pulls/1", func(rw http.ResponseWriter, r *http.Request) {
		for spaces := strings.Repeat(" ", 1<<20); ; {
			n, err := rw.Write([]byte(spaces))
			if sent += n; err != nil {
				return
			}
		}
	})
	if _, err := w.client.PullRequest(t.Context(), 1); !errors.Is(err, github.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
	w.Close() // Waits for the handler.
	if sent > 2*github.AnswerMax {
		t.Errorf("%d bytes were taken before the end", sent)
	}
	if n := w.Count("GET", "/pulls/1"); n != 1 {
		t.Errorf("asked %d times for what is too large", n)
	}
}

// stuck begins an answer and goes on for as long as somebody listens.
func stuck(started func()) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, `{"number":`)
		http.NewResponseController(rw).Flush()
		started()
		<-r.Context().Done()
	}
}

func TestASlowBodyIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.client.SetAnswerTimeout(50 * time.Millisecond)
	w.times(2, "GET", "/pulls/1", stuck(func() {}))
	if pr, err := w.client.PullRequest(t.Context(), 1); err != nil || pr.Number != 1 {
		t.Errorf("read %+v, %v", pr, err)
	}
	w.wantWaits(time.Second, 2*time.Second)
	w.times(always, "GET", "/pulls/1", stuck(func() {}))
	if _, err := w.client.PullRequest(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "no whole answer within 50ms") {
		t.Errorf("error %v, want one about the time", err)
	}
}

func TestACancelledContextEndsARequestAtOnce(t *testing.T) {
	for name, call := range map[string]func(*world, context.Context) error{
		"pulls/1": func(w *world, ctx context.Context) error {
			_, err := w.client.PullRequest(ctx, 1)
			return err
		},
		"go.mod": func(w *world, ctx context.Context) error {
			_, err := w.client.File(ctx, "go.mod", w.base, 1000)
			return err
		},
		".zip": func(w *world, ctx context.Context) error {
			_, err := w.client.DownloadArtifact(ctx, w.repo.AddArtifact(githubtest.Artifact{Zip: []byte("zip")}), 1000)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w.times(always, "GET", name, stuck(cancel))
			if err := call(w, ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want context.Canceled", err)
			}
			w.wantWaits()
			if n := w.Count("GET", name); n > 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestACancelledContextEndsAWait(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := github.New(github.Options{APIURL: w.URL, Token: token, Repository: "octo/app"})
	if err != nil {
		t.Fatal(err)
	}
	w.times(always, "GET", "/pulls/1", func(rw http.ResponseWriter, r *http.Request) {
		defer cancel() // The client reads this answer and waits for half a minute.
		answers(429, "", "Retry-After", "30")(rw, r)
	})
	if _, err := c.PullRequest(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestEveryPageIsRead(t *testing.T) {
	w := newWorld(t)
	for i := range 205 {
		w.repo.AddComment(githubtest.Comment{Pull: 1, Login: "somebody", Body: fmt.Sprint("remark ", i)})
	}
	w.repo.AddComment(githubtest.Comment{Pull: 1, Login: githubtest.ActionsBot, Body: marked(1, 1, "ours, on the third page")})
	comment, found, err := w.client.FindComment(t.Context(), 1, marker)
	if err != nil || !found || comment.Order != (github.Order{Run: 1, Attempt: 1}) {
		t.Errorf("found %v %+v, %v", found, comment, err)
	}
	if n := w.Count("GET", "/comments"); n != 3 {
		t.Errorf("%d pages read, want 3", n)
	}
}

func TestAListWithoutEndIsIncomplete(t *testing.T) {
	w := newWorld(t)
	page := 0
	w.times(always, "GET", "/comments", func(rw http.ResponseWriter, r *http.Request) {
		page++
		answers(200, "[]", "Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, w.URL, page+1))(rw, r)
	})
	if _, _, err := w.client.FindComment(t.Context(), 1, marker); !errors.Is(err, github.ErrIncomplete) {
		t.Errorf("error %v, want ErrIncomplete", err)
	}
	if page != github.PagesMax {
		t.Errorf("%d pages read", page)
	}
	// A next page that is no later one ends the list.
	w.times(always, "GET", "/comments", answers(200, "[]", "Link", fmt.Sprintf(`<%s?page=1>; rel="next"`, w.URL)))
	before := w.Count("GET", "/comments")
	if _, _, err := w.client.FindComment(t.Context(), 1, marker); err != nil {
		t.Error(err)
	}
	if n := w.Count("GET", "/comments") - before; n > 2 {
		t.Errorf("%d pages of a loop read", n)
	}
}

func TestAReadOnlyTokenIsRecognisedOnEveryWrite(t *testing.T) {
	w := newWorld(t)
	w.AddToken(token, githubtest.Token{})
	id := w.repo.AddComment(githubtest.Comment{Pull: 1, Login: githubtest.ActionsBot, Body: marked(1, 1, "old")})
	_, _, edit := w.upsert("new", github.Order{Run: 2, Attempt: 1})
	w.repo.DeleteComment(id)
	_, _, create := w.upsert("new", github.Order{Run: 2, Attempt: 1})
	_, status := w.client.SetStatus(t.Context(), w.head, github.Status{State: "success", Context: "perfgate", TargetURL: "https://x/1"}, github.Order{Run: 2, Attempt: 1})
	for what, err := range map[string]error{
		"edit": edit, "create": create,
		"status":    status,
		"check run": w.client.CreateCheckRun(t.Context(), w.head, github.CheckRun{Name: "perfgate", Conclusion: "success"}),
	} {
		if !errors.Is(err, github.ErrReadOnly) || !strings.Contains(err.Error(), "Resource not accessible by integration") {
			t.Errorf("%s: %v, want ErrReadOnly with GitHub's words", what, err)
		}
	}
	w.wantWaits()
}

func TestErrorsNameTheRequestAndNeverTheToken(t *testing.T) {
	w := newWorld(t)
	answer := fmt.Sprintf(`{"message":"no\u001b[31m %s\nat all","errors":["first",{"message":"second","code":"custom"}]}`, token)
	for _, status := range []int{401, 403, 404, 410, 422, 451, 500} {
		w.times(always, "GET", "/pulls/1", answers(status, answer))
		_, err := w.client.PullRequest(t.Context(), 1)
		if err == nil {
			t.Fatalf("%d was no error", status)
		}
		text := err.Error()
		for _, want := range []string{"GET /repos/octo/app/pulls/1", fmt.Sprint(status), "no [31m *** at all; first; second"} {
			if !strings.Contains(text, want) {
				t.Errorf("%d: %q does not say %q", status, text, want)
			}
		}
		if strings.Contains(text, token) || strings.ContainsAny(text, "\x1b\n") {
			t.Errorf("%d: %q", status, text)
		}
		if got := errors.Is(err, fs.ErrNotExist); got != (status == 404) {
			t.Errorf("%d is fs.ErrNotExist: %v", status, got)
		}
		if errors.Is(err, github.ErrReadOnly) {
			t.Errorf("%d of a read is ErrReadOnly", status)
		}
	}
	// A transport's own error prints the whole address.
	c := w.newClient(github.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("dial with %s failed", r.Header.Get("Authorization"))
	})})
	if _, err := c.PullRequest(t.Context(), 1); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("error %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOptionsThatWouldMisleadAreRefused(t *testing.T) {
	good := github.Options{Repository: "octo/app", Token: "t"}
	if _, err := github.New(good); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]github.Options{
		"no repository":              {},
		"no owner":                   {Repository: "app"},
		"three parts":                {Repository: "octo/app/pulls"},
		"a way up":                   {Repository: "../app"},
		"a way up at the end":        {Repository: "octo/.."},
		"a query":                    {Repository: "octo/app?x=1"},
		"a space":                    {Repository: "octo/a b"},
		"an API in the clear":        {Repository: "octo/app", APIURL: "http://github.example"},
		"an API with a password":     {Repository: "octo/app", APIURL: "https://u:p@github.example"},
		"an API of another scheme":   {Repository: "octo/app", APIURL: "file:///etc"},
		"an API without a host":      {Repository: "octo/app", APIURL: "api.github.com"},
		"a token with its newline":   {Repository: "octo/app", Token: "secret\n"},
		"a token with another space": {Repository: "octo/app", Token: "sec ret"},
	} {
		if _, err := github.New(o); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestAnEnterpriseServerIsReachedBelowItsPath(t *testing.T) {
	w := newWorld(t)
	for _, address := range []string{w.URL + "/api/v3", w.URL + "/api/v3/"} {
		c := w.newClient(github.Options{APIURL: address, UserAgent: "perfgate/test"})
		if _, err := c.PullRequest(t.Context(), 1); err != nil {
			t.Error(err)
		}
	}
	for _, r := range w.Requests() {
		if r.Path != "/api/v3/repos/octo/app/pulls/1" || r.Header.Get("User-Agent") != "perfgate/test" || r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("%s %s as %s", r.Method, r.Path, r.Header.Get("User-Agent"))
		}
	}
}
