package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// answerMax bounds every answer but a file's or an artifact's. The largest
	// that GitHub sends for what is asked here is a page of 100 commits with
	// messages, or of 100 files with patches, of some MB.
	answerMax = 32 << 20
	// answerTimeout is for one attempt, from sending to the last byte.
	answerTimeout = time.Minute
	// redirectsMax is one more than a renamed repository needs.
	redirectsMax = 2
)

// transport sends requests to the API's host, and what comes back is whole:
// a final answer in JSON, a redirect, or an *Error. It returns an error where
// http.RoundTripper would return a response with a status of 400 and more,
// because the library recognises only some of GitHub's ways to refuse.
type transport struct {
	base    *url.URL
	token   string
	next    http.RoundTripper
	sleep   func(context.Context, time.Duration) error
	now     func() time.Time
	timeout time.Duration
}

func newTransport(base *url.URL, o Options) *transport {
	t := &transport{base: base, token: o.Token, next: o.Transport, sleep: o.Sleep, now: o.Now, timeout: answerTimeout}
	if t.next == nil {
		t.next = http.DefaultTransport
	}
	if t.sleep == nil {
		t.sleep = sleep
	}
	if t.now == nil {
		t.now = time.Now
	}
	return t
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// limitKey carries how large the answer of one request may be.
type limitKey struct{}

func withLimit(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, limitKey{}, limit)
}

// repeatableKey marks a POST that may be sent twice.
type repeatableKey struct{}

// repeatable marks the POSTs of a context as safe to send again: because the
// second changes nothing (a blob, a tree: content has one name), or because it
// replaces the first (a commit status).
func repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatableKey{}, true)
}

// RoundTrip sends a request until it has an answer that is final.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.isAPI(req.URL) {
		return nil, &Error{Method: req.Method, Path: req.URL.Path, Hint: "refusing to send it to " + req.URL.Host + ", which is not the API"}
	}
	body, err := sendable(req)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		resp, failure := t.once(req, body)
		if failure == nil {
			return resp, nil
		}
		if err := t.again(req, failure, attempt); err != nil {
			return nil, err
		}
	}
}

func (t *transport) isAPI(u *url.URL) bool {
	return u.Scheme == t.base.Scheme && u.Host == t.base.Host
}

// sendable reads a request's body, so that it can be sent more than once.
func sendable(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer req.Body.Close()
	return io.ReadAll(req.Body)
}

// A failure is one attempt that gave no usable answer.
type failure struct {
	err *Error
	// limited: the server refused before it did anything, and wait says when to
	// come back; 0 says that it did not tell.
	limited bool
	wait    time.Duration
	// passing: it may go better next time.
	passing bool
}

// once sends a request once and reads the whole answer.
func (t *transport) once(original *http.Request, body []byte) (*http.Response, *failure) {
	ctx, cancel := context.WithTimeout(original.Context(), t.timeout)
	defer cancel()
	req := original.Clone(ctx)
	if body != nil {
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	if t.token != "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, t.broken(req, 0, err)
	}
	defer resp.Body.Close()
	limit, ok := ctx.Value(limitKey{}).(int64)
	if !ok {
		limit = answerMax
	}
	content, err := readAll(resp.Body, limit)
	if err != nil {
		return nil, t.broken(req, resp.StatusCode, err)
	}
	if f := t.judge(req, resp, content); f != nil {
		return nil, f
	}
	resp.Body = io.NopCloser(bytes.NewReader(content))
	// The library would refuse the next request by itself when these headers
	// say that this one was the last; the server's word is waited for instead.
	for _, name := range []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		resp.Header.Del(name)
	}
	return resp, nil
}

// readAll reads at most limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return content, err
}

// broken is the failure of an attempt that ended before the answer did.
func (t *transport) broken(req *http.Request, status int, err error) *failure {
	e := &Error{Method: req.Method, Path: req.URL.Path, Status: status, Message: plain(clean(err).Error(), t.token), cause: err}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Message = "no whole answer within " + t.timeout.String()
	}
	return &failure{err: e, passing: !errors.Is(err, ErrTooLarge)}
}

// judge says what is wrong with a whole answer, if anything.
func (t *transport) judge(req *http.Request, resp *http.Response, content []byte) *failure {
	switch status := resp.StatusCode; {
	case status >= http.StatusBadRequest:
		e := refused(req, status, content, t.token)
		if limited(resp, e.Message) {
			e.cause, e.Hint = ErrRateLimited, "the token's quota is used up for now: run the job again later"
			return &failure{err: e, limited: true, wait: t.waitFor(resp)}
		}
		return &failure{err: e, passing: status >= http.StatusInternalServerError}
	case status >= http.StatusMultipleChoices, status == http.StatusNoContent:
		return nil
	case !json.Valid(content):
		// The library takes an empty body for an empty object.
		what := "nothing"
		if len(content) > 0 {
			what = plain(resp.Header.Get("Content-Type"), t.token) + " that is not JSON"
		}
		return &failure{passing: true, err: &Error{Method: req.Method, Path: req.URL.Path, Status: status,
			Message: "answered with " + what, Hint: "is a proxy or a maintenance page in the way?"}}
	}
	return nil
}

// checkRedirect lets http.Client follow a redirect that stays where the token
// may go and that asks for the same thing.
func (t *transport) checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	e := &Error{Method: first.Method, Path: first.URL.Path, Status: req.Response.StatusCode}
	switch {
	case !t.isAPI(req.URL):
		e.Message = "redirected to another host, " + plain(req.URL.Scheme+"://"+req.URL.Host, t.token)
		e.Hint = "the token is not sent there; check GITHUB_API_URL"
	case req.Method != first.Method:
		e.Message = fmt.Sprintf("redirected, which would turn the %s into a %s", first.Method, req.Method)
		e.Hint = "the repository was moved or renamed; use its new name"
	case len(via) > redirectsMax:
		e.Message = "redirected too often"
	default:
		return nil
	}
	return e
}

// isLoopback knows the names under which a machine calls itself.
func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}
