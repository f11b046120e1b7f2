package e2e

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/github/githubtest"
)

// The tokens of the workflows, as their permissions give them.
const (
	readToken    = "a-token-that-may-only-read"
	commentToken = "a-token-that-may-comment"
	recordToken  = "a-token-that-may-push"
)

// actionRef is the commit that the workflows pin the action to. The runner is told
// where that is.
const actionRef = "0123456789abcdef0123456789abcdef01234567"

// A stage is one repository: its work tree, the bare repository that checkouts
// fetch from, and the GitHub that knows its pull requests.
type stage struct {
	t      *testing.T
	act    string
	server *githubtest.Server
	repo   *githubtest.Repo
	// Folders: the work tree, the bare repository, the artifacts by run, what act
	// keeps, and a copy of this repository that is the action.
	work, remote, artifacts, cache, action string
	runs                                   int
}

// newStage sets the stage: the module of testdata/module with the workflows of
// `perfgate init`, on main.
func newStage(t *testing.T) *stage {
	dir := t.TempDir()
	s := &stage{
		t: t, act: needAct(t), server: githubtest.Start(),
		work: filepath.Join(dir, "work"), remote: filepath.Join(dir, "remote.git"),
		artifacts: filepath.Join(dir, "artifacts"), cache: filepath.Join(dir, "cache"), action: filepath.Join(dir, "action"),
	}
	t.Cleanup(s.server.Close)
	s.server.AddToken(readToken, githubtest.Token{})
	s.server.AddToken(commentToken, githubtest.Token{Write: []string{"pull-requests", "statuses"}})
	s.server.AddToken(recordToken, githubtest.Token{Write: []string{"contents", "pull-requests"}})
	s.repo = s.server.AddRepo("octo/shop")

	if err := os.CopyFS(s.work, os.DirFS("testdata/module")); err != nil {
		t.Fatal(err)
	}
	copyRepository(t, s.action)
	s.git("init", "-q", "-b", "main")
	s.git("config", "user.name", "Octo Cat")
	s.git("config", "user.email", "octo@example.com")
	run(t, s.work, nil, perfgate(t), "init", "--shards", "2", "--branch", "main", "--ref", actionRef)
	run(t, dir, nil, "git", "init", "-q", "--bare", "-b", "main", s.remote)
	// GitHub serves any commit that a ref reaches, and so merge commits' parents.
	run(t, s.remote, nil, "git", "config", "uploadpack.allowAnySHA1InWant", "true")
	return s
}

// git runs git in the work tree.
func (s *stage) git(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(string(run(s.t, s.work, nil, "git", args...)))
}

// commit commits the work tree, and makes the commit known everywhere.
func (s *stage) commit(message string) string {
	s.t.Helper()
	s.git("add", "-A")
	s.git("commit", "-q", "--allow-empty", "-m", message)
	return s.publish("HEAD")
}

// publish pushes a commit and gives GitHub the same commit, under the same hash.
func (s *stage) publish(ref string) string {
	s.t.Helper()
	sha := s.git("rev-parse", ref)
	s.git("push", "-q", s.remote, sha+":refs/commits/"+sha)
	files := map[string]string{}
	for _, path := range strings.Fields(s.git("ls-tree", "-r", "--name-only", sha)) {
		files[path] = string(run(s.t, s.work, nil, "git", "cat-file", "blob", sha+":"+path))
	}
	s.repo.AddCommit(githubtest.Commit{
		SHA: sha, Files: files,
		Parents: strings.Fields(s.git("show", "-s", "--format=%P", sha)),
		Message: s.git("show", "-s", "--format=%B", sha),
	})
	return sha
}

// A pull is one pull request, with what the event of it tells.
type pull struct {
	number            int
	base, head, merge string
	headRepo          *githubtest.Repo
	branch            string
}

// open opens a pull request of one commit: what change does to the work tree of main.
func (s *stage) open(branch string, from *githubtest.Repo, message string, change func(dir string)) pull {
	s.t.Helper()
	p := pull{headRepo: from, branch: branch, base: s.git("rev-parse", "main")}
	s.git("checkout", "-q", "--detach", "main")
	change(s.work)
	p.head = s.commit(message)
	s.git("checkout", "-q", "--detach", "main")
	s.git("merge", "-q", "--no-ff", "-m", "Merge "+p.head+" into "+p.base, p.head)
	p.merge = s.publish("HEAD")
	s.git("checkout", "-q", "main")
	from.SetBranch(branch, p.head)
	p.number = s.repo.AddPull(githubtest.Pull{HeadRepo: from, HeadRef: branch})
	return p
}

// push makes the work tree the next commit of main.
func (s *stage) push(message string) (before, after string) {
	s.t.Helper()
	before = s.repo.Branch("main")
	after = s.commit(message)
	s.git("push", "-q", s.remote, "main")
	s.repo.SetBranch("main", after)
	return before, after
}

// upload hands GitHub what the jobs of a run have left as artifacts.
func (s *stage) upload(run int64) {
	s.t.Helper()
	folder := filepath.Join(s.artifacts, fmt.Sprint(run))
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		data := zipFolder(s.t, filepath.Join(folder, e.Name()))
		s.repo.AddArtifact(githubtest.Artifact{RunID: run, Name: e.Name(), Zip: data})
		s.t.Logf("artifact %s: %d bytes", e.Name(), len(data))
	}
}

func zipFolder(t *testing.T, folder string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := w.Create(filepath.ToSlash(strings.TrimPrefix(path, folder+string(filepath.Separator))))
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return err
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// copyRepository copies this repository as it is now, without what git ignores:
// what a runner would have fetched of the action.
func copyRepository(t *testing.T, to string) {
	t.Helper()
	list := run(t, root, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for _, path := range strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		// Evidence and benchmarks are most of the bytes, and no part of the action.
		if strings.HasPrefix(path, "docs/") || strings.HasPrefix(path, "baselines/") {
			continue
		}
		info, err := os.Lstat(filepath.Join(root, path))
		if err != nil || !info.Mode().IsRegular() {
			continue // Removed and not yet committed.
		}
		write(t, filepath.Join(to, path), read(t, filepath.Join(root, path)))
	}
}

// perfgate builds the program.
func perfgate(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "perfgate")
	run(t, root, nil, "go", "build", "-o", program, "./cmd/perfgate")
	return program
}

// measure runs the workflow that measures a pull request, and has GitHub know of
// the run and what it uploaded.
func (s *stage) measure(p pull) (r result, run int64) {
	s.t.Helper()
	r, run = s.start(event{
		name: "pull_request", workflow: measureWorkflow, payload: object{
			"action": "synchronize", "number": p.number, "repository": describe(s.repo),
			"pull_request": object{
				"number": p.number,
				"head":   object{"ref": p.branch, "sha": p.head, "repo": describe(p.headRepo)},
				"base":   object{"ref": "main", "sha": p.base, "repo": describe(s.repo)},
			},
		},
		ref: fmt.Sprintf("refs/pull/%d/merge", p.number), sha: p.merge, token: readToken,
	})
	s.repo.AddRun(githubtest.Run{
		ID: run, Number: s.runs, Event: "pull_request", Path: measureWorkflow, Conclusion: conclusion(r),
		HeadRepo: p.headRepo, HeadBranch: p.branch, HeadSHA: p.head,
	})
	s.upload(run)
	return r, run
}

// comment runs the workflow that follows the measuring one.
func (s *stage) comment(p pull, run int64) result {
	s.t.Helper()
	r, _ := s.start(event{
		name: "workflow_run", workflow: commentWorkflow, payload: object{
			"action": "completed", "repository": describe(s.repo), "workflow": object{"path": measureWorkflow},
			"workflow_run": object{
				"id": run, "event": "pull_request", "status": "completed", "path": measureWorkflow,
				"head_branch": p.branch, "head_sha": p.head, "head_repository": describe(p.headRepo),
			},
		},
		ref: "refs/heads/main", sha: s.repo.Branch("main"), token: commentToken,
	})
	return r
}

// record runs the workflow that measures what was pushed to main and stores it.
func (s *stage) record(before, after string) result {
	s.t.Helper()
	r, _ := s.start(event{
		name: "push", workflow: baselineWorkflow, payload: object{
			"ref": "refs/heads/main", "before": before, "after": after, "repository": describe(s.repo),
		},
		ref: "refs/heads/main", sha: after, token: recordToken,
	})
	return r
}

func conclusion(r result) string {
	if r.failed {
		return "failure"
	}
	return "success"
}

type object = map[string]any

func describe(r *githubtest.Repo) object {
	return object{"id": r.ID, "full_name": r.FullName, "default_branch": "main"}
}
