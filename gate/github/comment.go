package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-github/v60/github"
)

// roundsMax bounds how often the comments are listed for one upsert: each round
// ends with what it listed being so, unless somebody deletes or adds a comment
// at the same time.
const roundsMax = 5

// markerName is what may stand in a comment's marker: nothing that ends an HTML
// comment.
var markerName = regexp.MustCompile(`^[a-z][a-z0-9:.]*( [a-z0-9:.]+)*$`)

// FindComment finds our comment on a pull request: the oldest, if there are
// several.
func (c *Client) FindComment(ctx context.Context, number int, marker string) (comment Comment, found bool, err error) {
	own, err := c.ownComments(ctx, number, marker)
	if err != nil || len(own) == 0 {
		return Comment{}, false, err
	}
	return own[0], true, nil
}

// UpsertComment makes our one comment on a pull request say body. The client
// puts a line before it, an HTML comment with the marker and the order:
//
//	<!-- MARKER run=7 attempt=1 -->
//
// Ours is what begins with the marker and is by the token's own author, so that
// neither a quotation nor somebody's imitation is taken for it. The oldest is
// kept, further ones of ours are deleted, one that was deleted is made again.
// A comment of a newer order stays as it is: posted is false then. There is no
// conditional edit in GitHub's API; the workflow's concurrency group keeps two
// runs from editing in the same second.
//
// A token that may not write is ErrReadOnly, and so is a locked conversation.
func (c *Client) UpsertComment(ctx context.Context, number int, marker, body string, order Order) (url string, posted bool, err error) {
	if !markerName.MatchString(marker) {
		return "", false, fmt.Errorf("github: %q cannot be a marker", marker)
	}
	u := upsert{Client: c, number: number, marker: marker, order: order, body: markerLine(marker, order) + "\n" + body}
	for range roundsMax {
		kept, settled, err := u.round(ctx)
		if err != nil {
			return "", false, fmt.Errorf("github: commenting on pull request #%d: %w", number, err)
		}
		if settled {
			return kept.URL, !order.Less(kept.Order), nil
		}
	}
	return "", false, fmt.Errorf("github: commenting on pull request #%d: its comments change all the time", number)
}

func markerLine(marker string, order Order) string {
	return fmt.Sprintf("<!-- %s run=%d attempt=%d -->", marker, order.Run, order.Attempt)
}

// An upsert is one call of UpsertComment.
type upsert struct {
	*Client
	number       int
	marker, body string
	order        Order
	// created is what this upsert made and what a list may not show yet.
	created *Comment
	posts   int
}

// round lists our comments and makes them one, with the newest body. It is
// settled when it found them so, or changed what nobody else can have changed.
func (u *upsert) round(ctx context.Context) (kept Comment, settled bool, err error) {
	own, err := u.ownComments(ctx, u.number, u.marker)
	if err != nil {
		return Comment{}, false, err
	}
	if u.created != nil && !slices.ContainsFunc(own, func(c Comment) bool { return c.ID == u.created.ID }) {
		own = append(own, *u.created)
		slices.SortFunc(own, byID)
	}
	if len(own) == 0 {
		return Comment{}, false, u.create(ctx)
	}
	kept = own[0]
	newest := slices.MaxFunc(own, func(a, b Comment) int { return compareOrder(a.Order, b.Order) })
	body := u.body
	if u.order.Less(newest.Order) {
		body = newest.Body
	}
	if kept.Body != body {
		kept, err = u.edit(ctx, kept, body)
		if errors.Is(err, fs.ErrNotExist) {
			u.created = nil
			return Comment{}, false, nil // Deleted in between: look again.
		}
		if err != nil {
			return Comment{}, false, err
		}
	}
	for _, extra := range own[1:] {
		if err := u.remove(ctx, extra); err != nil {
			return Comment{}, false, err
		}
	}
	return kept, true, nil
}

// create posts the comment. The next round sees whether another run did the
// same in the same moment, and whether a request without an answer got through.
func (u *upsert) create(ctx context.Context) error {
	u.posts++
	made, _, err := u.api.Issues.CreateComment(ctx, u.owner, u.name, u.number, &github.IssueComment{Body: &u.body})
	if err = clean(err); err == nil {
		// Whoever it is by is who the token acts as. An older comment of that
		// author shows up in the next round, and this one goes.
		u.author = cmp.Or(made.GetUser().GetLogin(), u.author)
		created := comment(made, u.marker)
		u.created = &created
		return nil
	}
	if u.posts == postsMax || !errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	return u.pause(ctx)
}

func (u *upsert) edit(ctx context.Context, old Comment, body string) (Comment, error) {
	edited, _, err := u.api.Issues.EditComment(ctx, u.owner, u.name, old.ID, &github.IssueComment{Body: &body})
	if err != nil {
		return Comment{}, clean(err)
	}
	return comment(edited, u.marker), nil
}

// remove deletes a duplicate; that it is gone already is as well.
func (u *upsert) remove(ctx context.Context, extra Comment) error {
	_, err := u.api.Issues.DeleteComment(ctx, u.owner, u.name, extra.ID)
	if err = clean(err); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ownComments lists our comments on a pull request, the oldest first.
func (c *Client) ownComments(ctx context.Context, number int, marker string) ([]Comment, error) {
	all, err := pages(func(o github.ListOptions) ([]*github.IssueComment, *github.Response, error) {
		return c.api.Issues.ListComments(ctx, c.owner, c.name, number, &github.IssueListCommentsOptions{ListOptions: o})
	})
	if err != nil {
		return nil, fmt.Errorf("listing the comments of #%d: %w", number, err)
	}
	var own []Comment
	for _, found := range all {
		// A login with brackets cannot be registered: only apps have one.
		if found.GetUser().GetLogin() == c.author && strings.HasPrefix(found.GetBody(), "<!-- "+marker+" ") {
			own = append(own, comment(found, marker))
		}
	}
	slices.SortFunc(own, byID)
	return own, nil
}

func comment(found *github.IssueComment, marker string) Comment {
	return Comment{ID: found.GetID(), URL: found.GetHTMLURL(), Body: found.GetBody(), Order: parseOrder(found.GetBody(), marker)}
}

var orderFields = regexp.MustCompile(`^run=(\d{1,18}) attempt=(\d{1,9}) -->`)

// parseOrder reads the marker line. One that somebody spoiled is the oldest
// there is, so that the next report repairs it.
func parseOrder(body, marker string) Order {
	fields := orderFields.FindStringSubmatch(strings.TrimPrefix(body, "<!-- "+marker+" "))
	if fields == nil {
		return Order{}
	}
	run, _ := strconv.Atoi(fields[1])
	attempt, _ := strconv.Atoi(fields[2])
	return Order{run, attempt}
}

func byID(a, b Comment) int { return cmp.Compare(a.ID, b.ID) }

func compareOrder(a, b Order) int {
	return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Attempt, b.Attempt))
}
