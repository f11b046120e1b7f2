package actions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// eventBytesMax bounds the event's file: GitHub itself caps a payload at 25 MB.
const eventBytesMax = 25 << 20

// Event is what started the workflow, as far as a check needs it. At most one of
// the pointers is set, the one of the event's name.
type Event struct {
	Name        string
	Repository  Repository
	PullRequest *PullRequest
	MergeGroup  *MergeGroup
	Push        *Push
	WorkflowRun *WorkflowRun
}

// Repository names a repository by what cannot be renamed, too.
type Repository struct {
	ID            int64  `json:"id"`
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
}

// PullRequest is the subject of pull_request. Everything of its head side was
// chosen by its author.
type PullRequest struct {
	Number int  `json:"number"`
	Head   Side `json:"head"`
	Base   Side `json:"base"`
}

// Side is one branch of a pull request.
type Side struct {
	Ref string `json:"ref"`
	SHA string `json:"sha"`
	// Repo is nil where the repository was deleted.
	Repo *Repository `json:"repo"`
}

// Fork: the head side is in another repository, or in none any more.
func (p *PullRequest) Fork() bool {
	return p.Head.Repo == nil || p.Base.Repo == nil || p.Head.Repo.ID != p.Base.Repo.ID
}

// MergeGroup is the subject of merge_group.
type MergeGroup struct {
	HeadSHA string `json:"head_sha"`
	BaseSHA string `json:"base_sha"`
	BaseRef string `json:"base_ref"`
}

// Push is the subject of push.
type Push struct {
	Ref    string `json:"ref"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// WorkflowRun is the subject of workflow_run: the run that ended. Of it only the
// number may be believed; everything else has to be asked for.
type WorkflowRun struct {
	ID int64 `json:"id"`
}

// Event reads the event's file.
func (r Runner) Event() (Event, error) {
	var unset []string
	if r.eventName == "" {
		unset = append(unset, "GITHUB_EVENT_NAME")
	}
	if r.eventPath == "" {
		unset = append(unset, "GITHUB_EVENT_PATH")
	}
	if len(unset) > 0 {
		return Event{}, fmt.Errorf("reading the event: not set: %s, which the runner gives to each step of a workflow", strings.Join(unset, " and "))
	}
	f, err := os.Open(r.eventPath)
	if err != nil {
		return Event{}, fmt.Errorf("reading the event: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, eventBytesMax+1))
	if err != nil {
		return Event{}, fmt.Errorf("reading the event: %w", err)
	}
	if len(data) > eventBytesMax {
		return Event{}, fmt.Errorf("reading the event: %s is larger than %d bytes", r.eventPath, eventBytesMax)
	}
	e, err := ParseEvent(r.eventName, data)
	if err != nil {
		return Event{}, fmt.Errorf("reading the event %s from %s: %w", r.eventName, r.eventPath, err)
	}
	return e, nil
}

// ParseEvent reads the payload of the event with this name, and wants of it what
// a check relies on. Other fields are left alone: GitHub adds some every month.
func ParseEvent(name string, payload []byte) (Event, error) {
	var raw struct {
		Repository  Repository   `json:"repository"`
		PullRequest *PullRequest `json:"pull_request"`
		MergeGroup  *MergeGroup  `json:"merge_group"`
		WorkflowRun *WorkflowRun `json:"workflow_run"`
		Push
	}
	if err := json.Unmarshal(payload, &raw); err != nil {
		return Event{}, err
	}
	e := Event{Name: name, Repository: raw.Repository}
	switch name {
	case "pull_request":
		e.PullRequest = raw.PullRequest
	case "merge_group":
		e.MergeGroup = raw.MergeGroup
	case "push":
		e.Push = &raw.Push
	case "workflow_run":
		e.WorkflowRun = raw.WorkflowRun
	}
	return e, e.check()
}

// check asks that the event has what its name promises.
func (e *Event) check() error {
	var hashes []string
	switch {
	case e.Name == "pull_request" && (e.PullRequest == nil || e.PullRequest.Number <= 0):
		return errors.New("it has no pull request")
	case e.Name == "merge_group" && e.MergeGroup == nil:
		return errors.New("it has no merge group")
	case e.Name == "workflow_run" && (e.WorkflowRun == nil || e.WorkflowRun.ID <= 0):
		return errors.New("it has no workflow run")
	case e.PullRequest != nil:
		hashes = []string{e.PullRequest.Head.SHA, e.PullRequest.Base.SHA}
	case e.MergeGroup != nil:
		hashes = []string{e.MergeGroup.HeadSHA, e.MergeGroup.BaseSHA}
	case e.Push != nil:
		hashes = []string{e.Push.After}
	}
	for _, hash := range hashes {
		if !IsCommit(hash) {
			return fmt.Errorf("%q is no commit", hash)
		}
	}
	return nil
}

// IsCommit tells whether s is a whole commit hash, as git writes one.
func IsCommit(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
