package github_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/github"
	"github.com/perfgate/perfgate/gate/github/githubtest"
)

// grow gives pull request #1 n further commits, each with a file of its own.
func (w *world) grow(n int) {
	files := map[string]string{}
	head := w.head
	for i := range n {
		files[fmt.Sprintf("file%03d", i)] = fmt.Sprint(i)
		head = w.repo.AddCommit(githubtest.Commit{Parents: []string{head}, Message: fmt.Sprint("commit ", i), Files: files})
	}
	w.repo.SetBranch("topic", head)
	w.repo.UpdatePull(1, func(p *githubtest.Pull) { p.HeadSHA = head })
}

func TestChangedFilesAreWholeOrSayThatTheyAreNot(t *testing.T) {
	w := newWorld(t)
	moved := w.repo.AddCommit(githubtest.Commit{Parents: []string{w.base}, Files: map[string]string{"go.mod": "module app\n", "policy/perfgate.yml": "version: 1\n"}})
	w.repo.UpdatePull(1, func(p *githubtest.Pull) { p.HeadSHA = moved })
	files, complete, err := w.client.ChangedFiles(t.Context(), 1)
	if want := []string{"perfgate.yml", "policy/perfgate.yml"}; err != nil || !complete || !slices.Equal(files, want) {
		t.Errorf("a rename: %v %v, %v, want %v", files, complete, err, want)
	}
	w.MaxFiles = 120
	w.grow(120)
	files, complete, err = w.client.ChangedFiles(t.Context(), 1)
	if err != nil || complete || len(files) != 120 {
		t.Errorf("%d files, complete %v, %v, want 120 that are not all", len(files), complete, err)
	}
	w.MaxFiles = 3000
	if _, complete, err = w.client.ChangedFiles(t.Context(), 1); err != nil || !complete {
		t.Errorf("complete %v, %v", complete, err)
	}
}

func TestCommitsAreWholeOrSayThatTheyAreNot(t *testing.T) {
	w := newWorld(t)
	w.MaxCommits = 130
	w.grow(129)
	commits, err := w.client.Commits(t.Context(), 1)
	if err != nil || len(commits) != 130 {
		t.Fatalf("%d commits, %v", len(commits), err)
	}
	first := github.Commit{SHA: w.head, Message: "head", Parents: []string{w.base}, Tree: commits[0].Tree}
	if !reflect.DeepEqual(commits[0], first) || commits[129].Message != "commit 128" {
		t.Errorf("from %+v to %+v", commits[0], commits[129])
	}
	w.MaxCommits = 100
	if commits, err = w.client.Commits(t.Context(), 1); !errors.Is(err, github.ErrIncomplete) || len(commits) != 100 {
		t.Errorf("%d commits, %v, want ErrIncomplete with 100", len(commits), err)
	}
}

func TestACommitHasItsParentsTreeAndMessage(t *testing.T) {
	w := newWorld(t)
	merge := w.repo.AddCommit(githubtest.Commit{Message: "Merge\n\nPerf-Accept: x", Parents: []string{w.base, w.head}})
	got, err := w.client.Commit(t.Context(), merge)
	want, _ := w.repo.Commit(merge)
	if err != nil || !reflect.DeepEqual(got, github.Commit{SHA: merge, Tree: want.Tree, Message: want.Message, Parents: []string{w.base, w.head}}) {
		t.Errorf("read %+v, %v", got, err)
	}
	if _, err := w.client.Commit(t.Context(), strings.Repeat("0", 40)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unknown commit: %v, want fs.ErrNotExist", err)
	}
	w.times(1, "GET", "/git/commits/"+w.head, answers(200, fmt.Sprintf(`{"sha":%q}`, w.base)))
	if _, err := w.client.Commit(t.Context(), w.head); err == nil {
		t.Error("an answer about another commit was taken")
	}
	before := len(w.Requests())
	for _, bad := range []string{"", "main", w.head[:12], "../../user", strings.ToUpper(w.head), w.head + "/x"} {
		if _, err := w.client.Commit(t.Context(), bad); err == nil {
			t.Errorf("%q was taken for a commit", bad)
		}
		if _, err := w.client.SetStatus(t.Context(), bad, github.Status{State: "success", TargetURL: "https://x/1"}, github.Order{}); err == nil {
			t.Errorf("%q got a status", bad)
		}
		if err := w.client.CreateCheckRun(t.Context(), bad, github.CheckRun{Name: "n"}); err == nil {
			t.Errorf("%q got a check run", bad)
		}
		if _, err := w.client.Approvals(t.Context(), 1, bad); err == nil {
			t.Errorf("%q was taken for an approved head", bad)
		}
	}
	if n := len(w.Requests()) - before; n != 0 {
		t.Errorf("%d requests were sent for what is no commit", n)
	}
}

func TestAncestry(t *testing.T) {
	w := newWorld(t)
	side := w.repo.AddCommit(githubtest.Commit{Message: "side", Parents: []string{w.base}})
	root := w.repo.AddCommit(githubtest.Commit{Message: "another root", Files: map[string]string{"x": "y"}})
	tests := []struct {
		name, base, head string
		want             bool
	}{
		{"itself", w.head, w.head, true},
		{"its parent", w.base, w.head, true},
		{"by branch", w.base, "topic", true},
		{"its child", w.head, w.base, false},
		{"its sibling", side, w.head, false},
		{"another history", root, w.head, false},
	}
	for _, test := range tests {
		if got, err := w.client.IsAncestor(t.Context(), test.base, test.head); err != nil || got != test.want {
			t.Errorf("%s: %v, %v, want %v", test.name, got, err, test.want)
		}
	}
	if ok, err := w.client.IsAncestor(t.Context(), strings.Repeat("0", 40), w.head); !errors.Is(err, fs.ErrNotExist) || ok {
		t.Errorf("an unknown commit: %v, %v, want fs.ErrNotExist", ok, err)
	}
	before := len(w.Requests())
	for _, bad := range [][2]string{{"", w.head}, {w.base, ""}, {"a...b", w.head}, {"-x", w.head}} {
		if ok, err := w.client.IsAncestor(t.Context(), bad[0], bad[1]); err == nil || ok {
			t.Errorf("%q: %v, %v, want an error", bad, ok, err)
		}
	}
	if n := len(w.Requests()) - before; n != 0 {
		t.Errorf("%d requests were sent for what names no commit", n)
	}
	w.times(1, "GET", "", answers(200, `{"status":"sideways"}`))
	if ok, err := w.client.IsAncestor(t.Context(), w.base, w.head); err == nil || ok {
		t.Errorf("an unknown answer: %v, %v", ok, err)
	}
}

func TestAFileIsReadAsItIsAtTheRef(t *testing.T) {
	w := newWorld(t)
	odd := "dir with space/a?b#c%41+ü.txt"
	large := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB: past what the contents API sends.
	sha := w.repo.AddCommit(githubtest.Commit{
		Files:    map[string]string{odd: "odd", "large": large, "empty": "", "dir/in": "x", "exact": strings.Repeat("x", 1000)},
		Symlinks: map[string]string{"outside": "../../etc/passwd"},
	})
	for path, want := range map[string]string{odd: "odd", "large": large, "empty": "", "dir/in": "x"} {
		if got, err := w.client.File(t.Context(), path, sha, 4<<20); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v, want %d", path, len(got), err, len(want))
		}
	}
	if got, err := w.client.File(t.Context(), "go.mod", "main", 100); err != nil || string(got) != "module app\n" {
		t.Errorf("at a branch: %q, %v", got, err)
	}
	if _, err := w.client.File(t.Context(), "exact", sha, 1000); err != nil {
		t.Errorf("exactly as large as allowed: %v", err)
	}
	for _, path := range []string{"exact", "large"} {
		if _, err := w.client.File(t.Context(), path, sha, 999); !errors.Is(err, github.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", path, err)
		}
	}
	if _, err := w.client.File(t.Context(), "absent", sha, 999); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v, want fs.ErrNotExist", err)
	}
	for path, want := range map[string]string{"dir": "directory", "outside": "symlink"} {
		if _, err := w.client.File(t.Context(), path, sha, 999); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", path, err, want)
		}
	}
}

func TestAPathDoesNotLeaveTheContents(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"", ".", "..", "../../pulls/1", "a/../../../..", "/etc/passwd", "a//b", "./go.mod", "go.mod/"} {
		if _, err := w.client.File(t.Context(), path, w.base, 999); err == nil {
			t.Errorf("%q was read", path)
		}
	}
	if _, err := w.client.File(t.Context(), "go.mod", "", 999); err == nil {
		t.Error("an empty ref was read as the default branch")
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestAFileThatIsNotWhatItSaysIsAnError(t *testing.T) {
	w := newWorld(t)
	for name, body := range map[string]string{
		"a lie about the size": `{"type":"file","size":99,"encoding":"base64","content":"aGVsbG8="}`,
		"no base64":            `{"type":"file","size":5,"encoding":"base64","content":"%%%"}`,
		"another encoding":     `{"type":"file","size":5,"encoding":"utf-8","content":"hello"}`,
		"a way up as its SHA":  `{"type":"file","size":5,"encoding":"none","content":"","sha":"../../x"}`,
		"a number":             `5`,
		"null":                 `null`,
	} {
		w.times(1, "GET", "/contents/go.mod", answers(200, body))
		if got, err := w.client.File(t.Context(), "go.mod", w.base, 999); err == nil {
			t.Errorf("%s: read %q", name, got)
		}
	}
	sent := 0
	// A large file whose blob is larger than was announced, and without an end.
	w.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/contents/") {
			answers(200, fmt.Sprintf(`{"type":"file","size":5,"encoding":"none","content":"","sha":%q}`, w.head))(rw, r)
			return
		}
		fmt.Fprint(rw, `{"encoding":"base64","content":"`)
		for chunk := strings.Repeat("A", 1<<16); ; {
			n, err := fmt.Fprint(rw, chunk)
			if sent += n; err != nil {
				return
			}
		}
	})
	if _, err := w.client.File(t.Context(), "go.mod", w.base, 999); !errors.Is(err, github.ErrTooLarge) {
		t.Errorf("a blob without end: %v, want ErrTooLarge", err)
	}
	w.Close() // Waits for the handler.
	if sent > 16<<20 {
		t.Errorf("%d bytes were taken for a file that may have 999", sent)
	}
}

func TestApprovalsAreTheLastWordOfPeopleWhoMayWrite(t *testing.T) {
	w := newWorld(t)
	for login, role := range map[string]string{
		"admin": "admin", "maintainer": "maintain", "writer": "write", "custom": "release-captain",
		"triager": "triage", "author": "admin", "changed-her-mind": "admin", "dismissed": "admin",
		"older-head": "admin", "commented-after": "maintain", "came-round": "admin", "pending": "admin", "robot": "admin",
	} {
		w.repo.SetRole(login, role)
	}
	w.repo.UpdatePull(1, func(p *githubtest.Pull) {
		add := func(login, state, commit string) {
			p.Reviews = append(p.Reviews, githubtest.Review{Login: login, State: state, CommitID: commit})
		}
		for _, login := range []string{"admin", "maintainer", "writer", "custom", "triager", "stranger", "author"} {
			add(login, "APPROVED", w.head)
		}
		add("changed-her-mind", "APPROVED", w.head)
		add("changed-her-mind", "CHANGES_REQUESTED", w.head)
		add("dismissed", "APPROVED", w.head)
		add("dismissed", "DISMISSED", w.head)
		add("older-head", "APPROVED", w.base)
		add("commented-after", "APPROVED", w.head)
		add("commented-after", "COMMENTED", w.head)
		add("came-round", "CHANGES_REQUESTED", w.base)
		add("came-round", "APPROVED", w.head)
		add("pending", "PENDING", w.head)
		add("", "APPROVED", w.head) // A deleted account.
		p.Reviews = append(p.Reviews, githubtest.Review{Login: "robot", Bot: true, State: "APPROVED", CommitID: w.head})
	})
	got, err := w.client.Approvals(t.Context(), 1, w.head)
	want := []github.Approval{
		{Login: "admin", Permission: "admin", Maintainer: true},
		{Login: "came-round", Permission: "admin", Maintainer: true},
		{Login: "commented-after", Permission: "maintain", Maintainer: true},
		{Login: "custom", Permission: "release-captain"},
		{Login: "maintainer", Permission: "maintain", Maintainer: true},
		{Login: "writer", Permission: "write"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("approved by %+v, %v\nwant %+v", got, err, want)
	}
	// A push after the approvals takes them all back.
	if got, err := w.client.Approvals(t.Context(), 1, strings.Repeat("a", 40)); err != nil || len(got) != 0 {
		t.Errorf("another head is approved by %+v, %v", got, err)
	}
}

func TestAPermissionThatCannotBeReadIsNoApproval(t *testing.T) {
	w := newWorld(t)
	w.repo.UpdatePull(1, func(p *githubtest.Pull) {
		p.Reviews = []githubtest.Review{{Login: "admin", State: "APPROVED", CommitID: w.head}}
	})
	w.times(always, "GET", "/permission", answers(403, `{"message":"Resource not accessible by integration"}`))
	if got, err := w.client.Approvals(t.Context(), 1, w.head); err == nil {
		t.Errorf("approved by %+v", got)
	}
	w.times(always, "GET", "/permission", answers(200, `{}`))
	if got, err := w.client.Approvals(t.Context(), 1, w.head); err != nil || len(got) != 0 {
		t.Errorf("approved by %+v, %v", got, err)
	}
}
