package githubtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

func getRun(c *call) (int, any) {
	for _, run := range c.repo.runs {
		if strconv.FormatInt(run.ID, 10) == c.r.PathValue("run") {
			return http.StatusOK, c.run(c.repo, run)
		}
	}
	return fail(http.StatusNotFound, "Not Found")
}

func listArtifacts(c *call) (int, any) {
	all := []any{}
	name := c.r.URL.Query().Get("name")
	for _, a := range c.repo.artifacts {
		if strconv.FormatInt(a.RunID, 10) == c.r.PathValue("run") && (name == "" || name == a.Name) {
			all = append(all, c.artifact(c.repo, a))
		}
	}
	return http.StatusOK, object{"total_count": len(all), "artifacts": paged(c, all)}
}

func (r *Repo) artifact(id string) *Artifact {
	for _, a := range r.artifacts {
		if strconv.FormatInt(a.ID, 10) == id {
			return a
		}
	}
	return nil
}

// downloadArtifact redirects to the storage, with a signature in the query as
// the only credential.
func downloadArtifact(c *call) (int, any) {
	a := c.repo.artifact(c.r.PathValue("artifact"))
	switch {
	case a == nil || c.r.PathValue("format") != "zip":
		return fail(http.StatusNotFound, "Not Found")
	case c.token.Login == "":
		return fail(http.StatusUnauthorized, "Requires authentication")
	case a.Expired:
		return fail(http.StatusGone, "Artifact has expired")
	}
	c.w.Header().Set("Location", fmt.Sprintf("%s/%d/%d.zip?sig=%s", c.DownloadURL, c.repo.ID, a.ID, signature))
	return http.StatusFound, nil
}

// signature is what the storage wants to see; it must not leak into errors.
const signature = "storage-signature"

// serveDownload is the storage. It refuses a bearer token, as the real one does.
func (s *Server) serveDownload(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" || r.URL.Query().Get("sig") != signature {
		http.Error(w, "AuthenticationFailed", http.StatusBadRequest)
		return
	}
	repoID, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	id, _ := strings.CutSuffix(file, ".zip")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, repo := range s.repos { // maprange: at most one matches
		if a := repo.artifact(id); a != nil && fmt.Sprint(repo.ID) == repoID {
			w.Header().Set("Content-Type", "application/zip")
			w.Write(a.Zip)
			return
		}
	}
	http.Error(w, "BlobNotFound", http.StatusNotFound)
}
