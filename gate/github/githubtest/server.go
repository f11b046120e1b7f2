package githubtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Server is the API of one GitHub. Its methods may be used while it serves.
type Server struct {
	// URL is the API's root, as GITHUB_API_URL has it. The same API answers
	// under URL/api/v3, as enterprise servers have it.
	URL string
	// DownloadURL is the storage that artifact downloads are redirected to.
	// Its host name is not that of URL.
	DownloadURL string
	// MaxPerPage, MaxFiles and MaxCommits are GitHub's limits: of one page
	// (100), of a pull request's list of files (3000) and of commits (250).
	// Tests lower them, before the first request, instead of making thousands.
	MaxPerPage, MaxFiles, MaxCommits int

	api, downloads *httptest.Server
	mux            *http.ServeMux

	mu        sync.Mutex
	intercept Interceptor
	requests  []Request
	tokens    map[string]Token
	repos     map[string]*Repo // By lower-case full name.
	users     map[string]int64
	objects   objects
	lastID    int64
	now       time.Time
}

// A Token is what may be sent as a bearer token.
type Token struct {
	// Login is who acts with it; "" means github-actions[bot].
	Login string
	// Write holds the scopes that it may write: contents, issues,
	// pull-requests, statuses, checks. Everything may be read.
	Write []string
}

// ActionsBot is who acts with a workflow's GITHUB_TOKEN.
const ActionsBot = "github-actions[bot]"

// A Request is one request that arrived, with the status of its answer.
type Request struct {
	Host, Method, Path, Query string
	Header                    http.Header
	Body                      string
	Status                    int
}

// An Interceptor answers instead of the server or calls next. It sees API
// requests and downloads, and runs without the server's lock, so that it may
// change state through the server's methods.
type Interceptor func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Start listens on a port of this machine. Close it after use.
func Start() *Server {
	s := &Server{
		MaxPerPage: 100, MaxFiles: 3000, MaxCommits: 250,
		tokens: map[string]Token{}, repos: map[string]*Repo{}, users: map[string]int64{},
		objects: newObjects(), lastID: 1000,
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	s.mux = s.routes()
	s.api = httptest.NewServer(s)
	s.downloads = httptest.NewServer(s.recorded(http.HandlerFunc(s.serveDownload)))
	s.URL = s.api.URL
	s.DownloadURL = strings.Replace(s.downloads.URL, "127.0.0.1", "localhost", 1)
	return s
}

// Close stops the server and waits for the requests that it is serving.
func (s *Server) Close() {
	s.api.Close()
	s.downloads.Close()
}

// AddToken makes a token known.
func (s *Server) AddToken(token string, t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Login == "" {
		t.Login = ActionsBot
	}
	s.tokens[token] = t
}

// Intercept sends every request through f; nil ends that.
func (s *Server) Intercept(f Interceptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Requests are all that arrived so far and were answered.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count says how many requests of a method had a path with this suffix.
func (s *Server) Count(method, pathSuffix string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Method == method && strings.HasSuffix(r.Path, pathSuffix) {
			n++
		}
	}
	return n
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.recorded(http.StripPrefix(apiPrefix(r), s.mux)).ServeHTTP(w, r)
}

// apiPrefix is /api/v3 where a client takes this for an enterprise server.
func apiPrefix(r *http.Request) string {
	const enterprise = "/api/v3"
	if strings.HasPrefix(r.URL.Path, enterprise+"/") {
		return enterprise
	}
	return ""
}

// recorded keeps what arrives and sends it through the interceptor.
func (s *Server) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // The client is gone.
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		s.mu.Lock()
		intercept := s.intercept
		s.mu.Unlock()
		got := Request{Host: r.Host, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: string(body)}
		// An answer that an interceptor breaks off was still a request.
		defer func() {
			got.Status = sw.status
			s.mu.Lock()
			s.requests = append(s.requests, got)
			s.mu.Unlock()
		}()
		if intercept == nil {
			next.ServeHTTP(sw, r)
			return
		}
		// An interceptor may look at the body, and ask next more than once.
		intercept(sw, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		}))
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush what an interceptor writes.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A route is one endpoint: the scope that writing needs, and what it does.
type route struct {
	scopes []string // Any of them; none: nothing but reading.
	serve  func(*call) (status int, body any)
}

// A call is one request on its way through a route. The server is locked.
type call struct {
	*Server
	w     http.ResponseWriter
	r     *http.Request
	repo  *Repo
	token Token
	body  []byte
}

func (s *Server) handler(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		c := &call{Server: s, w: w, r: r, body: body}
		if status, answer := c.admit(rt); status != 0 {
			write(w, status, answer)
			return
		}
		status, answer := rt.serve(c)
		write(w, status, answer)
	})
}

// admit checks the token and finds the repository; status 0 lets it through.
func (c *call) admit(rt route) (int, any) {
	token, sent := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	known := false
	if c.token, known = c.tokens[token]; sent && !known {
		return fail(http.StatusUnauthorized, "Bad credentials")
	}
	c.repo = c.repos[strings.ToLower(c.r.PathValue("owner")+"/"+c.r.PathValue("repo"))]
	if c.repo == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	if c.r.Method == http.MethodGet {
		return 0, nil
	}
	if !sent {
		return fail(http.StatusUnauthorized, "Requires authentication")
	}
	if !slices.ContainsFunc(rt.scopes, func(scope string) bool { return slices.Contains(c.token.Write, scope) }) {
		return fail(http.StatusForbidden, "Resource not accessible by integration")
	}
	return 0, nil
}

// decode reads a request's JSON; a field that nobody knows is a mistake.
func (c *call) decode(into any) error {
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func write(w http.ResponseWriter, status int, body any) {
	if status == http.StatusNoContent || body == nil {
		w.WriteHeader(status)
		return
	}
	if raw, ok := body.([]byte); ok {
		w.WriteHeader(status)
		w.Write(raw)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func fail(status int, message string) (int, any) {
	return status, object{"message": message, "documentation_url": "https://docs.github.com/rest", "status": fmt.Sprint(status)}
}

// invalid is GitHub's answer to a request that it understood and refuses.
func invalid(message string, details ...string) (int, any) {
	errors := []object{}
	for _, d := range details {
		errors = append(errors, object{"code": "custom", "message": d})
	}
	return http.StatusUnprocessableEntity, object{"message": message, "documentation_url": "https://docs.github.com/rest", "errors": errors}
}

// tick gives every change a time of its own, a second after the one before.
func (s *Server) tick() time.Time {
	s.now = s.now.Add(time.Second)
	return s.now
}

func (s *Server) nextID() int64 {
	s.lastID++
	return s.lastID
}

// userID gives each login one number.
func (s *Server) userID(login string) int64 {
	if s.users[login] == 0 {
		s.users[login] = s.nextID()
	}
	return s.users[login]
}
