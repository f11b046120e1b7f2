package github

import "errors"

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

// An IdentityError says why a run cannot be tied to one pull request. Nothing
// may be posted then; the reason belongs into the job summary.
type IdentityError struct{ Reason string }

func (e *IdentityError) Error() string { return "github: " + e.Reason }

// A StaleError says that a pull request is no longer what was measured.
type StaleError struct{ Reason string }

func (e *StaleError) Error() string { return "github: " + e.Reason }
