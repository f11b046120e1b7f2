package github

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// attemptsMax is for one request. Waits between them of 1, 2, 4 and 8
	// seconds outlast a restart of what is between us and GitHub.
	attemptsMax = 5
	firstWait   = time.Second
	// limitWait is how long GitHub's guide says to wait at a limit that does
	// not tell; it doubles with each attempt.
	limitWait = time.Minute
	// waitMax keeps a job from sleeping for the hour that a used-up quota
	// lasts: the job that waits is paid for, and a later run does as well.
	waitMax = 10 * time.Minute
)

// limited recognises GitHub's ways to say "too fast": 429; 403 with a header
// that says when to come back, or with a quota of zero; 403 with nothing but
// words.
func limited(resp *http.Response, message string) bool {
	if resp.StatusCode == http.StatusTooManyRequests {
		return true
	}
	if resp.StatusCode != http.StatusForbidden {
		return false
	}
	message = strings.ToLower(message)
	return resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-RateLimit-Remaining") == "0" ||
		strings.Contains(message, "rate limit") || strings.Contains(message, "abuse detection")
}

// waitFor reads when a limited request may come back: Retry-After, then the
// reset of a used-up quota; 0 where neither is there.
func (t *transport) waitFor(resp *http.Response) time.Duration {
	after := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(after, 10, 32); err == nil {
		return max(time.Duration(seconds)*time.Second, firstWait)
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(at.Sub(t.now()), firstWait)
	}
	if resp.Header.Get("X-RateLimit-Remaining") != "0" {
		return 0
	}
	if seconds, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		return max(time.Unix(seconds, 0).Sub(t.now()), firstWait)
	}
	return 0
}

// again waits for the next attempt, or returns the error that ends them.
func (t *transport) again(req *http.Request, f *failure, attempt int) error {
	ctx := req.Context()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !f.limited && !f.passing {
		return f.err
	}
	if !f.limited && !safe(req) {
		f.err.cause = ErrUnknownOutcome
		return f.err
	}
	if attempt == attemptsMax {
		return f.err
	}
	wait := f.wait
	switch {
	case f.limited && wait == 0:
		wait = limitWait << (attempt - 1)
	case !f.limited:
		wait = firstWait << (attempt - 1)
	}
	if deadline, set := ctx.Deadline(); wait > waitMax || set && deadline.Sub(t.now()) < wait {
		f.err.Hint = fmt.Sprintf("it would take %s until the next attempt, which is longer than this job waits: run it again later", wait)
		return f.err
	}
	return t.sleep(ctx, wait)
}

// safe requests may be sent again although the first may have been carried out.
func safe(req *http.Request) bool {
	return req.Method != http.MethodPost || req.Context().Value(repeatableKey{}) != nil
}

// pause waits before it is looked for what a failed POST did.
func (c *Client) pause(ctx context.Context) error { return c.transport.sleep(ctx, firstWait) }
