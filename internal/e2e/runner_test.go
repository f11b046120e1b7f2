package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// An event is what starts a workflow.
type event struct {
	name, workflow string
	payload        any
	ref, sha       string
	token          string
}

// A result is what a workflow left, as act tells it in JSON.
type result struct {
	log   string
	lines []line
	took  time.Duration
	// failed: the workflow did not succeed.
	failed bool
}

// A line is one line of act's log.
type line struct {
	JobID  string
	Msg    string
	StepID []string
	// Matrix is empty for a job without one.
	Matrix map[string]any
	// Command is what a step asked the runner for: set-output, summary, error,
	// warning, notice …, with its words.
	Command, Name, Arg, Content string
	KvPairs                     map[string]string
	Raw                         bool `json:"raw_output"`
	JobResult, StepResult       string
	Step, Stage                 string
	ExecutionTime               time.Duration
}

// start runs one workflow to its end. Each has a run of its own.
func (s *stage) start(e event) (r result, run int64) {
	s.t.Helper()
	s.runs++
	run = int64(5000 + s.runs)
	dir := s.t.TempDir()
	payload, err := json.Marshal(e.payload)
	if err != nil {
		s.t.Fatal(err)
	}
	write(s.t, filepath.Join(dir, "event.json"), string(payload))
	args := []string{e.name, "--json", "-C", s.work, "-W", filepath.Join(s.work, e.workflow), "-e", filepath.Join(dir, "event.json"),
		"--no-skip-checkout", "--no-cache-server", "--action-offline-mode", "--use-new-action-cache", "--action-cache-path", s.cache,
		"--actor", "octocat", "-s", "GITHUB_TOKEN=" + e.token}
	args = append(args, s.machine(e.workflow)...)
	for name, value := range map[string]string{
		"GITHUB_API_URL": s.server.URL, "GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": s.repo.FullName,
		"GITHUB_RUN_ID": fmt.Sprint(run), "GITHUB_RUN_NUMBER": fmt.Sprint(s.runs), "GITHUB_RUN_ATTEMPT": "1",
		"GITHUB_REF": e.ref, "SHA_REF": e.sha,
		"E2E_REMOTE": s.remote, "E2E_ARTIFACTS": s.artifacts,
	} {
		args = append(args, "--env", name+"="+value)
	}
	asked := len(s.server.Requests())
	cmd := exec.CommandContext(s.t.Context(), s.act, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "CI=true")
	started := time.Now()
	err = cmd.Run()
	r = result{took: time.Since(started), failed: err != nil}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	r.parse(stdout.Bytes())
	s.t.Logf("%s on %s: %.1f s in all; its %d jobs built perfgate in %.1f s; %d requests to the API", filepath.Base(e.workflow), e.name,
		r.took.Seconds(), len(r.jobs()), r.spent("Build perfgate").Seconds(), len(s.server.Requests())-asked)
	r.log += stderr.String()
	if !strings.Contains(stdout.String(), `"jobResult"`) {
		s.t.Fatalf("act ran no job of %s: %v\n%s", e.workflow, err, r.log)
	}
	return r, run
}

var (
	usesLine   = regexp.MustCompile(`(?m)^\s*(?:- )?uses: ([\w.-]+)/([\w.-]+)@(\S+)`)
	runsOnLine = regexp.MustCompile(`(?m)^\s*runs-on: (\S+)`)
)

// machine says which folders stand for the actions that a workflow uses, and that
// its jobs run on this machine.
func (s *stage) machine(workflow string) []string {
	s.t.Helper()
	text := read(s.t, filepath.Join(s.work, workflow)) + read(s.t, filepath.Join(s.action, "action.yml"))
	var args []string
	for _, use := range usesLine.FindAllStringSubmatch(text, -1) {
		folder, err := filepath.Abs(filepath.Join("testdata", "actions", use[2]))
		if err != nil {
			s.t.Fatal(err)
		}
		if use[2] == "perfgate" {
			folder = s.action
		}
		args = append(args, "--local-repository", fmt.Sprintf("%s/%s@%s=%s", use[1], use[2], use[3], folder))
	}
	for _, label := range runsOnLine.FindAllStringSubmatch(text, -1) {
		args = append(args, "-P", label[1]+"=-self-hosted")
	}
	return args
}

// parse reads act's log. What is no JSON is kept as text.
func (r *result) parse(log []byte) {
	var text strings.Builder
	for raw := range bytes.Lines(log) {
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			text.Write(raw)
			continue
		}
		fmt.Fprintf(&text, "[%s%v] %s\n", l.JobID, matrix(l.Matrix), strings.TrimRight(l.Msg, "\n"))
		r.lines = append(r.lines, l)
	}
	r.log = text.String()
}

func matrix(m map[string]any) string {
	if len(m) == 0 {
		return ""
	}
	data, _ := json.Marshal(m)
	return string(data)
}

// summary is the job summary that a job wrote.
func (r *result) summary(job string) string {
	var all strings.Builder
	for _, l := range r.lines {
		// Within a composite action act tells of a summary twice.
		if l.JobID == job && l.Command == "summary" && len(l.StepID) == 1 {
			all.WriteString(l.Content)
		}
	}
	return all.String()
}

// outputs are what a step of a job has set; with a matrix the last one's.
func (r *result) outputs(job, step string) map[string]string {
	found := map[string]string{}
	for _, l := range r.lines {
		if l.JobID == job && l.Command == "set-output" && len(l.StepID) == 1 && l.StepID[0] == step {
			found[l.Name] = l.Arg
		}
	}
	return found
}

// commands are the words of what the steps asked the runner for.
func (r *result) commands(names ...string) []string {
	var found []string
	for _, l := range r.lines {
		for _, name := range names {
			if l.Command == name {
				found = append(found, fmt.Sprintf("%s %v: %s", name, l.KvPairs, l.Arg))
			}
		}
	}
	return found
}

// spent is how long the steps of this name took together.
func (r *result) spent(step string) (total time.Duration) {
	for _, l := range r.lines {
		if l.StepResult != "" && strings.Contains(l.Msg, "- Main "+step+" [") {
			total += l.ExecutionTime
		}
	}
	return total
}

// jobs are the results of the jobs.
func (r *result) jobs() map[string]string {
	found := map[string]string{}
	for _, l := range r.lines {
		if l.JobResult != "" && found[l.JobID] != "failure" {
			found[l.JobID] = l.JobResult
		}
	}
	return found
}
