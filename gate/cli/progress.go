package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/measure"
)

// plainEvery is how often progress is told where no terminal shows it.
const plainEvery = 30 * time.Second

// progress tells a person what is going on: one line that is rewritten on a
// terminal, and a plain line every half minute otherwise.
type progress struct {
	w        io.Writer
	terminal bool
	started  time.Time
	last     time.Time
	phase    string
	width    int // of the line on the terminal
}

func newProgress(env *Env) *progress {
	return &progress{w: env.Stderr, terminal: env.Terminal, started: time.Now()}
}

func (p *progress) show(m measure.Progress) {
	line := m.Phase
	if m.Planned > 0 {
		line += fmt.Sprintf(" %d/%d", m.Done+1, m.Planned)
	}
	line += " " + m.Detail
	if m.Undecided > 0 {
		line += fmt.Sprintf(": pair %d, %d undecided", m.Done, m.Undecided)
	}
	if m.Left > 0 {
		line += fmt.Sprintf(", at most %s left", m.Left.Round(time.Second))
	}
	now := time.Now()
	switch {
	case p.terminal:
		if now.Sub(p.last) < 100*time.Millisecond {
			return
		}
		pad := max(0, p.width-len(line))
		fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", pad))
		p.width = len(line)
	case m.Phase != p.phase || now.Sub(p.last) >= plainEvery:
		fmt.Fprintf(p.w, "perfgate: %3.0f s: %s\n", now.Sub(p.started).Seconds(), line)
	default:
		return
	}
	p.last, p.phase = now, m.Phase
}

// done clears the terminal's line.
func (p *progress) done() {
	if p.terminal && p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
	}
}
