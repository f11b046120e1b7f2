package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/perfgate/perfgate/gate/recording"
	"github.com/perfgate/perfgate/gate/verdict"
)

// commentMax bounds a comment. The host takes 65,536 characters; it may count
// code points or UTF-16 units, so the units are counted, of which there are never
// fewer. Encoded as UTF-8 they are at most 3 bytes each, 180,000, which is below
// the 262,144 bytes that 65,536 characters can have. The rest is for the line that
// marks the comment.
const commentMax = 60_000

// summaryMax bounds a job summary, in bytes: the host takes 1 MiB, 1,048,576, of
// each step.
const summaryMax = 1_000_000

// Markdown writes the comment on a pull request: the headline with what to do,
// what was confirmed, and everything else folded. Nothing confirmed: two lines.
// What does not fit is dropped in whole rows, which are counted.
func Markdown(w io.Writer, in Input) error {
	p := page{Input: in, size: utf16Units, max: commentMax, scale: 1}
	return p.write(w, !p.quiet())
}

// Summary writes the page of the measuring job: the same with every section,
// whatever was found, and room for more rows.
func Summary(w io.Writer, in Input) error {
	p := page{Input: in, size: func(s string) int { return len(s) }, max: summaryMax, scale: summaryMax / commentMax}
	return p.write(w, true)
}

func utf16Units(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r)) // an invalid byte is one replacement character
	}
	return n
}

// page is a report in markdown, within a budget.
type page struct {
	Input
	size  func(string) int // of a text, as the host counts it
	max   int
	scale int // the sections' shares are those of a comment times this
}

// write puts the page together. The table of all rows takes what the other
// sections leave.
func (p page) write(w io.Writer, whole bool) error {
	parts := []string{p.heading()}
	if whole {
		parts = append(parts, p.sections()...)
	}
	_, err := io.WriteString(w, strings.Join(parts, ""))
	return err
}

// sections are those below the heading, in the order in which they are read.
func (p page) sections() []string {
	ahead := []section{p.missing(), p.confirmed(), p.suspectTable(), p.counters()}
	behind := []section{p.notMeasurable(), p.changedBenchmarks(), p.drift(), p.anchor(), p.waiverTable(), p.reproduce(), p.accept(), p.method()}
	room := p.max - p.size(p.heading())
	render := func(list []section) (out []string) {
		for _, s := range list {
			text := p.render(s, min(room, s.share*p.scale))
			room -= p.size(text)
			out = append(out, text)
		}
		return out
	}
	first, last := render(ahead), render(behind)
	rows := p.render(p.allRows(), room)
	return append(append(first, rows), last...)
}

// section is a part of the page.
type section struct {
	title string // of a folded section; empty for one that is not folded
	open  bool   // unfolded at first
	share int    // of the comment's budget, in characters
	// intro stands ahead of the rows, and is kept whole: it is short.
	intro []string
	// head begins a table, and is left out where there is no row. Rows are lines of
	// the table, or of a list; those that do not fit are dropped from the end, and
	// not even made: there may be many thousands.
	head string
	rows int
	row  func(i int) string
}

// list gives a section its rows, one for each element.
func list[T any](s section, of []T, row func(T) string) section {
	s.rows, s.row = len(of), func(i int) string { return row(of[i]) }
	return s
}

// The sections' shares of a comment. With a heading of at most 6,000 they sum up
// to 59,500 of 60,000 characters, so that each has its share whatever stands in
// the others; what they leave is for the table of all rows. The longest row is
// that of an outcome, 12 code spans of at most 610: 200 backticks, two fences of
// 201 and what stands between.
const (
	headingShare   = 6_000
	missingShare   = 6_000
	confirmedShare = 12_000
	suspectsShare  = 5_000
	countersShare  = 500
	outcomesShare  = 6_000
	changedShare   = 4_000
	driftShare     = 4_000
	anchorShare    = 3_000
	waiversShare   = 4_000
	reproduceShare = 2_000
	acceptShare    = 3_000
	methodShare    = 4_000
)

// render writes a section into at most so many characters, or nothing where
// there is nothing to say.
func (p page) render(s section, most int) string {
	if len(s.intro) == 0 && s.rows == 0 {
		return ""
	}
	var b strings.Builder
	closing := ""
	if s.title != "" {
		attribute := ""
		if s.open {
			attribute = " open"
		}
		fmt.Fprintf(&b, "\n<details%s><summary>%s</summary>\n", attribute, s.title)
		closing = "\n</details>\n"
	}
	for _, text := range s.intro {
		b.WriteString("\n" + text + "\n")
	}
	const more = 60 // the line that counts what was dropped
	room := most - p.size(b.String()) - p.size(closing) - more - p.size(s.head)
	fit := 0
	for ; fit < s.rows; fit++ {
		row := s.row(fit) + "\n"
		if room -= p.size(row); room < 0 {
			break
		}
		if fit == 0 {
			b.WriteString("\n" + s.head)
		}
		b.WriteString(row)
	}
	if dropped := s.rows - fit; dropped > 0 {
		fmt.Fprintf(&b, "\nand %s more, for which there is no room here.\n", plural(dropped, "row"))
	}
	b.WriteString(closing)
	return b.String()
}

// quiet: nothing was confirmed, and nothing is missing.
func (p page) quiet() bool {
	return len(p.pick(false)) == 0 && len(p.Verdict.Outcomes) == 0 && len(p.Verdict.BaselineDrift) == 0 &&
		len(p.requests()) == 0 && !p.incomplete() && p.Verdict.Exit == verdict.ExitPass
}

// heading is what is read first: the verdict with what to do, what weakens it, and
// what was compared.
func (p page) heading() string {
	var b strings.Builder
	advisory := ""
	if p.fork() {
		advisory = " (advisory)"
	}
	fmt.Fprintf(&b, "### perfgate%s: %s: %s\n\n", advisory, p.Words(), p.action())
	if p.fork() {
		b.WriteString("**Advisory only**: this change comes from a fork, whose code and workflow could have changed any number here. " +
			"The numbers of record are measured again once it is merged. ")
	}
	b.WriteString(upperFirst(p.tally()) + ".")
	if scope := p.scope(); scope != "" {
		b.WriteString(" " + scope + ".")
	}
	if p.quiet() {
		b.WriteString(p.quietEnd())
	} else if url := p.runLink("The run"); url != "" {
		b.WriteString(" " + url + ".")
	}
	b.WriteString("\n")
	b.WriteString(p.flags())
	return b.String()
}

// quietEnd says where the rest is that a quiet comment leaves out.
func (p page) quietEnd() string {
	s := " Bundle " + code(shortHash(p.Hash))
	if n := len(p.Manifest.Warnings); n > 0 {
		s += ", with " + plural(n, "warning")
	}
	if url := p.runLink("all rows"); url != "" {
		s += "; " + url
	}
	return s + "."
}

// flags are the files of this change that could have changed the judge. The
// lines above them take at most 3,900: five code spans and a link.
func (p page) flags() string {
	if p.PullRequest == nil || len(p.PullRequest.SuiteChanged) == 0 {
		return ""
	}
	files := section{intro: []string{"**This change touches what judges it** (policy, suite and baselines were taken from the base branch; " +
		"the exit code of the measuring job itself proves nothing here):"}}
	files = list(files, p.PullRequest.SuiteChanged, func(file string) string { return "- " + code(file) })
	return p.render(files, headingShare*p.scale/3)
}

// missing says why there is no verdict on the whole.
func (p page) missing() section {
	if !p.incomplete() {
		return section{}
	}
	s := section{share: missingShare, intro: []string{"**Nothing can be said about the suite as a whole:**"}}
	return list(s, p.PullRequest.Incomplete, func(why string) string { return "- " + eachLine(why, code, "<br>") })
}

// action is what the reader of the comment is asked to do.
func (p page) action() string {
	switch {
	case p.Verdict.Headline == verdict.SuiteRegressed:
		return p.regressedAction()
	case p.incomplete():
		return "see what is missing below: fix it, or run the job again"
	case p.Verdict.Headline == verdict.SuiteNotMeasured && len(p.notMeasured()) == 0 && p.Verdict.Counts[verdict.Inconclusive] > 0:
		return "give what policy requires to be decided more time"
	case p.Verdict.Headline == verdict.SuiteNotMeasured:
		return "fix what kept benchmarks from being measured"
	}
	if n := p.Verdict.Counts[verdict.Inconclusive]; n > 0 && p.Verdict.Headline == verdict.SuiteNoChange {
		return fmt.Sprintf("no action needed, but %d of %d comparisons could not be decided", n, len(p.Verdict.Rows))
	}
	return "no action needed"
}

func (p page) regressedAction() string {
	gating := false
	for _, row := range p.Verdict.Rows {
		gating = gating || row.Decision == verdict.Regressed && row.Gating
	}
	switch {
	case p.Verdict.Exit == verdict.ExitPass:
		return "slower, but policy does not fail on it"
	case !gating:
		return "bring the metrics that fail back to the stored baseline"
	case p.PullRequest != nil && !p.PullRequest.Accepting.Allow:
		return "make the rows below as fast as base again"
	}
	return "make the rows below as fast as base again, or have them accepted"
}

// scope says what was compared; nothing where no bundle does.
func (p page) scope() string {
	m := p.Manifest
	if m.Base.Commit == "" && m.Head.Commit == "" {
		return ""
	}
	suite := "All benchmarks"
	if m.Suite != "" {
		suite = "Suite " + code(m.Suite)
	}
	if s := p.shards(); s != "" {
		suite += " (" + s + ")"
	}
	return fmt.Sprintf("%s, base %s against head %s", suite, code(revision(m.Base)), code(revision(m.Head)))
}

// plainURL are addresses that hold nothing that markdown could read otherwise.
var plainURL = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._-]+)*$`)

// runLink is a link to the run, or nothing.
func (p page) runLink(text string) string {
	if p.PullRequest == nil || len(p.PullRequest.RunURL) > 500 || !plainURL.MatchString(p.PullRequest.RunURL) {
		return ""
	}
	return "[" + text + "](" + p.PullRequest.RunURL + ")"
}

// requests are the waivers that were asked for.
func (in Input) requests() []WaiverRequest {
	if in.PullRequest != nil && in.PullRequest.Waivers != nil {
		return in.PullRequest.Waivers
	}
	var out []WaiverRequest
	for _, w := range in.Manifest.Waivers {
		out = append(out, WaiverRequest{Waiver: w})
	}
	return out
}

// outcomesOf are the outcomes of these kinds, or with other of all the others.
func (p page) outcomesOf(other bool, kinds ...recording.OutcomeKind) []recording.Outcome {
	var out []recording.Outcome
	for _, o := range p.Verdict.Outcomes {
		known := false
		for _, kind := range kinds {
			known = known || o.Kind == kind
		}
		if known != other {
			out = append(out, o)
		}
	}
	return out
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
