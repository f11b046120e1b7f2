package cli

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/github/githubtest"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

const (
	plainPolicy  = "version: 1\n"
	chattyPolicy = "version: 1\ncomment: always\n"
)

func TestARegressionIsCommentedAndFailsTheStatus(t *testing.T) {
	h := newHub(t, plainPolicy)
	h.uploadBundle(h.measured(5))
	h.exits(h.tell(), verdict.ExitRegression)
	h.said("<!-- perfgate:comment v1 run=1 attempt=1 -->", "regressed", "Add")
	h.status(h.head, "failure")
	h.status(h.merge, "")
	if out := h.stdout.String(); !strings.HasPrefix(out, "::stop-commands::") || !strings.Contains(out, "verdict: regressed (exit 1)") {
		t.Errorf("log:\n%s", out)
	}
	if summary := h.read(h.summary); !strings.Contains(summary, "regressed") {
		t.Errorf("summary:\n%s", summary)
	}
	for _, want := range []string{"comment-url<<", "https://", "exit-code<<", "verdict<<"} {
		if outs := h.read(h.outs); !strings.Contains(outs, want) {
			t.Errorf("outputs lack %q:\n%s", want, outs)
		}
	}
}

func TestNothingConfirmedIsCommentedAsPolicyAsks(t *testing.T) {
	for policy, comments := range map[string]int{plainPolicy: 0, chattyPolicy: 1, "version: 1\ncomment: never\n": 0} {
		h := newHub(t, policy)
		h.uploadBundle(h.measured(3))
		h.exits(h.tell(), verdict.ExitPass)
		h.status(h.head, "success")
		if got := h.comments(); len(got) != comments {
			t.Errorf("policy %q: comments %q", policy, got)
		}
	}
	h := newHub(t, "version: 1\ncomment: never\n")
	h.uploadBundle(h.measured(5))
	h.exits(h.tell(), verdict.ExitRegression)
	h.saidNothing()
}

// What was said before must not stand there as if it still held.
func TestACommentIsEditedWhenNothingIsConfirmedAnyMore(t *testing.T) {
	h := newHub(t, plainPolicy)
	h.uploadBundle(h.measured(5))
	h.exits(h.tell(), verdict.ExitRegression)
	h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, HeadBranch: "feature", HeadSHA: h.head})
	h.uploadBundle(h.measured(3))
	h.exits(h.tell(), verdict.ExitPass)
	h.said("run=2 attempt=1", "no change")
	h.status(h.head, "success")
}

func TestAnOlderRunDoesNotOverwriteANewerOne(t *testing.T) {
	h := newHub(t, plainPolicy)
	older := h.run
	h.uploadBundle(h.measured(3))
	h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, HeadBranch: "feature", HeadSHA: h.head})
	h.uploadBundle(h.measured(5))
	h.exits(h.tell(), verdict.ExitRegression)
	h.run = older
	h.exits(h.tell(), verdict.ExitPass)
	h.said("run=2 attempt=1", "regressed")
	h.status(h.head, "failure")
}

func TestAForkIsToldThatItIsAdvisory(t *testing.T) {
	h := newHub(t, plainPolicy)
	fork := h.server.AddFork(h.repo, "mallory/app")
	// The fork's branch is called as ours is, and its head is another one.
	h.propose(fork, "main", githubtest.Commit{Files: map[string]string{"go.mod": "module example.org/m\n", "b.go": "package m\n"}, Message: "fork"})
	h.uploadBundle(h.measured(5))
	h.exits(h.tell(), verdict.ExitRegression)
	h.said("advisory", "from a fork")
	h.status(h.head, "failure")
	if got := h.repo.Comments(1); len(got) > 0 {
		t.Errorf("the other pull request was told: %+v", got)
	}
}

// What the artifact, or the event's own list, says about where to comment chooses
// nothing.
func TestTheArtifactDoesNotChooseThePullRequest(t *testing.T) {
	h := newHub(t, plainPolicy)
	victim := h.repo.AddPull(githubtest.Pull{HeadRef: "main", Number: 99})
	forged := h.measured(5)
	forged.Manifest.Head.Ref = "refs/pull/99/merge"
	h.uploadBundle(forged)
	h.upload("pr-number", map[string][]byte{"number": []byte("99")})
	h.exits(h.tell(), verdict.ExitRegression)
	h.said("regressed")
	if got := h.repo.Comments(victim); len(got) > 0 {
		t.Errorf("another pull request was told: %+v", got)
	}
}

// Whoever merges or pushes while a run goes on is not told of a failure.
func TestARunThatNobodyWaitsForIsNoFailure(t *testing.T) {
	for name, change := range map[string]func(p *githubtest.Pull, h *hub){
		"the head moved on": func(p *githubtest.Pull, h *hub) { p.HeadSHA = h.base },
		"closed":            func(p *githubtest.Pull, _ *hub) { p.Closed = true },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, chattyPolicy)
			h.repo.UpdatePull(h.number, func(p *githubtest.Pull) { change(p, h) })
			h.uploadBundle(h.measured(5))
			h.exits(h.tell(), verdict.ExitPass)
			h.saidNothing()
			h.status(h.head, "")
			if summary := h.read(h.summary); !strings.Contains(summary, "nothing is posted") || !strings.Contains(summary, "its branch moved on") {
				t.Errorf("summary:\n%s", summary)
			}
		})
	}
}

// Without one certain place nothing is posted.
func TestNothingIsPostedWhereTheIdentityIsNotCertain(t *testing.T) {
	for name, change := range map[string]func(h *hub){
		"one head in two pull requests": func(h *hub) {
			h.repo.SetBranch("release", h.base)
			h.repo.AddPull(githubtest.Pull{HeadRef: "feature", BaseRef: "release"})
		},
		"the same workflow name at another path": func(h *hub) {
			h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, HeadBranch: "feature", HeadSHA: h.head, Path: ".github/workflows/evil.yml"})
		},
		"another event": func(h *hub) {
			h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, HeadBranch: "feature", HeadSHA: h.head, Event: "push"})
		},
		"a deleted fork": func(h *hub) {
			fork := h.server.AddFork(h.repo, "mallory/app")
			h.propose(fork, "feature2", githubtest.Commit{Message: "fork"})
			fork.Delete()
			h.run = h.repo.AddRun(githubtest.Run{HeadBranch: "feature2", HeadSHA: h.head})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, chattyPolicy)
			change(h)
			h.uploadBundle(h.measured(5))
			h.exits(h.tell(), verdict.ExitNotMeasured)
			h.saidNothing()
			h.status(h.head, "")
			if summary := h.read(h.summary); !strings.Contains(summary, "nothing is posted") {
				t.Errorf("summary:\n%s", summary)
			}
		})
	}
}

// Whoever pushes while the verdict is made gets none for what is no longer there.
func TestAPushBeforePostingDropsTheRun(t *testing.T) {
	h := newHub(t, chattyPolicy)
	h.uploadBundle(h.measured(5))
	h.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/artifacts") {
			h.repo.UpdatePull(h.number, func(p *githubtest.Pull) { p.HeadSHA = h.base })
		}
		next.ServeHTTP(w, r)
	})
	h.exits(h.tell(), verdict.ExitPass)
	h.saidNothing()
	h.status(h.head, "")
	h.status(h.base, "")
}

func TestAMissingShardIsNamedAndFails(t *testing.T) {
	for name, second := range map[string]func(h *hub){
		"nothing": func(*hub) {},
		"expired": func(h *hub) {
			h.repo.AddArtifact(githubtest.Artifact{RunID: h.run, Name: "perfgate-1-2-of-2", Zip: []byte("x"), Expired: true})
		},
		"no archive": func(h *hub) {
			h.repo.AddArtifact(githubtest.Artifact{RunID: h.run, Name: "perfgate-1-2-of-2", Zip: []byte("<html>")})
		},
		"tampered": func(h *hub) {
			b := h.measured(3)
			b.Manifest.Shard = &recording.Shard{Index: 2, Count: 2}
			files := h.files(b)
			files["bundle/samples/head.txt"] = bytes.Replace(files["bundle/samples/head.txt"], []byte(" 3 allocs/op"), []byte(" 1 allocs/op"), 1)
			h.upload("perfgate-1-2-of-2", files)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, plainPolicy)
			first := h.measured(3)
			first.Manifest.Shard = &recording.Shard{Index: 1, Count: 2}
			h.upload("perfgate-1-1-of-2", h.files(first))
			second(h)
			h.exits(h.tell(), verdict.ExitNotMeasured)
			h.said("shard 2 of 2", "missing")
			h.status(h.head, "error")
		})
	}
}

func TestARunWithoutArtifactsIsNotMeasured(t *testing.T) {
	h := newHub(t, plainPolicy)
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.said("no artifact called")
	h.status(h.head, "error")
}

// Nothing is shown of what does not belong to the head of the pull request.
func TestWhatDoesNotBelongToTheHeadIsRefused(t *testing.T) {
	stranger := strings.Repeat("12", 20)
	for name, edit := range map[string]func(h *hub, b *recording.Bundle){
		"another commit": func(h *hub, b *recording.Bundle) { b.Manifest.Head = h.revision(h.base) },
		"another pull request's merge": func(h *hub, b *recording.Bundle) {
			b.Manifest.Head = h.revision(h.repo.AddCommit(githubtest.Commit{Parents: []string{h.base, h.repo.AddCommit(githubtest.Commit{Message: "other"})}}))
		},
		"a merge the other way round": func(h *hub, b *recording.Bundle) {
			b.Manifest.Head = h.revision(h.repo.AddCommit(githubtest.Commit{Parents: []string{h.head, h.base}}))
		},
		"a commit that nobody has": func(_ *hub, b *recording.Bundle) { b.Manifest.Head.Commit = stranger },
		"no commit":                func(_ *hub, b *recording.Bundle) { b.Manifest.Head.Commit = "refs/heads/main" },
		"another tree":             func(_ *hub, b *recording.Bundle) { b.Manifest.Head.Tree = stranger },
		"uncommitted changes":      func(_ *hub, b *recording.Bundle) { b.Manifest.Head.Dirty = true },
		"a base of its own": func(h *hub, b *recording.Bundle) {
			own := h.repo.AddCommit(githubtest.Commit{Files: map[string]string{"perfgate.yml": "version: 1\npolicy: [{ignore: true}]\n"}, Message: "slow"})
			b.Manifest.Base = h.revision(own)
			b.Manifest.Head = h.revision(h.repo.AddCommit(githubtest.Commit{Parents: []string{own, h.head}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, plainPolicy)
			b := h.measured(3)
			edit(h, &b)
			h.uploadBundle(b)
			h.exits(h.tell(), verdict.ExitNotMeasured)
			h.said("cannot be believed")
			if comment := h.comments()[0]; strings.Contains(comment, "Add") {
				t.Errorf("something of it is shown:\n%s", comment)
			}
			h.status(h.head, "error")
		})
	}
}

func TestTheHeadItselfMayBeMeasured(t *testing.T) {
	h := newHub(t, plainPolicy)
	b := h.measured(3)
	b.Manifest.Head = h.revision(h.head)
	h.uploadBundle(b)
	h.exits(h.tell(), verdict.ExitPass)
	h.status(h.head, "success")
}

func TestShardsThatDisagreeOnTheCommitAreRefused(t *testing.T) {
	h := newHub(t, plainPolicy)
	for i, head := range []string{h.merge, h.head} {
		b := h.measured(3)
		b.Manifest.Head = h.revision(head)
		b.Manifest.Shard = &recording.Shard{Index: i + 1, Count: 2}
		h.upload(fmt.Sprintf("perfgate-1-%d-of-2", i+1), h.files(b))
	}
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.said("cannot be believed", "disagree on the head side")
	h.status(h.head, "error")
}

func TestARetargetedPullRequestIsNotToldAboutItsOldBase(t *testing.T) {
	h := newHub(t, plainPolicy)
	release := h.repo.AddCommit(githubtest.Commit{Files: map[string]string{"perfgate.yml": plainPolicy}, Message: "release"})
	h.repo.SetBranch("release", release)
	h.uploadBundle(h.measured(3))
	h.repo.UpdatePull(h.number, func(p *githubtest.Pull) { p.BaseRef = "release" })
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.said("is not part of branch release")
	h.statusOf("perfgate (release)", h.head, "error")
}

const lenient = "version: 1\npolicy:\n- fail-on: never\n"

// Neither the pull request's own perfgate.yml, nor what its bundle says of the
// policy, nor an old one that its merge commit points at decides.
func TestThePolicyIsThatOfTheBaseBranch(t *testing.T) {
	h := newHub(t, plainPolicy)
	h.propose(h.repo, "lenient", githubtest.Commit{Files: map[string]string{"perfgate.yml": lenient}, Message: "lenient"})
	b := h.measured(5)
	b.Manifest.Policy.Rules = append(b.Manifest.Policy.Rules, ruleThatNeverFails)
	h.uploadBundle(b)
	h.exits(h.tell(), verdict.ExitRegression)
	h.said("regressed", "perfgate.yml", "touches what judges it")
	h.status(h.head, "failure")
}

func TestAnOldPolicyCannotBeChosen(t *testing.T) {
	h := newHub(t, lenient)
	old := h.base
	h.base = h.repo.AddCommit(githubtest.Commit{Parents: []string{old}, Files: map[string]string{"perfgate.yml": plainPolicy}, Message: "strict now"})
	h.repo.SetBranch("main", h.base)
	b := h.measured(5) // against the old commit, which is part of the branch
	b.Manifest.Base = h.revision(old)
	h.uploadBundle(b)
	h.exits(h.tell(), verdict.ExitRegression)
	h.status(h.head, "failure")
}

func TestABrokenPolicyOnTheBaseBranchIsNoPass(t *testing.T) {
	h := newHub(t, "version: 1\ncolour: red\n")
	h.uploadBundle(h.measured(3))
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.said("cannot be read", "colour")
	h.status(h.head, "error")
}

func TestALeftOutBenchmarkIsMissing(t *testing.T) {
	h := newHub(t, plainPolicy)
	policy := "version: 1\nsuites:\n  smoke: {packages: [./...], manifest: suite.json}\n"
	listed := `{"version":1,"benchmarks":[
{"pkg":"example.org/m","name":"BenchmarkAdd","sizes":["smoke"],"class":"timed","units":[],"hash":"` + strings.Repeat("0", 64) + `"},
{"pkg":"example.org/m","name":"BenchmarkGone","sizes":["smoke"],"class":"timed","units":[],"hash":"` + strings.Repeat("0", 64) + `"}
]}
`
	h.base = h.repo.AddCommit(githubtest.Commit{Parents: []string{h.base}, Files: map[string]string{"perfgate.yml": policy, "suite.json": listed}, Message: "suite"})
	h.repo.SetBranch("main", h.base)
	h.propose(h.repo, "feature2", githubtest.Commit{Message: "leaves one out"})
	b := h.measured(3)
	b.Manifest.Suite = "smoke"
	h.uploadBundle(b)
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.said("Gone", "missing", "suite.json")
	// And so is the whole suite, where another one is named.
	h.run = h.repo.AddRun(githubtest.Run{HeadRepo: h.repo, HeadBranch: "feature2", HeadSHA: h.head})
	b.Manifest.Suite = "tiny"
	h.uploadBundle(b)
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.said("tiny")
}

func TestATokenThatMayNotWriteLeavesTheSummary(t *testing.T) {
	for scopes, want := range map[string]string{"": "", "statuses": "failure"} {
		h := newHub(t, plainPolicy)
		h.server.AddToken("secret", githubtest.Token{Write: strings.Fields(scopes)})
		h.uploadBundle(h.measured(5))
		h.exits(h.tell(), verdict.ExitRegression)
		h.saidNothing()
		h.status(h.head, want)
		if summary := h.read(h.summary); !strings.Contains(summary, "regressed") {
			t.Errorf("summary:\n%s", summary)
		}
		if log := h.stdout.String(); !strings.Contains(log, "pull-requests: write") {
			t.Errorf("log:\n%s", log)
		}
	}
}

func TestFailOnNeverTellsTheTruthAndPasses(t *testing.T) {
	h := newHub(t, plainPolicy)
	h.uploadBundle(h.measured(5))
	h.exits(h.tell("--fail-on", "never"), verdict.ExitPass)
	h.said("regressed")
	h.status(h.head, "success")
	if outs := h.read(h.outs); !strings.Contains(outs, "regressed") {
		t.Errorf("outputs:\n%s", outs)
	}
}

// A run that has begun again will end again, and its end is told then.
func TestARunThatRunsAgainIsLeftToItsEnd(t *testing.T) {
	for name, edit := range map[string][2]string{
		"from the beginning":  {`"conclusion":"success"`, `"conclusion":null`},
		"nothing was run":     {`"conclusion":"success"`, `"conclusion":"action_required"`},
		"in a second attempt": {`"run_attempt":1`, `"run_attempt":2`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, chattyPolicy)
			h.uploadBundle(h.measured(5))
			reads := 0
			h.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !strings.HasSuffix(r.URL.Path, fmt.Sprintf("/actions/runs/%d", h.run)) {
					next.ServeHTTP(w, r)
					return
				}
				answer := httptest.NewRecorder()
				next.ServeHTTP(answer, r)
				// The second attempt begins while the first is being judged.
				if reads++; reads == 2 || name != "in a second attempt" {
					edited := strings.Replace(answer.Body.String(), edit[0], edit[1], 1)
					if edited == answer.Body.String() {
						t.Errorf("%q is not in the answer: %s", edit[0], edited)
					}
					answer.Body.Reset()
					answer.Body.WriteString(edited)
				}
				maps.Copy(w.Header(), answer.Header())
				w.Header().Del("Content-Length")
				w.WriteHeader(answer.Code)
				w.Write(answer.Body.Bytes())
			})
			h.exits(h.tell(), verdict.ExitPass)
			h.saidNothing()
			h.status(h.head, "")
		})
	}
}

func TestFilesThatJudgeAreNamed(t *testing.T) {
	h := newHub(t, chattyPolicy)
	h.base = h.repo.AddCommit(githubtest.Commit{Parents: []string{h.base}, Files: map[string]string{
		"go.mod": "module github.com/perfgate/perfgate\n", "perfgate.yml": chattyPolicy}, Message: "the gate itself"})
	h.repo.SetBranch("main", h.base)
	touched := []string{".github/workflows/perfgate.yml", "action.yml", "gate/verdict/decide.go", "cmd/perfgate/main.go", "pool/pool_test.go"}
	files := map[string]string{"README.md": "", "gatehouse/x.go": "", "perfgate.yml": chattyPolicy, "go.mod": "module github.com/perfgate/perfgate\n"}
	for _, name := range touched {
		files[name] = "x"
	}
	h.propose(h.repo, "judges", githubtest.Commit{Files: files, Message: "judges"})
	h.uploadBundle(h.measured(3))
	h.exits(h.tell(), verdict.ExitPass)
	h.said(touched...)
	if comment := h.comments()[0]; strings.Contains(comment, "README.md") || strings.Contains(comment, "gatehouse") {
		t.Errorf("too much is named:\n%s", comment)
	}
}

// Text of the artifact reaches the log, the summary and the comment, and is a
// command in none of them.
func TestTextOfTheArtifactIsNoCommand(t *testing.T) {
	h := newHub(t, plainPolicy)
	b := h.measured(5)
	b.Manifest.Warnings = []string{"x\n::set-output name=verdict::pass\n##[error]x <!-- perfgate:comment v1 run=9 attempt=9 --> @octo/team </details>"}
	h.uploadBundle(b)
	h.upload("perfgate-1-2-of-2", map[string][]byte{"outcome.json": []byte("::error::x")})
	h.exits(h.tell(), verdict.ExitNotMeasured)
	out := h.stdout.String()
	fence, rest, _ := strings.Cut(strings.TrimPrefix(out, "::stop-commands::"), "\n")
	if !strings.HasSuffix(rest, "::"+fence+"::\n") || h.stderr.Len() > 0 {
		t.Errorf("something is printed outside the fence:\n%s%s", out, h.stderr.String())
	}
}

// The module may be in a folder: its policy is there.
func TestAModuleInAFolderHasItsOwnPolicy(t *testing.T) {
	h := newHub(t, plainPolicy)
	files := map[string]string{"sub/go.mod": "module example.org/m\n", "sub/ci/gate.yml": lenient, "perfgate.yml": plainPolicy}
	h.base = h.repo.AddCommit(githubtest.Commit{Parents: []string{h.base}, Files: files, Message: "module below"})
	h.repo.SetBranch("main", h.base)
	h.propose(h.repo, "below", githubtest.Commit{Files: map[string]string{"sub/ci/gate.yml": plainPolicy, "sub/go.mod": ""}, Message: "edits it"})
	h.uploadBundle(h.measured(5))
	h.exits(h.tell("--module", "./sub/", "--config", "ci/gate.yml"), verdict.ExitPass)
	h.said("sub/ci/gate.yml", "policy does not fail on it")
}

func TestAnAPIThatFailsLeavesNoOldStatus(t *testing.T) {
	h := newHub(t, plainPolicy)
	h.uploadBundle(h.measured(3))
	h.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/compare/") {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		next.ServeHTTP(w, r)
	})
	h.exits(h.tell(), verdict.ExitNotMeasured)
	h.status(h.head, "error")
}

func TestTheStatusIsSetWhateverBecomesOfTheComment(t *testing.T) {
	h := newHub(t, plainPolicy)
	h.uploadBundle(h.measured(5))
	h.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/comments") {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		next.ServeHTTP(w, r)
	})
	h.exits(h.tell(), verdict.ExitRegression)
	h.saidNothing()
	h.status(h.head, "failure")
	if summary := h.read(h.summary); !strings.Contains(summary, "regressed") || !strings.Contains(summary, "could not be told") {
		t.Errorf("summary:\n%s", summary)
	}
}

func TestOnlyAWorkflowRunIsToldAbout(t *testing.T) {
	var stderr bytes.Buffer
	for name, vars := range map[string]map[string]string{
		"no token":      {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "octo/app"},
		"no repository": {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "secret"},
	} {
		env := &Env{Stdout: &stderr, Stderr: &stderr, Getenv: func(name string) string { return vars[name] }}
		if code := Main(context.Background(), env, []string{"ci", "comment"}); code != verdict.ExitUsage {
			t.Errorf("%s: exit %d", name, code)
		}
	}
	for _, args := range [][]string{{"--config", "../x"}, {"--module", "/etc"}, {"--fail-on", "sometimes"}, {"operand"}} {
		h := newHub(t, plainPolicy)
		h.exits(h.tell(args...), verdict.ExitUsage)
	}
}
