package cli

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/github/githubtest"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// listing gives the base branch a suite with a list of benchmarks, and opens a
// pull request against it.
func (h *hub) listing(suites string, names ...string) {
	var entries []string
	for _, name := range names {
		entries = append(entries, fmt.Sprintf(`{"pkg":"example.org/m","name":"%s","sizes":["smoke"],"class":"timed","units":[],"hash":"%064d"}`, name, 0))
	}
	h.base = h.repo.AddCommit(githubtest.Commit{Parents: []string{h.base}, Message: "suite", Files: map[string]string{
		"perfgate.yml": "version: 1\nsuites:\n" + suites, "suite.json": `{"version":1,"benchmarks":[` + "\n" + strings.Join(entries, ",\n") + "\n]}\n"}})
	h.repo.SetBranch("main", h.base)
	h.propose(h.repo, "listed", githubtest.Commit{Message: "change"})
}

const smokeSuite = "  smoke: {packages: [./...], manifest: suite.json}\n"

// An outcome that is no failure says nothing of a benchmark that the base side has.
func TestAListedBenchmarkIsNotCalledNewOrGoneWithItsPackage(t *testing.T) {
	gone := recording.Key{Pkg: "example.org/m", Name: "BenchmarkGone", Procs: 1}
	for name, outcome := range map[string]recording.Outcome{
		"new":                         {Key: gone, Kind: recording.Added},
		"a new package":               {Key: recording.Key{Pkg: gone.Pkg}, Kind: recording.Added},
		"a package that skips itself": {Key: recording.Key{Pkg: gone.Pkg}, Kind: recording.Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, plainPolicy)
			h.listing(smokeSuite, "BenchmarkAdd", "BenchmarkGone")
			b := h.measured(3)
			b.Manifest.Suite, b.Manifest.Outcomes = "smoke", []recording.Outcome{outcome}
			h.uploadBundle(b)
			h.exits(h.tell(), verdict.ExitNotMeasured)
			h.said("Gone", "missing", "call it new")
			h.status(h.head, "error")
		})
	}
	h := newHub(t, plainPolicy)
	h.listing(smokeSuite, "BenchmarkAdd", "BenchmarkGone")
	b := h.measured(3)
	b.Manifest.Suite, b.Manifest.Outcomes = "smoke", []recording.Outcome{{Key: gone, Kind: recording.Skipped}}
	h.uploadBundle(b)
	h.exits(h.tell(), verdict.ExitPass)
}

// Which suite is measured is no choice of the pull request's.
func TestTheSuiteIsThatOfTheCommentingWorkflow(t *testing.T) {
	const both = smokeSuite + "  tiny: {packages: [./tiny]}\n"
	for name, c := range map[string]struct {
		measured, bench string
		args            []string
		want            int
	}{
		"the default":                 {"smoke", "", nil, verdict.ExitPass},
		"another one of perfgate.yml": {"tiny", "", nil, verdict.ExitNotMeasured},
		"no suite":                    {"", "", nil, verdict.ExitNotMeasured},
		"the one that is named":       {"tiny", "", []string{"--suite", "tiny"}, verdict.ExitPass},
		"not the one that is named":   {"smoke", "", []string{"--suite", "tiny"}, verdict.ExitNotMeasured},
		"a part of it, by a pattern":  {"smoke", "Add", nil, verdict.ExitNotMeasured},
		"one that perfgate.yml lacks": {"gone", "", []string{"--suite", "gone"}, verdict.ExitNotMeasured},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, plainPolicy)
			h.listing(both, "BenchmarkAdd")
			b := h.measured(3)
			b.Manifest.Suite, b.Manifest.Bench = c.measured, c.bench
			h.uploadBundle(b)
			h.exits(h.tell(c.args...), c.want)
			if c.want != verdict.ExitPass {
				h.status(h.head, "error")
			}
		})
	}
}

// With the default policy of comments, too: a change that edits its judge does not
// pass without a word.
func TestAPassOfAChangeThatEditsItsJudgeIsTold(t *testing.T) {
	for file, told := range map[string]bool{"perfgate.yml": true, ".github/workflows/perfgate.yml": true, "a_test.go": false, "a.go": false} {
		t.Run(file, func(t *testing.T) {
			h := newHub(t, plainPolicy)
			h.propose(h.repo, "edits", githubtest.Commit{Files: map[string]string{"perfgate.yml": plainPolicy, file: lenient}, Message: "edit"})
			h.uploadBundle(h.measured(3))
			h.exits(h.tell(), verdict.ExitPass)
			h.status(h.head, "success")
			last := h.repo.Statuses(h.head)[0].Description
			if strings.HasPrefix(last, "touches what judges it: ") != told {
				t.Errorf("status %q", last)
			}
			if told {
				h.said("touches what judges it", file)
			} else {
				h.saidNothing()
			}
		})
	}
}

// A commit's status outlives the base that its pull request had: a pass by the
// policy of another branch must not satisfy what the main branch requires.
func TestAPassAgainstAnotherBranchIsNoneForTheMainOne(t *testing.T) {
	h := newHub(t, plainPolicy)
	lax := h.repo.AddCommit(githubtest.Commit{Parents: []string{h.base}, Files: map[string]string{"perfgate.yml": lenient}, Message: "lax"})
	h.repo.SetBranch("lax", lax)
	h.repo.UpdatePull(h.number, func(p *githubtest.Pull) { p.BaseRef = "lax" })
	h.uploadBundle(h.measured(5))
	h.exits(h.tell(), verdict.ExitPass)
	h.statusOf("perfgate (lax)", h.head, "success")
	h.repo.UpdatePull(h.number, func(p *githubtest.Pull) { p.BaseRef = "main" })
	for _, s := range h.repo.Statuses(h.head) {
		if s.Context == "perfgate" {
			t.Errorf("main has the status %+v", s)
		}
	}
	h.exits(h.tell(), verdict.ExitRegression)
	h.status(h.head, "failure")
}

// A tag may have the name of the branch, and another policy.
func TestTheBaseBranchIsReadByItsCommit(t *testing.T) {
	h := newHub(t, plainPolicy)
	h.uploadBundle(h.measured(5))
	h.exits(h.tell(), verdict.ExitRegression)
	commits := regexp.MustCompile(`/compare/[0-9a-f]{40}\.\.\.[0-9a-f]{40}$`)
	read := 0
	for _, r := range h.server.Requests() {
		query, err := url.ParseQuery(r.Query)
		if err != nil {
			t.Fatal(err)
		}
		contents := strings.Contains(r.Path, "/contents/")
		if contents && len(query.Get("ref")) != 40 || strings.Contains(r.Path, "/compare/") && !commits.MatchString(r.Path) {
			t.Errorf("%s?%s may be answered for a tag", r.Path, r.Query)
		}
		if contents {
			read++
		}
	}
	if read == 0 {
		t.Error("no policy was read")
	}
}

// Of each commit the API is asked once, however many shards name it.
func TestShardsDoNotUseUpTheRequests(t *testing.T) {
	h := newHub(t, plainPolicy)
	const count = 20
	for index := 1; index < count; index++ { // the last one is missing
		b := h.measured(3)
		b.Manifest.Shard = &recording.Shard{Index: index, Count: count}
		h.upload(fmt.Sprintf("perfgate-1-%d-of-%d", index, count), h.files(b))
	}
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.said("shard 20 of 20")
	asked := 0
	for _, r := range h.server.Requests() {
		if strings.Contains(r.Path, "/git/commits/") || strings.Contains(r.Path, "/compare/") {
			asked++
		}
	}
	if asked > 3 {
		t.Errorf("%d requests about two commits", asked)
	}
}
