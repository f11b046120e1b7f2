package githubtest

import (
	"encoding/base64"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// resolve finds the commit that a branch, a SHA or "owner:branch" names.
func (c *call) resolve(name string) *Commit {
	if found := c.objects.commits[name]; found != nil {
		return found
	}
	repo := c.repo
	if owner, branch, split := strings.Cut(name, ":"); split {
		for _, r := range c.repos { // maprange: at most one repository of an owner is in one test
			if r.owner() == owner {
				repo, name = r, branch
			}
		}
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "refs/"), "heads/")
	return c.objects.commits[repo.refs["refs/heads/"+name]]
}

func compare(c *call) (int, any) {
	baseName, headName, _ := strings.Cut(c.r.PathValue("basehead"), "...")
	base, head := c.resolve(baseName), c.resolve(headName)
	if base == nil || head == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	common := c.objects.mergeBase(base.SHA, head.SHA)
	if common == nil {
		return fail(http.StatusNotFound, "No common ancestor between "+baseName+" and "+headName+".")
	}
	ahead, behind := c.objects.between(base.SHA, head.SHA), c.objects.between(head.SHA, base.SHA)
	status := "identical"
	switch {
	case len(ahead) > 0 && len(behind) > 0:
		status = "diverged"
	case len(ahead) > 0:
		status = "ahead"
	case len(behind) > 0:
		status = "behind"
	}
	commits := []any{}
	for _, commit := range ahead {
		commits = append(commits, c.commit(c.repo, commit))
	}
	page := web(c.repo.FullName + "/compare/" + baseName + "..." + headName)
	return http.StatusOK, object{
		"url": c.repoURL(c.repo) + "/compare/" + baseName + "..." + headName, "html_url": page, "permalink_url": page,
		"diff_url": page + ".diff", "patch_url": page + ".patch", "status": status,
		"ahead_by": len(ahead), "behind_by": len(behind), "total_commits": len(ahead),
		"base_commit": c.commit(c.repo, base), "merge_base_commit": c.commit(c.repo, common),
		"commits": paged(c, commits), "files": []any{},
	}
}

// inlineContent is up to where the contents API sends content: 1 MB.
const inlineContent = 1 << 20

func getContents(c *call) (int, any) {
	ref := c.r.URL.Query().Get("ref")
	if ref == "" {
		ref = "main"
	}
	commit := c.resolve(ref)
	if commit == nil {
		return fail(http.StatusNotFound, "No commit found for the ref "+ref)
	}
	name := c.r.PathValue("path")
	files := c.objects.files(commit.Tree)
	if e, found := files[name]; found {
		if strings.Contains(c.r.Header.Get("Accept"), "raw") {
			c.w.Header().Set("Content-Type", "application/vnd.github.raw; charset=utf-8")
			return http.StatusOK, c.objects.blobs[e.sha]
		}
		return http.StatusOK, c.content(name, e, files, ref)
	}
	listing := []any{}
	seen := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		rest, inside := strings.CutPrefix(p, strings.TrimSuffix(name, "/")+"/")
		if name == "" {
			rest, inside = p, true
		}
		child, _, deeper := strings.Cut(rest, "/")
		if !inside || seen[child] {
			continue
		}
		seen[child] = true
		e := files[p]
		o := c.content(path.Join(name, child), e, files, ref)
		delete(o, "content")
		delete(o, "encoding")
		if deeper {
			o["type"], o["size"] = "dir", 0
		}
		listing = append(listing, o)
	}
	if len(listing) == 0 {
		return fail(http.StatusNotFound, "Not Found")
	}
	return http.StatusOK, listing
}

// content describes one file. A symlink to a file of the repository is shown as
// that file, as GitHub does; one to elsewhere as itself.
func (c *call) content(name string, e entry, files map[string]entry, ref string) object {
	api := c.repoURL(c.repo) + "/contents/" + escaped(name) + "?ref=" + ref
	git := c.repoURL(c.repo) + "/git/blobs/" + e.sha
	page := web(c.repo.FullName + "/blob/" + ref + "/" + escaped(name))
	o := object{
		"type": "file", "name": path.Base(name), "path": name, "sha": e.sha, "size": len(c.objects.blobs[e.sha]),
		"url": api, "git_url": git, "html_url": page, "download_url": page,
		"_links": object{"self": api, "git": git, "html": page},
	}
	content := c.objects.blobs[e.sha]
	switch e.mode {
	case modeSubmodule:
		o["type"], o["submodule_git_url"] = "submodule", web("sub/module.git")
		return o
	case modeSymlink:
		target, inside := files[path.Join(path.Dir(name), string(content))]
		if !inside {
			o["type"], o["target"] = "symlink", string(content)
			return o
		}
		content = c.objects.blobs[target.sha]
		o["size"] = len(content)
	}
	o["encoding"], o["content"] = "none", ""
	if len(content) <= inlineContent {
		o["encoding"], o["content"] = "base64", base64Lines(content)
	}
	return o
}

// base64Lines is base64 in lines of 60 characters, as GitHub sends it.
func base64Lines(content []byte) string {
	var lines strings.Builder
	for piece := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(content)), 60) {
		lines.Write(piece)
		lines.WriteByte('\n')
	}
	return lines.String()
}

var fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)

func createStatus(c *call) (int, any) {
	var in struct {
		State, Description, Context string
		TargetURL                   string `json:"target_url"`
	}
	sha := c.r.PathValue("sha")
	if err := c.decode(&in); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	if !fullSHA.MatchString(sha) || c.objects.commits[sha] == nil {
		return invalid("No commit found for SHA: " + sha)
	}
	if !slices.Contains([]string{"error", "failure", "pending", "success"}, in.State) || utf8.RuneCountInString(in.Description) > 140 {
		return invalid("Validation Failed", "state is unknown, or description is too long (maximum is 140 characters)")
	}
	st := &Status{ID: c.nextID(), SHA: sha, State: in.State, Context: in.Context, Description: in.Description,
		TargetURL: in.TargetURL, Creator: c.token.Login, Created: c.tick()}
	if st.Context == "" {
		st.Context = "default"
	}
	c.repo.statuses = append(c.repo.statuses, st)
	return http.StatusCreated, c.status(st)
}

func (c *call) status(st *Status) object {
	return object{
		"id": st.ID, "node_id": nodeID("Status", st.ID), "url": c.repoURL(c.repo) + "/statuses/" + st.SHA, "avatar_url": nil,
		"state": st.State, "description": st.Description, "target_url": st.TargetURL, "context": st.Context,
		"created_at": stamp(st.Created), "updated_at": stamp(st.Created), "creator": c.user(st.Creator, false),
	}
}

// listStatuses has the one that was set last first.
func listStatuses(c *call) (int, any) {
	commit := c.resolve(c.r.PathValue("ref"))
	if commit == nil {
		return invalid("No commit found for SHA: " + c.r.PathValue("ref"))
	}
	all := []any{}
	for _, st := range slices.Backward(c.repo.statuses) {
		if st.SHA == commit.SHA {
			all = append(all, c.status(st))
		}
	}
	return http.StatusOK, paged(c, all)
}

// maxAnnotations is GitHub's limit for one request.
const maxAnnotations = 50

func createCheckRun(c *call) (int, any) {
	var in struct {
		Name       string
		HeadSHA    string `json:"head_sha"`
		ExternalID string `json:"external_id"`
		DetailsURL string `json:"details_url"`
		Status     string
		Conclusion string
		Started    string `json:"started_at"`
		Completed  string `json:"completed_at"`
		Output     struct {
			Title, Summary, Text string
			Annotations          []Annotation
		}
	}
	if err := c.decode(&in); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	if in.Name == "" || c.objects.commits[in.HeadSHA] == nil || len(in.Output.Annotations) > maxAnnotations {
		return invalid("Invalid request: name, head_sha or annotations")
	}
	run := &CheckRun{ID: c.nextID(), SHA: in.HeadSHA, Name: in.Name, ExternalID: in.ExternalID, DetailsURL: in.DetailsURL,
		Status: in.Status, Conclusion: in.Conclusion, Title: in.Output.Title, Summary: in.Output.Summary,
		Annotations: in.Output.Annotations, Created: c.tick()}
	c.repo.checks = append(c.repo.checks, run)
	return http.StatusCreated, c.checkRun(run)
}

func (c *call) checkRun(run *CheckRun) object {
	url := c.repoURL(c.repo) + "/check-runs"
	return object{
		"id": run.ID, "node_id": nodeID("CheckRun", run.ID), "head_sha": run.SHA, "name": run.Name, "external_id": run.ExternalID,
		"url": url, "html_url": web(c.repo.FullName + "/runs"), "details_url": run.DetailsURL,
		"status": run.Status, "conclusion": run.Conclusion, "started_at": stamp(run.Created), "completed_at": stamp(run.Created),
		"check_suite": object{"id": 1}, "app": nil, "pull_requests": []any{},
		"output": object{"title": run.Title, "summary": run.Summary, "text": nil,
			"annotations_count": len(run.Annotations), "annotations_url": url + "/annotations"},
	}
}

func listCheckRuns(c *call) (int, any) {
	commit := c.resolve(c.r.PathValue("ref"))
	name := c.r.URL.Query().Get("check_name")
	all := []any{}
	for _, run := range slices.Backward(c.repo.checks) {
		if commit != nil && run.SHA == commit.SHA && (name == "" || run.Name == name) {
			all = append(all, c.checkRun(run))
		}
	}
	return http.StatusOK, object{"total_count": len(all), "check_runs": paged(c, all)}
}
