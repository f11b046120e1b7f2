package github_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/github/githubtest"
)

const (
	token  = "ghs_secretOfTheJob"
	marker = "perfgate:comment v1"
)

// A world is a repository octo/app with a pull request #1 from its branch
// topic, and a client with a workflow's token. Its clock only moves by waiting.
type world struct {
	t *testing.T
	*githubtest.Server
	repo       *githubtest.Repo
	client     *github.Client
	base, head string

	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, Server: githubtest.Start(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	t.Cleanup(w.Close)
	w.AddToken(token, githubtest.Token{Write: []string{"pull-requests", "statuses", "checks"}})
	w.repo = w.AddRepo("octo/app")
	w.base = w.repo.AddCommit(githubtest.Commit{Message: "base", Files: map[string]string{"go.mod": "module app\n", "perfgate.yml": "version: 1\n"}})
	w.repo.SetBranch("main", w.base)
	w.head = w.repo.AddCommit(githubtest.Commit{Message: "head", Parents: []string{w.base}, Files: map[string]string{"go.mod": "module app\n", "perfgate.yml": "version: 1\n", "app.go": "package app\n"}})
	w.repo.SetBranch("topic", w.head)
	w.repo.AddPull(githubtest.Pull{HeadRef: "topic", Author: "author"})
	w.client = w.newClient(github.Options{})
	return w
}

// newClient fills in what the options leave out.
func (w *world) newClient(o github.Options) *github.Client {
	w.t.Helper()
	if o.APIURL == "" {
		o.APIURL = w.URL
	}
	if o.Token == "" {
		o.Token = token
	}
	o.Repository = "octo/app"
	o.Sleep, o.Now = w.sleep, w.clock
	c, err := github.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) sleep(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	w.waits = append(w.waits, d)
	return ctx.Err()
}

// times answers the first n requests of a method and path suffix with f, and
// the others as the server does.
func (w *world) times(n int, method, suffix string, f http.HandlerFunc) {
	var mu sync.Mutex
	w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		hit := n > 0 && r.Method == method && strings.HasSuffix(r.URL.Path, suffix)
		if hit {
			n--
		}
		mu.Unlock()
		if hit {
			f(rw, r)
			return
		}
		next.ServeHTTP(rw, r)
	})
}

const always = 1 << 30

// answers is a handler that says one thing.
func answers(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for pair := range slices.Chunk(headers, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// carriedOut lets the server do what was asked, and loses its answer.
func (w *world) carriedOut(n int, method, suffix string, instead http.HandlerFunc) {
	var mu sync.Mutex
	w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		hit := n > 0 && r.Method == method && strings.HasSuffix(r.URL.Path, suffix)
		if hit {
			n--
		}
		mu.Unlock()
		if !hit {
			next.ServeHTTP(rw, r)
			return
		}
		next.ServeHTTP(httptest.NewRecorder(), r)
		instead(rw, r)
	})
}

func (w *world) upsert(body string, order github.Order) (url string, posted bool, err error) {
	return w.client.UpsertComment(w.t.Context(), 1, marker, body, order)
}

// bodies are the comments that a reader of #1 sees.
func (w *world) bodies() []string {
	var all []string
	for _, c := range w.repo.Comments(1) {
		all = append(all, c.Body)
	}
	return all
}

func marked(run, attempt int, body string) string {
	return fmt.Sprintf("<!-- %s run=%d attempt=%d -->\n%s", marker, run, attempt, body)
}

func (w *world) wantBodies(want ...string) {
	w.t.Helper()
	if got := w.bodies(); !slices.Equal(got, want) {
		w.t.Errorf("comments are %q, want %q", got, want)
	}
}

func (w *world) wantWaits(want ...time.Duration) {
	w.t.Helper()
	if !slices.Equal(w.waits, want) {
		w.t.Errorf("waited %v, want %v", w.waits, want)
	}
}
