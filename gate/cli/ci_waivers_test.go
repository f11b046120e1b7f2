package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/github/githubtest"
	"github.com/perfgate/perfgate/gate/verdict"
)

// ruleThatNeverFails is what a change would like to be judged by.
var ruleThatNeverFails = config.Rule{FailOn: config.FailOnNever}

const (
	allowing = "version: 1\nwaivers: allow\n"
	naming   = "version: 1\nwaivers: {allow: [grace]}\n"
)

// asking is a message that asks for the slowdown of the test's bundle.
func asking() string {
	return "head\n\nPerf-Accept: Add allocs/op <=80% until=" + time.Now().UTC().AddDate(0, 0, 20).Format(time.DateOnly) + " — it is worth it\n"
}

// A trailer is a request. It counts where base policy allows waivers, and somebody
// who may grant them approves exactly this head.
func TestAWaiverCountsOnceItIsApproved(t *testing.T) {
	approved := func(login string) func(h *hub) []githubtest.Review {
		return func(h *hub) []githubtest.Review {
			return []githubtest.Review{{Login: login, State: "APPROVED", CommitID: h.head}}
		}
	}
	for name, tt := range map[string]struct {
		policy  string
		reviews func(h *hub) []githubtest.Review
		exit    int
		says    string
	}{
		"nobody":                 {allowing, func(*hub) []githubtest.Review { return nil }, verdict.ExitRegression, "waits for a maintainer"},
		"a maintainer":           {allowing, approved("ada"), verdict.ExitPass, "ada"},
		"one who may only write": {allowing, approved("grace"), verdict.ExitRegression, "waits for a maintainer"},
		"a stranger":             {allowing, approved("mallory"), verdict.ExitRegression, "waits for a maintainer"},
		"one whom policy names":  {naming, approved("grace"), verdict.ExitPass, "grace"},
		"one whom it does not":   {naming, approved("ada"), verdict.ExitRegression, "waits for grace"},
		"policy allows none":     {plainPolicy, approved("ada"), verdict.ExitRegression, "allows no waivers"},
		"an app":                 {allowing, func(h *hub) []githubtest.Review { return bot(approved("ada")(h)) }, verdict.ExitRegression, "waits for a maintainer"},
		"a comment is no approval": {allowing, func(h *hub) []githubtest.Review {
			return []githubtest.Review{{Login: "ada", State: "COMMENTED", CommitID: h.head}}
		}, verdict.ExitRegression, "waits for a maintainer"},
		"of an earlier head": {allowing, func(h *hub) []githubtest.Review {
			return []githubtest.Review{{Login: "ada", State: "APPROVED", CommitID: h.base}}
		}, verdict.ExitRegression, "waits for a maintainer"},
		"taken back": {allowing, func(h *hub) []githubtest.Review {
			return append(approved("ada")(h), githubtest.Review{Login: "ada", State: "CHANGES_REQUESTED", CommitID: h.head})
		}, verdict.ExitRegression, "waits for a maintainer"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, tt.policy)
			h.repo.SetRole("ada", "maintain")
			h.repo.SetRole("grace", "write")
			h.propose(h.repo, "slow", githubtest.Commit{Files: map[string]string{"c.go": "package m\n"}, Message: asking()})
			h.repo.UpdatePull(h.number, func(p *githubtest.Pull) { p.Reviews = tt.reviews(h) })
			h.uploadBundle(h.measured(5))
			h.exits(h.tell(), tt.exit)
			h.said(tt.says, "it is worth it")
		})
	}
}

func bot(reviews []githubtest.Review) []githubtest.Review {
	for i := range reviews {
		reviews[i].Bot = true
	}
	return reviews
}

// The bundle's own list of waivers is not believed, whatever it says of them.
func TestWaiversOfTheBundleDoNotCount(t *testing.T) {
	h := newHub(t, allowing)
	b := h.measured(5)
	w := config.ParseWaiver(strings.TrimPrefix(strings.TrimSpace(strings.SplitN(asking(), "\n\n", 2)[1]), "Perf-Accept: "), h.head, time.Now())
	if w.Refused != "" {
		t.Fatal(w.Refused)
	}
	b.Manifest.Waivers, b.Manifest.WaiversAllowed = []config.Waiver{w}, true
	h.uploadBundle(b)
	h.exits(h.tell(), verdict.ExitRegression)
	if comment := h.comments()[0]; strings.Contains(comment, "it is worth it") {
		t.Errorf("the bundle's waiver is shown:\n%s", comment)
	}
}

func TestAForksWaiverCountsByAMaintainersApproval(t *testing.T) {
	h := newHub(t, allowing)
	h.repo.SetRole("ada", "admin")
	fork := h.server.AddFork(h.repo, "mallory/app")
	fork.SetRole("mallory", "admin") // of the fork, which is nothing here
	h.propose(fork, "slow", githubtest.Commit{Files: map[string]string{"c.go": "package m\n"}, Message: asking()})
	approve := func(login string) {
		h.repo.UpdatePull(h.number, func(p *githubtest.Pull) {
			p.Reviews = []githubtest.Review{{Login: login, State: "APPROVED", CommitID: h.head}}
		})
	}
	h.uploadBundle(h.measured(5))
	approve("mallory")
	h.exits(h.tell(), verdict.ExitRegression)
	approve("ada")
	h.exits(h.tell(), verdict.ExitPass)
	h.said("accepted")
}

// queue has a merge queue test the pull request.
func (h *hub) queue() {
	h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, Event: "merge_group", HeadSHA: h.merge,
		HeadBranch: "gh-readonly-queue/main/pr-1-" + h.base})
}

func TestAMergeGroupGetsAStatusAndNoComment(t *testing.T) {
	for allocs, state := range map[float64]string{3: "success", 5: "failure"} {
		h := newHub(t, chattyPolicy)
		h.queue()
		h.uploadBundle(h.measured(allocs))
		h.tell()
		h.saidNothing()
		h.status(h.merge, state)
		h.status(h.head, "")
	}
}

func TestAMergeGroupIsToldAboutItsOwnHeadOnly(t *testing.T) {
	h := newHub(t, chattyPolicy)
	h.queue()
	b := h.measured(3)
	b.Manifest.Head = h.revision(h.head)
	h.uploadBundle(b)
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.status(h.merge, "error")
	h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, Event: "merge_group", HeadSHA: h.merge, HeadBranch: "main"})
	h.exits(h.tell(), verdict.ExitNotMeasured)
	if summary := h.read(h.summary); !strings.Contains(summary, "names no pull request") {
		t.Errorf("summary:\n%s", summary)
	}
}

// What was accepted on the pull request is accepted in the queue.
func TestAMergeGroupHasTheWaiversOfItsPullRequest(t *testing.T) {
	h := newHub(t, allowing)
	h.repo.SetRole("ada", "maintain")
	h.propose(h.repo, "slow", githubtest.Commit{Files: map[string]string{"c.go": "package m\n"}, Message: asking()})
	h.repo.UpdatePull(h.number, func(p *githubtest.Pull) {
		p.Reviews = []githubtest.Review{{Login: "ada", State: "APPROVED", CommitID: h.head}}
	})
	h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, Event: "merge_group", HeadSHA: h.merge,
		HeadBranch: "gh-readonly-queue/main/pr-2-" + h.base})
	h.uploadBundle(h.measured(5))
	h.exits(h.tell(), verdict.ExitPass)
	h.status(h.merge, "success")
}
