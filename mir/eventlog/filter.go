package eventlog

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/perfgate/perfgate/mir"
)

// Filter chooses events. What is empty chooses all.
type Filter struct {
	Module string        // The module's name; with a star at its end, how it begins.
	Event  string        // The event's name or that of the message it carries, in the same way.
	Nodes  []mir.NodeID  // Any of these.
	From   time.Duration // Not before this.
	Until  time.Duration // Before this.
	Inputs bool          // Only what came from outside.
}

// Match reports whether the filter chooses a record of a recording with header h.
func (f Filter) Match(h Header, r Record) bool {
	return like(f.Module, h.Module(r.To)) &&
		(like(f.Event, r.Event) || like(f.Event, r.Carried)) &&
		(len(f.Nodes) == 0 || slices.Contains(f.Nodes, r.Node)) &&
		r.At >= f.From && (f.Until == 0 || r.At < f.Until) &&
		(!f.Inputs || r.Input)
}

func like(pattern, name string) bool {
	begin, star := strings.CutSuffix(pattern, "*")
	return pattern == "" || pattern == name || star && strings.HasPrefix(name, begin)
}

// Each calls do with each event that f chooses, in order, until do or the
// recording gives an error; the end is none.
func Each(r *Reader, f Filter, do func(Record) error) error {
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && f.Match(r.Header(), rec) {
			err = do(rec)
		}
		if err != nil {
			return err
		}
	}
}

// Line shows an event on one line: the time, the node, "in" for an input, the
// module and instance, the name, and the body. A recording may come from
// anywhere, so what is not printable is replaced.
func (h Header) Line(r Record) string {
	origin, module, name := "  ", h.Module(r.To), r.Event
	if r.Input {
		origin = "in"
	}
	if r.Sub != 0 {
		module = fmt.Sprintf("%s/%d", module, r.Sub)
	}
	if r.Carried != "" {
		name = fmt.Sprintf("%s(%s)", r.Event, r.Carried)
	}
	line := fmt.Sprintf("%15v  node %d  %s  %-14s %-28s %s", r.At, r.Node, origin, module, name, r.Detail())
	return strings.TrimRight(strings.Map(printable, line), " ")
}

// Detail says of the body what its name does not.
func (r Record) Detail() string {
	switch r.Form {
	case Received:
		return fmt.Sprintf("from node %d, %d bytes", r.From, len(r.Body))
	case Message:
		return fmt.Sprintf("%d bytes", len(r.Body))
	case Due:
		return fmt.Sprintf("timer %d of instance %d, set %d", r.Timer.N, r.Timer.Sub, r.Set)
	}
	if r.Truncated {
		return string(r.Body) + "…"
	}
	return string(r.Body)
}

func printable(c rune) rune {
	if unicode.IsPrint(c) {
		return c
	}
	return unicode.ReplacementChar
}
