package github

// A Run is one run of a workflow, as the API tells it.
type Run struct {
	ID int64
	// Number counts the runs of one workflow, Attempt the attempts of one run:
	// together they order what two runs have to say.
	Number, Attempt int
	// Event is what started it: pull_request, merge_group, push …
	Event string
	// Path is the workflow's file, without the ref that the API may append.
	Path       string
	HeadSHA    string
	HeadBranch string
	// Conclusion is empty until the run has completed.
	Conclusion string
	URL        string
	// HeadRepo is "owner/name" of the repository that the head branch is in;
	// empty, with HeadRepoID zero, where that was deleted.
	HeadRepo   string
	HeadRepoID int64
	// Repo and RepoID are the repository that the run belongs to.
	Repo   string
	RepoID int64
}

// Expected is what a run must be before anything of it is read.
type Expected struct {
	// Events are the events of which one must have started the run.
	Events []string
	// Path is the workflow's file, such as .github/workflows/perfgate.yml.
	Path string
}

// A PullRequest is one pull request to the client's repository.
type PullRequest struct {
	Number int
	// Open is false for one that was merged or closed.
	Open             bool
	HeadSHA, HeadRef string
	// HeadRepo is "owner/name"; empty, with HeadRepoID zero, where the fork was
	// deleted.
	HeadRepo         string
	HeadRepoID       int64
	BaseRef, BaseSHA string
	// DefaultBranch is that of the repository that the pull request is for.
	DefaultBranch string
	URL           string
	// Fork: the head is in another repository than the base.
	Fork bool
	// Author is the login of who opened it; empty for a deleted account.
	Author   string
	authorID int64
	// files and commits are GitHub's own counts, to see whether lists are whole.
	files, commits int
}

// A Commit is one commit object.
type Commit struct {
	SHA, Tree, Message string
	Parents            []string
}

// Order says which of two reports is newer: that of the higher run, then of the
// higher attempt.
type Order struct{ Run, Attempt int }

// Less reports whether o is older than p.
func (o Order) Less(p Order) bool {
	return o.Run < p.Run || o.Run == p.Run && o.Attempt < p.Attempt
}

// A Comment is one of our own comments on a pull request.
type Comment struct {
	ID   int64
	URL  string
	Body string // With its marker line.
	Order
}

// A Status is a commit status.
type Status struct {
	State       string // error, failure, pending or success
	Context     string
	Description string // At most 140 characters.
	TargetURL   string // The page that it leads to; it must have one.
}

// A CheckRun is a completed check run. It needs a token with checks: write.
type CheckRun struct {
	Name        string
	Conclusion  string // success, failure, neutral …
	DetailsURL  string
	Title       string
	Summary     string
	Annotations []Annotation // At most 50, GitHub's limit for one request.
}

// An Annotation is a remark on one line of a file.
type Annotation struct {
	Path           string
	Line           int
	Level          string // notice, warning or failure
	Title, Message string
}

// An Approval is an approving review of one head commit by somebody who may
// write to the repository.
type Approval struct {
	Login string
	// Permission is the role: write, maintain, admin, or the name of a role
	// that the organisation made.
	Permission string
	// Maintainer: the role is maintain or admin, and not merely write.
	Maintainer bool
}

// An Artifact is what a job of a run uploaded.
type Artifact struct {
	ID      int64
	Name    string
	Size    int64
	Expired bool
}
