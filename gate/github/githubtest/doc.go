// Package githubtest is GitHub's REST API in memory, for tests: repositories
// with git objects, pull requests, comments, reviews, statuses, check runs,
// workflow runs and artifacts. It keeps state, so that a test asks at the end
// what a reader of the pull request would see.
//
// Its opinion: a double that is kinder than GitHub hides bugs. It pages its
// lists, cuts them where GitHub does, refuses tokens that may not write, knows
// locked conversations and fast-forwards, sends downloads to another host and
// refuses them there when they still carry a token. Answers carry the fields
// that GitHub's OpenAPI description requires. Object ids are git's own.
//
// It does not rate-limit, move or break by itself: Intercept lets a test answer
// in its place, or spoil what it answered. An endpoint that it does not know is
// a 501 that names it.
package githubtest
