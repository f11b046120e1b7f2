package actions

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// summaryBytesMax bounds a step's summary: GitHub drops one of more than 1 MiB
// whole. A little room is left for the note about what was cut.
const summaryBytesMax = 1<<20 - 512

// summaryCut ends a summary that was too long.
const summaryCut = "\n\n(The rest is too long for a job summary.)\n"

var outputName = regexp.MustCompile(`^[a-z][a-z-]*$`)

// SetOutput sets an output of this step. The value may hold anything: it stands
// between two lines with a delimiter that nobody could know before.
func (r Runner) SetOutput(name, value string) error {
	if r.outputPath == "" {
		return nil
	}
	if !outputName.MatchString(name) {
		panic("actions: an output's name is lower-case letters and hyphens: " + name)
	}
	delimiter, err := secret()
	if err != nil {
		return fmt.Errorf("setting output %s: %w", name, err)
	}
	// Invalid bytes would be replaced by the runner, with what result nobody says.
	value = strings.ToValidUTF8(value, string(utf8.RuneError))
	if err := appendTo(r.outputPath, name+"<<"+delimiter+"\n"+value+"\n"+delimiter+"\n"); err != nil {
		return fmt.Errorf("setting output %s: %w", name, err)
	}
	return nil
}

// AddSummary appends markdown to the job summary. What goes beyond its limit is
// cut at the end of a line, and said to be.
func (r Runner) AddSummary(markdown string) error {
	if r.summaryPath == "" {
		return nil
	}
	used := int64(0)
	if info, err := os.Stat(r.summaryPath); err == nil {
		used = info.Size()
	}
	if err := appendTo(r.summaryPath, clipLines(markdown, int(max(0, summaryBytesMax-used)))); err != nil {
		return fmt.Errorf("writing the job summary: %w", err)
	}
	return nil
}

// clipLines cuts text after its last whole line within n bytes.
func clipLines(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return text[:strings.LastIndexByte(text[:n], '\n')+1] + summaryCut
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// secret is a word that nobody can have written down before: 128 random bits.
func secret() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return "perfgate-" + hex.EncodeToString(b[:]), nil
}
