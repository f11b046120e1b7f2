package github

import "time"

// SetAnswerTimeout shortens how long one attempt may take.
func (c *Client) SetAnswerTimeout(d time.Duration) { c.transport.timeout = d }

const (
	AttemptsMax = attemptsMax
	AnswerMax   = answerMax
	PagesMax    = pagesMax
)
