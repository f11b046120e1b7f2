package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/perfgate/perfgate/gate/artifact"
	"github.com/perfgate/perfgate/gate/baseline"
	"github.com/perfgate/perfgate/gate/github/githubtest"
	"github.com/perfgate/perfgate/gate/recording"
)

const recordedAt = "baselines/smoke/c0ffee"

// pushed is a repository on a GitHub of its own, to whose main branch commits are
// pushed, and measured.
type pushed struct {
	t      *testing.T
	server *githubtest.Server
	repo   *githubtest.Repo
	place  string // of baselines, in perfgate.yml
	runs   int
}

func newPushed(t *testing.T, place string) *pushed {
	t.Helper()
	p := &pushed{t: t, server: githubtest.Start(), place: place}
	t.Cleanup(p.server.Close)
	p.server.AddToken("ghs_ours", githubtest.Token{Write: []string{"contents", "pull-requests"}})
	p.repo = p.server.AddRepo("octo/shop")
	p.repo.SetBranch("main", p.repo.AddCommit(githubtest.Commit{Message: "first", Files: p.files("first")}))
	return p
}

func (p *pushed) files(content string) map[string]string {
	return map[string]string{
		"shop.go":      "package shop // " + content + "\n",
		"perfgate.yml": "version: 1\nsuites: {smoke: {packages: [./...]}}\nbaseline: " + p.place + "\n",
	}
}

// push adds a commit to main, as a person would, and gives its hash.
func (p *pushed) push(content string) string {
	p.t.Helper()
	tip, _ := p.repo.Commit(p.repo.Branch("main"))
	files := tip.Files
	files["shop.go"] = "package shop // " + content + "\n"
	sha := p.repo.AddCommit(githubtest.Commit{Message: content, Parents: []string{tip.SHA}, Files: files})
	p.repo.SetBranch("main", sha)
	return sha
}

// measured is what the measuring job of one run found.
type measured struct {
	p      *pushed
	run    int
	after  string // that the event is about
	bundle recording.Bundle
	// outcome and shards describe the results folder.
	exit   int
	absent bool // the bundle
	event  map[string]any
	env    map[string]string
}

// measure has a run measure a commit against its first parent.
func (p *pushed) measure(head string) *measured {
	p.t.Helper()
	p.runs++
	commit, _ := p.repo.Commit(head)
	base, _ := p.repo.Commit(commit.Parents[0])
	m := &measured{p: p, run: 100 + p.runs, after: head}
	m.bundle = recordableBundle()
	m.bundle.Manifest.Head = recording.Revision{Ref: "HEAD", Commit: head, Tree: commit.Tree}
	m.bundle.Manifest.Base = recording.Revision{Ref: base.SHA, Commit: base.SHA, Tree: base.Tree}
	m.event = map[string]any{"ref": "refs/heads/main", "after": head, "repository": map[string]any{"full_name": "octo/shop"}}
	return m
}

// record runs `perfgate ci record` and gives its exit code and what it printed.
func (m *measured) record(args ...string) (code int, printed string) {
	t := m.p.t
	t.Helper()
	temp := t.TempDir()
	m.leave(filepath.Join(temp, resultsName))
	payload, err := json.Marshal(m.event)
	if err != nil {
		t.Fatal(err)
	}
	event := filepath.Join(temp, "event.json")
	if err := os.WriteFile(event, payload, 0o600); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_API_URL": m.p.server.URL, "GITHUB_SERVER_URL": "https://github.example",
		"GITHUB_REPOSITORY": "octo/shop", "GITHUB_RUN_ID": fmt.Sprint(m.run), "GITHUB_RUN_ATTEMPT": "1",
		"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": event, "GITHUB_STEP_SUMMARY": filepath.Join(temp, "summary"),
		"RUNNER_TEMP": temp, "GITHUB_TOKEN": "ghs_ours",
	}
	for name, value := range m.env {
		vars[name] = value
	}
	var out strings.Builder
	env := &Env{Stdout: &out, Stderr: &out, Dir: temp, Getenv: func(name string) string { return vars[name] }}
	code = Main(t.Context(), env, append([]string{"ci", "record"}, args...))
	if left, _ := filepath.Glob(filepath.Join(temp, "perfgate-record-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if strings.Contains(out.String(), "ghs_ours") {
		t.Errorf("the token is printed: %s", out.String())
	}
	return code, out.String()
}

// leave makes the results folder, as a download of the one artifact does.
func (m *measured) leave(dir string) {
	t := m.p.t
	t.Helper()
	folder := filepath.Join(dir, "perfgate-1-1-of-1")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	outcome, err := artifact.EncodeOutcome(artifact.Outcome{Exit: m.exit, Shard: "1/1"})
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, artifact.OutcomeFile), outcome, 0o644)
	}
	if err == nil && !m.absent {
		err = recording.Write(filepath.Join(folder, artifact.BundleFolder), m.bundle)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// mustRecord wants the recording to succeed.
func (m *measured) mustRecord(args ...string) string {
	m.p.t.Helper()
	code, printed := m.record(args...)
	if code != 0 {
		m.p.t.Fatalf("exit %d: %s", code, printed)
	}
	return printed
}

// stored reads and verifies the baseline on a branch.
func (p *pushed) stored(branch string) *baseline.Baseline {
	p.t.Helper()
	commit, ok := p.repo.Commit(p.repo.Branch(branch))
	if !ok {
		p.t.Fatalf("there is no branch %s", branch)
	}
	root := p.t.TempDir()
	for name, content := range commit.Files {
		if !strings.HasPrefix(name, "baselines/") {
			continue
		}
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	b, err := baseline.Folder(filepath.Join(root, "baselines")).Verify(p.t.Context(), "smoke", "c0ffee")
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// heads are the commits of the ledger's lines.
func heads(b *baseline.Baseline) []string {
	var all []string
	for _, e := range b.Ledger {
		all = append(all, e.Head)
	}
	return all
}

// recordableBundle is of one benchmark that did not change.
func recordableBundle() recording.Bundle {
	key := recording.Key{Pkg: "example.org/shop", Name: "BenchmarkAdd", Procs: 1}
	b := recording.Bundle{Manifest: recording.Manifest{
		Schema: recording.Schema, Tool: "perfgate v0.1.0", Command: "check", Module: "example.org/shop", Suite: "smoke",
		BaseReason: "first parent", Toolchain: "go1.26.0", BuildFlags: []string{"-trimpath"},
		Machine:    recording.Machine{ClassID: "c0ffee", Class: map[string]string{"goos": "linux", "cores": "2"}},
		Benchmarks: []recording.Benchmark{{Key: key, Channel: recording.CoRun, Reason: "CPU-bound", N: 100, ExactN: 50}},
		Family: []recording.Test{
			{Key: key, Unit: "allocs/op", Channel: recording.Exact},
			{Key: key, Unit: "cpu-sec/op", Channel: recording.CoRun},
		},
	}}
	for _, side := range []recording.Side{recording.Base, recording.Head} {
		for pair := 1; pair <= 60; pair++ {
			wobble := 1.0
			if side == recording.Head {
				wobble += float64(pair*5%7-3) / 200 // both ways alike
			}
			b.Samples = append(b.Samples, recording.Sample{Side: side, Channel: recording.CoRun, Key: key, Pair: pair, Round: pair, Order: 1 + pair%2, Core: pair % 2, N: 100,
				Values: []recording.Value{{Unit: "cpu-sec/op", Value: 1e-6 * wobble}}})
		}
		for pair := 1; pair <= recording.ExactRuns; pair++ {
			b.Samples = append(b.Samples, recording.Sample{Side: side, Channel: recording.Exact, Key: key, Pair: pair, Round: pair, Order: 1, Core: -1, N: 50,
				Values: []recording.Value{{Unit: "allocs/op", Value: 3}}})
		}
	}
	return b
}

func TestAPushIsRecordedOnItsBranch(t *testing.T) {
	p := newPushed(t, "baselines")
	one := p.push("one")
	printed := p.measure(one).mustRecord()
	if want := fmt.Sprintf("%.12s is recording 1 of main:%s\n", one, recordedAt); !strings.Contains(printed, want) {
		t.Errorf("printed %q, want %q", printed, want)
	}
	b := p.stored("main")
	m := b.Manifest
	if m.Commit != one || m.RunURL != "https://github.example/octo/shop/actions/runs/101" || m.Tool != "perfgate v0.1.0" || len(m.Files) != 4 {
		t.Errorf("manifest %+v", m)
	}
	tip, _ := p.repo.Commit(p.repo.Branch("main"))
	if !slices.Equal(tip.Parents, []string{one}) || tip.Files["shop.go"] != "package shop // one\n" || !strings.HasPrefix(tip.Message, "baselines: smoke at "+one[:12]) {
		t.Errorf("commit %+v", tip)
	}
	for _, r := range p.server.Requests() {
		if strings.Contains(r.Body, `"force":true`) {
			t.Errorf("forced: %s %s", r.Method, r.Path)
		}
	}
}

func TestTheLedgerLeadsFromPushToPushAcrossTheCommitsOfRecordings(t *testing.T) {
	p := newPushed(t, "baselines")
	one := p.push("one")
	p.measure(one).mustRecord()
	two := p.push("two") // on top of the recording's own commit
	p.measure(two).mustRecord()
	b := p.stored("main")
	if b.Manifest.Record != 2 || !slices.Equal(heads(b), []string{one, two}) || b.Ledger[1].Base != one {
		t.Errorf("record %d, ledger %+v; want the second line to lead from %s", b.Manifest.Record, b.Ledger, one)
	}
}

func TestBaselinesBelowAModuleAreRecordedThere(t *testing.T) {
	p := newPushed(t, "perf/baselines")
	tip, _ := p.repo.Commit(p.repo.Branch("main"))
	files := map[string]string{"mod/ci/gate.yml": tip.Files["perfgate.yml"], "mod/shop.go": "package shop", "mod/perf/README": "x", "other/file": "x"}
	root := p.repo.AddCommit(githubtest.Commit{Files: files})
	p.repo.SetBranch("main", root)
	two := p.push("two")
	printed := p.measure(two).mustRecord("--module", "mod", "--config", "ci/gate.yml")
	if !strings.Contains(printed, "recording 1 of main:mod/perf/baselines/smoke/c0ffee") {
		t.Errorf("printed %q", printed)
	}
	three := p.push("three")
	p.measure(three).mustRecord("--module", "mod", "--config", "ci/gate.yml")
	ledger, found := p.repo.File("main", "mod/perf/baselines/smoke/c0ffee/ledger.jsonl")
	if want := fmt.Sprintf(`"base":%q,"head":%q`, two, three); !found || !strings.Contains(string(ledger), want) {
		t.Errorf("ledger %s, want %s", ledger, want)
	}
}

func TestABranchOfItsOwnIsMadeAndContinued(t *testing.T) {
	p := newPushed(t, "branch:perfgate-baselines")
	one := p.push("one")
	p.measure(one).mustRecord()
	two := p.push("two")
	p.measure(two).mustRecord()
	b := p.stored("perfgate-baselines")
	if b.Manifest.Record != 2 || !slices.Equal(heads(b), []string{one, two}) || b.Ledger[1].Base != one {
		t.Errorf("record %d, ledger %+v", b.Manifest.Record, b.Ledger)
	}
	tip, _ := p.repo.Commit(p.repo.Branch("perfgate-baselines"))
	first, _ := p.repo.Commit(tip.Parents[0])
	if len(first.Parents) != 0 || len(tip.Files) != 5 || p.repo.Branch("main") != two {
		t.Errorf("the branch begins at %+v and holds %d files; main is %s, want %s", first, len(tip.Files), p.repo.Branch("main"), two)
	}
}

func TestAPullRequestCollectsRecordingsUntilItIsMerged(t *testing.T) {
	p := newPushed(t, "baselines")
	one := p.push("one")
	printed := p.measure(one).mustRecord("--strategy", "pull-request")
	if !strings.Contains(printed, "waits to be merged: https://github.example/octo/shop/pull/1") {
		t.Errorf("printed %q", printed)
	}
	two := p.push("two")
	p.measure(two).mustRecord("--strategy", "pull-request")
	pulls := p.repo.Pulls()
	if len(pulls) != 1 || pulls[0].HeadRef != "perfgate/baselines-for-main" || pulls[0].BaseRef != "main" || p.repo.Branch("main") != two {
		t.Fatalf("pull requests %+v", pulls)
	}
	if b := p.stored(pulls[0].HeadRef); !slices.Equal(heads(b), []string{one, two}) {
		t.Errorf("ledger %+v", b.Ledger)
	}
}

func TestAProtectedBranchGetsAPullRequestAndItIsSaid(t *testing.T) {
	for place, branch := range map[string]string{"baselines": "main", "branch:data": "data"} {
		t.Run(place, func(t *testing.T) {
			p := newPushed(t, place)
			p.repo.SetBranch("data", p.repo.AddCommit(githubtest.Commit{Files: map[string]string{"README.md": "baselines"}}))
			one := p.push("one")
			before := p.repo.Branch(branch)
			p.repo.Protect(branch)
			printed := p.measure(one).mustRecord()
			for _, want := range []string{"branch " + branch + " takes no commit from this job, so the recording becomes a pull request", "Changes must be made through a pull request", "waits to be merged: https://"} {
				if !strings.Contains(printed, want) {
					t.Errorf("printed %q, want %q", printed, want)
				}
			}
			if pulls := p.repo.Pulls(); len(pulls) != 1 || pulls[0].BaseRef != branch || p.repo.Branch(branch) != before {
				t.Errorf("pull requests %+v", pulls)
			}
			if b := p.stored("perfgate/baselines-for-" + branch); b.Manifest.Commit != one {
				t.Errorf("recorded %+v", b.Manifest)
			}
		})
	}
}

func TestARecorderThatDiedBeforeItsPullRequestIsTakenUp(t *testing.T) {
	p := newPushed(t, "baselines")
	p.repo.ForbidPullsByActions()
	m := p.measure(p.push("one"))
	code, printed := m.record("--strategy", "pull-request")
	if code != 3 || !strings.Contains(printed, "Allow GitHub Actions to create and approve pull requests") {
		t.Fatalf("exit %d: %s", code, printed)
	}
	p.server.AddToken("ghs_ours", githubtest.Token{Login: "somebody", Write: []string{"contents", "pull-requests"}})
	m.mustRecord("--strategy", "pull-request")
	if b := p.stored("perfgate/baselines-for-main"); len(p.repo.Pulls()) != 1 || b.Manifest.Record != 1 {
		t.Errorf("%d pull requests, recording %d", len(p.repo.Pulls()), b.Manifest.Record)
	}
}

func TestAnObjectStoreNeedsNoCommit(t *testing.T) {
	p := newPushed(t, "file://"+filepath.ToSlash(t.TempDir()))
	one := p.push("one")
	printed := p.measure(one).mustRecord()
	if !strings.Contains(printed, "recording 1 of file://") || p.repo.Branch("main") != one {
		t.Errorf("printed %q, main is %s", printed, p.repo.Branch("main"))
	}
	two := p.push("two")
	if printed := p.measure(two).mustRecord(); !strings.Contains(printed, "recording 2 of file://") {
		t.Errorf("printed %q", printed)
	}
}

// meanwhile calls do once, when a request of this kind arrives.
func (p *pushed) meanwhile(method, suffix string, do func()) {
	done := false
	p.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !done && r.Method == method && strings.HasSuffix(r.URL.Path, suffix) {
			done = true
			do()
		}
		next.ServeHTTP(w, r)
	})
}

func TestRecordersThatRaceLoseNothing(t *testing.T) {
	for _, tc := range []struct {
		place, branch, method, suffix string
		args                          []string
	}{
		{"baselines", "main", "PATCH", "/git/refs/heads/main", nil},
		{"branch:data", "data", "POST", "/git/refs", nil},
		{"baselines", "perfgate/baselines-for-main", "POST", "/git/refs", []string{"--strategy", "pull-request"}},
		// The slower one finds a branch for which nobody has opened a pull request yet.
		{"baselines", "perfgate/baselines-for-main", "POST", "/pulls", []string{"--strategy", "pull-request"}},
	} {
		t.Run(strings.Join(append(tc.args, tc.branch, tc.suffix), " "), func(t *testing.T) {
			p := newPushed(t, tc.place)
			one := p.push("one")
			two := p.push("two")
			first, second := p.measure(one), p.measure(two)
			p.meanwhile(tc.method, tc.suffix, func() { second.mustRecord(tc.args...) })
			first.mustRecord(tc.args...)
			b := p.stored(tc.branch)
			got := heads(b)
			slices.Sort(got)
			want := []string{one, two}
			slices.Sort(want)
			if b.Manifest.Record != 2 || b.Manifest.Commit != two || !slices.Equal(got, want) {
				t.Errorf("recording %d of %s, ledger of %v; want 2 of %s, and both", b.Manifest.Record, b.Manifest.Commit, got, two)
			}
			if pulls := p.repo.Pulls(); len(pulls) != min(1, len(tc.args)) {
				t.Errorf("%d pull requests", len(pulls))
			}
		})
	}
}

func TestManyRecordersAtOnceLoseNothing(t *testing.T) {
	for _, tc := range []struct {
		place, branch string
		args          []string
	}{
		{"baselines", "main", nil},
		{"branch:data", "data", nil},
		{"baselines", "perfgate/baselines-for-main", []string{"--strategy", "pull-request"}},
	} {
		t.Run(tc.branch, func(t *testing.T) {
			p := newPushed(t, tc.place)
			var jobs []*measured
			var want []string
			for i := range 5 {
				want = append(want, p.push(fmt.Sprint(i)))
				jobs = append(jobs, p.measure(want[i]))
			}
			var wg sync.WaitGroup
			for _, job := range jobs {
				wg.Go(func() {
					if code, printed := job.record(tc.args...); code != 0 {
						t.Errorf("exit %d: %s", code, printed)
					}
				})
			}
			wg.Wait()
			b := p.stored(tc.branch)
			got := heads(b)
			slices.Sort(got)
			newest := want[len(want)-1]
			slices.Sort(want)
			if b.Manifest.Commit != newest || b.Manifest.Record != len(want) || !slices.Equal(got, want) {
				t.Errorf("recording %d of %s, ledger of %v; want %d of %s, and all of %v", b.Manifest.Record, b.Manifest.Commit, got, len(want), newest, want)
			}
			if pulls := p.repo.Pulls(); len(pulls) != min(1, len(tc.args)) {
				t.Errorf("%d pull requests", len(pulls))
			}
		})
	}
}

func TestAPushBesideARecordingIsKept(t *testing.T) {
	p := newPushed(t, "baselines")
	m := p.measure(p.push("one"))
	p.meanwhile("PATCH", "/git/refs/heads/main", func() { p.push("theirs") })
	m.mustRecord()
	tip, _ := p.repo.Commit(p.repo.Branch("main"))
	if tip.Files["shop.go"] != "package shop // theirs\n" || p.stored("main").Manifest.Record != 1 {
		t.Errorf("main holds %q", tip.Files["shop.go"])
	}
}

func TestAJobThatRunsAgainRecordsNothingTwice(t *testing.T) {
	p := newPushed(t, "baselines")
	m := p.measure(p.push("one"))
	m.mustRecord()
	tip := p.repo.Branch("main")
	m.mustRecord()
	if p.repo.Branch("main") != tip {
		t.Errorf("main has moved: recording %d", p.stored("main").Manifest.Record)
	}
}

// broken is a way in which a recording is refused.
type broken struct {
	name string
	do   func(p *pushed, m *measured)
	args []string
	code int
	want string
}

func TestWhatIsNotThePushedCommitIsNotRecorded(t *testing.T) {
	stranger := strings.Repeat("5", 40)
	for _, tc := range []broken{
		{"the bundle of another commit", func(p *pushed, m *measured) {
			m.bundle = p.measure(p.push("later")).bundle
		}, nil, 2, "the results are of commit"},
		{"another tree", func(_ *pushed, m *measured) { m.bundle.Manifest.Head.Tree = stranger }, nil, 2, "has tree"},
		{"another base tree", func(_ *pushed, m *measured) { m.bundle.Manifest.Base.Tree = stranger }, nil, 2, "has tree"},
		{"uncommitted changes", func(_ *pushed, m *measured) { m.bundle.Manifest.Head.Dirty = true }, nil, 2, "uncommitted changes"},
		{"a base that is no ancestor", func(p *pushed, m *measured) {
			other := p.repo.AddCommit(githubtest.Commit{Message: "elsewhere", Files: map[string]string{"x": "y"}})
			commit, _ := p.repo.Commit(other)
			m.bundle.Manifest.Base = recording.Revision{Ref: "x", Commit: other, Tree: commit.Tree}
		}, nil, 2, "is no ancestor of the pushed commit"},
		{"a base that nobody knows", func(_ *pushed, m *measured) { m.bundle.Manifest.Base.Commit = stranger }, nil, 3, "404"},
		{"the branch was rewritten", func(p *pushed, _ *measured) {
			p.repo.SetBranch("main", p.repo.AddCommit(githubtest.Commit{Message: "anew", Files: p.files("anew")}))
		}, nil, 2, "is no longer on branch main"},
		{"the branch is gone", func(p *pushed, _ *measured) { p.repo.SetBranch("main", "") }, nil, 2, "is no longer on branch main"},
		{"a tag", func(_ *pushed, m *measured) { m.event["ref"] = "refs/tags/v1" }, nil, 2, "which is no branch"},
		{"another repository", func(_ *pushed, m *measured) { m.event["repository"] = map[string]any{"full_name": "evil/shop"} }, nil, 2, `the event is of repository "evil/shop"`},
		{"a pull request", func(_ *pushed, m *measured) {
			side := map[string]any{"sha": m.after, "repo": map[string]any{"id": 1}}
			m.event["pull_request"] = map[string]any{"number": 1, "head": side, "base": side}
			m.env = map[string]string{"GITHUB_EVENT_NAME": "pull_request"}
		}, nil, 2, `the event is "pull_request"`},
		{"no workflow", func(_ *pushed, m *measured) { m.env = map[string]string{"GITHUB_ACTIONS": ""} }, nil, 2, "perfgate baseline record"},
		{"no token", func(_ *pushed, m *measured) { m.env = map[string]string{"GITHUB_TOKEN": ""} }, nil, 2, "GITHUB_TOKEN is not set"},
		{"a part of the suite", func(_ *pushed, m *measured) { m.bundle.Manifest.Bench = "Add" }, nil, 2, "measure the whole suite"},
		{"no suite", func(_ *pushed, m *measured) { m.bundle.Manifest.Suite = "" }, nil, 2, "without a suite"},
		{"a suite that leads elsewhere", func(_ *pushed, m *measured) { m.bundle.Manifest.Suite = "../../.github" }, nil, 2, "needs a suite named by letters"},
		{"a strategy that does not fit", func(*pushed, *measured) {}, []string{"--strategy", "branch"}, 2, "does not fit perfgate.yml"},
		{"a module outside", func(*pushed, *measured) {}, []string{"--module", "../x"}, 2, "no plain path"},
		{"a policy that cannot be read", func(p *pushed, m *measured) {
			tip := p.push("x")
			commit, _ := p.repo.Commit(tip)
			commit.Files["perfgate.yml"] = "version: 9\n"
			p.repo.SetBranch("main", p.repo.AddCommit(githubtest.Commit{Parents: []string{tip}, Files: commit.Files}))
			*m = *p.measure(p.repo.Branch("main"))
		}, nil, 2, "perfgate.yml"},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.isRefused(t, nil) })
	}
}

// isRefused wants a recording to fail, and the repository to stay as it is.
func (tc broken) isRefused(t *testing.T, before func(p *pushed)) {
	p := newPushed(t, "baselines")
	if before != nil {
		before(p)
	}
	m := p.measure(p.push("one"))
	tc.do(p, m)
	tips := map[string]string{}
	for _, branch := range p.repo.Branches() {
		tips[branch] = p.repo.Branch(branch)
	}
	code, printed := m.record(tc.args...)
	if code != tc.code || !strings.Contains(printed, tc.want) {
		t.Errorf("exit %d, want %d: printed %q, want %q", code, tc.code, printed, tc.want)
	}
	for _, branch := range p.repo.Branches() {
		if p.repo.Branch(branch) != tips[branch] {
			t.Errorf("branch %s has moved", branch)
		}
	}
	if len(p.repo.Pulls()) > 0 {
		t.Error("a pull request was opened")
	}
}

func TestWhatWasNotMeasuredIsNotRecorded(t *testing.T) {
	for _, tc := range []broken{
		{"the verdict is not measured", func(_ *pushed, m *measured) {
			m.exit = 3
			m.bundle.Manifest.Outcomes = []recording.Outcome{{Key: recording.Key{Pkg: "example.org/shop", Name: "BenchmarkGone", Procs: 1}, Side: recording.Head, Kind: recording.Crashed, Detail: "panic"}}
		}, nil, 3, "nothing is recorded: the verdict is"},
		{"there is no bundle", func(_ *pushed, m *measured) { m.exit, m.absent = 3, true }, nil, 3, "nothing is recorded: shards are missing: 0 of 1 are there: shard 1: it ended with exit 3"},
		{"the measuring was interrupted", func(_ *pushed, m *measured) { m.exit = 130 }, nil, 3, "exit 130"},
		{"there are no results", func(_ *pushed, m *measured) {
			m.env = map[string]string{"GITHUB_RUN_ATTEMPT": "1"}
		}, []string{"--results-dir", "nowhere"}, 3, "nothing is recorded"},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.isRefused(t, nil) })
	}
}

func TestARegressionOnTheBranchIsRecorded(t *testing.T) {
	p := newPushed(t, "baselines")
	m := p.measure(p.push("slower"))
	m.exit = 1
	for i, s := range m.bundle.Samples {
		if s.Side == recording.Head && s.Channel == recording.CoRun {
			s.Values[0].Value *= 1.3
			m.bundle.Samples[i] = s
		}
	}
	m.mustRecord()
	if b := p.stored("main"); b.Ledger[0].Ratio.Ratio < 1.2 {
		t.Errorf("ledger %+v", b.Ledger)
	}
}

func TestABrokenBaselineIsNotRecordedOver(t *testing.T) {
	// Recorded once, pushed to, and then changed by somebody.
	changed := func(change func(c *githubtest.Commit)) func(p *pushed, _ *measured) {
		return func(p *pushed, _ *measured) {
			tip, _ := p.repo.Commit(p.repo.Branch("main"))
			c := githubtest.Commit{Parents: []string{tip.SHA}, Files: tip.Files}
			change(&c)
			p.repo.SetBranch("main", p.repo.AddCommit(c))
		}
	}
	recorded := func(p *pushed) { p.measure(p.push("zero")).mustRecord() }
	edit := func(file, old, new string) func(c *githubtest.Commit) {
		return func(c *githubtest.Commit) {
			was := c.Files[recordedAt+"/"+file]
			if !strings.Contains(was, old) {
				panic(file + " does not contain " + old)
			}
			c.Files[recordedAt+"/"+file] = strings.Replace(was, old, new, 1)
		}
	}
	drop := func(c *githubtest.Commit) {
		for name := range c.Files {
			if strings.HasPrefix(name, "baselines/") {
				delete(c.Files, name)
			}
		}
	}
	for _, tc := range []struct {
		name   string
		damage func(c *githubtest.Commit)
		want   string
	}{
		{"a number was changed", edit("exact.txt", "3 allocs/op", "2 allocs/op"), "exact.txt was changed, or damaged"},
		{"the chain was cut", edit("manifest.json", `"record": 1`, `"record": 2`), "the chain is broken"},
		{"another schema", edit("manifest.json", `"schema": 2`, `"schema": 9`), "schema 9"},
		{"a key more", edit("manifest.json", `"schema": 2`, "\"more\": 1,\n  \"schema\": 2"), "unknown field"},
		{"a file is missing", func(c *githubtest.Commit) { delete(c.Files, recordedAt+"/plan.json") }, "plan.json is missing"},
		{"the folder is a link", func(c *githubtest.Commit) {
			drop(c)
			c.Symlinks = map[string]string{"baselines": "docs"}
		}, "baselines is a file, a link or a submodule"},
		{"the class is a link", func(c *githubtest.Commit) {
			drop(c)
			c.Symlinks = map[string]string{recordedAt: "../other"}
		}, "c0ffee is a file, a link or a submodule"},
		{"a file is a link", func(c *githubtest.Commit) {
			delete(c.Files, recordedAt+"/plan.json")
			c.Symlinks = map[string]string{recordedAt + "/plan.json": "/etc/passwd"}
		}, "plan.json is no regular file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			broken{tc.name, changed(tc.damage), nil, 2, tc.want}.isRefused(t, recorded)
		})
	}
}

func TestABaselineOfARewrittenBranchIsNotContinued(t *testing.T) {
	p := newPushed(t, "branch:data")
	p.measure(p.push("one")).mustRecord()
	p.repo.SetBranch("main", p.repo.AddCommit(githubtest.Commit{Message: "anew", Files: p.files("anew")}))
	code, printed := p.measure(p.push("two")).record()
	if code != 2 || !strings.Contains(printed, "is of another history") || p.stored("data").Manifest.Record != 1 {
		t.Errorf("exit %d: %s", code, printed)
	}
}

func TestAForgedBaselineThatIsWholeStillNeedsACommitOfTheBranch(t *testing.T) {
	for _, forged := range []string{"main", strings.Repeat("5", 40), "a commit of a pull request"} {
		p := newPushed(t, "baselines")
		one := p.push("one")
		p.measure(one).mustRecord()
		two := p.push("two")
		if strings.Contains(forged, " ") {
			forged = p.repo.AddCommit(githubtest.Commit{Message: "topic", Parents: []string{two}})
			p.repo.SetBranch("topic", forged)
		}
		tip, _ := p.repo.Commit(p.repo.Branch("main"))
		manifest := tip.Files[recordedAt+"/manifest.json"]
		for _, name := range []string{"exact.txt", "ledger.jsonl", "plan.json", "samples.txt"} {
			was := tip.Files[recordedAt+"/"+name]
			is := strings.ReplaceAll(was, one, forged)
			tip.Files[recordedAt+"/"+name] = is
			manifest = strings.ReplaceAll(manifest, sha256Of(was), sha256Of(is))
		}
		tip.Files[recordedAt+"/manifest.json"] = strings.ReplaceAll(manifest, one, forged)
		p.repo.SetBranch("main", p.repo.AddCommit(githubtest.Commit{Parents: []string{tip.SHA}, Files: tip.Files}))
		code, printed := p.measure(two).record()
		if code != 2 || !strings.Contains(printed, "is of another history: it was measured at "+forged) {
			t.Errorf("of commit %q: exit %d: %s", forged, code, printed)
		}
	}
}

func sha256Of(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

func TestAnAPIThatRefusesSaysSoAndIsNoPass(t *testing.T) {
	p := newPushed(t, "baselines")
	m := p.measure(p.push("one"))
	p.server.AddToken("ghs_ours", githubtest.Token{})
	code, printed := m.record()
	if code != 3 || !strings.Contains(printed, "Resource not accessible by integration") || strings.Contains(printed, "becomes a pull request") {
		t.Errorf("exit %d: %s", code, printed)
	}
}

func TestAnEmptyRepositoryIsRefusedWithAWayOut(t *testing.T) {
	p := newPushed(t, "branch:data")
	m := p.measure(p.push("one"))
	p.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/git/ref/") || strings.Contains(r.URL.Path, "/git/blobs") {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"message":"Git Repository is empty."}`)
			return
		}
		next.ServeHTTP(w, r)
	})
	if code, printed := m.record(); code != 3 || !strings.Contains(printed, "push a first commit") {
		t.Errorf("exit %d: %s", code, printed)
	}
}
