package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/github/githubtest"
)

// endpoints are the paths of GitHub's API that the client uses, as GitHub's
// description names them, with the methods that it uses there. A request to any
// other is a violation, and so is one of these that no operation made.
var endpoints = map[string][]string{
	"/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}": {"GET"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}":                            {"GET"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts":                  {"GET"},
	"/repos/{owner}/{repo}/check-runs":                                       {"POST"},
	"/repos/{owner}/{repo}/collaborators/{username}/permission":              {"GET"},
	"/repos/{owner}/{repo}/commits/{ref}/statuses":                           {"GET"},
	"/repos/{owner}/{repo}/compare/{basehead}":                               {"GET"},
	"/repos/{owner}/{repo}/contents/{path}":                                  {"GET"},
	"/repos/{owner}/{repo}/git/blobs":                                        {"POST"},
	"/repos/{owner}/{repo}/git/blobs/{file_sha}":                             {"GET"},
	"/repos/{owner}/{repo}/git/commits":                                      {"POST"},
	"/repos/{owner}/{repo}/git/commits/{commit_sha}":                         {"GET"},
	"/repos/{owner}/{repo}/git/ref/{ref}":                                    {"GET"},
	"/repos/{owner}/{repo}/git/refs":                                         {"POST"},
	"/repos/{owner}/{repo}/git/refs/{ref}":                                   {"PATCH"},
	"/repos/{owner}/{repo}/git/trees":                                        {"POST"},
	"/repos/{owner}/{repo}/git/trees/{tree_sha}":                             {"GET"},
	"/repos/{owner}/{repo}/issues/{issue_number}/comments":                   {"GET", "POST"},
	"/repos/{owner}/{repo}/issues/comments/{comment_id}":                     {"PATCH", "DELETE"},
	"/repos/{owner}/{repo}/pulls":                                            {"GET", "POST"},
	"/repos/{owner}/{repo}/pulls/{pull_number}":                              {"GET"},
	"/repos/{owner}/{repo}/pulls/{pull_number}/commits":                      {"GET"},
	"/repos/{owner}/{repo}/pulls/{pull_number}/files":                        {"GET"},
	"/repos/{owner}/{repo}/pulls/{pull_number}/reviews":                      {"GET"},
	"/repos/{owner}/{repo}/statuses/{sha}":                                   {"POST"},
}

// TestEveryRequestOfTheClientIsAsGitHubDescribesIt sends what the client can send
// through Prism, which holds it against GitHub's description: paths, parameters,
// headers, bodies. Prism holds the answers of githubtest against it too; were they
// not as GitHub's, what the other tests show would be worth less.
func TestEveryRequestOfTheClientIsAsGitHubDescribesIt(t *testing.T) {
	server := githubtest.Start()
	defer server.Close()
	server.MaxPerPage = 2 // So that lists have pages.
	server.AddToken("token", githubtest.Token{Write: []string{"contents", "pull-requests", "statuses", "checks"}})
	referee := &referee{operations: map[string]int{}}
	client, err := github.New(github.Options{
		APIURL: startPrism(t, withoutRedirects(t, server.URL), slices.Sorted(maps.Keys(endpoints))),
		Token:  "token", Repository: "octo/shop", Transport: referee,
		Sleep: func(context.Context, time.Duration) error {
			return errors.New("nothing here is worth a second attempt")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range operations(newShop(server), client) {
		if err := o.do(t.Context()); err != nil {
			t.Errorf("%s: %v", o.name, err)
		}
	}
	for _, violation := range referee.violations {
		t.Error(violation)
	}
	for path, methods := range endpoints {
		for _, method := range methods {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(referee.operations)), matches(method, path)) {
				t.Errorf("no operation sends %s %s", method, path)
			}
		}
	}
}

// matches tells whether "METHOD /path" is a request to an endpoint.
func matches(method, path string) func(string) bool {
	parts := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[^?]+`)
	return regexp.MustCompile("^" + method + " " + parts + "$").MatchString
}

// movedTo carries the target of a redirect past Prism, which would follow it.
const movedTo = "E2e-Moved-To"

// withoutRedirects serves what a server does, with 200 for each redirect. The
// referee turns them back.
func withoutRedirects(t *testing.T, server string) string {
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.StatusCode == http.StatusFound {
			resp.StatusCode = http.StatusOK
			resp.Header.Set(movedTo, resp.Header.Get("Location"))
			resp.Header.Del("Location")
		}
		return nil
	}
	between := httptest.NewServer(proxy)
	t.Cleanup(between.Close)
	return between.URL
}

// A shop is a repository in which every operation of the client has something to
// do: paths and branches with slashes, spaces and more, and more of each than a page.
type shop struct {
	repo           *githubtest.Repo
	base, head     string
	pull           int
	run            int64
	artifact       int64
	oldest, newest int64 // Comments of ours.
}

// marker is what our comments begin with.
const marker = "perfgate:comment v1"

func newShop(server *githubtest.Server) shop {
	repo := server.AddRepo("octo/shop")
	files := map[string]string{"a folder/the policy.yml": "version: 1\n", "b.go": "package b\n", "c.go": "package c\n"}
	s := shop{repo: repo, base: repo.AddCommit(githubtest.Commit{Message: "First", Files: files})}
	repo.SetBranch("main", s.base)
	s.head = s.base
	for i := range 3 {
		files[fmt.Sprintf("more/%d.go", i)] = "package more\n"
		s.head = repo.AddCommit(githubtest.Commit{Message: fmt.Sprintf("Change %d\n\nPerf-Accept: all", i), Parents: []string{s.head}, Files: files})
	}
	repo.SetBranch("feature/50%+faster", s.head)
	s.pull = repo.AddPull(githubtest.Pull{HeadRef: "feature/50%+faster", Reviews: []githubtest.Review{
		{Login: "ann", State: "APPROVED", CommitID: s.head},
		{Login: "bob", State: "CHANGES_REQUESTED", CommitID: s.head},
		{Login: "eve", State: "APPROVED", CommitID: s.base},
	}})
	repo.SetRole("ann", "maintain")
	repo.SetRole("bob", "write")
	s.run = repo.AddRun(githubtest.Run{HeadRepo: repo, HeadBranch: "feature/50%+faster", HeadSHA: s.head})
	for i := range 3 {
		s.artifact = repo.AddArtifact(githubtest.Artifact{RunID: s.run, Name: fmt.Sprintf("perfgate-1-%d-of-3", i+1), Zip: []byte("a zip")})
		repo.AddComment(githubtest.Comment{Pull: s.pull, Login: "ann", Body: "Looks good"})
	}
	s.oldest = repo.AddComment(githubtest.Comment{Pull: s.pull, Login: githubtest.ActionsBot, Body: "<!-- " + marker + " run=1 attempt=1 -->\nold"})
	s.newest = repo.AddComment(githubtest.Comment{Pull: s.pull, Login: githubtest.ActionsBot, Body: "<!-- " + marker + " run=2 attempt=1 -->\na duplicate"})
	return s
}

// An operation is one thing that the client can do, with a check that it did.
type operation struct {
	name string
	do   func(context.Context) error
}

func operations(s shop, c *github.Client) []operation {
	var run github.Run
	var pr github.PullRequest
	return append([]operation{
		{"run", func(ctx context.Context) (err error) {
			run, err = c.Run(ctx, s.run)
			return unless(run.HeadSHA == s.head, err)
		}},
		{"pull request of the run", func(ctx context.Context) (err error) {
			pr, err = c.FindPullRequest(ctx, run)
			return unless(pr.Number == s.pull, err)
		}},
		{"pull request again", func(ctx context.Context) error { return c.Recheck(ctx, pr) }},
		{"changed files", func(ctx context.Context) error {
			files, complete, err := c.ChangedFiles(ctx, s.pull)
			return unless(complete && len(files) == 3, err)
		}},
		{"commits", func(ctx context.Context) error {
			commits, err := c.Commits(ctx, s.pull)
			return unless(len(commits) == 3, err)
		}},
		{"commit", func(ctx context.Context) error {
			commit, err := c.Commit(ctx, s.head)
			return unless(len(commit.Parents) == 1, err)
		}},
		{"file", func(ctx context.Context) error {
			data, err := c.File(ctx, "a folder/the policy.yml", s.base, 1<<10)
			return unless(string(data) == "version: 1\n", err)
		}},
		{"absent file", func(ctx context.Context) error {
			_, err := c.File(ctx, "a/b/c/d.yml", s.base, 1<<10)
			return unless(errors.Is(err, fs.ErrNotExist), nil)
		}},
		{"ancestor", func(ctx context.Context) error {
			yes, err := c.IsAncestor(ctx, s.base, "main")
			return unless(yes, err)
		}},
		{"approvals", func(ctx context.Context) error {
			approvals, err := c.Approvals(ctx, s.pull, s.head)
			return unless(len(approvals) == 1 && approvals[0].Maintainer, err)
		}},
		{"artifacts", func(ctx context.Context) error {
			artifacts, err := c.Artifacts(ctx, s.run)
			return unless(len(artifacts) == 3, err)
		}},
		{"download", func(ctx context.Context) error {
			data, err := c.DownloadArtifact(ctx, s.artifact, 1<<10)
			return unless(string(data) == "a zip", err)
		}},
	}, append(writes(s, c), records(s, c)...)...)
}

// writes are the operations that change something.
func writes(s shop, c *github.Client) []operation {
	comment := func(number int, body string, order github.Order) func(context.Context) error {
		return func(ctx context.Context) error {
			_, posted, err := c.UpsertComment(ctx, number, marker, body, order)
			return unless(posted, err)
		}
	}
	other := s.repo.AddPull(githubtest.Pull{HeadRef: "feature/50%+faster", HeadSHA: s.base})
	status := func(state string, run int, want bool) func(context.Context) error {
		return func(ctx context.Context) error {
			set, err := c.SetStatus(ctx, s.head, github.Status{
				State: state, Context: "perfgate", Description: strings.Repeat("é", 140), TargetURL: "https://github.example/octo/shop/actions/runs/1",
			}, github.Order{Run: run, Attempt: 1})
			return unless(set == want, err)
		}
	}
	check := github.CheckRun{
		Name: "perfgate", Conclusion: "failure", DetailsURL: "https://github.example/octo/shop/actions/runs/1", Title: "1 regressed", Summary: "slower",
		Annotations: []github.Annotation{{Path: "b.go", Line: 1, Level: "warning", Title: "slower", Message: "by a third"}},
	}
	return []operation{
		{"comment, again", comment(s.pull, "newer", github.Order{Run: 3, Attempt: 1})},
		{"comment, the first", comment(other, "first", github.Order{Run: 3, Attempt: 1})},
		{"status success", status("success", 1, true)},
		{"status failure", status("failure", 2, true)},
		{"status error", status("error", 3, true)},
		{"status pending", status("pending", 4, true)},
		{"status of an older run", status("success", 3, false)},
		{"check run", func(ctx context.Context) error { return c.CreateCheckRun(ctx, s.head, check) }},
		{"one comment is left", func(context.Context) error {
			ours := 0
			for _, have := range s.repo.Comments(s.pull) {
				if strings.HasPrefix(have.Body, "<!-- "+marker) {
					ours++
				}
			}
			return unless(ours == 1 && len(s.repo.CheckRuns(s.head)) == 1 && len(s.repo.Statuses(s.head)) == 4, nil)
		}},
	}
}

// records are the operations that store baselines.
func records(s shop, c *github.Client) []operation {
	files := map[string][]byte{"baselines/a suite/manifest.json": []byte("{}\n"), "baselines/a suite/samples.txt": []byte("unit\n")}
	proposal := c.Propose("main", "perfgate/next+50%", "Baselines", "Measured on main.")
	commit := func(open func(context.Context) (*github.Snapshot, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			snapshot, err := open(ctx)
			if err != nil {
				return err
			}
			sha, err := snapshot.Commit(ctx, files, "Record baselines")
			return unless(sha != "", err)
		}
	}
	onMain := func(ctx context.Context) (*github.Snapshot, error) { return c.Snapshot(ctx, "main") }
	onOrphan := func(context.Context) (*github.Snapshot, error) { return c.Orphan("perfgate/baselines"), nil }
	return []operation{
		{"commit to the branch", commit(onMain)},
		{"read it again", func(ctx context.Context) error {
			snapshot, err := onMain(ctx)
			if err != nil {
				return err
			}
			entries, err := snapshot.List(ctx, "baselines/a suite")
			if err = unless(len(entries) == 2, err); err != nil {
				return err
			}
			data, err := snapshot.Read(ctx, "baselines/a suite/samples.txt", 1<<10)
			return unless(string(data) == "unit\n", err)
		}},
		{"commit to a branch of its own", commit(onOrphan)},
		{"commit to a proposal", commit(proposal.Snapshot)},
		{"open the proposal", func(ctx context.Context) error {
			page, err := proposal.Open(ctx)
			return unless(page != "", err)
		}},
		{"the proposal is open", func(ctx context.Context) error {
			page, err := proposal.Open(ctx)
			return unless(page != "" && len(s.repo.Pulls()) == 3, err)
		}},
	}
}

// unless reports a result that is not the expected one.
func unless(right bool, err error) error {
	if err == nil && !right {
		return errors.New("not the expected result")
	}
	return err
}
