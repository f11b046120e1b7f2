package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// What callers tell apart with errors.Is. A missing thing is fs.ErrNotExist.
var (
	// ErrReadOnly: the token may not write. Callers fall back to the summary.
	ErrReadOnly = errors.New("the token may not write")
	// ErrRateLimited: the limit lasts longer than the client waits.
	ErrRateLimited = errors.New("rate limited")
	// ErrTooLarge: an answer is larger than what the caller accepts.
	ErrTooLarge = errors.New("answer too large")
	// ErrExpired: the artifact was deleted by its retention.
	ErrExpired = errors.New("artifact expired")
	// ErrIncomplete: GitHub does not list everything that there is.
	ErrIncomplete = errors.New("list incomplete")
	// ErrUnknownOutcome: a request may or may not have been carried out.
	ErrUnknownOutcome = errors.New("unknown whether it was carried out")
)

// An Error is a request that failed. It never holds the token or a query.
type Error struct {
	Method, Path string
	// Status is 0 where no whole answer came.
	Status int
	// Message is what GitHub said, shortened and without control characters.
	Message string
	// Hint says what to do about it.
	Hint string

	cause error
}

func (e *Error) Error() string {
	text := e.Method + " " + e.Path
	if e.Status != 0 {
		text += fmt.Sprintf(": %d %s", e.Status, http.StatusText(e.Status))
	}
	for _, part := range []string{e.Message, e.Hint} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

func (e *Error) Unwrap() error { return e.cause }

// An IdentityError says why a run cannot be tied to one pull request. Nothing
// may be posted then; the reason belongs into the job summary.
type IdentityError struct {
	Reason string
	// Gone: no open pull request has the head any more, so there is nobody to be told.
	Gone bool
}

func (e *IdentityError) Error() string { return "github: " + e.Reason }

func identity(format string, args ...any) error {
	return &IdentityError{Reason: fmt.Sprintf(format, args...)}
}

// A StaleError says that a pull request is no longer what was measured.
type StaleError struct{ Reason string }

func (e *StaleError) Error() string { return "github: " + e.Reason }

// refused makes the error of an answer that is none of success.
func refused(req *http.Request, status int, body []byte, token string) *Error {
	e := &Error{Method: req.Method, Path: req.URL.Path, Status: status, Message: said(body, token)}
	switch {
	case status == http.StatusUnauthorized:
		e.Hint = "the token is not valid here: check github-token and, on an enterprise server, GITHUB_API_URL"
	case status == http.StatusForbidden && req.Method != http.MethodGet:
		e.Hint = "the job's permissions do not allow it; a run for a fork's pull request is never allowed to write"
		e.cause = ErrReadOnly
	case status == http.StatusForbidden:
		e.Hint = "the job's permissions do not allow it"
	case status == http.StatusNotFound:
		e.Hint = "it does not exist, or the token may not see it"
		e.cause = fs.ErrNotExist
	case status >= http.StatusInternalServerError:
		e.Hint = "GitHub is in trouble: run the job again later"
	}
	return e
}

// longestMessage keeps a page of HTML out of an error.
const longestMessage = 300

// said is the message of an error's body with those of its details.
func said(body []byte, token string) string {
	var answer struct {
		Message string
		Errors  json.RawMessage
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	parts := []string{answer.Message}
	// A detail is an object, or merely a string.
	var details []json.RawMessage
	json.Unmarshal(answer.Errors, &details)
	for _, raw := range details {
		var detail struct{ Message, Field, Code string }
		if json.Unmarshal(raw, &detail) != nil {
			json.Unmarshal(raw, &detail.Message)
		}
		parts = append(parts, strings.TrimSpace(detail.Message+" "+detail.Field+" "+detail.Code))
	}
	return plain(strings.Join(parts, "; "), token)
}

// plain makes a stranger's text fit for one line of a log.
func plain(text, token string) string {
	if token != "" {
		text = strings.ReplaceAll(text, token, "***")
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > longestMessage {
		text = string(runes[:longestMessage]) + "…"
	}
	return text
}

// clean takes the library's wrapping off an error: it would print the whole
// address, whose query may be a credential.
func clean(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
