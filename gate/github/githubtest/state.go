package githubtest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Repo is one repository. Its exported fields do not change while it serves.
type Repo struct {
	// FullName is "owner/name".
	FullName string
	ID       int64

	server    *Server
	parent    *Repo
	refs      map[string]string // refs/heads/main -> SHA
	protected map[string]bool   // By branch.
	roles     map[string]string // Login -> read, triage, write, maintain, admin or a role of the organisation.
	pulls     []*Pull
	comments  []*Comment
	statuses  []*Status
	checks    []*CheckRun
	runs      []*Run
	artifacts []*Artifact
	noPulls   bool
}

// AddRepo makes an empty repository, whose default branch is main.
func (s *Server) AddRepo(fullName string) *Repo { return s.addRepo(fullName, nil) }

// AddFork makes a fork without branches of its own.
func (s *Server) AddFork(parent *Repo, fullName string) *Repo { return s.addRepo(fullName, parent) }

func (s *Server) addRepo(fullName string, parent *Repo) *Repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Repo{
		FullName: fullName, ID: s.nextID(), server: s, parent: parent,
		refs: map[string]string{}, protected: map[string]bool{}, roles: map[string]string{},
	}
	s.repos[strings.ToLower(fullName)] = r
	return r
}

// Delete removes the repository. Pull requests from it keep their commits and
// lose their head repository, as when somebody deletes a fork.
func (r *Repo) Delete() {
	defer r.lock()()
	delete(r.server.repos, strings.ToLower(r.FullName))
}

func (r *Repo) lock() (unlock func()) {
	r.server.mu.Lock()
	return r.server.mu.Unlock
}

func (r *Repo) gone() bool { return r.server.repos[strings.ToLower(r.FullName)] != r }

func (r *Repo) owner() string {
	owner, _, _ := strings.Cut(r.FullName, "/")
	return owner
}

// A Commit is one commit object.
type Commit struct {
	// SHA is computed as git does; a set one is believed, for commits that
	// stand for those of a real repository.
	SHA     string
	Parents []string
	Message string
	// Files is the whole tree, content by path; nil leaves the first parent's.
	Files map[string]string
	// Symlinks are further entries of the tree: target by path.
	Symlinks map[string]string
	// Tree is set by AddCommit where it is empty.
	Tree          string
	Author, Email string
	Date          time.Time
}

// AddCommit stores a commit and returns its SHA. No branch moves.
func (r *Repo) AddCommit(c Commit) string {
	defer r.lock()()
	o := r.server.objects
	if c.Author == "" {
		c.Author, c.Email = "Octo Cat", "octo@example.com"
	}
	if c.Date.IsZero() {
		c.Date = r.server.tick()
	}
	files := map[string]entry{}
	if c.Files == nil && len(c.Parents) > 0 {
		if parent := o.commits[c.Parents[0]]; parent != nil {
			files = o.files(parent.Tree)
		}
	}
	for path, content := range c.Files { // maprange: into a map
		files[path] = entry{modeFile, path, o.putBlob([]byte(content))}
	}
	for path, target := range c.Symlinks { // maprange: into a map
		files[path] = entry{modeSymlink, path, o.putBlob([]byte(target))}
	}
	if c.Tree == "" {
		c.Tree = o.putTree(files)
	}
	return o.putCommit(c)
}

// SetBranch points a branch at a commit, whatever it pointed at.
func (r *Repo) SetBranch(name, sha string) {
	defer r.lock()()
	r.refs["refs/heads/"+name] = sha
}

// Branch is the commit that a branch points at, or "".
func (r *Repo) Branch(name string) string {
	defer r.lock()()
	return r.refs["refs/heads/"+name]
}

// Branches are the names of all branches, in order.
func (r *Repo) Branches() []string {
	defer r.lock()()
	var names []string
	for ref := range r.refs { // maprange: sorted below
		if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Commit reads a commit back, with Files filled in.
func (r *Repo) Commit(sha string) (Commit, bool) {
	defer r.lock()()
	o := r.server.objects
	found := o.commits[sha]
	if found == nil {
		return Commit{}, false
	}
	c := *found
	c.Files, c.Symlinks = map[string]string{}, nil
	for path, e := range o.files(c.Tree) { // maprange: into a map
		c.Files[path] = string(o.blobs[e.sha])
	}
	return c, true
}

// Protect makes updates of a branch fail until a pull request is merged.
func (r *Repo) Protect(branch string) {
	defer r.lock()()
	r.protected[branch] = true
}

// ForbidPullsByActions is the setting that keeps workflows from opening pull
// requests.
func (r *Repo) ForbidPullsByActions() {
	defer r.lock()()
	r.noPulls = true
}

// SetRole gives somebody a role: read, triage, write, maintain, admin, or the
// name of a role that an organisation made, which this server bases on write.
func (r *Repo) SetRole(login, role string) {
	defer r.lock()()
	r.roles[login] = role
}

// A Pull is one pull request.
type Pull struct {
	Number int
	Title  string
	Body   string
	Author string
	Closed bool
	Merged bool
	Locked bool
	// HeadRepo is where HeadRef is; nil means the repository itself.
	HeadRepo *Repo
	// HeadSHA is set from HeadRef, BaseSHA from BaseRef, where empty.
	HeadRef, HeadSHA string
	BaseRef, BaseSHA string
	Reviews          []Review
}

// A Review is one review of a pull request.
type Review struct {
	Login string
	// Bot: the reviewer is an app and not a person.
	Bot bool
	// State is APPROVED, CHANGES_REQUESTED, COMMENTED, DISMISSED or PENDING.
	State, CommitID string
}

// AddPull opens a pull request and returns its number.
func (r *Repo) AddPull(p Pull) int {
	defer r.lock()()
	return r.addPull(p).Number
}

func (r *Repo) addPull(p Pull) *Pull {
	if p.HeadRepo == nil {
		p.HeadRepo = r
	}
	if p.Author == "" {
		p.Author = p.HeadRepo.owner()
	}
	p.Number = cmp.Or(p.Number, len(r.pulls)+1)
	p.Title = cmp.Or(p.Title, fmt.Sprintf("Pull request %d", p.Number))
	p.HeadSHA = cmp.Or(p.HeadSHA, p.HeadRepo.refs["refs/heads/"+p.HeadRef])
	p.BaseRef = cmp.Or(p.BaseRef, "main")
	p.BaseSHA = cmp.Or(p.BaseSHA, r.refs["refs/heads/"+p.BaseRef])
	r.pulls = append(r.pulls, &p)
	return &p
}

// UpdatePull changes a pull request.
func (r *Repo) UpdatePull(number int, change func(*Pull)) {
	defer r.lock()()
	change(r.pull(number))
}

// Pulls are all pull requests as they are now.
func (r *Repo) Pulls() []Pull {
	defer r.lock()()
	return values(r.pulls)
}

func (r *Repo) pull(number int) *Pull {
	for _, p := range r.pulls {
		if p.Number == number {
			return p
		}
	}
	return nil
}

// A Comment is one comment on a pull request.
type Comment struct {
	ID    int64
	Pull  int
	Login string
	// Bot: the author is an app and not a person.
	Bot              bool
	Body             string
	Created, Updated time.Time
}

// AddComment has somebody comment, and returns the comment's id.
func (r *Repo) AddComment(c Comment) int64 {
	defer r.lock()()
	return r.addComment(c).ID
}

func (r *Repo) addComment(c Comment) *Comment {
	c.ID = cmp.Or(c.ID, r.server.nextID())
	c.Bot = c.Bot || strings.HasSuffix(c.Login, "[bot]")
	c.Created = r.server.tick()
	c.Updated = c.Created
	r.comments = append(r.comments, &c)
	slices.SortFunc(r.comments, func(a, b *Comment) int { return cmp.Compare(a.ID, b.ID) })
	return &c
}

// Comments are a pull request's comments, oldest first.
func (r *Repo) Comments(number int) []Comment {
	defer r.lock()()
	return slices.DeleteFunc(values(r.comments), func(c Comment) bool { return c.Pull != number })
}

// DeleteComment removes a comment, as a maintainer may.
func (r *Repo) DeleteComment(id int64) {
	defer r.lock()()
	r.removeComment(id)
}

func (r *Repo) removeComment(id int64) bool {
	before := len(r.comments)
	r.comments = slices.DeleteFunc(r.comments, func(c *Comment) bool { return c.ID == id })
	return len(r.comments) < before
}

// A Status is one commit status that was set.
type Status struct {
	ID                                          int64
	SHA, State, Context, Description, TargetURL string
	Creator                                     string
	Created                                     time.Time
}

// Statuses are a commit's statuses, in the order in which they were set.
func (r *Repo) Statuses(sha string) []Status {
	defer r.lock()()
	return slices.DeleteFunc(values(r.statuses), func(s Status) bool { return s.SHA != sha })
}

// A CheckRun is one check run that was created.
type CheckRun struct {
	ID                                                    int64
	SHA, Name, ExternalID, DetailsURL, Status, Conclusion string
	Title, Summary                                        string
	Annotations                                           []Annotation
	Created                                               time.Time
}

// An Annotation is one remark of a check run.
type Annotation struct {
	Path      string `json:"path"`
	StartLine int    `json:"start_line"`
	EndLine   int    `json:"end_line"`
	Level     string `json:"annotation_level"`
	Message   string `json:"message"`
	Title     string `json:"title"`
}

// CheckRuns are a commit's check runs, in the order in which they were made.
func (r *Repo) CheckRuns(sha string) []CheckRun {
	defer r.lock()()
	return slices.DeleteFunc(values(r.checks), func(c CheckRun) bool { return c.SHA != sha })
}

// A Run is one run of a workflow.
type Run struct {
	ID              int64
	Number, Attempt int
	Event           string
	// Path is the workflow's file; GitHub may append "@" and a ref.
	Path string
	// HeadRepo is nil where the fork was deleted.
	HeadRepo            *Repo
	HeadBranch, HeadSHA string
	Conclusion          string
}

// AddRun adds a run; ID, Number and Attempt are given where they are zero.
func (r *Repo) AddRun(run Run) int64 {
	defer r.lock()()
	run.ID = cmp.Or(run.ID, r.server.nextID())
	run.Number = cmp.Or(run.Number, len(r.runs)+1)
	run.Attempt = cmp.Or(run.Attempt, 1)
	run.Event = cmp.Or(run.Event, "pull_request")
	run.Path = cmp.Or(run.Path, ".github/workflows/perfgate.yml")
	run.Conclusion = cmp.Or(run.Conclusion, "success")
	r.runs = append(r.runs, &run)
	return run.ID
}

// An Artifact is a zip that a run uploaded.
type Artifact struct {
	ID, RunID int64
	Name      string
	Zip       []byte
	Expired   bool
}

// AddArtifact adds an artifact to a run and returns its id.
func (r *Repo) AddArtifact(a Artifact) int64 {
	defer r.lock()()
	a.ID = cmp.Or(a.ID, r.server.nextID())
	a.Zip = bytes.Clone(a.Zip)
	r.artifacts = append(r.artifacts, &a)
	return a.ID
}

// File reads a file of a branch.
func (r *Repo) File(branch, path string) (content []byte, found bool) {
	defer r.lock()()
	o := r.server.objects
	c := o.commits[r.refs["refs/heads/"+branch]]
	if c == nil {
		return nil, false
	}
	e, found := o.files(c.Tree)[path]
	return bytes.Clone(o.blobs[e.sha]), found
}

func values[T any](pointers []*T) []T {
	all := make([]T, len(pointers))
	for i, p := range pointers {
		all[i] = *p
	}
	return all
}
