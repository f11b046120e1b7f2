// Package github talks to GitHub's REST API about one repository: which pull
// request a run belongs to, what it changes, who approved it, what a run
// uploaded; and it posts the one comment, the commit status and the check run.
//
// Its opinion: the answer of the API is the only truth about identity. Nothing
// that a pull request's own code produced takes part in finding where a report
// goes, and where the API leaves a doubt, an *IdentityError posts nothing.
//
// All requests pass one transport, which is where the habits of the library
// beneath (go-github) and of the network are met: the token goes to the API's
// host and nowhere else, redirects that leave it or that would turn a POST into
// a GET are refused, limits are waited for, bodies are bounded and must be
// JSON, reads are tried again. A POST whose outcome is unknown is not: the
// caller looks for what it would have made first.
//
// It decides nothing about performance, renders nothing, and trusts no
// artifact: it hands zips over as bytes.
package github
