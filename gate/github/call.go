package github

import (
	"context"
	"fmt"
	"net/http"
	"regexp"

	"github.com/google/go-github/v60/github"
)

// pagesMax bounds every list: 100 pages of 100 are more than three times what
// GitHub lists of anything that is asked here.
const pagesMax = 100

// get reads the JSON answer of a path below the repository.
func (c *Client) get(ctx context.Context, path string, into any) error {
	req, err := c.request(path)
	if err != nil {
		return err
	}
	_, err = c.api.Do(ctx, req, into)
	return clean(err)
}

func (c *Client) request(path string) (*http.Request, error) {
	return c.api.NewRequest(http.MethodGet, "repos/"+c.owner+"/"+c.name+"/"+path, nil)
}

// pages collects all pages of a list.
func pages[T any](list func(github.ListOptions) ([]T, *github.Response, error)) ([]T, error) {
	var all []T
	options := github.ListOptions{PerPage: 100}
	for range pagesMax {
		page, resp, err := list(options)
		if err != nil {
			return nil, clean(err)
		}
		all = append(all, page...)
		if resp.NextPage <= options.Page {
			return all, nil
		}
		options.Page = resp.NextPage
	}
	return nil, fmt.Errorf("more than %d pages: %w", pagesMax, ErrIncomplete)
}

// fullSHA is the name of a git object, SHA-1 or SHA-256. Nothing else is pasted
// into a path as one.
var fullSHA = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func checkSHA(sha string) error {
	if !fullSHA.MatchString(sha) {
		return fmt.Errorf("github: %q is not a full commit SHA", sha)
	}
	return nil
}
