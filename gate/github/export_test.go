package github

import (
	"context"
	"time"
)

// SetAnswerTimeout shortens how long one attempt may take.
func (c *Client) SetAnswerTimeout(d time.Duration) { c.transport.timeout = d }

// Get sends a GET to any address, as a careless method might.
func (c *Client) Get(ctx context.Context, address string) error {
	req, err := c.api.NewRequest("GET", address, nil)
	if err != nil {
		return err
	}
	_, err = c.api.Do(ctx, req, nil)
	return clean(err)
}

const (
	AttemptsMax = attemptsMax
	AnswerMax   = answerMax
	PagesMax    = pagesMax
)
