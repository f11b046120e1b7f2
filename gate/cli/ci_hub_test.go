package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/artifact"
	"github.com/perfgate/perfgate/gate/github/githubtest"
	"github.com/perfgate/perfgate/gate/recording"
)

// hub is a repository with one pull request whose measuring run has ended, and
// the job that is to tell about it.
type hub struct {
	t             *testing.T
	server        *githubtest.Server
	repo          *githubtest.Repo
	base, head    string // commits
	merge         string // of head into base
	number        int
	run           int64
	stdout        bytes.Buffer
	stderr        bytes.Buffer
	summary, outs string // files of the runner
}

const everyScope = "pull-requests issues statuses contents checks"

// newHub makes the pull request. Policy is the base branch's perfgate.yml.
func newHub(t *testing.T, policy string) *hub {
	t.Helper()
	h := &hub{t: t, server: githubtest.Start()}
	t.Cleanup(h.server.Close)
	h.server.AddToken("secret", githubtest.Token{Write: strings.Fields(everyScope)})
	h.repo = h.server.AddRepo("octo/app")
	h.base = h.repo.AddCommit(githubtest.Commit{Files: map[string]string{"go.mod": "module example.org/m\n", "perfgate.yml": policy}, Message: "base"})
	h.repo.SetBranch("main", h.base)
	h.propose(h.repo, "feature", githubtest.Commit{Files: map[string]string{"go.mod": "module example.org/m\n", "perfgate.yml": policy, "a.go": "package m\n"}, Message: "head"})
	return h
}

// propose opens a pull request, and has a run measure it.
func (h *hub) propose(from *githubtest.Repo, branch string, head githubtest.Commit) {
	head.Parents = []string{h.base}
	h.head = from.AddCommit(head)
	from.SetBranch(branch, h.head)
	h.merge = h.repo.AddCommit(githubtest.Commit{Parents: []string{h.base, h.head}, Files: head.Files, Message: "merge"})
	h.number = h.repo.AddPull(githubtest.Pull{HeadRepo: from, HeadRef: branch})
	h.run = h.repo.AddRun(githubtest.Run{HeadRepo: from, HeadBranch: branch, HeadSHA: h.head})
}

// measured is a bundle of the pull request: a benchmark that allocates 3 objects
// on base and as many as given on head.
func (h *hub) measured(allocs float64) recording.Bundle {
	key := recording.Key{Pkg: "example.org/m", Name: "BenchmarkAdd", Procs: 1}
	b := recording.Bundle{Manifest: recording.Manifest{
		Tool: "perfgate test", Command: "check", Module: "example.org/m", Toolchain: "go1.26.0",
		Base: h.revision(h.base), Head: h.revision(h.merge), Machine: recording.Machine{ClassID: "c0ffee12"},
		Benchmarks: []recording.Benchmark{{Key: key, Channel: recording.CoRun, N: 100, ExactN: 100}},
		Family:     []recording.Test{{Key: key, Unit: "allocs/op", Channel: recording.Exact}},
		Shard:      &recording.Shard{Index: 1, Count: 1},
	}}
	for side, value := range map[recording.Side]float64{recording.Base: 3, recording.Head: allocs} {
		for pair := 1; pair <= recording.ExactConfirmRuns; pair++ {
			b.Samples = append(b.Samples, recording.Sample{Side: side, Channel: recording.Exact, Key: key, Pair: pair, Round: 1,
				Order: 1, Core: -1, N: 100, Values: []recording.Value{{Unit: "allocs/op", Value: value}}})
		}
	}
	return b
}

func (h *hub) revision(sha string) recording.Revision {
	c, ok := h.repo.Commit(sha)
	if !ok {
		h.t.Fatalf("no commit %s", sha)
	}
	return recording.Revision{Ref: sha, Commit: sha, Tree: c.Tree}
}

// files are the results folder of a bundle.
func (h *hub) files(b recording.Bundle) map[string][]byte {
	h.t.Helper()
	encoded, err := recording.Encode(b)
	if err != nil {
		h.t.Fatal(err)
	}
	shard := fmt.Sprintf("%d/%d", b.Manifest.Shard.Index, b.Manifest.Shard.Count)
	outcome, err := artifact.EncodeOutcome(artifact.Outcome{Shard: shard})
	if err != nil {
		h.t.Fatal(err)
	}
	files := map[string][]byte{artifact.OutcomeFile: outcome}
	for name, data := range encoded {
		files[artifact.BundleFolder+"/"+name] = data
	}
	return files
}

// upload adds an artifact to the run.
func (h *hub) upload(name string, files map[string][]byte) {
	h.t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(file)
		if err == nil {
			_, err = f.Write(files[file])
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.repo.AddArtifact(githubtest.Artifact{RunID: h.run, Name: name, Zip: buf.Bytes()})
}

func (h *hub) uploadBundle(b recording.Bundle) {
	h.t.Helper()
	h.upload("perfgate-1-1-of-1", h.files(b))
}

// tell runs the command, and gives its exit code.
func (h *hub) tell(args ...string) int {
	h.t.Helper()
	dir := h.t.TempDir()
	h.summary, h.outs = filepath.Join(dir, "summary"), filepath.Join(dir, "outputs")
	event := filepath.Join(dir, "event.json")
	payload := fmt.Sprintf(`{"action":"completed","repository":{"id":1,"full_name":"octo/app"},"workflow_run":{"id":%d,"head_sha":"0000","pull_requests":[{"number":99}]}}`, h.run)
	if err := os.WriteFile(event, []byte(payload), 0o600); err != nil {
		h.t.Fatal(err)
	}
	vars := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_API_URL": h.server.URL, "GITHUB_REPOSITORY": "octo/app", "GITHUB_TOKEN": "secret",
		"GITHUB_EVENT_NAME": "workflow_run", "GITHUB_EVENT_PATH": event, "GITHUB_STEP_SUMMARY": h.summary, "GITHUB_OUTPUT": h.outs,
	}
	h.stdout.Reset()
	h.stderr.Reset()
	env := &Env{Stdout: &h.stdout, Stderr: &h.stderr, Dir: dir, Getenv: func(name string) string { return vars[name] }}
	return Main(context.Background(), env, append([]string{"ci", "comment"}, args...))
}

// comments are what readers of the pull request see.
func (h *hub) comments() []string {
	var bodies []string
	for _, c := range h.repo.Comments(h.number) {
		bodies = append(bodies, c.Body)
	}
	return bodies
}

// said wants exactly one comment, which holds all of these.
func (h *hub) said(want ...string) {
	h.t.Helper()
	comments := h.comments()
	if len(comments) != 1 {
		h.t.Fatalf("%d comments, want one: %q\n%s", len(comments), comments, h.stdout.String())
	}
	for _, text := range want {
		if !strings.Contains(comments[0], text) {
			h.t.Errorf("the comment lacks %q:\n%s", text, comments[0])
		}
	}
}

func (h *hub) saidNothing() {
	h.t.Helper()
	if got := h.comments(); len(got) > 0 {
		h.t.Errorf("it commented: %q", got)
	}
}

// status wants this state as the last one of a commit, or none where it is empty.
func (h *hub) status(sha, want string) {
	h.t.Helper()
	h.statusOf("perfgate", sha, want)
}

func (h *hub) statusOf(context, sha, want string) {
	h.t.Helper()
	got := ""
	if all := h.repo.Statuses(sha); len(all) > 0 {
		last := all[len(all)-1]
		got = last.State
		if last.Context != context || last.Description == "" {
			h.t.Errorf("status %+v", last)
		}
	}
	if got != want {
		h.t.Errorf("commit status %q, want %q\n%s", got, want, h.stdout.String())
	}
}

func (h *hub) exits(got, want int) {
	h.t.Helper()
	if got != want {
		h.t.Errorf("exit %d, want %d\n%s%s", got, want, h.stdout.String(), h.stderr.String())
	}
}

func (h *hub) read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		h.t.Error(err)
	}
	return string(data)
}
