package githubtest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

func createBlob(c *call) (int, any) {
	var in struct {
		Content, Encoding, SHA string
		Size                   int
	}
	if err := c.decode(&in); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	content := []byte(in.Content)
	if in.Encoding == "base64" {
		var err error
		if content, err = base64.StdEncoding.DecodeString(in.Content); err != nil {
			return invalid("content is not valid Base64")
		}
	}
	sha := c.objects.putBlob(content)
	return http.StatusCreated, object{"sha": sha, "url": c.repoURL(c.repo) + "/git/blobs/" + sha}
}

func getBlob(c *call) (int, any) {
	sha := c.r.PathValue("sha")
	content, found := c.objects.blobs[sha]
	if !found {
		return fail(http.StatusNotFound, "Not Found")
	}
	return http.StatusOK, object{
		"sha": sha, "node_id": nodeID("Blob", sha), "size": len(content), "url": c.repoURL(c.repo) + "/git/blobs/" + sha,
		"content": base64Lines(content), "encoding": "base64",
	}
}

func createTree(c *call) (int, any) {
	var in struct {
		BaseTree string `json:"base_tree"`
		Tree     []struct {
			Path, Mode, Type string
			Size             int
			Content          *string
			// SHA is null to remove the path, and absent beside a content.
			SHA json.RawMessage
		}
	}
	if err := c.decode(&in); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	if in.BaseTree != "" && c.objects.trees[in.BaseTree] == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	files := c.objects.files(in.BaseTree)
	for _, e := range in.Tree {
		var sha string
		json.Unmarshal(e.SHA, &sha)
		switch {
		case e.Content != nil:
			files[e.Path] = entry{e.Mode, e.Path, c.objects.putBlob([]byte(*e.Content))}
		case string(e.SHA) == "null":
			for path := range files { // maprange: deletes whatever is below
				if path == e.Path || strings.HasPrefix(path, e.Path+"/") {
					delete(files, path)
				}
			}
		case e.Type == "tree" && c.objects.trees[sha] != nil:
			for path, inside := range c.objects.files(sha) { // maprange: into a map
				files[e.Path+"/"+path] = inside
			}
		case e.Type == "blob" && c.objects.blobs[sha] != nil:
			files[e.Path] = entry{e.Mode, e.Path, sha}
		default:
			return invalid("tree.sha " + string(e.SHA) + " is not a valid " + e.Type)
		}
	}
	return http.StatusCreated, c.tree(c.objects.putTree(files), false)
}

// tree lists a tree; with all, everything below it too, trees included.
func (c *call) tree(sha string, all bool) object {
	entries := []object{}
	var add func(prefix, sha string)
	add = func(prefix, sha string) {
		for _, e := range c.objects.trees[sha] {
			o := object{"path": prefix + e.name, "mode": e.mode, "type": e.kind(), "sha": e.sha,
				"url": c.repoURL(c.repo) + "/git/" + e.kind() + "s/" + e.sha}
			if e.kind() == "blob" {
				o["size"] = len(c.objects.blobs[e.sha])
			}
			entries = append(entries, o)
			if all && e.mode == modeTree {
				add(prefix+e.name+"/", e.sha)
			}
		}
	}
	add("", sha)
	return object{"sha": sha, "url": c.repoURL(c.repo) + "/git/trees/" + sha, "tree": entries, "truncated": false}
}

func getTree(c *call) (int, any) {
	sha := c.r.PathValue("sha")
	if c.objects.trees[sha] == nil {
		commit := c.resolve(sha)
		if commit == nil {
			return fail(http.StatusNotFound, "Not Found")
		}
		sha = commit.Tree
	}
	return http.StatusOK, c.tree(sha, c.r.URL.Query().Has("recursive"))
}

func createCommit(c *call) (int, any) {
	type who struct {
		Name, Email string
		Date        time.Time
	}
	var in struct {
		Message, Tree     string
		Parents           []string
		Author, Committer *who
		Signature         string
	}
	if err := c.decode(&in); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	unknown := func(sha string) bool { return c.objects.commits[sha] == nil }
	if c.objects.trees[in.Tree] == nil || slices.ContainsFunc(in.Parents, unknown) {
		return invalid("Tree SHA or parent does not exist")
	}
	commit := Commit{Message: in.Message, Tree: in.Tree, Parents: in.Parents,
		Author: c.token.Login, Email: "bot@users.noreply.github.example", Date: c.tick()}
	if in.Author != nil {
		commit.Author, commit.Email = in.Author.Name, in.Author.Email
		if !in.Author.Date.IsZero() {
			commit.Date = in.Author.Date
		}
	}
	return http.StatusCreated, c.gitCommit(c.repo, c.objects.commits[c.objects.putCommit(commit)])
}

func getGitCommit(c *call) (int, any) {
	commit := c.objects.commits[c.r.PathValue("sha")]
	if commit == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	return http.StatusOK, c.gitCommit(c.repo, commit)
}

func getRef(c *call) (int, any) {
	name := "refs/" + c.r.PathValue("ref")
	sha := c.repo.refs[name]
	if sha == "" {
		return fail(http.StatusNotFound, "Not Found")
	}
	return http.StatusOK, c.ref(c.repo, name, sha)
}

func createRef(c *call) (int, any) {
	var in struct{ Ref, SHA string }
	if err := c.decode(&in); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	switch {
	case strings.Count(in.Ref, "/") < 2 || !strings.HasPrefix(in.Ref, "refs/"):
		return invalid("Reference name must start with 'refs/' and contain at least two slashes.")
	case c.objects.commits[in.SHA] == nil:
		return invalid("Object does not exist")
	case c.repo.refs[in.Ref] != "":
		return invalid("Reference already exists")
	}
	c.repo.refs[in.Ref] = in.SHA
	return http.StatusCreated, c.ref(c.repo, in.Ref, in.SHA)
}

func updateRef(c *call) (int, any) {
	var in struct {
		SHA   string
		Force bool
	}
	name := "refs/" + c.r.PathValue("ref")
	if err := c.decode(&in); err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	switch was := c.repo.refs[name]; {
	case was == "":
		return invalid("Reference does not exist")
	case c.objects.commits[in.SHA] == nil:
		return invalid("Object does not exist")
	case c.repo.protected[strings.TrimPrefix(name, "refs/heads/")]:
		return invalid("Repository rule violations found\n\nChanges must be made through a pull request.\n\n")
	case !in.Force && !c.objects.ancestors(in.SHA)[was]:
		return invalid("Update is not a fast forward")
	}
	c.repo.refs[name] = in.SHA
	// An open pull request follows its branch.
	for _, p := range c.repo.pulls {
		if p.HeadRepo == c.repo && "refs/heads/"+p.HeadRef == name && !p.Closed && !p.Merged {
			p.HeadSHA = in.SHA
		}
	}
	return http.StatusOK, c.ref(c.repo, name, in.SHA)
}
