package actions

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// annotationsMax is how many annotations of one step GitHub shows.
const annotationsMax = 10

// Annotation is a warning beside a line of the change.
type Annotation struct {
	Path    string // relative to the repository; empty for the run as a whole
	Line    int    // from 1; 0 for the file as a whole
	Title   string
	Message string
}

// Annotate shows annotations, at most those that GitHub keeps. It must not be
// called within a Fence.
func Annotate(w io.Writer, annotations []Annotation) error {
	for _, a := range annotations[:min(len(annotations), annotationsMax)] {
		if _, err := io.WriteString(w, a.command()); err != nil {
			return fmt.Errorf("writing annotations: %w", err)
		}
	}
	return nil
}

func (a Annotation) command() string {
	var properties []string
	if a.Path != "" {
		properties = append(properties, "file="+escapeProperty(a.Path))
		if a.Line > 0 {
			properties = append(properties, "line="+strconv.Itoa(a.Line))
		}
	}
	if a.Title != "" {
		properties = append(properties, "title="+escapeProperty(a.Title))
	}
	return "::warning " + strings.Join(properties, ",") + "::" + escape(a.Message) + "\n"
}

// escape makes a message that is one line for the runner and may have several
// for its reader.
func escape(s string) string {
	return strings.NewReplacer("%", "%25", "\n", "%0A").Replace(printable(s))
}

func escapeProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escape(s))
}

// printable replaces control and format characters, which could hide or reorder
// what a reader sees; line breaks stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// Fence is a writer between whose making and closing the runner takes nothing for
// a command. Whatever may carry text of the code under test is written to one,
// both streams to the same: the runner reads standard output and standard error
// one beside the other, so a fence on one would not hold on the other.
type Fence struct {
	w     io.Writer
	token string

	mu      sync.Mutex // progress and report may come from two goroutines
	midLine bool       // the last byte written was no line feed
	closed  bool
}

// NewFence begins a fence on w, which has to be at the start of a line.
func NewFence(w io.Writer) (*Fence, error) {
	token, err := secret()
	if err != nil {
		return nil, fmt.Errorf("fencing the output: %w", err)
	}
	if _, err := fmt.Fprintf(w, "::stop-commands::%s\n", token); err != nil {
		return nil, fmt.Errorf("fencing the output: %w", err)
	}
	return &Fence{w: w, token: token}, nil
}

// Write writes p as it is.
func (f *Fence) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.w.Write(p)
	if n > 0 {
		f.midLine = p[n-1] != '\n'
	}
	return n, err
}

// Close ends the fence; the writer below goes on. It may be called twice.
func (f *Fence) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	end := "::" + f.token + "::\n"
	if f.midLine {
		end = "\n" + end
	}
	if _, err := io.WriteString(f.w, end); err != nil {
		return fmt.Errorf("ending the fence: %w", err)
	}
	return nil
}
