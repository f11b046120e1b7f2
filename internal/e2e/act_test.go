package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/github/githubtest"
)

// The workflows as `perfgate init` writes them.
const (
	measureWorkflow  = ".github/workflows/perfgate.yml"
	commentWorkflow  = ".github/workflows/perfgate-comment.yml"
	baselineWorkflow = ".github/workflows/perfgate-baseline.yml"
)

// policy has exact metrics decide alone: how often a basket allocates is the same
// in each run, so that neither a busy machine nor a short measurement matters.
const policy = `version: 1
suites:
  smoke:
    packages: [./...]
    budget: 20s
policy:
  - unit: sec/op
    ignore: true
  - unit: cpu-sec/op
    ignore: true
baseline: baselines
comment: %s
waivers: allow
`

// TestAPullRequestInAct runs the workflows of `perfgate init` in act, as GitHub
// would for three pull requests and a push. What of it is real is in the package's
// documentation.
func TestAPullRequestInAct(t *testing.T) {
	s := newStage(t)
	write(t, filepath.Join(s.work, "perfgate.yml"), fmt.Sprintf(policy, "on-change"))
	s.push("First")

	until := time.Now().AddDate(0, 0, 30).Format(time.DateOnly)
	accept := "Fill a basket\n\nPerf-Accept: Fill allocs/op <=40% until=" + until + " - it is worth it\nPerf-Accept: Fill B/op <=40% until=" + until + " - so is this\n"
	t.Run("a slower change is refused, until a maintainer accepts it", func(t *testing.T) {
		s := s.at(t)
		s.isRefused(s.open("faster-they-said", s.repo, accept, slower(t)))
	})
	t.Run("so is a fork's, with a warning what its numbers are worth", func(t *testing.T) {
		s := s.at(t)
		s.isRefusedWithAWarning(s.open("main", s.server.AddFork(s.repo, "stranger/shop"), "Fill a basket", slower(t)))
	})
	t.Run("no change is no comment, or one of two lines", func(t *testing.T) {
		s := s.at(t)
		s.passes(s.open("docs", s.repo, "Describe the shop", func(dir string) { write(t, filepath.Join(dir, "README.md"), "A shop.\n") }))
	})
	t.Run("what lands is measured again and becomes the baseline", func(t *testing.T) { s.at(t).isRecorded() })
}

// slower makes each basket allocate 12 times instead of 9: a third more, which
// every run finds.
func slower(t *testing.T) func(dir string) {
	return func(dir string) {
		path := filepath.Join(dir, "basket.go")
		before := read(t, path)
		after := strings.Replace(before, "price := i\n", "price := i\n\t\tif i%3 == 0 {\n\t\t\tlast = new(int)\n\t\t}\n", 1) + "\n// last is what was looked at last.\nvar last *int\n"
		if len(after) < len(before)+80 {
			t.Fatal("the module of the tests has changed: nothing of it becomes slower")
		}
		write(t, path, after)
	}
}

// at is the stage for one part of a test.
func (s *stage) at(t *testing.T) *stage {
	t.Helper()
	whole := s.t
	s.t = t
	t.Cleanup(func() { s.t = whole })
	return s
}

func (s *stage) isRefused(p pull) {
	r, run := s.measure(p)
	s.jobs(r, "measure:success gate:failure")
	measured, gated := r.outputs("measure", "perfgate"), r.outputs("gate", "perfgate")
	if measured["exit-code"] != "1" || gated["exit-code"] != "1" || gated["verdict"] != "regressed" {
		s.fail(r, "the outputs are %q and %q", measured, gated)
	}
	s.contains(r, "the job summary", r.summary("gate"), "perfgate: regressed", "`allocs/op`", "+33.3%")
	s.contains(r, "the annotations", strings.Join(r.commands("warning"), "\n"), "Fill")
	// What the benchmark printed was no command.
	if errors := r.commands("error"); len(errors) > 0 {
		s.fail(r, "errors %q", errors)
	}
	s.noToken(r)

	r = s.comment(p, run)
	s.jobs(r, "comment:failure")
	first := s.onlyComment(r, p)
	s.contains(r, "the comment", first.Body, "<!-- perfgate:comment v1 run=1 attempt=1 -->", "`Fill`", "`allocs/op`", "+33.3%", "it is worth it")
	if strings.Contains(first.Body, "fork") {
		s.fail(r, "it says something of a fork:\n%s", first.Body)
	}
	s.status(r, p, "failure", "regressed")
	if got := r.outputs("comment", "perfgate")["comment-url"]; !strings.HasSuffix(got, fmt.Sprint(first.ID)) {
		s.fail(r, "the comment's address is %q", got)
	}

	// A maintainer approves this head, and the workflow is run again.
	s.repo.SetRole("ann", "maintain")
	s.repo.UpdatePull(p.number, func(g *githubtest.Pull) {
		g.Reviews = append(g.Reviews, githubtest.Review{Login: "ann", State: "APPROVED", CommitID: p.head})
	})
	r = s.comment(p, run)
	s.jobs(r, "comment:success")
	again := s.onlyComment(r, p)
	if again.ID != first.ID {
		s.fail(r, "a second run makes another comment")
	}
	s.contains(r, "the comment", again.Body, "`ann`")
	s.status(r, p, "success", "")
}

func (s *stage) isRefusedWithAWarning(p pull) {
	r, run := s.measure(p)
	s.jobs(r, "measure:success gate:failure")
	r = s.comment(p, run)
	s.jobs(r, "comment:failure")
	s.contains(r, "the comment", s.onlyComment(r, p).Body, "`allocs/op`", "+33.3%", "fork")
	s.status(r, p, "failure", "regressed")
}

func (s *stage) passes(p pull) {
	r, run := s.measure(p)
	s.jobs(r, "measure:success gate:success")
	if got := r.outputs("gate", "perfgate"); got["exit-code"] != "0" || got["verdict"] != "no change" {
		s.fail(r, "the outputs are %q", got)
	}
	s.contains(r, "the job summary", r.summary("gate"), "`Fill`", "`Total`")
	r = s.comment(p, run)
	s.jobs(r, "comment:success")
	if comments := s.repo.Comments(p.number); len(comments) != 0 {
		s.fail(r, "on-change, and a comment: %+v", comments)
	}
	s.status(r, p, "success", "no change")

	// The policy of the base branch counts, as it is when the comment is made.
	write(s.t, filepath.Join(s.work, "perfgate.yml"), fmt.Sprintf(policy, "always"))
	s.push("Comment always")
	r = s.comment(p, run)
	s.jobs(r, "comment:success")
	body := s.onlyComment(r, p).Body
	s.contains(r, "the comment", body, "perfgate: no change", "[all rows](https://github.example/octo/shop/actions/runs/")
	if lines := strings.Count(strings.TrimSpace(body), "\n"); lines != 3 { // The marker and a blank line are the others.
		s.fail(r, "the comment has more than two lines:\n%s", body)
	}
}

func (s *stage) isRecorded() {
	write(s.t, filepath.Join(s.work, "README.md"), "A shop.\n")
	before, after := s.push("Describe the shop")
	r := s.record(before, after)
	s.jobs(r, "measure:success record:success")
	tip, found := s.repo.Commit(s.repo.Branch("main"))
	if !found || tip.SHA == after || tip.Parents[0] != after {
		s.fail(r, "main is at %+v", tip)
	}
	manifest := ""
	for path, content := range tip.Files {
		if strings.HasPrefix(path, "baselines/") && strings.HasSuffix(path, "manifest.json") {
			manifest = content
		}
	}
	s.contains(r, "the manifest", manifest, after, "https://github.example/octo/shop/actions/runs/")
}

// onlyComment is the one comment that there may be, ours.
func (s *stage) onlyComment(r result, p pull) githubtest.Comment {
	s.t.Helper()
	all := s.repo.Comments(p.number)
	if len(all) != 1 || all[0].Login != githubtest.ActionsBot {
		s.fail(r, "the comments are %+v", all)
	}
	return all[0]
}

// jobs compares how the jobs of a run ended, "job:result job:result".
func (s *stage) jobs(r result, want string) {
	s.t.Helper()
	got := r.jobs()
	for _, w := range strings.Fields(want) {
		job, result, _ := strings.Cut(w, ":")
		if got[job] != result {
			s.fail(r, "the jobs end as %v, want %s", got, want)
		}
	}
}

// status compares the last commit status of a pull request's head.
func (s *stage) status(r result, p pull, state, description string) {
	s.t.Helper()
	all := s.repo.Statuses(p.head)
	if len(all) == 0 {
		s.fail(r, "the head has no status")
	}
	last := all[len(all)-1]
	if last.State != state || last.Context != "perfgate" || !strings.Contains(last.Description, description) || !strings.HasPrefix(last.TargetURL, "https://github.example/") {
		s.fail(r, "the status is %+v, want %s with %q", last, state, description)
	}
}

func (s *stage) contains(r result, what, text string, parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.fail(r, "%s has no %q:\n%s", what, part, text)
		}
	}
}

// noToken looks for the job's token where it has no business.
func (s *stage) noToken(r result) {
	s.t.Helper()
	for _, request := range s.server.Requests() {
		s.fail(r, "the measuring jobs ask the API: %s %s", request.Method, request.Path)
	}
	if strings.Contains(r.log, readToken) {
		s.fail(r, "the token is in the log")
	}
}

// fail ends the test with the log of the run.
func (s *stage) fail(r result, format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n\nThe run:\n%s", fmt.Sprintf(format, args...), r.log)
}
