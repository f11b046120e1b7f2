package githubtest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"strings"
)

// An object is a JSON object. The functions below give the fields that GitHub's
// OpenAPI description requires of each kind.
type object = map[string]any

// nodeID is GitHub's other kind of identifier; it only has to be there.
func nodeID(kind string, id any) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s%v", kind, id))
}

// web is the address of something on the site rather than in the API.
func web(path string) string { return "https://github.example/" + path }

// escaped is the path of a file or ref as it stands in an address.
func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

func (s *Server) repoURL(r *Repo) string { return s.URL + "/repos/" + r.FullName }

// addresses adds the fields NAME_url that only have to be there.
func addresses(o object, base, names string) object {
	for name := range strings.FieldsSeq(names) {
		o[name+"_url"] = base + "/" + name
	}
	return o
}

// user is a simple user, or null for nobody.
func (s *Server) user(login string, bot bool) any {
	if login == "" {
		return nil
	}
	kind := "User"
	if bot || strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	url := s.URL + "/users/" + strings.NewReplacer("[", "%5B", "]", "%5D").Replace(login)
	o := object{
		"login": login, "id": s.userID(login), "node_id": nodeID("User", login), "type": kind, "site_admin": false,
		"avatar_url": web("avatars/" + fmt.Sprint(s.userID(login))), "gravatar_id": "",
		"url": url, "html_url": web(strings.TrimSuffix(login, "[bot]")),
	}
	return addresses(o, url, "events followers following gists organizations received_events repos starred subscriptions")
}

// minimal has the fields of a minimal repository, or is null for a deleted one.
func (s *Server) minimal(r *Repo) any {
	if r == nil || r.gone() {
		return nil
	}
	o := object{
		"id": r.ID, "node_id": nodeID("Repository", r.ID), "name": r.FullName[len(r.owner())+1:], "full_name": r.FullName,
		"owner": s.user(r.owner(), false), "private": false, "description": nil, "fork": r.parent != nil,
		"url": s.repoURL(r), "html_url": web(r.FullName),
	}
	return addresses(o, s.repoURL(r), "archive assignees blobs branches collaborators comments commits compare contents contributors deployments downloads events forks git_commits git_refs git_tags hooks issue_comment issue_events issues keys labels languages merges milestones notifications pulls releases stargazers statuses subscribers subscription tags teams trees")
}

// repository has the fields of a full one.
func (s *Server) repository(r *Repo) any {
	o, ok := s.minimal(r).(object)
	if !ok {
		return nil
	}
	maps.Copy(o, object{
		"default_branch": "main", "homepage": nil, "language": "Go", "mirror_url": nil, "license": nil, "visibility": "public",
		"clone_url": web(r.FullName + ".git"), "svn_url": web(r.FullName),
		"git_url": "git:github.example/" + r.FullName + ".git", "ssh_url": "git@github.example:" + r.FullName + ".git",
		"created_at": stamp(s.now), "updated_at": stamp(s.now), "pushed_at": stamp(s.now),
	})
	for name := range strings.FieldsSeq("has_downloads has_issues has_projects has_wiki has_pages has_discussions archived disabled") {
		o[name] = false
	}
	for name := range strings.FieldsSeq("forks forks_count open_issues open_issues_count size stargazers_count watchers watchers_count network_count subscribers_count") {
		o[name] = 0
	}
	return o
}

func (s *Server) gitUser(c *Commit) object {
	return object{"name": c.Author, "email": c.Email, "date": stamp(c.Date)}
}

func (s *Server) parents(r *Repo, c *Commit, kind string) []object {
	parents := []object{}
	for _, sha := range c.Parents {
		parents = append(parents, object{"sha": sha, "url": s.repoURL(r) + kind + sha, "html_url": web(r.FullName + "/commit/" + sha)})
	}
	return parents
}

// commit is a commit as the commits API has it.
func (s *Server) commit(r *Repo, c *Commit) object {
	url := s.repoURL(r) + "/commits/" + c.SHA
	return object{
		"sha": c.SHA, "node_id": nodeID("Commit", c.SHA), "url": url, "html_url": web(r.FullName + "/commit/" + c.SHA),
		"comments_url": url + "/comments", "author": object{}, "committer": object{},
		"parents": s.parents(r, c, "/commits/"),
		"commit": object{
			"author": s.gitUser(c), "committer": s.gitUser(c), "comment_count": 0, "message": c.Message,
			"tree": object{"sha": c.Tree, "url": s.repoURL(r) + "/git/trees/" + c.Tree},
			"url":  s.repoURL(r) + "/git/commits/" + c.SHA,
		},
	}
}

// gitCommit is a commit as the git database has it.
func (s *Server) gitCommit(r *Repo, c *Commit) object {
	return object{
		"sha": c.SHA, "node_id": nodeID("Commit", c.SHA), "message": c.Message,
		"url": s.repoURL(r) + "/git/commits/" + c.SHA, "html_url": web(r.FullName + "/commit/" + c.SHA),
		"author": s.gitUser(c), "committer": s.gitUser(c),
		"tree":         object{"sha": c.Tree, "url": s.repoURL(r) + "/git/trees/" + c.Tree},
		"parents":      s.parents(r, c, "/git/commits/"),
		"verification": object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil},
	}
}

func (s *Server) side(r *Repo, ref, sha string, owner string) object {
	return object{"label": owner + ":" + ref, "ref": ref, "sha": sha, "user": s.user(owner, false), "repo": s.repository(r)}
}

// pullSimple is a pull request as lists have it.
func (s *Server) pullSimple(r *Repo, p *Pull) object {
	api := fmt.Sprintf("%s/pulls/%d", s.repoURL(r), p.Number)
	issue := fmt.Sprintf("%s/issues/%d", s.repoURL(r), p.Number)
	page := web(fmt.Sprintf("%s/pull/%d", r.FullName, p.Number))
	o := object{
		"id": int64(p.Number) + r.ID*1000, "node_id": nodeID("PullRequest", p.Number), "number": p.Number,
		"state": "open", "locked": p.Locked, "title": p.Title, "body": nil, "draft": false,
		"user": s.user(p.Author, false), "author_association": "CONTRIBUTOR",
		"head":     s.side(p.HeadRepo, p.HeadRef, p.HeadSHA, p.HeadRepo.owner()),
		"base":     s.side(r, p.BaseRef, p.BaseSHA, r.owner()),
		"assignee": nil, "assignees": []any{}, "requested_reviewers": []any{}, "requested_teams": []any{},
		"labels": []any{}, "milestone": nil, "auto_merge": nil,
		"created_at": stamp(s.now), "updated_at": stamp(s.now), "closed_at": nil, "merged_at": nil, "merge_commit_sha": nil,
		"url": api, "html_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch",
		"issue_url": issue, "comments_url": issue + "/comments", "commits_url": api + "/commits",
		"review_comments_url": api + "/comments", "review_comment_url": s.repoURL(r) + "/pulls/comments{/number}",
		"statuses_url": s.repoURL(r) + "/statuses/" + p.HeadSHA,
	}
	if p.Body != "" {
		o["body"] = p.Body
	}
	if p.Closed || p.Merged {
		o["state"], o["closed_at"] = "closed", stamp(s.now)
	}
	if p.Merged {
		o["merged_at"] = stamp(s.now)
	}
	links := object{}
	for name, field := range map[string]string{ // maprange: into a map
		"self": "url", "html": "html_url", "issue": "issue_url", "comments": "comments_url", "commits": "commits_url",
		"review_comments": "review_comments_url", "review_comment": "review_comment_url", "statuses": "statuses_url",
	} {
		links[name] = object{"href": o[field]}
	}
	o["_links"] = links
	return o
}

// pullFull is a pull request as it is read alone.
func (s *Server) pullFull(r *Repo, p *Pull) object {
	o := s.pullSimple(r, p)
	files, commits := s.changed(p), s.objects.between(p.BaseSHA, p.HeadSHA)
	maps.Copy(o, object{
		"merged": p.Merged, "mergeable": true, "mergeable_state": "clean", "merged_by": nil, "maintainer_can_modify": false,
		"commits": len(commits), "changed_files": len(files), "additions": len(files), "deletions": 0,
		"comments": 0, "review_comments": 0,
	})
	return o
}

func (s *Server) comment(r *Repo, c *Comment) object {
	return object{
		"id": c.ID, "node_id": nodeID("IssueComment", c.ID), "body": c.Body, "user": s.user(c.Login, c.Bot),
		"url":        fmt.Sprintf("%s/issues/comments/%d", s.repoURL(r), c.ID),
		"html_url":   web(fmt.Sprintf("%s/pull/%d#issuecomment-%d", r.FullName, c.Pull, c.ID)),
		"issue_url":  fmt.Sprintf("%s/issues/%d", s.repoURL(r), c.Pull),
		"created_at": stamp(c.Created), "updated_at": stamp(c.Updated), "author_association": "CONTRIBUTOR",
	}
}

func (s *Server) run(r *Repo, run *Run) object {
	url := fmt.Sprintf("%s/actions/runs/%d", s.repoURL(r), run.ID)
	o := object{
		"id": run.ID, "node_id": nodeID("WorkflowRun", run.ID), "name": "perfgate", "display_title": "perfgate",
		"head_branch": nil, "head_sha": run.HeadSHA, "path": run.Path, "run_number": run.Number, "run_attempt": run.Attempt,
		"event": run.Event, "status": "completed", "conclusion": run.Conclusion, "workflow_id": 1,
		"url": url, "html_url": web(fmt.Sprintf("%s/actions/runs/%d", r.FullName, run.ID)), "pull_requests": []any{},
		"created_at": stamp(s.now), "updated_at": stamp(s.now), "run_started_at": stamp(s.now),
		"repository": s.minimal(r), "head_repository": s.minimal(run.HeadRepo), "head_commit": nil,
	}
	if run.HeadBranch != "" {
		o["head_branch"] = run.HeadBranch
	}
	return addresses(o, url, "jobs logs check_suite cancel rerun artifacts workflow")
}

func (s *Server) artifact(r *Repo, a *Artifact) object {
	url := fmt.Sprintf("%s/actions/artifacts/%d", s.repoURL(r), a.ID)
	return object{
		"id": a.ID, "node_id": nodeID("Artifact", a.ID), "name": a.Name, "size_in_bytes": len(a.Zip), "expired": a.Expired,
		"url": url, "archive_download_url": url + "/zip",
		"created_at": stamp(s.now), "updated_at": stamp(s.now), "expires_at": stamp(s.now.AddDate(0, 3, 0)),
	}
}

func (s *Server) ref(r *Repo, name, sha string) object {
	return object{
		"ref": name, "node_id": nodeID("Ref", name), "url": s.repoURL(r) + "/git/" + escaped(name),
		"object": object{"type": "commit", "sha": sha, "url": s.repoURL(r) + "/git/commits/" + sha},
	}
}
