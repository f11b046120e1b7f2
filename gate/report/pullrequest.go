package report

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/perfgate/perfgate/gate/config"
	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// PullRequestContext is what a report on a pull request says beyond its bundle.
type PullRequestContext struct {
	// Fork: the change comes from another repository, which may have changed the
	// workflow that measured it. The verdict is advisory.
	Fork bool
	// SuiteChanged are files of the policy, the suite, the baselines or the gate
	// itself that the pull request touches.
	SuiteChanged []string
	// Incomplete are the parts that are missing, such as shards, each with the
	// reason. Where there are any, there is no verdict on the suite.
	Incomplete []string
	// RunURL is the page of the run that measured; empty where it is not known.
	RunURL string
	// Waivers are the requests of the pull request; nil for those of the manifest.
	Waivers []WaiverRequest
	// Accepting says whether base policy lets regressions be accepted, and by whom.
	Accepting config.Waivers
	// AcceptUntil is the last day of the waivers that are proposed, as 2006-01-02;
	// empty to leave it to their authors. The clock is the caller's, so that the
	// report stays a function of its input.
	AcceptUntil string
}

// WaiverRequest is a waiver that a commit of the pull request asks for. Refused
// says why it does not count.
type WaiverRequest struct {
	config.Waiver
	ApprovedBy string // login of the reviewer; empty where nobody approved
}

// JudgeEdited: the pull request touches policy, the suite's list, baselines, the
// workflow or the gate. Tests alone do not count, though they are listed: most
// changes come with some, and a benchmark whose definition differs is not compared.
func (c *PullRequestContext) JudgeEdited() bool {
	return slices.ContainsFunc(c.SuiteChanged, func(file string) bool { return !strings.HasSuffix(file, "_test.go") })
}

// incomplete: parts are missing.
func (in Input) incomplete() bool {
	return in.PullRequest != nil && len(in.PullRequest.Incomplete) > 0
}

// fork: the verdict is advisory.
func (in Input) fork() bool { return in.PullRequest != nil && in.PullRequest.Fork }

// statusMax is what the host takes for a status, in characters.
const statusMax = 140

// StatusDescription is the verdict in the one line that stands beside a commit
// status: its words, and counts, behind what weakens them.
func StatusDescription(in Input) string {
	var caveats []string
	if in.fork() {
		caveats = append(caveats, "advisory, from a fork")
	}
	if in.PullRequest != nil && in.PullRequest.JudgeEdited() {
		caveats = append(caveats, "touches what judges it")
	}
	text := in.headline()
	if len(caveats) > 0 {
		text = strings.Join(caveats, ", ") + ": " + text
	}
	if utf8.RuneCountInString(text) > statusMax {
		text = clip(text, statusMax-1) // and the ellipsis
	}
	return text
}

// Annotation is a note beside a line of the source. Path is empty, and Line 0,
// where no line is known.
type Annotation struct {
	Path           string
	Line           int
	Title, Message string
}

// AnnotationsMax is what the host shows of one step.
const AnnotationsMax = 10

// Annotations are what failed, one note for each benchmark: those that regressed,
// then those that could not be measured. Their texts hold no control characters,
// but come from the measured code: the writer escapes them for where they go.
func Annotations(in Input) []Annotation {
	var all []Annotation
	at := map[recording.Key]int{}
	for _, row := range in.Verdict.Rows {
		if row.Decision != verdict.Regressed || !row.Gating {
			continue
		}
		key := row.Change.Test.Key
		if i, ok := at[key]; ok {
			all[i].Message += "; " + in.sentence(row)
			continue
		}
		at[key] = len(all)
		all = append(all, in.annotate(key, "perfgate: regressed", clean(in.benchmark(key))+": "+in.sentence(row)))
	}
	for _, o := range in.notMeasured() {
		all = append(all, in.annotate(o.Key, "perfgate: not measured",
			clean(in.benchmark(o.Key))+": "+clean(string(o.Kind))+": "+clean(firstLine(o.Detail))))
	}
	if len(all) > AnnotationsMax {
		rest := len(all) - (AnnotationsMax - 1)
		all = append(all[:AnnotationsMax-1], Annotation{Title: "perfgate", Message: fmt.Sprintf("and %d more; the job summary has them all", rest)})
	}
	return all
}

// sentence is a row in words.
func (in Input) sentence(row verdict.Row) string {
	base, head := sides(row.Change)
	return fmt.Sprintf("%s %s, from %s to %s", clean(row.Change.Test.Unit), effectOf(row.Change).text(), base, head)
}

func (in Input) annotate(key recording.Key, title, message string) Annotation {
	a := Annotation{Title: title, Message: message}
	for _, b := range in.Manifest.Benchmarks {
		// The exact runs of a benchmark may have another GOMAXPROCS than its timed ones.
		if key.Name != "" && b.Key.Pkg == key.Pkg && b.Key.Name == key.Name && sourceFile(b.File) && b.Line > 0 {
			a.Path, a.Line = b.File, b.Line
			break
		}
	}
	return a
}

// sourceFile: a path inside the repository that no reader takes for another.
func sourceFile(path string) bool {
	return path != "." && len(path) <= 500 && fs.ValidPath(path) && visible(path) == path
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(s, "\n"), "\n")
	return line
}

// RefusedMarkdown is the comment in place of a report: what the measuring job left
// cannot be believed, so nothing of it is shown. The reason may quote it.
func RefusedMarkdown(reason string) string {
	return "### perfgate: no verdict: what the measuring job left cannot be believed\n\n" +
		"Nothing of it is shown. Run the job again; if it comes out like this once more, compare the workflow of this change with that of the base branch.\n\n" +
		"Reason: " + eachLine(reason, code, "<br>") + "\n"
}
