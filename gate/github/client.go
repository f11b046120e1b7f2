package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

// DefaultAPIURL is the API of github.com. Enterprise servers set
// GITHUB_API_URL in every job, which callers pass on in Options.
const DefaultAPIURL = "https://api.github.com"

// DefaultAuthor is who comments with a workflow's GITHUB_TOKEN.
const DefaultAuthor = "github-actions[bot]"

// Options say which repository of which server a client works on.
type Options struct {
	// APIURL is the value of GITHUB_API_URL; empty means DefaultAPIURL.
	APIURL string
	// Token is sent to the host of APIURL and to no other.
	Token string
	// Repository is "owner/name".
	Repository string
	UserAgent  string
	// Author is the login that the token comments as; empty means
	// DefaultAuthor. The client corrects itself when the first comment that it
	// makes shows another author.
	Author string
	// Transport sends the requests; nil means http.DefaultTransport.
	Transport http.RoundTripper
	// Sleep waits before a retry; nil waits on the clock and the context.
	Sleep func(context.Context, time.Duration) error
	// Now tells the time, against which reset headers are read; nil: time.Now.
	Now func() time.Time
}

// A Client works on one repository through the API.
// It may be used by one goroutine at a time.
type Client struct {
	api       *github.Client
	transport *transport
	owner     string
	name      string
	author    string
}

// repositoryName is what GitHub allows in the two halves of "owner/name". It
// matters because the library pastes both into paths without escaping them.
var repositoryName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$`)

// New returns a client. It sends nothing yet.
func New(o Options) (*Client, error) {
	owner, name, err := splitRepository(o.Repository)
	if err != nil {
		return nil, err
	}
	base, err := apiBase(o.APIURL)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("github: the token holds a space or a control character; was it read with its newline?")
	}
	t := newTransport(base, o)
	api := github.NewClient(&http.Client{Transport: t, CheckRedirect: t.checkRedirect})
	api.BaseURL, api.UploadURL = base, base
	if api.UserAgent = o.UserAgent; api.UserAgent == "" {
		api.UserAgent = "perfgate"
	}
	c := &Client{api: api, transport: t, owner: owner, name: name, author: o.Author}
	if c.author == "" {
		c.author = DefaultAuthor
	}
	return c, nil
}

// Repository is the "owner/name" that the client works on.
func (c *Client) Repository() string { return c.owner + "/" + c.name }

func splitRepository(repository string) (owner, name string, err error) {
	owner, name, _ = strings.Cut(repository, "/")
	if !repositoryName.MatchString(repository) || strings.Trim(owner, ".") == "" || strings.Trim(name, ".") == "" {
		return "", "", fmt.Errorf("github: repository %q is not of the form owner/name; GITHUB_REPOSITORY holds it in every job", repository)
	}
	return owner, name, nil
}

// apiBase parses the API's address. The library wants a slash at its end.
func apiBase(address string) (*url.URL, error) {
	if address == "" {
		address = DefaultAPIURL
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.User != nil || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, errors.New("github: the API's address is not a plain http(s) URL; GITHUB_API_URL holds it in every job")
	}
	if base.Scheme == "http" && !isLoopback(base) {
		return nil, fmt.Errorf("github: the API's address %s would send the token in the clear; use https", base.Host)
	}
	base.RawQuery, base.Fragment = "", ""
	base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	return base, nil
}
