package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/report"
)

// waiversMax bounds the requests of one pull request.
const waiversMax = 100

// waivers reads what the pull request's commits ask to be accepted, from the API,
// the latest commit first. A request counts where the base branch allows waivers
// and somebody who may grant them has approved exactly this head. The author of a
// fork can write a trailer, and nobody's approval.
func (c *ciComment) waivers(ctx context.Context, f *finding) ([]config.Waiver, error) {
	commits, err := c.api.Commits(ctx, c.pr.Number)
	if err != nil && !errors.Is(err, github.ErrIncomplete) {
		return nil, err
	}
	var asked []config.Waiver
	open := false // one of them waits for an approval
	for _, commit := range slices.Backward(commits) {
		for _, value := range config.Trailers(commit.Message, config.WaiverTrailer) {
			if len(asked) == waiversMax {
				break
			}
			w := config.ParseWaiver(value, commit.SHA, c.now)
			if w.Refused == "" && !c.cfg.Waivers.Allow {
				w.Refused = "the base branch's policy allows no waivers"
			}
			open = open || w.Refused == ""
			asked = append(asked, w)
		}
	}
	approver, err := c.approver(ctx, open)
	if err != nil {
		return nil, err
	}
	f.in.PullRequest.Waivers = []report.WaiverRequest{}
	for i := range asked {
		w := &asked[i]
		request := report.WaiverRequest{}
		switch {
		case w.Refused != "":
		case approver == "":
			w.Refused = c.waitsFor()
		default:
			request.ApprovedBy = approver
		}
		request.Waiver = *w
		f.in.PullRequest.Waivers = append(f.in.PullRequest.Waivers, request)
	}
	return asked, nil
}

// approver is somebody who may grant waivers and approves this head, or nobody.
func (c *ciComment) approver(ctx context.Context, needed bool) (string, error) {
	if !needed {
		return "", nil
	}
	approvals, err := c.api.Approvals(ctx, c.pr.Number, c.pr.HeadSHA)
	if err != nil {
		return "", err
	}
	for _, a := range approvals {
		if c.mayGrant(a) {
			return a.Login, nil
		}
	}
	return "", nil
}

// mayGrant: policy names who may, or else every maintainer may.
func (c *ciComment) mayGrant(a github.Approval) bool {
	if by := c.cfg.Waivers.By; len(by) > 0 {
		return slices.ContainsFunc(by, func(login string) bool { return strings.EqualFold(login, a.Login) })
	}
	return a.Maintainer
}

func (c *ciComment) waitsFor() string {
	if by := c.cfg.Waivers.By; len(by) > 0 {
		return "it waits for " + strings.Join(by, " or ") + " to approve this head"
	}
	return "it waits for a maintainer to approve this head"
}
