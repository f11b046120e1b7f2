package githubtest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// longestComment is GitHub's limit, in characters.
const longestComment = 65536

// numbered finds the pull request that the path names.
func (c *call) numbered() *Pull {
	n, _ := strconv.Atoi(c.r.PathValue("number"))
	return c.repo.pull(n)
}

func listPulls(c *call) (int, any) {
	query := c.r.URL.Query()
	state, head, base := query.Get("state"), query.Get("head"), query.Get("base")
	found := []any{}
	for _, p := range slices.Backward(c.repo.pulls) {
		closed := p.Closed || p.Merged
		if state == "closed" && !closed || (state == "" || state == "open") && closed {
			continue
		}
		if base != "" && base != p.BaseRef {
			continue
		}
		// GitHub ignores a head that is not of the form owner:branch.
		if strings.Contains(head, ":") && !strings.EqualFold(head, p.HeadRepo.owner()+":"+p.HeadRef) {
			continue
		}
		found = append(found, c.pullSimple(c.repo, p))
	}
	return http.StatusOK, paged(c, found)
}

func getPull(c *call) (int, any) {
	p := c.numbered()
	if p == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	return http.StatusOK, c.pullFull(c.repo, p)
}

func createPull(c *call) (int, any) {
	var in struct {
		Title, Head, Base, Body string
		Draft                   bool
		Maintainer              bool `json:"maintainer_can_modify"`
	}
	if err := c.decode(&in); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	if c.repo.noPulls && c.token.Login == ActionsBot {
		return fail(http.StatusForbidden, "GitHub Actions is not permitted to create or approve pull requests.")
	}
	head := strings.TrimPrefix(in.Head, c.repo.owner()+":")
	if c.repo.refs["refs/heads/"+head] == "" || c.repo.refs["refs/heads/"+in.Base] == "" || in.Title == "" {
		return invalid("Validation Failed")
	}
	for _, p := range c.repo.pulls {
		if !p.Closed && !p.Merged && p.HeadRepo == c.repo && p.HeadRef == head && p.BaseRef == in.Base {
			return invalid("Validation Failed", fmt.Sprintf("A pull request already exists for %s:%s.", c.repo.owner(), head))
		}
	}
	p := c.repo.addPull(Pull{Title: in.Title, Body: in.Body, HeadRef: head, BaseRef: in.Base, Author: c.token.Login})
	return http.StatusCreated, c.pullFull(c.repo, p)
}

// A change is one file that differs between two trees.
type change struct{ path, previous, status, sha string }

// changed compares a pull request's head with where it left its base. A file
// that moved without a change is a rename, as GitHub has it.
func (s *Server) changed(p *Pull) []change {
	var before, after map[string]entry
	if base := s.objects.mergeBase(p.BaseSHA, p.HeadSHA); base != nil {
		before = s.objects.files(base.Tree)
	}
	if head := s.objects.commits[p.HeadSHA]; head != nil {
		after = s.objects.files(head.Tree)
	}
	removed := map[string]string{} // Content -> path.
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[path]; !kept {
			removed[before[path].sha] = path
		}
	}
	var changes []change
	for _, path := range slices.Sorted(maps.Keys(after)) {
		is, was := after[path], before[path]
		switch from := removed[is.sha]; {
		case was.sha == is.sha && was.mode == is.mode:
		case was.sha != "":
			changes = append(changes, change{path: path, status: "modified", sha: is.sha})
		case from != "":
			changes = append(changes, change{path: path, previous: from, status: "renamed", sha: is.sha})
			delete(removed, is.sha)
		default:
			changes = append(changes, change{path: path, status: "added", sha: is.sha})
		}
	}
	for _, path := range slices.Sorted(maps.Values(removed)) {
		changes = append(changes, change{path: path, status: "removed", sha: before[path].sha})
	}
	return changes
}

func listPullFiles(c *call) (int, any) {
	p := c.numbered()
	if p == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	files := []any{}
	for _, f := range c.changed(p) {
		if len(files) == c.MaxFiles {
			break
		}
		at := "/" + p.HeadSHA + "/" + escaped(f.path)
		o := object{
			"sha": f.sha, "filename": f.path, "status": f.status, "additions": 1, "deletions": 0, "changes": 1, "patch": "@@",
			"blob_url": web(c.repo.FullName + "/blob" + at), "raw_url": web(c.repo.FullName + "/raw" + at),
			"contents_url": c.repoURL(c.repo) + "/contents/" + escaped(f.path) + "?ref=" + p.HeadSHA,
		}
		if f.previous != "" {
			o["previous_filename"] = f.previous
		}
		files = append(files, o)
	}
	return http.StatusOK, paged(c, files)
}

func listPullCommits(c *call) (int, any) {
	p := c.numbered()
	if p == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	commits := []any{}
	for _, commit := range c.objects.between(p.BaseSHA, p.HeadSHA) {
		if len(commits) == c.MaxCommits {
			break
		}
		commits = append(commits, c.commit(c.repo, commit))
	}
	return http.StatusOK, paged(c, commits)
}

func listReviews(c *call) (int, any) {
	p := c.numbered()
	if p == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	reviews := []any{}
	api := fmt.Sprintf("%s/pulls/%d", c.repoURL(c.repo), p.Number)
	for i, r := range p.Reviews {
		id := int64(p.Number)*1000 + int64(i) + 1
		page := web(fmt.Sprintf("%s/pull/%d#pullrequestreview-%d", c.repo.FullName, p.Number, id))
		reviews = append(reviews, object{
			"id": id, "node_id": nodeID("Review", id), "user": c.user(r.Login, r.Bot), "body": "", "state": r.State,
			"commit_id": r.CommitID, "html_url": page, "pull_request_url": api, "author_association": "MEMBER",
			"submitted_at": stamp(c.now),
			"_links":       object{"html": object{"href": page}, "pull_request": object{"href": api}},
		})
	}
	return http.StatusOK, paged(c, reviews)
}

// getPermission tells the role, and the older permission that it amounts to.
func getPermission(c *call) (int, any) {
	login := c.r.PathValue("user")
	role := c.repo.roles[login]
	if role == "" {
		role = "read"
	}
	permission, known := map[string]string{
		"admin": "admin", "maintain": "write", "write": "write", "triage": "read", "read": "read", "none": "none",
	}[role]
	if !known {
		permission = "write"
	}
	user, _ := c.user(login, false).(object)
	user["role_name"] = role
	return http.StatusOK, object{"permission": permission, "role_name": role, "user": user}
}

func listComments(c *call) (int, any) {
	p := c.numbered()
	if p == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	comments := []any{}
	for _, comment := range c.repo.comments {
		if comment.Pull == p.Number {
			comments = append(comments, c.comment(c.repo, comment))
		}
	}
	return http.StatusOK, paged(c, comments)
}

// commentBody reads the body of a comment to be; a status other than 0 refuses.
func (c *call) commentBody(p *Pull) (body string, status int, answer any) {
	var in struct{ Body string }
	if err := c.decode(&in); err != nil {
		status, answer = fail(http.StatusBadRequest, err.Error())
	} else if in.Body == "" || utf8.RuneCountInString(in.Body) > longestComment {
		status, answer = invalid("Validation Failed", "Body is empty or too long (maximum is 65536 characters)")
	} else if p != nil && p.Locked {
		status, answer = fail(http.StatusForbidden, "Unable to create comment because issue is locked.")
	}
	return in.Body, status, answer
}

func createComment(c *call) (int, any) {
	p := c.numbered()
	if p == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	body, status, answer := c.commentBody(p)
	if status != 0 {
		return status, answer
	}
	return http.StatusCreated, c.comment(c.repo, c.repo.addComment(Comment{Pull: p.Number, Login: c.token.Login, Body: body}))
}

// commentByID finds the comment that the path names.
func (c *call) commentByID() *Comment {
	id, _ := strconv.ParseInt(c.r.PathValue("id"), 10, 64)
	for _, comment := range c.repo.comments {
		if comment.ID == id {
			return comment
		}
	}
	return nil
}

func editComment(c *call) (int, any) {
	comment := c.commentByID()
	if comment == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	body, status, answer := c.commentBody(nil)
	if status != 0 {
		return status, answer
	}
	comment.Body, comment.Updated = body, c.tick()
	return http.StatusOK, c.comment(c.repo, comment)
}

func deleteComment(c *call) (int, any) {
	comment := c.commentByID()
	if comment == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	c.repo.removeComment(comment.ID)
	return http.StatusNoContent, nil
}
