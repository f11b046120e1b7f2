package github_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/github/githubtest"
)

func TestArtifactsOfARunAreListedByID(t *testing.T) {
	w := newWorld(t)
	w.MaxPerPage = 2
	run := w.repo.AddRun(githubtest.Run{HeadSHA: w.head})
	other := w.repo.AddRun(githubtest.Run{HeadSHA: w.head})
	var want []github.Artifact
	for i := range 5 {
		name := fmt.Sprintf("perfgate-1-%d-of-5", i)
		id := w.repo.AddArtifact(githubtest.Artifact{RunID: run, Name: name, Zip: make([]byte, i), Expired: i == 3})
		w.repo.AddArtifact(githubtest.Artifact{RunID: other, Name: name})
		want = append(want, github.Artifact{ID: id, Name: name, Size: int64(i), Expired: i == 3})
	}
	if got, err := w.client.Artifacts(t.Context(), run); err != nil || !slices.Equal(got, want) {
		t.Errorf("artifacts %+v, %v, want %+v", got, err, want)
	}
}

// artifact adds one and returns its id.
func (w *world) artifact(zip string) int64 {
	return w.repo.AddArtifact(githubtest.Artifact{Name: "perfgate-1-1-of-1", Zip: []byte(zip)})
}

func TestADownloadLeavesTheTokenBehind(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		w := newWorld(t)
		w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			if rec.Code == http.StatusFound {
				rec.Code = status
			}
			for name, values := range rec.Header() {
				rw.Header()[name] = values
			}
			rw.WriteHeader(rec.Code)
			rw.Write(rec.Body.Bytes())
		})
		got, err := w.client.DownloadArtifact(t.Context(), w.artifact("the zip"), 7)
		if err != nil || string(got) != "the zip" {
			t.Errorf("%d: %q, %v", status, got, err)
		}
		requests := w.Requests()
		last := requests[len(requests)-1]
		if len(requests) != 2 || last.Header.Get("Authorization") != "" || !strings.HasPrefix(last.Host, "localhost:") {
			t.Errorf("%d: %d requests, the last to %s with %q", status, len(requests), last.Host, last.Header.Get("Authorization"))
		}
	}
}

// storage answers the first n downloads with f.
func (w *world) storage(n int, f http.HandlerFunc) { w.times(n, "GET", ".zip", f) }

func (w *world) wantNoDownload(id, max int64, cause error, text string) {
	w.t.Helper()
	got, err := w.client.DownloadArtifact(w.t.Context(), id, max)
	if err == nil || cause != nil && !errors.Is(err, cause) || !strings.Contains(err.Error(), text) {
		w.t.Errorf("%d bytes, %v, want %v with %q", len(got), err, cause, text)
		return
	}
	if strings.Contains(err.Error(), "signature") || strings.Contains(err.Error(), token) {
		w.t.Errorf("the error holds a credential: %v", err)
	}
}

func TestADownloadFollowsOneRedirectOnly(t *testing.T) {
	w := newWorld(t)
	for _, place := range []string{w.DownloadURL + "/again.zip", w.URL + "/repos/octo/app"} {
		w.storage(always, answers(302, "", "Location", place))
		w.wantNoDownload(w.artifact("zip"), 100, nil, "302 Found, where a file was promised")
	}
	if n := w.Count("GET", "/again.zip") + w.Count("GET", "/repos/octo/app"); n != 0 {
		t.Errorf("%d second redirects were followed", n)
	}
}

func TestADownloadIsBounded(t *testing.T) {
	w := newWorld(t)
	id := w.artifact(strings.Repeat("x", 1001))
	w.wantNoDownload(id, 1000, github.ErrTooLarge, "1001")
	if got, err := w.client.DownloadArtifact(t.Context(), id, 1001); err != nil || len(got) != 1001 {
		t.Errorf("exactly as large as allowed: %d bytes, %v", len(got), err)
	}
	sent := 0
	w.storage(always, func(rw http.ResponseWriter, r *http.Request) {
		for chunk := bytes.Repeat([]byte("x"), 1<<16); ; {
			n, err := rw.Write(chunk)
			if sent += n; err != nil {
				return
			}
		}
	})
	w.wantNoDownload(id, 1000, github.ErrTooLarge, "1000")
	w.Close() // Waits for the handler.
	if sent > 16<<20 {
		t.Errorf("%d bytes were taken of what may have 1000", sent)
	}
}

func TestADownloadIsTriedAgain(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"503":                 answers(503, "busy"),
		"half a file":         answers(200, "the", "Content-Length", "7"),
		"nothing":             answers(200, ""),
		"a broken connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.storage(2, answer)
			if got, err := w.client.DownloadArtifact(t.Context(), w.artifact("the zip"), 100); err != nil || string(got) != "the zip" {
				t.Errorf("%q, %v", got, err)
			}
			w.storage(always, answer)
			w.wantNoDownload(w.artifact("zip"), 100, nil, "GET from localhost:")
		})
	}
}

func TestADownloadThatIsGoneSaysSo(t *testing.T) {
	w := newWorld(t)
	w.wantNoDownload(w.repo.AddArtifact(githubtest.Artifact{Zip: []byte("zip"), Expired: true}), 100, github.ErrExpired, "410")
	w.wantNoDownload(99, 100, fs.ErrNotExist, "404")
	w.storage(always, answers(404, "BlobNotFound"))
	w.wantNoDownload(w.artifact("zip"), 100, github.ErrExpired, "404")
	w.storage(always, answers(403, "signature expired"))
	w.wantNoDownload(w.artifact("zip"), 100, nil, "403")
	w.wantWaits()
}

func TestADownloadGoesToAnHonestAddress(t *testing.T) {
	w := newWorld(t)
	w.times(always, "GET", "/zip", answers(302, ""))
	w.wantNoDownload(w.artifact("zip"), 100, nil, "without the place")
	for _, place := range []string{"file:///etc/passwd", "ftp://storage/x", "https://user:pw@storage/x"} {
		w.times(always, "GET", "/zip", answers(302, "", "Location", place))
		w.wantNoDownload(w.artifact("zip"), 100, nil, "not https")
	}
	// An API behind https does not send anybody to plain http.
	asked := []string{}
	c := w.newClient(github.Options{APIURL: "https://api.example", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Host)
		return &http.Response{StatusCode: 302, Status: "302 Found", Header: http.Header{"Location": {"http://storage.example/x"}}, Body: http.NoBody, Request: r}, nil
	})})
	if _, err := c.DownloadArtifact(t.Context(), 1, 100); err == nil || len(asked) != 1 {
		t.Errorf("asked %v, %v", asked, err)
	}
}
