package github

import (
	"net/http"
	"net/url"
)

type transport struct {
	base *url.URL
	o    Options
}

func newTransport(base *url.URL, o Options) *transport { return &transport{base, o} }

func (t *transport) checkRedirect(*http.Request, []*http.Request) error {
	return http.ErrUseLastResponse
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.o.Transport.RoundTrip(req)
}
