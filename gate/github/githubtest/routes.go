package githubtest

import (
	"fmt"
	"net/http"
)

// routes are the endpoints, named as GitHub's description names them.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	on := func(method, path string, serve func(*call) (int, any), scopes ...string) {
		mux.Handle(method+" /repos/{owner}/{repo}"+path, s.handler(route{scopes, serve}))
	}
	on("GET", "/compare/{basehead}", compare)
	on("GET", "/contents/{path...}", getContents)

	on("GET", "/pulls", listPulls)
	on("POST", "/pulls", createPull, "pull-requests")
	on("GET", "/pulls/{number}", getPull)
	on("GET", "/pulls/{number}/files", listPullFiles)
	on("GET", "/pulls/{number}/commits", listPullCommits)
	on("GET", "/pulls/{number}/reviews", listReviews)
	on("GET", "/collaborators/{user}/permission", getPermission)

	on("GET", "/issues/{number}/comments", listComments)
	on("POST", "/issues/{number}/comments", createComment, "issues", "pull-requests")
	on("PATCH", "/issues/comments/{id}", editComment, "issues", "pull-requests")
	on("DELETE", "/issues/comments/{id}", deleteComment, "issues", "pull-requests")

	on("POST", "/statuses/{sha}", createStatus, "statuses")
	on("GET", "/commits/{ref}/statuses", listStatuses)
	on("POST", "/check-runs", createCheckRun, "checks")
	on("GET", "/commits/{ref}/check-runs", listCheckRuns)

	on("GET", "/actions/runs/{run}", getRun)
	on("GET", "/actions/runs/{run}/artifacts", listArtifacts)
	on("GET", "/actions/artifacts/{artifact}/{format}", downloadArtifact)

	on("POST", "/git/blobs", createBlob, "contents")
	on("GET", "/git/blobs/{sha}", getBlob)
	on("POST", "/git/trees", createTree, "contents")
	on("GET", "/git/trees/{sha}", getTree)
	on("POST", "/git/commits", createCommit, "contents")
	on("GET", "/git/commits/{sha}", getGitCommit)
	on("GET", "/git/ref/{ref...}", getRef)
	on("POST", "/git/refs", createRef, "contents")
	on("PATCH", "/git/refs/{ref...}", updateRef, "contents")

	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, http.StatusNotImplemented, object{"message": fmt.Sprintf("githubtest has no endpoint %s %s", r.Method, r.URL.Path)})
	})
	return mux
}
