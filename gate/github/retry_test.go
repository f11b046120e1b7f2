package github_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/github/githubtest"
)

// TestLimitsAreWaitedFor goes through GitHub's ways to say "too fast".
func TestLimitsAreWaitedFor(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	unix := func(d time.Duration) string { return fmt.Sprint(start.Add(d).Unix()) }
	const secondary = `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
	tests := []struct {
		name    string
		status  int
		body    string
		headers []string
		wait    time.Duration
	}{
		{"429 with Retry-After", 429, `{}`, []string{"Retry-After", "7"}, 7 * time.Second},
		{"429 with a date", 429, `{}`, []string{"Retry-After", start.Add(30 * time.Second).Format(http.TimeFormat)}, 30 * time.Second},
		{"429 without a word", 429, ``, nil, time.Minute},
		{"429 in HTML", 429, `<html>slow down</html>`, []string{"Content-Type", "text/html"}, time.Minute},
		{"403 with Retry-After", 403, `{"message":"Forbidden"}`, []string{"Retry-After", "9"}, 9 * time.Second},
		{"403 with a used-up quota", 403, `{"message":"Forbidden"}`, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", unix(90 * time.Second)}, 90 * time.Second},
		{"403 with a reset that is over", 403, `{"message":"Forbidden"}`, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", unix(-time.Hour)}, time.Second},
		{"403 of a secondary limit without its documentation URL", 403, secondary, nil, time.Minute},
		{"403 of a secondary limit beside an unused quota", 403, secondary, []string{"X-RateLimit-Remaining", "4000", "X-RateLimit-Reset", unix(8 * time.Minute)}, time.Minute},
		{"403 of abuse detection", 403, `{"message":"You have triggered an abuse detection mechanism."}`, nil, time.Minute},
		{"Retry-After before the reset", 429, `{}`, []string{"Retry-After", "3", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", unix(90 * time.Second)}, 3 * time.Second},
		{"a negative Retry-After", 429, `{}`, []string{"Retry-After", "-5"}, time.Second},
	}
	for _, test := range tests {
		for _, method := range []string{"GET", "POST"} {
			t.Run(test.name+" on "+method, func(t *testing.T) {
				w := newWorld(t)
				w.times(1, method, "/issues/1/comments", answers(test.status, test.body, test.headers...))
				if _, posted, err := w.upsert("body", github.Order{Run: 1, Attempt: 1}); err != nil || !posted {
					t.Fatalf("posted %v, %v", posted, err)
				}
				w.wantWaits(test.wait)
				w.wantBodies(marked(1, 1, "body"))
			})
		}
	}
}

func TestALimitWithoutAnEndIsWaitedForLongerEachTime(t *testing.T) {
	w := newWorld(t)
	w.times(always, "GET", "/pulls/1", answers(429, ""))
	_, err := w.client.PullRequest(t.Context(), 1)
	if !errors.Is(err, github.ErrRateLimited) {
		t.Errorf("error %v, want ErrRateLimited", err)
	}
	w.wantWaits(time.Minute, 2*time.Minute, 4*time.Minute, 8*time.Minute)
}

func TestALimitThatLastsTooLongIsAnErrorAtOnce(t *testing.T) {
	w := newWorld(t)
	w.times(always, "GET", "/pulls/1", answers(429, "", "Retry-After", "3000"))
	if _, err := w.client.PullRequest(t.Context(), 1); !errors.Is(err, github.ErrRateLimited) || !strings.Contains(err.Error(), "50m") {
		t.Errorf("error %v, want ErrRateLimited that says how long", err)
	}
	w.times(always, "GET", "/pulls/1", answers(429, "", "Retry-After", "20"))
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	w.now = time.Now().Add(time.Hour - 10*time.Second) // Ten seconds are left.
	if _, err := w.client.PullRequest(ctx, 1); !errors.Is(err, github.ErrRateLimited) {
		t.Errorf("error %v, want ErrRateLimited before the deadline", err)
	}
	w.wantWaits()
}

func TestTheLastRequestOfAQuotaDoesNotRefuseTheNext(t *testing.T) {
	w := newWorld(t)
	w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		rw.Header().Set("X-RateLimit-Limit", "60")
		rw.Header().Set("X-RateLimit-Remaining", "0")
		rw.Header().Set("X-RateLimit-Reset", fmt.Sprint(time.Now().Add(time.Hour).Unix()))
		next.ServeHTTP(rw, r)
	})
	for range 2 {
		if _, err := w.client.PullRequest(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAReadIsTriedAgainAndGivesUp(t *testing.T) {
	w := newWorld(t)
	w.times(2, "GET", "/pulls/1", answers(502, "<html>Bad Gateway</html>"))
	if _, err := w.client.PullRequest(t.Context(), 1); err != nil {
		t.Error(err)
	}
	w.wantWaits(time.Second, 2*time.Second)
	w.times(always, "GET", "/pulls/1", answers(503, ""))
	_, err := w.client.PullRequest(t.Context(), 1)
	if err == nil || !strings.Contains(err.Error(), "GET /repos/octo/app/pulls/1: 503 Service Unavailable") {
		t.Errorf("error %v does not name the request", err)
	}
	if got, want := w.Count("GET", "/pulls/1"), 3+github.AttemptsMax; got != want {
		t.Errorf("asked %d times, want %d", got, want)
	}
}

func TestAnEditIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	id := w.repo.AddComment(githubtest.Comment{Pull: 1, Login: githubtest.ActionsBot, Body: marked(1, 1, "old")})
	w.carriedOut(1, "PATCH", fmt.Sprint("/", id), answers(502, ""))
	if _, posted, err := w.upsert("new", github.Order{Run: 2, Attempt: 1}); err != nil || !posted {
		t.Errorf("posted %v, %v", posted, err)
	}
	w.wantBodies(marked(2, 1, "new"))
}
